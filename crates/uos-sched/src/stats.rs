//! What happened so far, as plain numbers.

use crate::{Class, Cpu, GroupId, Nanos, Priority, TaskId, Weight};
use std::fmt;

/// A scheduler's numbers since it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// What the policy is called.
    pub policy: &'static str,
    /// How often a task was given a CPU.
    pub scheduled: u64,
    /// How often that was another task than the CPU had run before.
    pub context_switches: u64,
    /// How many of those switches were against the will of the one before, its slice being over.
    pub preemptions: u64,
    /// How often a waiting task was moved from one CPU's queue to another's.
    pub migrations: u64,
    /// How many tasks there are, blocked ones too.
    pub active: usize,
    /// How many of them run now.
    pub running: usize,
    /// The CPU time of all tasks together, those that have left too.
    pub runtime: Nanos,
}

/// One task's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskStats {
    /// Where it is.
    pub state: TaskState,
    /// Its weight now.
    pub weight: Weight,
    /// Its priority now.
    pub priority: Priority,
    /// Its class now.
    pub class: Class,
    /// The group it is in.
    pub group: GroupId,
    /// The CPU it runs on, waits for or ran on last.
    pub cpu: Cpu,
    /// The CPU time it got.
    pub runtime: Nanos,
    /// The CPU time it was owed: its part by weight of all that was given out while it could run, as if
    /// CPUs could be split at will. A weight too large for one CPU is owed more than one can give.
    pub entitled: Nanos,
    /// How often it waited and then got a CPU.
    pub waits: u64,
    /// How long it waited, altogether.
    pub waited: Nanos,
    /// How often it lost its CPU to another at the end of a slice.
    pub preemptions: u64,
}

/// Where a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// It does not want to run.
    Blocked,
    /// It wants to run.
    Waiting,
    /// It wants to run, and has used up what it reserved for this period.
    Throttled,
    /// It runs.
    Running(Cpu),
}

/// How long those waited who got a CPU: counts by powers of two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Histogram {
    pub(crate) counts: [u64; 65],
}

impl Histogram {
    pub(crate) const EMPTY: Histogram = Histogram { counts: [0; 65] };

    pub(crate) fn count(&mut self, ns: u64) {
        self.counts[(u64::BITS - ns.leading_zeros()) as usize] += 1;
    }

    /// How many waits there were.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The buckets that are not empty, as the longest wait each can hold and its count: 0, 1, 3, 7 … ns.
    pub fn buckets(&self) -> impl Iterator<Item = (Nanos, u64)> + '_ {
        let counted = self.counts.iter().zip(0u32..).filter(|&(&count, _)| count > 0);
        counted.map(|(&count, bits)| (Self::longest(bits), count))
    }

    /// A wait that this many thousandths of all waits did not exceed, rounded up to the end of its bucket; none if
    /// nobody has waited yet.
    pub fn quantile(&self, thousandths: u32) -> Option<Nanos> {
        let wanted = (u128::from(self.total()) * u128::from(thousandths)).div_ceil(1000).max(1);
        let mut seen = 0u128;
        self.buckets().find_map(|(longest, count)| {
            seen += u128::from(count);
            (seen >= wanted).then_some(longest)
        })
    }

    fn longest(bits: u32) -> Nanos {
        Nanos(u64::MAX.checked_shr(u64::BITS - bits).unwrap_or(0))
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.buckets()).finish()
    }
}

/// Who had a CPU, and who has it now; nobody if nobody waits that may run there now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Switch {
    /// Who was taken off.
    pub from: TaskId,
    /// Who runs; the same one if it is the first again.
    pub to: Option<Pick>,
}

/// A decision: this task, for at most this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pick {
    /// Who runs.
    pub task: TaskId,
    /// How long until others must be looked at.
    pub slice: Nanos,
}

/// What a kernel that decides by itself did with a task since the last time it was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The CPU time it got.
    pub runtime: Nanos,
    /// How often it was switched to.
    pub switches: u64,
    /// How often it lost its CPU against its will.
    pub preemptions: u64,
}

impl TaskStats {
    /// What it is still owed, in nanoseconds; below zero if it has had more than its part.
    pub fn lag_ns(&self) -> i128 {
        i128::from(self.entitled.0) - i128::from(self.runtime.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_counted_by_powers_of_two() {
        let mut histogram = Histogram::EMPTY;
        assert_eq!(histogram.quantile(500), None);
        for ns in [0, 1, 2, 3, 1_000, u64::MAX] {
            histogram.count(ns);
        }
        let buckets: Vec<_> = histogram.buckets().map(|(longest, count)| (longest.0, count)).collect();
        assert_eq!(buckets, [(0, 1), (1, 1), (3, 2), (1023, 1), (u64::MAX, 1)]);
        assert_eq!(histogram.quantile(0), Some(Nanos(0)));
        assert_eq!(histogram.quantile(500), Some(Nanos(3)));
        assert_eq!(histogram.quantile(1000), Some(Nanos(u64::MAX)));
    }
}
