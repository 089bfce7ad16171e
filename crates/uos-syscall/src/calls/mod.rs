//! The calls, one file a family.

mod attributes;
mod birth;
mod classes;
mod connections;
mod content;
mod copying;
mod descriptors;
mod environment;
mod explain;
mod figures;
mod files;
mod groups;
mod handing;
mod handles;
mod knobs;
mod locks;
mod memory;
mod mounting;
mod moving;
mod names;
mod network;
mod open_files;
mod pipes;
mod poll;
mod processes;
mod programs;
mod queues;
mod removal;
mod scheduling;
mod segments;
mod signals;
mod snapshots;
mod sockets;
mod standing;
mod stdio;
mod system;
mod traffic;
mod view;
mod watching;
mod workdir;
mod xattrs;

pub(crate) use files::name_of;
pub(crate) use handing::Handed;

use std::time::Duration;

/// The most data in one reply.
pub(crate) const REPLY_BYTES: u64 = 1 << 20;
/// How much is read when the caller doesn't say.
const DEFAULT_READ: u64 = 64 << 10;
/// Longer waits are as good as endless, and clocks can count them.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3_600);

/// How much a reply may hold, of what was asked for.
fn reply_bytes(asked: u64) -> usize {
    (if asked == 0 { DEFAULT_READ } else { asked.min(REPLY_BYTES) }) as usize
}

/// How many entries a reply may hold, of what was asked for.
fn reply_entries(asked: u32) -> usize {
    (if asked == 0 { 1_000 } else { asked.min(4_096) }) as usize
}

/// Waits for an answer; `None` when the time is up first. Unset waits as long as it takes, 0 only looks.
async fn within<T>(timeout_us: Option<u64>, answer: impl Future<Output = T>) -> Option<T> {
    match timeout_us.map(Duration::from_micros).filter(|timeout| *timeout < LONGEST) {
        Some(timeout) => tokio::time::timeout(timeout, answer).await.ok(),
        None => Some(answer.await),
    }
}
