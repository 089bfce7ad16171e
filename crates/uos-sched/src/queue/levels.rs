//! Strict priorities: a list for each of 256 levels, and a bit for each list that is not empty.

use super::ring::Ring;
use crate::table::{Hot, Slot, Table};

/// The lists are made when the first entity comes: most CPUs never see a real-time task.
#[derive(Default)]
pub(crate) struct Levels {
    lists: Option<Box<[Ring; 256]>>,
    occupied: [u64; 4],
    /// The highest level somebody waits at, kept because every decision asks for it.
    top: Option<u8>,
}

impl Levels {
    pub(crate) fn first(&self) -> Option<Slot> {
        self.lists.as_ref()?[usize::from(self.top?)].first()
    }

    #[inline]
    pub(crate) fn push(&mut self, table: &mut Table, slot: Slot, level: u8, front: bool) {
        let list = &mut self.lists.get_or_insert_with(no_lists)[usize::from(level)];
        match front {
            true => list.push_front(table, slot),
            false => list.push_back(table, slot),
        }
        self.occupied[usize::from(level) / 64] |= 1 << (level % 64);
        self.top = self.top.max(Some(level));
    }

    /// It must wait at this level.
    pub(crate) fn remove(&mut self, table: &mut Table, slot: Slot, level: u8) {
        let lists = self.lists.as_mut().expect("somebody waits, so there are lists");
        let list = &mut lists[usize::from(level)];
        list.remove(table, slot);
        if list.is_empty() {
            self.vacate(level);
        }
    }

    /// Nobody is left at this level.
    fn vacate(&mut self, level: u8) {
        self.occupied[usize::from(level) / 64] &= !(1 << (level % 64));
        if self.top == Some(level) {
            let highest = self.levels().next();
            self.top = highest;
        }
    }

    #[inline]
    pub(crate) fn pop(&mut self, table: &mut Table) -> Option<Slot> {
        let level = self.top?;
        let list = &mut self.lists.as_mut()?[usize::from(level)];
        let slot = list.pop(table);
        if list.is_empty() {
            self.vacate(level);
        }
        slot
    }

    /// One comes in at its own level and the first of the highest goes out: itself if nobody else is as high. Nothing
    /// is done if somebody is higher.
    #[inline(always)]
    pub(crate) fn rotate(&mut self, hot: &mut [Hot], slot: Slot) -> Option<Slot> {
        let level = hot[slot as usize].priority();
        match (self.top, &mut self.lists) {
            (Some(top), Some(lists)) if top == level => Some(lists[usize::from(level)].rotate(hot, slot)),
            (Some(top), _) if top > level => None,
            _ => Some(slot),
        }
    }

    #[inline(never)]
    pub(crate) fn pop_aged(&mut self, table: &mut Table, now: u64, step: u64) -> Option<Slot> {
        let (slot, level) = self.first_aged(table, now, step)?;
        self.remove(table, slot, level);
        Some(slot)
    }

    /// The first of the level that is highest when every `step` of waiting counts as a level more, and that level.
    /// Among equals the one whose own level is higher. Looks at the first of each level that is not empty.
    pub(crate) fn first_aged(&self, table: &Table, now: u64, step: u64) -> Option<(Slot, u8)> {
        let lists = self.lists.as_ref()?;
        let mut best: Option<(u64, Slot, u8)> = None;
        for level in self.levels() {
            let first = lists[usize::from(level)].first()?;
            let aged = u64::from(level) + now.saturating_sub(table.at(first).since) / step;
            if best.is_none_or(|(most, ..)| aged > most) {
                best = Some((aged, first, level));
            }
        }
        best.map(|(_, slot, level)| (slot, level))
    }

    /// From the highest level down, and in each from the first to the last.
    pub(crate) fn iter<'a>(&'a self, table: &'a Table) -> impl Iterator<Item = Slot> + 'a {
        let lists = self.lists.as_deref();
        self.levels().flat_map(move |level| {
            lists.into_iter().flat_map(move |lists| lists[usize::from(level)].iter(table))
        })
    }

    /// The levels that are not empty, from the highest.
    fn levels(&self) -> impl Iterator<Item = u8> + '_ {
        (0..4usize).rev().flat_map(|word| {
            let mut left = self.occupied[word];
            std::iter::from_fn(move || {
                let bit = 63u32.checked_sub(left.leading_zeros())?;
                left &= !(1 << bit);
                Some((word as u32 * 64 + bit) as u8)
            })
        })
    }
}

/// Apart, so that whoever inlines the rest has no room for these on its stack.
#[cold]
#[inline(never)]
fn no_lists() -> Box<[Ring; 256]> {
    Box::new(std::array::from_fn(|_| Ring::default()))
}
