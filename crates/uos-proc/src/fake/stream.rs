//! A script's pipes, which are plain memory.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::process::{Player, Sink};

/// Reads what the script writes to one of its two outputs.
pub(super) struct Reader {
    pub(super) player: Arc<Player>,
    pub(super) place: usize,
}

impl AsyncRead for Reader {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.player.state();
        let has_ended = state.has_ended;
        let Sink::Kept(kept) = &mut state.outputs[self.place] else { return Poll::Ready(Ok(())) };
        if kept.is_empty() && !has_ended {
            state.readers[self.place] = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let len = kept.len().min(buf.remaining());
        let bytes: Vec<u8> = kept.drain(..len).collect();
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.player.state().outputs[self.place] = Sink::Broken;
    }
}

/// Writes what the script reads.
pub(super) struct Writer {
    pub(super) player: Arc<Player>,
}

impl AsyncWrite for Writer {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.player.state();
        if state.has_ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        state.stdin.extend(buf);
        self.player.play(&mut state);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The end of the script's input.
impl Drop for Writer {
    fn drop(&mut self) {
        let mut state = self.player.state();
        state.is_stdin_open = false;
        self.player.play(&mut state);
    }
}
