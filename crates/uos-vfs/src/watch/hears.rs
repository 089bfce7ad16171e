//! Those who hear of every change, wherever it is, to forget what they know of it.

use super::Told;
use crate::{Name, NodeId};
use parking_lot::RwLock;
use std::sync::Weak;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Hears of changes, on the thread that has made them, after the fact and under none of our locks. Another one may be told
/// before, so what it hears is that something is not as it was, not what it is.
pub(crate) trait Hears: Send + Sync {
    /// A name in a directory leads to something else or nothing.
    fn entry(&self, dir: NodeId, name: Name<'_>);

    /// Attributes of a node are others, and its content if so said.
    fn node(&self, node: NodeId, content: bool);
}

#[derive(Default)]
pub(super) struct Hearing {
    /// Looked at after every change.
    count: AtomicUsize,
    all: RwLock<Vec<Weak<dyn Hears>>>,
}

impl Hearing {
    #[cfg(all(feature = "fuse", target_os = "linux"))]
    pub(super) fn add(&self, who: &std::sync::Arc<dyn Hears>) {
        let mut all = self.all.write();
        all.retain(|other| other.strong_count() > 0);
        all.push(std::sync::Arc::downgrade(who));
        self.count.store(all.len(), Ordering::SeqCst);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::SeqCst) == 0
    }

    pub(super) fn told(&self, told: &Told<'_>) {
        self.each(|who| match told {
            Told::Made { dir, name, node, .. } => {
                who.entry(*dir, *name);
                who.node(*dir, false);
                // It may have had names before.
                who.node(*node, false);
            }
            Told::Gone { dir, name } => {
                who.entry(*dir, *name);
                who.node(*dir, false);
            }
            Told::Moved { from, to, .. } => {
                for (dir, name) in [from, to] {
                    who.entry(*dir, *name);
                    who.node(*dir, false);
                }
            }
        });
    }

    pub(super) fn node(&self, node: NodeId, content: bool) {
        self.each(|who| who.node(node, content));
    }

    fn each(&self, tell: impl Fn(&dyn Hears)) {
        if self.is_empty() {
            return;
        }
        let all: Vec<_> = self.all.read().iter().filter_map(Weak::upgrade).collect();
        all.iter().for_each(|who| tell(&**who));
    }
}
