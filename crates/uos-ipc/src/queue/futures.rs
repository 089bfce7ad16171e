//! Waiting at a queue: futures that hold a place in the line of one side, and their message until it is sent.

use super::{Message, QueueError, state::State};
use crate::sync::Arc;
use crate::waiting::{End, Id, Place, Shared};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A message that waits for room. Made by [`Sender::send`](super::Sender::send).
#[must_use = "a future does nothing until it is polled"]
pub struct SendFuture {
    place: Place<State>,
    message: Message,
}

/// Waits for a message. Made by [`Receiver::recv`](super::Receiver::recv).
#[must_use = "a future does nothing until it is polled"]
pub struct RecvFuture {
    place: Place<State>,
}

/// Ready when a try would not be refused for now. Made by [`Sender::ready`](super::Sender::ready) and
/// [`Receiver::ready`](super::Receiver::ready).
#[must_use = "a future does nothing until it is polled"]
pub struct Ready {
    place: Place<State>,
}

impl SendFuture {
    pub(super) fn new(shared: &Arc<Shared<State>>, handle: Id, message: Message) -> SendFuture {
        let need = shared.peek(|state| state.send_need(message.len()));
        SendFuture { place: Place::new(shared, End::Write, handle, need), message }
    }
}

impl RecvFuture {
    pub(super) fn new(shared: &Arc<Shared<State>>, handle: Id) -> RecvFuture {
        RecvFuture { place: Place::new(shared, End::Read, handle, 1) }
    }
}

impl Ready {
    pub(super) fn to_send(shared: &Arc<Shared<State>>, handle: Id, len: usize) -> Ready {
        let need = shared.peek(|state| state.send_need(len));
        Ready { place: Place::new(shared, End::Write, handle, need) }
    }

    pub(super) fn to_receive(shared: &Arc<Shared<State>>, handle: Id) -> Ready {
        Ready { place: Place::new(shared, End::Read, handle, 1) }
    }
}

impl Future for SendFuture {
    type Output = Result<(), QueueError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let SendFuture { place, message } = self.get_mut();
        place.poll(cx, |state| state.send(message))
    }
}

impl Future for RecvFuture {
    type Output = Result<Message, QueueError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.place.poll(cx, State::receive)
    }
}

impl Future for Ready {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.place.poll(cx, |_| Ok(())).map(drop)
    }
}
