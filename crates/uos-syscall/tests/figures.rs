//! What a system monitor is told: of a process, of the machine, of memory.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::collections::{BTreeMap, HashMap};

use common::{World, program, shell, until, wait, write};
use uos_proc::{FakeSpawner, Script, Usage};
use uos_proto::v1::{self, ProcessState, call::Call, reply::Reply};
use uos_syscall::{Caller, Errno, Kernel, Limits};

fn stats_now(kernel: &Kernel, caller: &Caller, pid: u64) -> v1::GetProcessStatsReply {
    let call: Call = v1::GetProcessStats { pid }.into();
    match kernel.invoke_blocking(caller, call).unwrap() {
        Reply::GetProcessStats(reply) => *reply,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_program_is_counted_with_everything_it_has_started() {
    let world = World::start();
    let agent = world.agent(&["proc.spawn:/**"]).await;
    // A child that works, another that sleeps, and itself.
    let script = "sh -c 'while :; do :; done' & sleep 1000 & wait";
    let pid = world.call(&agent, shell(script)).await.unwrap().pid;
    let stats = || stats_now(&world.kernel, &agent, pid);
    until("all three are counted", || stats().os_processes >= 3).await;
    until("the one that works uses time", || stats().cpu_us > 100_000).await;
    let before = stats();
    assert!(before.memory_bytes > 0 && before.threads >= 3 && before.peak_memory_bytes > 0, "{before:?}");
    assert_eq!((before.state(), before.pid, before.children), (ProcessState::Running, pid, 0));
    until("it goes on", || stats().cpu_us > before.cpu_us).await;

    let list = world.call(&agent, v1::GetProcessList::default()).await.unwrap().processes;
    let listed: BTreeMap<u64, (u64, u64)> =
        list.iter().map(|it| (it.pid, (it.cpu_us, it.memory_bytes))).collect();
    let (cpu, memory) = listed[&pid];
    assert!(cpu >= before.cpu_us && memory > 0, "{cpu} {memory}");
    assert_eq!(listed[&agent.pid().0], (0, 0), "one without a program");
    let info = world.call(&agent, v1::GetProcessInfo { pid }).await.unwrap().process.unwrap();
    assert!(info.cpu_us >= cpu && info.memory_bytes > 0);
    let own = stats_now(&world.kernel, &agent, 0);
    assert_eq!((own.pid, own.cpu_us, own.memory_bytes, own.os_processes), (agent.pid().0, 0, 0, 0));
    assert_eq!(own.children, 1);

    world.call(&agent, v1::KillProcess { pid, tree: true }).await.unwrap();
    wait(&world, &agent, pid).await;
    let ended = stats();
    assert_eq!((ended.state(), ended.memory_bytes, ended.os_processes), (ProcessState::Exited, 0, 0));
    assert_eq!(ended.age_us, stats().age_us, "it grows no older");
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn what_a_program_has_used_stays_known() {
    let used = Usage { cpu_user_us: 40, cpu_system_us: 2, voluntary_switches: 7, ..Usage::default() };
    let world = World::with(Limits::default(), FakeSpawner::new(move |_| Ok(Script::new().usage(used))));
    let init = world.kernel.init();
    let pid = world.call(&init, program("/usr/bin/printf", &[])).await.unwrap().pid;
    wait(&world, &init, pid).await;
    let stats = world.call(&init, v1::GetProcessStats { pid }).await.unwrap();
    assert_eq!((stats.cpu_us, stats.voluntary_switches, stats.memory_bytes), (42, 7, 0));
    let info = world.call(&init, v1::GetProcessInfo { pid }).await.unwrap().process.unwrap();
    assert_eq!(info.cpu_us, 42);
}

#[tokio::test]
async fn the_machine_is_told_so_that_its_load_can_be_computed() {
    let world = World::start();
    let agent = world.agent(&["sys.info"]).await;
    let before = world.call(&agent, v1::GetSystemInfo {}).await.unwrap();
    assert!(!before.version.is_empty() && before.kernel.starts_with("Linux ") && before.cpus >= 1);
    assert_eq!(before.architecture, std::env::consts::ARCH);
    assert_eq!((before.processes, before.processes_max), (2, Limits::default().processes));
    assert!(before.cpu_busy_us > 0 && before.cpu_busy_us <= before.cpu_total_us);
    let now = world.call(&agent, v1::GetCurrentTime {}).await.unwrap().time_us;
    assert!(before.boot_time_us > 0 && before.boot_time_us < now);
    assert!((now - before.started_us).unsigned_abs() < 60_000_000);
    assert!([before.load_1, before.load_5, before.load_15].iter().all(|load| *load >= 0.0));
    let mut after = before.clone();
    while after.cpu_busy_us == before.cpu_busy_us {
        after = world.call(&agent, v1::GetSystemInfo {}).await.unwrap();
    }
    // What is not busy may go back by a tick: the host says so of the time it waits for disks.
    let tick = 10_000 * u64::from(before.cpus);
    assert!(after.cpu_total_us + tick >= before.cpu_total_us + (after.cpu_busy_us - before.cpu_busy_us));
    assert!(after.uptime_us > before.uptime_us);
}

#[tokio::test]
async fn memory_is_told_by_area_to_the_byte() {
    let world = World::start();
    let init = world.kernel.init();
    let look = async || {
        let stats = world.call(&init, v1::GetMemoryStats {}).await.unwrap();
        assert!(stats.host_total_bytes >= stats.host_available_bytes && stats.host_available_bytes > 0);
        assert!(stats.server_bytes > 0 && stats.server_bytes < stats.host_total_bytes);
        let area = |it: v1::MemoryArea| (it.name, (it.used_bytes, it.capacity_bytes));
        stats.areas.into_iter().map(area).collect::<BTreeMap<_, _>>()
    };
    let before = look().await;
    let names: Vec<&str> = before.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["/", "/home", "/tmp", "output", "pipes", "queues", "segments"],
        "the host's folders are not in memory"
    );
    assert_eq!((before["/home"], before["/tmp"]), ((0, 1 << 20), (0, 1 << 20)));
    assert_eq!(before["pipes"], (0, Limits::default().pipe_bytes));

    world.call(&init, write("/home/x", [0; 1_234])).await.unwrap();
    let pipe = v1::CreatePipe { capacity: 8_192, ..Default::default() };
    world.call(&init, pipe).await.unwrap();
    let after = look().await;
    assert_eq!((after["/home"].0, after["/tmp"].0, after["pipes"].0), (1_234, 0, 8_192));
    let pid = world.call(&init, program("/usr/bin/printf", &["x"])).await.unwrap().pid;
    wait(&world, &init, pid).await;
    until("its output is kept", || world.kernel.in_use().output_bytes > 0).await;
    assert_eq!(look().await["output"].0, world.kernel.in_use().output_bytes);
}

#[tokio::test]
async fn the_memory_of_a_process_is_its_programs_and_what_it_made() {
    let world = World::start();
    let agent = world.agent(&["ipc.create", "proc.spawn:/**", "fs.read:/**"]).await;
    world.call(&agent, v1::CreatePipe { capacity: 10_000, ..Default::default() }).await.unwrap();
    world.call(&agent, v1::CreateShm { size_bytes: 8_192 }).await.unwrap();
    let own = world.call(&agent, v1::GetProcessMemoryStats { pid: 0 }).await.unwrap();
    assert_eq!((own.pid, own.resident_bytes), (agent.pid().0, 0));
    let areas: HashMap<_, _> = own.areas.iter().map(|area| (&*area.name, area.used_bytes)).collect();
    assert_eq!((areas["pipes"], areas["segments"], areas["queues"], areas["handles"]), (10_000, 8_192, 0, 2));

    // Held by a shell, 8 MB are seen.
    let script = "x=$(head -c 8000000 /dev/zero | tr '\\0' x); echo ready; sleep 1000; echo $x";
    let child = world.call(&agent, shell(script)).await.unwrap().pid;
    world.call(&agent, v1::ReadOutput { pid: child, ..Default::default() }).await.unwrap();
    let held = world.call(&agent, v1::GetProcessMemoryStats { pid: child }).await.unwrap();
    assert!(held.resident_bytes > 8_000_000, "{held:?}");
    let stranger = world.agent(&[]).await;
    assert_eq!(world.errno(&stranger, v1::GetProcessMemoryStats { pid: child }).await, Errno::ESRCH);
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn what_is_given_up_is_told_and_is_gone() {
    let world = World::start();
    let agent = world.agent(&["proc.spawn:/**", "fs.read:/**", "sys.admin"]).await;
    let spawn = || world.call(&agent, shell("printf 0123456789"));
    let (seen, unseen) = (spawn().await.unwrap().pid, spawn().await.unwrap().pid);
    wait(&world, &agent, seen).await;
    until("both have ended, and one was waited for", || world.kernel.in_use().processes == 2).await;
    let before = world.kernel.in_use().output_bytes;
    let swept = world.call(&agent, v1::TriggerGc {}).await.unwrap();
    let of = |area: &str| swept.freed.iter().find(|it| it.area == area).map(|it| (it.count, it.bytes));
    let (count, bytes) = of("ended_processes").unwrap();
    assert!(count == 1 && bytes >= 10 && swept.freed_bytes == bytes, "{swept:?}");
    assert_eq!((of("answers"), of("segments")), (Some((0, 0)), Some((0, 0))));
    until("its output is given back", || world.kernel.in_use().output_bytes < before).await;
    assert_eq!(world.errno(&agent, v1::WaitProcess { pid: seen, timeout_us: Some(0) }).await, Errno::ESRCH);
    assert!(wait(&world, &agent, unseen).await.exited, "who was not waited for is kept");
    world.kernel.shut_down().await;
}
