//! Entries by key, where keys mostly rise: a heap while they are few, a radix heap when they are many, and beside that
//! a heap of the few that came in below what it can take. These go out before all others, so that they stay few.

use super::heap::{Entry, Heap};
use super::radix::Radix;
use crate::table::Table;

/// Above this many a radix heap is faster than a heap, and below the other it is not: see the benchmarks.
const MANY: usize = 64;
const FEW: usize = 16;

#[derive(Default)]
pub(crate) struct Rising {
    heap: Heap,
    radix: Option<Box<Radix>>,
    /// Those in the radix heap, stale ones too.
    in_radix: usize,
}

impl Rising {
    #[inline]
    pub(crate) fn push(&mut self, entry: Entry) {
        match &mut self.radix {
            Some(radix) if entry.key >= radix.last() => {
                radix.push(entry);
                self.in_radix += 1;
            }
            Some(_) => self.heap.push(entry),
            None => {
                self.heap.push(entry);
                if self.heap.len() > MANY {
                    self.spread();
                }
            }
        }
    }

    /// The lowest, and the first to come of those. Stale ones before it are dropped, and taken off the count.
    #[inline]
    pub(crate) fn first(&mut self, table: &Table, stale: &mut u32) -> Option<Entry> {
        loop {
            let before = *stale;
            let from_radix = self.heap.len() == 0;
            let entry = match &mut self.radix {
                Some(radix) if from_radix => {
                    let first = radix.first(table, stale);
                    self.in_radix -= (before - *stale) as usize;
                    first?
                }
                _ => self.heap.first()?,
            };
            if entry.is_live(table) {
                return Some(entry);
            }
            self.pop();
            *stale -= 1;
        }
    }

    /// Takes out what [`first`](Rising::first) has just answered.
    #[inline]
    pub(crate) fn pop(&mut self) {
        match &mut self.radix {
            Some(radix) if self.heap.len() == 0 => {
                radix.pop();
                self.in_radix -= 1;
                if self.in_radix < FEW {
                    self.gather();
                }
            }
            _ => drop(self.heap.pop()),
        }
    }

    /// Takes out all whose key is wanted; those are the lowest, up to what `most` answers. It is only asked if there
    /// may be any.
    pub(crate) fn take_up_to(
        &mut self,
        wanted: impl Fn(u64) -> bool,
        most: impl FnOnce() -> u64,
        mut out: impl FnMut(Entry),
    ) {
        while let Some(entry) = self.heap.first().filter(|entry| wanted(entry.key)) {
            self.heap.pop();
            out(entry);
        }
        let Some(radix) = &mut self.radix else { return };
        if radix.bound().is_some_and(&wanted) {
            let mut taken = 0;
            radix.rise(most(), |entry| {
                taken += 1;
                out(entry);
            });
            self.in_radix -= taken;
            if self.in_radix < FEW {
                self.gather();
            }
        }
    }

    /// Forgets the stale ones.
    pub(crate) fn sweep(&mut self, table: &Table) {
        self.heap.sweep(table);
        if let Some(radix) = &mut self.radix {
            radix.sweep(table);
            self.in_radix = radix.entries().count();
        }
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        let radix = self.radix.iter().flat_map(|radix| radix.entries());
        self.heap.entries().iter().chain(radix)
    }

    /// All of them in order, so that equals stay in the order they came.
    fn sorted(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = self.entries().copied().collect();
        entries.sort_by(Entry::order);
        entries
    }

    fn spread(&mut self) {
        let entries = self.sorted();
        let mut radix = Box::new(Radix::from(entries.first().map_or(0, |first| first.key)));
        entries.iter().for_each(|&entry| radix.push(entry));
        self.in_radix = entries.len();
        self.heap.clear();
        self.radix = Some(radix);
    }

