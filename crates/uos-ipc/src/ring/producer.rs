//! The side that puts in.

use super::layout::{BYTES, CONSUMER_GONE, CONSUMER_WAITS, HEAD, Held, PRODUCER_GONE, PRODUCER_WAITS, TAIL};
use super::wait::Line;
use super::{Corrupt, Size, Wait};
use crate::sync::Ordering;
use std::time::Instant;

pub(crate) struct Producer {
    held: Held,
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
        let wait = Wait::new(PRODUCER_WAITS, CONSUMER_WAITS, line);
        Producer { held, size, tail: 0, head: 0, corrupt: false, closed: false, wait }
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
    #[inline]
    pub(super) fn has_room(&mut self, len: u64) -> Result<bool, Corrupt> {
        if self.size.limit - self.used() >= len && !self.corrupt {
            return Ok(true);
        }
        self.look()?;
        Ok(self.size.limit - self.used() >= len)
    }

    /// Reads the other side's index, once, and holds it against what is known: it only ever grows, and never passes ours.
    #[inline]
    pub(super) fn look(&mut self) -> Result<(), Corrupt> {
        let head = self.held.memory.word(HEAD).load(Ordering::Acquire);
        if self.corrupt || self.tail.wrapping_sub(head) > self.used() {
            self.corrupt = true;
            return Err(Corrupt);
        }
        self.head = head;
        Ok(())
    }

    /// Puts bytes at `ahead` bytes behind what is published. That there is room is known.
    #[inline]
    pub(super) fn put(&self, ahead: u64, bytes: &[u8]) {
        let at = ((self.tail + ahead) & (self.size.storage - 1)) as usize;
        let first = bytes.len().min(self.size.storage as usize - at);
        self.held.memory.copy_in(BYTES + at, &bytes[..first]);
        if first < bytes.len() {
            self.held.memory.copy_in(BYTES, &bytes[first..]);
        }
    }

    /// What was put can be taken from now on. Until then a producer that dies has put in nothing.
    #[inline]
    pub(super) fn publish(&mut self, len: u64) {
        self.tail += len;
        self.held.memory.word(TAIL).store(self.tail, Ordering::Release);
    }

    #[inline]
    pub(super) fn wake(&self) {
        self.wait.wake(&self.held);
    }

    /// Sleeps until there is room for that much, or no sense in waiting for it. Answers whether it is one of them.
    pub(super) fn sleep(&mut self, len: u64, deadline: Option<Instant>) -> bool {
        let Producer { held, size, tail, wait, .. } = self;
        let ready = || {
            let used = tail.wrapping_sub(held.memory.word(HEAD).load(Ordering::Acquire));
            // An index that can't be true is for `look` to find.
            used > size.limit
                || size.limit - used >= len
                || held.memory.flag(CONSUMER_GONE).load(Ordering::Acquire) != 0
        };
        wait.sleep(held, ready, deadline)
    }

    #[cfg(not(any(loom, shuttle)))]
    pub(super) fn arm(&self) {
        self.wait.arm(&self.held);
    }

    /// Nobody will take out anything any more.
    #[inline]
    pub(super) fn is_abandoned(&self) -> bool {
        self.held.memory.flag(CONSUMER_GONE).load(Ordering::Acquire) != 0 || self.wait.is_dead()
    }

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
            self.held.memory.flag(PRODUCER_GONE).store(1, Ordering::Release);
            self.wake();
        }
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.close();
    }
}
