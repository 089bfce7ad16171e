//! All that is kept of each entity: tasks, and the place a group has among the tasks of one CPU.
//!
//! What every decision touches is one cache line; the rest stands apart, so that a walk through a million tasks
//! reads half as much. 64 + 40 bytes a task.

mod slots;

use crate::{Class, Cpu, Nanos, Priority, TaskId, Weight};
use slots::Slots;
use std::collections::BTreeMap;

/// An index into the table.
pub(crate) type Slot = u32;
/// No slot.
pub(crate) const NONE: Slot = Slot::MAX;
/// Slots are below, stamps of queue entries are not.
const STAMPS: u32 = 1 << 31;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Free,
    Blocked,
    Waiting,
    Running,
    /// A deadline task that has used up its runtime; or a group that has used up its budget.
    Throttled,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Normal,
    Idle,
    Fifo,
    Turns,
    Deadline,
    /// A group on one CPU.
    Group,
}

#[derive(Clone)]
#[repr(align(64))]
pub(crate) struct Hot {
    /// A list's next and previous; or the stamp of the live queue entry (0 if none) and what a charge left over
    /// of a unit of virtual time.
    pub(crate) link: [u32; 2],
    pub(crate) runtime: u64,
    pub(crate) waited: u64,
    /// Since when it is in its state; while it runs, until when it has been charged.
    pub(crate) since: u64,
    /// Virtual time, or the lag where a policy keeps that of those who are away.
    pub(crate) vruntime: u64,
    pub(crate) waits: u64,
    /// The low half; see [`Table::preemptions`].
    preemptions: u32,
    /// Which tenant of the slot it is.
    pub(crate) generation: u32,
    /// Weight in the low 21 bits, whether it has a slice of its own in bit 22, whether it is a batch task in bit 23,
    /// priority in the top eight.
    share: u32,
    pub(crate) cpu: u16,
    pub(crate) state: State,
    pub(crate) kind: Kind,
}

#[derive(Clone)]
pub(crate) struct Cold {
    /// Owed from earlier, and where the group's ledger stood when it last became able to run.
    pub(crate) owed: u64,
    pub(crate) mark: u64,
    /// EEVDF: virtual deadline. Deadline class: absolute deadline.
    pub(crate) deadline: u64,
    /// Its own slice in nanoseconds; 0 for the policy's.
    pub(crate) slice: u32,
    /// Which of the interned affinity masks.
    pub(crate) mask: u32,
    /// A task's group; of a group on a CPU, the node it stands for.
    pub(crate) group: u32,
    /// Real-time priority, or the place of the reservation.
    pub(crate) aux: u32,
}

const OWN_SLICE: u32 = 1 << 22;
const BATCH: u32 = 1 << 23;

impl Hot {
    pub(crate) fn weight(&self) -> u32 {
        self.share & ((1 << 21) - 1)
    }

    pub(crate) fn priority(&self) -> u8 {
        (self.share >> 24) as u8
    }

    pub(crate) fn has_own_slice(&self) -> bool {
        self.share & OWN_SLICE != 0
    }

    pub(crate) fn is_batch(&self) -> bool {
        self.share & BATCH != 0
    }

    pub(crate) fn set_batch(&mut self, batch: bool) {
        self.share = (self.share & !BATCH) | if batch { BATCH } else { 0 };
    }

    pub(crate) fn set_weight(&mut self, weight: u32) {
        self.share = (self.share & !((1 << 21) - 1)) | weight;
    }

    pub(crate) fn set_priority(&mut self, priority: u8) {
        self.share = (self.share & 0x00ff_ffff) | (u32::from(priority) << 24);
    }

    /// A normal task that can be preempted once more with nothing carried.
    #[inline(always)]
    pub(crate) fn is_simple(&self) -> bool {
        self.kind == Kind::Normal && self.preemptions != u32::MAX
    }

    /// Of one that [is simple](Hot::is_simple).
    #[inline(always)]
    pub(crate) fn count_preemption(&mut self) {
        self.preemptions = self.preemptions.wrapping_add(1);
    }

    pub(crate) fn is_runnable(&self) -> bool {
        matches!(self.state, State::Waiting | State::Running | State::Throttled)
    }
}

#[derive(Default)]
pub(crate) struct Table {
    pub(crate) hot: Vec<Hot>,
    pub(crate) cold: Vec<Cold>,
    free: Slots,
    stamp: u32,
    /// By slot: how often the low half of its preemptions has overflowed. Hardly anybody's ever has.
    overflows: BTreeMap<Slot, u32>,
}

