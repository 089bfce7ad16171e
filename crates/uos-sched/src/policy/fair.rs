//! Sharing by weight: whoever has had the least, for its weight, is next.

use super::{Arrival, Pick, Policy};
use crate::{Cpu, Nanos, Quantum, TaskId, Weight};
use std::collections::BTreeSet;

/// Weighted fair sharing by virtual runtime.
///
/// A task's virtual runtime is its CPU time divided by its weight. The lowest runs, for at most one
/// slice, so two tasks that both want to run are never further apart than a slice of each:
/// `|v_i − v_j| ≤ slice/w_i + slice/w_j` (on one CPU, if slices are kept to).
///
/// Those who come are placed at the *floor*, the lowest virtual runtime of all that can run, which never
/// sinks. A newcomer starts there. A sleeper keeps what it had, but for its sleep it is credited one
/// slice at the most: it runs soon, and it cannot save up time to hold a CPU with.
pub struct Fair {
    slice: Quantum,
    /// By slot. An entry is valid from `join` to `leave`.
    entities: Vec<Entity>,
    queue: BTreeSet<Key>,
    running: Vec<TaskId>,
    floor: Virtual,
    arrivals: u64,
}

/// CPU nanoseconds per unit of weight, with 32 bits behind the point. Centuries of CPU time at weight 1
/// need 96 bits, so nothing wraps and plain comparison is right.
type Virtual = u128;

#[derive(Clone, Copy)]
struct Entity {
    weight: Weight,
    vruntime: Virtual,
    /// Its place among equals, while it is queued.
    arrival: Option<u64>,
}

/// Virtual runtime, then order of arrival; the task is only carried along.
type Key = (Virtual, u64, TaskId);

impl Fair {
    /// With this slice instead of the default 4 ms.
    pub fn new(slice: Quantum) -> Fair {
        let (entities, queue, running) = (Vec::new(), BTreeSet::new(), Vec::new());
        Fair { slice, entities, queue, running, floor: 0, arrivals: 0 }
    }

    fn insert(&mut self, task: TaskId) {
        self.arrivals += 1;
        let entity = &mut self.entities[task.slot()];
        entity.arrival = Some(self.arrivals);
        self.queue.insert((entity.vruntime, self.arrivals, task));
    }

    /// Takes it out of the queue; answers whether it was in it.
    fn extract(&mut self, task: TaskId) -> bool {
        let entity = &mut self.entities[task.slot()];
        let Some(arrival) = entity.arrival.take() else { return false };
        self.queue.remove(&(entity.vruntime, arrival, task))
    }

    fn stop(&mut self, task: TaskId) {
        if let Some(at) = self.running.iter().position(|&running| running == task) {
            self.running.swap_remove(at);
        }
    }

    /// Lifts the floor to the lowest of all that can run. Called after whatever can lift that.
    fn raise_floor(&mut self) {
        let queued = self.queue.first().map(|&(vruntime, ..)| vruntime);
        let running = self.running.iter().map(|task| self.entities[task.slot()].vruntime);
        if let Some(lowest) = running.chain(queued).min() {
            self.floor = self.floor.max(lowest);
        }
    }
}

impl Default for Fair {
    /// 4 ms: short enough for a person to see no stutter among a few tasks, long against a switch.
    fn default() -> Fair {
        Fair::new(Quantum::new(Nanos::from_millis(4)).expect("within the bounds"))
    }
}

impl Policy for Fair {
    fn name(&self) -> &'static str {
        "fair"
    }

    fn join(&mut self, task: TaskId, weight: Weight) {
        let blank = Entity { weight, vruntime: 0, arrival: None };
        if self.entities.len() <= task.slot() {
            self.entities.resize(task.slot() + 1, blank);
        }
        self.entities[task.slot()] = blank;
    }

    fn leave(&mut self, _: TaskId) {}

    fn enqueue(&mut self, task: TaskId, arrival: Arrival, _: Nanos) {
        self.stop(task);
        let entity = &mut self.entities[task.slot()];
        match arrival {
            Arrival::Joined => entity.vruntime = self.floor,
            Arrival::Woken => {
                let credit = virtual_time(self.slice.length(), entity.weight);
                entity.vruntime = entity.vruntime.max(self.floor.saturating_sub(credit));
            }
            Arrival::Expired => {}
            // Behind the first of those who wait, by giving up the time it was ahead of it.
            Arrival::Yielded => {
                let first = self.queue.first().map_or(0, |&(vruntime, ..)| vruntime);
                entity.vruntime = entity.vruntime.max(first);
            }
        }
        self.insert(task);
        self.raise_floor();
    }

    fn dequeue(&mut self, task: TaskId) {
        self.extract(task);
        self.stop(task);
        self.raise_floor();
    }

    fn pick(&mut self, _: Cpu, _: Nanos) -> Option<Pick> {
        let (_, _, task) = self.queue.pop_first()?;
        self.entities[task.slot()].arrival = None;
        self.running.push(task);
        Some(Pick { task, slice: self.slice.length() })
    }

    fn charge(&mut self, task: TaskId, ran: Nanos) {
        // Queued too: an operating system may have run it without asking us.
        let queued = self.extract(task);
        let entity = &mut self.entities[task.slot()];
        entity.vruntime += virtual_time(ran, entity.weight);
        if queued {
            self.insert(task);
        }
        self.raise_floor();
    }

    /// Keeps what it is ahead or behind *in CPU time*; as virtual time that is more for a lighter task.
    fn set_weight(&mut self, task: TaskId, weight: Weight) {
        let queued = self.extract(task);
        let entity = &mut self.entities[task.slot()];
        let (from, to) = (Virtual::from(entity.weight.get()), Virtual::from(weight.get()));
        let rescaled = entity.vruntime.abs_diff(self.floor) * from / to;
        entity.vruntime = match entity.vruntime > self.floor {
            true => self.floor + rescaled,
            false => self.floor.saturating_sub(rescaled),
        };
        entity.weight = weight;
        if queued {
            self.insert(task);
        }
        self.raise_floor();
    }
}

fn virtual_time(ran: Nanos, weight: Weight) -> Virtual {
    (Virtual::from(ran.0) << 32) / Virtual::from(weight.get())
}
