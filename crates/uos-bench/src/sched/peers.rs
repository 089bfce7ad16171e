//! The plain structures without a scheduler around them.

use std::{
    collections::{BTreeSet, VecDeque},
    hint::black_box,
};

use super::{part, weight};

pub(super) trait Peer {
    /// Takes the next out, charges it for what it ran, puts it in again.
    fn step(&mut self, ran_us: u64);

    fn steps(&mut self, many: u32, random: &mut u64) {
        (0..many).for_each(|_| self.step(part(random)));
    }
}

/// The next is the first.
pub(super) struct Turns(pub(super) VecDeque<u32>);

impl Peer for Turns {
    #[inline]
    fn step(&mut self, _: u64) {
        if let Some(task) = self.0.pop_front() {
            self.0.push_back(black_box(task));
        }
    }
}

/// The next is the first of the highest level that is not empty.
pub(super) struct Levels(pub(super) Vec<VecDeque<u32>>);

impl Peer for Levels {
    #[inline]
    fn step(&mut self, _: u64) {
        if let Some(queue) = self.0.iter_mut().rev().find(|queue| !queue.is_empty())
            && let Some(task) = queue.pop_front()
        {
            queue.push_back(black_box(task));
        }
    }
}

/// The next is the one with the least virtual runtime; of equals, the first to come.
pub(super) struct Ordered {
    queue: BTreeSet<(u64, u32, u32)>,
    weights: Vec<u32>,
    arrivals: u32,
}

impl Ordered {
    pub(super) fn new(tasks: u32) -> Ordered {
        let queue = (0..tasks).map(|task| (0, task, task)).collect();
        Ordered { queue, weights: (0..tasks).map(weight).collect(), arrivals: tasks }
    }
}

impl Peer for Ordered {
    #[inline]
    fn step(&mut self, ran_us: u64) {
        if let Some((vruntime, _, task)) = self.queue.pop_first() {
            self.arrivals = self.arrivals.wrapping_add(1);
            let ran = ran_us * 1_000 * 1_024 / u64::from(self.weights[task as usize]);
            self.queue.insert((vruntime + ran, self.arrivals, black_box(task)));
        }
    }
}
