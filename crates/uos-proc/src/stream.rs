//! The spawning program's ends of a child's pipes.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a child writes: read it to the end of file. Dropping it closes the pipe, and a child that writes on gets
/// `SIGPIPE`.
pub struct Output(Box<dyn AsyncRead + Send + Sync + Unpin>);

impl Output {
    /// An output that comes from `source`.
    pub fn new(source: impl AsyncRead + Send + Sync + Unpin + 'static) -> Self {
        Output(Box::new(source))
    }
}

impl AsyncRead for Output {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, buf)
    }
}

/// What a child reads. Shutting it down or dropping it is the child's end of file.
pub struct Input(Option<Box<dyn AsyncWrite + Send + Sync + Unpin>>);

impl Input {
    /// An input that goes to `sink`.
    pub fn new(sink: impl AsyncWrite + Send + Sync + Unpin + 'static) -> Self {
        Input(Some(Box::new(sink)))
    }
}

impl AsyncWrite for Input {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Some(sink) => Pin::new(&mut **sink).poll_write(cx, buf),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Some(sink) => Pin::new(&mut **sink).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    // A pipe has no half-close, so its end of file is the closing of the descriptor.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(sink) = &mut self.0 {
            std::task::ready!(Pin::new(&mut **sink).poll_shutdown(cx))?;
            self.0 = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output")
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Input")
    }
}
