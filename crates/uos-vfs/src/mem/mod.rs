//! A filesystem in memory. [`Inode`](inode::Inode) is both the node and the opened file, so neither
//! looking up nor opening allocates.
//!
//! Locks: every inode has one, taken from the root towards the leaves. Two directories are only held
//! together by a rename between them, under a mutex of the whole filesystem, the upper one first; of
//! the other nodes at most one is held, and last. So no two threads can wait for each other.

mod content;
mod directory;
mod file;
mod inode;
mod names;
mod node;
mod rename;
mod space;

use crate::resolve::{NoMounts, resolve};
use crate::{Clock, How, Kind, NodeRef, Owner, Place, SystemClock, Tree, Unresolved};
use inode::{Body, Inode};
use space::Space;
use std::sync::Arc;

/// A filesystem in memory with POSIX semantics and a capacity in bytes and in nodes.
///
/// What counts against the bytes is the content of files and the targets of links; holes are free.
/// What counts against the nodes is every node, and every name beyond a node's first. Content and
/// number of a file without names are given back when the last reference to it goes.
///
/// Reading does not touch the time of last access.
pub struct MemFs {
    root: Arc<Inode>,
}

impl MemFs {
    /// A filesystem without limits on the clock of the machine, unless told otherwise.
    pub fn builder() -> MemFsBuilder {
        MemFsBuilder { capacity_bytes: u64::MAX, capacity_nodes: u64::MAX, clock: Box::new(SystemClock) }
    }

    /// The root directory.
    pub fn root(&self) -> NodeRef {
        self.root.clone()
    }

    /// Bytes in use.
    pub fn used_bytes(&self) -> u64 {
        self.root.space.bytes.used()
    }

    /// Nodes in use, the root included.
    pub fn used_nodes(&self) -> u64 {
        self.root.space.nodes.used()
    }
}

impl Tree for MemFs {
    fn resolve(&self, path: &[u8], how: &How<'_>) -> Result<Place, Unresolved> {
        let root: NodeRef = self.root.clone();
        resolve(&root, &NoMounts, path, how)
    }
}

/// Settings of a [`MemFs`] to be.
#[must_use]
pub struct MemFsBuilder {
    capacity_bytes: u64,
    capacity_nodes: u64,
    clock: Box<dyn Clock>,
}

impl MemFsBuilder {
    /// How many bytes it may hold.
    pub fn capacity_bytes(mut self, bytes: u64) -> Self {
        self.capacity_bytes = bytes;
        self
    }

    /// How many nodes it may hold. The root is always there, even if none are allowed.
    pub fn capacity_nodes(mut self, nodes: u64) -> Self {
        self.capacity_nodes = nodes;
        self
    }

    /// Where it takes the time from.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// The filesystem, holding an empty root directory of mode 755 that belongs to user 0.
    pub fn build(self) -> MemFs {
        let space = Arc::new(Space::new(self.capacity_bytes, self.capacity_nodes, self.clock));
        let owner = Owner { mode: 0o755, uid: 0, gid: 0, kind: Kind::Directory };
        MemFs { root: Inode::new(&space, owner, Body::empty_directory()) }
    }
}
