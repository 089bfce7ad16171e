//! Turns: a list linked through the entities, so that everything is O(1), leaving from the middle included.

use crate::table::{NONE, Slot, Table};

/// What the first has as its previous means nothing: so whoever takes it out needs not touch the next.
pub(crate) struct Ring {
    head: Slot,
    tail: Slot,
    len: u32,
}

impl Default for Ring {
    fn default() -> Ring {
        Ring { head: NONE, tail: NONE, len: 0 }
    }
}

impl Ring {
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn first(&self) -> Option<Slot> {
        (self.head != NONE).then_some(self.head)
    }

    #[inline(always)]
    pub(crate) fn push_back(&mut self, table: &mut Table, slot: Slot) {
        table.at_mut(slot).link = [NONE, self.tail];
        match self.tail {
            NONE => self.head = slot,
            tail => table.at_mut(tail).link[0] = slot,
        }
        self.tail = slot;
        self.len += 1;
    }

    #[inline]
    pub(crate) fn push_front(&mut self, table: &mut Table, slot: Slot) {
        table.at_mut(slot).link = [self.head, NONE];
        match self.head {
            NONE => self.tail = slot,
            head => table.at_mut(head).link[1] = slot,
        }
        self.head = slot;
        self.len += 1;
    }

    #[inline(always)]
    pub(crate) fn pop(&mut self, table: &Table) -> Option<Slot> {
        let slot = self.first()?;
        self.head = table.at(slot).link[0];
        if self.head == NONE {
            self.tail = NONE;
        }
        self.len -= 1;
        Some(slot)
    }

    /// One comes in behind all, and the first goes out: itself if nobody else waits.
    #[inline(always)]
    pub(crate) fn rotate(&mut self, table: &mut Table, slot: Slot) -> Slot {
        let Some(first) = self.first() else { return slot };
        table.at_mut(slot).link = [NONE, self.tail];
        table.at_mut(self.tail).link[0] = slot;
        self.tail = slot;
        self.head = table.at(first).link[0];
        // It is next: reading anything of it now has it in the cache by then, and nobody waits for that.
        std::hint::black_box(table.at(self.head).since);
        first
    }

    /// Closes the gap it leaves. It must be in this list.
    pub(crate) fn remove(&mut self, table: &mut Table, slot: Slot) {
        let [next, previous] = table.at(slot).link;
        let first = slot == self.head;
        match first {
            true => self.head = next,
            false => table.at_mut(previous).link[0] = next,
        }
        match next {
            NONE => self.tail = if first { NONE } else { previous },
            next => table.at_mut(next).link[1] = previous,
        }
        self.len -= 1;
    }

    /// From the first to the last.
    pub(crate) fn iter<'a>(&self, table: &'a Table) -> impl Iterator<Item = Slot> + use<'a> {
        let known = |slot: Slot| (slot != NONE).then_some(slot);
        std::iter::successors(known(self.head), move |&slot| known(table.at(slot).link[0]))
    }
}
