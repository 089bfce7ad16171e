//! What happened so far, as plain numbers.

use crate::{Cpu, Nanos, Weight};

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
    /// It runs.
    Running(Cpu),
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
