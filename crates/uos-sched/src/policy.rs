//! What a scheduling policy is.

mod fair;
mod round_robin;

pub use fair::Fair;
pub use round_robin::RoundRobin;

use crate::{Cpu, Nanos, TaskId, Weight};

/// Decides who runs next. It keeps the order; the [`Scheduler`](crate::Scheduler) keeps everything else.
///
/// To a policy, a task is *idle*, *queued* or *running*, and the scheduler promises this order of calls:
///
/// ```text
///  join ──▶ idle ──enqueue──▶ queued ──pick──▶ running
///            │ ◀───dequeue────┘  ▲ ◀──enqueue───┘ │
///          leave                 idle ◀──dequeue──┘
/// ```
///
/// `charge` and `set_weight` may come in any state. A policy needs to check none of this, and it gets no
/// clock: `now` never goes back. Ties must have an order that depends on the calls alone.
pub trait Policy {
    /// What it is called in statistics.
    fn name(&self) -> &'static str;

    /// A task becomes known, idle.
    fn join(&mut self, task: TaskId, weight: Weight);

    /// An idle task is forgotten. Its slot may come back with another generation.
    fn leave(&mut self, task: TaskId);

    /// A task waits for a CPU from now on.
    fn enqueue(&mut self, task: TaskId, arrival: Arrival, now: Nanos);

    /// A queued or running task becomes idle.
    fn dequeue(&mut self, task: TaskId);

    /// Takes the task that runs next on this CPU from the queue. It must be one if any is queued that may
    /// run there: CPUs don't idle while somebody waits.
    fn pick(&mut self, cpu: Cpu, now: Nanos) -> Option<Pick>;

    /// The task has used this much CPU time since it was last charged.
    fn charge(&mut self, task: TaskId, ran: Nanos);

    /// The weight is another from now on; what ran before is not judged anew.
    fn set_weight(&mut self, task: TaskId, weight: Weight);
}

/// Why a task is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Arrival {
    /// It is new.
    Joined,
    /// It was blocked and can run again.
    Woken,
    /// It ran and would have gone on.
    Expired,
    /// It ran and lets others go first.
    Yielded,
}

/// A decision: this task, for at most this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pick {
    /// Who runs.
    pub task: TaskId,
    /// How long until others must be looked at.
    pub slice: Nanos,
}

/// So that the policy can be chosen at run time: `Scheduler<Box<dyn Policy>>`.
impl<P: Policy + ?Sized> Policy for Box<P> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn join(&mut self, task: TaskId, weight: Weight) {
        (**self).join(task, weight);
    }

    fn leave(&mut self, task: TaskId) {
        (**self).leave(task);
    }

    fn enqueue(&mut self, task: TaskId, arrival: Arrival, now: Nanos) {
        (**self).enqueue(task, arrival, now);
    }

    fn dequeue(&mut self, task: TaskId) {
        (**self).dequeue(task);
    }

    fn pick(&mut self, cpu: Cpu, now: Nanos) -> Option<Pick> {
        (**self).pick(cpu, now)
    }

    fn charge(&mut self, task: TaskId, ran: Nanos) {
        (**self).charge(task, ran);
    }

    fn set_weight(&mut self, task: TaskId, weight: Weight) {
        (**self).set_weight(task, weight);
    }
}
