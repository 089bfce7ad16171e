//! The rules of a queue: what sending and receiving do, when it ends, who is woken.

use super::{Limits, Message, Order, QueueError, QueueStats, store::Store};
use crate::quota::Permit;
use crate::waiting::{End, Object, Side};

pub(crate) struct State {
    limits: Limits,
    store: Store,
    bytes: usize,
    receivers: Side,
    senders: Side,
    totals: Totals,
    /// Pays for the limits; gone as soon as nothing can be received any more.
    charge: Option<Permit>,
    /// Nobody may send any more, whoever is still there.
    finished: bool,
    destroyed: bool,
}

#[derive(Default)]
struct Totals {
    sent: u64,
    received: u64,
    discarded: u64,
    missed: u64,
}

impl State {
    pub(crate) fn new(order: Order, limits: Limits, charge: Permit) -> State {
        State {
            limits,
            store: Store::new(order),
            bytes: 0,
            receivers: Side::default(),
            senders: Side::default(),
            totals: Totals::default(),
            charge: Some(charge),
            finished: false,
            destroyed: false,
        }
    }

    #[inline(always)]
    pub(crate) fn receive(&mut self) -> Result<Message, QueueError> {
        if self.destroyed {
            return Err(self.closed());
        }
        let over = self.finished || self.senders.is_closed();
        let empty = if over { QueueError::Ended } else { QueueError::Empty };
        self.pop().ok_or(empty)
    }

    /// Takes the next message out, whatever else there is.
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<Message> {
        let message = self.store.pop()?;
        self.bytes -= message.length();
        self.totals.received += 1;
        Some(message)
    }

    /// Takes the message out of its place, unless it is refused.
    #[inline(always)]
    pub(crate) fn send(&mut self, message: &mut Message) -> Result<(), QueueError> {
        self.check(message.length())?;
        self.push(message);
        Ok(())
    }

    /// Takes a message out of its place that was checked.
    #[inline(always)]
    pub(crate) fn push(&mut self, message: &mut Message) {
        self.bytes += message.length();
        self.totals.sent += 1;
        self.store.push(message);
    }

    /// Whether a message of this length could be sent now.
    #[inline(always)]
    pub(crate) fn check(&self, len: usize) -> Result<(), QueueError> {
        if self.destroyed || self.finished {
            return Err(self.closed());
        }
        if self.receivers.is_closed() {
            return Err(QueueError::Abandoned);
        }
        let max = self.limits.bytes();
        if len > max {
            return Err(QueueError::TooLarge { asked: len, max });
        }
        if self.fits(len) { Ok(()) } else { Err(self.refusal(len)) }
    }

    /// There is a place, and room for that many bytes.
    #[inline(always)]
    pub(crate) fn fits(&self, len: usize) -> bool {
        self.store.len() < self.limits.messages() && len <= self.limits.bytes() - self.bytes
    }

    /// What somebody who has waited too long is told.
    #[cold]
    pub(crate) fn refusal(&self, asked: usize) -> QueueError {
        QueueError::Full {
            asked,
            messages: self.store.len(),
            max_messages: self.limits.messages(),
            bytes: self.bytes,
            max_bytes: self.limits.bytes(),
        }
    }

    /// One more was not delivered because there was no room.
    pub(crate) fn miss(&mut self) {
        self.totals.missed += 1;
    }

    /// How much must be available before it pays to wake somebody who sends that much: a place, and the bytes. What
    /// will never fit does not wait.
    pub(crate) fn send_need(&self, len: usize) -> usize {
        if len > self.limits.bytes() { 0 } else { len + 1 }
    }

    /// Sending is over: what is there can still be received, and then comes the end.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
    }

    pub(crate) fn destroy(&mut self) {
        self.destroyed = true;
    }

    pub(crate) fn stats(&self) -> QueueStats {
        QueueStats {
            limits: self.limits,
            messages: self.store.len(),
            bytes: self.bytes,
            sent: self.totals.sent,
            received: self.totals.received,
            discarded: self.totals.discarded,
            missed: self.totals.missed,
            receivers: self.receivers.handles(),
            senders: self.senders.handles(),
            waiting_receivers: self.receivers.waiting(),
            waiting_senders: self.senders.waiting(),
            closed: self.finished || self.destroyed,
            destroyed: self.destroyed,
        }
    }
}

impl Object for State {
    type Error = QueueError;
    type Left = Option<Store>;

    #[cold]
    fn closed(&self) -> QueueError {
        match self.destroyed {
            true => QueueError::Destroyed { discarded: self.totals.discarded },
            false => QueueError::Closed,
        }
    }

    #[inline]
    fn side(&mut self, end: End) -> &mut Side {
        match end {
            End::Read => &mut self.receivers,
            End::Write => &mut self.senders,
        }
    }

    /// Messages to receive; or a place together with the bytes there is room for, if there is a place.
    #[inline]
    fn available(&self, end: End) -> usize {
        match end {
            End::Read => self.store.len(),
            End::Write if self.store.len() == self.limits.messages() => 0,
            End::Write => self.limits.bytes() - self.bytes + 1,
        }
    }

    #[inline]
    fn is_over(&self, end: End) -> bool {
        self.destroyed
            || self.finished
            || match end {
                End::Read => self.senders.is_closed(),
                End::Write => self.receivers.is_closed(),
            }
    }

    #[inline(always)]
    fn is_quiet(&self) -> bool {
        let open = !self.receivers.is_closed() && !self.senders.is_closed();
        open && !self.finished && !self.destroyed && self.receivers.is_idle() && self.senders.is_idle()
    }

    /// Afterwards there are messages only while somebody can receive them.
    #[inline]
    fn settle(&mut self) -> Option<Store> {
        let nobody = self.destroyed || self.receivers.is_closed();
        let drained = self.store.len() == 0 && (self.finished || self.senders.is_closed());
        if !nobody && !drained {
            return None;
        }
        self.charge = None;
        self.totals.discarded += self.store.len() as u64;
        self.bytes = 0;
        Some(self.store.take())
    }
}
