//! Sharing by weight: whoever has had the least, for its weight, is next.

use super::heap::{Entry, Heap};
use super::radix::Radix;
use super::{Arrival, START, advance, virtual_time};
use crate::table::{NONE, Slot, State, Table};

/// Above this many a radix heap is faster than a heap, and below the other it is not: see the benchmarks.
const MANY: u32 = 64;
const FEW: u32 = 16;

pub(crate) struct Fair {
    slice: u64,
    /// Everybody while there are few; beside a radix heap, those who came in below its lowest key.
    heap: Heap,
    radix: Option<Box<Radix>>,
    live: u32,
    stale: u32,
    /// The lowest virtual runtime of all that can run, as of the last time it mattered. It never sinks.
    floor: u64,
    running: Slot,
}

impl Fair {
    pub(crate) fn new(slice: u64) -> Fair {
        let heap = Heap::default();
        Fair { slice, heap, radix: None, live: 0, stale: 0, floor: START, running: NONE }
    }

    pub(crate) fn join(&mut self, table: &mut Table, slot: Slot, arrival: Arrival) {
        self.place(table, slot, arrival);
        self.insert(table, slot);
    }

    pub(crate) fn join_running(&mut self, table: &mut Table, slot: Slot, arrival: Arrival) {
        self.place(table, slot, arrival);
        table.at_mut(slot).link = [0, 0];
        self.running = slot;
    }

    /// At the floor, but for what it carries along: a debt, or a credit of one slice at the most.
    fn place(&mut self, table: &mut Table, slot: Slot, arrival: Arrival) {
        if !matches!(arrival, Arrival::Switched(_)) {
            self.raise_floor(table);
        }
        let slice = table.slice(slot, crate::Nanos(self.slice));
        let most = virtual_time(slice, table.at(slot).weight()) as i64;
        let (floor, lag) = match arrival {
            Arrival::New => (self.floor, 0),
            Arrival::Woken(lag) => (self.floor, lag.min(most)),
            Arrival::Moved(lag) => (self.floor, lag.clamp(-most, most)),
            Arrival::Switched(lag) => (START, lag.clamp(-most, most)),
        };
        let hot = table.at_mut(slot);
        hot.vruntime = floor.saturating_add_signed(lag.saturating_neg());
        hot.link = [0, 0];
    }

    #[inline(never)]
    pub(crate) fn requeue(&mut self, table: &mut Table, slot: Slot, yielded: bool) {
        self.running = NONE;
        if yielded {
            // Behind the first of those who wait, by giving up the time it was ahead of it.
            let first = self.first(table).map_or(0, |first| table.at(first).vruntime);
            let hot = table.at_mut(slot);
            hot.vruntime = hot.vruntime.max(first);
        }
        self.insert(table, slot);
    }

    #[inline(never)]
    pub(crate) fn pop(&mut self, table: &mut Table) -> Option<Slot> {
        let entry = self.peek(table)?;
        match &mut self.radix {
            Some(radix) if self.heap.len() == 0 => radix.pop(),
            _ => self.heap.pop(),
        };
        table.at_mut(entry.slot).link[0] = 0;
        self.live -= 1;
        self.running = entry.slot;
        if self.radix.is_some() && self.live < FEW {
            self.gather(table);
        }
        Some(entry.slot)
    }

    pub(crate) fn take(&mut self, table: &mut Table, slot: Slot) {
        self.withdraw(table, slot);
        self.running = slot;
    }

    pub(crate) fn leave(&mut self, table: &mut Table, slot: Slot) {
        self.raise_floor(table);
        match table.at(slot).state {
            State::Waiting => self.withdraw(table, slot),
            _ => self.running = NONE,
        }
    }

    #[inline(never)]
    pub(crate) fn charge(&mut self, table: &mut Table, slot: Slot, ran: u64) {
        // Queued too: an operating system may have run it without asking us.
        let queued = table.at(slot).link[0] != 0;
        if queued {
            self.withdraw(table, slot);
        }
        advance(table.at_mut(slot), ran);
        if queued {
            self.insert(table, slot);
        }
    }

    /// Keeps what it is ahead or behind *in CPU time*; as virtual time that is more for a lighter entity.
    pub(crate) fn reweigh(&mut self, table: &mut Table, slot: Slot, weight: u32) {
        self.raise_floor(table);
        let queued = table.at(slot).link[0] != 0;
        if queued {
            self.withdraw(table, slot);
        }
        let floor = self.floor;
        let hot = table.at_mut(slot);
        let distance =
            u128::from(hot.vruntime.abs_diff(floor)) * u128::from(hot.weight()) / u128::from(weight);
        let distance = u64::try_from(distance).unwrap_or(u64::MAX);
        hot.vruntime = match hot.vruntime > floor {
            true => floor.saturating_add(distance),
            false => floor.saturating_sub(distance),
        };
        hot.set_weight(weight);
        hot.link[1] = 0;
        if queued {
            self.insert(table, slot);
        }
    }

