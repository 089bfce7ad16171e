//! Earliest eligible virtual deadline first (Stoica and Abdel-Wahab, TR-95-22).
//!
//! Virtual time is the average of all virtual runtimes, by weight. Whoever has had no more than that is eligible; of
//! the eligible the one whose request ends first, in virtual time, runs. A request is one slice, so a short slice
//! means an early deadline and low latency, at the same share.

use super::heap::Entry;
use super::rising::Rising;
use super::{Arrival, START, advance, virtual_time};
use crate::Nanos;
use crate::table::{NONE, Slot, State, Table};

/// How many stale entries are put up with beside the live ones.
const SLACK: u32 = 64;

pub(crate) struct Eevdf {
    slice: u64,
    /// By deadline. Some may have become ineligible since: joining and leaving can pull virtual time back.
    eligible: Rising,
    /// By virtual runtime. Some may have become eligible since.
    ineligible: Rising,
    live: u32,
    stale: u32,
    /// The weights of all that can run, and the sum of weight times virtual runtime.
    weight: u64,
    sum: u128,
    /// Virtual time when the last one left.
    resting: u64,
    running: Slot,
}

impl Eevdf {
    pub(crate) fn new(slice: u64) -> Eevdf {
        let (eligible, ineligible) = (Rising::default(), Rising::default());
        Eevdf {
            slice,
            eligible,
            ineligible,
            live: 0,
            stale: 0,
            weight: 0,
            sum: 0,
            resting: START,
            running: NONE,
        }
    }

    pub(crate) fn join(&mut self, table: &mut Table, slot: Slot, arrival: Arrival) {
        self.place(table, slot, arrival);
        self.insert(table, slot);
    }

    pub(crate) fn join_running(&mut self, table: &mut Table, slot: Slot, arrival: Arrival) {
        self.place(table, slot, arrival);
        self.running = slot;
    }

    /// So that it has this lag once it is part of the average: its coming moves the average towards it.
    fn place(&mut self, table: &mut Table, slot: Slot, arrival: Arrival) {
        let most = self.request(table, slot) as i64;
        let (lag, counts_already) = match arrival {
            Arrival::New => (0, false),
            Arrival::Woken(lag) | Arrival::Moved(lag) => (lag, false),
            Arrival::Switched(lag) => (lag, true),
        };
        let lag = i128::from(lag.clamp(-most, most));
        let (all, own) = (i128::from(self.weight), i128::from(table.at(slot).weight()));
        let lag = if all == 0 || counts_already { lag } else { lag * (all + own) / all };
        let lag = lag.clamp(-(1 << 62), 1 << 62) as i64;
        let now = if counts_already { START } else { self.virtual_now() };
        let hot = table.at_mut(slot);
        hot.vruntime = now.saturating_add_signed(-lag);
        hot.link = [0, 0];
        table.rest_mut(slot).deadline = table.at(slot).vruntime.saturating_add(most as u64);
        self.enter(table, slot);
    }

    #[inline(never)]
    pub(crate) fn requeue(&mut self, table: &mut Table, slot: Slot, yielded: bool) {
        self.running = NONE;
        if yielded {
            let request = self.request(table, slot);
            let cold = table.rest_mut(slot);
            cold.deadline = cold.deadline.saturating_add(request);
        }
        self.insert(table, slot);
    }

    #[inline(never)]
    pub(crate) fn pop(&mut self, table: &mut Table) -> Option<Slot> {
        let slot = self.first(table)?;
        self.eligible.pop();
        table.at_mut(slot).link[0] = 0;
        self.live -= 1;
        self.running = slot;
        Some(slot)
    }

    /// The CPU time, rounded up, after which its virtual runtime reaches its deadline.
    #[inline(never)]
    pub(crate) fn request_left(&self, table: &Table, slot: Slot) -> u64 {
        let hot = table.at(slot);
        let units = table.rest(slot).deadline.saturating_sub(hot.vruntime);
        let whole = units.saturating_mul(u64::from(hot.weight())).saturating_sub(u64::from(hot.link[1]));
        whole.div_ceil(1024).max(1)
    }

    pub(crate) fn take(&mut self, table: &mut Table, slot: Slot) {
        self.withdraw(table, slot);
        self.running = slot;
    }

    /// Its lag is what it keeps while it is away.
    pub(crate) fn leave(&mut self, table: &mut Table, slot: Slot) {
        match table.at(slot).state {
            State::Waiting => self.withdraw(table, slot),
            _ => self.running = NONE,
        }
        let lag = self.present_lag(table, slot);
        self.exit(table, slot);
        table.at_mut(slot).vruntime = lag as u64;
    }

    #[inline(never)]
    pub(crate) fn charge(&mut self, table: &mut Table, slot: Slot, ran: u64) {
        match table.at(slot).state {
            State::Running => self.spend(table, slot, ran),
            State::Waiting => {
                self.withdraw(table, slot);
                self.spend(table, slot, ran);
                self.insert(table, slot);
            }
            // It is not here; its debt is what it will come back with.
            _ => {
                let hot = table.at_mut(slot);
                let more = virtual_time(ran, hot.weight());
                hot.vruntime = (hot.vruntime as i64).saturating_sub_unsigned(more) as u64;
            }
        }
    }

    fn spend(&mut self, table: &mut Table, slot: Slot, ran: u64) {
        let hot = table.at_mut(slot);
        let before = hot.vruntime;
        advance(hot, ran);
        let after = hot.vruntime;
        self.sum += u128::from(hot.weight()) * u128::from(after - before);
        if after >= table.rest(slot).deadline {
            let request = self.request(table, slot);
            table.rest_mut(slot).deadline = after.saturating_add(request);
        }
    }

