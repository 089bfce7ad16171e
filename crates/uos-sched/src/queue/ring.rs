//! Turns: a list linked through the entities, so that everything is O(1), leaving from the middle included.

use crate::table::{Hot, NONE, Slot, State, Table};

/// What the first has as its previous means nothing, and what the last has as its next: so whoever takes the first out
/// needs not touch the one after it, and whoever comes in says nothing of who is behind it.
pub(crate) struct Ring {
    head: Slot,
    tail: Slot,
}

impl Default for Ring {
    fn default() -> Ring {
        Ring { head: NONE, tail: NONE }
    }
}

impl Ring {
    pub(crate) fn is_empty(&self) -> bool {
        self.head == NONE
    }

    pub(crate) fn first(&self) -> Option<Slot> {
        (self.head != NONE).then_some(self.head)
    }

    #[inline(always)]
    pub(crate) fn push_back(&mut self, table: &mut Table, slot: Slot) {
        match self.tail {
            NONE => self.head = slot,
            tail => {
                table.at_mut(slot).link[1] = tail;
                table.at_mut(tail).link[0] = slot;
            }
        }
        self.tail = slot;
    }

    #[inline]
    pub(crate) fn push_front(&mut self, table: &mut Table, slot: Slot) {
        match self.head {
            NONE => self.tail = slot,
            head => {
                table.at_mut(slot).link[0] = head;
                table.at_mut(head).link[1] = slot;
            }
        }
        self.head = slot;
    }

    #[inline(always)]
    pub(crate) fn pop(&mut self, table: &Table) -> Option<Slot> {
        let slot = self.first()?;
        match slot == self.tail {
            true => (self.head, self.tail) = (NONE, NONE),
            false => self.head = table.at(slot).link[0],
        }
        Some(slot)
    }

    /// One comes in behind all, and the first goes out: itself if nobody else waits.
    #[inline(always)]
    pub(crate) fn rotate(&mut self, hot: &mut [Hot], slot: Slot) -> Slot {
        let Some(first) = self.first() else { return slot };
        hot[slot as usize].link[1] = self.tail;
        hot[self.tail as usize].link[0] = slot;
        self.tail = slot;
        self.head = hot[first as usize].link[0];
        // It is next: looking at it now has it in the cache by then, and nobody waits for that.
        assert_ne!(hot[self.head as usize].state, State::Free, "who waits is there");
        first
    }

    /// Closes the gap it leaves. It must be in this list.
    pub(crate) fn remove(&mut self, table: &mut Table, slot: Slot) {
        let [next, previous] = table.at(slot).link;
        match (slot == self.head, slot == self.tail) {
            (true, true) => (self.head, self.tail) = (NONE, NONE),
            (true, false) => self.head = next,
            (false, true) => self.tail = previous,
            (false, false) => {
                table.at_mut(previous).link[0] = next;
                table.at_mut(next).link[1] = previous;
            }
        }
    }

    /// From the first to the last.
    pub(crate) fn iter<'a>(&self, table: &'a Table) -> impl Iterator<Item = Slot> + use<'a> {
        let tail = self.tail;
        std::iter::successors(self.first(), move |&slot| (slot != tail).then(|| table.at(slot).link[0]))
    }
}
