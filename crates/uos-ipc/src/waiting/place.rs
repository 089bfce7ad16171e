//! A place in one side's queue: what every waiting future holds, and all it holds.

use super::{End, Id, Object, Shared};
use crate::sync::Arc;
use std::task::{Context, Poll};

/// Taken at the first poll that has to wait, and left by being dropped.
///
/// It belongs to the handle it was made from without keeping that handle open: once the handle is closed
/// it is out of the queue and answers [`Object::closed`]. If it had been woken already when it is dropped, the next
/// in line is woken instead.
pub(crate) struct Place<T: Object> {
    shared: Arc<Shared<T>>,
    end: End,
    handle: Id,
    need: usize,
    waiter: Option<Id>,
}

impl<T: Object> Place<T> {
    /// `need` is how much there must be before it pays to go on; at 0 it never waits.
    pub(crate) fn new(shared: &Arc<Shared<T>>, end: End, handle: Id, need: usize) -> Place<T> {
        Place { shared: shared.clone(), end, handle, need, waiter: None }
    }

    /// Does `act` if it may go on now, and otherwise waits where it was or at the end.
    pub(crate) fn poll<R>(
        &mut self,
        cx: &mut Context<'_>,
        act: impl FnOnce(&mut T) -> Result<R, T::Error>,
    ) -> Poll<Result<R, T::Error>> {
        // Cloned before and dropped after the lock: both run the caller's code.
        let waker = cx.waker().clone();
        let Place { ref shared, end, handle, need, ref mut waiter } = *self;
        let (answer, _dropped_after_the_lock) = shared.step(|object| {
            if !object.side(end).is_open(handle) {
                return (Poll::Ready(Err(object.closed())), [Some(waker), None]);
            }
            let goes = need == 0
                || object.is_over(end)
                || (object.side(end).is_turn(*waiter) && object.available(end) >= need);
            if goes {
                let answer = act(object);
                let parked = object.side(end).leave(waiter.take());
                return (Poll::Ready(answer), [Some(waker), parked]);
            }
            let (id, replaced) = object.side(end).wait(*waiter, handle, need, waker);
            *waiter = Some(id);
            (Poll::Pending, [None, replaced])
        });
        answer
    }
}

impl<T: Object> Drop for Place<T> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            let end = self.end;
            let _dropped_after_the_lock = self.shared.step(|object| object.side(end).leave(Some(waiter)));
        }
    }
}
