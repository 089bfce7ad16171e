//! The kernel's own pipe behind the common trait: what a program gets that knows nothing of us.

use super::kernel_end::{os, unread};
use super::kernel_stream::{Carrier, Ends};
use super::reactor::Source;
use crate::pipe::{Capacity, PipeError};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// A pipe(2), as far as its ends are here. Its room is the kernel's: whole pages, which are free again when all of one is
/// read. What is asked of an end that is not here answers `Closed`.
pub struct KernelPipe {
    ends: Ends,
}

impl KernelPipe {
    /// A new pipe of at least that capacity with both ends here.
    pub fn new(capacity: Capacity) -> Result<KernelPipe, PipeError> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).map_err(os)?;
        fcntl_setpipe_size(&writer, capacity.bytes()).map_err(os)?;
        let capacity = fcntl_getpipe_size(&writer).map_err(os)?;
        Ok(KernelPipe { ends: Ends::new(reader, writer, capacity)? })
    }

    /// A descriptor of the reading end for a child, which blocks as a program expects it. It is a copy: close the one here
    /// with [`close_read`](crate::ByteStream::close_read) once the child has started.
    pub fn reader_for_child(&self) -> Result<OwnedFd, PipeError> {
        reopened(&*self.ends.reader()?, rustix::fs::OFlags::RDONLY)
    }

    /// The same of the writing end.
    pub fn writer_for_child(&self) -> Result<OwnedFd, PipeError> {
        reopened(&*self.ends.writer()?, rustix::fs::OFlags::WRONLY)
    }
}

/// Whether it blocks belongs to the open file and not to the descriptor, so a child gets an open file of its own.
fn reopened(end: &Source, flags: rustix::fs::OFlags) -> Result<OwnedFd, PipeError> {
    let path = format!("/proc/self/fd/{}", end.as_fd().as_raw_fd());
    rustix::fs::open(path, flags | rustix::fs::OFlags::CLOEXEC, rustix::fs::Mode::empty()).map_err(os)
}

impl Carrier for KernelPipe {
    fn ends(&self) -> &Ends {
        &self.ends
    }

    fn take(reader: &Source, bytes: &mut Vec<u8>) -> Result<(), Errno> {
        rustix::io::read(reader, rustix::buffer::spare_capacity(bytes)).map(drop)
    }

    fn put(writer: &Source, bytes: &[u8]) -> Result<usize, Errno> {
        rustix::io::write(writer, bytes)
    }

    fn room(&self, writer: &Source) -> usize {
        self.ends.capacity().saturating_sub(unread(writer))
    }
}
