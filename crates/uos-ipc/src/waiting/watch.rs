//! Waiting for the end of one side: beside the line, not in it.

use super::{End, Id, Object, Shared};
use crate::sync::Arc;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Ready once no waiting at this end will ever bring anything new, or its handle is closed. It holds up nobody.
#[must_use = "a future does nothing until it is polled"]
pub(crate) struct Watch<T: Object> {
    shared: Arc<Shared<T>>,
    end: End,
    handle: Id,
    watcher: Option<Id>,
}

impl<T: Object> Watch<T> {
    pub(crate) fn new(shared: &Arc<Shared<T>>, end: End, handle: Id) -> Watch<T> {
        Watch { shared: shared.clone(), end, handle, watcher: None }
    }
}

// Nothing in it is ever pinned.
impl<T: Object> Unpin for Watch<T> {}

impl<T: Object> Future for Watch<T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let Watch { shared, end, handle, watcher } = self.get_mut();
        let (answer, _dropped_after_the_lock) = shared.step(|object| {
            if !object.side(*end).is_open(*handle) || object.is_over(*end) {
                return (
                    Poll::Ready(()),
                    object.side(*end).unwatch(watcher.take()).into_iter().chain([waker]).collect(),
                );
            }
            let (id, replaced) = object.side(*end).watch(*watcher, *handle, waker);
            *watcher = Some(id);
            (Poll::Pending, replaced.into_iter().collect::<Vec<_>>())
        });
        answer
    }
}

impl<T: Object> Drop for Watch<T> {
    fn drop(&mut self) {
        if let Some(watcher) = self.watcher.take() {
            let end = self.end;
            let _dropped_after_the_lock = self.shared.step(|object| object.side(end).unwatch(Some(watcher)));
        }
    }
}
