//! Taking turns: everybody gets the same quantum, in the order they came.

use super::{Arrival, Pick, Policy};
use crate::{Cpu, Nanos, Quantum, TaskId, Weight};

/// Round-robin. Weights are ignored; among `n` that can run, nobody waits longer than `n − 1` quanta.
///
/// The queue is a ring linked through the tasks' slots, so every operation takes the same time however
/// many tasks there are, leaving from the middle included.
#[derive(Default)]
pub struct RoundRobin {
    quantum: Quantum,
    /// By slot; `None` where the task is not queued.
    links: Vec<Option<Link>>,
    ends: Option<(TaskId, TaskId)>,
}

#[derive(Clone, Copy)]
struct Link {
    before: Option<TaskId>,
    behind: Option<TaskId>,
}

impl RoundRobin {
    /// With this quantum instead of the default [`Quantum::DEFAULT`], 10 ms.
    pub fn new(quantum: Quantum) -> RoundRobin {
        RoundRobin { quantum, ..RoundRobin::default() }
    }

    fn push_back(&mut self, task: TaskId) {
        let last = self.ends.map(|(_, last)| last);
        self.links[task.slot()] = Some(Link { before: last, behind: None });
        if let Some(last) = last {
            self.link(last).behind = Some(task);
        }
        self.ends = Some((self.ends.map_or(task, |(first, _)| first), task));
    }

    /// Closes the gap it leaves, if it is queued.
    fn unlink(&mut self, task: TaskId) {
        let Some(Link { before, behind }) = self.links[task.slot()].take() else { return };
        if let Some(before) = before {
            self.link(before).behind = behind;
        }
        if let Some(behind) = behind {
            self.link(behind).before = before;
        }
        let (first, last) = self.ends.expect("there are ends while somebody is queued");
        let first = if first == task { behind } else { Some(first) };
        let last = if last == task { before } else { Some(last) };
        self.ends = first.zip(last);
    }

    fn link(&mut self, task: TaskId) -> &mut Link {
        self.links[task.slot()].as_mut().expect("a neighbour in the queue is queued")
    }
}

impl Policy for RoundRobin {
    fn name(&self) -> &'static str {
        "round-robin"
    }

    fn join(&mut self, task: TaskId, _: Weight) {
        if self.links.len() <= task.slot() {
            self.links.resize(task.slot() + 1, None);
        }
    }

    fn leave(&mut self, _: TaskId) {}

    fn enqueue(&mut self, task: TaskId, _: Arrival, _: Nanos) {
        self.push_back(task);
    }

    fn dequeue(&mut self, task: TaskId) {
        self.unlink(task);
    }

    fn pick(&mut self, _: Cpu, _: Nanos) -> Option<Pick> {
        let (task, _) = self.ends?;
        self.unlink(task);
        Some(Pick { task, slice: self.quantum.length() })
    }

    fn charge(&mut self, _: TaskId, _: Nanos) {}

    fn set_weight(&mut self, _: TaskId, _: Weight) {}
}
