//! Shares over a window: what everybody got, and was owed, between two moments.

use crate::stats::TaskStats;
use crate::{Nanos, TaskId};
use std::collections::BTreeMap;

/// Everybody's numbers at one moment, to be compared with those at a later one.
///
/// [`Scheduler::reading`](crate::Scheduler::reading) takes one. It takes time and memory for each task; in between
/// nothing is kept, so that as many windows as are wanted can be open at the same time.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    at: Nanos,
    runtime: Nanos,
    tasks: BTreeMap<TaskId, TaskStats>,
}

/// What one task got in a window, beside what it was owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Share {
    /// Whose.
    pub task: TaskId,
    /// The CPU time it got.
    pub runtime: Nanos,
    /// The CPU time it was owed: its part by weight while it could run.
    pub entitled: Nanos,
    /// How often it waited and then got a CPU.
    pub waits: u64,
    /// How long it waited, altogether.
    pub waited: Nanos,
    /// The CPU time all tasks together got, those that have left too.
    pub all: Nanos,
}

impl Reading {
    pub(crate) fn new(
        at: Nanos,
        runtime: Nanos,
        tasks: impl Iterator<Item = (TaskId, TaskStats)>,
    ) -> Reading {
        Reading { at, runtime, tasks: tasks.collect() }
    }

    /// When it was taken.
    pub fn at(&self) -> Nanos {
        self.at
    }

    /// What each task that is in this reading got since an earlier one; one that was not there yet, since it came.
    pub fn since(&self, earlier: &Reading) -> Vec<Share> {
        let all = self.runtime.since(earlier.runtime);
        let share = |(&task, now): (&TaskId, &TaskStats)| {
            let before = earlier.tasks.get(&task);
            let less = |now: Nanos, of: fn(&TaskStats) -> Nanos| now.since(before.map_or(Nanos::ZERO, of));
            Share {
                task,
                runtime: less(now.runtime, |books| books.runtime),
                entitled: less(now.entitled, |books| books.entitled),
                waits: now.waits - before.map_or(0, |books| books.waits),
                waited: less(now.waited, |books| books.waited),
                all,
            }
        };
        self.tasks.iter().map(share).collect()
    }
}

impl Share {
    /// What part it got of the CPU time of all, in millionths, rounded down; nothing if nobody got any.
    pub fn got_ppm(&self) -> u64 {
        ppm(self.runtime, self.all)
    }

    /// What part it was owed, the same way.
    pub fn owed_ppm(&self) -> u64 {
        ppm(self.entitled, self.all)
    }

    /// By how much of what it was owed it got too little or too much, in millionths; none if it was owed nothing.
    pub fn error_ppm(&self) -> Option<u64> {
        let off = self.runtime.0.abs_diff(self.entitled.0);
        (self.entitled > Nanos::ZERO).then(|| ppm(Nanos(off), self.entitled))
    }

    /// Jain's index of what each got for what it was owed, in millionths: a million if it is the same for all, a
    /// million by their number if one got everything. None if nobody was owed anything.
    pub fn jain_ppm(shares: &[Share]) -> Option<u64> {
        let parts = shares.iter().filter(|share| share.entitled > Nanos::ZERO);
        // Millionths, of which a thousandfold is as good as anything larger: then no sum of squares overflows.
        let parts: Vec<u128> =
            parts.map(|share| ppm(share.runtime, share.entitled).min(1_000_000_000).into()).collect();
        let (sum, squares) =
            parts.iter().fold((0, 0), |(sum, squares), part| (sum + part, squares + part * part));
        let most: u128 = squares * parts.len() as u128;
        (most > 0)
            .then(|| u64::try_from(sum * sum / most.div_ceil(1_000_000)).unwrap_or(u64::MAX).min(1_000_000))
    }
}

fn ppm(part: Nanos, of: Nanos) -> u64 {
    let millionths = (u128::from(part.0) * 1_000_000).checked_div(of.0.into()).unwrap_or(0);
    u64::try_from(millionths).unwrap_or(u64::MAX)
}
