//! Programs that are ended by the clock, and programs that are let go.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::time::Duration;

use common::{line, rest, shell, spawn, within};
use uos_proc::{ExitCause, Guarantee, Level, OnDrop, Stdio};

const LEVELS: [Level; 3] = Level::ALL;

#[tokio::test]
async fn at_its_deadline_a_program_is_killed_with_its_group() {
    for level in LEVELS {
        let script =
            if level == Level::Minimal { "exec sleep 1000" } else { "trap '' TERM; sleep 1000 & wait" };
        let spec = shell(script).level(level).accept(Guarantee::Memory).accept(Guarantee::Cpu);
        let child = spawn(spec.stdout(Stdio::Pipe).deadline(Duration::from_millis(100)));
        assert_eq!(within(child.wait()).await.cause, ExitCause::TimedOut, "{level:?}");
        // Everybody who held this has gone.
        assert_eq!(rest(child.take_stdout().unwrap()).await, b"");
    }
}

#[tokio::test]
async fn whoever_ends_before_the_deadline_ends_by_itself() {
    let soon = spawn(shell("exit 3").deadline(Duration::from_secs(1000)));
    // A nearer one is not kept waiting by the one before it.
    let late = spawn(shell("exec sleep 1000").deadline(Duration::from_millis(50)));
    assert_eq!(within(late.wait()).await.cause, ExitCause::TimedOut);
    assert_eq!(within(soon.wait()).await.cause, ExitCause::Exited(3));
    // The longest there is.
    let never = spawn(shell("exit 4").deadline(Duration::MAX));
    assert_eq!(within(never.wait()).await.cause, ExitCause::Exited(4));
}

#[tokio::test]
async fn what_was_let_go_runs_on_and_is_collected() {
    let child =
        spawn(shell("read go; echo done").stdin(Stdio::Pipe).stdout(Stdio::Pipe).on_drop(OnDrop::Detach));
    let (stdin, mut stdout, pid) = (child.take_stdin(), child.take_stdout().unwrap(), child.os_pid());
    drop(child);
    let is_there = || std::path::Path::new(&format!("/proc/{pid}")).exists();
    assert!(is_there());
    drop(stdin);
    assert_eq!(line(&mut stdout).await, "done");
    // Not a zombie either.
    within(async {
        while is_there() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_let_go_has_its_deadline_still() {
    let spec = shell("exec sleep 1000").stdout(Stdio::Pipe).on_drop(OnDrop::Detach);
    let child = spawn(spec.deadline(Duration::from_millis(100)));
    let stdout = child.take_stdout().unwrap();
    drop(child);
    assert_eq!(rest(stdout).await, b"");
}
