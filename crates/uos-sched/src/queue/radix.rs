//! A radix heap: entries in buckets by the highest digit, of six bits, in which they differ from the lowest key.
//!
//! It wants keys that never go below the one last taken out. In exchange an entry only ever moves to lower buckets,
//! a few times on its way, and whole buckets are walked in memory order: at a million entries that is a quarter of what
//! a B-tree takes. A bucket of few is sorted instead of divided further, and is what is taken out next. Equal keys are
//! always in one bucket in the order they came, and so come out in that order.

use super::heap::Entry;
use super::pool::{Chain, Pool};
use crate::table::Table;

/// Bits of a digit, and how many values one has. With single bits an entry would be moved four times as often.
const DIGIT: u32 = 6;
const VALUES: usize = 1 << DIGIT;
const BUCKETS: usize = VALUES * u64::BITS.div_ceil(DIGIT) as usize;
/// What comes in among those that are next is sorted in while they are no more than this.
const NEXT: usize = 256;
/// Emptied, the list of those that are next keeps its memory up to this many.
const KEEP: usize = 1024;

pub(crate) struct Radix {
    /// No entry is below it.
    last: u64,
    /// Those that are next, in order, and how many of them are taken out already.
    next: Vec<Entry>,
    taken: usize,
    /// The highest key that belongs among them.
    border: u64,
    /// By place of the highest digit that differs, then by that digit.
    buckets: [Chain; BUCKETS],
    /// A bit for each bucket that is not empty.
    occupied: [u64; BUCKETS.div_ceil(64)],
    pool: Pool,
    /// What is on its way from one bucket to others; kept for its memory.
    moving: Vec<Entry>,
}

impl Radix {
    /// Takes keys from `last` on.
    pub(crate) fn from(last: u64) -> Radix {
        Radix {
            last,
            next: Vec::new(),
            taken: 0,
            border: last,
            buckets: [Chain::EMPTY; BUCKETS],
            occupied: [0; BUCKETS.div_ceil(64)],
            pool: Pool::default(),
            moving: Vec::new(),
        }
    }

    /// The lowest key it can take.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    #[inline]
    pub(crate) fn push(&mut self, entry: Entry) {
        debug_assert!(entry.key >= self.last, "keys never go back");
        if entry.key <= self.border {
            self.sort_in(entry);
            return;
        }
        let bucket = bucket_of(entry.key, entry.key ^ self.last);
        let chain = &mut self.buckets[bucket];
        // Seldom, and to write it every time would make each wait for the one before.
        if chain.is_empty() {
            self.occupied[bucket / 64] |= 1 << (bucket % 64);
        }
        self.pool.push(chain, entry);
    }

    /// Behind those of its key.
    #[inline(never)]
    fn sort_in(&mut self, entry: Entry) {
        if self.next.last().is_none_or(|last| last.key <= entry.key) {
            self.next.push(entry);
        } else {
            let at = self.next[self.taken..].partition_point(|other| other.key <= entry.key);
            self.next.insert(self.taken + at, entry);
        }
        if self.next.len() - self.taken > NEXT && self.border > self.last {
            self.divide();
        }
    }

    /// Those that are next have become many: all but the lowest go into buckets.
    #[cold]
    fn divide(&mut self) {
        let next = std::mem::take(&mut self.next);
        let rest = &next[self.taken..];
        self.taken = 0;
        self.last = rest.first().map_or(self.last, |first| first.key);
        self.border = self.last;
        rest.iter().for_each(|&entry| self.push(entry));
    }

    /// The lowest; stale ones that are come by on the way are dropped, and counted.
    #[inline]
    pub(crate) fn first(&mut self, table: &Table, stale: &mut u32) -> Option<Entry> {
        if self.taken == self.next.len() {
            self.refill(table, stale)?;
        }
        self.next.get(self.taken).copied()
    }

    /// Takes out what [`first`](Radix::first) has just answered.
    pub(crate) fn pop(&mut self) {
        self.taken += 1;
        if self.taken >= NEXT && self.taken * 2 >= self.next.len() {
            self.next.drain(..self.taken);
            self.taken = 0;
        }
    }

