//! Nodes as they are seen through something that stands before a filesystem: a mount, which may be read-only
//! and keep accounts, or watches, which tell what changes. What is seen has the [`NodeId`](crate::NodeId) of
//! what is beneath; whatever is reached from it is seen through the same.

mod claims;
mod file;
mod ledger;
mod node;
mod tally;

pub(crate) use claims::Claims;
pub(crate) use tally::Quota;

use crate::watch::Watches;
use crate::{Kind, NodeRef};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tally::Tally;

/// Names one thing that nodes are seen through, among all that this process ever makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MountId(NonZeroU64);

impl MountId {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Counting up from one at any rate cannot wrap within the life of a process.
        MountId(NonZeroU64::new(NEXT.fetch_add(1, Ordering::Relaxed)).unwrap_or(NonZeroU64::MIN))
    }
}

/// What nodes are seen through.
pub(crate) struct Via {
    pub(crate) id: MountId,
    pub(crate) claims: Claims,
    pub(crate) quota: Option<Arc<Quota>>,
    pub(crate) watches: Option<Watches>,
}

impl Via {
    pub(crate) fn new(claims: Claims, quota: Option<Arc<Quota>>, watches: Option<Watches>) -> Arc<Self> {
        Arc::new(Via { id: MountId::new(), claims, quota, watches })
    }

    /// A node as it is seen through this.
    pub(crate) fn show(self: &Arc<Self>, node: NodeRef) -> NodeRef {
        Arc::new(self.seen(node))
    }

    fn seen(self: &Arc<Self>, inner: NodeRef) -> Through {
        let tally = self.quota.as_ref().map(|quota| quota.tally(inner.id()));
        Through { tally, kind: inner.kind(), inner, via: Arc::clone(self) }
    }
}

/// A node as it is seen through something.
struct Through {
    // Before the node: when this goes, so does what is charged for it.
    tally: Option<Arc<Tally>>,
    kind: Kind,
    inner: NodeRef,
    via: Arc<Via>,
}

#[cfg(test)]
mod tests {
    use super::{Claims, Quota, Via};
    use crate::conformance::check;
    use crate::watch::Watches;
    use crate::{Limit, LocalFs, MemFs, NodeRef};

    /// With all there is, so that nothing of it shows as long as nobody runs into it.
    fn through(root: &NodeRef) -> NodeRef {
        let quota = Quota::count(root, Limit::NONE).unwrap();
        Via::new(Claims::new(false), Some(quota), Some(Watches::new())).show(NodeRef::clone(root))
    }

    #[test]
    fn what_is_seen_through_a_mount_meets_the_suite() {
        check(&[], || {
            let fs = MemFs::builder().build();
            (through(&fs.root()), fs)
        });
    }

    #[test]
    fn the_host_seen_through_a_mount_meets_the_suite() {
        use crate::conformance::Ability;
        check(&[Ability::SetIds, Ability::Devices], || {
            let dir = tempfile::tempdir().unwrap();
            (through(&LocalFs::open(dir.path(), false).unwrap().root()), dir)
        });
    }
}
