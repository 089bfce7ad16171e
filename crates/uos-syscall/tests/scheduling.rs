//! What the scheduler is told is what the host does with real programs: CPUs, classes, quanta, groups.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::fs;

use common::{Flat, World, host, program, shell, until, wait, within};
use host::{around_weight, field, group_weight, ticks};
use uos_proc::{FakeSpawner, LinuxSpawner, Script};
use uos_proto::v1::{self, RealtimePolicy, SandboxLevel, ScheduleState};
use uos_syscall::{Caller, Cause, Errno, Limits};

const STEER: &[&str] = &["proc.spawn:/**", "sched.control", "sched.inspect", "sys.info"];

/// The numbers of SCHED_OTHER, SCHED_FIFO, SCHED_RR and SCHED_DEADLINE.
const OTHER: i64 = 0;
const FIFO: i64 = 1;
const RR: i64 = 2;
const DEADLINE: i64 = 6;

/// The policy and the real-time priority of a process of the host.
fn class(os_pid: u32) -> (i64, i64) {
    (field(os_pid, 41), field(os_pid, 40))
}

fn allowed(os_pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{os_pid}/status")).unwrap();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    list.trim().to_owned()
}

/// What a shell has started, by the host.
fn children(os_pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{os_pid}/task/{os_pid}/children")).unwrap_or_default();
    list.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

async fn cpus(world: &World, caller: &Caller) -> Vec<u32> {
    let cpus = world.call(caller, v1::GetHostCapabilities {}).await.unwrap().cpus;
    assert!(cpus.len() >= 2, "this test takes a machine with two CPUs");
    cpus
}

/// A shell with a child, and the host's numbers of both.
async fn family(world: &World, caller: &Caller) -> (u64, u32, u32) {
    let spawned = world.call(caller, shell("sleep 1000 & wait")).await.unwrap();
    until("it has a child", || children(spawned.os_pid).len() == 1).await;
    (spawned.pid, spawned.os_pid, children(spawned.os_pid)[0])
}

async fn schedule(world: &World, caller: &Caller, pid: u64) -> v1::GetProcessScheduleReply {
    world.call(caller, v1::GetProcessSchedule { pid }).await.unwrap()
}

#[tokio::test]
async fn a_program_with_its_children_runs_on_the_cpus_it_is_bound_to() {
    let world = World::start();
    let agent = world.agent(STEER).await;
    let cpus = cpus(&world, &agent).await;
    let (pid, leader, child) = family(&world, &agent).await;
    let before = allowed(leader);
    let set = |pid, cpus: &[u32]| v1::SetAffinity { pid, cpus: cpus.to_vec() };
    let get = async || world.call(&agent, v1::GetAffinity { pid }).await.unwrap().cpus;
    assert_eq!(get().await, cpus);
    for cpu in [cpus[1], cpus[0]] {
        world.call(&agent, set(pid, &[cpu])).await.unwrap();
        assert_eq!((allowed(leader), allowed(child)), (cpu.to_string(), cpu.to_string()));
        assert_eq!(get().await, [cpu]);
    }
    for (wrong, what) in [(&[][..], "none"), (&[9_999], "not there"), (&[cpus[0], u32::MAX], "one not there")]
    {
        assert_eq!(world.errno(&agent, set(pid, wrong)).await, Errno::EINVAL, "{what}");
        assert_eq!((allowed(leader), get().await), (cpus[0].to_string(), vec![cpus[0]]), "{what}");
    }
    world.call(&agent, set(pid, &cpus)).await.unwrap();
    assert_eq!((allowed(leader), allowed(child)), (before.clone(), before), "as it was");

    assert_eq!(world.errno(&agent, set(0, &cpus)).await, Errno::EINVAL, "no program");
    assert_eq!(world.errno(&agent, set(4_000_000_000, &cpus)).await, Errno::ESRCH);
    let stranger = world.agent(&[]).await;
    let error = world.call(&stranger, set(pid, &cpus)).await.unwrap_err();
    assert_eq!(error.cause.as_deref(), Some(&Cause::Right("sched.control".into())));
    assert_eq!(world.errno(&stranger, v1::GetAffinity { pid }).await, Errno::ESRCH);
    world.call(&agent, v1::KillProcess { pid, tree: true }).await.unwrap();
    wait(&world, &agent, pid).await;
    assert_eq!(world.errno(&agent, set(pid, &cpus)).await, Errno::ESRCH);
    assert_eq!(schedule(&world, &agent, pid).await.state(), ScheduleState::Exited);
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn a_real_time_program_is_one_with_its_children_and_ordinary_again() {
    let world = World::start();
    let agent = world.agent(STEER).await;
    let (pid, leader, child) = family(&world, &agent).await;
    let set = |policy: RealtimePolicy, priority| v1::SetRealtime { pid, policy: policy.into(), priority };
    for (policy, priority, expected) in [
        (RealtimePolicy::Fifo, 7, (FIFO, 7)),
        (RealtimePolicy::RoundRobin, 99, (RR, 99)),
        (RealtimePolicy::Unspecified, 0, (OTHER, 0)),
        (RealtimePolicy::Fifo, 1, (FIFO, 1)),
    ] {
        world.call(&agent, set(policy, priority)).await.unwrap();
        assert_eq!((class(leader), class(child)), (expected, expected));
        let seen = schedule(&world, &agent, pid).await.schedule.unwrap();
        assert_eq!((seen.realtime(), seen.realtime_priority), (policy, priority));
    }
    for (policy, priority) in [(1, 0), (1, 100), (2, u32::MAX), (0, 5), (9, 5)] {
        let call = v1::SetRealtime { pid, policy, priority };
        assert_eq!(world.errno(&agent, call).await, Errno::EINVAL, "{policy} {priority}");
        assert_eq!(class(leader), (FIFO, 1));
    }
    // It is held to no share of a CPU, so it can't be given one.
    let limits = v1::Limits { cpu_percent: Some(50), ..Default::default() };
    let limit = v1::SetLimits { pid, limits: Some(limits) };
    let error = world.call(&agent, limit).await.unwrap_err();
    assert!(error.errno == Errno::ENOTSUP && error.hint.contains("SetRealtime"), "{error:?}");
    world.call(&agent, set(RealtimePolicy::Unspecified, 0)).await.unwrap();
    world.call(&agent, limit).await.unwrap();
    let error = world.call(&agent, set(RealtimePolicy::Fifo, 5)).await.unwrap_err();
    assert!(error.errno == Errno::ENOTSUP && error.hint.contains("SetLimits"), "{error:?}");
    assert!(matches!(error.cause.as_deref(), Some(Cause::Stage(at)) if at == "limits.cpu_percent"));
    assert_eq!((class(leader), class(child)), ((OTHER, 0), (OTHER, 0)));
    let weight = group_weight(leader);
    assert_eq!((weight, group_weight(child)), (1_024, 1_024), "where its weight counts again");

    let sandboxed =
        v1::SpawnProcess { level: SandboxLevel::Standard.into(), ..program("/usr/bin/sleep", &["1000"]) };
    let sandboxed = world.call(&agent, sandboxed).await.unwrap();
    let call = v1::SetRealtime { pid: sandboxed.pid, ..set(RealtimePolicy::Fifo, 5) };
    assert_eq!(world.errno(&agent, call).await, Errno::ENOTSUP);
    assert_eq!(class(sandboxed.os_pid), (OTHER, 0));
    // Nobody goes before all others without the right, not even by their own hand.
    let own = world.child(&agent, &["proc.spawn:/**"]).await;
    let theirs = world.call(&own, program("/usr/bin/sleep", &["1000"])).await.unwrap().pid;
    let call = v1::SetRealtime { pid: theirs, ..set(RealtimePolicy::Fifo, 5) };
    assert_eq!(world.errno(&own, call).await, Errno::EACCES);
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn cpu_time_is_reserved_as_far_as_it_can_be_promised() {
    let world = World::start();
    let agent = world.agent(STEER).await;
    let spawned = world.call(&agent, program("/usr/bin/sleep", &["1000"])).await.unwrap();
    let reserve = |pid, runtime_us, deadline_us, period_us| v1::SetDeadline {
        pid,
        reservation: Some(v1::Reservation { runtime_us, deadline_us, period_us }),
    };
    let reserved = async |pid| schedule(&world, &agent, pid).await.schedule.unwrap().reservation;
    world.call(&agent, reserve(spawned.pid, 1_000, 10_000, 10_000)).await.unwrap();
    assert_eq!(class(spawned.os_pid).0, DEADLINE);
    assert_eq!(reserved(spawned.pid).await.unwrap().runtime_us, 1_000);
    for (runtime, deadline, period) in [
        (0, 10_000, 10_000),
        (1_000, 0, 10_000),
        (1_000, 20_000, 10_000),
        (20_000, 10_000, 10_000),
        (1_000, 10_000, 0),
        (1, 2, u64::MAX),
        (u64::MAX, u64::MAX, u64::MAX),
    ] {
        let call = reserve(spawned.pid, runtime, deadline, period);
        assert_eq!(world.errno(&agent, call).await, Errno::EINVAL, "{runtime} {deadline} {period}");
    }
    // More than all CPUs have: each of these takes nearly one, and they may have 95 % of all together.
    let cpus = world.call(&agent, v1::GetHostCapabilities {}).await.unwrap().cpus.len();
    let mut refused = 0;
    for _ in 0..cpus + cpus / 16 + 7 {
        let greedy = world.call(&agent, program("/usr/bin/sleep", &["1000"])).await.unwrap();
        match world.call(&agent, reserve(greedy.pid, 90_000, 100_000, 100_000)).await {
            Ok(_) => assert_eq!(class(greedy.os_pid).0, DEADLINE),
            Err(error) => {
                assert_eq!(error.errno, Errno::EBUSY, "{error:?}");
                assert!(error.hint.contains("95 %"), "{error:?}");
                assert_eq!((class(greedy.os_pid), reserved(greedy.pid).await), ((OTHER, 0), None));
                refused += 1;
            }
        }
    }
    assert!(refused >= 6, "only {refused} were refused on {cpus} CPUs");
    let (pid, leader, child) = family(&world, &agent).await;
    assert_eq!(world.errno(&agent, reserve(pid, 100, 10_000, 10_000)).await, Errno::ENOTSUP, "two processes");
    assert_eq!((class(leader), class(child)), ((OTHER, 0), (OTHER, 0)));
    world.call(&agent, v1::SetDeadline { pid: spawned.pid, reservation: None }).await.unwrap();
    assert_eq!((class(spawned.os_pid), reserved(spawned.pid).await), ((OTHER, 0), None));
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn a_quantum_is_kept_within_what_the_host_can_do() {
    let world = World::start();
    let agent = world.agent(STEER).await;
    let can = world.call(&agent, v1::GetHostCapabilities {}).await.unwrap().quanta;
    let spawned = world.call(&agent, program("/usr/bin/sleep", &["1000"])).await.unwrap();
    let set = |quantum_us| v1::SetQuantum { pid: spawned.pid, quantum_us };
    for absurd in [1, 99, 100_001, u64::MAX] {
        assert_eq!(world.errno(&agent, set(absurd)).await, Errno::EINVAL, "{absurd}");
    }
    let own = async || schedule(&world, &agent, spawned.pid).await.schedule.unwrap().quantum_us;
    if can {
        let slice = || {
            let sched = fs::read_to_string(format!("/proc/{}/sched", spawned.os_pid)).unwrap();
            let line = sched.lines().find(|line| line.starts_with("se.slice")).unwrap();
            line.split(':').nth(1).unwrap().trim().parse::<u64>().unwrap()
        };
        let before = slice();
        assert_eq!(world.call(&agent, set(700)).await.unwrap().previous_us, 0);
        assert_eq!((own().await, slice()), (700, 700_000));
        assert_eq!(world.call(&agent, set(0)).await.unwrap().previous_us, 700);
        assert_eq!(slice(), before);
    } else {
        assert_eq!(world.errno(&agent, set(700)).await, Errno::ENOTSUP);
    }
    assert_eq!(own().await, 0);
    assert_eq!(world.errno(&agent, v1::SetQuantum { pid: 0, quantum_us: 700 }).await, Errno::EINVAL);
    world.kernel.shut_down().await;
}

/// Where the host has no groups of several programs, each of them weighs its part.
#[tokio::test]
async fn members_of_a_group_weigh_together_what_it_does() {
    let world = World::with(Limits::default(), Flat(LinuxSpawner::new().unwrap()));
    let agent = world.agent(STEER).await;
    let sleep = || program("/usr/bin/sleep", &["1000"]);
    let one = world.call(&agent, sleep()).await.unwrap();
    let other = world.call(&agent, sleep()).await.unwrap();
    let outside = world.call(&agent, sleep()).await.unwrap();
    let create = |parent_id, weight| v1::CreateGroup { parent_id, weight };
    let id = world.call(&agent, create(0, None)).await.unwrap().id;
    let set = |id, pid| v1::SetGroup { id, pid, member_id: 0 };
    world.call(&agent, set(id, one.pid)).await.unwrap();
    assert_eq!(group_weight(one.os_pid), 1_024, "alone it has all of it");
    world.call(&agent, set(id, other.pid)).await.unwrap();
    let weights = || (group_weight(one.os_pid), group_weight(other.os_pid), group_weight(outside.os_pid));
    assert_eq!(weights(), (512, 512, 1_024));
    let seen = schedule(&world, &agent, one.pid).await.schedule.unwrap();
    assert_eq!((seen.group_id, seen.weight, seen.effective_weight), (id, 1_024, 512));

    // Among each other they are what their priorities say: 1.25^8 is about 6.
    world.call(&agent, v1::SetProcessPriority { pid: one.pid, priority: 192 }).await.unwrap();
    let (first, second, _) = weights();
    assert!(first + second >= 1_000 && first + second <= 1_040 && first > 5 * second, "{first} {second}");
    world.call(&agent, v1::SetProcessPriority { pid: one.pid, priority: 128 }).await.unwrap();
    // Whoever is held still leaves its part to the others.
    world.call(&agent, v1::PauseProcess { pid: one.pid }).await.unwrap();
    assert_eq!(weights().1, 1_024);
    world.call(&agent, v1::ResumeProcess { pid: one.pid }).await.unwrap();
    assert_eq!(weights(), (512, 512, 1_024));

    // A group within weighs as one of them.
    let inner = world.call(&agent, create(id, Some(3_072))).await.unwrap().id;
    world.call(&agent, set(inner, other.pid)).await.unwrap();
    assert_eq!(weights(), (256, 768, 1_024));
    // And moves with all that is in it.
    world.call(&agent, v1::SetGroup { id: 0, pid: 0, member_id: inner }).await.unwrap();
    assert_eq!(weights(), (1_024, 3_072, 1_024));
    world.call(&agent, v1::SetGroup { id, pid: 0, member_id: inner }).await.unwrap();
    for (id, member_id) in [(inner, id), (inner, inner), (id, id)] {
        let ring = v1::SetGroup { id, pid: 0, member_id };
        assert_eq!(world.errno(&agent, ring).await, Errno::EINVAL, "{id} {member_id}");
    }
    assert_eq!(weights(), (256, 768, 1_024));

    // Who ends leaves its part too.
    world.call(&agent, v1::KillProcess { pid: one.pid, tree: true }).await.unwrap();
    wait(&world, &agent, one.pid).await;
    until("the other has all of it", || group_weight(other.os_pid) == 1_024).await;
    world.call(&agent, v1::DestroyGroup { id }).await.unwrap();
    assert_eq!(group_weight(other.os_pid), 1_024);
    let seen = schedule(&world, &agent, other.pid).await.schedule.unwrap();
    assert_eq!((seen.group_id, seen.effective_weight), (0, 1_024), "the groups within dissolve too");
    for gone in [id, inner] {
        assert_eq!(world.errno(&agent, set(gone, other.pid)).await, Errno::EBADF);
        assert_eq!(world.errno(&agent, v1::DestroyGroup { id: gone }).await, Errno::EBADF);
    }

    for weight in [0, (1 << 20) + 1, u32::MAX] {
        assert_eq!(world.errno(&agent, create(0, Some(weight))).await, Errno::EINVAL, "{weight}");
    }
    let mut deepest = 0;
    let depth = loop {
        match world.call(&agent, create(deepest, None)).await {
            Ok(made) => deepest = made.id,
            Err(error) => break error.errno,
        }
        assert!(world.kernel.in_use().handles < 20);
    };
    assert_eq!(depth, Errno::EINVAL, "they nest 8 deep");
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn a_group_is_its_makers_and_goes_with_it() {
    its_makers(World::start()).await;
    its_makers(World::with(Limits::default(), Flat(LinuxSpawner::new().unwrap()))).await;
}

async fn its_makers(world: World) {
    let nests = world.call(&world.kernel.init(), v1::GetHostCapabilities {}).await.unwrap().nested_groups;
    let (init, maker) = (world.kernel.init(), world.agent(STEER).await);
    let member = world.call(&init, program("/usr/bin/sleep", &["1000"])).await.unwrap();
    let id = world.call(&maker, v1::CreateGroup { parent_id: 0, weight: Some(4_096) }).await.unwrap().id;
    let set = |id, pid| v1::SetGroup { id, pid, member_id: 0 };
    // Another's group is as absent as one that never was.
    let other = world.agent(STEER).await;
    for foreign in [id, 4_000_000_000] {
        for call in [set(foreign, member.pid), v1::SetGroup { id: 0, pid: 0, member_id: foreign }] {
            let error = world.call(&other, call).await.unwrap_err();
            assert_eq!(error.message, format!("there is no handle {foreign} in the caller's table"));
        }
        let create = v1::CreateGroup { parent_id: foreign, weight: None };
        assert_eq!(world.errno(&other, create).await, Errno::EBADF);
        assert_eq!(world.errno(&other, v1::DestroyGroup { id: foreign }).await, Errno::EBADF);
    }
    let nobody = world.agent(&[]).await;
    for id in [0, id, 4_000_000_000] {
        assert_eq!(world.errno(&nobody, v1::DestroyGroup { id }).await, Errno::EACCES, "{id}");
    }
    assert_eq!(world.errno(&maker, v1::DestroyGroup { id: 0 }).await, Errno::EBADF, "the root stays");
    assert_eq!(world.errno(&maker, set(id, 4_000_000_000)).await, Errno::ESRCH);

    // One that it was passed to puts others in it, and can't destroy it.
    let child = world.child(&maker, STEER).await;
    let all = vec![v1::HandleRight::Write.into()];
    world.call(&maker, v1::PassHandle { pid: child.pid().0, id, rights: all }).await.unwrap();
    world.call(&child, set(id, member.pid)).await.unwrap();
    assert_eq!(around_weight(member.os_pid), 4_096);
    assert_eq!(world.errno(&child, v1::DestroyGroup { id }).await, Errno::EACCES);
    assert_eq!(around_weight(member.os_pid), 4_096);

    // Its children are born into it, and share.
    let parent = world.call(&init, v1::GetProcessList::default()).await.unwrap();
    assert!(!parent.processes.is_empty());
    world.call(&init, set_to_root(1)).await.unwrap();
    world.call(&maker, set(id, maker.pid().0)).await.unwrap();
    let born = world.call(&maker, program("/usr/bin/sleep", &["1000"])).await.unwrap();
    assert_eq!(schedule(&world, &maker, born.pid).await.schedule.unwrap().group_id, id);
    let together = if nests { 4_096 } else { 2_048 };
    assert_eq!((around_weight(member.os_pid), around_weight(born.os_pid)), (together, together));

    world.call(&init, v1::KillProcess { pid: maker.pid().0, tree: false }).await.unwrap();
    until("its members are in the root", || around_weight(member.os_pid) == 1_024).await;
    assert_eq!(schedule(&world, &init, member.pid).await.schedule.unwrap().group_id, 0);
    assert_eq!(world.errno(&child, set(id, member.pid)).await, Errno::EBADF, "nor is it there for others");
    world.kernel.shut_down().await;
}

fn set_to_root(pid: u64) -> v1::SetGroup {
    v1::SetGroup { id: 0, pid, member_id: 0 }
}

#[tokio::test]
async fn two_busy_members_together_get_what_one_outside_gets() {
    let world = World::start();
    let agent = world.agent(STEER).await;
    let cpu = *world.call(&agent, v1::GetHostCapabilities {}).await.unwrap().cpus.last().unwrap();
    let mut busy = Vec::new();
    for _ in 0..3 {
        let spawned = world.call(&agent, shell("while :; do :; done")).await.unwrap();
        world.call(&agent, v1::SetAffinity { pid: spawned.pid, cpus: vec![cpu] }).await.unwrap();
        busy.push(spawned);
    }
    let id = world.call(&agent, v1::CreateGroup::default()).await.unwrap().id;
    for member in &busy[..2] {
        world.call(&agent, v1::SetGroup { id, pid: member.pid, member_id: 0 }).await.unwrap();
    }
    until("all run", || busy.iter().all(|it| ticks(it.os_pid) > 3)).await;
    let now = || busy.iter().map(|it| ticks(it.os_pid)).collect::<Vec<_>>();
    let start = now();
    until("the one outside has had a second", || ticks(busy[2].os_pid) >= start[2] + 100).await;
    let got: Vec<u64> = now().iter().zip(&start).map(|(now, start)| now - start).collect();
    println!("ticks of two members and one outside: {got:?}, wanted 1:1:2");
    let members = got[0] + got[1];
    assert!((60..=170).contains(&members), "{got:?}");
    // Why they run is told, as far as the host tells it.
    let told = schedule(&world, &agent, busy[2].pid).await;
    assert_eq!((told.state(), told.cpu), (ScheduleState::Ready, Some(cpu)));
    assert!(told.why.contains("weighs 1024 of the 2048"), "{}", told.why);
    let seen = told.schedule.unwrap();
    assert!(seen.runtime_us >= 900_000 && seen.cpus == [cpu], "{seen:?}");
    let current = world.call(&agent, v1::GetCurrentScheduled {}).await.unwrap().cpus;
    let there = current.iter().find(|it| it.cpu == cpu).unwrap();
    let pids: Vec<u64> = busy.iter().map(|it| it.pid).collect();
    assert_eq!((there.pid, &there.ready), (0, &pids));
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn what_is_scheduled_is_listed_in_parts_with_or_without_programs() {
    let world = World::with(Limits::default(), FakeSpawner::new(|_| Ok(Script::new().forever())));
    let agent = world.agent(STEER).await;
    let spawned = world.call(&agent, program("/usr/bin/printf", &[])).await.unwrap();
    let mut seen = Vec::new();
    loop {
        let after_pid = seen.last().copied().unwrap_or(0);
        let part = world.call(&agent, v1::ListSchedule { after_pid, limit: 1 }).await.unwrap();
        seen.extend(part.processes.iter().map(|process| process.pid));
        if !part.more {
            break;
        }
    }
    assert_eq!(seen, [1, agent.pid().0, spawned.pid]);
    assert_eq!(schedule(&world, &agent, 0).await.state(), ScheduleState::NoProgram);
    // A script is no process of the host: what is told to it is told to the books alone.
    world.call(&agent, v1::SetRealtime { pid: spawned.pid, policy: 1, priority: 9 }).await.unwrap();
    assert_eq!(schedule(&world, &agent, spawned.pid).await.schedule.unwrap().realtime_priority, 9);
    let policy = world.call(&agent, v1::GetPolicy {}).await.unwrap();
    assert_eq!((policy.policy(), policy.quantum_us), (v1::SchedulingPolicy::Fair, 4_000));
    within(world.kernel.shut_down()).await;
}
