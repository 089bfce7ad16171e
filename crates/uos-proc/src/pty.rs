//! A terminal of its own for a program.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The size of a terminal, in characters. The default is the 24 rows of 80 columns that programs expect of one that
/// says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PtySize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

impl Default for PtySize {
    fn default() -> Self {
        PtySize { rows: 24, columns: 80 }
    }
}

/// Our side of a child's terminal: what is written here is what somebody types, what is read is what the program shows.
///
/// The terminal cooks what is typed as any other: it echoes, `\x03` interrupts the foreground job and `\x04` at the
/// start of a line is the end of the input. Reading comes to the end of file when the last process holding the terminal
/// has gone. Dropping this hangs up: whoever is left gets `SIGHUP`. For reading and writing by two tasks there is
/// `tokio::io::split`. Its size is changed with [`Child::resize`](crate::Child::resize).
pub struct Pty(Box<dyn Stream>);

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

impl Pty {
    /// A terminal whose other side is reached through `stream`.
    pub fn new(stream: impl AsyncRead + AsyncWrite + Send + Sync + Unpin + 'static) -> Self {
        Pty(Box::new(stream))
    }
}

impl AsyncRead for Pty {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, buf)
    }
}

/// A terminal has no half-close: shutting down the writing changes nothing.
impl AsyncWrite for Pty {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Pty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pty")
    }
}
