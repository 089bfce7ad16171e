//! A filesystem in memory. [`Inode`](inode::Inode) is both the node and, for most, the opened file, so
//! neither looking up nor opening allocates.
//!
//! Locks: every inode has one, taken from the root towards the leaves. Two directories are only held
//! together by a rename between them, under a mutex of the whole filesystem: the upper one first, or of
//! two that lie apart the one with the lower number. Below the directories an operation holds what it
//! changes of their entries: directories before others, then by number. So no two threads can wait for
//! each other. An operation asks for the epoch when it holds all its locks; see [`epochs`].

mod content;
mod directory;
mod epochs;
mod file;
mod inode;
mod names;
mod node;
mod past;
mod rename;
mod snapshot;
mod space;
mod stored_name;
mod xattrs;

pub use snapshot::Snapshot;

use crate::resolve::{NoMounts, resolve};
use crate::{Clock, How, Kind, NodeRef, Owner, Place, SystemClock, Tree, Unresolved};
use directory::Directory;
use inode::{Body, Born, Inode};
use space::{Lane, Space};
use std::sync::{Arc, Weak};

/// A filesystem in memory with POSIX semantics and a capacity in bytes and in nodes.
///
/// What counts against the bytes is the content of files, the targets of links and extended attributes;
/// holes are free. What counts against the nodes is every node, and every name beyond a node's first.
/// Content and number of a file without names are given back when the last reference to it goes; what a
/// [`Snapshot`] still shows counts until that goes, and what it shares with the present counts once.
///
/// Reading does not touch the time of last access. Numbers of nodes are never used again.
///
/// ```
/// use uos_vfs::{FileSystem, MemFs};
///
/// let fs = MemFs::builder().capacity_bytes(1 << 20).build();
/// fs.write("/plan", "first")?;
/// let before = fs.snapshot();
/// fs.write("/plan", "second thoughts")?;
/// fs.rename("/plan", "/plans")?;
/// assert_eq!(before.read("/plan")?, b"first");
/// assert_eq!(fs.used_bytes(), 5 + 15);
/// # Ok::<(), uos_vfs::Error>(())
/// ```
pub struct MemFs {
    root: Arc<Inode>,
    /// The same, as it is asked for again and again.
    node: NodeRef,
}

impl MemFs {
    /// A filesystem without limits on the clock of the machine, unless told otherwise.
    pub fn builder() -> MemFsBuilder {
        MemFsBuilder {
            capacity_bytes: u64::MAX,
            capacity_nodes: u64::MAX,
            link_max: u32::MAX,
            clock: Box::new(SystemClock),
        }
    }

    /// The root directory.
    pub fn root(&self) -> NodeRef {
        NodeRef::clone(&self.node)
    }

    /// All of it as it is now, for good. Takes no longer for a large filesystem than for an empty one, and
    /// holds nobody up; what changes afterwards keeps its past, node by node and chunk by chunk.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::take(&self.root)
    }

    /// Bytes in use.
    pub fn used_bytes(&self) -> u64 {
        self.root.lane.space.used_bytes()
    }

    /// Nodes in use, the root included.
    pub fn used_nodes(&self) -> u64 {
        self.root.lane.space.used_nodes()
    }
}

impl Tree for MemFs {
    fn resolve(&self, path: &[u8], how: &How<'_>) -> Result<Place, Unresolved> {
        resolve(&self.node, &NoMounts, path, how)
    }
}

/// Settings of a [`MemFs`] to be.
#[must_use]
pub struct MemFsBuilder {
    capacity_bytes: u64,
    capacity_nodes: u64,
    link_max: u32,
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

    /// How many names a node may have; a directory has one in each of its subdirectories.
    pub fn link_max(mut self, links: u32) -> Self {
        self.link_max = links;
        self
    }

    /// Where it takes the time from.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// The filesystem, holding an empty root directory of mode 755 that belongs to user 0.
    pub fn build(self) -> MemFs {
        let space = Space::new(self.capacity_bytes, self.capacity_nodes, self.link_max, self.clock);
        let space = Arc::new(space);
        let owner = Owner { mode: 0o755, uid: 0, gid: 0, kind: Kind::Directory };
        let born = Born { at: space.clock.now(), epoch: space.epochs.now() };
        let lane = Lane::new(&space);
        let body = Body::Directory(Box::new(Directory::new(Lane::new(&space))));
        let root = Inode::new(&lane, owner, body, Weak::new(), born);
        MemFs { node: Arc::clone(&root) as NodeRef, root }
    }
}
