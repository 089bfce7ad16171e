//! What a byte stream is, whoever carries the bytes.

use crate::pipe::{Pipe, PipeError, PipeStats};
use bytes::Bytes;
use std::future::Future;

/// Both ends of one stream of bytes, as far as they are open here.
///
/// The base is two calls that never wait and two futures that only wait. Reading or writing with
/// waiting is built on top: try, and when that would block, await readiness and try again. An
/// implementation may offer a better form of its own, as [`Reader::read`](crate::Reader::read) does.
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
