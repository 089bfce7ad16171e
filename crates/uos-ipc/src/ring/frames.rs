//! A ring as a channel of messages: each with its length in front, published whole.

use super::layout::Held;
use super::wait::{Half, Line, Step};
use super::{Consumer, Corrupt, Producer, Size};
use crate::queue::{Limits, Message, QueueError};
use crate::quota::{Quota, QuotaError};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What stands in front of each message: its length in four bytes, its priority in one, and three of nothing.
const HEAD_BYTES: usize = 8;

/// Puts messages in. There is one of it for a ring.
pub struct FrameSender {
    producer: Producer,
    limits: Limits,
    /// How long the messages are that have not been taken, oldest first.
    lengths: VecDeque<u32>,
    /// How much they are together.
    bytes: usize,
    /// Up to where, of what the other side has taken, they were crossed off.
    seen: u64,
    sent: u64,
}

/// Takes messages out. There is one of it for a ring.
pub struct FrameReceiver {
    consumer: Consumer,
    limits: Limits,
    received: u64,
}

/// A ring of messages in this process, all of it charged to `quota`. The order is that of sending; a priority is carried along.
pub fn frames(limits: Limits, quota: &Quota) -> Result<(FrameSender, FrameReceiver), QuotaError> {
    let held = Held::local(size(limits), quota)?;
    Ok((FrameSender::of(held.clone(), limits, None), FrameReceiver::of(held, limits, None)))
}

/// Room for all the bytes, and for what stands in front of all the messages.
pub(crate) fn size(limits: Limits) -> Size {
    Size::of(limits.bytes() + limits.messages() * HEAD_BYTES)
}

impl FrameSender {
    pub(crate) fn of(held: Held, limits: Limits, line: Option<Line>) -> FrameSender {
        let producer = Producer::new(held, size(limits), line);
        FrameSender { producer, limits, lengths: VecDeque::new(), bytes: 0, seen: 0, sent: 0 }
    }

    /// Puts the message in if there is room, and never waits.
    pub fn try_send(&mut self, message: &Message) -> Result<(), QueueError> {
        if self.producer.is_closed() {
            return Err(QueueError::Closed);
        }
        if self.producer.is_abandoned() {
            return Err(QueueError::Abandoned);
        }
        let (asked, max) = (message.len(), self.limits.bytes());
        if asked > max {
            return Err(QueueError::TooLarge { asked, max });
        }
        if !self.fits(asked) {
            self.cross_off()?;
            if !self.fits(asked) {
                return Err(self.full(asked));
            }
        }
        // Messages and their heads have room together whenever both limits hold.
        let head = u64::from(asked as u32) | u64::from(message.priority()) << 32;
        self.producer.put(0, &head.to_le_bytes());
        self.producer.put(HEAD_BYTES as u64, message);
        self.producer.publish((HEAD_BYTES + asked) as u64);
        self.producer.wake();
        self.lengths.push_back(asked as u32);
        self.bytes += asked;
        self.sent += 1;
        Ok(())
    }

    /// The same, sleeping until there is room.
    pub fn send_blocking(&mut self, message: &Message) -> Result<(), QueueError> {
        self.send_until(message, None)
    }

    /// The same for so long at the most; then it answers [`QueueError::Full`].
    pub fn send_timeout(&mut self, message: &Message, timeout: Duration) -> Result<(), QueueError> {
        self.send_until(message, Instant::now().checked_add(timeout))
    }

    /// Nothing more will be sent, as by dropping it. What is in the ring can still be received.
    pub fn close(&mut self) {
        self.producer.close();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.producer.is_closed()
    }

    /// Messages ever sent, messages not received yet, and the bytes in these.
    pub fn counts(&mut self) -> (u64, usize, usize) {
        // What can't be true is told by the next send.
        let _ = self.cross_off();
        (self.sent, self.lengths.len(), self.bytes)
    }

    fn send_until(&mut self, message: &Message, deadline: Option<Instant>) -> Result<(), QueueError> {
        loop {
            match self.try_send(message) {
                Err(full @ QueueError::Full { .. }) => {
                    // Anything taken out may be what makes the room; when it is not, the next try says so.
                    let room = self.producer.limit() - self.producer.used() + 1;
                    if !self.producer.sleep(room, Step::UNCOUNTED, deadline) {
                        return Err(full);
                    }
                }
                answer => return answer,
            }
        }
    }

    fn fits(&self, len: usize) -> bool {
        self.lengths.len() < self.limits.messages() && len <= self.limits.bytes() - self.bytes
    }

