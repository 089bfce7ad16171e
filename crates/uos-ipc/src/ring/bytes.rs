//! A ring as a stream of bytes, with the promises of pipe(2).

use super::layout::Held;
use super::wait::{Half, Line, Step};
use super::{Consumer, Producer, Size};
use crate::pipe::{Capacity, PipeError};
use crate::quota::{Quota, QuotaError};
use bytes::Bytes;
use std::time::{Duration, Instant};

/// How much of a long write or read is made known to the other side at a time.
const PIECE: usize = 16 << 10;

/// The end that bytes go into. There is one of it for a ring.
pub struct RingWriter {
    producer: Producer,
    capacity: Capacity,
}

/// The end they come out of. There is one of it for a ring.
pub struct RingReader {
    consumer: Consumer,
    capacity: Capacity,
    discarded: u64,
}

/// A ring in this process, all of it charged to `quota`.
pub fn ring(capacity: Capacity, quota: &Quota) -> Result<(RingWriter, RingReader), QuotaError> {
    let held = Held::local(Size::of(capacity.bytes()), quota)?;
    Ok((RingWriter::of(held.clone(), capacity, None), RingReader::of(held, capacity, None)))
}

impl RingWriter {
    pub(crate) fn of(held: Held, capacity: Capacity, line: Option<Line>) -> RingWriter {
        RingWriter { producer: Producer::new(held, Size::of(capacity.bytes()), line), capacity }
    }

    /// Puts in what fits and says how much, and never waits. Up to 4 KiB it is all or nothing.
    pub fn try_write(&mut self, bytes: &[u8]) -> Result<usize, PipeError> {
        if self.producer.is_closed() {
            return Err(PipeError::Closed);
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        if self.producer.is_abandoned() {
            return Err(PipeError::BrokenPipe);
        }
        // For a long write all the room there is, as it is now.
        let len = bytes.len() as u64;
        self.producer.has_room(len.min(self.producer.limit()))?;
        let room = (self.producer.limit() - self.producer.used()) as usize;
        if room < self.need(bytes.len()) {
            return Err(PipeError::WouldBlock { asked: bytes.len(), available: room });
        }
        let written = bytes.len().min(room);
        // In pieces, so that the reader copies the first while the next is being put in.
        for piece in bytes[..written].chunks(PIECE) {
            self.producer.put(0, piece);
            self.producer.publish(piece.len() as u64);
            self.producer.wake();
        }
        Ok(written)
    }

    /// Writes all of it, sleeping until there is room for the rest.
    pub fn write_blocking(&mut self, bytes: &[u8]) -> Result<(), PipeError> {
        self.write_until(bytes, None).map(drop)
    }

    /// Writes until the time is over, and says how much went in; if nothing did, it answers [`PipeError::WouldBlock`].
    pub fn write_timeout(&mut self, bytes: &[u8], timeout: Duration) -> Result<usize, PipeError> {
        self.write_until(bytes, Instant::now().checked_add(timeout))
    }

    /// Nothing more will be written, as by dropping it. What is in the ring can still be read.
    pub fn close(&mut self) {
        self.producer.close();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.producer.is_closed()
    }

    /// How much the ring holds.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// All bytes ever written, and how many of them have not been read.
    pub fn counts(&mut self) -> (u64, u64) {
        // What can't be true is told by the next write.
        let _ = self.producer.look();
        (self.producer.tail(), self.producer.used())
    }

    fn write_until(&mut self, bytes: &[u8], deadline: Option<Instant>) -> Result<usize, PipeError> {
        let mut written = 0;
        loop {
            match self.try_write(&bytes[written..]) {
                Ok(more) => written += more,
                Err(refused @ PipeError::WouldBlock { .. }) => {
                    let need = self.need(bytes.len() - written) as u64;
                    if !self.producer.sleep(need, Step::UNCOUNTED, deadline) {
                        return if written > 0 { Ok(written) } else { Err(refused) };
                    }
                }
                Err(error) => return Err(error),
            }
            if written == bytes.len() {
                return Ok(written);
            }
        }
    }

    /// How much room there must be for a write of that length to go on: all of a short one.
    fn need(&self, len: usize) -> usize {
        if len <= self.capacity.atomic_bytes() { len } else { 1 }
    }
}

impl RingReader {
    pub(crate) fn of(held: Held, capacity: Capacity, line: Option<Line>) -> RingReader {
        RingReader { consumer: Consumer::new(held, Size::of(capacity.bytes()), line), capacity, discarded: 0 }
    }

