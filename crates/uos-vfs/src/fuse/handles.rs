//! What processes of the host have open.

use crate::{Error, Kind, NodeId, NodeRef, OpenFile, Result};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Something open.
pub(super) enum Open {
    File(Arc<dyn OpenFile>),
    /// A directory, and its entries as they were when it was last listed from its start. So the place of an
    /// entry in it does for the host to go on from, whatever a filesystem's own cursors look like.
    Directory(Mutex<Arc<Vec<Listed>>>),
}

pub(super) struct Listed {
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) ino: u64,
}

#[derive(Default)]
pub(super) struct Handles {
    open: RwLock<HashMap<u64, (Arc<Open>, NodeId), foldhash::fast::RandomState>>,
    next: AtomicU64,
}

impl Handles {
    pub(super) fn add(&self, open: Open, node: NodeId) -> u64 {
        let handle = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        self.open.write().insert(handle, (Arc::new(open), node));
        handle
    }

    pub(super) fn get(&self, handle: u64) -> Result<Arc<Open>> {
        self.open.read().get(&handle).map(|(open, _)| Arc::clone(open)).ok_or(Error::BadDescriptor)
    }

    /// What is open by it.
    pub(super) fn node_of(&self, handle: u64) -> Result<NodeId> {
        self.open.read().get(&handle).map(|(_, node)| *node).ok_or(Error::BadDescriptor)
    }

    pub(super) fn close(&self, handle: u64) {
        // Freed after the lock.
        let closed = self.open.write().remove(&handle);
        drop(closed);
    }

    /// The same; gives the node if that was the last way in which it was open.
    pub(super) fn close_last(&self, handle: u64) -> Option<NodeId> {
        let (closed, node, last) = {
            let mut open = self.open.write();
            let (closed, node) = open.remove(&handle)?;
            let last = open.values().all(|(_, other)| *other != node);
            (closed, node, last)
        };
        drop(closed);
        last.then_some(node)
    }
}

impl std::fmt::Debug for Handles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handles").field("open", &self.open.read().len()).finish()
    }
}

impl Open {
    pub(super) fn file(&self) -> Result<&Arc<dyn OpenFile>> {
        match self {
            Open::File(file) => Ok(file),
            Open::Directory(_) => Err(Error::IsADirectory),
        }
    }

    /// The entries, anew if the listing begins.
    pub(super) fn entries(&self, dir: &NodeRef, begins: bool) -> Result<Arc<Vec<Listed>>> {
        let Open::Directory(listed) = self else { return Err(Error::NotADirectory) };
        if begins {
            let mut entries = Vec::new();
            dir.read_dir(0, &mut |entry| {
                let name = entry.name.as_bytes().to_vec();
                entries.push(Listed { name, kind: entry.kind, ino: entry.ino });
                true
            })?;
            *listed.lock() = Arc::new(entries);
        }
        Ok(Arc::clone(&listed.lock()))
    }
}
