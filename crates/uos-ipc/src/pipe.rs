//! A bounded stream of bytes from any number of writers to any number of readers, as pipe(2) has it.

mod capacity;
mod error;
mod futures;
mod ring;
mod state;

pub use capacity::{Capacity, CapacityError, PIPE_BUF};
pub use error::PipeError;
pub use futures::{Read, Readable, Writable, Write};

use crate::quota::{Quota, QuotaError};
use crate::sync::Arc;
use crate::waiting::{End, Id, Object, Shared, blocking};
use bytes::Bytes;
use state::State;
use std::fmt;

/// A new pipe: take it apart into its handles, or use it whole as a [`ByteStream`](crate::ByteStream).
#[derive(Debug)]
pub struct Pipe {
    /// The end that bytes go into.
    pub writer: Writer,
    /// The end they come out of.
    pub reader: Reader,
    /// Sees and ends the pipe without being an end of it.
    pub control: Control,
}

/// A handle to write with. Clones are handles of their own; when the last is closed or dropped, readers
/// read what is left and then the end of file.
pub struct Writer {
    shared: Arc<Shared<State>>,
    handle: Id,
}

/// A handle to read with. Clones are handles of their own and share the stream: each byte goes to one of
/// them. When the last is closed or dropped, what was not read is lost and writers get `BrokenPipe`.
pub struct Reader {
    shared: Arc<Shared<State>>,
    handle: Id,
}

/// Looks at a pipe and can end it. It holds neither side open.
#[derive(Clone)]
pub struct Control {
    shared: Arc<Shared<State>>,
}

/// A pipe's numbers at one moment. Always `written = read + buffered + discarded`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PipeStats {
    /// The most it holds.
    pub capacity_bytes: usize,
    /// What is in it now.
    pub buffered_bytes: usize,
    /// All bytes ever written.
    pub written_bytes: u64,
    /// All bytes ever read.
    pub read_bytes: u64,
    /// Bytes that were in it when the last reader went or it was destroyed.
    pub discarded_bytes: u64,
    /// Open reading handles.
    pub readers: usize,
    /// Open writing handles.
    pub writers: usize,
    /// Reads that wait, and waits for readability.
    pub waiting_readers: usize,
    /// Writes that wait, and waits for room.
    pub waiting_writers: usize,
    /// Whether [`Control::destroy`] has ended it.
    pub destroyed: bool,
}

impl Pipe {
    /// A pipe of this size, all of it charged to `quota` from now on.
    ///
    /// The storage itself grows with use. The charge ends when nothing can be read any more: when the
    /// last reader is gone, when the last writer is gone and the rest was read, or when it is destroyed.
    pub fn new(capacity: Capacity, quota: &Quota) -> Result<Pipe, QuotaError> {
        let charge = quota.take(capacity.bytes() as u64)?;
        let shared = Arc::new(Shared::new(State::new(capacity, charge)));
        let (reader, writer) =
            shared.step(|state| (state.side(End::Read).open(), state.side(End::Write).open()));
        Ok(Pipe {
            writer: Writer { shared: shared.clone(), handle: writer },
            reader: Reader { shared: shared.clone(), handle: reader },
            control: Control { shared },
        })
    }
}

impl Reader {
    /// Takes what is there, at most `max` bytes, and never waits.
    ///
    /// As with read(2), an empty answer to `max > 0` is the end of file, and `max == 0` takes
    /// nothing and never blocks. A try may overtake reads that wait.
    pub fn try_read(&self, max: usize) -> Result<Bytes, PipeError> {
        self.read_by(|state| state.read(max))
    }

    /// The same into a buffer, and says how many bytes it took.
    pub fn try_read_into(&self, buffer: &mut [u8]) -> Result<usize, PipeError> {
        self.read_by(|state| state.read_into(buffer))
    }

    #[inline(always)]
    fn read_by<R>(&self, read: impl FnOnce(&mut State) -> Result<R, PipeError>) -> Result<R, PipeError> {
        if let Some(mut state) = self.shared.quiet()
            && state.side(End::Read).is_open(self.handle)
        {
            return read(&mut state);
        }
        self.shared.step(|state| match state.side(End::Read).is_open(self.handle) {
            true => read(state),
            false => Err(state.closed()),
        })
    }

