//! Processes as principals: what they are given, who sees them, and what goes with them.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::sync::Arc;

use common::{World, program, shell, texts, until, wait, within};
use uos_proc::LinuxSpawner;
use uos_proto::v1::{self, CreateProcessRequest, ExitCause, ProcessState, SandboxLevel, call::Call};
use uos_syscall::{Caller, Cause, Errno, Error, Limits, Pid};

fn kill(pid: u64, tree: bool) -> v1::KillProcess {
    v1::KillProcess { pid, tree }
}

async fn info(world: &World, caller: &Caller, pid: u64) -> Result<v1::ProcessInfo, Error> {
    world.call(caller, v1::GetProcessInfo { pid }).await.map(|reply| reply.process.unwrap())
}

async fn sleeper(world: &World, caller: &Caller) -> v1::SpawnProcessReply {
    world.call(caller, program("/usr/bin/sleep", &["1000"])).await.unwrap()
}

#[tokio::test]
async fn a_child_gets_at_most_what_its_parent_has() {
    let world = World::start();
    let parent = world.agent(&["fs.read:/data/**", "proc.spawn:/usr/bin/*", "ipc.create"]).await;
    let asked = |grants: &[&str], level: SandboxLevel, inherit_grants| CreateProcessRequest {
        grants: texts(grants),
        sandbox_level: level.into(),
        inherit_grants,
        ..Default::default()
    };
    for beyond in
        ["fs.read:/**", "fs.write:/data/x", "proc.spawn:/usr/**", "sys.admin", "fs.read:/data-secret/x"]
    {
        let request = asked(&["fs.read:/data/x", beyond], SandboxLevel::Minimal, false);
        let error = world.kernel.create_process(&parent, request).await.unwrap_err();
        assert_eq!((error.errno, error.cause.as_deref()), (Errno::EPERM, Some(&Cause::Right(beyond.into()))));
        let error = world.call(
            &parent,
            v1::SpawnProcess { grants: texts(&[beyond]), ..program("/usr/bin/sleep", &["9"]) },
        );
        assert_eq!(error.await.unwrap_err().errno, Errno::EPERM);
    }

    // The base of a level is given as far as the parent has it.
    let poor = world.agent(&["proc.spawn:/**"]).await;
    for (maker, level, inherit, can_pipe) in [
        (&parent, SandboxLevel::Minimal, false, false),
        (&parent, SandboxLevel::Minimal, true, true),
        (&parent, SandboxLevel::Standard, false, true),
        (&parent, SandboxLevel::Unspecified, false, true),
        (&parent, SandboxLevel::Privileged, false, true),
        (&poor, SandboxLevel::Privileged, true, false),
    ] {
        let made = world.kernel.create_process(maker, asked(&[], level, inherit)).await.unwrap();
        let child = world.kernel.by_token(&made.token).unwrap();
        let piped = world.call(&child, v1::CreatePipe::default()).await;
        assert_eq!(piped.is_ok(), can_pipe, "{level:?}, inheriting: {inherit}");
    }
    let nobody = world.agent(&[]).await;
    let error =
        world.kernel.create_process(&nobody, asked(&[], SandboxLevel::Minimal, false)).await.unwrap_err();
    assert_eq!(error.cause.as_deref(), Some(&Cause::Right("proc.spawn".into())));
}

