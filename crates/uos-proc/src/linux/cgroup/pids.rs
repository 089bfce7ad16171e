//! The number of processes and threads: the one controller that is the same in both versions.

use super::Counters;
use super::bounds::Bounds;
use super::change::{Changes, Refused, or};
use super::dir::Dir;

pub(super) fn change<'a>(
    changes: &mut Changes<'a>,
    dir: Option<&'a Dir>,
    from: &Bounds,
    to: &Bounds,
) -> Result<(), Refused> {
    changes.add("pids", dir, "pids.max", or(from.pids, "max"), or(to.pids, "max"))
}

/// The peak is not told by kernels before 6.6.
pub(super) fn usage(dir: Option<&Dir>) -> Counters {
    let number = |file| dir?.number(file).ok();
    Counters { pids: number("pids.current"), pids_peak: number("pids.peak"), ..Counters::default() }
}

/// How often a new process or thread was denied.
pub(super) fn denials(dir: Option<&Dir>) -> u64 {
    dir.and_then(|dir| dir.field("pids.events", "max").ok()).unwrap_or(0)
}
