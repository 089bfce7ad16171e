//! The number of processes and threads: the one controller that is the same in both versions.

use super::Counters;
use super::bounds::Bounds;
use super::change::{Changes, Refused, or};
use super::dir::Dir;

/// What is read when all are gone.
pub(super) const FILES: [&str; 2] = [PEAK, EVENTS];
const PEAK: &str = "pids.peak";
const EVENTS: &str = "pids.events";

pub(super) fn change<'a>(
    changes: &mut Changes<'a>,
    dir: Option<&'a Dir>,
    from: &Bounds,
    to: &Bounds,
) -> Result<(), Refused> {
    changes.add("pids", dir, "pids.max", or(from.pids, "max"), or(to.pids, "max"))
}

/// The peak is not told by kernels before 6.6.
pub(super) fn spent(dir: Option<&Dir>) -> Counters {
    let pids_peak = dir.and_then(|dir| dir.number(PEAK).ok());
    Counters { pids: dir.map(|_| 0), pids_peak, ..Counters::default() }
}

pub(super) fn now(dir: Option<&Dir>) -> Option<u64> {
    dir?.number("pids.current").ok()
}

/// How often a new process or thread was denied.
pub(super) fn denials(dir: Option<&Dir>) -> u64 {
    dir.and_then(|dir| dir.field(EVENTS, "max").ok()).unwrap_or(0)
}