    /// Takes what is there, at most `max` bytes, and never waits. An empty answer to `max > 0` is the end.
    pub fn try_read(&mut self, max: usize) -> Result<Bytes, PipeError> {
        let len = self.readable_now(max)?;
        let mut bytes = Vec::new();
        self.consumer.append(0, len, &mut bytes);
        self.taken(len);
        Ok(bytes.into())
    }

    /// The same into a buffer, and says how much.
    pub fn try_read_into(&mut self, buffer: &mut [u8]) -> Result<usize, PipeError> {
        let len = self.readable_now(buffer.len())?;
        for piece in buffer[..len].chunks_mut(PIECE) {
            self.consumer.copy(0, piece);
            self.taken(piece.len());
        }
        Ok(len)
    }

    /// Reads what is there, sleeping until there is something or the end.
    pub fn read_blocking(&mut self, buffer: &mut [u8]) -> Result<usize, PipeError> {
        self.read_until(buffer, None)
    }

    /// The same for so long at the most; then it answers [`PipeError::WouldBlock`].
    pub fn read_timeout(&mut self, buffer: &mut [u8], timeout: Duration) -> Result<usize, PipeError> {
        self.read_until(buffer, Instant::now().checked_add(timeout))
    }

    /// Nothing more will be read, as by dropping it. What was not read is lost.
    pub fn close(&mut self) {
        self.discarded += self.consumer.close();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.consumer.is_closed()
    }

    /// How much the ring holds.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// All bytes ever read, and those that were lost by closing.
    pub fn counts(&self) -> (u64, u64) {
        (self.consumer.head(), self.discarded)
    }

    fn read_until(&mut self, buffer: &mut [u8], deadline: Option<Instant>) -> Result<usize, PipeError> {
        loop {
            match self.try_read_into(buffer) {
                Err(refused @ PipeError::WouldBlock { .. }) => {
                    if !self.consumer.sleep(Step::UNCOUNTED, deadline) {
                        return Err(refused);
                    }
                }
                answer => return answer,
            }
        }
    }

    /// How much a read of at most `max` gives now: 0 is the end.
    fn readable_now(&mut self, max: usize) -> Result<usize, PipeError> {
        if self.consumer.is_closed() {
            return Err(PipeError::Closed);
        }
        if max == 0 {
            return Ok(0);
        }
        if self.consumer.available() < max as u64 {
            self.consumer.look()?;
        }
        if self.consumer.available() == 0 && !self.consumer.is_over()? && self.consumer.available() == 0 {
            return Err(PipeError::WouldBlock { asked: max, available: 0 });
        }
        Ok(max.min(self.consumer.available() as usize))
    }

    fn taken(&mut self, len: usize) {
        if len > 0 {
            self.consumer.release(len as u64);
            self.consumer.wake();
        }
    }
}

impl Half for RingWriter {
    /// A write of `need` bytes would not block.
    fn is_ready(&mut self, need: usize) -> bool {
        let need = need.min(self.capacity.atomic_bytes()) as u64;
        self.producer.is_closed() || self.producer.is_abandoned() || self.producer.has_room(need) != Ok(false)
    }

    fn arm(&self) {
        self.producer.arm();
    }

    fn line(&self) -> Option<&Line> {
        self.producer.wait.line()
    }
}

impl Half for RingReader {
    fn is_ready(&mut self, _need: usize) -> bool {
        self.consumer.is_ready()
    }

    fn arm(&self) {
        self.consumer.arm();
    }

    fn line(&self) -> Option<&Line> {
        self.consumer.wait.line()
    }
}
