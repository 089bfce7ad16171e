//! What the portable spawner does its own way, beside what it shares with others (`conformance.rs`).
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::time::Duration;

use tokio::io::AsyncReadExt;
use uos_proc::{
    Child, ExitCause, Guarantee, Level, Limits, OnDrop, PortableSpawner, SpawnError, Spawner, Spec, Stdio,
};

fn shell(script: &str) -> Spec {
    let spec =
        Spec::new("/bin/sh").args(["-c", script]).env("PATH", "/usr/bin:/bin").level(Level::Privileged);
    [Guarantee::NoNewPrivileges, Guarantee::FdHygiene, Guarantee::Environment]
        .into_iter()
        .fold(spec, Spec::accept)
}

fn spawn(spec: Spec) -> Child {
    PortableSpawner::new().spawn(spec).unwrap()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("this hangs")
}

#[test]
fn it_promises_nothing_that_is_not_accepted() {
    for level in Level::ALL {
        let spec = Spec::new("/bin/true").level(level);
        let error = PortableSpawner::new().spawn(spec).expect_err("nothing is enforced");
        assert!(matches!(error, SpawnError::NotEnforceable { .. }), "{error}");
    }
    let limits = Limits { open_files: Some(64), ..Limits::default() };
    let error = PortableSpawner::new().plan(&shell("true").limits(limits)).unwrap_err();
    assert_eq!(error, SpawnError::UnsupportedLimit { name: "open_files" });
    let error = PortableSpawner::new().plan(&shell("true").stdin(Stdio::Pty)).unwrap_err();
    assert!(matches!(error, SpawnError::Invalid { field: "stdio", .. }), "{error}");
}

#[test]
fn what_cannot_be_executed_names_the_stage() {
    let spec = Spec { program: "/no/such/program".into(), ..shell("true") };
    assert_eq!(PortableSpawner::new().spawn(spec).unwrap_err().to_string(), "exec: ENOENT");
}

#[tokio::test]
async fn at_its_deadline_the_group_is_killed() {
    let child = spawn(shell("sleep 1000 & wait").stdout(Stdio::Pipe).deadline(Duration::from_millis(100)));
    assert_eq!(within(child.wait()).await.cause, ExitCause::TimedOut);
    let mut rest = Vec::new();
    within(child.take_stdout().unwrap().read_to_end(&mut rest)).await.unwrap();
    assert_eq!(
        within(spawn(shell("exit 3").deadline(Duration::MAX)).wait()).await.cause,
        ExitCause::Exited(3)
    );
}

#[tokio::test]
async fn what_was_let_go_runs_on() {
    let child =
        spawn(shell("read go; echo done").stdin(Stdio::Pipe).stdout(Stdio::Pipe).on_drop(OnDrop::Detach));
    let (stdin, mut stdout) = (child.take_stdin(), child.take_stdout().unwrap());
    drop(child);
    drop(stdin);
    let mut said = String::new();
    within(stdout.read_to_string(&mut said)).await.unwrap();
    assert_eq!(said, "done\n");
}