impl Table {
    /// A blank entity, blocked, or `None` when there are no slots left. `together` keeps those of a priority together.
    pub(crate) fn insert(
        &mut self,
        kind: Kind,
        weight: Weight,
        priority: Priority,
        together: bool,
    ) -> Option<Slot> {
        let hot = Hot {
            link: [0, 0],
            runtime: 0,
            waited: 0,
            since: 0,
            vruntime: 0,
            waits: 0,
            preemptions: 0,
            generation: 0,
            share: weight.get() | (u32::from(priority.0) << 24),
            cpu: 0,
            state: State::Blocked,
            kind,
        };
        let cold = Cold { owed: 0, mark: 0, deadline: 0, slice: 0, mask: 0, group: 0, aux: 0 };
        let slot = match self.free.take(priority.0, together, self.hot.len()) {
            Some(slot) => slot,
            None => self.more(&hot, &cold, priority, together)?,
        };
        let generation = self.hot[slot as usize].generation;
        self.hot[slot as usize] = Hot { generation, ..hot };
        self.cold[slot as usize] = cold;
        Some(slot)
    }

    /// A new slot; or a few, of which the others are for those of this priority.
    fn more(&mut self, hot: &Hot, cold: &Cold, priority: Priority, together: bool) -> Option<Slot> {
        let first = u32::try_from(self.hot.len()).ok()?;
        let count = Slots::at_a_time(together, self.hot.len());
        let end = first.checked_add(count).filter(|&end| end <= STAMPS)?;
        let blank = Hot { state: State::Free, ..hot.clone() };
        self.hot.resize(end as usize, blank);
        self.cold.resize(end as usize, cold.clone());
        (first + 1..end).rev().for_each(|slot| self.free.give(slot, priority.0));
        Some(first)
    }

    /// Ends the slot's id. A slot whose generations are used up is not used again.
    pub(crate) fn remove(&mut self, slot: Slot) {
        let hot = &mut self.hot[slot as usize];
        hot.state = State::Free;
        hot.link = [0, 0];
        self.overflows.remove(&slot);
        if let Some(next) = hot.generation.checked_add(1) {
            hot.generation = next;
            self.free.give(slot, hot.priority());
        }
    }

    /// Room for this many more, so that adding them moves nothing.
    pub(crate) fn reserve(&mut self, more: usize) {
        let more = more + Slots::idle_of(more);
        self.hot.reserve_exact(more);
        self.cold.reserve_exact(more);
    }

    #[inline]
    pub(crate) fn id(&self, slot: Slot) -> TaskId {
        TaskId::new(slot, self.at(slot).generation)
    }

    /// The slot of a task that is there.
    #[inline]
    pub(crate) fn find(&self, id: TaskId) -> Option<Slot> {
        let hot = self.hot.get(id.slot()).filter(|hot| hot.generation == id.generation())?;
        (hot.state != State::Free && hot.kind != Kind::Group).then_some(id.place())
    }

    /// The slots of all tasks, in order.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = Slot> + '_ {
        // There are no more slots than a u32 can count: `insert` sees to that.
        let all = self.hot.iter().zip(0u32..);
        all.filter(|(hot, _)| hot.state != State::Free && hot.kind != Kind::Group).map(|(_, slot)| slot)
    }

    /// A number for a queue entry: never 0, a slot or [`NONE`], which lists keep in the same place. Later ones are
    /// larger, until they start over after two billion.
    pub(crate) fn next_stamp(&mut self) -> u32 {
        self.stamp = (self.stamp + 1) % (u32::MAX - STAMPS);
        STAMPS + self.stamp
    }

    #[inline]
    pub(crate) fn at(&self, slot: Slot) -> &Hot {
        &self.hot[slot as usize]
    }

    #[inline]
    pub(crate) fn at_mut(&mut self, slot: Slot) -> &mut Hot {
        &mut self.hot[slot as usize]
    }

    pub(crate) fn rest(&self, slot: Slot) -> &Cold {
        &self.cold[slot as usize]
    }

    pub(crate) fn rest_mut(&mut self, slot: Slot) -> &mut Cold {
        &mut self.cold[slot as usize]
    }

    /// How often it lost its CPU at the end of a slice.
    pub(crate) fn preemptions(&self, slot: Slot) -> u64 {
        let high = self.overflows.get(&slot).copied().unwrap_or(0);
        u64::from(high) << 32 | u64::from(self.at(slot).preemptions)
    }

    /// It was preempted that often more.
    #[inline(always)]
    pub(crate) fn count_preemptions(&mut self, slot: Slot, more: u64) {
        let hot = self.at_mut(slot);
        let sum = u64::from(hot.preemptions) + more;
        hot.preemptions = sum as u32;
        if sum >> 32 > 0 {
            self.overflow(slot, (sum >> 32) as u32);
        }
    }

    #[cold]
    fn overflow(&mut self, slot: Slot, more: u32) {
        let high = self.overflows.entry(slot).or_default();
        *high = high.saturating_add(more);
    }

    /// A slice of its own, or this one.
    #[inline(always)]
    pub(crate) fn slice(&self, slot: Slot, default: Nanos) -> u64 {
        match self.at(slot).has_own_slice() {
            true => u64::from(self.rest(slot).slice),
            false => default.0,
        }
    }

    pub(crate) fn set_slice(&mut self, slot: Slot, slice: Option<u32>) {
        let hot = &mut self.hot[slot as usize];
        hot.share = (hot.share & !OWN_SLICE) | if slice.is_some() { OWN_SLICE } else { 0 };
        self.cold[slot as usize].slice = slice.unwrap_or(0);
    }

    pub(crate) fn cpu(&self, slot: Slot) -> Cpu {
        Cpu(u32::from(self.at(slot).cpu))
    }
}

