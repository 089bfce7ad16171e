//! The side that puts in.

use super::layout::{CONSUMER_GONE, CONSUMER_WAITS, HEAD, Held, PRODUCER_GONE, PRODUCER_WAITS, TAIL};
use super::wait::{Found, Line, Step};
use super::{Corrupt, Size, Wait};
use crate::memory::RingMemory;
use crate::sync::Ordering;
use std::time::Instant;

pub(crate) struct Producer {
    memory: RingMemory,
    _held: Held,
    size: Size,
    /// Ours: what has been published.
    tail: u64,
    /// Theirs, as it was last seen. The room is at least what follows from it.
    head: u64,
    corrupt: bool,
    closed: bool,
    pub(super) wait: Wait,
}

impl Producer {
    pub(super) fn new(held: Held, size: Size, line: Option<Line>) -> Producer {
        let memory = RingMemory::new(held.memory.clone(), size.storage);
        let wait = Wait::new(line, memory.flag::<PRODUCER_WAITS>());
        Producer { memory, _held: held, size, tail: 0, head: 0, corrupt: false, closed: false, wait }
    }

    pub(super) fn limit(&self) -> u64 {
        self.size.limit
    }

    pub(super) fn tail(&self) -> u64 {
        self.tail
    }

    /// How many bytes the consumer has taken out, as it was last seen.
    pub(super) fn head(&self) -> u64 {
        self.head
    }

    pub(super) fn used(&self) -> u64 {
        self.tail - self.head
    }

    /// Whether there is room for that much, looking at the other side only if it is not known already.
    #[inline(always)]
    pub(super) fn has_room(&mut self, len: u64) -> Result<bool, Corrupt> {
        if self.size.limit - self.used() >= len && !self.corrupt {
            return Ok(true);
        }
        self.look()?;
        Ok(self.size.limit - self.used() >= len)
    }

    /// Whether a slot can be put in now. When it can't, why is another question.
    #[inline(always)]
    pub(super) fn takes_slot(&mut self) -> bool {
        let gone = self.memory.flag::<CONSUMER_GONE>().load(Ordering::Acquire) != 0;
        // The slots put in so far are a count that is kept anyway.
        if self.closed | self.corrupt | gone || self.wait.is_dead_after((self.tail / 64) as u32) {
            return false;
        }
        self.size.limit - self.used() >= 64 || (self.look().is_ok() && self.size.limit - self.used() >= 64)
    }

    /// Reads the other side's index, once, and holds it against what is known: it only ever grows, and never passes ours.
    #[cold]
    pub(super) fn look(&mut self) -> Result<(), Corrupt> {
        let head = self.memory.word::<HEAD>().load(Ordering::Acquire);
        if self.corrupt || self.tail.wrapping_sub(head) > self.used() {
            self.corrupt = true;
            return Err(Corrupt);
        }
        self.head = head;
        Ok(())
    }

    /// Puts bytes at `ahead` bytes behind what is published. That there is room is known.
    #[inline(always)]
    pub(super) fn put(&self, ahead: u64, bytes: &[u8]) {
        let at = ((self.tail + ahead) & (self.size.storage - 1)) as usize;
        let first = bytes.len().min(self.size.storage as usize - at);
        self.memory.copy_in(RingMemory::BYTES + at, &bytes[..first]);
        if first < bytes.len() {
            self.memory.copy_in(RingMemory::BYTES, &bytes[first..]);
        }
    }

    /// Puts a slot in a ring that holds nothing but slots, none of which goes around the edge.
    #[inline(always)]
    pub(super) fn put_slot(&self, slot: &[u8; 64]) {
        self.memory.slot_in(self.tail, slot);
    }

    /// The same behind others that are not published yet.
    #[inline(always)]
    pub(super) fn put_slot_ahead(&self, ahead: u64, slot: &[u8; 64]) {
        self.memory.slot_in(self.tail + ahead, slot);
    }

    /// What was put can be taken from now on. Until then a producer that dies has put in nothing.
    #[inline(always)]
    pub(super) fn publish(&mut self, len: u64) {
        self.tail += len;
        self.memory.word::<TAIL>().store(self.tail, Ordering::Release);
    }

    #[inline(always)]
    pub(super) fn wake(&self) {
        self.wait.wake(&self.memory, self.memory.flag::<CONSUMER_WAITS>());
    }

    /// Sleeps until there is room for that much, or no sense in waiting for it. Answers whether it is one of them.
    pub(super) fn sleep(&mut self, len: u64, step: Step, deadline: Option<Instant>) -> bool {
        let Producer { memory, size, tail, wait, .. } = self;
        let look = || {
            let used = tail.wrapping_sub(memory.word::<HEAD>().load(Ordering::Acquire));
            match size.limit.checked_sub(used) {
                // An index that can't be true is for `look` to find.
                None => Found::Steps(1),
                Some(room) if room >= len => step.found(room),
                Some(_) if memory.flag::<CONSUMER_GONE>().load(Ordering::Acquire) != 0 => Found::Steps(1),
                Some(_) => Found::Nothing,
            }
        };
        wait.sleep(memory, memory.flag::<PRODUCER_WAITS>(), look, step, deadline)
    }

    /// Steps of that many bytes, in this ring.
    pub(super) fn step(&self, bytes: u64) -> Step {
        Step { bytes, most: self.size.limit / bytes }
    }

    pub(super) fn arm(&self) {
        self.wait.arm(self.memory.flag::<PRODUCER_WAITS>());
    }

    /// Nobody will take out anything any more.
    #[inline(always)]
    pub(super) fn is_abandoned(&self) -> bool {
        self.memory.flag::<CONSUMER_GONE>().load(Ordering::Acquire) != 0 || self.wait.is_dead()
    }

    #[inline(always)]
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Ends the ring for a reason found elsewhere.
    pub(super) fn poison(&mut self) -> Corrupt {
        self.corrupt = true;
        Corrupt
    }

    /// Nothing more will be put in.
    pub(super) fn close(&mut self) {
        if !self.closed {
            self.closed = true;
            self.memory.flag::<PRODUCER_GONE>().store(1, Ordering::Release);
            self.wake();
        }
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.close();
    }
}
