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
        if !self.producer.takes_slot() {
            return Err(self.refusal());
        }
        self.put(slot);
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
    #[inline]
    pub fn send_blocking(&mut self, slot: &[u8; SLOT_BYTES]) -> Result<(), QueueError> {
        if self.producer.takes_slot() {
            self.put(slot);
            self.wake();
            return Ok(());
        }
        self.send_until(slot, None)
    }

    /// The same for so long at the most; then it answers [`QueueError::Full`].
    pub fn send_timeout(&mut self, slot: &[u8; SLOT_BYTES], timeout: Duration) -> Result<(), QueueError> {
        self.send_until(slot, Instant::now().checked_add(timeout))
    }

    /// Sends all of them, sleeping when there is no room, and wakes the receiver once for as many as there was room for.
    pub fn send_all_blocking(&mut self, slots: &[[u8; SLOT_BYTES]]) -> Result<(), QueueError> {
        let mut left = slots;
        while let Some((first, _)) = left.split_first() {
            match self.push_many(left) {
                Ok(0) => {
                    self.wake();
                    self.send_blocking(first)?;
                    left = &left[1..];
                }
                Ok(pushed) => left = &left[pushed..],
                Err(error) => return Err(error),
            }
            self.wake();
        }
        Ok(())
    }

    /// As many as there is room for, made known at once.
    fn push_many(&mut self, slots: &[[u8; SLOT_BYTES]]) -> Result<usize, QueueError> {
        if self.producer.is_closed() {
            return Err(QueueError::Closed);
        }
        if self.producer.is_abandoned() {
            return Err(QueueError::Abandoned);
        }
        self.producer.has_room(slots.len() as u64 * SLOT)?;
        let room = ((self.producer.limit() - self.producer.used()) / SLOT) as usize;
        let fits = slots.len().min(room);
        for (at, slot) in slots[..fits].iter().enumerate() {
            self.producer.put_slot_ahead(at as u64 * SLOT, slot);
        }
        self.producer.publish(fits as u64 * SLOT);
        Ok(fits)
    }

    /// How many slots were ever put in, and how many of them are not known to be taken out.
    pub fn counts(&self) -> (u64, u64) {
        (self.producer.tail() / SLOT, self.producer.used() / SLOT)
    }

    #[inline(always)]
    fn put(&mut self, slot: &[u8; SLOT_BYTES]) {
        self.producer.put_slot(slot);
        self.producer.publish(SLOT);
    }

    fn send_until(&mut self, slot: &[u8; SLOT_BYTES], deadline: Option<Instant>) -> Result<(), QueueError> {
        loop {
            match self.try_send(slot) {
                Err(full @ QueueError::Full { .. })
                    if !self.producer.sleep(SLOT, self.producer.step(SLOT), deadline) =>
                {
                    return Err(full);
                }
                Err(QueueError::Full { .. }) => {}
                answer => return answer,
            }
        }
    }

    /// Why a slot was not taken.
    #[cold]
    fn refusal(&mut self) -> QueueError {
        if self.producer.is_closed() {
            return QueueError::Closed;
        }
        if self.producer.is_abandoned() {
            return QueueError::Abandoned;
        }
        if let Err(corrupt) = self.producer.look() {
            return corrupt.into();
        }
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
        let mut slot = [0; SLOT_BYTES];
        self.try_pop_into(&mut slot).map(|()| slot)
    }

    /// The same to where it is wanted, which saves moving it about.
    #[inline]
    pub fn try_pop_into(&mut self, slot: &mut [u8; SLOT_BYTES]) -> Result<(), QueueError> {
        if !self.consumer.has_slot() {
            return Err(self.nothing());
        }
        *slot = self.consumer.slot();
        self.consumer.release(SLOT);
        Ok(())
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

    /// The same to where it is wanted.
    #[inline]
    pub fn try_recv_into(&mut self, slot: &mut [u8; SLOT_BYTES]) -> Result<(), QueueError> {
        self.try_pop_into(slot)?;
        self.wake();
        Ok(())
    }

    /// The same, sleeping until there is one.
    #[inline]
    pub fn recv_blocking(&mut self) -> Result<[u8; SLOT_BYTES], QueueError> {
        if self.consumer.knows_slot() {
            let slot = self.consumer.slot();
            self.consumer.release(SLOT);
            self.wake();
            return Ok(slot);
        }
        self.recv_until(None)
    }

    /// The same for so long at the most; then it answers [`QueueError::Empty`].
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<[u8; SLOT_BYTES], QueueError> {
        self.recv_until(Instant::now().checked_add(timeout))
    }

    /// Takes up to `max` slots at once to the end of `slots`, sleeping until there is at least one, and wakes the sender once.
    /// Answers how many.
    pub fn recv_many_blocking(
        &mut self,
        slots: &mut Vec<[u8; SLOT_BYTES]>,
        max: usize,
    ) -> Result<usize, QueueError> {
        if max == 0 {
            return Ok(0);
        }
        if !self.consumer.has_some()? {
            slots.push(self.recv_blocking()?);
            return Ok(1);
        }
        if !self.consumer.available().is_multiple_of(SLOT) {
            return Err(self.consumer.poison().into());
        }
        let count = max.min((self.consumer.available() / SLOT) as usize);
        slots.extend((0..count as u64).map(|at| self.consumer.slot_ahead(at * SLOT)));
        self.consumer.release(count as u64 * SLOT);
        self.wake();
        Ok(count)
    }

    /// How many slots were ever taken out.
    pub fn received(&self) -> u64 {
        self.consumer.head() / SLOT
    }

    /// Looks at the sender's side only as the pace of both has it, and takes what is known to be there without looking.
    fn recv_until(&mut self, deadline: Option<Instant>) -> Result<[u8; SLOT_BYTES], QueueError> {
        loop {
            let more = self.consumer.knows_slot() || self.consumer.sleep(self.consumer.step(SLOT), deadline);
            match self.try_recv() {
                Err(QueueError::Empty) if more => {}
                answer => return answer,
            }
        }
    }

    #[cold]
    fn nothing(&mut self) -> QueueError {
        if !self.consumer.available().is_multiple_of(SLOT) {
            return self.consumer.poison().into();
        }
        match self.consumer.is_over() {
            Ok(true) => QueueError::Ended,
            Ok(false) => QueueError::Empty,
            Err(corrupt) => corrupt.into(),
        }
    }
}
