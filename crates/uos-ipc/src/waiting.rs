//! Waiting without threads: one lock for one object, two sides that queue at it, and one rule of who is woken.
//!
//! Pipes and queues differ in what they hold. How one waits at them is the same, and is here.

pub(crate) mod blocking;
mod place;
mod side;
#[cfg(all(target_os = "linux", not(any(loom, shuttle))))]
mod watch;

pub(crate) use place::Place;
pub(crate) use side::{Id, Side};
#[cfg(all(target_os = "linux", not(any(loom, shuttle))))]
pub(crate) use watch::Watch;

use crate::sync::Mutex;
use std::ops::DerefMut;
use std::task::Waker;

/// Which side a handle or a waiter is on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Where things come out.
    Read,
    /// Where they go in.
    Write,
}

/// Something with two sides that one can wait at.
pub(crate) trait Object {
    /// What its calls answer when they refuse.
    type Error;
    /// What a change leaves over.
    type Left;
    /// The answer to a call through a handle that was closed.
    fn closed(&self) -> Self::Error;

    fn side(&mut self, end: End) -> &mut Side;

    /// How much there is for the one in front of this side, in the measure of its `need`.
    fn available(&self, end: End) -> usize;

    /// No waiting at this end will ever bring anything new.
    fn is_over(&self, end: End) -> bool;

    /// Nobody waits and nothing follows from a change by itself: the daily case, after which there is nothing to do.
    fn is_quiet(&self) -> bool;

    /// Runs after every other change and before anybody is woken: what follows from the change by itself. Answers what is to
    /// be dropped after the lock, as that may run anything.
    fn settle(&mut self) -> Self::Left;
}

/// What all handles and all waiting futures of one object share.
pub(crate) struct Shared<T> {
    /// Protects the whole object. Nothing else is locked and no waker is woken, cloned or dropped while
    /// it is held; returning a permit touches only the quota's atomics.
    object: Mutex<T>,
}

impl<T: Object> Shared<T> {
    pub(crate) fn new(object: T) -> Shared<T> {
        Shared { object: Mutex::new(object) }
    }

    /// Looks without changing anything.
    pub(crate) fn peek<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.object.lock())
    }

    /// The object, if nobody waits at it and nothing follows from a change by itself: then sending, receiving, reading and
    /// writing need no more than the lock. They leave it as quiet as it was.
    #[inline(always)]
    pub(crate) fn quiet(&self) -> Option<impl DerefMut<Target = T> + '_> {
        let object = self.object.lock();
        if object.is_quiet() { Some(object) } else { None }
    }

    /// One step: changes the object, finds out whom that concerns, and wakes them after unlocking.
    #[inline(always)]
    pub(crate) fn step<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let (answer, wakes) = self.change(change);
        if let Some(wakes) = wakes {
            wakes.fire();
        }
        answer
    }

    /// A step whose wakes the caller fires, once it has unlocked what it holds itself.
    #[inline(always)]
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> (R, Option<Wakes>) {
        let mut object = self.object.lock();
        let answer = change(&mut object);
        if object.is_quiet() {
            return (answer, None);
        }
        let (wakes, _left) = Wakes::after(&mut *object);
        // What is left over goes after the lock.
        drop(object);
        (answer, wakes)
    }

    /// Closes a handle and everything that waits through it.
    pub(crate) fn close(&self, end: End, handle: Id) {
        let waiting = self.step(|object| object.side(end).close(handle));
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// Whom a step has to wake. Two slots for the daily case, so that it allocates nothing.
#[derive(Default)]
#[must_use = "a wake that is not fired is lost"]
pub(crate) struct Wakes {
    reader: Option<Waker>,
    writer: Option<Waker>,
    all: Vec<Waker>,
}

impl Wakes {
    /// What follows from a change, and whom that concerns: whoever is in front of a line and could go on is woken. No wake-up
    /// is lost because this is looked at after every change, whatever the change was.
    #[inline(never)]
    fn after<T: Object>(object: &mut T) -> (Option<Wakes>, T::Left) {
        let left = object.settle();
        let nobody = object.side(End::Read).is_idle() && object.side(End::Write).is_idle();
        (if nobody { None } else { Some(Wakes::choose(object)) }, left)
    }

    fn choose(object: &mut impl Object) -> Wakes {
        let mut wakes = Wakes::default();
        for (end, one) in [(End::Read, &mut wakes.reader), (End::Write, &mut wakes.writer)] {
            if object.side(end).is_idle() {
                continue;
            }
            if object.is_over(end) {
                wakes.all.extend(object.side(end).choose_all());
            } else {
                let available = object.available(end);
                *one = object.side(end).choose(available);
            }
        }
        wakes
    }

    pub(crate) fn fire(self) {
        self.reader.into_iter().chain(self.writer).chain(self.all).for_each(Waker::wake);
    }
}
