//! One who watches.

use super::hub::{self, Hub};
use super::{Event, Next, Queue};
use crate::{NodeId, NodeRef, Result};
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Hears of changes in the directories that it watches. Dropping it ends that.
///
/// Waiting costs no thread and takes no runtime. Only one may wait at a time: of several it is the last that is woken.
pub struct Watcher {
    hub: Arc<Hub>,
    id: u64,
    queue: Arc<Queue<Event>>,
}

impl Watcher {
    pub(super) fn new(hub: &Arc<Hub>, capacity: usize) -> Self {
        Watcher { id: hub.new_watcher(), hub: Arc::clone(hub), queue: Arc::new(Queue::new(capacity)) }
    }

    /// Watches a directory, and gives what it is called in events. To watch one that is watched already does nothing.
    ///
    /// # Errors
    /// [`Error::NotADirectory`](crate::Error::NotADirectory), and what listing it gives.
    pub fn watch(&self, dir: &NodeRef) -> Result<NodeId> {
        hub::check(dir)?;
        self.hub.watch(self.id, &self.queue, dir)?;
        Ok(dir.id())
    }

    /// Watches a directory no more. What has been told of it until now may still be heard.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if it doesn't.
    pub fn unwatch(&self, dir: NodeId) -> Result<()> {
        self.hub.unwatch(self.id, dir)
    }

    /// What there is to be heard, without waiting.
    pub fn take(&self) -> Option<Next> {
        self.queue.take()
    }

    /// What there is to be heard, or the task is woken when there is something.
    pub fn poll_next(&self, cx: &Context<'_>) -> Poll<Next> {
        self.queue.poll(cx)
    }

    /// Waits for what there is to be heard. Given up, it has taken nothing.
    pub async fn next(&self) -> Next {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.hub.unwatch_all(self.id);
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("id", &self.id).finish_non_exhaustive()
    }
}