    /// Waits for the first byte or the end, then reads as [`try_read`](Self::try_read) does.
    ///
    /// Reads that wait are served in the order they came. The future is `'static` and belongs to this
    /// handle without holding it open: closing the handle ends it with `Closed`. Dropping it is free.
    pub fn read(&self, max: usize) -> Read {
        Read::new(&self.shared, self.handle, max)
    }

    /// Waits until a try would not block, be it for bytes, the end, or an error.
    pub fn readable(&self) -> Readable {
        Readable::new(&self.shared, self.handle)
    }

    /// [`read`](Self::read) for a thread: it sleeps until there is an answer.
    pub fn read_blocking(&self, max: usize) -> Result<Bytes, PipeError> {
        blocking::block_on(self.read(max))
    }

    /// Closes this handle, as dropping it does. Later calls on it, and its waiting reads, get `Closed`.
    pub fn close(&self) {
        self.shared.close(End::Read, self.handle);
    }
}

impl Writer {
    /// Puts in what fits and says how much, and never waits.
    ///
    /// Up to [`Capacity::atomic_bytes`] (4 KiB) it is all or nothing, and such bytes are never mixed
    /// with another's; longer writes may be partial. Writing nothing does nothing, even if the pipe is
    /// broken. A try may overtake writes that wait.
    pub fn try_write(&self, bytes: &[u8]) -> Result<usize, PipeError> {
        if let Some(mut state) = self.shared.quiet()
            && state.side(End::Write).is_open(self.handle)
        {
            return state.write(bytes);
        }
        self.shared.step(|state| match state.side(End::Write).is_open(self.handle) {
            true => state.write(bytes),
            false => Err(state.closed()),
        })
    }

    /// Waits for room, then writes as [`try_write`](Self::try_write) does, in one step.
    ///
    /// Writes that wait are served in the order they came; one that needs much room holds up the small
    /// one behind it. The future is `'static` and belongs to this handle without holding it open:
    /// closing the handle ends it with `Closed`. A dropped future has written nothing.
    pub fn write(&self, bytes: Bytes) -> Write {
        Write::new(&self.shared, self.handle, bytes)
    }

    /// Waits until a try to write `len` bytes would not block.
    pub fn writable(&self, len: usize) -> Writable {
        Writable::new(&self.shared, self.handle, len)
    }

    /// Ready once nobody is left who could read, or this handle is closed.
    #[cfg(all(target_os = "linux", not(any(loom, shuttle))))]
    pub(crate) fn abandoned(&self) -> crate::waiting::Watch<State> {
        crate::waiting::Watch::new(&self.shared, End::Write, self.handle)
    }

    /// [`write`](Self::write) for a thread: it sleeps until there is an answer.
    pub fn write_blocking(&self, bytes: Bytes) -> Result<usize, PipeError> {
        blocking::block_on(self.write(bytes))
    }

    /// Closes this handle, as dropping it does. Later calls on it, and its waiting writes, get `Closed`.
    pub fn close(&self) {
        self.shared.close(End::Write, self.handle);
    }
}

impl Control {
    /// The numbers at this moment.
    pub fn stats(&self) -> PipeStats {
        self.shared.peek(State::stats)
    }

    /// Ends the pipe now: what it holds is lost, its charge is returned, and everybody who waits, reads
    /// or writes from now on gets `Destroyed`. Doing it again does nothing.
    pub fn destroy(&self) {
        self.shared.step(State::destroy);
    }
}

impl Clone for Reader {
    fn clone(&self) -> Reader {
        let handle = self.shared.step(|state| state.side(End::Read).duplicate(self.handle));
        Reader { shared: self.shared.clone(), handle }
    }
}

impl Clone for Writer {
    fn clone(&self) -> Writer {
        let handle = self.shared.step(|state| state.side(End::Write).duplicate(self.handle));
        Writer { shared: self.shared.clone(), handle }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.close();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reader").field(&self.handle).finish()
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Writer").field(&self.handle).finish()
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stats().fmt(f)
    }
}
