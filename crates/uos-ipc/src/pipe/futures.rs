//! Waiting: futures that hold a place in the queue of one side and nothing more.
//!
//! Each completes in one step under the lock, so dropping one leaves no residue: either it has reported
//! all it did, or it did nothing. A dropped future leaves the queue, and if it had been woken already the
//! next in line is woken instead.

use super::state::{End, Shared, State};
use super::{PipeError, side::Id};
use crate::sync::Arc;
use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A read that waits for the first byte. Made by [`Reader::read`](super::Reader::read).
#[must_use = "a future does nothing until it is polled"]
pub struct Read {
    place: Place,
    max: usize,
}

/// A write that waits for room. Made by [`Writer::write`](super::Writer::write).
#[must_use = "a future does nothing until it is polled"]
pub struct Write {
    place: Place,
    bytes: Bytes,
}

/// Ready when a read would not block. Made by [`Reader::readable`](super::Reader::readable).
#[must_use = "a future does nothing until it is polled"]
pub struct Readable {
    place: Place,
}

/// Ready when a write would not block. Made by [`Writer::writable`](super::Writer::writable).
#[must_use = "a future does nothing until it is polled"]
pub struct Writable {
    place: Place,
}

impl Read {
    pub(super) fn new(shared: &Arc<Shared>, handle: Id, max: usize) -> Read {
        Read { place: Place::new(shared, End::Read, handle, max.min(1)), max }
    }
}

impl Write {
    pub(super) fn new(shared: &Arc<Shared>, handle: Id, bytes: Bytes) -> Write {
        let need = shared.peek(|state| state.write_need(bytes.len()));
        Write { place: Place::new(shared, End::Write, handle, need), bytes }
    }
}

impl Readable {
    pub(super) fn new(shared: &Arc<Shared>, handle: Id) -> Readable {
        Readable { place: Place::new(shared, End::Read, handle, 1) }
    }
}

impl Writable {
    pub(super) fn new(shared: &Arc<Shared>, handle: Id, len: usize) -> Writable {
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

/// A place in one side's queue, taken at the first poll that has to wait.
///
/// It belongs to the handle it was made from without keeping that handle open: once the handle is closed
/// it is out of the queue and answers `Closed`.
struct Place {
    shared: Arc<Shared>,
    end: End,
    handle: Id,
    need: usize,
    waiter: Option<Id>,
}

impl Place {
    fn new(shared: &Arc<Shared>, end: End, handle: Id, need: usize) -> Place {
        Place { shared: shared.clone(), end, handle, need, waiter: None }
    }

    /// Does `act` if it may go on now, and otherwise waits where it was or at the end.
    fn poll<R>(
        &mut self,
        cx: &mut Context<'_>,
        act: impl FnOnce(&mut State) -> Result<R, PipeError>,
    ) -> Poll<Result<R, PipeError>> {
        // Cloned before and dropped after the lock: both run the caller's code.
        let waker = cx.waker().clone();
        let Place { ref shared, end, handle, need, ref mut waiter } = *self;
        let (answer, _dropped_after_the_lock) = shared.step(|state| {
            if !state.side(end).is_open(handle) {
                return (Poll::Ready(Err(PipeError::Closed)), [Some(waker), None]);
            }
            let goes = need == 0
                || state.is_over(end)
                || (state.side(end).is_turn(*waiter) && state.available(end) >= need);
            if goes {
                let answer = act(state);
                let parked = state.side(end).leave(waiter.take());
                return (Poll::Ready(answer), [Some(waker), parked]);
            }
            let (id, replaced) = state.side(end).wait(*waiter, handle, need, waker);
            *waiter = Some(id);
            (Poll::Pending, [None, replaced])
        });
        answer
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            let end = self.end;
            let _dropped_after_the_lock = self.shared.step(|state| state.side(end).leave(Some(waiter)));
        }
    }
}
