//! Limits on whole trees, met by real programs. They take control groups that can be written to; where there are none
//! these tests fail, and say so.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio as HostStdio};

use common::{SPAWNER, groups_of, line, refusal, run, shell, spawn, within};
use proptest::strategy::{Strategy, ValueTree};
use tokio::io::AsyncWriteExt;
use uos_proc::{
    Child, CpuGroup, ExitCause, Guarantee, Init, Level, Limits, LimitsError, LinuxSpawner, Means,
    SignalError, SpawnError, Spawner, Spec, Stdio,
};

const NONE: Limits = Limits::NONE;

const MIB: u64 = 1 << 20;

fn boxed(script: &str) -> Spec {
    Spec::new("/bin/sh").arg("-c").arg(script).env("PATH", "/usr/bin:/bin").level(Level::Standard)
}

fn count(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).ok().and_then(|count| count.parse().ok()).unwrap_or(otherwise)
}

/// A child that has said that it is ready.
async fn ready(spec: Spec) -> Child {
    let child = spawn(spec.stdout(Stdio::Pipe));
    assert_eq!(line(&mut child.take_stdout().unwrap()).await, "ready");
    child
}

#[test]
fn this_machine_can_hold_trees_to_limits() {
    for guarantee in [Guarantee::Memory, Guarantee::Cpu, Guarantee::Pids] {
        let means = SPAWNER.probe().get(Level::Standard, guarantee).clone();
        assert!(
            means.is_enforced(),
            "{guarantee}: {means}; the tests of this file take writable control groups"
        );
    }
}

/// `UOS_CAMPAIGN_BOMBS`: how many.
#[tokio::test]
async fn a_memory_bomb_is_named_and_its_sibling_is_not_touched() {
    let sibling = ready(boxed("echo ready; exec sleep 1000")).await;
    for bomb in 0..count("UOS_CAMPAIGN_BOMBS", 6) {
        let level = if bomb % 2 == 0 { Level::Standard } else { Level::Minimal };
        let limits = Limits { memory_bytes: Some(24 * MIB), ..NONE };
        let (exit, ..) = run(boxed("exec tail /dev/zero").level(level).limits(limits)).await;
        assert_eq!(exit.cause, ExitCause::OomKilled, "bomb {bomb} at {level:?}");
        assert!(exit.events.oom_kills > 0);
        let peak = exit.usage.peak_memory_bytes.unwrap();
        assert!(peak <= 24 * MIB && peak > 12 * MIB, "{peak}");
        assert_eq!(exit.usage.memory_bytes, Some(0));
    }
    assert_eq!(sibling.try_wait(), None);
    sibling.kill_tree().unwrap();
    let exit = within(sibling.wait()).await;
    assert_eq!(exit.cause, ExitCause::Killed, "our kill is not the kernel's");
    assert_eq!(exit.events.oom_kills, 0);
}

#[tokio::test]
async fn a_descendant_out_of_memory_is_told_and_is_not_the_program() {
    let limits = Limits { memory_bytes: Some(24 * MIB), ..NONE };
    let (exit, said, _) = run(boxed("tail /dev/zero; echo $?; exit 3").limits(limits)).await;
    assert_eq!((exit.cause, said.as_slice()), (ExitCause::Exited(3), b"137\n".as_slice()));
    assert_eq!(exit.events.oom_kills, 1);
}

