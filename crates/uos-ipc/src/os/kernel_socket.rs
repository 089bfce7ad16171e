//! The kernel's stream sockets behind the common trait: what a program gets that wants a socket where others have a pipe.

use super::kernel_end::{copied, os, sized_pair};
use super::kernel_stream::{Carrier, Ends};
use super::reactor::Source;
use crate::pipe::{Capacity, PIPE_BUF, PipeError};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketType, recv, send};
use std::os::fd::OwnedFd;

/// A pair of connected unix(7) stream sockets, used in one direction, as far as its ends are here. What is asked of an end
/// that is not here answers `Closed`.
///
/// Its capacity is what surely fits in one write. The kernel counts what the bytes cost it: more may fit, and less in many
/// short writes. A writer that waits is woken once three quarters are free.
///
/// Descriptors that a foreign writer passes are closed by the kernel on the thread that reads, as with
/// [`KernelQueue`](crate::KernelQueue).
pub struct KernelSocket {
    ends: Ends,
}

impl KernelSocket {
    /// A new pair of at least that capacity with both ends here. More than `net.core.wmem_max` allows, which is 104 KiB on most
    /// machines, answers `ENOBUFS`.
    pub fn new(capacity: Capacity) -> Result<KernelSocket, PipeError> {
        // Bytes cost up to twice their number, and a write is whole up to half of all the room.
        let wanted = 4 * capacity.bytes().max(PIPE_BUF);
        let (reader, writer, granted) = sized_pair(SocketType::STREAM, wanted).map_err(os)?;
        let granted = granted / 4;
        if granted < capacity.bytes() {
            return Err(os(Errno::NOBUFS));
        }
        Ok(KernelSocket { ends: Ends::new(reader, writer, granted)? })
    }

    /// A descriptor of the reading end for a child, which blocks as a program expects it. It is a copy: close the one here
    /// with [`close_read`](crate::ByteStream::close_read) once the child has started.
    pub fn reader_for_child(&self) -> Result<OwnedFd, PipeError> {
        copied(&*self.ends.reader()?).map_err(os)
    }

    /// The same of the writing end.
    pub fn writer_for_child(&self) -> Result<OwnedFd, PipeError> {
        copied(&*self.ends.writer()?).map_err(os)
    }
}

impl Carrier for KernelSocket {
    fn ends(&self) -> &Ends {
        &self.ends
    }

    fn take(reader: &Source, bytes: &mut Vec<u8>) -> Result<(), Errno> {
        recv(reader, rustix::buffer::spare_capacity(bytes), RecvFlags::DONTWAIT).map(drop)
    }

    fn put(writer: &Source, bytes: &[u8]) -> Result<usize, Errno> {
        send(writer, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
    }

    fn room(&self, _writer: &Source) -> usize {
        // How much there is, the kernel does not say.
        0
    }
}
