//! Pipe ends that meet the runtime only when first used, so that a child may be started outside of one.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe::{Receiver, Sender};

/// A pipe the child writes: our end, and the child's, which stays blocking as programs expect.
pub(crate) fn outward() -> io::Result<(Lazy<Receiver>, OwnedFd)> {
    let (ours, theirs) = io::pipe()?;
    Ok((Lazy::Idle(Some(ours.into())), theirs.into()))
}

/// A pipe the child reads: our end, and the child's.
pub(crate) fn inward() -> io::Result<(Lazy<Sender>, OwnedFd)> {
    let (theirs, ours) = io::pipe()?;
    Ok((Lazy::Idle(Some(ours.into())), theirs.into()))
}

/// A pipe end before and after it is registered with a runtime.
pub(crate) enum Lazy<T> {
    Idle(Option<OwnedFd>),
    Live(T),
}

impl<T> Lazy<T> {
    /// The registered end. `register` also makes it non-blocking. If that fails the end is closed.
    fn live(&mut self, register: fn(OwnedFd) -> io::Result<T>) -> io::Result<Pin<&mut T>>
    where
        T: Unpin,
    {
        if let Lazy::Idle(fd) = self {
            *self = Lazy::Live(register(fd.take().ok_or(io::ErrorKind::BrokenPipe)?)?);
        }
        match self {
            Lazy::Live(end) => Ok(Pin::new(end)),
            Lazy::Idle(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl AsyncRead for Lazy<Receiver> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.live(Receiver::from_owned_fd)?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Lazy<Sender> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.live(Sender::from_owned_fd)?.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        *self = Lazy::Idle(None);
        Poll::Ready(Ok(()))
    }
}
