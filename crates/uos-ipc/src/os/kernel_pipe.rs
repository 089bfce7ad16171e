//! The kernel's own pipe behind the common trait: what a program gets that knows nothing of us.

use super::kernel_end::{KernelEnd, os, unread};
use super::reactor::{Interest, Source};
use crate::pipe::{Capacity, PIPE_BUF, PipeError, PipeStats};
use crate::stream::ByteStream;
use bytes::Bytes;
use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};
use std::future::Future;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A pipe(2), as far as its ends are here. Its room is the kernel's: whole pages, which are free again when all of one is
/// read. What is asked of an end that is not here answers `Closed`.
pub struct KernelPipe {
    reader: KernelEnd,
    writer: KernelEnd,
    capacity: usize,
    written: AtomicU64,
    read: AtomicU64,
    discarded: AtomicU64,
}

impl KernelPipe {
    /// A new pipe of at least that capacity with both ends here.
    pub fn new(capacity: Capacity) -> Result<KernelPipe, PipeError> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).map_err(os)?;
        fcntl_setpipe_size(&writer, capacity.bytes()).map_err(os)?;
        let capacity = fcntl_getpipe_size(&writer).map_err(os)?;
        Ok(KernelPipe {
            reader: KernelEnd::new(reader).map_err(os)?,
            writer: KernelEnd::new(writer).map_err(os)?,
            capacity,
            written: AtomicU64::new(0),
            read: AtomicU64::new(0),
            discarded: AtomicU64::new(0),
        })
    }

    /// A descriptor of the reading end for a child, which blocks as a program expects it. It is a copy: close the one here
    /// with [`close_read`](ByteStream::close_read) once the child has started.
    pub fn reader_for_child(&self) -> Result<OwnedFd, PipeError> {
        reopened(&self.reader.get(), rustix::fs::OFlags::RDONLY)
    }

    /// The same of the writing end.
    pub fn writer_for_child(&self) -> Result<OwnedFd, PipeError> {
        reopened(&self.writer.get(), rustix::fs::OFlags::WRONLY)
    }
}

/// Whether it blocks belongs to the open file and not to the descriptor, so a child gets an open file of its own.
fn reopened(end: &Option<Arc<Source>>, flags: rustix::fs::OFlags) -> Result<OwnedFd, PipeError> {
    use std::os::fd::AsRawFd;
    let end = end.as_ref().ok_or(PipeError::Closed)?;
    let path = format!("/proc/self/fd/{}", end.as_fd().as_raw_fd());
    rustix::fs::open(path, flags | rustix::fs::OFlags::CLOEXEC, rustix::fs::Mode::empty()).map_err(os)
}

impl ByteStream for KernelPipe {
    fn try_read(&self, max: usize) -> Result<Bytes, PipeError> {
        let reader = self.reader.get().ok_or(PipeError::Closed)?;
        if max == 0 {
            return Ok(Bytes::new());
        }
        let mut bytes = Vec::with_capacity(max.min(self.capacity));
        match retry_on_intr(|| rustix::io::read(&reader, rustix::buffer::spare_capacity(&mut bytes))) {
            Ok(read) => {
                self.read.fetch_add(read as u64, Ordering::Relaxed);
                Ok(bytes.into())
            }
            Err(Errno::AGAIN) => Err(PipeError::WouldBlock { asked: max, available: 0 }),
            Err(errno) => Err(os(errno)),
        }
    }

    fn try_write(&self, bytes: &[u8]) -> Result<usize, PipeError> {
        let writer = self.writer.get().ok_or(PipeError::Closed)?;
        if bytes.is_empty() {
            return Ok(0);
        }
        match retry_on_intr(|| rustix::io::write(&writer, bytes)) {
            Ok(written) => {
                self.written.fetch_add(written as u64, Ordering::Relaxed);
                Ok(written)
            }
            Err(Errno::AGAIN) => {
                let available = self.capacity.saturating_sub(unread(&writer));
                Err(PipeError::WouldBlock { asked: bytes.len(), available })
            }
            Err(Errno::PIPE) => Err(PipeError::BrokenPipe),
            Err(errno) => Err(os(errno)),
        }
    }

    fn readable(&self) -> impl Future<Output = ()> + Send + 'static {
        self.reader.ready(Interest::Read)
    }

    fn writable(&self, len: usize) -> impl Future<Output = ()> + Send + 'static {
        // The kernel says that a page is free, and no more than that has to be.
        debug_assert!(PIPE_BUF <= self.capacity, "{len}");
        self.writer.ready(Interest::Write)
    }

    fn close_read(&self) {
        if let Some(reader) = self.reader.close() {
            self.discarded.store(unread(&reader) as u64, Ordering::Relaxed);
        }
    }

    fn close_write(&self) {
        self.writer.close();
    }

    fn stats(&self) -> PipeStats {
        let buffered = self.reader.get().map_or(0, |end| unread(&end));
        PipeStats {
            capacity_bytes: self.capacity,
            buffered_bytes: buffered,
            written_bytes: self.written.load(Ordering::Relaxed),
            read_bytes: self.read.load(Ordering::Relaxed),
            discarded_bytes: self.discarded.load(Ordering::Relaxed),
            readers: usize::from(self.reader.is_open()),
            writers: usize::from(self.writer.is_open()),
            waiting_readers: 0,
            waiting_writers: 0,
            destroyed: false,
        }
    }
}
