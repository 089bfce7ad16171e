//! Waiting: futures that hold a place in the queue of one side and nothing more.
//!
//! Each completes in one step under the lock, so dropping one leaves no residue: either it has reported
//! all it did, or it did nothing. A dropped future leaves the queue, and if it had been woken already the
//! next in line is woken instead.

use super::{PipeError, state::State};
use crate::sync::Arc;
use crate::waiting::{End, Id, Place, Shared};
use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A read that waits for the first byte. Made by [`Reader::read`](super::Reader::read).
#[must_use = "a future does nothing until it is polled"]
pub struct Read {
    place: Place<State>,
    max: usize,
}

/// A write that waits for room. Made by [`Writer::write`](super::Writer::write).
#[must_use = "a future does nothing until it is polled"]
pub struct Write {
    place: Place<State>,
    bytes: Bytes,
}

/// Ready when a read would not block. Made by [`Reader::readable`](super::Reader::readable).
#[must_use = "a future does nothing until it is polled"]
pub struct Readable {
    place: Place<State>,
}

/// Ready when a write would not block. Made by [`Writer::writable`](super::Writer::writable).
#[must_use = "a future does nothing until it is polled"]
pub struct Writable {
    place: Place<State>,
}

impl Read {
    pub(super) fn new(shared: &Arc<Shared<State>>, handle: Id, max: usize) -> Read {
        Read { place: Place::new(shared, End::Read, handle, max.min(1)), max }
    }
}

impl Write {
    pub(super) fn new(shared: &Arc<Shared<State>>, handle: Id, bytes: Bytes) -> Write {
        let need = shared.peek(|state| state.write_need(bytes.len()));
        Write { place: Place::new(shared, End::Write, handle, need), bytes }
    }
}

impl Readable {
    pub(super) fn new(shared: &Arc<Shared<State>>, handle: Id) -> Readable {
        Readable { place: Place::new(shared, End::Read, handle, 1) }
    }
}

impl Writable {
    pub(super) fn new(shared: &Arc<Shared<State>>, handle: Id, len: usize) -> Writable {
        let need = shared.peek(|state| state.write_need(len));
        Writable { place: Place::new(shared, End::Write, handle, need) }
    }
}

impl Future for Read {
    type Output = Result<Bytes, PipeError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let max = self.max;
        self.place.poll(cx, |state| state.read(max))
    }
}

impl Future for Write {
    type Output = Result<usize, PipeError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Write { place, bytes } = self.get_mut();
        place.poll(cx, |state| state.write(bytes))
    }
}

impl Future for Readable {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.place.poll(cx, |_| Ok(())).map(drop)
    }
}

impl Future for Writable {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.place.poll(cx, |_| Ok(())).map(drop)
    }
}
