//! What connects the two sides of a ring beside its memory: a bell for each, and a line that breaks when a process ends.

use super::reactor::{Interest, Source, Waiting};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{read, write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// One side's part of it.
pub(crate) struct Line {
    /// Rung by the other side for this one: an eventfd.
    own: Source,
    /// Rung by this side for the other.
    other: OwnedFd,
    /// One end of a pair of sockets of which the other end is with the other side, and with nobody else.
    life: Source,
    dead: AtomicBool,
    asked: AtomicU32,
    begun: Instant,
    /// So long after `begun` the kernel may be asked again, in nanoseconds.
    due: AtomicU64,
}

/// How often it takes to be asked whether the other side lives before the clock is looked at: that would cost more than most
/// of what is done in between.
const PATIENCE: u32 = 64;
/// And how long before the kernel is asked: a call every 64 messages took as long as the messages.
const BETWEEN: Duration = Duration::from_millis(1);

impl Line {
    pub(crate) fn new(own: OwnedFd, other: OwnedFd, life: OwnedFd) -> Result<Line, rustix::io::Errno> {
        let (own, life) = (Source::new(own)?, Source::new(life)?);
        let (dead, asked, due) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU64::new(0));
        Ok(Line { own, other, life, dead, asked, begun: Instant::now(), due })
    }

    /// Rings the other side's bell. A full counter means that it rings already.
    pub(crate) fn ring(&self) {
        let _ = write(&self.other, &1u64.to_ne_bytes());
    }

    /// The bell has been heard. Whoever else listens to it here looks again: the next ring may be silenced by this.
    pub(crate) fn hush(&self) {
        let _ = read(self.own.as_fd(), &mut [0; 8]);
        self.own.rouse();
    }

    /// Becomes ready when the bell rings or the line breaks.
    pub(crate) fn listen(&self) -> (Waiting, Waiting) {
        (self.own.wait(Interest::Read), self.life.wait(Interest::Read))
    }

    /// The other side has ended, as far as it was seen: not every time is the kernel asked.
    #[inline]
    pub(crate) fn is_dead(&self) -> bool {
        // Not in one step, which would be a fence: that two threads may count as one is no reason to pay for it.
        let asked = self.asked.load(Ordering::Relaxed);
        self.asked.store(asked.wrapping_add(1), Ordering::Relaxed);
        self.is_dead_after(asked)
    }

    /// The same for who counts for itself how often it has asked.
    #[inline(always)]
    pub(crate) fn is_dead_after(&self, asked: u32) -> bool {
        self.dead.load(Ordering::Relaxed) || (asked.is_multiple_of(PATIENCE) && self.probe_if_due())
    }

    #[cold]
    fn probe_if_due(&self) -> bool {
        let now = self.begun.elapsed();
        if (now.as_nanos() as u64) < self.due.load(Ordering::Relaxed) {
            return false;
        }
        self.due.store((now + BETWEEN).as_nanos() as u64, Ordering::Relaxed);
        self.probe()
    }

    /// The same, by the kernel's word.
    pub(crate) fn probe(&self) -> bool {
        let life = self.life.as_fd();
        let mut polled = [PollFd::from_borrowed_fd(life, PollFlags::IN | PollFlags::RDHUP)];
        let broken =
            poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0);
        if broken {
            self.dead.store(true, Ordering::Relaxed);
        }
        broken
    }
}
