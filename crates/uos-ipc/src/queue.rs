//! Bounded queues of messages from any number of senders to any number of receivers.

mod error;
mod futures;
mod limits;
mod message;
mod state;
mod store;

pub use error::QueueError;
pub use futures::{Ready, RecvFuture, SendFuture};
pub use limits::{Limits, LimitsError};
pub use message::Message;

use crate::quota::{Quota, QuotaError};
use crate::sync::Arc;
use crate::waiting::{End, Id, Object, Shared, Wakes, blocking};
use state::State;
use std::fmt;
use std::time::{Duration, Instant};

/// In which order messages come out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Order {
    /// As they were sent.
    #[default]
    Fifo,
    /// The highest priority first, and as they were sent among equals.
    Priority,
}

/// A new queue: take it apart into its handles, or use it whole as a [`Channel`](crate::Channel).
#[derive(Debug)]
pub struct Queue {
    /// Where messages go in.
    pub sender: Sender,
    /// Where they come out.
    pub receiver: Receiver,
    /// Sees and ends the queue without being an end of it.
    pub control: QueueControl,
}

/// A handle to send with. Clones are handles of their own; when the last is closed or dropped, receivers get what is
/// left and then [`QueueError::Ended`].
pub struct Sender {
    shared: Arc<Shared<State>>,
    handle: Id,
}

/// A handle to receive with. Clones are handles of their own: each message goes to one of them. When the last is
/// closed or dropped, what was not received is lost and senders get [`QueueError::Abandoned`].
pub struct Receiver {
    shared: Arc<Shared<State>>,
    handle: Id,
}

/// Looks at a queue and can end it. It holds neither side open.
#[derive(Clone)]
pub struct QueueControl {
    shared: Arc<Shared<State>>,
}

/// A queue's numbers at one moment. Always `sent = received + messages + discarded`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueStats {
    /// The most it holds.
    pub limits: Limits,
    /// Messages in it now.
    pub messages: usize,
    /// Bytes in them.
    pub bytes: usize,
    /// All messages ever sent.
    pub sent: u64,
    /// All messages ever received.
    pub received: u64,
    /// Messages that were in it when the last receiver went or it was destroyed.
    pub discarded: u64,
    /// Messages of a topic that were not sent here because there was no room.
    pub missed: u64,
    /// Open receiving handles.
    pub receivers: usize,
    /// Open sending handles.
    pub senders: usize,
    /// Who waits for a message.
    pub waiting_receivers: usize,
    /// Who waits for room.
    pub waiting_senders: usize,
    /// Whether sending was ended or all of it destroyed.
    pub closed: bool,
    /// Whether [`QueueControl::destroy`] has ended it.
    pub destroyed: bool,
}

impl Queue {
    /// A queue of these limits, all of it charged to `quota` from now on: its bytes and a place for each message.
    ///
    /// The storage itself grows with use. The charge ends when nothing can be received any more: when the last
    /// receiver is gone, when nobody can send and the rest was received, or when it is destroyed.
    pub fn new(order: Order, limits: Limits, quota: &Quota) -> Result<Queue, QuotaError> {
        let charge = quota.take(limits.charge_bytes())?;
        let shared = Arc::new(Shared::new(State::new(order, limits, charge)));
        let (receiver, sender) =
            shared.step(|state| (state.side(End::Read).open(), state.side(End::Write).open()));
        Ok(Queue {
            sender: Sender { shared: shared.clone(), handle: sender },
            receiver: Receiver { shared: shared.clone(), handle: receiver },
            control: QueueControl { shared },
        })
    }
}

impl Sender {
    /// Puts the message in if there is room, and never waits. It may overtake messages that wait.
    #[inline]
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), QueueError> {
        // Made before the lock, and dropped after it if it is refused: whose bytes it shares, that may run anything.
        let mut message = message.into();
        if self.send_if_quiet(&mut message) { Ok(()) } else { self.send_at_length(&mut message) }
    }

    #[inline(always)]
    fn send_if_quiet(&self, message: &mut Message) -> bool {
        if let Some(mut state) = self.shared.quiet()
            && state.side(End::Write).is_open(self.handle)
            && state.fits(message.length())
        {
            state.push(message);
            return true;
        }
        false
    }

    #[cold]
    fn send_at_length(&self, message: &mut Message) -> Result<(), QueueError> {
        self.shared.step(|state| self.open(state)?.send(message))
    }

    /// Waits for room. Messages that wait are served in the order they came; a long one holds up the short one behind
    /// it.
    ///
    /// The future is `'static` and belongs to this handle without holding it open: closing the handle ends it with
    /// `Closed`. A dropped future has sent nothing.
    pub fn send(&self, message: impl Into<Message>) -> SendFuture {
        SendFuture::new(&self.shared, self.handle, message.into())
    }

    /// Waits until a try to send that many bytes would not be refused for now.
    pub fn ready(&self, len: usize) -> Ready {
        Ready::to_send(&self.shared, self.handle, len)
    }

    /// [`send`](Self::send) for a thread: it sleeps until there is an answer.
    pub fn send_blocking(&self, message: impl Into<Message>) -> Result<(), QueueError> {
        let mut message = message.into();
        // Whoever waits already is not overtaken; otherwise a few looks are cheaper than a sleep.
        for patience in blocking::patience() {
            let answer = self.shared.step(|state| {
                let state = self.open(state)?;
                match state.side(End::Write).waiting() {
                    0 => state.send(&mut message),
                    _ => Err(state.refusal(message.length())),
                }
            });
            if !matches!(answer, Err(QueueError::Full { .. })) {
                return answer;
            }
            patience.wait();
        }
        blocking::block_on(self.send(message))
    }

    /// The same for so long at the most; then it answers [`QueueError::Full`], and nothing was sent.
    pub fn send_timeout(&self, message: impl Into<Message>, timeout: Duration) -> Result<(), QueueError> {
        let message = message.into();
        let len = message.len();
        let answer = blocking::block_on_until(self.send(message), Instant::now().checked_add(timeout));
        answer.unwrap_or_else(|| Err(self.shared.peek(|state| state.refusal(len))))
    }

    /// Closes this handle, as dropping it does. Later calls on it, and what waits through it, get `Closed`.
    pub fn close(&self) {
        self.shared.close(End::Write, self.handle);
    }

    /// A try whose wakes the caller fires, and which leaves the message where it is if it is refused.
    pub(crate) fn put(&self, message: &mut Message) -> (Result<(), QueueError>, Option<Wakes>) {
        self.shared.change(|state| self.open(state).and_then(|state| state.send(message)))
    }

    /// What a try would answer now.
    pub(crate) fn check(&self, len: usize) -> Result<(), QueueError> {
        self.shared.peek(|state| state.check(len))
    }

    pub(crate) fn miss(&self) {
        self.shared.step(State::miss);
    }

    pub(crate) fn control(&self) -> QueueControl {
        QueueControl { shared: self.shared.clone() }
    }

    #[inline(always)]
    fn open<'a>(&self, state: &'a mut State) -> Result<&'a mut State, QueueError> {
        if state.side(End::Write).is_open(self.handle) { Ok(state) } else { Err(state.closed()) }
    }
}