    /// Crosses off what has been taken. The other side takes whole messages: an index in the middle of one can't be true.
    fn cross_off(&mut self) -> Result<(), Corrupt> {
        self.producer.look()?;
        while self.seen < self.producer.head() {
            let Some(len) = self.lengths.pop_front() else { return Err(self.producer.poison()) };
            self.seen += HEAD_BYTES as u64 + u64::from(len);
            self.bytes -= len as usize;
        }
        if self.seen > self.producer.head() { Err(self.producer.poison()) } else { Ok(()) }
    }

    #[cold]
    fn full(&self, asked: usize) -> QueueError {
        QueueError::Full {
            asked,
            messages: self.lengths.len(),
            max_messages: self.limits.messages(),
            bytes: self.bytes,
            max_bytes: self.limits.bytes(),
        }
    }
}

impl FrameReceiver {
    pub(crate) fn of(held: Held, limits: Limits, line: Option<Line>) -> FrameReceiver {
        FrameReceiver { consumer: Consumer::new(held, size(limits), line), limits, received: 0 }
    }

    /// Takes the next message out, and never waits.
    pub fn try_recv(&mut self) -> Result<Message, QueueError> {
        if self.consumer.is_closed() {
            return Err(QueueError::Closed);
        }
        if !self.consumer.has_some()? {
            if !self.consumer.is_over()? {
                // It may have come between the two looks.
                if self.consumer.available() == 0 {
                    return Err(QueueError::Empty);
                }
            } else {
                return Err(QueueError::Ended);
            }
        }
        let message = self.front()?;
        self.consumer.release((HEAD_BYTES + message.len()) as u64);
        self.consumer.wake();
        self.received += 1;
        Ok(message)
    }

    /// The same, sleeping until there is one.
    pub fn recv_blocking(&mut self) -> Result<Message, QueueError> {
        self.recv_until(None)
    }

    /// The same for so long at the most; then it answers [`QueueError::Empty`].
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Message, QueueError> {
        self.recv_until(Instant::now().checked_add(timeout))
    }

    /// Nothing more will be received, as by dropping it. What is in the ring is lost.
    pub fn close(&mut self) {
        self.consumer.close();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.consumer.is_closed()
    }

    /// Messages ever received.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// A copy of the message in front. Its head is read once, and held against what is there.
    fn front(&mut self) -> Result<Message, Corrupt> {
        let available = self.consumer.available();
        if available < HEAD_BYTES as u64 {
            return Err(self.consumer.poison());
        }
        let mut head = [0; HEAD_BYTES];
        self.consumer.copy(0, &mut head);
        let head = u64::from_le_bytes(head);
        let (len, priority) = (head as u32 as usize, (head >> 32) as u8);
        if len > self.limits.bytes() || (HEAD_BYTES + len) as u64 > available || head >> 40 != 0 {
            return Err(self.consumer.poison());
        }
        let message = if len <= Message::INLINE_BYTES {
            let mut inline = [0; Message::INLINE_BYTES];
            self.consumer.copy(HEAD_BYTES as u64, &mut inline[..len]);
            Message::inline(inline, len)
        } else {
            let mut bytes = Vec::new();
            self.consumer.append(HEAD_BYTES as u64, len, &mut bytes);
            Message::from(bytes)
        };
        Ok(message.with_priority(priority))
    }

    fn recv_until(&mut self, deadline: Option<Instant>) -> Result<Message, QueueError> {
        loop {
            match self.try_recv() {
                Err(QueueError::Empty) if !self.consumer.sleep(Step::UNCOUNTED, deadline) => {
                    return Err(QueueError::Empty);
                }
                Err(QueueError::Empty) => {}
                answer => return answer,
            }
        }
    }
}

impl Half for FrameSender {
    /// A try to send `need` bytes would not answer `Full`.
    fn is_ready(&mut self, need: usize) -> bool {
        let over = self.producer.is_closed() || self.producer.is_abandoned() || need > self.limits.bytes();
        over || self.fits(need) || self.cross_off().is_err() || self.fits(need)
    }

    fn arm(&self) {
        self.producer.arm();
    }

    fn line(&self) -> Option<&Line> {
        self.producer.wait.line()
    }
}

impl Half for FrameReceiver {
    fn is_ready(&mut self, _need: usize) -> bool {
        self.consumer.is_ready()
    }

    fn arm(&self) {
        self.consumer.arm();
    }

    fn line(&self) -> Option<&Line> {
        self.consumer.wait.line()
    }
}
