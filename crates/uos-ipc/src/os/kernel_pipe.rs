//! The kernel's own pipe behind the common trait: what a program gets that knows nothing of us.

use super::reactor::{Interest, Source, Waiting};
use crate::pipe::{Capacity, PIPE_BUF, PipeError, PipeStats};
use crate::stream::ByteStream;
use crate::sync::Mutex;
use bytes::Bytes;
use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};
use std::future::Future;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

/// A pipe(2), as far as its ends are here. Its room is the kernel's: whole pages, which are free again when all of one is
/// read. What is asked of an end that is not here answers `Closed`.
pub struct KernelPipe {
    reader: Mutex<Option<Arc<Source>>>,
    writer: Mutex<Option<Arc<Source>>>,
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
            reader: Mutex::new(Some(Arc::new(Source::new(reader).map_err(os)?))),
            writer: Mutex::new(Some(Arc::new(Source::new(writer).map_err(os)?))),
            capacity,
            written: AtomicU64::new(0),
            read: AtomicU64::new(0),
            discarded: AtomicU64::new(0),
        })
    }

    /// A descriptor of the reading end for a child, which blocks as a program expects it. It is a copy: close the one here
    /// with [`close_read`](ByteStream::close_read) once the child has started.
    pub fn reader_for_child(&self) -> Result<OwnedFd, PipeError> {
        reopened(&self.reader(), rustix::fs::OFlags::RDONLY)
    }

    /// The same of the writing end.
    pub fn writer_for_child(&self) -> Result<OwnedFd, PipeError> {
        reopened(&self.writer(), rustix::fs::OFlags::WRONLY)
    }

    fn reader(&self) -> Option<Arc<Source>> {
        self.reader.lock().clone()
    }

    fn writer(&self) -> Option<Arc<Source>> {
        self.writer.lock().clone()
    }

    fn buffered(&self, end: &Source) -> usize {
        rustix::io::ioctl_fionread(end).unwrap_or(0) as usize
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
        let reader = self.reader().ok_or(PipeError::Closed)?;
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
        let writer = self.writer().ok_or(PipeError::Closed)?;
        if bytes.is_empty() {
            return Ok(0);
        }
        match retry_on_intr(|| rustix::io::write(&writer, bytes)) {
            Ok(written) => {
                self.written.fetch_add(written as u64, Ordering::Relaxed);
                Ok(written)
            }
            Err(Errno::AGAIN) => {
                let available = self.capacity.saturating_sub(self.buffered(&writer));
                Err(PipeError::WouldBlock { asked: bytes.len(), available })
            }
            Err(Errno::PIPE) => Err(PipeError::BrokenPipe),
            Err(errno) => Err(os(errno)),
        }
    }

    fn readable(&self) -> impl Future<Output = ()> + Send + 'static {
        EndReady::new(self.reader().as_ref(), Interest::Read)
    }

    fn writable(&self, len: usize) -> impl Future<Output = ()> + Send + 'static {
        // The kernel says that a page is free, and no more than that has to be.
        debug_assert!(PIPE_BUF <= self.capacity, "{len}");
        EndReady::new(self.writer().as_ref(), Interest::Write)
    }

    fn close_read(&self) {
        let reader = self.reader.lock().take();
        if let Some(reader) = reader {
            self.discarded.store(self.buffered(&reader) as u64, Ordering::Relaxed);
        }
    }

    fn close_write(&self) {
        self.writer.lock().take();
    }

    fn stats(&self) -> PipeStats {
        let (reader, writer) = (self.reader(), self.writer());
        let buffered = reader.as_deref().map_or(0, |end| self.buffered(end));
        PipeStats {
            capacity_bytes: self.capacity,
            buffered_bytes: buffered,
            written_bytes: self.written.load(Ordering::Relaxed),
            read_bytes: self.read.load(Ordering::Relaxed),
            discarded_bytes: self.discarded.load(Ordering::Relaxed),
            readers: usize::from(reader.is_some()),
            writers: usize::from(writer.is_some()),
            waiting_readers: 0,
            waiting_writers: 0,
            destroyed: false,
        }
    }
}

/// Waits at one end until the kernel says that it is ready. It holds the end open only while it is polled.
struct EndReady {
    end: Option<std::sync::Weak<Source>>,
    interest: Interest,
    waiting: Option<Waiting>,
}

impl EndReady {
    fn new(end: Option<&Arc<Source>>, interest: Interest) -> EndReady {
        EndReady { end: end.map(Arc::downgrade), interest, waiting: None }
    }
}

impl Future for EndReady {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let EndReady { end, interest, waiting } = &mut *self;
        let Some(end) = end.as_ref().and_then(std::sync::Weak::upgrade) else { return Poll::Ready(()) };
        if waiting.is_none() && is_ready_now(&end, *interest) {
            return Poll::Ready(());
        }
        Pin::new(waiting.get_or_insert_with(|| end.wait(*interest))).poll(cx)
    }
}

fn is_ready_now(end: &Source, interest: Interest) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let flags = if interest == Interest::Read { PollFlags::IN } else { PollFlags::OUT };
    let mut polled = [PollFd::new(end, flags)];
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}

fn os(errno: Errno) -> PipeError {
    PipeError::Os { errno: errno.raw_os_error() }
}
