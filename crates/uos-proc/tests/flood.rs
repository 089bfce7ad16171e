//! Streams that are held up: by a reader that is slow, a program that never reads, an output that is closed.
//!
//! `UOS_CAMPAIGN_FLOOD_MIB` is how much a program pours into a slow reader.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::time::Duration;

use common::{shell, spawn, spec, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uos_proc::{ExitCause, Signal, Stdio};

/// One test at a time measures memory.
#[tokio::test]
async fn a_flood_of_output_waits_for_its_reader() {
    let mib = std::env::var("UOS_CAMPAIGN_FLOOD_MIB").ok().and_then(|mib| mib.parse().ok()).unwrap_or(256u64);
    let child = spawn(spec("/usr/bin/yes").stdout(Stdio::Pipe));
    let mut stdout = child.take_stdout().unwrap();
    let mut bytes = vec![0; 256 << 10];
    // Nobody reads: it is held up after a pipe's length, and uses no more processor.
    let sleeps = async {
        while state(child.os_pid()) != 'S' {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    within(sleeps).await;
    // It may have some microseconds to go until it has left its CPU; one that went on writing would never come to an end.
    let mut before = child.usage().cpu_user_us;
    let uses_none = async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = child.usage().cpu_user_us;
            if now == before {
                break;
            }
            before = now;
        }
    };
    within(uses_none).await;

    let mut so_far = within(stdout.read(&mut bytes)).await.unwrap();
    let pattern = b"y\n".repeat(bytes.len());
    let before = resident_kib();
    let mut left = mib << 20;
    while left > 0 {
        let read =
            tokio::time::timeout(Duration::from_secs(60), stdout.read(&mut bytes)).await.unwrap().unwrap();
        assert!(bytes[..read] == pattern[so_far % 2..][..read], "what came is not what was said");
        so_far += read;
        left = left.saturating_sub(read as u64);
    }
    let grown = resident_kib().saturating_sub(before);
    println!("{mib} MiB read, {grown} KiB more resident");
    assert!(grown < 4096, "{grown} KiB more for {mib} MiB of output");
    drop(stdout);
    let by_pipe = ExitCause::Signaled { signal: Signal::PIPE, core: false };
    assert_eq!(within(child.wait()).await.cause, by_pipe);
}

#[tokio::test]
async fn a_program_that_never_reads_holds_nobody_up() {
    let child = spawn(spec("/bin/sleep").arg("1000").stdin(Stdio::Pipe));
    let mut stdin = child.take_stdin().unwrap();
    let pour = async {
        loop {
            stdin.write_all(&[b'x'; 4096]).await.unwrap();
        }
    };
    // The pipe is full, and the writer waits without holding a thread: others of the one there is go on.
    tokio::select! {
        () = pour => unreachable!("a pipe has an end"),
        () = tokio::time::sleep(Duration::from_millis(100)) => {}
    }
    assert_eq!(child.try_wait(), None);
    let stopped = within(child.stop(Duration::from_secs(1000))).await;
    assert_eq!(stopped.cause, ExitCause::Signaled { signal: Signal::TERM, core: false });
    within(async { while stdin.write_all(b"x").await.is_ok() {} }).await;
}

#[tokio::test]
async fn a_program_that_closes_its_output_runs_on() {
    let child = spawn(shell("exec >&-; read go").stdin(Stdio::Pipe).stdout(Stdio::Pipe));
    let mut stdout = child.take_stdout().unwrap();
    assert_eq!(within(stdout.read(&mut [0; 8])).await.unwrap(), 0);
    assert_eq!(child.try_wait(), None);
    drop(child.take_stdin());
    assert_eq!(within(child.wait()).await.cause, ExitCause::Exited(1));
}

/// `R` for one that runs, `S` for one that waits.
fn state(os_pid: u32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{os_pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.trim_start().chars().next().unwrap()
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
