//! A watch, as one process holds it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use uos_ipc::Rights;

use super::object::Held;
use crate::watches::{Seen, Watch};

/// What one process holds of a watch. All who hold it take from the same changes.
pub(crate) struct WatchHandle(Listening);

/// Somebody who listens by one handle. It doesn't keep the handle open: when that closes, the listening ends.
#[derive(Clone)]
pub(crate) struct Listening {
    watch: Arc<Watch>,
    closed: Arc<AtomicBool>,
}

impl WatchHandle {
    pub(crate) fn new(watch: Arc<Watch>) -> Self {
        Self(Listening { watch, closed: Arc::default() })
    }

    pub(crate) fn listen(&self) -> Listening {
        self.0.clone()
    }
}

impl Listening {
    /// What has come, and whether something was lost before it; `None` once the handle is closed. Given up, it has taken
    /// nothing.
    pub(crate) async fn next(&self, most: usize) -> Option<(Vec<Seen>, bool)> {
        self.until(|watch| watch.take(most)).await
    }

    /// Until something has come, or the handle is closed.
    pub(crate) async fn ready(self) {
        self.until(|watch| watch.has_some().then_some(())).await;
    }

    async fn until<T>(&self, look: impl Fn(&Watch) -> Option<T>) -> Option<T> {
        loop {
            let changed = self.watch.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.closed.load(Ordering::Acquire) {
                return None;
            }
            if let Some(found) = look(&self.watch) {
                return Some(found);
            }
            changed.await;
        }
    }
}

impl Drop for WatchHandle {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Release);
        self.0.watch.changed.notify_waiters();
    }
}

impl Held for WatchHandle {
    fn share(&self, _rights: Rights) -> Self {
        Self::new(Arc::clone(&self.0.watch))
    }
}
