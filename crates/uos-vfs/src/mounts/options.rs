//! In which way something is mounted.

use crate::through::{Claims, Quota, Via};
use crate::watch::Watches;
use crate::{Error, Kind, Limit, NodeRef, Result};
use std::sync::Arc;

/// How to mount.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct MountOptions {
    read_only: bool,
    quota: Option<Limit>,
    watches: Option<Watches>,
}

impl MountOptions {
    /// Every change is refused as [`Error::ReadOnly`], whoever asks.
    pub fn read_only(self) -> Self {
        MountOptions { read_only: true, ..self }
    }

    /// No owner may hold more than this, user 0 as little as others; what goes beyond it is refused as
    /// [`Error::QuotaExceeded`] and has changed nothing. What is there already is counted first, by going through all of it.
    ///
    /// Bytes are the lengths of files and of the targets of links: holes count as if they were filled, so that no write into
    /// one is refused later. To limit instead what takes memory, by who made it, see [`Account`](crate::Account).
    ///
    /// The figures are exact as long as the filesystem is changed through this mount alone, or mounts that are
    /// [bound](crate::Mounts::bind) to it. What is given up comes back when the last one who uses it lets go.
    pub fn quota(self, limit: Limit) -> Self {
        MountOptions { quota: Some(limit), ..self }
    }

    /// Changes made through the mount are told to those who watch.
    pub fn watches(self, watches: &Watches) -> Self {
        MountOptions { watches: Some(watches.clone()), ..self }
    }

    pub(super) fn mounted(self, root: NodeRef) -> Result<(Arc<Via>, NodeRef)> {
        if root.kind() != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        let quota = self.quota.map(|limit| Quota::count(&root, limit)).transpose()?;
        let via = Via::new(Claims::new(self.read_only), quota, self.watches);
        let root = via.show(root);
        Ok((via, root))
    }
}
