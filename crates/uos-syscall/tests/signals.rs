//! Signals: to real programs, and to processes that have none.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use common::{World, give_up, output, program, shell, until, wait, within};
use uos_proc::LinuxSpawner;
use uos_proto::v1::{self, MaskChange, SignalAction};
use uos_syscall::{Caller, Cause, Errno, InUse, Limits};

const INT: u32 = 2;
const KILL: u32 = 9;
const USR1: u32 = 10;
const USR2: u32 = 12;
const TERM: u32 = 15;
const CHLD: u32 = 17;
const CONT: u32 = 18;
const STOP: u32 = 19;
const TSTP: u32 = 20;
const WINCH: u32 = 28;
const RT: u32 = 40;

fn send(to: &Caller, signal: u32) -> v1::SendSignal {
    v1::SendSignal { pid: to.pid().0, signal }
}

fn act(signal: u32, action: SignalAction) -> v1::SetSignalAction {
    v1::SetSignalAction { signal, action: action.into() }
}

fn mask(change: MaskChange, signals: &[u32]) -> v1::MaskSignals {
    v1::MaskSignals { change: change.into(), signals: signals.to_vec() }
}

fn wait_for(signals: &[u32]) -> v1::WaitSignal {
    v1::WaitSignal { signals: signals.to_vec(), timeout_us: Some(0) }
}

async fn pending(world: &World, who: &Caller) -> Vec<(u32, u64)> {
    let reply = world.call(who, v1::PendingSignals {}).await.unwrap();
    reply.pending.iter().map(|it| (it.signal, it.count)).collect()
}

/// Takes what is pending of these, until nothing is.
async fn taken(world: &World, who: &Caller, signals: &[u32]) -> Vec<(u32, u64)> {
    let mut all = Vec::new();
    while let Ok(reply) = world.call(who, wait_for(signals)).await {
        all.push((reply.signal, reply.sender_pid));
    }
    all
}

async fn alive(world: &World, who: &Caller) -> bool {
    world.call(who, v1::GetUptime {}).await.is_ok()
}

/// A parent with a child, neither of which has a program.
async fn family(world: &World) -> (Caller, Caller) {
    let parent = world.agent(&["proc.spawn:/**"]).await;
    let child = world.child(&parent, &[]).await;
    (parent, child)
}

#[tokio::test]
async fn a_program_hears_the_signal_that_was_sent() {
    let world = World::start();
    let agent = world.agent(&["proc.spawn:/**"]).await;
    let script =
        "trap 'echo usr1' USR1; trap 'echo usr2; exit 7' USR2; echo ready; while :; do sleep 0.02; done";
    let pid = world.call(&agent, shell(script)).await.unwrap().pid;
    let read = |offset| v1::ReadOutput { pid, offset, max_bytes: 0, ..Default::default() };
    assert_eq!(&world.call(&agent, read(0)).await.unwrap().data[..], b"ready\n");
    world.call(&agent, v1::SendSignal { pid, signal: 0 }).await.unwrap();
    world.call(&agent, v1::SendSignal { pid, signal: USR1 }).await.unwrap();
    assert_eq!(&world.call(&agent, read(6)).await.unwrap().data[..], b"usr1\n");
    world.call(&agent, v1::SendSignal { pid, signal: USR2 }).await.unwrap();
    assert_eq!(output(&world, &agent, pid).await, b"ready\nusr1\nusr2\n");
    assert_eq!(
        (wait(&world, &agent, pid).await.cause(), wait(&world, &agent, pid).await.code),
        (v1::ExitCause::Exited, 7)
    );
    // It has ended, and whoever has its number by now is not reached.
    for signal in [0, USR1, KILL] {
        assert_eq!(world.errno(&agent, v1::SendSignal { pid, signal }).await, Errno::ESRCH);
    }
}

/// How the host's kernel says a process of its own is doing.
fn host_state(os_pid: u32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{os_pid}/stat")).unwrap();
    stat[stat.rfind(')').unwrap() + 2..].chars().next().unwrap()
}