    /// Empties the lowest bucket that holds something: those that are next if they are few, into lower buckets else.
    fn refill(&mut self, table: &Table, stale: &mut u32) -> Option<()> {
        self.forget_next();
        while self.next.is_empty() {
            let bucket = self.lowest()?;
            let mut chain = self.empty(bucket);
            if chain.is_short() {
                self.pool.take(&mut chain, &mut self.next);
                let before = self.next.len();
                // To look now which of them are live fetches all they need at once from memory, and not one after the
                // other when its turn comes.
                self.next.retain(|entry| entry.is_live(table));
                *stale -= (before - self.next.len()) as u32;
                // Equals are in the order they came, and stay so.
                self.next.sort_by_key(|entry| entry.key);
                (self.last, self.border) = self.range(bucket);
            } else {
                self.last = self.pool.entries(&chain).map(|entry| entry.key).min()?;
                self.border = self.last;
                self.distribute(chain, |_| false, |_| {});
            }
        }
        Some(())
    }

    /// Puts a list into the buckets its entries belong in, but for those that go out.
    fn distribute(&mut self, mut chain: Chain, goes: impl Fn(u64) -> bool, mut out: impl FnMut(Entry)) {
        let mut moving = std::mem::take(&mut self.moving);
        while self.pool.take(&mut chain, &mut moving) {
            for entry in moving.drain(..) {
                if goes(entry.key) { out(entry) } else { self.push(entry) }
            }
        }
        self.moving = moving;
    }

    /// The lowest key goes up to this, and all entries that are not above it go out. In no order.
    pub(crate) fn rise(&mut self, to: u64, mut out: impl FnMut(Entry)) {
        if self.border > self.last {
            self.divide();
        }
        if to < self.last {
            return;
        }
        self.next.iter().skip(self.taken).for_each(|&entry| out(entry));
        self.forget_next();
        let differing = to ^ self.last;
        if differing == 0 {
            return;
        }
        // In lower buckets all are below it, in higher ones above; only this one holds both.
        let split = bucket_of(to, differing);
        (self.last, self.border) = (to, to);
        while let Some(bucket) = self.lowest().filter(|&bucket| bucket <= split) {
            let chain = self.empty(bucket);
            self.distribute(chain, |key| key <= to, &mut out);
            if bucket == split {
                break;
            }
        }
    }

    /// No key is below this.
    pub(crate) fn bound(&self) -> Option<u64> {
        let next = self.next.get(self.taken).map(|first| first.key);
        next.or_else(|| self.lowest().map(|bucket| self.range(bucket).0))
    }

    /// The lowest and the highest key that belong in a bucket.
    fn range(&self, bucket: usize) -> (u64, u64) {
        let (shift, digit) = ((bucket / VALUES) as u32 * DIGIT, (bucket % VALUES) as u64);
        let below = (1u64 << shift) - 1;
        let above = u64::MAX.checked_shl(shift + DIGIT).unwrap_or(0);
        let lowest = (self.last & above) | digit << shift;
        (lowest, lowest | below)
    }

    /// Forgets the stale ones.
    pub(crate) fn sweep(&mut self, table: &Table) {
        self.next.drain(..self.taken);
        self.taken = 0;
        self.next.retain(|entry| entry.is_live(table));
        for bucket in 0..BUCKETS {
            let (mut old, mut moving) = (self.empty(bucket), std::mem::take(&mut self.moving));
            while self.pool.take(&mut old, &mut moving) {
                moving.retain(|entry| entry.is_live(table));
                moving.drain(..).for_each(|entry| self.push(entry));
            }
            self.moving = moving;
        }
    }

    /// All of them, roughly by key.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        let rest = self.buckets.iter().flat_map(|chain| self.pool.entries(chain));
        self.next[self.taken..].iter().chain(rest)
    }

    #[inline]
    fn lowest(&self) -> Option<usize> {
        let word = self.occupied.iter().position(|&word| word != 0)?;
        Some(word * 64 + self.occupied[word].trailing_zeros() as usize)
    }

    fn empty(&mut self, bucket: usize) -> Chain {
        self.occupied[bucket / 64] &= !(1 << (bucket % 64));
        std::mem::replace(&mut self.buckets[bucket], Chain::EMPTY)
    }

    fn forget_next(&mut self) {
        self.taken = 0;
        match self.next.capacity() {
            0..=KEEP => self.next.clear(),
            _ => self.next = Vec::new(),
        }
    }
}

/// Where a key belongs that differs so from the lowest.
#[inline]
fn bucket_of(key: u64, differing: u64) -> usize {
    let place = (u64::BITS - 1 - differing.leading_zeros()) / DIGIT;
    place as usize * VALUES + (key >> (place * DIGIT)) as usize % VALUES
}
