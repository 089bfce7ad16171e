//! What the kernel's pipes and stream sockets have in common: two ends, as far as they are here, and what went through them.

use super::kernel_end::{KernelEnd, os, unread};
use super::reactor::{Interest, Source};
use crate::pipe::{PipeError, PipeStats};
use crate::stream::ByteStream;
use bytes::Bytes;
use rustix::io::{Errno, retry_on_intr};
use std::future::Future;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Both ends and their numbers.
pub(super) struct Ends {
    reader: KernelEnd,
    writer: KernelEnd,
    capacity: usize,
    written: AtomicU64,
    read: AtomicU64,
    discarded: AtomicU64,
}

/// One of the kernel's byte streams: how one reads from it and writes to it without waiting. All else is the same.
pub(super) trait Carrier: Send + Sync {
    fn ends(&self) -> &Ends;

    /// Appends what there is, into the room that the vector has.
    fn take(reader: &Source, bytes: &mut Vec<u8>) -> Result<(), Errno>;

    fn put(writer: &Source, bytes: &[u8]) -> Result<usize, Errno>;

    /// How much room there is in one that has just refused to take more, as far as the kernel says it.
    fn room(&self, writer: &Source) -> usize;
}

impl Ends {
    pub(super) fn new(reader: OwnedFd, writer: OwnedFd, capacity: usize) -> Result<Ends, PipeError> {
        Ok(Ends {
            reader: KernelEnd::new(reader).map_err(os)?,
            writer: KernelEnd::new(writer).map_err(os)?,
            capacity,
            written: AtomicU64::new(0),
            read: AtomicU64::new(0),
            discarded: AtomicU64::new(0),
        })
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn reader(&self) -> Result<Arc<Source>, PipeError> {
        self.reader.get().ok_or(PipeError::Closed)
    }

    pub(super) fn writer(&self) -> Result<Arc<Source>, PipeError> {
        self.writer.get().ok_or(PipeError::Closed)
    }
}

impl<C: Carrier> ByteStream for C {
    fn try_read(&self, max: usize) -> Result<Bytes, PipeError> {
        let reader = self.ends().reader()?;
        if max == 0 {
            return Ok(Bytes::new());
        }
        let mut bytes = Vec::with_capacity(max.min(self.ends().capacity));
        match retry_on_intr(|| C::take(&reader, &mut bytes)) {
            Ok(()) => {
                self.ends().read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                Ok(bytes.into())
            }
            Err(Errno::AGAIN) => Err(PipeError::WouldBlock { asked: max, available: 0 }),
            Err(errno) => Err(os(errno)),
        }
    }

    fn try_write(&self, bytes: &[u8]) -> Result<usize, PipeError> {
        let writer = self.ends().writer()?;
        if bytes.is_empty() {
            return Ok(0);
        }
        match retry_on_intr(|| C::put(&writer, bytes)) {
            Ok(written) => {
                self.ends().written.fetch_add(written as u64, Ordering::Relaxed);
                Ok(written)
            }
            Err(Errno::AGAIN) => {
                Err(PipeError::WouldBlock { asked: bytes.len(), available: self.room(&writer) })
            }
            Err(Errno::PIPE | Errno::CONNRESET) => Err(PipeError::BrokenPipe),
            Err(errno) => Err(os(errno)),
        }
    }

    fn readable(&self) -> impl Future<Output = ()> + Send + 'static {
        self.ends().reader.ready(Interest::Read)
    }

    fn writable(&self, _len: usize) -> impl Future<Output = ()> + Send + 'static {
        // The kernel says when there is room for any short write, and no more than that has to be.
        self.ends().writer.ready(Interest::Write)
    }

    fn close_read(&self) {
        if let Some(reader) = self.ends().reader.close() {
            self.ends().discarded.store(unread(&reader) as u64, Ordering::Relaxed);
        }
    }

    fn close_write(&self) {
        self.ends().writer.close();
    }

    fn stats(&self) -> PipeStats {
        let ends = self.ends();
        PipeStats {
            capacity_bytes: ends.capacity,
            buffered_bytes: ends.reader.get().map_or(0, |end| unread(&end)),
            written_bytes: ends.written.load(Ordering::Relaxed),
            read_bytes: ends.read.load(Ordering::Relaxed),
            discarded_bytes: ends.discarded.load(Ordering::Relaxed),
            readers: usize::from(ends.reader.is_open()),
            writers: usize::from(ends.writer.is_open()),
            waiting_readers: 0,
            waiting_writers: 0,
            destroyed: false,
        }
    }
}
