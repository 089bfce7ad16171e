//! A heap with four children to a node, of entries that may have gone stale.
//!
//! An entry names its entity and carries a stamp; the entity knows the stamp of the one entry that is live. So
//! leaving from the middle costs nothing, and no position needs to be written while entries move.

use crate::table::{Slot, Table};
use std::cmp::Ordering;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) key: u64,
    pub(crate) slot: Slot,
    pub(crate) stamp: u32,
}

impl Entry {
    pub(crate) fn is_live(&self, table: &Table) -> bool {
        table.at(self.slot).link[0] == self.stamp
    }

    /// By key, then by who came first. Stamps start over, so that they are compared by distance.
    fn is_before(&self, other: &Entry) -> bool {
        match self.key.cmp(&other.key) {
            Ordering::Less => true,
            Ordering::Equal => self.came_after(other) < 0,
            Ordering::Greater => false,
        }
    }

    pub(crate) fn order(&self, other: &Entry) -> Ordering {
        self.key.cmp(&other.key).then(self.came_after(other).cmp(&0))
    }

    /// Above zero if it did. Stamps have their highest bit set, and go round below that.
    fn came_after(&self, other: &Entry) -> i32 {
        (self.stamp << 1).wrapping_sub(other.stamp << 1) as i32
    }
}

#[derive(Default)]
pub(crate) struct Heap {
    entries: Vec<Entry>,
}

impl Heap {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn first(&self) -> Option<Entry> {
        self.entries.first().copied()
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
        self.lift(self.entries.len() - 1);
    }

    pub(crate) fn pop(&mut self) -> Option<Entry> {
        let last = self.entries.pop()?;
        let Some(first) = self.entries.first().copied() else { return Some(last) };
        self.entries[0] = last;
        self.sink(0);
        Some(first)
    }

    /// Forgets the stale ones.
    pub(crate) fn sweep(&mut self, table: &Table) {
        self.entries.retain(|entry| entry.is_live(table));
        for at in (0..self.entries.len().div_ceil(4)).rev() {
            self.sink(at);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    fn lift(&mut self, mut at: usize) {
        let entry = self.entries[at];
        while at > 0 {
            let parent = (at - 1) / 4;
            if !entry.is_before(&self.entries[parent]) {
                break;
            }
            self.entries[at] = self.entries[parent];
            at = parent;
        }
        self.entries[at] = entry;
    }

    fn sink(&mut self, mut at: usize) {
        let len = self.entries.len();
        if at >= len {
            return;
        }
        let entry = self.entries[at];
        loop {
            let children = at * 4 + 1..(at * 4 + 5).min(len);
            let Some(mut least) = (!children.is_empty()).then_some(children.start) else { break };
            for child in children.start + 1..children.end {
                if self.entries[child].is_before(&self.entries[least]) {
                    least = child;
                }
            }
            if !self.entries[least].is_before(&entry) {
                break;
            }
            self.entries[at] = self.entries[least];
            at = least;
        }
        self.entries[at] = entry;
    }
}