impl Kind {
    pub(crate) fn of(class: &Class) -> Kind {
        match class {
            Class::Normal | Class::Batch => Kind::Normal,
            Class::Idle => Kind::Idle,
            Class::Fifo(_) => Kind::Fifo,
            Class::RoundRobin(_) => Kind::Turns,
            Class::Deadline(_) => Kind::Deadline,
        }
    }

    /// Whether it goes before all that share by weight or take turns.
    pub(crate) fn is_strict(self) -> bool {
        matches!(self, Kind::Fifo | Kind::Turns | Kind::Deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(table: &mut Table) -> TaskId {
        let slot = table.insert(Kind::Normal, Weight::DEFAULT, Priority::DEFAULT, false).unwrap();
        table.id(slot)
    }

    #[test]
    fn a_stale_id_finds_nothing_even_when_its_slot_is_used_again() {
        let mut table = Table::default();
        let old = insert(&mut table);
        table.remove(old.place());
        let new = insert(&mut table);
        assert_eq!(new.slot(), old.slot());
        assert_eq!((table.find(old), table.find(new)), (None, Some(new.place())));
    }

    #[test]
    fn a_worn_out_slot_is_retired() {
        let mut table = Table::default();
        let id = insert(&mut table);
        table.at_mut(id.place()).generation = u32::MAX;
        let last = table.id(id.place());
        table.remove(last.place());
        assert_ne!(insert(&mut table).slot(), last.slot());
        assert_eq!(table.find(last), None);
    }

    #[test]
    fn an_entity_takes_what_its_documentation_says() {
        assert_eq!((size_of::<Hot>(), size_of::<Cold>()), (64, 40));
    }

    #[test]
    fn preemptions_go_on_beyond_their_low_half() {
        let mut table = Table::default();
        let slot = table.insert(Kind::Normal, Weight::DEFAULT, Priority::DEFAULT, false).unwrap();
        table.count_preemptions(slot, u64::from(u32::MAX));
        table.count_preemptions(slot, 1);
        assert_eq!(table.preemptions(slot), 1 << 32);
        table.count_preemptions(slot, 5 << 32);
        assert_eq!(table.preemptions(slot), 6 << 32);
        table.remove(slot);
        assert_eq!(table.insert(Kind::Normal, Weight::DEFAULT, Priority::DEFAULT, false), Some(slot));
        assert_eq!(table.preemptions(slot), 0, "its next tenant has none");
    }

    #[test]
    fn what_is_packed_comes_out_again() {
        let mut table = Table::default();
        let slot = table.insert(Kind::Normal, Weight::MAX, Priority(255), false).unwrap();
        table.set_slice(slot, Some(7));
        assert_eq!((table.at(slot).weight(), table.at(slot).priority()), (1 << 20, 255));
        table.at_mut(slot).set_weight(3);
        table.at_mut(slot).set_priority(9);
        assert_eq!((table.at(slot).weight(), table.at(slot).priority()), (3, 9));
        assert_eq!(table.slice(slot, Nanos(4)), 7);
        table.set_slice(slot, None);
        assert_eq!((table.slice(slot, Nanos(4)), table.at(slot).weight()), (4, 3));
    }
}
