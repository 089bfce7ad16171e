//! One end of something that the kernel keeps: open until it is closed here, and how one waits at it.

use super::reactor::{Interest, Source, Waiting};
use crate::pipe::PipeError;
use crate::sync::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair, sockopt};
use std::future::Future;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

/// An end, as long as it is here. A call that is under way holds it open a moment longer.
pub(super) struct KernelEnd(Mutex<Option<Arc<Source>>>);

impl KernelEnd {
    pub(super) fn new(fd: OwnedFd) -> Result<KernelEnd, Errno> {
        Ok(KernelEnd(Mutex::new(Some(Arc::new(Source::new(fd)?)))))
    }

    pub(super) fn get(&self) -> Option<Arc<Source>> {
        self.0.lock().clone()
    }

    /// Closes it, and hands it out for a last look if it was open.
    pub(super) fn close(&self) -> Option<Arc<Source>> {
        self.0.lock().take()
    }

    pub(super) fn is_open(&self) -> bool {
        self.0.lock().is_some()
    }

    /// Waits until the kernel says that it is ready, or it is closed.
    pub(super) fn ready(&self, interest: Interest) -> KernelReady {
        KernelReady { end: self.get().as_ref().map(Arc::downgrade), interest, waiting: None }
    }
}

/// Waits at one end until the kernel says that it is ready. It holds the end open only while it is polled.
pub(super) struct KernelReady {
    end: Option<Weak<Source>>,
    interest: Interest,
    waiting: Option<Waiting>,
}

impl Future for KernelReady {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let KernelReady { end, interest, waiting } = &mut *self;
        let Some(end) = end.as_ref().and_then(Weak::upgrade) else { return Poll::Ready(()) };
        if waiting.is_none() && is_ready_now(&end, *interest) {
            return Poll::Ready(());
        }
        Pin::new(waiting.get_or_insert_with(|| end.wait(*interest))).poll(cx)
    }
}

fn is_ready_now(end: &Source, interest: Interest) -> bool {
    let flags = if interest == Interest::Read { PollFlags::IN } else { PollFlags::OUT };
    let mut polled = [PollFd::new(end, flags)];
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}

/// How many bytes can be read from it.
pub(super) fn unread(end: &Source) -> usize {
    rustix::io::ioctl_fionread(end).unwrap_or(0) as usize
}

/// Two connected sockets for one direction, where one receives and where one sends, and how much the kernel has for what is
/// under way, by its own count of what that costs it. It is asked for `wanted`, and may have less.
pub(super) fn sized_pair(kind: SocketType, wanted: usize) -> Result<(OwnedFd, OwnedFd, usize), Errno> {
    let (receiver, sender) = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
    // The kernel doubles what it is asked for, and says the double.
    sockopt::set_socket_send_buffer_size(&sender, wanted.div_ceil(2))?;
    let granted = sockopt::socket_send_buffer_size(&sender)?;
    shutdown(&receiver, Shutdown::Write)?;
    Ok((receiver, sender, granted))
}

/// A copy for a child, which may block: calls here say each for itself that they don't wait.
pub(super) fn copied(end: &Source) -> Result<OwnedFd, Errno> {
    rustix::io::fcntl_dupfd_cloexec(end.as_fd(), 0)
}

pub(super) fn os(errno: Errno) -> PipeError {
    PipeError::Os { errno: errno.raw_os_error() }
}