#[tokio::test]
async fn a_program_is_stopped_goes_on_and_is_killed() {
    let world = World::start();
    let agent = world.agent(&["proc.spawn:/**"]).await;
    let v1::SpawnProcessReply { pid, os_pid } =
        world.call(&agent, program("/usr/bin/sleep", &["1000"])).await.unwrap();
    world.call(&agent, v1::SendSignal { pid, signal: STOP }).await.unwrap();
    until("it stands still", || host_state(os_pid) == 'T').await;
    world.call(&agent, v1::SendSignal { pid, signal: CONT }).await.unwrap();
    until("it goes on", || host_state(os_pid) == 'S').await;
    world.call(&agent, v1::SendSignal { pid, signal: KILL }).await.unwrap();
    let end = wait(&world, &agent, pid).await;
    assert_eq!((end.cause(), end.code, end.signal), (v1::ExitCause::Signaled, 137, 9));
}

#[tokio::test]
async fn a_signal_that_nobody_catches_ends_a_process_and_its_children() {
    let world = World::start();
    for (signal, ends) in [
        (TERM, true),
        (KILL, true),
        (USR1, true),
        (RT, true),
        (1, true),
        (64, true),
        (CHLD, false),
        (CONT, false),
        (WINCH, false),
        (TSTP, false),
        (0, false),
    ] {
        let (parent, child) = family(&world).await;
        world.call(&world.kernel.init(), send(&parent, signal)).await.unwrap();
        assert_eq!((alive(&world, &parent).await, alive(&world, &child).await), (!ends, !ends), "{signal}");
        if ends {
            let end = wait(&world, &world.kernel.init(), parent.pid().0).await;
            let expected = (v1::ExitCause::Signaled, 128 + signal as i32, signal as i32);
            assert_eq!((end.cause(), end.code, end.signal), expected, "{signal}");
        }
    }
    world.kernel.shut_down().await;
    assert_eq!(world.kernel.in_use(), InUse { processes: 1, ..InUse::default() });
}

#[tokio::test]
async fn actions_say_what_becomes_of_a_signal_but_of_kill_and_stop() {
    let world = World::start();
    let (parent, child) = family(&world).await;
    let reply = world.call(&child, act(TERM, SignalAction::Ignore)).await.unwrap();
    assert_eq!(reply.previous(), SignalAction::Default);
    world.call(&parent, send(&child, TERM)).await.unwrap();
    assert!(alive(&world, &child).await && pending(&world, &child).await.is_empty());

    assert_eq!(
        world.call(&child, act(TERM, SignalAction::Catch)).await.unwrap().previous(),
        SignalAction::Ignore
    );
    for _ in 0..3 {
        world.call(&parent, send(&child, TERM)).await.unwrap();
    }
    assert_eq!(pending(&world, &child).await, [(TERM, 1)], "one that has come already is the same one still");
    assert_eq!(taken(&world, &child, &[]).await, [(TERM, parent.pid().0)]);

    // What was caught and is not caught any more ends the process, if it ends one.
    world.call(&child, act(TERM, SignalAction::Catch)).await.unwrap();
    world.call(&parent, send(&child, TERM)).await.unwrap();
    world.call(&child, act(TERM, SignalAction::Ignore)).await.unwrap();
    assert!(pending(&world, &child).await.is_empty());

    for signal in [KILL, STOP, 0, 65, u32::MAX] {
        assert_eq!(world.errno(&child, act(signal, SignalAction::Ignore)).await, Errno::EINVAL, "{signal}");
        assert_eq!(world.errno(&child, mask(MaskChange::Block, &[signal])).await, Errno::EINVAL, "{signal}");
        assert_eq!(world.errno(&child, wait_for(&[signal])).await, Errno::EINVAL, "{signal}");
    }
    assert_eq!(world.errno(&child, v1::SetSignalAction { signal: TERM, action: 9 }).await, Errno::EINVAL);
    assert_eq!(world.errno(&child, v1::MaskSignals { change: 9, signals: vec![] }).await, Errno::EINVAL);
    assert_eq!(world.errno(&parent, send(&child, 65)).await, Errno::EINVAL);
    let nothing_to_stop = world.call(&parent, send(&child, STOP)).await.unwrap_err();
    assert_eq!(nothing_to_stop.errno, Errno::ENOTSUP);
    assert!(alive(&world, &child).await);
    world.call(&parent, send(&child, KILL)).await.unwrap();
    assert!(!alive(&world, &child).await);
}