/// A file in memory that outlives its writers counts where it was written. Nobody else is to pay for it.
#[tokio::test]
async fn what_a_sandbox_left_in_memory_is_not_the_next_ones_burden() {
    let limits = Limits { memory_bytes: Some(24 * MIB), ..NONE };
    let memfd = || rustix::fs::memfd_create("left", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    for _ in 0..3 {
        let left = memfd();
        let writes = boxed("exec head -c 20000000 /dev/zero").stdout(Stdio::Fd(left.try_clone().unwrap()));
        assert_eq!(within(spawn(writes.limits(limits)).wait()).await.cause, ExitCause::Exited(0));
        for turn in 0..10 {
            let (exit, ..) =
                run(boxed("head -c 12000000 /dev/zero | tail -c 11000000 | wc -c").limits(limits)).await;
            assert_eq!((exit.cause, exit.events.oom_kills), (ExitCause::Exited(0), 0), "turn {turn}");
        }
    }
}

#[tokio::test]
async fn processes_that_could_not_be_made_are_counted() {
    let script = "i=0; while [ $i -lt 100 ]; do sleep 1000 & i=$((i+1)); done; exit 0";
    let limits = Limits { pids: Some(20), ..NONE };
    for spec in [boxed(script), shell(script)] {
        let (exit, ..) = run(spec.limits(limits)).await;
        assert!(exit.events.pids_denials > 0, "{exit:?}");
        assert!(exit.usage.peak_pids.is_none_or(|peak| peak <= 21), "{exit:?}");
    }
}

#[tokio::test]
async fn what_is_in_force_depends_on_what_was_set() {
    let memory = |spec: &Spec| SPAWNER.plan(spec).unwrap().get(Guarantee::Memory).clone();
    assert!(matches!(memory(&shell("true")), Means::Absent { .. }));
    let limited = shell("true").limits(Limits { memory_bytes: Some(64 * MIB), ..NONE });
    assert!(memory(&limited).is_enforced());
    assert!(memory(&boxed("true")).is_enforced());
    let tree = |spec: &Spec| SPAWNER.plan(spec).unwrap().get(Guarantee::KillTree).clone();
    assert!(!tree(&shell("true")).is_enforced());
    assert!(tree(&shell("true").grouped(true)).is_enforced());
}

#[tokio::test]
async fn limits_change_while_the_program_runs() {
    let child =
        spawn(boxed("echo ready; read go; exec tail /dev/zero").stdin(Stdio::Pipe).stdout(Stdio::Pipe));
    let (mut stdin, mut stdout) = (child.take_stdin().unwrap(), child.take_stdout().unwrap());
    assert_eq!(line(&mut stdout).await, "ready");
    let refused = |limits: Limits| child.set_limits(&limits).unwrap_err();
    assert!(matches!(
        refused(Limits { pids: Some(0), ..NONE }),
        LimitsError::Invalid { field: "limits.pids", .. }
    ));
    assert!(matches!(
        refused(Limits { open_files: Some(7), ..NONE }),
        LimitsError::Invalid { field: "limits.open_files", .. }
    ));
    assert!(matches!(
        refused(Limits { memory_bytes: Some(u64::MAX), ..NONE }),
        LimitsError::Invalid { field: "limits.memory_bytes", .. }
    ));
    let too_little = refused(Limits { memory_bytes: Some(4096), ..NONE });
    assert!(matches!(too_little, LimitsError::Refused { name: "memory_bytes", .. }), "{too_little}");
    child.set_limits(&Limits { memory_bytes: Some(16 * MIB), pids: Some(9), ..NONE }).unwrap();
    stdin.write_all(b"go\n").await.unwrap();
    let exit = within(child.wait()).await;
    assert_eq!(exit.cause, ExitCause::OomKilled);
    assert!(exit.usage.peak_memory_bytes.unwrap() <= 16 * MIB);
    assert_eq!(child.set_limits(&NONE), Err(LimitsError::NoSuchProcess));

    let ungrouped = ready(shell("echo ready; exec sleep 1000")).await;
    let limits = Limits { memory_bytes: Some(MIB), ..NONE };
    assert_eq!(ungrouped.set_limits(&limits), Err(LimitsError::Unsupported { name: "memory_bytes" }));
}

#[tokio::test]
async fn limits_beyond_the_machine_are_refused_by_field() {
    for (limits, named) in [
        (Limits { memory_bytes: Some(u64::MAX), ..NONE }, "limits.memory_bytes"),
        (Limits { memory_bytes: Some(0), ..NONE }, "limits.memory_bytes"),
        (Limits { pids: Some(u64::MAX), ..NONE }, "limits.pids"),
        (Limits { cpu_percent: Some(u32::MAX), ..NONE }, "limits.cpu_percent"),
        (Limits { cpu_weight: Some(10_001), ..NONE }, "limits.cpu_weight"),
    ] {
        match refusal(boxed("true").limits(limits)) {
            SpawnError::Invalid { field, .. } => assert_eq!(field, named),
            error => panic!("{named}: {error}"),
        }
    }
}

/// Held still, a tree uses no processor at all; and it can be killed.
#[tokio::test]
async fn what_is_paused_stands_still_and_can_be_killed() {
    for spec in
        [boxed("echo ready; while :; do :; done"), shell("echo ready; while :; do :; done").grouped(true)]
    {
        let child = ready(spec).await;
        let used = || {
            let usage = child.usage();
            usage.cpu_user_us + usage.cpu_system_us
        };
        child.pause().unwrap();
        // Whoever is said to stand still may have some microseconds to go until it has left its CPU.
        let mut before = used();
        let stands_still = async {
            loop {
                for _ in 0..20 {
                    run(shell("true")).await;
                }
                let now = used();
                if now == before {
                    break;
                }
                before = now;
            }
        };
        within(stands_still).await;
        child.resume().unwrap();
        within(async {
            while used() == before {
                tokio::task::yield_now().await;
            }
        })
        .await;
        child.pause().unwrap();
        child.kill_tree().unwrap();
        within(child.wait()).await;
        assert_eq!(child.pause(), Err(SignalError::NoSuchProcess));
    }
}

/// Trees that don't want to go: double forks, sessions of their own, signals ignored, stopped, forking all the while.
/// `UOS_CAMPAIGN_SHELLS`: how many.
#[tokio::test]
async fn shells_that_do_not_want_to_go_leave_nothing() {
    let storms = [
        "(setsid sh -c 'trap \"\" TERM INT HUP; echo ready; while :; do sleep 1; done' &); wait; exec sleep 1000",
        "trap '' TERM; (sh -c 'kill -STOP $$' &); echo ready; exec sleep 1000",
        "storm() { while :; do (sleep 0.001 &) ; done; }; storm & storm & echo ready; storm",
        "i=0; while [ $i -lt 20 ]; do (setsid setsid sleep 1000 &); i=$((i+1)); done; echo ready; exec sleep 1000",
    ];
    let rounds = count("UOS_CAMPAIGN_SHELLS", 24);
    // With uids of its own: those of a spawner that other tests use could be another's by the time they are looked for.
    let spawner = LinuxSpawner::new().unwrap();
    for round in 0..rounds {
        let script = storms[round % storms.len()];
        let grouped = (round / storms.len()) % 3 == 2;
        let spec = if grouped { shell(script).grouped(true) } else { boxed(script) };
        let child = spawner.spawn(spec.stdout(Stdio::Pipe)).unwrap();
        assert_eq!(line(&mut child.take_stdout().unwrap()).await, "ready");
        let uid = fs::metadata(format!("/proc/{}", child.os_pid())).unwrap().uid();
        if round % 2 == 0 {
            child.kill_tree().unwrap();
            within(child.wait()).await;
        } else {
            drop(child);
        }
        if !grouped {
            // A uid is a sandbox's alone while it lives. Dropped, it may take a moment to die.
            let left = || {
                let processes = fs::read_dir("/proc").unwrap().flatten();
                processes.filter(|entry| entry.metadata().is_ok_and(|metadata| metadata.uid() == uid)).count()
            };
            within(async {
                while left() > 0 {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
    }
    // No zombie of ours is left either.
    let own = std::process::id().to_string();
    let zombies = || {
        let stats = fs::read_dir("/proc").unwrap().flatten();
        let stats = stats.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
        stats
            .filter(|stat| {
                let mut rest = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
                rest.next() == Some("Z") && rest.next() == Some(&own)
            })
            .count()
    };
    within(async {
        while zombies() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// This test program, about to play a server that starts children and says so.
/// Ends as a program does that has had enough: it lets its children go, and is gone right afterwards.
#[test]
#[ignore = "played by a_server_that_ends_leaves_no_group"]
fn play_a_server_that_ends() {
    if std::env::var_os("PLAYS_A_HOST").is_none() {
        return;
    }
    let spawner = LinuxSpawner::new().unwrap();
    let busy = "sleep 1000 & sleep 1000 & wait";
    let start = |script: &str| spawner.spawn(boxed(script)).unwrap();
    let children: Vec<_> = (0..5).map(|_| start(busy)).collect();
    drop(children);
    drop(start("exit 0"));
    println!("{}", groups_of(std::process::id()).len());
}

#[test]
fn a_server_that_ends_leaves_no_group() {
    let (mut host, said) = play("play_a_server_that_ends");
    let pid = host.id();
    let lines: Vec<String> = said.lines().map(Result::unwrap).collect();
    host.wait().unwrap();
    // Where there is one thread for tests, the test's own name stands before it.
    let had = lines.iter().find_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
    assert!(had.is_some_and(|had| had > 0), "it had no group: {lines:?}");
    assert_eq!(groups_of(pid), Vec::<PathBuf>::new());
}

fn server() -> (std::process::Child, BufReader<std::process::ChildStdout>) {
    play("play_a_server")
}

fn play(role: &str) -> (std::process::Child, BufReader<std::process::ChildStdout>) {
    let mut host = Command::new(std::env::current_exe().unwrap());
    host.args(["--exact", role, "--ignored", "--nocapture"]).env("PLAYS_A_HOST", "1");
    let mut host = host.stdout(HostStdio::piped()).spawn().unwrap();
    let said = BufReader::new(host.stdout.take().unwrap());
    (host, said)
}

#[test]
#[ignore = "played by a_server_killed_at_any_moment_leaves_nothing"]
fn play_a_server() {
    if std::env::var_os("PLAYS_A_HOST").is_none() {
        return;
    }
    let spawner = LinuxSpawner::new().unwrap();
    let stdout = || Stdio::Fd(std::io::stdout().as_fd().try_clone_to_owned().unwrap());
    let mut children = Vec::new();
    for round in 0.. {
        let level = [Level::Standard, Level::Privileged, Level::Minimal][round % 3];
        let script = match level {
            Level::Minimal => "echo child; while :; do :; done",
            Level::Standard => "trap '' TERM HUP; (setsid sleep 1000 &); echo child; exec sleep 1000",
            // At this level what leaves its session is found by the next server only. It must not hold the pipe.
            Level::Privileged => "(setsid sleep 1000 >/dev/null 2>&1 &); echo child; exec sleep 1000",
        };
        let limits = Limits { memory_bytes: Some(64 * MIB), ..NONE };
        let child = spawner.spawn(boxed(script).level(level).limits(limits).stdout(stdout())).unwrap();
        if spawner.nesting().is_enforced() {
            let outer = CpuGroup { id: round as u64 % 2, weight: 100 };
            // Minimal ones are over at once where this is slow.
            let _ = child.set_cpu_groups(&[outer, CpuGroup { id: 7, weight: 200 }]);
        }
        children.push(child);
        if children.len() > 6 {
            children.remove(0);
        }
    }
}

/// `UOS_CAMPAIGN_HOST_KILLS`: how many. Its children hold the other end of the pipe: it ends when they are all gone.
/// What got away from one at the level Privileged is ended by the next server, which removes the groups of the dead:
/// only empty ones can be removed.
#[test]
fn a_server_killed_at_any_moment_leaves_nothing() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut dead = Vec::new();
    for _ in 0..count("UOS_CAMPAIGN_HOST_KILLS", 6) {
        let (mut host, mut said) = server();
        let lines = (0usize..24).new_tree(&mut runner).unwrap().current();
        for _ in 0..lines {
            said.read_line(&mut String::new()).unwrap();
        }
        host.kill().unwrap();
        host.wait().unwrap();
        let (ended, end) = std::sync::mpsc::channel();
        std::thread::spawn(move || ended.send(std::io::Read::read_to_string(&mut said, &mut String::new())));
        end.recv_timeout(std::time::Duration::from_secs(60)).expect("children live on").unwrap();
        dead.push(host.id());
    }
    // A living server, whose groups nobody may touch; then the next one begins.
    let (mut living, mut said) = server();
    let mut word = String::new();
    while !word.contains("child") {
        assert!(said.read_line(&mut word).unwrap() > 0, "it ended");
    }
    let before = groups_of(living.id());
    assert!(!before.is_empty());
    let next = LinuxSpawner::new().unwrap();
    drop(next.spawn(boxed("true")).unwrap());
    for pid in dead {
        assert_eq!(groups_of(pid), Vec::<PathBuf>::new(), "left by a server that is dead");
    }
    let after = groups_of(living.id());
    assert!(before.iter().all(|group| after.contains(group)), "a living server's groups were taken");
    living.kill().unwrap();
    living.wait().unwrap();
    drop(next);
}

#[tokio::test]
async fn a_program_by_its_own_hand_and_one_looked_after_may_have_the_same_number_of_processes() {
    for init in [Init::Program, Init::Reaper] {
        let script = "i=0; while [ $i -lt 7 ]; do sleep 1000 & i=$((i+1)); done; echo started";
        let (exit, said, complaints) =
            run(boxed(script).init(init).limits(Limits { pids: Some(8), ..NONE })).await;
        assert_eq!(said, b"started\n", "{init:?} {}", String::from_utf8_lossy(&complaints));
        assert_eq!(exit.cause, ExitCause::Exited(0), "{init:?}");
    }
}

#[tokio::test]
async fn a_grouped_program_can_be_real_time_and_ordinary_again() {
    let spec = shell("echo ready; while :; do sleep 0.01; done").level(Level::Privileged).grouped(true);
    let child = ready(spec).await;
    let pid = child.os_pid().to_string();
    let chrt = |args: &[&str]| {
        let done = std::process::Command::new("chrt").args(args).output().unwrap();
        assert!(done.status.success(), "chrt {args:?}: {done:?}");
    };
    let cpu = |pid: &str| {
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        groups.lines().find(|line| line.split(':').nth(1) == Some("cpu")).map(str::to_owned)
    };
    let home = cpu(&pid);
    for _ in 0..2 {
        child.set_real_time(true).unwrap();
        chrt(&["-a", "-f", "-p", "1", &pid]);
        chrt(&["-a", "-o", "-p", "0", &pid]);
        // What the shell started while it was real-time is so until it ends, and keeps the tree where it is.
        let back = async {
            while let Err(refused) = child.set_real_time(false) {
                assert_eq!(refused, SignalError::Refused { errno: 22 });
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        within(back).await;
        assert_eq!(cpu(&pid), home);
    }
    child.kill_tree().unwrap();
    assert_eq!(within(child.wait()).await.cause, ExitCause::Killed);
    assert_eq!(child.set_real_time(true), Err(SignalError::NoSuchProcess));
}
