//! A ring of slots of 64 bytes: the shortest way for short messages of one size.

use super::layout::Held;
use super::wait::Line;
use super::{Consumer, Producer, Size};
use crate::queue::QueueError;
use crate::quota::{Quota, QuotaError};
use std::time::{Duration, Instant};

/// How long a slot is.
pub const SLOT_BYTES: usize = 64;
const SLOT: u64 = SLOT_BYTES as u64;
/// The most a ring may have.
pub const MAX_SLOTS: usize = 1 << 24;

/// Puts slots in. There is one of it for a ring.
pub struct SlotSender {
    producer: Producer,
}

/// Takes slots out. There is one of it for a ring.
pub struct SlotReceiver {
    consumer: Consumer,
}

/// A ring of that many slots in this process, all of it charged to `quota`.
///
/// # Panics
///
/// If there are to be no slots, or more than 16 million.
pub fn slots(count: usize, quota: &Quota) -> Result<(SlotSender, SlotReceiver), QuotaError> {
    assert!((1..=MAX_SLOTS).contains(&count), "a ring of {count} slots");
    let held = Held::local(Size::of(count * SLOT_BYTES), quota)?;
    Ok((SlotSender::of(held.clone(), count, None), SlotReceiver::of(held, count, None)))
}

impl SlotSender {
    pub(crate) fn of(held: Held, count: usize, line: Option<Line>) -> SlotSender {
        SlotSender { producer: Producer::new(held, Size::of(count * SLOT_BYTES), line) }
    }

    /// Puts a slot in and wakes nobody: for a receiver that never sleeps, or before a [`wake`](Self::wake) for many.
    #[inline]
    pub fn try_push(&mut self, slot: &[u8; SLOT_BYTES]) -> Result<(), QueueError> {
        if self.producer.is_closed() {
            return Err(QueueError::Closed);
        }
        if self.producer.is_abandoned() {
            return Err(QueueError::Abandoned);
        }
        if !self.producer.has_room(SLOT)? {
            return Err(self.full());
        }
        self.producer.put_slot(slot);
        self.producer.publish(SLOT);
        Ok(())
    }

    /// Wakes the receiver, if it sleeps, for what was pushed.
    #[inline]
    pub fn wake(&self) {
        self.producer.wake();
    }

    /// Puts a slot in, if there is room, and wakes the receiver if it sleeps.
    #[inline]
    pub fn try_send(&mut self, slot: &[u8; SLOT_BYTES]) -> Result<(), QueueError> {
        self.try_push(slot)?;
        self.wake();
        Ok(())
    }

    /// The same, sleeping until there is room.
    pub fn send_blocking(&mut self, slot: &[u8; SLOT_BYTES]) -> Result<(), QueueError> {
        self.send_until(slot, None)
    }

    /// The same for so long at the most; then it answers [`QueueError::Full`].
    pub fn send_timeout(&mut self, slot: &[u8; SLOT_BYTES], timeout: Duration) -> Result<(), QueueError> {
        self.send_until(slot, Instant::now().checked_add(timeout))
    }

    /// How many slots were ever put in, and how many of them are not known to be taken out.
    pub fn counts(&self) -> (u64, u64) {
        (self.producer.tail() / SLOT, self.producer.used() / SLOT)
    }

    fn send_until(&mut self, slot: &[u8; SLOT_BYTES], deadline: Option<Instant>) -> Result<(), QueueError> {
        loop {
            match self.try_send(slot) {
                Err(full @ QueueError::Full { .. }) if !self.producer.sleep(SLOT, deadline) => {
                    return Err(full);
                }
                Err(QueueError::Full { .. }) => {}
                answer => return answer,
            }
        }
    }

    #[cold]
    fn full(&self) -> QueueError {
        let (limit, used) = (self.producer.limit() as usize, self.producer.used() as usize);
        QueueError::Full {
            asked: SLOT_BYTES,
            messages: used / SLOT_BYTES,
            max_messages: limit / SLOT_BYTES,
            bytes: used,
            max_bytes: limit,
        }
    }
}

impl SlotReceiver {
    pub(crate) fn of(held: Held, count: usize, line: Option<Line>) -> SlotReceiver {
        SlotReceiver { consumer: Consumer::new(held, Size::of(count * SLOT_BYTES), line) }
    }

    /// Takes a slot out and wakes nobody: for a sender that never sleeps, or before a [`wake`](Self::wake) for many.
    #[inline]
    pub fn try_pop(&mut self) -> Result<[u8; SLOT_BYTES], QueueError> {
        if !self.consumer.has_some()? {
            return Err(self.nothing());
        }
        if self.consumer.available() < SLOT {
            return Err(self.consumer.poison().into());
        }
        let slot = self.consumer.slot();
        self.consumer.release(SLOT);
        Ok(slot)
    }

    /// Wakes the sender, if it sleeps, for what was popped.
    #[inline]
    pub fn wake(&self) {
        self.consumer.wake();
    }

    /// Takes a slot out, if there is one, and wakes the sender if it sleeps.
    #[inline]
    pub fn try_recv(&mut self) -> Result<[u8; SLOT_BYTES], QueueError> {
        let slot = self.try_pop()?;
        self.wake();
        Ok(slot)
    }

    /// The same, sleeping until there is one.
    pub fn recv_blocking(&mut self) -> Result<[u8; SLOT_BYTES], QueueError> {
        self.recv_until(None)
    }

    /// The same for so long at the most; then it answers [`QueueError::Empty`].
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<[u8; SLOT_BYTES], QueueError> {
        self.recv_until(Instant::now().checked_add(timeout))
    }

    /// How many slots were ever taken out.
    pub fn received(&self) -> u64 {
        self.consumer.head() / SLOT
    }

    fn recv_until(&mut self, deadline: Option<Instant>) -> Result<[u8; SLOT_BYTES], QueueError> {
        loop {
            match self.try_recv() {
                Err(QueueError::Empty) if !self.consumer.sleep(deadline) => return Err(QueueError::Empty),
                Err(QueueError::Empty) => {}
                answer => return answer,
            }
        }
    }

    #[cold]
    fn nothing(&mut self) -> QueueError {
        match self.consumer.is_over() {
            Ok(true) => QueueError::Ended,
            Ok(false) => QueueError::Empty,
            Err(corrupt) => corrupt.into(),
        }
    }
}
