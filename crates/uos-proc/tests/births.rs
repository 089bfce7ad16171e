//! Programs are made in their control groups, or join them where that can't be. One test, so that nobody else's programs
//! are in this program's groups when they are killed from outside.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::sync::LazyLock;

use common::{SPAWNER, groups_of, line, shell, within};
use tokio::io::AsyncWriteExt;
use uos_proc::{ExitCause, Guarantee, Isolation, Level, LinuxSpawner, Spawner, Spec, Stdio};

/// The group has been removed.
const ENODEV: i32 = 19;

#[tokio::test]
async fn a_program_begins_in_its_group_even_in_one_that_somebody_else_has_killed() {
    for _ in 0..10 {
        begin_in_groups().await;
    }
    for _ in 0..3 {
        // It takes control groups of version 2 that can be written to, and a moment for some to come back.
        within(async {
            while kill_what_is_ready() == 0 {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        })
        .await;
        // More than are kept ready.
        for _ in 0..5 {
            begin_in_groups().await;
        }
    }
}

/// One whose programs come from a thread with a filter that only the thread itself can be made to make others by.
static BARE: LazyLock<LinuxSpawner> =
    LazyLock::new(|| LinuxSpawner::with_isolation(Isolation::NoNamespaces).unwrap());

/// Starts a program at each level, with namespaces and without, and looks where it is as soon as it runs.
async fn begin_in_groups() {
    let own = format!("-{}-", std::process::id());
    let levels = [Level::Privileged, Level::Minimal, Level::Standard];
    let ways = [&*SPAWNER, &*BARE].into_iter().flat_map(|spawner| levels.map(|level| (spawner, level)));
    for (spawner, level) in ways {
        let weak = [Guarantee::FsView, Guarantee::Network, Guarantee::Pids, Guarantee::KillTree];
        let spec = shell("echo here; read line").level(level).grouped(true);
        let spec = weak.into_iter().fold(spec, Spec::accept);
        let child = spawner.spawn(spec.stdin(Stdio::Pipe).stdout(Stdio::Pipe)).unwrap();
        assert_eq!(line(&mut child.take_stdout().unwrap()).await, "here");
        let groups = fs::read_to_string(format!("/proc/{}/cgroup", child.os_pid())).unwrap();
        let inside = groups.lines().filter(|line| line.contains(&own)).count();
        let homes = groups_of(std::process::id());
        let trees: BTreeSet<u64> = homes.iter().map(|home| fs::metadata(home).unwrap().dev()).collect();
        assert!(inside > 0 && inside == trees.len(), "{level:?}, of {trees:?}:\n{groups}");
        child.take_stdin().unwrap().write_all(b"\n").await.unwrap();
        assert_eq!(within(child.wait()).await.cause, ExitCause::Exited(0), "{level:?}");
    }
}

/// Kills the groups of programs, in which nobody is. How many could be.
fn kill_what_is_ready() -> usize {
    let homes = groups_of(std::process::id());
    let groups = homes.iter().flat_map(|home| fs::read_dir(home).unwrap().flatten());
    let is_of_a_program = |name: &str| {
        name.strip_prefix('g').is_some_and(|number| number.bytes().all(|letter| letter.is_ascii_digit()))
    };
    let mut killed = 0;
    for group in groups.filter(|group| group.file_name().to_str().is_some_and(is_of_a_program)) {
        let kill = OpenOptions::new().write(true).open(group.path().join("cgroup.kill"));
        match kill.and_then(|mut kill| kill.write_all(b"1")) {
            Ok(()) => killed += 1,
            // Trees of the first version have no such file, and a group may be removed meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if error.raw_os_error() == Some(ENODEV) => {}
            Err(error) => panic!("{error}"),
        }
    }
    killed
}
