//! The side that takes out.

use super::layout::{CONSUMER_GONE, CONSUMER_WAITS, HEAD, Held, PRODUCER_GONE, PRODUCER_WAITS, TAIL};
use super::wait::{Found, Line, Step};
use super::{Corrupt, Size, Wait};
use crate::memory::RingMemory;
use crate::sync::Ordering;
use std::time::Instant;

pub(crate) struct Consumer {
    memory: RingMemory,
    _held: Held,
    size: Size,
    /// Ours: what has been taken out.
    head: u64,
    /// Theirs, as it was last seen. There is at least what follows from it.
    tail: u64,
    corrupt: bool,
    closed: bool,
    pub(super) wait: Wait,
}

impl Consumer {
    pub(super) fn new(held: Held, size: Size, line: Option<Line>) -> Consumer {
        let memory = RingMemory::new(held.memory.clone(), size.storage);
        let wait = Wait::new(line, memory.flag::<CONSUMER_WAITS>());
        Consumer { memory, _held: held, size, head: 0, tail: 0, corrupt: false, closed: false, wait }
    }

    pub(super) fn head(&self) -> u64 {
        self.head
    }

    /// What is known to be there.
    #[inline(always)]
    pub(super) fn available(&self) -> u64 {
        self.tail - self.head
    }

    /// Whether there is anything, looking at the other side only if it is not known already.
    #[inline(always)]
    pub(super) fn has_some(&mut self) -> Result<bool, Corrupt> {
        if self.available() > 0 && !self.corrupt {
            return Ok(true);
        }
        self.look()?;
        Ok(self.available() > 0)
    }

    /// Whether there is a slot for certain, without a look at the other side.
    #[inline(always)]
    pub(super) fn knows_slot(&self) -> bool {
        self.available() >= 64 && !self.corrupt
    }

    /// Whether there is a slot now. When there isn't, why is another question.
    #[inline(always)]
    pub(super) fn has_slot(&mut self) -> bool {
        if self.available() == 0 && self.look().is_err() {
            return false;
        }
        self.knows_slot()
    }

    /// Reads the other side's index, once, and holds it against what is known: it only ever grows, and never passes the size.
    #[inline(always)]
    pub(super) fn look(&mut self) -> Result<(), Corrupt> {
        let tail = self.memory.word::<TAIL>().load(Ordering::Acquire);
        let available = tail.wrapping_sub(self.head);
        if self.corrupt || available > self.size.limit || available < self.available() {
            self.corrupt = true;
            return Err(Corrupt);
        }
        self.tail = tail;
        Ok(())
    }

    /// Copies what lies `ahead` bytes behind the front. That it is there is known.
    #[inline(always)]
    pub(super) fn copy(&self, ahead: u64, bytes: &mut [u8]) {
        let (at, first) = self.place(ahead, bytes.len());
        self.memory.copy_out(RingMemory::BYTES + at, &mut bytes[..first]);
        if first < bytes.len() {
            self.memory.copy_out(RingMemory::BYTES, &mut bytes[first..]);
        }
    }

    /// The same to the end of a vector.
    pub(super) fn append(&self, ahead: u64, len: usize, bytes: &mut Vec<u8>) {
        let (at, first) = self.place(ahead, len);
        bytes.reserve(len);
        self.memory.append_to(RingMemory::BYTES + at, first, bytes);
        if first < len {
            self.memory.append_to(RingMemory::BYTES, len - first, bytes);
        }
    }

    /// The slot in front, of a ring that holds nothing but slots.
    #[inline(always)]
    pub(super) fn slot(&self) -> [u8; 64] {
        self.memory.slot_out(self.head)
    }

    /// A slot behind it, which is known to be there.
    #[inline(always)]
    pub(super) fn slot_ahead(&self, ahead: u64) -> [u8; 64] {
        self.memory.slot_out(self.head + ahead)
    }

    #[inline(always)]
    fn place(&self, ahead: u64, len: usize) -> (usize, usize) {
        let at = ((self.head + ahead) & (self.size.storage - 1)) as usize;
        (at, len.min(self.size.storage as usize - at))
    }

    /// Gives the room back.
    #[inline(always)]
    pub(super) fn release(&mut self, len: u64) {
        self.head += len;
        self.memory.word::<HEAD>().store(self.head, Ordering::Release);
    }

    #[inline(always)]
    pub(super) fn wake(&self) {
        self.wait.wake(&self.memory, self.memory.flag::<PRODUCER_WAITS>());
    }

    /// Sleeps until there is something, or no sense in waiting for it. Answers whether it is one of them.
    pub(super) fn sleep(&mut self, step: Step, deadline: Option<Instant>) -> bool {
        let Consumer { memory, head, wait, .. } = self;
        let look = || match memory.word::<TAIL>().load(Ordering::Acquire).wrapping_sub(*head) {
            0 if memory.flag::<PRODUCER_GONE>().load(Ordering::Acquire) == 0 => Found::Nothing,
            there => step.found(there),
        };
        wait.sleep(memory, memory.flag::<CONSUMER_WAITS>(), look, step, deadline)
    }

    /// Steps of that many bytes, in this ring.
    pub(super) fn step(&self, bytes: u64) -> Step {
        Step { bytes, most: self.size.limit / bytes }
    }

    pub(super) fn arm(&self) {
        self.wait.arm(self.memory.flag::<CONSUMER_WAITS>());
    }

    /// Nothing is there and nothing will come. The producer may have put something in just before it went.
    pub(super) fn is_over(&mut self) -> Result<bool, Corrupt> {
        let gone = self.memory.flag::<PRODUCER_GONE>().load(Ordering::Acquire) != 0 || self.wait.is_dead();
        Ok(gone && !self.has_some()?)
    }

    /// A try would not be refused for now.
    pub(super) fn is_ready(&mut self) -> bool {
        self.closed || self.has_some() != Ok(false) || self.is_over() != Ok(false)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Ends the ring for a reason found elsewhere.
    pub(super) fn poison(&mut self) -> Corrupt {
        self.corrupt = true;
        Corrupt
    }

    /// Nothing more will be taken out. Answers how much is lost by that.
    pub(super) fn close(&mut self) -> u64 {
        if self.closed {
            return 0;
        }
        self.closed = true;
        self.memory.flag::<CONSUMER_GONE>().store(1, Ordering::Release);
        self.wake();
        if self.look().is_ok() { self.available() } else { 0 }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.close();
    }
}
