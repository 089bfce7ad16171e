//! Which slots are free.
//!
//! Where there are very many entities and they go by priority, those of one priority get slots side by side: whoever walks
//! along a level then has its next on the page it is on. With a page for each, the processor waited for the addresses twice as
//! long as all the rest took.

use super::Slot;

/// How many slots are set aside at a time for a priority: a kilobyte of what is touched.
const TOGETHER: u32 = 16;
const LEVELS: usize = 256;
/// With fewer slots than these it makes no difference.
const MANY: usize = 1 << 16;

#[derive(Default)]
pub(crate) struct Slots {
    /// Free for anybody; the last one is used first.
    free: Vec<Slot>,
    /// Free for those of a priority, and how many these are.
    levels: Option<Box<[Vec<Slot>; LEVELS]>>,
    set_aside: usize,
}

impl Slots {
    /// The most slots that are set aside before the first one is freed.
    const MOST_IDLE: usize = LEVELS * (TOGETHER as usize - 1);

    /// How many slots may be set aside, at the most, where that many are made.
    pub(super) fn idle_of(made: usize) -> usize {
        if made >= MANY { Slots::MOST_IDLE } else { 0 }
    }

    /// A free slot for one of this priority, of `total` that there are. None is answered if there should be more.
    pub(super) fn take(&mut self, level: u8, together: bool, total: usize) -> Option<Slot> {
        if together && total >= MANY {
            let levels = self.levels.get_or_insert_with(|| Box::new(std::array::from_fn(|_| Vec::new())));
            let own = levels[usize::from(level)].pop();
            // Others' are taken only once they are many.
            let few = self.free.len() + self.set_aside <= Slots::MOST_IDLE + total / 8;
            if own.is_some() || few {
                self.set_aside -= usize::from(own.is_some());
                return own;
            }
        }
        self.free.pop().or_else(|| self.of_others())
    }

    #[cold]
    fn of_others(&mut self) -> Option<Slot> {
        let slot = self.levels.as_mut()?.iter_mut().find_map(Vec::pop)?;
        self.set_aside -= 1;
        Some(slot)
    }

    /// How many new ones are made at once.
    pub(super) fn at_a_time(together: bool, total: usize) -> u32 {
        if together && total >= MANY { TOGETHER } else { 1 }
    }

    /// A slot is free, where those of this priority are.
    pub(super) fn give(&mut self, slot: Slot, level: u8) {
        match &mut self.levels {
            Some(levels) => {
                levels[usize::from(level)].push(slot);
                self.set_aside += 1;
            }
            None => self.free.push(slot),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Table};
    use super::*;
    use crate::{Priority, Weight};

    fn insert(table: &mut Table, priority: u8, together: bool) -> Slot {
        let slot = table.insert(Kind::Normal, Weight::DEFAULT, Priority(priority), together).unwrap();
        table.at_mut(slot).state = super::super::State::Waiting;
        slot
    }

    #[test]
    fn those_of_a_priority_are_together_once_they_are_many() {
        let mut table = Table::default();
        let first = (0..MANY as u32).map(|_| insert(&mut table, 1, true)).collect::<Vec<_>>();
        assert_eq!(first, (0..MANY as u32).collect::<Vec<_>>(), "one after the other while they are few");
        let mixed: Vec<[Slot; 2]> =
            (0..TOGETHER).map(|_| [insert(&mut table, 3, true), insert(&mut table, 9, true)]).collect();
        for which in [0, 1] {
            let ones: Vec<Slot> = mixed.iter().map(|pair| pair[which]).collect();
            let expected = ones[0]..ones[0] + TOGETHER;
            assert_eq!(ones, expected.collect::<Vec<_>>());
        }
        let apart = insert(&mut table, 3, false);
        assert!(!mixed.iter().flatten().any(|&slot| slot == apart), "{apart}");
    }

    #[test]
    fn what_is_free_is_used_whoever_it_was_set_aside_for() {
        let mut table = Table::default();
        let slots: Vec<Slot> = (0..2 * MANY).map(|at| insert(&mut table, at as u8, true)).collect();
        let total = table.hot.len();
        assert!(total <= 2 * MANY + Slots::MOST_IDLE);
        let mut seen: Vec<Slot> = slots.clone();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), slots.len(), "none is given twice");
        slots.iter().for_each(|&slot| table.remove(slot));
        for _ in 0..2 * MANY {
            insert(&mut table, 200, true);
        }
        assert!(
            table.hot.len() <= total + total / 8 + 2 * Slots::MOST_IDLE,
            "{} of {total}",
            table.hot.len()
        );
        // Under another policy nobody is kept apart, and nothing is left over.
        while table.free.free.len() + table.free.set_aside > 0 {
            insert(&mut table, 0, false);
        }
        assert_eq!(table.tasks().count(), table.hot.len());
    }
}
