//! What a byte stream is, whoever carries the bytes.

use crate::pipe::{Pipe, PipeError, PipeStats};
use crate::waiting::blocking::{block_on, block_on_until};
use bytes::Bytes;
use std::future::Future;
use std::time::{Duration, Instant};

/// Both ends of one stream of bytes, as far as they are open here.
///
/// The base is two calls that never wait and two futures that only wait. Reading and writing with waiting, for tasks and for
/// threads, with and without a time limit, is built on top: try, and when that would block, wait for readiness and try again.
/// Whoever wants to wait in line has a better form in [`Reader::read`](crate::Reader::read).
///
/// The promises are pipe(2)'s, and `tests/byte_stream.rs` holds every implementation to them.
pub trait ByteStream: Send + Sync {
    /// Takes up to `max` bytes; an empty answer to `max > 0` is the end of the stream.
    fn try_read(&self, max: usize) -> Result<Bytes, PipeError>;

    /// Puts in as many of `bytes` as fit and says how many; up to the atomic size all or none.
    fn try_write(&self, bytes: &[u8]) -> Result<usize, PipeError>;

    /// Ready when [`try_read`](Self::try_read) would not block, be it for bytes, the end, or an error.
    /// Somebody else may be quicker: the next try decides.
    fn readable(&self) -> impl Future<Output = ()> + Send + 'static;

    /// Ready when [`try_write`](Self::try_write) of `len` bytes would not block.
    fn writable(&self, len: usize) -> impl Future<Output = ()> + Send + 'static;

    /// Closes the reading end held here. Closing again does nothing.
    fn close_read(&self);

    /// Closes the writing end held here; what is in the stream can still be read.
    fn close_write(&self);

    /// The numbers at this moment.
    fn stats(&self) -> PipeStats;

    /// [`try_read`](Self::try_read) as soon as it does not block. Dropping it is free.
    fn read(&self, max: usize) -> impl Future<Output = Result<Bytes, PipeError>> + Send {
        async move {
            loop {
                match self.try_read(max) {
                    Err(PipeError::WouldBlock { .. }) => self.readable().await,
                    answer => return answer,
                }
            }
        }
    }

    /// The same for a thread: it sleeps until there is an answer.
    fn read_blocking(&self, max: usize) -> Result<Bytes, PipeError> {
        block_on(self.read(max))
    }

    /// The same for so long at the most; then it answers [`PipeError::WouldBlock`].
    fn read_timeout(&self, max: usize, timeout: Duration) -> Result<Bytes, PipeError> {
        let answer = block_on_until(self.read(max), Instant::now().checked_add(timeout));
        answer.unwrap_or(Err(PipeError::WouldBlock { asked: max, available: 0 }))
    }

    /// [`try_write`](Self::try_write) as soon as it does not block. A dropped future has written nothing.
    fn write(&self, bytes: &[u8]) -> impl Future<Output = Result<usize, PipeError>> + Send {
        async move {
            loop {
                match self.try_write(bytes) {
                    Err(PipeError::WouldBlock { .. }) => self.writable(bytes.len()).await,
                    answer => return answer,
                }
            }
        }
    }

    /// The same for a thread: it sleeps until there is an answer.
    fn write_blocking(&self, bytes: &[u8]) -> Result<usize, PipeError> {
        block_on(self.write(bytes))
    }

    /// The same for so long at the most; then it answers what a try does.
    fn write_timeout(&self, bytes: &[u8], timeout: Duration) -> Result<usize, PipeError> {
        let answer = block_on_until(self.write(bytes), Instant::now().checked_add(timeout));
        answer.unwrap_or_else(|| self.try_write(bytes))
    }
}

impl ByteStream for Pipe {
    fn try_read(&self, max: usize) -> Result<Bytes, PipeError> {
        self.reader.try_read(max)
    }

    fn try_write(&self, bytes: &[u8]) -> Result<usize, PipeError> {
        self.writer.try_write(bytes)
    }

    fn readable(&self) -> impl Future<Output = ()> + Send + 'static {
        self.reader.readable()
    }

    fn writable(&self, len: usize) -> impl Future<Output = ()> + Send + 'static {
        self.writer.writable(len)
    }

    fn close_read(&self) {
        self.reader.close();
    }

    fn close_write(&self) {
        self.writer.close();
    }

    fn stats(&self) -> PipeStats {
        self.control.stats()
    }
}
