//! The rules of a pipe: what a read and a write do, when a pipe ends, who is woken.

use super::{Capacity, PipeError, PipeStats, ring::Ring, side::Side};
use crate::quota::Permit;
use crate::sync::Mutex;
use bytes::Bytes;
use std::task::Waker;

/// What all handles and all waiting futures of one pipe share.
pub(crate) struct Shared {
    /// Protects the whole pipe. Nothing else is locked and no waker is woken, cloned or dropped while
    /// it is held; returning the permit touches only the quota's atomics.
    state: Mutex<State>,
}

impl Shared {
    pub(crate) fn new(capacity: Capacity, charge: Permit) -> Shared {
        let (readers, writers) = (Side::default(), Side::default());
        let totals = Totals::default();
        let charge = Some(charge);
        let state =
            State { capacity, ring: Ring::default(), readers, writers, totals, charge, destroyed: false };
        Shared { state: Mutex::new(state) }
    }

    /// Looks without changing anything.
    pub(crate) fn peek<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.state.lock())
    }

    /// One step: changes the pipe, finds out whom that concerns, and wakes them after unlocking.
    pub(crate) fn step<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock();
        let answer = change(&mut state);
        let wakes = state.settle();
        drop(state);
        wakes.fire();
        answer
    }
}

/// Which side a handle or a waiter is on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Read,
    Write,
}

pub(crate) struct State {
    capacity: Capacity,
    ring: Ring,
    readers: Side,
    writers: Side,
    totals: Totals,
    /// Pays for the capacity; gone as soon as nobody can read from the ring any more.
    charge: Option<Permit>,
    destroyed: bool,
}

#[derive(Default)]
struct Totals {
    written: u64,
    read: u64,
    discarded: u64,
}

impl State {
    /// A read that takes what is there. `max == 0` takes nothing and is not an end of file.
    pub(crate) fn read(&mut self, max: usize) -> Result<Bytes, PipeError> {
        if self.destroyed {
            return Err(PipeError::Closed);
        }
        if self.ring.is_empty() && max > 0 && !self.writers.is_closed() {
            return Err(PipeError::WouldBlock { asked: max, available: 0 });
        }
        let bytes = self.ring.pop(max);
        self.totals.read += bytes.len() as u64;
        Ok(bytes)
    }

    /// A write that puts in what fits; up to the atomic size, everything or nothing.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<usize, PipeError> {
        if self.destroyed {
            return Err(PipeError::Closed);
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        if self.readers.is_closed() {
            return Err(PipeError::BrokenPipe);
        }
        let available = self.available(End::Write);
        let least = if bytes.len() <= self.capacity.atomic_bytes() { bytes.len() } else { 1 };
        if available < least {
            return Err(PipeError::WouldBlock { asked: bytes.len(), available });
        }
        let written = bytes.len().min(available);
        self.ring.push(&bytes[..written], self.capacity.bytes());
        self.totals.written += written as u64;
        Ok(written)
    }

    /// Closes both sides now. What was not read is lost.
    pub(crate) fn destroy(&mut self) {
        self.destroyed = true;
    }

    pub(crate) fn side(&mut self, end: End) -> &mut Side {
        match end {
            End::Read => &mut self.readers,
            End::Write => &mut self.writers,
        }
    }

    /// Bytes to read, or room to write.
    pub(crate) fn available(&self, end: End) -> usize {
        match end {
            End::Read => self.ring.len(),
            End::Write => self.capacity.bytes() - self.ring.len(),
        }
    }

    /// How much must be available before it pays to wake somebody who writes `len` bytes. A long write
    /// waits for a whole atomic piece: otherwise a slow reader would have it dribble byte by byte.
    pub(crate) fn write_need(&self, len: usize) -> usize {
        len.min(self.capacity.atomic_bytes())
    }

    /// No waiting at this end will ever bring anything new.
    pub(crate) fn is_over(&self, end: End) -> bool {
        self.destroyed
            || match end {
                End::Read => self.writers.is_closed(),
                End::Write => self.readers.is_closed(),
            }
    }

    pub(crate) fn stats(&self) -> PipeStats {
        PipeStats {
            capacity_bytes: self.capacity.bytes(),
            buffered_bytes: self.ring.len(),
            written_bytes: self.totals.written,
            read_bytes: self.totals.read,
            discarded_bytes: self.totals.discarded,
            readers: self.readers.handles(),
            writers: self.writers.handles(),
            waiting_readers: self.readers.waiting(),
            waiting_writers: self.writers.waiting(),
            destroyed: self.destroyed,
        }
    }

    /// Ends every step. Afterwards the ring exists only while somebody can read it, and whoever is in
    /// front of a queue and could go on has been woken. That second half is why no wake-up is lost: it
    /// is looked at after every change, whatever the change was.
    fn settle(&mut self) -> Wakes {
        let drained = self.writers.is_closed() && self.ring.is_empty();
        if self.destroyed || self.readers.is_closed() || drained {
            self.totals.discarded += self.ring.len() as u64;
            self.ring.clear();
            self.charge = None;
        } else if self.ring.is_empty() && self.readers.waiting() > 0 {
            // An idle pipe is small, whatever it has carried before.
            self.ring.clear();
        }
        let mut wakes = Wakes::default();
        for (end, one) in [(End::Read, &mut wakes.reader), (End::Write, &mut wakes.writer)] {
            if self.is_over(end) {
                wakes.all.extend(self.side(end).choose_all());
            } else {
                let available = self.available(end);
                *one = self.side(end).choose(available);
            }
        }
        wakes
    }
}

/// Whom a step has to wake. Two slots for the daily case, so that it allocates nothing.
#[derive(Default)]
struct Wakes {
    reader: Option<Waker>,
    writer: Option<Waker>,
    all: Vec<Waker>,
}

impl Wakes {
    fn fire(self) {
        self.reader.into_iter().chain(self.writer).chain(self.all).for_each(Waker::wake);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{Pipe, Quota};
    use std::task::Context;
    use std::{future::Future, pin::pin};

    #[test]
    fn a_pipe_that_waits_is_small() {
        let quota = Quota::root("pipes", 1 << 20);
        let Pipe { writer, reader, .. } = Pipe::new(Capacity::MAX, &quota).unwrap();
        writer.try_write(&[0; 100_000]).unwrap();
        reader.try_read(99_990).unwrap();
        reader.try_read(100).unwrap();
        let mut read = pin!(reader.read(1));
        assert!(read.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let held = reader.shared.peek(|state| {
            assert_eq!(state.ring.room_bytes(), 0);
            state.readers.heap_bytes() + state.writers.heap_bytes()
        });
        assert!(
            size_of::<Shared>() + 2 * size_of::<usize>() + held < 1024,
            "{held} bytes beside the fixed part"
        );
    }
}
