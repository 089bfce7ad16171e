//! Strict policies: real programs take turns, one at a time on each CPU. One test after the other, because each has the
//! CPUs of this machine to itself.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::fs;

use common::{World, host, program, shell, until, wait, within};
use host::ticks;
use uos_proto::v1::{self, SandboxLevel, ScheduleState, SchedulingPolicy};
use uos_syscall::{Caller, Errno};

const STEER: &[&str] = &["proc.spawn:/**", "sched.control", "sched.inspect", "sys.info"];

/// `R`, `S`, `T` for stopped.
fn state(os_pid: u32) -> char {
    let stat = fs::read_to_string(format!("/proc/{os_pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.trim_start().chars().next().unwrap()
}

async fn set_policy(world: &World, caller: &Caller, policy: SchedulingPolicy, quantum_us: u64) {
    world.call(caller, v1::SetPolicy { policy: policy.into(), quantum_us }).await.unwrap();
}

async fn busy(world: &World, caller: &Caller, cpu: u32, priority: u32) -> v1::SpawnProcessReply {
    let spawn = v1::SpawnProcess { priority: Some(priority), ..shell("while :; do :; done") };
    let spawned = world.call(caller, spawn).await.unwrap();
    world.call(caller, v1::SetAffinity { pid: spawned.pid, cpus: vec![cpu] }).await.unwrap();
    spawned
}

async fn explained(world: &World, caller: &Caller, pid: u64) -> v1::GetProcessScheduleReply {
    world.call(caller, v1::GetProcessSchedule { pid }).await.unwrap()
}

/// Whose turn it is on a CPU.
async fn turn(world: &World, caller: &Caller, cpu: u32) -> v1::ScheduledCpu {
    let all = world.call(caller, v1::GetCurrentScheduled {}).await.unwrap().cpus;
    all.into_iter().find(|it| it.cpu == cpu).unwrap()
}

#[tokio::test]
async fn one_after_the_other() {
    turns_are_ours_to_end_only_under_a_strict_policy().await;
    the_lower_priority_gets_nothing_while_the_higher_wants_to_run().await;
    sandboxed_programs_take_turns_too().await;
    a_group_takes_its_turns_as_one().await;
    a_group_goes_by_its_own_priority().await;
}

async fn turns_are_ours_to_end_only_under_a_strict_policy() {
    let world = World::start();
    let agent = world.agent(STEER).await;
    let cpus = world.call(&agent, v1::GetHostCapabilities {}).await.unwrap().cpus;
    let cpu = cpus[0];
    let next = v1::ScheduleNext { cpu: Some(cpu) };
    let one = busy(&world, &agent, cpu, 128).await;
    for call in
        [world.call(&agent, next).await.map(drop), world.call(&agent, give_way(one.pid)).await.map(drop)]
    {
        let error = call.unwrap_err();
        assert_eq!(error.errno, Errno::ENOTSUP);
        assert!(error.hint.contains("SCHEDULING_POLICY_ROUND_ROBIN"), "{error:?}");
    }
    for (policy, quantum_us) in
        [(0, 0), (9, 0), (3, 1), (3, 999), (4, 4_000_001), (1, 4_000_001), (1, u64::MAX), (3, u64::MAX)]
    {
        let call = v1::SetPolicy { policy, quantum_us };
        assert_eq!(world.errno(&agent, call).await, Errno::EINVAL, "{policy} {quantum_us}");
    }
    let stranger = world.agent(&[]).await;
    let policy = v1::SetPolicy { policy: 3, quantum_us: 0 };
    assert_eq!(world.errno(&stranger, policy).await, Errno::EACCES);
    assert_eq!(world.call(&agent, v1::GetPolicy {}).await.unwrap().policy(), SchedulingPolicy::Fair);

    // Turns longer than this test, so that none ends by itself. Those who start later take turns too.
    let two = busy(&world, &agent, cpu, 128).await;
    set_policy(&world, &agent, SchedulingPolicy::RoundRobin, 4_000_000).await;
    let policy = world.call(&agent, v1::GetPolicy {}).await.unwrap();
    assert_eq!(
        (policy.policy(), policy.quantum_us, &*policy.means),
        (SchedulingPolicy::RoundRobin, 4_000_000, "gates")
    );
    let three = busy(&world, &agent, cpu, 200).await;
    let all = [one, two, three];
    let stopped = || all.iter().filter(|it| state(it.os_pid) == 'T').count();
    until("all but one are stopped", || stopped() == 2).await;

    let mut seen = Vec::new();
    for _ in 0..6 {
        let now = world.call(&agent, next).await.unwrap();
        assert_eq!(now.cpu, cpu);
        assert!(now.slice_us > 3_000_000, "a whole turn: {now:?}");
        let its = all.iter().find(|it| it.pid == now.pid).unwrap();
        // Whoever is told to stop does so when it is on a CPU next.
        until("the others are stopped", || stopped() == 2 && state(its.os_pid) != 'T').await;
        let others = all.iter().filter(|it| it.pid != now.pid);
        let used = || others.clone().map(|it| ticks(it.os_pid)).collect::<Vec<_>>();
        let (before, theirs) = (ticks(its.os_pid), used());
        until("it runs", || ticks(its.os_pid) > before + 2).await;
        assert_eq!((used(), stopped()), (theirs, 2), "and the others don't");
        assert_eq!(turn(&world, &agent, cpu).await.pid, now.pid);
        seen.push(now.pid);
    }
    assert_eq!(seen[..3], seen[3..], "each in turn, whatever its priority");
    assert_eq!(seen[..3].iter().collect::<std::collections::BTreeSet<_>>().len(), 3);

    // Why each of them runs or waits.
    let running = *seen.last().unwrap();
    let why = explained(&world, &agent, running).await;
    assert_eq!((why.state(), why.cpu), (ScheduleState::Running, Some(cpu)));
    assert!(why.why.contains(&format!("process {} is next", seen[0])) && why.slice_us > 1_000_000, "{why:?}");
    let why = explained(&world, &agent, seen[1]).await;
    assert_eq!((why.state(), why.ahead_pid), (ScheduleState::Waiting, seen[0]), "{why:?}");
    let why = explained(&world, &agent, seen[0]).await;
    assert_eq!((why.state(), why.ahead_pid), (ScheduleState::Waiting, running), "{why:?}");

    // Giving way: only whose turn it is has something to give.
    let after = world.call(&agent, give_way(seen[0])).await.unwrap();
    assert_eq!((after.cpu, after.pid), (cpu, running));
    let after = world.call(&agent, give_way(running)).await.unwrap();
    assert_eq!(after.pid, seen[0]);
    assert_eq!(world.errno(&agent, give_way(0)).await, Errno::EINVAL, "no program");
    assert_eq!(world.errno(&stranger, give_way(running)).await, Errno::EACCES);
    assert_eq!(world.errno(&agent, give_way(4_000_000_000)).await, Errno::ESRCH);
    let absent = v1::ScheduleNext { cpu: Some(9_999) };
    assert_eq!(world.errno(&agent, absent).await, Errno::EINVAL);

    // Who is held still, or has ended, has no turn.
    world.call(&agent, v1::KillProcess { pid: seen[0], tree: true }).await.unwrap();
    wait(&world, &agent, seen[0]).await;
    let left: Vec<u64> = all.iter().map(|it| it.pid).filter(|pid| *pid != seen[0]).collect();
    for _ in 0..4 {
        assert!(left.contains(&world.call(&agent, next).await.unwrap().pid));
    }
    assert_eq!(world.errno(&agent, give_way(seen[0])).await, Errno::ESRCH);
    assert_eq!(explained(&world, &agent, seen[0]).await.state(), ScheduleState::Exited);

    // By weights again, all of them run.
    set_policy(&world, &agent, SchedulingPolicy::Eevdf, 0).await;
    let free: Vec<u32> = all.iter().filter(|it| left.contains(&it.pid)).map(|it| it.os_pid).collect();
    assert!(free.iter().all(|pid| state(*pid) != 'T'));
    assert_eq!(world.errno(&agent, next).await, Errno::ENOTSUP);
    let seen = explained(&world, &agent, left[0]).await.schedule.unwrap();
    assert_eq!(seen.cpus, [cpu], "what it was bound to it is bound to");
    let status = fs::read_to_string(format!("/proc/{}/status", free[0])).unwrap();
    assert!(status.contains(&format!("Cpus_allowed_list:\t{cpu}\n")), "{status}");
    within(world.kernel.shut_down()).await;
}

fn give_way(pid: u64) -> v1::YieldProcess {
    v1::YieldProcess { pid }
}

async fn the_lower_priority_gets_nothing_while_the_higher_wants_to_run() {
    let world = World::start();
    let agent = world.agent(STEER).await;
    let cpu = world.call(&agent, v1::GetHostCapabilities {}).await.unwrap().cpus;
    let cpu = *cpu.last().unwrap();
    set_policy(&world, &agent, SchedulingPolicy::Priority, 0).await;
    let low = busy(&world, &agent, cpu, 100).await;
    let high = busy(&world, &agent, cpu, 200).await;
    until("the lower is stopped", || state(low.os_pid) == 'T').await;
    let (before, from) = (ticks(low.os_pid), ticks(high.os_pid));
    until("the higher has had some time", || ticks(high.os_pid) > from + 20).await;
    assert_eq!((ticks(low.os_pid), state(low.os_pid)), (before, 'T'));
    let why = explained(&world, &agent, low.pid).await;
    assert_eq!((why.state(), why.ahead_pid), (ScheduleState::Waiting, high.pid), "{why:?}");
    // Raised above it, it has the CPU at once; held still, it leaves it to the other.
    world.call(&agent, v1::SetProcessPriority { pid: low.pid, priority: 201 }).await.unwrap();
    until("they have changed places", || state(high.os_pid) == 'T' && ticks(low.os_pid) > before + 5).await;
    world.call(&agent, v1::PauseProcess { pid: low.pid }).await.unwrap();
    let from = ticks(high.os_pid);
    until("the other runs meanwhile", || ticks(high.os_pid) > from + 5).await;
    assert_eq!(explained(&world, &agent, low.pid).await.state(), ScheduleState::Paused);
    world.call(&agent, v1::ResumeProcess { pid: low.pid }).await.unwrap();
    until("it has the CPU again", || state(high.os_pid) == 'T').await;
    // A sleeper has no part in it.
    let sleeper = world.call(&agent, program("/usr/bin/sleep", &["1000"])).await.unwrap();
    let sleeps = async {
        while explained(&world, &agent, sleeper.pid).await.state() != ScheduleState::Sleeping {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    within(sleeps).await;
    assert_eq!(state(sleeper.os_pid), 'S', "it is not stopped, so that what wakes it reaches it");
    within(world.kernel.shut_down()).await;
}

async fn sandboxed_programs_take_turns_too() {
    let world = World::start();
    let agent = world.agent(STEER).await;
    let cpu = world.call(&agent, v1::GetHostCapabilities {}).await.unwrap().cpus[0];
    set_policy(&world, &agent, SchedulingPolicy::RoundRobin, 4_000_000).await;
    let mut all = Vec::new();
    for level in [SandboxLevel::Standard, SandboxLevel::Minimal, SandboxLevel::Privileged] {
        let spawn = v1::SpawnProcess { level: level.into(), ..shell("while :; do :; done") };
        let spawned = world.call(&agent, spawn).await.unwrap();
        world.call(&agent, v1::SetAffinity { pid: spawned.pid, cpus: vec![cpu] }).await.unwrap();
        all.push(spawned.pid);
    }
    let used = async |pid| world.call(&agent, v1::GetProcessStats { pid }).await.unwrap().cpu_us;
    let runs = async |pid, least| {
        while used(pid).await < least {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    for _ in 0..3 {
        let now = world.call(&agent, v1::ScheduleNext { cpu: Some(cpu) }).await.unwrap().pid;
        assert!(all.contains(&now));
        let others: Vec<u64> = all.iter().copied().filter(|pid| *pid != now).collect();
        let both = async || (used(others[0]).await, used(others[1]).await);
        let alone = async {
            // Whoever is told to stop does so when it is on a CPU next: it may be a while until then.
            loop {
                let before = both().await;
                runs(now, used(now).await + 50_000).await;
                if both().await == before {
                    break;
                }
            }
            let before = both().await;
            runs(now, used(now).await + 100_000).await;
            assert_eq!(both().await, before, "the others have nothing");
        };
        within(alone).await;
    }
    within(world.kernel.shut_down()).await;
}

fn to(id: u64, pid: u64) -> v1::SetGroup {
    v1::SetGroup { id, pid, member_id: 0 }
}

async fn a_group_takes_its_turns_as_one() {
    let world = World::start();
    let agent = world.agent(STEER).await;
    let cpu = world.call(&agent, v1::GetHostCapabilities {}).await.unwrap().cpus[0];
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(busy(&world, &agent, cpu, 128).await);
    }
    let outer = world.call(&agent, v1::CreateGroup::default()).await.unwrap().id;
    let inner = v1::CreateGroup { parent_id: outer, ..Default::default() };
    let inner = world.call(&agent, inner).await.unwrap().id;
    for member in &all[..2] {
        world.call(&agent, to(inner, member.pid)).await.unwrap();
    }
    set_policy(&world, &agent, SchedulingPolicy::RoundRobin, 5_000).await;
    // What the one outside has of it all, in percent: again where it is none of these, as it is once in a while on a host that
    // takes the CPU away in the middle of a turn.
    let part = async |wanted: std::ops::RangeInclusive<u64>, what: &str| {
        let now = || all.iter().map(|it| ticks(it.os_pid)).collect::<Vec<_>>();
        let mut measured = Vec::new();
        while measured.len() < 10 {
            let start = now();
            let got = || now().iter().zip(&start).map(|(now, start)| now - start).collect::<Vec<_>>();
            until("they have had a second together", || got().iter().sum::<u64>() >= 100).await;
            let got = got();
            let percent = got[2] * 100 / got.iter().sum::<u64>();
            if wanted.contains(&percent) {
                return;
            }
            measured.push(percent);
        }
        panic!("{what}: {measured:?}, not {wanted:?}");
    };
    part(43..=57, "beside a group of two").await;
    // One of them is let go, then comes into the outer group, beside the inner one.
    world.call(&agent, to(0, all[0].pid)).await.unwrap();
    part(26..=40, "one among three").await;
    world.call(&agent, to(outer, all[0].pid)).await.unwrap();
    part(43..=57, "again beside a group of two").await;
    // The inner one leaves the outer, with who is in it.
    world.call(&agent, v1::SetGroup { id: 0, pid: 0, member_id: inner }).await.unwrap();
    part(26..=40, "one beside two groups of one").await;
    world.call(&agent, v1::SetGroup { id: outer, pid: 0, member_id: inner }).await.unwrap();
    part(43..=57, "and back again").await;
    world.call(&agent, v1::DestroyGroup { id: outer }).await.unwrap();
    part(26..=40, "all are in the root").await;
    within(world.kernel.shut_down()).await;
}

async fn a_group_goes_by_its_own_priority() {
    let world = World::start();
    let agent = world.agent(STEER).await;
    let cpu = world.call(&agent, v1::GetHostCapabilities {}).await.unwrap().cpus;
    let cpu = *cpu.last().unwrap();
    set_policy(&world, &agent, SchedulingPolicy::Priority, 0).await;
    let low = busy(&world, &agent, cpu, 100).await;
    let high = busy(&world, &agent, cpu, 150).await;
    until("the lower is stopped", || state(low.os_pid) == 'T').await;
    let weight = Some(uos_sched::Priority(200).weight().get());
    let id = world.call(&agent, v1::CreateGroup { parent_id: 0, weight }).await.unwrap().id;
    world.call(&agent, to(id, low.pid)).await.unwrap();
    let from = ticks(low.os_pid);
    until("the group goes first", || state(high.os_pid) == 'T' && ticks(low.os_pid) > from + 5).await;
    world.call(&agent, v1::DestroyGroup { id }).await.unwrap();
    let from = ticks(high.os_pid);
    until("it goes for itself", || state(low.os_pid) == 'T' && ticks(high.os_pid) > from + 5).await;
    within(world.kernel.shut_down()).await;
}
