//! Waiting at a socket: futures that hold a place in the line of one side, and what is to be sent until it is.

use super::{Parcel, SocketError, lane, lane::Lane};
use crate::object::Object;
use crate::sync::Arc;
use crate::waiting::{End, Id, Place, Shared};
use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A send that waits for room. Made by [`Socket::send`](super::Socket::send).
#[must_use = "a future does nothing until it is polled"]
pub struct SendParcel {
    place: Place<Lane>,
    lane: Arc<Shared<Lane>>,
    bytes: Bytes,
    handles: Vec<Object>,
    /// The inboxes that are marked as being passed, once that was looked at.
    passing: Option<Vec<Arc<Shared<Lane>>>>,
}

/// Waits for something to receive. Made by [`Socket::recv`](super::Socket::recv).
#[must_use = "a future does nothing until it is polled"]
pub struct RecvParcel {
    place: Place<Lane>,
    max: usize,
}

/// Ready when a try would not be refused for now.
#[must_use = "a future does nothing until it is polled"]
pub struct SocketReady {
    place: Place<Lane>,
}

impl SendParcel {
    pub(super) fn new(
        lane: &Arc<Shared<Lane>>,
        writer: Id,
        bytes: Bytes,
        handles: Vec<Object>,
    ) -> SendParcel {
        let need = lane.peek(|lane| lane.send_need(bytes.len()));
        let place = Place::new(lane, End::Write, writer, need);
        SendParcel { place, lane: lane.clone(), bytes, handles, passing: None }
    }
}

impl RecvParcel {
    pub(super) fn new(lane: &Arc<Shared<Lane>>, reader: Id, max: usize) -> RecvParcel {
        RecvParcel { place: Place::new(lane, End::Read, reader, 1), max }
    }
}

impl SocketReady {
    pub(super) fn new(lane: &Arc<Shared<Lane>>, end: End, handle: Id, need: usize) -> SocketReady {
        SocketReady { place: Place::new(lane, end, handle, need) }
    }
}

impl Future for SendParcel {
    type Output = Result<usize, SocketError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let SendParcel { place, lane, bytes, handles, passing } = self.get_mut();
        if passing.is_none() {
            match lane::passing(lane, handles) {
                Ok(marked) => *passing = Some(marked),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let answer = place.poll(cx, |lane| lane.send(bytes, handles, None));
        if let Poll::Ready(Ok(_)) = answer {
            // They are under way, and unmarked where they arrive.
            *passing = None;
        }
        answer
    }
}

impl Drop for SendParcel {
    fn drop(&mut self) {
        for inbox in self.passing.take().into_iter().flatten() {
            inbox.step(Lane::arrived);
        }
    }
}

impl Future for RecvParcel {
    type Output = Result<Parcel, SocketError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let max = self.max;
        let answer = self.place.poll(cx, |lane| lane.receive(max));
        if let Poll::Ready(Ok(parcel)) = &answer {
            lane::arrived(&parcel.handles);
        }
        answer
    }
}

impl Future for SocketReady {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.place.poll(cx, |_| Ok(())).map(drop)
    }
}
