//! Nothing is left behind: no descriptor, no zombie, no orphan. One test, so that nothing else in this program
//! opens descriptors or starts children while it counts.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::fs;

use common::{refusal, run, shell, spawn, spec, within};
use tokio::task::yield_now;
use uos_proc::{Spawner, Stdio};

#[tokio::test]
async fn counts_return_to_where_they_were() {
    // The spawner's and the runtime's own descriptors come with the first child.
    run(spec("/bin/true")).await;
    let open = fewest_descriptors().await;
    assert_eq!(children(), 0);

    for _ in 0..200 {
        assert!(run(spec("/bin/true")).await.0.cause.success());
    }
    for _ in 0..50 {
        refusal(spec("/no/such/program").stdin(Stdio::Pipe).stdout(Stdio::Pipe));
    }
    // The thread that starts them lets go of the last of it when it has said so.
    until(|| descriptors() <= open && children() == 0).await;

    // Dropped while running, never waited for.
    let running: Vec<_> = (0..20).map(|_| spawn(shell("sleep 1000 & wait").stdin(Stdio::Pipe))).collect();
    assert_eq!(children(), 20);
    drop(running);
    // Dropped after a wait was given up.
    let child = spawn(spec("/bin/sleep").arg("1000"));
    tokio::select! { biased; _ = child.wait() => panic!("it sleeps"), () = yield_now() => {} }
    drop(child);
    // Dropped when it may or may not have exited.
    for _ in 0..50 {
        drop(spawn(spec("/bin/true")));
    }
    until(|| children() == 0 && descriptors() <= open).await;

    // The same when the spawner goes first.
    let spawner = uos_proc::LinuxSpawner::new().unwrap();
    let child = spawner.spawn(spec("/bin/sleep").arg("1000")).unwrap();
    drop(spawner);
    drop(child);
    until(|| children() == 0 && descriptors() <= open).await;
}

async fn until(is_so: impl Fn() -> bool) {
    within(async {
        while !is_so() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// How many are open for good. The thread that starts children holds some for a moment after it has said that one is there.
async fn fewest_descriptors() -> usize {
    let mut fewest = descriptors();
    for _ in 0..100 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        fewest = fewest.min(descriptors());
    }
    fewest
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Children of this process, zombies included.
fn children() -> usize {
    let own = std::process::id().to_string();
    let parent = |stat: String| stat.rsplit(')').next()?.split_whitespace().nth(1).map(str::to_owned);
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let stats = processes.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    stats.filter_map(parent).filter(|parent| *parent == own).count()
}