    /// Keeps its lag in CPU time, and as much of its request as is left.
    pub(crate) fn reweigh(&mut self, table: &mut Table, slot: Slot, weight: u32) {
        let (state, from) = (table.at(slot).state, table.at(slot).weight());
        let rescale = |value: i64| {
            let value = i128::from(value) * i128::from(from) / i128::from(weight);
            value.clamp(-(1 << 62), 1 << 62) as i64
        };
        if !matches!(state, State::Waiting | State::Running) {
            let hot = table.at_mut(slot);
            hot.vruntime = rescale(hot.vruntime as i64) as u64;
            hot.set_weight(weight);
            return;
        }
        let left = rescale(table.rest(slot).deadline.saturating_sub(table.at(slot).vruntime) as i64);
        self.leave(table, slot);
        let lag = rescale(table.at(slot).vruntime as i64);
        table.at_mut(slot).set_weight(weight);
        self.place(table, slot, Arrival::Moved(lag));
        table.rest_mut(slot).deadline = table.at(slot).vruntime.saturating_add(left.max(1) as u64);
        match state {
            State::Waiting => self.insert(table, slot),
            _ => self.running = slot,
        }
    }

    pub(crate) fn lag(&self, table: &Table, slot: Slot) -> i64 {
        match table.at(slot).state {
            State::Waiting | State::Running => self.present_lag(table, slot),
            _ => table.at(slot).vruntime as i64,
        }
    }

    pub(crate) fn keep_lag(&self, table: &mut Table, slot: Slot, lag: i64) {
        let hot = table.at_mut(slot);
        hot.vruntime = lag as u64;
        hot.link = [0, 0];
    }

    /// The one that runs next; nobody if only the running one is eligible.
    pub(crate) fn first(&mut self, table: &Table) -> Option<Slot> {
        let (weight, sum) = (self.weight, self.sum);
        let is_eligible = |vruntime: u64| u128::from(vruntime) * u128::from(weight) <= sum;
        // Where nobody can run, all that is left is stale.
        let now = || if weight == 0 { u64::MAX } else { virtual_now(weight, sum) };
        let eligible = &mut self.eligible;
        self.ineligible.take_up_to(is_eligible, now, |entry| {
            // If it is stale, that shows when it is the first there: to look now would cost as much.
            eligible.push(Entry { key: table.rest(entry.slot).deadline, ..entry });
        });
        while let Some(entry) = self.eligible.first(table, &mut self.stale) {
            let vruntime = table.at(entry.slot).vruntime;
            if is_eligible(vruntime) {
                return Some(entry.slot);
            }
            self.eligible.pop();
            self.ineligible.push(Entry { key: vruntime, ..entry });
        }
        None
    }

    /// As if nobody ran meanwhile: by virtual runtime.
    pub(crate) fn order(&self, table: &Table) -> Vec<Slot> {
        let all = self.eligible.entries().chain(self.ineligible.entries());
        let live = all.filter(|entry| entry.is_live(table));
        let mut live: Vec<_> =
            live.map(|entry| Entry { key: table.at(entry.slot).vruntime, ..*entry }).collect();
        live.sort_by(Entry::order);
        live.into_iter().map(|entry| entry.slot).collect()
    }

    pub(crate) fn iter<'a>(&'a self, table: &'a Table) -> impl Iterator<Item = Slot> + 'a {
        let all = self.eligible.entries().chain(self.ineligible.entries());
        all.filter(|entry| entry.is_live(table)).map(|entry| entry.slot)
    }

    pub(crate) fn is_eligible(&self, vruntime: u64) -> bool {
        u128::from(vruntime) * u128::from(self.weight) <= self.sum
    }

    /// Its request in virtual time.
    fn request(&self, table: &Table, slot: Slot) -> u64 {
        virtual_time(table.slice(slot, Nanos(self.slice)), table.at(slot).weight()).max(1)
    }

    pub(crate) fn virtual_now(&self) -> u64 {
        match self.weight {
            0 => self.resting,
            weight => virtual_now(weight, self.sum),
        }
    }

    fn present_lag(&self, table: &Table, slot: Slot) -> i64 {
        self.virtual_now().wrapping_sub(table.at(slot).vruntime) as i64
    }

    fn enter(&mut self, table: &Table, slot: Slot) {
        let hot = table.at(slot);
        self.weight += u64::from(hot.weight());
        self.sum += u128::from(hot.weight()) * u128::from(hot.vruntime);
    }

    fn exit(&mut self, table: &Table, slot: Slot) {
        self.resting = self.virtual_now();
        let hot = table.at(slot);
        self.weight -= u64::from(hot.weight());
        self.sum -= u128::from(hot.weight()) * u128::from(hot.vruntime);
    }

    fn insert(&mut self, table: &mut Table, slot: Slot) {
        let stamp = table.next_stamp();
        let hot = table.at_mut(slot);
        hot.link[0] = stamp;
        let vruntime = hot.vruntime;
        self.live += 1;
        match self.is_eligible(vruntime) {
            true => self.eligible.push(Entry { key: table.rest(slot).deadline, slot, stamp }),
            false => self.ineligible.push(Entry { key: vruntime, slot, stamp }),
        }
    }

    fn withdraw(&mut self, table: &mut Table, slot: Slot) {
        table.at_mut(slot).link[0] = 0;
        self.live -= 1;
        self.stale += 1;
        if self.stale > self.live + SLACK {
            self.eligible.sweep(table);
            self.ineligible.sweep(table);
            self.stale = 0;
        }
    }
}

/// The average of all virtual runtimes, by weight; whoever is not above it is eligible.
fn virtual_now(weight: u64, sum: u128) -> u64 {
    u64::try_from(sum / u128::from(weight)).unwrap_or(u64::MAX)
}
