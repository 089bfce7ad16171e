//! The rules of a pipe: what a read and a write do, when a pipe ends, who is woken.

use super::{Capacity, PipeError, PipeStats, ring::Ring};
use crate::quota::Permit;
use crate::waiting::{End, Object, Side};
use bytes::Bytes;

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
    pub(crate) fn new(capacity: Capacity, charge: Permit) -> State {
        let (readers, writers) = (Side::default(), Side::default());
        let (ring, totals) = (Ring::default(), Totals::default());
        State { capacity, ring, readers, writers, totals, charge: Some(charge), destroyed: false }
    }

    /// A read that takes what is there. `max == 0` takes nothing and is not an end of file.
    pub(crate) fn read(&mut self, max: usize) -> Result<Bytes, PipeError> {
        self.check_read(max)?;
        let bytes = self.ring.pop(max);
        self.totals.read += bytes.len() as u64;
        Ok(bytes)
    }

    /// The same, copied.
    pub(crate) fn read_into(&mut self, buffer: &mut [u8]) -> Result<usize, PipeError> {
        self.check_read(buffer.len())?;
        let read = self.ring.pop_into(buffer);
        self.totals.read += read as u64;
        Ok(read)
    }

    fn check_read(&self, max: usize) -> Result<(), PipeError> {
        if self.destroyed {
            return Err(self.closed());
        }
        if self.ring.is_empty() && max > 0 && !self.writers.is_closed() {
            return Err(PipeError::WouldBlock { asked: max, available: 0 });
        }
        Ok(())
    }

    /// A write that puts in what fits; up to the atomic size, everything or nothing.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<usize, PipeError> {
        if self.destroyed {
            return Err(self.closed());
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

    /// How much must be available before it pays to wake somebody who writes `len` bytes. A long write
    /// waits for a whole atomic piece: otherwise a slow reader would have it dribble byte by byte.
    pub(crate) fn write_need(&self, len: usize) -> usize {
        len.min(self.capacity.atomic_bytes())
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
}

impl Object for State {
    type Error = PipeError;
    type Left = ();

    #[cold]
    fn closed(&self) -> PipeError {
        match self.destroyed {
            true => PipeError::Destroyed { discarded_bytes: self.totals.discarded },
            false => PipeError::Closed,
        }
    }

    fn side(&mut self, end: End) -> &mut Side {
        match end {
            End::Read => &mut self.readers,
            End::Write => &mut self.writers,
        }
    }

    /// Bytes to read, or room to write.
    fn available(&self, end: End) -> usize {
        match end {
            End::Read => self.ring.len(),
            End::Write => self.capacity.bytes() - self.ring.len(),
        }
    }

    fn is_over(&self, end: End) -> bool {
        self.destroyed
            || match end {
                End::Read => self.writers.is_closed(),
                End::Write => self.readers.is_closed(),
            }
    }

    #[inline(always)]
    fn is_quiet(&self) -> bool {
        let open = !self.readers.is_closed() && !self.writers.is_closed();
        open && !self.destroyed && self.readers.is_idle() && self.writers.is_idle()
    }

    /// Afterwards the ring exists only while somebody can read it.
    fn settle(&mut self) {
        let drained = self.writers.is_closed() && self.ring.is_empty();
        if self.destroyed || self.readers.is_closed() || drained {
            self.totals.discarded += self.ring.len() as u64;
            self.ring.clear();
            self.charge = None;
        } else if self.ring.is_empty() && self.readers.waiting() > 0 {
            // An idle pipe is small, whatever it has carried before.
            self.ring.clear();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{Pipe, Quota};
    use std::task::{Context, Waker};
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
            size_of::<crate::waiting::Shared<State>>() + 2 * size_of::<usize>() + held < 1024,
            "{held} bytes beside the fixed part"
        );
    }
}
