//! Pseudo-terminals. The child's side is opened by descriptor, never by a path: a sandbox has no `/dev/pts`, and it is
//! never the spawning program's own terminal.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::sys;
use crate::PtySize;

/// Our side. As long as somebody holds it the terminal is there.
pub(super) type Master = Arc<OwnedFd>;

/// A new terminal: our side, and the child's, which stays blocking as programs expect.
pub(super) fn open(size: PtySize) -> io::Result<(Master, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let slave = ioctl_tiocgptpeer(&master, flags)?;
    set_size(master.as_fd(), size)?;
    let flags = fcntl_getfl(&master)?;
    fcntl_setfl(&master, flags | OFlags::NONBLOCK)?;
    Ok((Arc::new(master), slave))
}

fn set_size(master: BorrowedFd<'_>, size: PtySize) -> io::Result<()> {
    let PtySize { rows: ws_row, columns: ws_col } = size;
    Ok(tcsetwinsize(master, Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 })?)
}

/// Changes the size, and the kernel tells the foreground job by `SIGWINCH`. A terminal that has been hung up is none.
pub(super) fn resize(master: &Weak<OwnedFd>, size: PtySize) -> io::Result<()> {
    match master.upgrade() {
        Some(master) => set_size(master.as_fd(), size),
        None => Err(io::Error::from_raw_os_error(libc::ENOTTY)),
    }
}

/// Our side before and after it is registered with a runtime, which happens when it is first used.
pub(super) enum Side {
    Idle(Master),
    Live(AsyncFd<Master>),
}

impl Side {
    pub(super) fn new(master: Master) -> Self {
        Side::Idle(master)
    }

    fn live(&mut self) -> io::Result<&AsyncFd<Master>> {
        if let Side::Idle(master) = self {
            *self = Side::Live(sys::watch_both(Arc::clone(master))?);
        }
        match self {
            Side::Live(side) => Ok(side),
            Side::Idle(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl AsyncRead for Side {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let side = self.live()?;
        loop {
            let mut ready = ready!(side.poll_read_ready(cx))?;
            let space = buf.initialize_unfilled();
            match ready.try_io(|side| Ok(rustix::io::read(side.get_ref(), space)?)) {
                Err(_would_block) => {}
                Ok(Ok(read)) => {
                    buf.advance(read);
                    return Poll::Ready(Ok(()));
                }
                // Nobody holds the other side any more, and everything they wrote has been read.
                Ok(Err(error)) if error.raw_os_error() == Some(libc::EIO) => return Poll::Ready(Ok(())),
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Side {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let side = self.live()?;
        loop {
            let mut ready = ready!(side.poll_write_ready(cx))?;
            match ready.try_io(|side| Ok(rustix::io::write(side.get_ref(), buf)?)) {
                Err(_would_block) => {}
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(answer) => return Poll::Ready(answer),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
