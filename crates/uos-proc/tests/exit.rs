//! How real programs end, and what is left of them: nothing.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use common::{line, output, rest, run, shell, spawn, spec, within};
use rustix::process::{Pid, test_kill_process};
use uos_proc::{ExitCause, Limits, LinuxSpawner, OnLeaderExit, Signal, SignalError, Spawner, Stdio, Usage};

#[tokio::test]
async fn exit_codes() {
    for code in [0, 1, 2, 127, 255] {
        let (exit, _, _) = run(shell(&format!("exit {code}"))).await;
        assert_eq!(exit.cause, ExitCause::Exited(code));
    }
}

#[tokio::test]
async fn deaths_by_signal() {
    for name in ["TERM", "KILL", "ABRT", "SEGV", "40"] {
        let signal: Signal = name.parse().unwrap();
        let (exit, _, _) = run(shell(&format!("kill -{} $$", signal.number()))).await;
        assert_eq!(exit.cause, ExitCause::Signaled { signal, core: false });
    }
}

#[tokio::test]
async fn limits_end_a_program() {
    let file_size_bytes = Some(1024);
    let limits = Limits { file_size_bytes, ..Limits::default() };
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("out");
    let big = shell("exec dd if=/dev/zero of=\"$0\" bs=4096 count=1").arg(&target).limits(limits);
    let (exit, _, _) = run(big).await;
    // The first write is cut to the limit; the second gets the signal.
    assert!(!exit.cause.success(), "{}", exit.cause);
    assert_eq!(target.metadata().unwrap().len(), 1024);
}

#[tokio::test]
async fn a_caught_signal_is_the_programs_business() {
    let child = spawn(shell("trap 'exit 9' TERM; echo ready; sleep 1000 & wait").stdout(Stdio::Pipe));
    let mut stdout = child.take_stdout().unwrap();
    assert_eq!(line(&mut stdout).await, "ready");
    child.signal(Signal::TERM).unwrap();
    assert_eq!(within(child.wait()).await.cause, ExitCause::Exited(9));
}

#[tokio::test]
async fn real_time_signals_are_sent_too() {
    let child = spawn(spec("/bin/cat").stdin(Stdio::Pipe));
    let signal = Signal::new(64).unwrap();
    child.signal(signal).unwrap();
    assert_eq!(within(child.wait()).await.cause, ExitCause::Signaled { signal, core: false });
}

#[tokio::test]
async fn kill_tree_reaches_the_group() {
    let child = spawn(shell("sleep 1000 & (sleep 1000; true) & echo ready; wait").stdout(Stdio::Pipe));
    let mut stdout = child.take_stdout().unwrap();
    assert_eq!(line(&mut stdout).await, "ready");
    child.kill_tree().unwrap();
    assert_eq!(within(child.wait()).await.cause, ExitCause::Killed);
    // All of them held this pipe.
    assert_eq!(rest(stdout).await, b"");
    assert_eq!(child.kill_tree(), Err(SignalError::NoSuchProcess));
}

#[tokio::test]
async fn leftovers_go_with_their_leader() {
    let child = spawn(shell("sleep 1000 & echo ready").stdout(Stdio::Pipe));
    let stdout = child.take_stdout().unwrap();
    assert_eq!(within(child.wait()).await.cause, ExitCause::Exited(0));
    assert_eq!(rest(stdout).await, b"ready\n");
}

#[tokio::test]
async fn leftovers_stay_if_asked_to() {
    let leave = shell("sleep 1000 & echo $!").on_leader_exit(OnLeaderExit::LeaveGroup);
    let child = spawn(leave.stdout(Stdio::Pipe));
    let mut stdout = child.take_stdout().unwrap();
    let pid = Pid::from_raw(line(&mut stdout).await.parse().unwrap()).unwrap();
    assert_eq!(within(child.wait()).await.cause, ExitCause::Exited(0));
    // It is out of reach, the handle says so, and it is indeed still there.
    assert_eq!(child.kill_tree(), Err(SignalError::NoSuchProcess));
    assert_eq!(test_kill_process(pid), Ok(()));
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert_eq!(rest(stdout).await, b"");
}

#[test]
fn a_wait_survives_the_runtime_it_began_in() {
    let child = spawn(spec("/bin/cat").stdin(Stdio::Pipe));
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let waiter = child.clone();
    let waiting = first.spawn(async move { waiter.wait().await });
    first.block_on(tokio::task::yield_now());
    assert!(!waiting.is_finished());
    drop(first);

    drop(child.take_stdin());
    assert_eq!(runtime().block_on(within(child.wait())).cause, ExitCause::Exited(0));
}

#[tokio::test]
async fn children_end_with_their_spawner() {
    let spawner = LinuxSpawner::new().unwrap();
    let one = spawner.spawn(spec("/bin/cat").stdin(Stdio::Pipe)).unwrap();
    let group = spawner.spawn(shell("sleep 1000 & echo ready; wait").stdout(Stdio::Pipe)).unwrap();
    let mut stdout = group.take_stdout().unwrap();
    assert_eq!(line(&mut stdout).await, "ready");
    drop(spawner);
    let killed = ExitCause::Signaled { signal: Signal::KILL, core: false };
    assert_eq!(within(one.wait()).await.cause, killed);
    assert_eq!(within(group.wait()).await.cause, killed);
    assert_eq!(rest(stdout).await, b"");
}

#[tokio::test]
async fn usage_while_it_runs_and_after() {
    let script = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo done; read go";
    let child = spawn(shell(script).stdin(Stdio::Pipe).stdout(Stdio::Pipe));
    let mut stdout = child.take_stdout().unwrap();
    assert_eq!(line(&mut stdout).await, "done");
    let live = child.usage();
    assert!(live.rss_bytes > 0);
    assert!(live.peak_rss_bytes.unwrap() >= live.rss_bytes);

    drop(child.take_stdin());
    let last = within(child.wait()).await.usage;
    assert_eq!(child.usage(), last);
    assert_eq!(last.rss_bytes, 0);
    assert!(last.cpu_user_us > 0);
    assert!(last.cpu_user_us + last.cpu_system_us >= live.cpu_user_us + live.cpu_system_us);
    assert!(last.voluntary_switches >= live.voluntary_switches);
}

/// The kernel counts the spawning program's memory as the child's peak, since both were one until it executed.
#[tokio::test]
async fn a_peak_is_the_programs_own_or_not_told() {
    let ours = vec![1u8; 32 << 20];
    let (small, _, _) = run(spec("/bin/true")).await;
    assert_eq!(small.usage.peak_rss_bytes, None);
    drop(std::hint::black_box(ours));
    let (big, _, _) = run(spec("/bin/dd").args(["if=/dev/zero", "of=/dev/null", "bs=256M", "count=1"])).await;
    assert!(big.usage.peak_rss_bytes.unwrap() >= 256 << 20);
}

#[tokio::test]
async fn usage_counts_descendants_that_were_waited_for() {
    let work = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
    let (alone, _, _) = run(shell(work)).await;
    let (through, _, _) = run(shell(&format!("( {work} ); true"))).await;
    let cpu = |usage: Usage| usage.cpu_user_us + usage.cpu_system_us;
    // Far apart from "not counted", which would be next to nothing.
    assert!(cpu(through.usage) > cpu(alone.usage) / 10);
    assert_eq!(output(shell("true")).await, "");
}
