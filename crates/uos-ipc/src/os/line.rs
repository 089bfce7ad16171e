//! What connects the two sides of a ring beside its memory: a bell for each, and a line that breaks when a process ends.

use super::reactor::{Interest, Source, Waiting};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{read, write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

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
}

/// How often it takes to be asked whether the other side lives before the kernel is asked: a call for each failed try would
/// cost more than the try.
const PATIENCE: u32 = 64;

impl Line {
    pub(crate) fn new(own: OwnedFd, other: OwnedFd, life: OwnedFd) -> Result<Line, rustix::io::Errno> {
        let (own, life) = (Source::new(own)?, Source::new(life)?);
        Ok(Line { own, other, life, dead: AtomicBool::new(false), asked: AtomicU32::new(0) })
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
    pub(crate) fn is_dead(&self) -> bool {
        let due = self.asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(PATIENCE);
        self.dead.load(Ordering::Relaxed) || (due && self.probe())
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
