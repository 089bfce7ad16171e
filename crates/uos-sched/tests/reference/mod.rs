//! Each policy once more, as a vector that is sorted whenever somebody is picked. Slow and plain.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use uos_sched::{Arrival, Cpu, Nanos, Pick, Policy, TaskId, Weight};

/// A policy the test can look into while a scheduler owns it.
#[derive(Default)]
pub(crate) struct Seen<P>(pub(crate) Rc<RefCell<P>>);

/// Turns, as a vector.
pub(crate) struct NaiveTurns {
    pub(crate) quantum: Nanos,
    pub(crate) queue: Vec<TaskId>,
}

/// Weighted fair sharing, as a vector of whom and what they had.
pub(crate) struct NaiveFair {
    pub(crate) slice: Nanos,
    pub(crate) tasks: HashMap<TaskId, Share>,
    pub(crate) floor: u128,
    pub(crate) arrivals: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Share {
    pub(crate) weight: u128,
    pub(crate) vruntime: u128,
    pub(crate) place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Idle,
    Queued(u64),
    Running,
}

impl NaiveFair {
    pub(crate) fn new(slice: Nanos) -> NaiveFair {
        NaiveFair { slice, tasks: HashMap::new(), floor: 0, arrivals: 0 }
    }

    /// A slice of this weight in virtual time.
    pub(crate) fn slice_at(&self, weight: u128) -> u128 {
        (u128::from(self.slice.0) << 32) / weight
    }

    pub(crate) fn runnable(&self) -> impl Iterator<Item = &Share> {
        self.tasks.values().filter(|share| share.place != Place::Idle)
    }

    fn sorted(&self) -> Vec<(u128, u64, TaskId)> {
        let queued = self.tasks.iter().filter_map(|(&task, share)| match share.place {
            Place::Queued(arrival) => Some((share.vruntime, arrival, task)),
            _ => None,
        });
        let mut queued: Vec<_> = queued.collect();
        queued.sort();
        queued
    }

    fn change(&mut self, task: TaskId, change: impl FnOnce(&mut Share)) {
        let share = self.tasks.get_mut(&task).unwrap();
        change(share);
        // Whoever moves while queued arrives anew, after its equals.
        if let Place::Queued(arrival) = &mut share.place {
            self.arrivals += 1;
            *arrival = self.arrivals;
        }
        let lowest = self.runnable().map(|share| share.vruntime).min();
        self.floor = self.floor.max(lowest.unwrap_or(0));
    }
}

impl Policy for NaiveFair {
    fn name(&self) -> &'static str {
        "fair"
    }

    fn join(&mut self, task: TaskId, weight: Weight) {
        let share = Share { weight: weight.get().into(), vruntime: 0, place: Place::Idle };
        assert!(self.tasks.insert(task, share).is_none());
    }

    fn leave(&mut self, task: TaskId) {
        assert_eq!(self.tasks.remove(&task).unwrap().place, Place::Idle);
    }

    fn enqueue(&mut self, task: TaskId, arrival: Arrival, _: Nanos) {
        let first = self.sorted().first().map_or(0, |first| first.0);
        let credit = self.slice_at(self.tasks[&task].weight);
        let floor = self.floor;
        self.change(task, |share| {
            assert!(!matches!(share.place, Place::Queued(_)));
            share.vruntime = match arrival {
                Arrival::Joined => floor,
                Arrival::Woken => share.vruntime.max(floor.saturating_sub(credit)),
                Arrival::Yielded => share.vruntime.max(first),
                _ => share.vruntime,
            };
            share.place = Place::Queued(0);
        });
    }

    fn dequeue(&mut self, task: TaskId) {
        self.change(task, |share| {
            assert_ne!(share.place, Place::Idle);
            share.place = Place::Idle;
        });
    }

    fn pick(&mut self, _: Cpu, _: Nanos) -> Option<Pick> {
        let &(_, _, task) = self.sorted().first()?;
        self.tasks.get_mut(&task).unwrap().place = Place::Running;
        Some(Pick { task, slice: self.slice })
    }

    fn charge(&mut self, task: TaskId, ran: Nanos) {
        self.change(task, |share| share.vruntime += (u128::from(ran.0) << 32) / share.weight);
    }

    fn set_weight(&mut self, task: TaskId, weight: Weight) {
        let floor = self.floor;
        self.change(task, |share| {
            let to = u128::from(weight.get());
            share.vruntime = if share.vruntime > floor {
                floor + (share.vruntime - floor) * share.weight / to
            } else {
                floor.saturating_sub((floor - share.vruntime) * share.weight / to)
            };
            share.weight = to;
        });
    }
}

impl Policy for NaiveTurns {
    fn name(&self) -> &'static str {
        "round-robin"
    }

    fn join(&mut self, _: TaskId, _: Weight) {}

    fn leave(&mut self, task: TaskId) {
        assert!(!self.queue.contains(&task));
    }

    fn enqueue(&mut self, task: TaskId, _: Arrival, _: Nanos) {
        assert!(!self.queue.contains(&task));
        self.queue.push(task);
    }

    fn dequeue(&mut self, task: TaskId) {
        self.queue.retain(|&queued| queued != task);
    }

    fn pick(&mut self, _: Cpu, _: Nanos) -> Option<Pick> {
        (!self.queue.is_empty()).then(|| Pick { task: self.queue.remove(0), slice: self.quantum })
    }

    fn charge(&mut self, _: TaskId, _: Nanos) {}

    fn set_weight(&mut self, _: TaskId, _: Weight) {}
}

impl<P: Policy> Policy for Seen<P> {
    fn name(&self) -> &'static str {
        self.0.borrow().name()
    }

    fn join(&mut self, task: TaskId, weight: Weight) {
        self.0.borrow_mut().join(task, weight);
    }

    fn leave(&mut self, task: TaskId) {
        self.0.borrow_mut().leave(task);
    }

    fn enqueue(&mut self, task: TaskId, arrival: Arrival, now: Nanos) {
        self.0.borrow_mut().enqueue(task, arrival, now);
    }

    fn dequeue(&mut self, task: TaskId) {
        self.0.borrow_mut().dequeue(task);
    }

    fn pick(&mut self, cpu: Cpu, now: Nanos) -> Option<Pick> {
        self.0.borrow_mut().pick(cpu, now)
    }

    fn charge(&mut self, task: TaskId, ran: Nanos) {
        self.0.borrow_mut().charge(task, ran);
    }

    fn set_weight(&mut self, task: TaskId, weight: Weight) {
        self.0.borrow_mut().set_weight(task, weight);
    }
}
