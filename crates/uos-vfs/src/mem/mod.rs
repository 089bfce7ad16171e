//! A filesystem in memory. [`Inode`](inode::Inode) is both the node and, for most, the opened file, so
//! neither looking up nor opening allocates.
//!
//! Locks: every inode has one, taken from the root towards the leaves. Two directories are only held
//! together by a rename between them, under a mutex of the whole filesystem: the upper one first, or of
//! two that lie apart the one with the lower number. Below the directories an operation holds what it
//! changes of their entries: directories before others, then by number. So no two threads can wait for
//! each other. An operation asks for the epoch when it holds all its locks; see [`epochs`].

mod content;
mod diff;
mod directory;
mod epochs;
mod export;
mod file;
mod fork;
mod import;
mod inode;
mod names;
mod node;
mod past;
mod quick;
mod recent;
mod rename;
mod saved;
mod snapshot;
mod space;
mod stored_name;
mod xattrs;

pub use diff::{Change, What};
pub use snapshot::Snapshot;

use crate::path::PATH_MAX;
use crate::resolve::{NoMounts, resolve};
use crate::{
    Access, Attr, Clock, Error, How, Kind, NodeRef, OpenFile, Owner, Place, Result, SystemClock, Tree,
    Unresolved,
};
use directory::Directory;
use inode::{Body, Born, Home, Inode};
use names::New;
use space::{Hold, Lane, Space};
use std::sync::Arc;

/// A filesystem in memory with POSIX semantics and a capacity in bytes and in nodes.
///
/// What counts against the bytes is the content of files, the targets of links and extended attributes;
/// holes are free, but of each 16 KiB of a file beyond the first that are not all hole, 1 KiB counts at least for what finds
/// them. What counts against the nodes is every node, and every name beyond a node's first.
/// Content and number of a file without names are given back when the last reference to it goes; what a
/// [`Snapshot`] still shows counts until that goes, and what it shares with the present counts once. Whoever made a node
/// pays for it, if it was made on an [`Account`](crate::Account); what is imported is on nobody's.
///
/// Reading does not touch the time of last access. The time of a change may be that of the clock's last tick
/// ([`Clock::about_now`]), as on Linux, and so some milliseconds before what the host's clock says to others at that moment. Who has
/// looked at a file or a directory sees another time after every change that begins later, also where something else has come
/// to the same path; a snapshot looks at everything. Changes in one tick, of one node or of two, have the same time only if nobody
/// has looked at the first before the second began, or while it was under way, or if somebody has put the clock back.
/// Numbers of nodes are never used again.
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
            clock: Arc::new(SystemClock),
        }
    }

    /// The filesystem that a node is the root directory of, through whatever it is seen; none if it is of another kind, or no
    /// root.
    pub fn with_root(root: &NodeRef) -> Option<MemFs> {
        let inode = NodeRef::clone(root).into_any().downcast::<Inode>().ok()?;
        inode.is_root().then(|| MemFs::new(inode))
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

    /// A filesystem of its own that begins as this one is now: what either changes the other never sees.
    /// It takes no longer for a large filesystem than for an empty one; directories are taken over when
    /// somebody first looks into them. The two draw on one capacity, and what they share counts once.
    pub fn fork(&self) -> MemFs {
        self.snapshot().fork()
    }

    /// Puts everything back to what a snapshot shows, in one step for everyone who looks. What is open
    /// meanwhile stays open as it is, without a name, and everything below the root has another number
    /// than before. It takes as long as the root directory has entries, and below those nothing until
    /// somebody looks.
    ///
    /// # Errors
    /// [`Error::CrossDevice`](crate::Error::CrossDevice) unless the snapshot is of this filesystem or one
    /// that it shares its capacity with by forking.
    pub fn restore(&self, snapshot: &Snapshot) -> Result<()> {
        fork::restore(&self.root, snapshot)
    }

    /// Bytes in use, by all that share the capacity.
    pub fn used_bytes(&self) -> u64 {
        self.root.lane.space.hold.used_bytes()
    }

    /// Nodes in use, the root included, by all that share the capacity.
    pub fn used_nodes(&self) -> u64 {
        self.root.lane.space.hold.used_nodes()
    }

    /// The filesystem below a directory.
    fn new(root: Arc<Inode>) -> MemFs {
        MemFs { node: Arc::clone(&root) as NodeRef, root }
    }
}

impl Tree for MemFs {
    fn resolve(&self, path: &[u8], how: &How<'_>) -> std::result::Result<Place, Unresolved> {
        resolve(&self.node, &NoMounts, path, how)
    }

    fn find(&self, path: &[u8], how: &How<'_>) -> Result<NodeRef> {
        let found =
            if path.len() > 1 && path.ends_with(b"/") && path.starts_with(b"/") && path.len() < PATH_MAX {
                quick::directory(&self.root, path, how).map(|inode| inode as NodeRef)
            } else {
                quick::reach(&self.root, path, how, |inode| Arc::clone(inode) as NodeRef)
            };
        match found {
            Some(node) => Ok(node),
            None => {
                self.resolve(path, how).map_err(|unresolved| unresolved.error)?.node.ok_or(Error::NotFound)
            }
        }
    }

    fn create_at_once(
        &self,
        path: &[u8],
        how: &How<'_>,
        mode: u32,
        _access: Access,
    ) -> Option<Result<(NodeRef, Arc<dyn OpenFile>)>> {
        let (dir, name) = quick::entrance(&self.root, path, how)?;
        // What is in the way is told by those who go it step by step.
        let node = dir.make(how.by, name, &New::File, mode).ok()?;
        Some(Ok((Arc::clone(&node) as NodeRef, node)))
    }

    fn look(&self, path: &[u8], how: &How<'_>) -> Result<Attr> {
        // Put where it is handed on from: copying it twice took a third of the whole.
        let mut found = Err(Error::NotFound);
        match quick::reach(&self.root, path, how, |inode| found = Ok(inode.attributes())) {
            Some(()) => found,
            None => self.find(path, how)?.attr(),
        }
    }
}

/// Settings of a [`MemFs`] to be.
#[must_use]
pub struct MemFsBuilder {
    capacity_bytes: u64,
    capacity_nodes: u64,
    link_max: u32,
    clock: Arc<dyn Clock>,
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
        self.clock = Arc::new(clock);
        self
    }

    /// The filesystem, holding an empty root directory of mode 755 that belongs to user 0.
    pub fn build(self) -> MemFs {
        let hold = Arc::new(Hold::new(self.capacity_bytes, self.capacity_nodes));
        let space = Arc::new(Space::new(hold, self.link_max, self.clock));
        let owner = Owner { mode: 0o755, uid: 0, gid: 0, kind: Kind::Directory };
        let born = Born { at: space.clock.now(), epoch: space.epochs.now() };
        let lane = Lane::new(&space);
        let body = Body::Directory(Box::new(Directory::new(Lane::new(&space))));
        MemFs::new(Inode::new(&lane, None, owner, body, Home::default(), born))
    }
}
