//! The textbook's structure for EEVDF: a tree by virtual runtime, each node knowing the earliest deadline below it.

use super::{SLICE_US, peers::Peer};
use std::hint::black_box;

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Node {
    key: (u64, u32),
    deadline: u64,
    earliest: u64,
    heat: u32,
    left: u32,
    right: u32,
}

pub(super) struct Treap {
    nodes: Vec<Node>,
    weights: Vec<u32>,
    root: u32,
    weight: u128,
    sum: u128,
    seed: u32,
}

impl Treap {
    pub(super) fn new(weights: impl Iterator<Item = u32>) -> Treap {
        let weights: Vec<u32> = weights.collect();
        let blank = Node { key: (0, 0), deadline: 0, earliest: 0, heat: 0, left: NONE, right: NONE };
        let nodes = vec![blank; weights.len()];
        let weight = weights.iter().map(|&weight| u128::from(weight)).sum();
        let mut treap = Treap { nodes, weights, root: NONE, weight, sum: 0, seed: 1 };
        (0..treap.weights.len() as u32).for_each(|task| treap.insert(task, 0));
        treap
    }

    fn request(&self, task: u32) -> u64 {
        SLICE_US * 1_000 * 1_024 / u64::from(self.weights[task as usize])
    }

    fn insert(&mut self, task: u32, vruntime: u64) {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let deadline = vruntime + self.request(task);
        self.nodes[task as usize] = Node {
            key: (vruntime, task),
            deadline,
            earliest: deadline,
            heat: self.seed,
            left: NONE,
            right: NONE,
        };
        let (low, high) = self.split(self.root, (vruntime, task));
        let low = self.merge(low, task);
        self.root = self.merge(low, high);
    }

    fn update(&mut self, at: u32) {
        let Node { left, right, deadline, .. } = self.nodes[at as usize];
        let of = |child: u32| if child == NONE { u64::MAX } else { self.nodes[child as usize].earliest };
        self.nodes[at as usize].earliest = deadline.min(of(left)).min(of(right));
    }

    fn split(&mut self, at: u32, key: (u64, u32)) -> (u32, u32) {
        if at == NONE {
            return (NONE, NONE);
        }
        if self.nodes[at as usize].key < key {
            let (low, high) = self.split(self.nodes[at as usize].right, key);
            self.nodes[at as usize].right = low;
            self.update(at);
            (at, high)
        } else {
            let (low, high) = self.split(self.nodes[at as usize].left, key);
            self.nodes[at as usize].left = high;
            self.update(at);
            (low, at)
        }
    }

    fn merge(&mut self, low: u32, high: u32) -> u32 {
        if low == NONE || high == NONE {
            return if low == NONE { high } else { low };
        }
        if self.nodes[low as usize].heat > self.nodes[high as usize].heat {
            let right = self.nodes[low as usize].right;
            self.nodes[low as usize].right = self.merge(right, high);
            self.update(low);
            low
        } else {
            let left = self.nodes[high as usize].left;
            self.nodes[high as usize].left = self.merge(low, left);
            self.update(high);
            high
        }
    }

    fn remove(&mut self, at: u32, task: u32) -> u32 {
        if at == task {
            let Node { left, right, .. } = self.nodes[at as usize];
            return self.merge(left, right);
        }
        if self.nodes[task as usize].key < self.nodes[at as usize].key {
            let left = self.nodes[at as usize].left;
            self.nodes[at as usize].left = self.remove(left, task);
        } else {
            let right = self.nodes[at as usize].right;
            self.nodes[at as usize].right = self.remove(right, task);
        }
        self.update(at);
        at
    }

    /// The earliest deadline among those that are eligible.
    fn first(&self) -> u32 {
        let earliest = |at: u32| if at == NONE { u64::MAX } else { self.nodes[at as usize].earliest };
        let (mut at, mut best, mut below) = (self.root, NONE, NONE);
        let mut least = u64::MAX;
        while at != NONE {
            let node = self.nodes[at as usize];
            if u128::from(node.key.0) * self.weight > self.sum {
                at = node.left;
                continue;
            }
            // All of the left is eligible.
            if earliest(node.left) < least {
                (least, below, best) = (earliest(node.left), node.left, NONE);
            }
            if node.deadline < least {
                (least, below, best) = (node.deadline, NONE, at);
            }
            at = node.right;
        }
        while best == NONE && below != NONE {
            let node = self.nodes[below as usize];
            if node.deadline == least {
                best = below;
            } else if earliest(node.left) == least {
                below = node.left;
            } else {
                below = node.right;
            }
        }
        best
    }
}

impl Peer for Treap {
    fn step(&mut self, ran_us: u64) {
        let task = self.first();
        if task == NONE {
            return;
        }
        let vruntime = self.nodes[task as usize].key.0;
        self.root = self.remove(self.root, task);
        let ran = ran_us * 1_000 * 1_024 / u64::from(self.weights[task as usize]);
        self.sum += u128::from(ran) * u128::from(self.weights[task as usize]);
        self.insert(black_box(task), vruntime + ran);
    }
}
