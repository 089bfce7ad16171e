//! Trees of processes that do all they can not to be ended. Nothing of them is left.
//!
//! One test, because it counts what this program and the host have. `UOS_CAMPAIGN_TREES` is how many there are at each
//! level.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

#[path = "attacks/program.rs"]
mod program;

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use uos_proc::{Guarantee, Level, LinuxSpawner, Program, Spawner, Spec, Stdio};

/// What a tree does to live on: the last words of the attacking program.
const TREES: [&[&str]; 4] = [&["grow", "daemon"], &["grow", "deaf"], &["grow", "stopped"], &["fork-storm"]];

#[tokio::test]
async fn hostile_trees_leave_nothing() {
    let count = std::env::var("UOS_CAMPAIGN_TREES").ok().and_then(|count| count.parse().ok()).unwrap_or(100);
    let spawner = LinuxSpawner::new().unwrap();
    for level in [Level::Standard, Level::Minimal] {
        // What is made once and kept is made before counting.
        one(&spawner, level, TREES[1]).await;
        let before = until_steady().await;
        for number in 0..count {
            one(&spawner, level, TREES[number % TREES.len()]).await;
        }
        let wait = async {
            while !counts().are_back_at(&before) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let settled = tokio::time::timeout(Duration::from_secs(60), wait).await;
        assert!(settled.is_ok(), "{level:?}: {before:?} before, {:?} after", counts());
        println!("{level:?}: {count} trees, 0 survivors, 0 zombies");
    }
}

async fn one(spawner: &LinuxSpawner, level: Level, words: &[&str]) {
    let program = OwnedFd::from(File::open(&*program::PROGRAM).unwrap());
    let spec = Spec::new(Program::Fd(program)).arg("tree").args(words.iter().copied()).level(level);
    let spec = spec.accept(Guarantee::Memory).accept(Guarantee::Cpu).stdout(Stdio::Pipe);
    let child = spawner.spawn(spec).unwrap();
    let mut stdout = child.take_stdout().unwrap();
    // The first of them says so when the tree stands, or that it may not grow one.
    let mut byte = [0; 1];
    tokio::time::timeout(Duration::from_secs(60), stdout.read(&mut byte)).await.unwrap().unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(60), child.stop(Duration::ZERO)).await;
    ended.expect("a tree that is killed ends");
    // Whoever of the tree is left would hold this open.
    let mut rest = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(60), stdout.read_to_end(&mut rest)).await;
    end.expect("somebody of the tree is left").unwrap();
}

/// Descriptors and mounts of this program, and its children and everybody of the attacking program on the host.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    descriptors: usize,
    mounts: usize,
    children: usize,
    attackers: usize,
}

/// Of the control groups that are kept ready for the next, some directories and files each; far fewer than one of a tree.
const KEPT_READY: usize = 128;

impl Counts {
    fn are_back_at(&self, before: &Counts) -> bool {
        let rest = |counts: &Counts| (counts.mounts, counts.children, counts.attackers);
        rest(self) == rest(before) && self.descriptors <= before.descriptors + KEPT_READY
    }
}

fn counts() -> Counts {
    let own = std::process::id().to_string();
    let processes = || fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let stats = processes().filter_map(|path| fs::read_to_string(path.join("stat")).ok());
    let parent = |stat: &String| Some(stat.rsplit(')').next()?.split_whitespace().nth(1)?.to_owned());
    let commands = processes().filter_map(|path| fs::read(path.join("cmdline")).ok());
    Counts {
        descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
        mounts: fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count(),
        children: stats.filter(|stat| parent(stat).as_ref() == Some(&own)).count(),
        attackers: commands.filter(|command| command.starts_with(b"tree\0")).count(),
    }
}

/// The counts once two looks agree.
async fn until_steady() -> Counts {
    let mut last = counts();
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = counts();
        if now == last {
            return now;
        }
        last = now;
    }
}
