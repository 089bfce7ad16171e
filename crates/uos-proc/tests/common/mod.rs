//! What the tests of real programs share.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::future::Future;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use uos_proc::{Child, Exit, ExitCause, Level, LinuxSpawner, SpawnError, Spawner, Spec, Stdio};

/// One spawner for a whole test binary: as in a server, unrelated programs are started side by side.
pub(crate) static SPAWNER: LazyLock<LinuxSpawner> = LazyLock::new(|| LinuxSpawner::new().unwrap());

/// Only a guard against hanging for ever; no test depends on how long anything takes.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("this hangs")
}

pub(crate) fn spec(program: &str) -> Spec {
    Spec::new(program).level(Level::Privileged)
}

/// A shell that runs `script` with the usual programs at hand.
pub(crate) fn shell(script: &str) -> Spec {
    spec("/bin/sh").arg("-c").arg(script).env("PATH", "/usr/bin:/bin")
}

pub(crate) fn spawn(spec: Spec) -> Child {
    SPAWNER.spawn(spec).unwrap()
}

pub(crate) fn refusal(spec: Spec) -> SpawnError {
    SPAWNER.spawn(spec).expect_err("this must not start")
}

/// Runs to the end, and gives what it wrote to its two outputs.
pub(crate) async fn run(spec: Spec) -> (Exit, Vec<u8>, Vec<u8>) {
    let child = spawn(spec.stdout(Stdio::Pipe).stderr(Stdio::Pipe));
    let (stdout, stderr) = (child.take_stdout().unwrap(), child.take_stderr().unwrap());
    within(async { tokio::join!(child.wait(), rest(stdout), rest(stderr)) }).await
}

/// What a program that ends well wrote to its output.
pub(crate) async fn output(spec: Spec) -> String {
    let (exit, stdout, stderr) = run(spec).await;
    assert_eq!(exit.cause, ExitCause::Exited(0), "{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// Everything up to the end of file, which comes when the last process holding the other end has gone.
pub(crate) async fn rest(mut from: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    within(from.read_to_end(&mut bytes)).await.unwrap();
    bytes
}

/// One line, without its end.
pub(crate) async fn line(from: &mut (impl AsyncRead + Unpin)) -> String {
    let mut line = Vec::new();
    loop {
        match within(from.read_u8()).await.expect("a line has an end") {
            b'\n' => return String::from_utf8(line).unwrap(),
            byte => line.push(byte),
        }
    }
}

/// The directories of a program's groups, in all trees.
pub(crate) fn groups_of(pid: u32) -> Vec<PathBuf> {
    fn look(place: &PathBuf, part: &str, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let name = entry.file_name();
                if name.to_str().is_some_and(|name| name.starts_with("uos-") && name.contains(part)) {
                    found.push(entry.path());
                } else {
                    look(&entry.path(), part, found);
                }
            }
        }
    }
    let mut found = Vec::new();
    look(&PathBuf::from("/sys/fs/cgroup"), &format!("-{pid}-"), &mut found);
    found
}