    #[cold]
    fn gather(&mut self) {
        let entries = self.sorted();
        self.radix = None;
        self.in_radix = 0;
        self.heap.clear();
        entries.iter().for_each(|&entry| self.heap.push(entry));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Kind, Slot};
    use crate::{Priority, Weight};
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug)]
    enum Op {
        /// So far above the lowest there was, or below it.
        Push(i64),
        Pop,
        Withdraw(usize),
        TakeUpTo(u64),
        Sweep,
    }

    /// Distances of all sizes, and many that are the same.
    fn distance() -> impl Strategy<Value = i64> {
        let any_size = (0..44u32, any::<u64>()).prop_map(|(bits, random)| (random >> (63 - bits)) as i64);
        prop_oneof![6 => any_size, 3 => 0..40i64, 1 => -1_000..0i64]
    }

    fn history(pushes: u32) -> impl Strategy<Value = Vec<Op>> {
        let op = prop_oneof![
            pushes => distance().prop_map(Op::Push),
            10 => Just(Op::Pop),
            2 => (0..1_000usize).prop_map(Op::Withdraw),
            1 => distance().prop_map(|distance| Op::TakeUpTo(distance.max(0) as u64 / 8)),
            1 => Just(Op::Sweep),
        ];
        prop::collection::vec(op, 1..1_500)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

        /// Growing first, so that lists of many chunks are divided, and then shrinking, so that they are emptied.
        #[test]
        fn it_is_a_sorted_list(grow in history(30), shrink in history(4)) {
            let (mut rising, mut table, mut sorted) = (Rising::default(), Table::default(), Vec::<Entry>::new());
            let (mut stale, mut lowest) = (0u32, 1u64 << 44);
            let mut slots: Vec<Slot> = Vec::new();
            for op in grow.into_iter().chain(shrink) {
                match op {
                    Op::Push(distance) => {
                        let slot = slots.pop().or_else(|| table.insert(Kind::Normal, Weight::MIN, Priority(0), false));
                        let (slot, stamp) = (slot.unwrap(), table.next_stamp());
                        table.at_mut(slot).link[0] = stamp;
                        let entry = Entry { key: lowest.saturating_add_signed(distance), slot, stamp };
                        rising.push(entry);
                        let at = sorted.partition_point(|other| other.key <= entry.key);
                        sorted.insert(at, entry);
                    }
                    Op::Pop => {
                        let first = rising.first(&table, &mut stale);
                        let expected = sorted.first().copied();
                        prop_assert_eq!(first.map(|entry| entry.slot), expected.map(|entry| entry.slot));
                        if let Some(entry) = first {
                            rising.pop();
                            table.at_mut(entry.slot).link[0] = 0;
                            sorted.remove(0);
                            slots.push(entry.slot);
                            lowest = lowest.max(entry.key);
                        }
                    }
                    Op::Withdraw(at) if !sorted.is_empty() => {
                        let entry = sorted.remove(at % sorted.len());
                        table.at_mut(entry.slot).link[0] = 0;
                        slots.push(entry.slot);
                        stale += 1;
                    }
                    Op::Withdraw(_) => {}
                    Op::TakeUpTo(distance) => {
                        let most = lowest + distance;
                        let (mut out, mut gone) = (Vec::new(), 0);
                        rising.take_up_to(|key| key <= most, || most, |entry| {
                            if entry.is_live(&table) { out.push(entry.slot) } else { gone += 1 }
                        });
                        stale -= gone;
                        let border = sorted.partition_point(|entry| entry.key <= most);
                        let mut expected: Vec<Slot> = sorted.drain(..border).map(|entry| entry.slot).collect();
                        out.iter().for_each(|&slot| table.at_mut(slot).link[0] = 0);
                        slots.extend(&out);
                        out.sort_unstable();
                        expected.sort_unstable();
                        prop_assert_eq!(out, expected);
                        lowest = most;
                    }
                    Op::Sweep => {
                        rising.sweep(&table);
                        stale = 0;
                    }
                }
                prop_assert_eq!(rising.entries().count(), sorted.len() + stale as usize);
            }
            let mut left: Vec<Entry> = rising.entries().filter(|entry| entry.is_live(&table)).copied().collect();
            left.sort_by(Entry::order);
            let slots = |entries: &[Entry]| entries.iter().map(|entry| entry.slot).collect::<Vec<_>>();
            prop_assert_eq!(slots(&left), slots(&sorted));
        }
    }
}
