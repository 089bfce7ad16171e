//! What all inodes of one filesystem share: its number, its clock and what it may still hold.

use crate::{Clock, Error, FsId, NodeId, Result, StatFs};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) struct Space {
    pub(super) fs: FsId,
    pub(super) clock: Box<dyn Clock>,
    pub(super) bytes: Quota,
    pub(super) nodes: Quota,
    /// Held while an entry moves from one directory to another: only then do directories change
    /// their parents, so whoever holds it may compare places in the tree.
    pub(super) moving: Mutex<()>,
    next_ino: AtomicU64,
}

impl Space {
    /// The root directory, made next, is counted already.
    pub(super) fn new(capacity_bytes: u64, capacity_nodes: u64, clock: Box<dyn Clock>) -> Self {
        Space {
            fs: FsId::new(),
            clock,
            bytes: Quota::new(capacity_bytes, 0),
            nodes: Quota::new(capacity_nodes, 1),
            moving: Mutex::new(()),
            next_ino: AtomicU64::new(1),
        }
    }

    pub(super) fn next_id(&self) -> NodeId {
        NodeId { fs: self.fs, ino: self.next_ino.fetch_add(1, Ordering::Relaxed), generation: 0 }
    }

    pub(super) fn stat(&self) -> StatFs {
        let free = |quota: &Quota| quota.capacity.saturating_sub(quota.used());
        StatFs {
            fs: self.fs,
            block_size: 4096,
            bytes_total: self.bytes.capacity,
            bytes_free: free(&self.bytes),
            bytes_available: free(&self.bytes),
            nodes_total: self.nodes.capacity,
            nodes_free: free(&self.nodes),
            name_max: 255,
            read_only: false,
        }
    }
}

/// A number that may grow up to a capacity. Growth is asked for before anything is done with it.
pub(super) struct Quota {
    capacity: u64,
    used: AtomicU64,
}

impl Quota {
    fn new(capacity: u64, used: u64) -> Self {
        Quota { capacity, used: AtomicU64::new(used) }
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn take(&self, asked: u64) -> Result<()> {
        // The counter guards no other memory, so its own order is all that matters.
        let grown = |used: u64| used.checked_add(asked).filter(|&sum| asked == 0 || sum <= self.capacity);
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown) {
            Ok(_) => Ok(()),
            Err(used) => Err(Error::NoSpace { capacity: self.capacity, used, asked }),
        }
    }

    pub(super) fn give_back(&self, amount: u64) {
        let before = self.used.fetch_sub(amount, Ordering::Relaxed);
        debug_assert!(before >= amount, "{amount} given back of {before}");
    }

    /// Changes what was taken for one purpose from `old` to `new`.
    pub(super) fn change(&self, old: u64, new: u64) -> Result<()> {
        if new > old {
            self.take(new - old)
        } else {
            self.give_back(old - new);
            Ok(())
        }
    }
}
