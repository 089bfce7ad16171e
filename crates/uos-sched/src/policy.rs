//! How ordinary tasks share a CPU.

use crate::{Nanos, Quantum};

/// What decides among the tasks of [`Class::Normal`](crate::Class::Normal), and can be changed while they run.
///
/// Among the tasks of one group on one CPU, with a group counting as one task:
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// Turns: the same quantum for everybody, in the order they came. Weights are ignored; among `n` nobody waits
    /// longer than `n − 1` quanta.
    RoundRobin {
        /// The turn of a task that has no slice of its own.
        quantum: Quantum,
    },
    /// Higher [`Priority`](crate::Priority) first, turns among equals. A lower one runs only while no higher one
    /// wants to, unless waiting ages it.
    Priority {
        /// The turn of a task that has no slice of its own.
        quantum: Quantum,
        /// After each of these a task that waits counts as one level higher, until it has run. Looked at is the
        /// first in line of each level, so every pick looks at up to 256.
        ageing: Option<Quantum>,
    },
    /// Weighted fair sharing by virtual runtime, which is CPU time divided by weight: the lowest runs.
    ///
    /// On one CPU two tasks that want to run are never further apart than a slice of each:
    /// `|v_i − v_j| ≤ slice/w_i + slice/w_j`, if slices are kept to. Newcomers start at the lowest virtual runtime
    /// of all; a sleeper keeps what it had, but is credited one slice at the most, so sleep can't be saved up.
    Fair {
        /// The slice of a task that has none of its own.
        slice: Quantum,
    },
    /// Earliest eligible virtual deadline first: fair sharing with latency as a choice.
    ///
    /// A task is eligible while it has had no more than its part. Of the eligible, the one runs whose present
    /// request, a slice long, ends first in virtual time: a shorter slice means less waiting at the same share.
    /// Nobody is further from its part than a slice while nobody comes or goes, and lag is kept while away.
    Eevdf {
        /// The slice of a task that has none of its own.
        slice: Quantum,
    },
}

/// 4 ms: short enough for a person to see no stutter among a few tasks, long against a switch.
const SLICE: Nanos = Nanos::from_millis(4);

impl Policy {
    /// Turns of 10 ms.
    pub const ROUND_ROBIN: Policy = Policy::RoundRobin { quantum: Quantum::DEFAULT };
    /// Strict priorities, turns of 10 ms among equals, no ageing.
    pub const PRIORITY: Policy = Policy::Priority { quantum: Quantum::DEFAULT, ageing: None };
    /// Fair shares in slices of 4 ms.
    pub const FAIR: Policy = Policy::Fair { slice: Quantum::known(SLICE) };
    /// Fair shares with deadlines, in slices of 4 ms.
    pub const EEVDF: Policy = Policy::Eevdf { slice: Quantum::known(SLICE) };

    /// What it is called: `round-robin`, `priority`, `fair` or `eevdf`.
    pub fn name(&self) -> &'static str {
        match self {
            Policy::RoundRobin { .. } => "round-robin",
            Policy::Priority { .. } => "priority",
            Policy::Fair { .. } => "fair",
            Policy::Eevdf { .. } => "eevdf",
        }
    }

    /// The policy of this name, with its default slice.
    pub fn named(name: &str) -> Option<Policy> {
        let all = [Policy::ROUND_ROBIN, Policy::PRIORITY, Policy::FAIR, Policy::EEVDF];
        all.into_iter().find(|policy| policy.name() == name)
    }

    /// The same with another quantum or slice.
    pub fn with_slice(self, slice: Quantum) -> Policy {
        match self {
            Policy::RoundRobin { .. } => Policy::RoundRobin { quantum: slice },
            Policy::Priority { ageing, .. } => Policy::Priority { quantum: slice, ageing },
            Policy::Fair { .. } => Policy::Fair { slice },
            Policy::Eevdf { .. } => Policy::Eevdf { slice },
        }
    }

    /// The slice of a task that has none of its own.
    pub fn slice(&self) -> Quantum {
        match *self {
            Policy::RoundRobin { quantum } | Policy::Priority { quantum, .. } => quantum,
            Policy::Fair { slice } | Policy::Eevdf { slice } => slice,
        }
    }

    /// What a weight counts for when shares are reckoned: nothing where everybody gets the same turn.
    pub(crate) fn counted(&self, weight: u32) -> u32 {
        match self {
            Policy::RoundRobin { .. } => 1024,
            _ => weight,
        }
    }
}

impl Default for Policy {
    fn default() -> Policy {
        Policy::FAIR
    }
}