#[tokio::test]
async fn what_is_held_back_waits_until_it_is_let_through() {
    let world = World::start();
    let (parent, child) = family(&world).await;
    assert!(world.call(&child, mask(MaskChange::Block, &[TERM, INT])).await.unwrap().previous.is_empty());
    for signal in [TERM, INT, TERM] {
        world.call(&parent, send(&child, signal)).await.unwrap();
    }
    assert_eq!(pending(&world, &child).await, [(INT, 1), (TERM, 1)]);
    assert_eq!(
        world.call(&child, mask(MaskChange::Set, &[TERM, USR1])).await.unwrap_err().errno,
        Errno::ESRCH,
        "INT ends it"
    );
    let end = wait(&world, &parent, child.pid().0).await;
    assert_eq!((end.cause(), end.signal), (v1::ExitCause::Signaled, INT as i32));

    let child = world.child(&parent, &[]).await;
    world.call(&child, mask(MaskChange::Block, &[TERM])).await.unwrap();
    world.call(&parent, send(&child, TERM)).await.unwrap();
    // Taken, it is gone, and nothing ends when it is let through.
    assert_eq!(taken(&world, &child, &[TERM]).await, [(TERM, parent.pid().0)]);
    assert_eq!(world.call(&child, mask(MaskChange::Unblock, &[TERM])).await.unwrap().previous, [TERM]);
    assert!(alive(&world, &child).await);
    let reply = world.call(&child, v1::PendingSignals {}).await.unwrap();
    assert!(reply.pending.is_empty() && reply.blocked.is_empty());
}

#[tokio::test]
async fn real_time_signals_queue_in_order_up_to_a_limit() {
    let limits = Limits { pending_signals_per_process: 5, ..Limits::default() };
    let world = World::with(limits, LinuxSpawner::new().unwrap());
    let (parent, child) = family(&world).await;
    world.call(&child, mask(MaskChange::Block, &[RT, RT + 1, USR1])).await.unwrap();
    for (from, signal) in
        [(&parent, RT + 1), (&parent, RT), (&child, RT), (&parent, USR1), (&parent, RT + 1), (&parent, RT)]
    {
        world.call(from, send(&child, signal)).await.unwrap();
    }
    assert_eq!(pending(&world, &child).await, [(USR1, 1), (RT, 3), (RT + 1, 2)]);
    let full = world.call(&parent, send(&child, RT)).await.unwrap_err();
    let limit = Cause::Limit { name: "pending_signals_per_process", used: 5, max: 5 };
    assert_eq!((full.errno, full.cause.as_deref()), (Errno::EAGAIN, Some(&limit)));
    // Those that don't queue need no room.
    world.call(&parent, send(&child, USR1)).await.unwrap();
    assert_eq!(world.kernel.in_use().pending_signals, 5);
    let (first, second) = (parent.pid().0, child.pid().0);
    let expected = [(USR1, first), (RT, first), (RT, second), (RT, first), (RT + 1, first), (RT + 1, first)];
    assert_eq!(taken(&world, &child, &[]).await, expected);
    assert_eq!(world.kernel.in_use().pending_signals, 0);
    // The end of a process gives back the room of what it had not taken.
    world.call(&parent, send(&child, RT)).await.unwrap();
    world.call(&parent, send(&child, KILL)).await.unwrap();
    assert_eq!(world.kernel.in_use().pending_signals, 0);
}

