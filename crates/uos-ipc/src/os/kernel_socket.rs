//! The kernel's stream sockets behind the common trait: what a program gets that wants a socket where others have a pipe.

use super::kernel_end::{KernelEnd, os, unread};
use super::reactor::Interest;
use crate::pipe::{Capacity, PIPE_BUF, PipeError, PipeStats};
use crate::stream::ByteStream;
use bytes::Bytes;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, recv, send, shutdown, socketpair,
    sockopt,
};
use std::future::Future;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// A pair of connected unix(7) stream sockets, used in one direction, as far as its ends are here. What is asked of an end
/// that is not here answers `Closed`.
///
/// Its capacity is what surely fits in one write. The kernel counts what the bytes cost it: more may fit, and less in many
/// short writes. A writer that waits is woken once three quarters are free.
pub struct KernelSocket {
    reader: KernelEnd,
    writer: KernelEnd,
    capacity: usize,
    written: AtomicU64,
    read: AtomicU64,
    discarded: AtomicU64,
}

impl KernelSocket {
    /// A new pair of at least that capacity with both ends here. More than `net.core.wmem_max` allows, which is 104 KiB on most
    /// machines, answers `ENOBUFS`.
    pub fn new(capacity: Capacity) -> Result<KernelSocket, PipeError> {
        let pair = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let (reader, writer) = pair.map_err(os)?;
        // Twice, as bytes cost up to twice their number; and the kernel doubles it again for what it keeps beside them. A
        // write is whole up to half of what it is then.
        let wanted = 2 * capacity.bytes().max(PIPE_BUF);
        sockopt::set_socket_send_buffer_size(&writer, wanted).map_err(os)?;
        let granted = sockopt::socket_send_buffer_size(&writer).map_err(os)? / 4;
        if granted < capacity.bytes() {
            return Err(os(Errno::NOBUFS));
        }
        shutdown(&reader, Shutdown::Write).map_err(os)?;
        Ok(KernelSocket {
            reader: KernelEnd::new(reader).map_err(os)?,
            writer: KernelEnd::new(writer).map_err(os)?,
            capacity: granted,
            written: AtomicU64::new(0),
            read: AtomicU64::new(0),
            discarded: AtomicU64::new(0),
        })
    }

    /// A descriptor of the reading end for a child, which blocks as a program expects it. It is a copy: close the one here
    /// with [`close_read`](ByteStream::close_read) once the child has started.
    pub fn reader_for_child(&self) -> Result<OwnedFd, PipeError> {
        copy(&self.reader)
    }

    /// The same of the writing end.
    pub fn writer_for_child(&self) -> Result<OwnedFd, PipeError> {
        copy(&self.writer)
    }
}

/// Calls here say each for itself that they don't wait, so that a child's may.
fn copy(end: &KernelEnd) -> Result<OwnedFd, PipeError> {
    let end = end.get().ok_or(PipeError::Closed)?;
    rustix::io::fcntl_dupfd_cloexec(end.as_fd(), 0).map_err(os)
}

impl ByteStream for KernelSocket {
    fn try_read(&self, max: usize) -> Result<Bytes, PipeError> {
        let reader = self.reader.get().ok_or(PipeError::Closed)?;
        if max == 0 {
            return Ok(Bytes::new());
        }
        let mut bytes = Vec::with_capacity(max.min(self.capacity));
        let spare = || recv(&reader, rustix::buffer::spare_capacity(&mut bytes), RecvFlags::DONTWAIT);
        match retry_on_intr(spare) {
            Ok((read, _)) => {
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
        match retry_on_intr(|| send(&writer, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)) {
            Ok(written) => {
                self.written.fetch_add(written as u64, Ordering::Relaxed);
                Ok(written)
            }
            // How much there is, the kernel does not say.
            Err(Errno::AGAIN) => Err(PipeError::WouldBlock { asked: bytes.len(), available: 0 }),
            Err(Errno::PIPE | Errno::CONNRESET) => Err(PipeError::BrokenPipe),
            Err(errno) => Err(os(errno)),
        }
    }

    fn readable(&self) -> impl Future<Output = ()> + Send + 'static {
        self.reader.ready(Interest::Read)
    }

    fn writable(&self, _len: usize) -> impl Future<Output = ()> + Send + 'static {
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
        PipeStats {
            capacity_bytes: self.capacity,
            buffered_bytes: self.reader.get().map_or(0, |end| unread(&end)),
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