#[tokio::test]
async fn a_foreign_process_looks_as_absent_as_one_that_never_was() {
    let world = World::start();
    let (agent, other) = (world.agent(&["ipc.create"]).await, world.agent(&["proc.spawn:/**"]).await);
    let foreign = [1, other.pid().0, sleeper(&world, &other).await.pid];
    let calls = |pid: u64| -> Vec<Call> {
        vec![
            kill(pid, true).into(),
            v1::WaitProcess { pid, timeout_us: None }.into(),
            v1::GetProcessInfo { pid }.into(),
            v1::ReadOutput { pid, ..Default::default() }.into(),
            v1::CreatePipe { reader_pid: pid, ..Default::default() }.into(),
            v1::CreatePipe { writer_pid: pid, ..Default::default() }.into(),
            v1::SetProcessPriority { pid, priority: 1 }.into(),
            v1::GetProcessState { pid }.into(),
            v1::GetProcessStats { pid }.into(),
            v1::PauseProcess { pid }.into(),
            v1::ResumeProcess { pid }.into(),
            v1::WriteStdin { pid, data: "x".into(), ..Default::default() }.into(),
            v1::ResizeTerminal { pid, size: Some(v1::TerminalSize { rows: 1, columns: 1 }) }.into(),
            v1::SetLimits { pid, limits: None }.into(),
            v1::GetLimits { pid }.into(),
            v1::GetChildren { pid, ..Default::default() }.into(),
            v1::GetGrants { pid }.into(),
            v1::DropGrants { pid, drop: texts(&["sys.info"]), ..Default::default() }.into(),
            v1::GetResourceUsage { pid }.into(),
            v1::GetEnforcement { pid }.into(),
            v1::GetProcessSchedule { pid }.into(),
            v1::GetAffinity { pid }.into(),
        ]
    };
    let never = 4_000_000_000;
    for pid in foreign {
        for (real, absent) in calls(pid).into_iter().zip(calls(never)) {
            let real = within(world.kernel.invoke(&agent, real)).await.unwrap_err();
            let absent = within(world.kernel.invoke(&agent, absent)).await.unwrap_err();
            assert_eq!(real.errno, Errno::ESRCH);
            let text = absent.message.replace(&never.to_string(), &pid.to_string());
            assert_eq!(real, Error { message: text.into(), ..absent });
        }
    }
    assert_eq!(world.kernel.in_use().handles, 0);

    // With the rights they are there to be seen, and to be ended.
    world.set_grants(&agent, &["proc.inspect", "proc.signal"]);
    assert_eq!(info(&world, &agent, foreign[2]).await.unwrap().parent_pid, other.pid().0);
    world.call(&agent, kill(foreign[2], true)).await.unwrap();
    assert_eq!(wait(&world, &agent, foreign[2]).await.cause(), ExitCause::Killed);
    let error = world.call(&agent, kill(1, true)).await.unwrap_err();
    assert_eq!(error.errno, Errno::EPERM, "process 1 doesn't end");
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn children_end_with_a_tree_and_go_to_the_grandparent_otherwise() {
    let world = World::start();
    let top = world.agent(&["proc.spawn:/**"]).await;
    for tree in [false, true] {
        let middle = world.child(&top, &["proc.spawn:/**"]).await;
        let below = world.child(&middle, &[]).await;
        let program = sleeper(&world, &middle).await.pid;
        world.call(&top, kill(middle.pid().0, tree)).await.unwrap();
        assert_eq!(wait(&world, &top, middle.pid().0).await.cause(), ExitCause::Killed);
        if tree {
            until("the tree is gone", || world.kernel.in_use().processes == 2).await;
            assert_eq!(info(&world, &top, program).await.unwrap_err().errno, Errno::ESRCH);
            assert!(world.kernel.act_as(below.pid()).is_err());
        } else {
            for pid in [below.pid().0, program] {
                let orphan = info(&world, &top, pid).await.unwrap();
                assert_eq!((orphan.parent_pid, orphan.state()), (top.pid().0, ProcessState::Running));
                world.call(&top, kill(pid, true)).await.unwrap();
                assert_eq!(wait(&world, &top, pid).await.cause(), ExitCause::Killed);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_calls_of_a_killed_process_end_with_esrch_and_its_token_is_dead() {
    let world = Arc::new(World::start());
    let init = world.kernel.init();
    for _ in 0..50 {
        let request = CreateProcessRequest { grants: texts(&["ipc.create"]), ..Default::default() };
        let made = world.kernel.create_process(&init, request).await.unwrap();
        let agent = world.kernel.by_token(&made.token).unwrap();
        let id = world.call(&agent, v1::CreatePipe::default()).await.unwrap().id;
        let waiting: Vec<Call> = vec![
            v1::Sleep { duration_us: 1_000_000_000 }.into(),
            v1::ReadPipe { id, ..Default::default() }.into(),
            v1::ReadPipe { id, timeout_us: Some(1_000_000_000), ..Default::default() }.into(),
            v1::WaitProcess { pid: 0, timeout_us: None }.into(),
        ];
        let calls: Vec<_> = waiting
            .into_iter()
            .map(|call| {
                let (world, agent) = (Arc::clone(&world), agent.clone());
                tokio::spawn(async move { world.kernel.invoke(&agent, call).await })
            })
            .collect();
        tokio::task::yield_now().await;
        world.call(&init, kill(agent.pid().0, true)).await.unwrap();
        for call in calls {
            assert_eq!(within(call).await.unwrap().unwrap_err(), Error::no_process(agent.pid().0));
        }
        assert!(world.kernel.by_token(&made.token).is_none());
        assert_eq!(world.kernel.act_as(agent.pid()).unwrap_err().errno, Errno::ESRCH);
        // Whoever still holds the caller makes no calls with it, whatever they are aimed at.
        for call in [Call::from(v1::GetUptime {}), v1::PipeStats { id }.into(), kill(9_999, true).into()] {
            let error = within(world.kernel.invoke(&agent, call)).await.unwrap_err();
            assert_eq!(error, Error::no_process(agent.pid().0));
        }
        let request = CreateProcessRequest::default();
        assert_eq!(world.kernel.create_process(&agent, request).await.unwrap_err().errno, Errno::ESRCH);
    }
    for token in ["", "uos-", "uos-1-", "uos-1-00", "uos-x-y", &format!("uos-1-{}", "0".repeat(64))] {
        assert!(world.kernel.by_token(token).is_none(), "{token}");
    }
}

#[tokio::test]
async fn processes_are_described_and_listed_in_parts() {
    let world = World::start();
    let agent = world.agent(&["proc.spawn:/**", "ipc.create", "sched.inspect"]).await;
    let named =
        v1::SpawnProcess { name: "nap".into(), priority: Some(64), ..program("/usr/bin/sleep", &["1000"]) };
    let spawned = world.call(&agent, named).await.unwrap();
    world.call(&agent, v1::CreatePipe { writer_pid: spawned.pid, ..Default::default() }).await.unwrap();
    let seen = info(&world, &agent, spawned.pid).await.unwrap();
    assert_eq!((seen.pid, seen.parent_pid, &*seen.name), (spawned.pid, agent.pid().0, "nap"));
    assert_eq!((seen.state(), seen.level()), (ProcessState::Running, SandboxLevel::Privileged));
    assert_eq!((seen.priority, seen.os_pid, &*seen.program), (64, Some(spawned.os_pid), "/usr/bin/sleep"));
    assert_eq!(seen.handles, 1);
    assert!(
        seen.enforcement.iter().any(|line| line.contains("PR_SET_NO_NEW_PRIVS")),
        "{:?}",
        seen.enforcement
    );
    let own = info(&world, &agent, 0).await.unwrap();
    assert_eq!((own.pid, own.parent_pid, own.os_pid, own.handles), (agent.pid().0, 1, None, 1));

    let ended = world.call(&agent, shell("exit 0")).await.unwrap().pid;
    wait(&world, &agent, ended).await;
    assert_eq!(info(&world, &agent, ended).await.unwrap().state(), ProcessState::Exited);
    let mut pids = Vec::new();
    loop {
        let list = v1::GetProcessList { after_pid: pids.last().copied().unwrap_or(0), limit: 2 };
        let list = world.call(&agent, list).await.unwrap();
        pids.extend(list.processes.iter().map(|process| process.pid));
        if !list.more {
            break;
        }
    }
    assert_eq!(pids, [agent.pid().0, spawned.pid, ended]);
    world.set_grants(&agent, &["proc.inspect"]);
    let all = world.call(&agent, v1::GetProcessList::default()).await.unwrap();
    assert_eq!(all.processes[0].name, "init");
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn the_scheduler_counts_who_takes_part() {
    let world = World::start();
    let init = world.kernel.init();
    let active = async || world.call(&init, v1::GetSchedulerStats {}).await.unwrap().active;
    assert_eq!(active().await, 1);
    let agent = world.agent(&["proc.spawn:/**"]).await;
    let pid = sleeper(&world, &agent).await.pid;
    assert_eq!(active().await, 3);
    world.call(&agent, kill(pid, true)).await.unwrap();
    wait(&world, &agent, pid).await;
    assert_eq!(active().await, 2);
    world.call(&init, kill(agent.pid().0, true)).await.unwrap();
    let stats = world.call(&init, v1::GetSchedulerStats {}).await.unwrap();
    assert_eq!((stats.active, &*stats.policy), (1, "fair"));
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn a_process_ended_while_it_is_being_made_is_counted_nowhere() {
    let world = World::start();
    let init = world.kernel.init();
    let first = world.agent(&[]).await.pid().0 + 1;
    let killer = {
        let (kernel, init) = (world.kernel.clone(), init.clone());
        // Pids are given in order, so the next process can be hit at the very moment it is there.
        std::thread::spawn(move || {
            for pid in first..first + 500 {
                while kernel.invoke_blocking(&init, kill(pid, true).into()).is_err() {}
            }
        })
    };
    for _ in 0..500 {
        within(world.kernel.create_process(&init, CreateProcessRequest::default())).await.unwrap();
    }
    killer.join().unwrap();
    until("only the agent and process 1 are left", || world.kernel.in_use().processes == 2).await;
    let stats = world.call(&init, v1::GetSchedulerStats {}).await.unwrap();
    assert_eq!(stats.active, 2);
    within(world.kernel.shut_down()).await;
}

#[tokio::test]
async fn shutting_down_leaves_no_program_whether_it_runs_or_is_being_killed() {
    for killed_before in [false, true] {
        let world = World::start();
        let (init, agent) = (world.kernel.init(), world.agent(&["proc.spawn:/**"]).await);
        let mut os_pids = Vec::new();
        for _ in 0..10 {
            let spawned = sleeper(&world, &agent).await;
            os_pids.push(spawned.os_pid);
        }
        if killed_before {
            world.call(&agent, kill(0, true)).await.unwrap();
        }
        within(world.kernel.shut_down()).await;
        // Nothing is left of them, not even a body.
        let left: Vec<_> = os_pids.iter().filter(|pid| is_child(**pid)).collect();
        assert!(left.is_empty(), "{left:?} are left, killed before: {killed_before}");
        assert_eq!(world.kernel.in_use().processes, 1);
        assert_eq!(world.errno(&init, v1::GetUptime {}).await, Errno::ESRCH, "no calls are taken any more");
    }
}

/// Whether a program of the host is a child of this one, alive or dead.
fn is_child(os_pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{os_pid}/stat")).unwrap_or_default();
    let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
    parent.is_some_and(|parent| parent == std::process::id().to_string())
}

#[tokio::test]
async fn the_records_of_ended_children_are_kept_up_to_a_limit() {
    let limits = Limits { ended_children: 3, ..Default::default() };
    let world = World::with(limits, LinuxSpawner::new().unwrap());
    let agent = world.agent(&["proc.spawn:/**"]).await;
    let mut pids = Vec::new();
    for code in 0..3 {
        let pid = world.call(&agent, shell(&format!("exit {code}"))).await.unwrap().pid;
        // The second is the only one whose end has been told to somebody.
        if code == 1 {
            wait(&world, &agent, pid).await;
        }
        until("it has ended", || world.kernel.in_use().processes == 2).await;
        pids.push(pid);
    }
    pids.push(world.call(&agent, shell("exit 3")).await.unwrap().pid);
    until("it has ended", || world.kernel.in_use().processes == 2).await;
    until("the second is evicted", || world.kernel.act_as(Pid(pids[1])).is_err()).await;
    assert_eq!(world.errno(&agent, v1::WaitProcess { pid: pids[1], timeout_us: None }).await, Errno::ESRCH);
    for (code, place) in [(0, 0), (2, 2), (3, 3)] {
        assert_eq!(wait(&world, &agent, pids[place]).await.code, code);
    }
    world.call(&world.kernel.init(), kill(agent.pid().0, true)).await.unwrap();
    until("their room is given back", || world.kernel.in_use().output_bytes == 0).await;
}
