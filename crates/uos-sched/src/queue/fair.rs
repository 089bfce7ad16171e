//! Sharing by weight: whoever has had the least, for its weight, is next.

use super::heap::Entry;
use super::rising::Rising;
use super::{Arrival, START, advance, virtual_time};
use crate::table::{NONE, Slot, State, Table};

/// How many stale entries are put up with beside the live ones.
const SLACK: u32 = 64;

pub(crate) struct Fair {
    slice: u64,
    /// By virtual runtime.
    waiting: Rising,
    live: u32,
    stale: u32,
    /// The lowest virtual runtime of all that can run, as of the last time it mattered. It never sinks.
    floor: u64,
    running: Slot,
}

impl Fair {
    pub(crate) fn new(slice: u64) -> Fair {
        Fair { slice, waiting: Rising::default(), live: 0, stale: 0, floor: START, running: NONE }
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
        let slot = self.first(table)?;
        self.waiting.pop();
        table.at_mut(slot).link[0] = 0;
        self.live -= 1;
        self.running = slot;
        Some(slot)
    }

    /// The running one is charged and comes back, and the first goes out: itself if it is the lowest still.
    #[inline(never)]
    pub(crate) fn rotate(&mut self, table: &mut Table, slot: Slot, ran: u64) -> Slot {
        let hot = table.at_mut(slot);
        advance(hot, ran);
        let key = hot.vruntime;
        let Some(first) = self.waiting.first(table, &mut self.stale).filter(|first| first.key <= key) else {
            return slot;
        };
        self.waiting.pop();
        let stamp = table.next_stamp();
        table.at_mut(slot).link[0] = stamp;
        self.waiting.push(Entry { key, slot, stamp });
        table.at_mut(first.slot).link[0] = 0;
        self.running = first.slot;
        first.slot
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
        self.waiting.first(table, &mut self.stale).map(|entry| entry.slot)
    }

    /// In order, so that equals stay in the order they came.
    pub(crate) fn order(&self, table: &Table) -> Vec<Slot> {
        let live = self.waiting.entries().filter(|entry| entry.is_live(table));
        let mut live: Vec<Entry> = live.copied().collect();
        live.sort_by(Entry::order);
        live.into_iter().map(|entry| entry.slot).collect()
    }

    /// In no order that means anything, but the same one every time.
    pub(crate) fn iter<'a>(&'a self, table: &'a Table) -> impl Iterator<Item = Slot> + 'a {
        self.waiting.entries().filter(|entry| entry.is_live(table)).map(|entry| entry.slot)
    }

    fn insert(&mut self, table: &mut Table, slot: Slot) {
        let stamp = table.next_stamp();
        let hot = table.at_mut(slot);
        hot.link[0] = stamp;
        self.live += 1;
        self.waiting.push(Entry { key: hot.vruntime, slot, stamp });
    }

    fn withdraw(&mut self, table: &mut Table, slot: Slot) {
        table.at_mut(slot).link[0] = 0;
        self.live -= 1;
        self.stale += 1;
        if self.stale > self.live + SLACK {
            self.waiting.sweep(table);
            self.stale = 0;
        }
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