#[tokio::test]
async fn who_waits_gets_the_signal_and_who_gives_up_leaves_nothing() {
    let world = World::start();
    let (parent, child) = family(&world).await;
    let endless = || v1::WaitSignal { signals: vec![TERM, USR1], timeout_us: None };
    let sending = async {
        tokio::task::yield_now().await;
        world.call(&parent, send(&child, TERM)).await.unwrap();
    };
    let (reply, ()) = tokio::join!(world.call(&child, endless()), sending);
    let reply = reply.unwrap();
    assert_eq!((reply.signal, reply.sender_pid), (TERM, parent.pid().0));
    assert!(alive(&world, &child).await, "it went to who waited for it");

    // Two wait for it, and one gets it.
    {
        let (mut first, mut second) =
            (Box::pin(world.call(&child, endless())), Box::pin(world.call(&child, endless())));
        assert!(give_up(&mut first).await.is_none() && give_up(&mut second).await.is_none());
        world.call(&parent, send(&child, USR1)).await.unwrap();
        let one = within(async {
            tokio::select! { it = &mut first => it, it = &mut second => it }
        })
        .await
        .unwrap();
        assert_eq!(one.signal, USR1);
        assert!(pending(&world, &child).await.is_empty());
    }

    assert_eq!(world.errno(&child, wait_for(&[])).await, Errno::ETIMEDOUT);
    assert!(give_up(world.call(&child, endless())).await.is_none());
    // It comes while somebody waits who is never to take it: then it is as if nobody had waited.
    let mut waiting = Box::pin(world.kernel.invoke(&child, endless().into()));
    assert!(give_up(&mut waiting).await.is_none());
    world.call(&parent, send(&child, TERM)).await.unwrap();
    assert!(alive(&world, &child).await);
    drop(waiting);
    assert!(!alive(&world, &child).await);
    assert_eq!(wait(&world, &parent, child.pid().0).await.signal, TERM as i32);
}

#[tokio::test]
async fn the_end_of_a_child_is_told_to_who_wants_to_hear_it() {
    let world = World::start();
    let (parent, child) = family(&world).await;
    world.call(&parent, act(CHLD, SignalAction::Catch)).await.unwrap();
    let hear = || v1::WaitSignal { signals: vec![CHLD], timeout_us: None };
    world.call(&parent, send(&child, TERM)).await.unwrap();
    // One after the other: a signal that is pending already is not told twice.
    assert_eq!(world.call(&parent, hear()).await.unwrap().sender_pid, child.pid().0);
    let pid = world.call(&parent, program("/usr/bin/true", &[])).await.unwrap().pid;
    assert_eq!(world.call(&parent, hear()).await.unwrap().sender_pid, pid);
}

#[tokio::test]
async fn strangers_are_absent_and_process_1_does_not_end() {
    let world = World::start();
    let (one, other) = (world.agent(&[]).await, world.agent(&["proc.signal"]).await);
    for signal in [0, TERM, KILL] {
        let refused = world.call(&one, send(&other, signal)).await.unwrap_err();
        let absent = world.call(&one, v1::SendSignal { pid: 999_999, signal }).await.unwrap_err();
        assert_eq!(refused.errno, Errno::ESRCH);
        assert_eq!(
            refused.message.replace(&other.pid().to_string(), ""),
            absent.message.replace("999999", "")
        );
    }
    let init = world.kernel.init();
    for signal in [TERM, KILL] {
        assert_eq!(world.errno(&other, send(&init, signal)).await, Errno::EPERM);
        assert_eq!(world.errno(&init, v1::SendSignal { pid: 0, signal }).await, Errno::EPERM);
    }
    world.call(&other, send(&one, TERM)).await.unwrap();
    assert!(!alive(&world, &one).await && alive(&world, &init).await);
}

#[tokio::test]
async fn a_program_keeps_its_signals_itself() {
    let world = World::start();
    let pid = world.call(&world.kernel.init(), program("/usr/bin/sleep", &["1000"])).await.unwrap().pid;
    let itself = world.kernel.act_as(uos_syscall::Pid(pid)).unwrap();
    assert_eq!(world.errno(&itself, act(USR1, SignalAction::Ignore)).await, Errno::ENOTSUP);
    assert_eq!(world.errno(&itself, mask(MaskChange::Block, &[USR1])).await, Errno::ENOTSUP);
    assert_eq!(world.errno(&itself, v1::PendingSignals {}).await, Errno::ENOTSUP);
    assert_eq!(world.errno(&itself, wait_for(&[USR1])).await, Errno::ENOTSUP);
    world.kernel.shut_down().await;
}