    pub(crate) fn lag(&mut self, table: &mut Table, slot: Slot) -> i64 {
        self.raise_floor(table);
        self.floor.wrapping_sub(table.at(slot).vruntime) as i64
    }

    pub(crate) fn keep_lag(&mut self, table: &mut Table, slot: Slot, lag: i64) {
        self.raise_floor(table);
        let hot = table.at_mut(slot);
        hot.vruntime = self.floor.saturating_add_signed(lag.saturating_neg());
        // Under another policy it may have been linked to others here.
        hot.link = [0, 0];
    }

    /// By how much a waiting one must be behind to be worth a switch before the slice is over: a quarter of its own.
    pub(crate) fn margin(&self, table: &Table, slot: Slot) -> u64 {
        virtual_time(table.slice(slot, crate::Nanos(self.slice)) / 4, table.at(slot).weight())
    }

    pub(crate) fn first(&mut self, table: &Table) -> Option<Slot> {
        self.peek(table).map(|entry| entry.slot)
    }

    /// In order.
    pub(crate) fn order(&self, table: &Table) -> Vec<Slot> {
        self.sorted(table).into_iter().map(|entry| entry.slot).collect()
    }

    /// In no order that means anything, but the same one every time.
    pub(crate) fn iter<'a>(&'a self, table: &'a Table) -> impl Iterator<Item = Slot> + 'a {
        self.entries().filter(|entry| entry.is_live(table)).map(|entry| entry.slot)
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        let radix = self.radix.iter().flat_map(|radix| radix.entries());
        self.heap.entries().iter().chain(radix)
    }

    fn insert(&mut self, table: &mut Table, slot: Slot) {
        let stamp = table.next_stamp();
        let hot = table.at_mut(slot);
        hot.link[0] = stamp;
        let entry = Entry { key: hot.vruntime, slot, stamp };
        self.live += 1;
        match &mut self.radix {
            Some(radix) if entry.key >= radix.last() => radix.push(entry),
            Some(_) => self.heap.push(entry),
            None => {
                self.heap.push(entry);
                if self.live > MANY {
                    self.spread(table);
                }
            }
        }
    }

    fn withdraw(&mut self, table: &mut Table, slot: Slot) {
        table.at_mut(slot).link[0] = 0;
        self.live -= 1;
        self.stale += 1;
        if self.stale > self.live + MANY {
            self.heap.sweep(table);
            if let Some(radix) = &mut self.radix {
                radix.sweep(table);
            }
            self.stale = 0;
        }
    }

    fn peek(&mut self, table: &Table) -> Option<Entry> {
        loop {
            let from_radix = self.heap.len() == 0;
            let entry = match &mut self.radix {
                Some(radix) if from_radix => radix.first()?,
                _ => self.heap.first()?,
            };
            if entry.is_live(table) {
                return Some(entry);
            }
            match &mut self.radix {
                Some(radix) if from_radix => radix.pop(),
                _ => self.heap.pop(),
            };
            self.stale -= 1;
        }
    }

    /// In order, so that equals stay in the order they came.
    fn sorted(&self, table: &Table) -> Vec<Entry> {
        let mut entries: Vec<Entry> = self.entries().copied().filter(|entry| entry.is_live(table)).collect();
        entries.sort_by(Entry::order);
        entries
    }

    fn spread(&mut self, table: &Table) {
        let entries = self.sorted(table);
        let mut radix = Box::new(Radix::from(entries.first().map_or(self.floor, |first| first.key)));
        for entry in entries {
            radix.push(entry);
        }
        self.heap.clear();
        self.radix = Some(radix);
        self.stale = 0;
    }

    fn gather(&mut self, table: &Table) {
        let entries = self.sorted(table);
        self.radix = None;
        self.heap.clear();
        for entry in entries {
            self.heap.push(entry);
        }
        self.stale = 0;
    }

    /// Lifts the floor to the lowest of all that can run. Between two calls the lowest only rises unless somebody
    /// joins, leaves or is weighed anew, so it is enough to look before each of these.
    fn raise_floor(&mut self, table: &Table) {
        let queued = self.first(table).map(|first| table.at(first).vruntime);
        let running = (self.running != NONE).then(|| table.at(self.running).vruntime);
        if let Some(lowest) = queued.into_iter().chain(running).min() {
            self.floor = self.floor.max(lowest);
        }
    }
}