impl Receiver {
    /// Takes the next message if there is one, and never waits. It may overtake receivers that wait.
    #[inline]
    pub fn try_recv(&self) -> Result<Message, QueueError> {
        match self.recv_if_quiet() {
            Some(message) => Ok(message),
            None => self.recv_at_length(),
        }
    }

    #[inline(always)]
    fn recv_if_quiet(&self) -> Option<Message> {
        let mut state = self.shared.quiet()?;
        if state.side(End::Read).is_open(self.handle) { state.pop() } else { None }
    }

    #[cold]
    fn recv_at_length(&self) -> Result<Message, QueueError> {
        self.shared.step(|state| match state.side(End::Read).is_open(self.handle) {
            true => state.receive(),
            false => Err(state.closed()),
        })
    }

    /// Waits for a message or the end. Who waits is served in the order it came.
    ///
    /// The future is `'static` and belongs to this handle without holding it open: closing the handle ends it with
    /// `Closed`. Dropping it is free, and no message is lost by it.
    pub fn recv(&self) -> RecvFuture {
        RecvFuture::new(&self.shared, self.handle)
    }

    /// Waits until a try would not answer `Empty`.
    pub fn ready(&self) -> Ready {
        Ready::to_receive(&self.shared, self.handle)
    }

    /// [`recv`](Self::recv) for a thread: it sleeps until there is an answer.
    pub fn recv_blocking(&self) -> Result<Message, QueueError> {
        // Whoever waits already is not overtaken; otherwise a few looks are cheaper than a sleep.
        for patience in blocking::patience() {
            let answer = self.shared.step(|state| match state.side(End::Read).is_open(self.handle) {
                true if state.side(End::Read).waiting() > 0 => Err(QueueError::Empty),
                true => state.receive(),
                false => Err(state.closed()),
            });
            if !matches!(answer, Err(QueueError::Empty)) {
                return answer;
            }
            patience.wait();
        }
        blocking::block_on(self.recv())
    }

    /// The same for so long at the most; then it answers [`QueueError::Empty`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Message, QueueError> {
        let answer = blocking::block_on_until(self.recv(), Instant::now().checked_add(timeout));
        answer.unwrap_or(Err(QueueError::Empty))
    }

    /// The numbers at this moment.
    pub fn stats(&self) -> QueueStats {
        self.shared.peek(State::stats)
    }

    /// Closes this handle, as dropping it does. Later calls on it, and what waits through it, get `Closed`.
    pub fn close(&self) {
        self.shared.close(End::Read, self.handle);
    }
}

impl QueueControl {
    /// The numbers at this moment.
    pub fn stats(&self) -> QueueStats {
        self.shared.peek(State::stats)
    }

    /// Ends sending: senders get `Closed` from now on, receivers what is left and then `Ended`.
    pub fn close(&self) {
        self.shared.step(State::finish);
    }

    /// Ends the queue now: what it holds is lost, its charge is returned, and everybody gets `Destroyed`.
    pub fn destroy(&self) {
        self.shared.step(State::destroy);
    }
}

impl Clone for Receiver {
    fn clone(&self) -> Receiver {
        let handle = self.shared.step(|state| state.side(End::Read).duplicate(self.handle));
        Receiver { shared: self.shared.clone(), handle }
    }
}

impl Clone for Sender {
    fn clone(&self) -> Sender {
        let handle = self.shared.step(|state| state.side(End::Write).duplicate(self.handle));
        Sender { shared: self.shared.clone(), handle }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.close();
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&self.handle).finish()
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&self.handle).finish()
    }
}

impl fmt::Debug for QueueControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stats().fmt(f)
    }
}
