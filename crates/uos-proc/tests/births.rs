//! Programs are made in their control groups, or join them where that can't be. One test, so that nobody else's programs
//! are in this program's groups when they are killed from outside.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::fs;
use std::io::Write;

use common::{groups_of, line, shell, spawn, within};
use tokio::io::AsyncWriteExt;
use uos_proc::{ExitCause, Level, Stdio};

#[tokio::test]
async fn a_program_begins_in_its_group_even_in_one_that_somebody_else_has_killed() {
    for _ in 0..10 {
        begin_in_groups().await;
    }
    for _ in 0..3 {
        kill_what_is_ready();
        // More than are kept ready.
        for _ in 0..5 {
            begin_in_groups().await;
        }
    }
}

/// Starts a program at each level, and looks where it is as soon as it runs.
async fn begin_in_groups() {
    let own = format!("-{}-", std::process::id());
    for level in [Level::Privileged, Level::Minimal, Level::Standard] {
        let spec = shell("echo here; read line").level(level).grouped(true);
        let child = spawn(spec.stdin(Stdio::Pipe).stdout(Stdio::Pipe));
        assert_eq!(line(&mut child.take_stdout().unwrap()).await, "here");
        let groups = fs::read_to_string(format!("/proc/{}/cgroup", child.os_pid())).unwrap();
        let inside = groups.lines().filter(|line| line.contains(&own)).count();
        let trees = groups_of(std::process::id()).len();
        assert!(inside > 0 && inside == trees, "{level:?}, of {trees} trees:\n{groups}");
        child.take_stdin().unwrap().write_all(b"\n").await.unwrap();
        assert_eq!(within(child.wait()).await.cause, ExitCause::Exited(0), "{level:?}");
    }
}

/// Kills the groups in which nobody is, as far as this machine has that at all.
fn kill_what_is_ready() {
    for home in groups_of(std::process::id()) {
        for group in fs::read_dir(home).unwrap().flatten() {
            // Some trees have no such file, and a group may be removed meanwhile.
            let _ = fs::OpenOptions::new()
                .write(true)
                .open(group.path().join("cgroup.kill"))
                .and_then(|mut file| file.write_all(b"1"));
        }
    }
}
