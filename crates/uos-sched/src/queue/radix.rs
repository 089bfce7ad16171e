//! A radix heap: entries in buckets by the highest bit in which they differ from the lowest key.
//!
//! It wants keys that never go below the one last taken out. In exchange an entry only ever moves to lower buckets,
//! and whole buckets are walked in memory order: at a million entries that is a quarter of what a B-tree takes.
//! Equal keys are always in one bucket in the order they came, and so come out in that order.

use super::heap::Entry;
use crate::table::Table;

pub(crate) struct Radix {
    /// No entry is below it, and those in the lowest bucket equal it.
    last: u64,
    buckets: [Vec<Entry>; 65],
    /// A bit for each bucket but the lowest that is not empty.
    occupied: u64,
    /// How much of the lowest bucket is taken out already.
    taken: usize,
}

/// Emptied buckets keep their memory up to this many entries.
const KEEP: usize = 1024;

impl Radix {
    /// Takes keys from `last` on.
    pub(crate) fn from(last: u64) -> Radix {
        Radix { last, buckets: [const { Vec::new() }; 65], occupied: 0, taken: 0 }
    }

    /// The lowest key it can take.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        debug_assert!(entry.key >= self.last, "keys never go back");
        let bucket = (u64::BITS - (entry.key ^ self.last).leading_zeros()) as usize;
        self.buckets[bucket].push(entry);
        if bucket > 0 {
            self.occupied |= 1 << (bucket - 1);
        }
    }

    pub(crate) fn first(&mut self) -> Option<Entry> {
        if self.taken == self.buckets[0].len() {
            self.refill()?;
        }
        self.buckets[0].get(self.taken).copied()
    }

    pub(crate) fn pop(&mut self) -> Option<Entry> {
        let first = self.first()?;
        self.taken += 1;
        Some(first)
    }

    /// Empties the lowest bucket that holds something into those below it.
    fn refill(&mut self) -> Option<()> {
        self.buckets[0].clear();
        self.taken = 0;
        if self.occupied == 0 {
            return None;
        }
        let bucket = self.occupied.trailing_zeros() as usize + 1;
        self.occupied &= self.occupied - 1;
        let mut entries = std::mem::take(&mut self.buckets[bucket]);
        self.last = entries.iter().map(|entry| entry.key).min()?;
        for &entry in &entries {
            self.push(entry);
        }
        if entries.capacity() <= KEEP {
            entries.clear();
            self.buckets[bucket] = entries;
        }
        Some(())
    }

    /// Forgets the stale ones.
    pub(crate) fn sweep(&mut self, table: &Table) {
        self.buckets[0].drain(..self.taken);
        self.taken = 0;
        for (at, bucket) in self.buckets.iter_mut().enumerate() {
            bucket.retain(|entry| entry.is_live(table));
            if at > 0 && bucket.is_empty() {
                self.occupied &= !(1 << (at - 1));
            }
        }
    }

    /// All of them, roughly by key.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        let [first, rest @ ..] = &self.buckets;
        first[self.taken..].iter().chain(rest.iter().flatten())
    }
}
