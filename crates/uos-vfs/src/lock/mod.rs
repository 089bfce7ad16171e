//! Advisory locks: who may be at which bytes of a file, among those who ask.
//!
//! ```
//! use uos_vfs::lock::{LockKind, LockOwner, LockRange, Locks};
//! use uos_vfs::{Descriptor, Error, FileSystem, MemFs, OpenOptions};
//!
//! let (fs, locks) = (MemFs::builder().build(), Locks::new());
//! let file = fs.open("/log", &OpenOptions::read_write().create(0o644))?;
//! let file = Descriptor::with_locks(file, &locks);
//! let [one, other] = [1, 2].map(LockOwner::Given);
//! let head = LockRange::new(0, 512)?;
//! file.try_lock(one, head, LockKind::Exclusive)?;
//! assert_eq!(file.try_lock(other, head, LockKind::Shared), Err(Error::WouldBlock));
//! file.unlock(one, head)?;
//! file.try_lock(other, head, LockKind::Shared)?;
//! # Ok::<(), Error>(())
//! ```
//!
//! **Ranges** are as of fcntl(2): an owner has at most one kind of lock at each byte, and a new one replaces what it had
//! there, so locks split, merge, are upgraded and downgraded. [`LockOwner::Given`] is a process, or whatever else closes
//! files: it lets go of all locks on a file when it closes any descriptor of that, which whoever keeps its descriptors
//! says by [`Locks::release`]; [`Descriptors`](crate::Descriptors) does. [`LockOwner::OpenFile`] is an open file itself,
//! and lets go with its last duplicate.
//!
//! **Whole files** are locked as of flock(2), by open files alone; the two kinds know nothing of each other.
//!
//! **Waiting** is a future: it costs no thread and takes no runtime, and given up it has taken nothing. Who came first is
//! woken first, but whoever asks at the right moment may overtake: many who share can keep out one who wants it alone.
//! A given owner that would wait for itself, by way of whichever others, is told [`Error::Deadlock`](crate::Error::Deadlock). Open files are
//! not: who waits by one duplicate may unlock by another.
//!
//! **Advisory**: reading and writing asks nobody. Locks are on nodes, so that all names and mounts of a file have the
//! same ones; a file of the host is not locked there, and what others lock there is not seen. At a mount point the host's
//! processes take part if its options say so.

mod ranges;
mod registry;
mod turns;
mod wait;

pub use wait::LockWait;

pub(crate) use registry::Space;

use crate::sync::Mutex;
use crate::{NodeId, NodeRef, Result};
use registry::{After, Registry};
use rustix::io::Errno;
use std::fmt;
use std::sync::Arc;

/// Behind every byte there can be.
const END: u64 = 1 << 63;
/// So many pieces one owner may have locked of one file if nothing else is said.
const MOST: usize = 16_384;

/// Where locks are kept. Clones are the same one, and only locks of one know of each other.
#[derive(Clone)]
pub struct Locks(Arc<Mutex<Registry>>);

/// Who holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockOwner {
    /// Whoever the caller says: a process.
    Given(u64),
    /// An open file with all its duplicates.
    OpenFile(OpenFileId),
    /// A process of the host that locks through a mount point (feature `fuse`), by the numbers of both.
    Host {
        /// Which of the mount points that this process has had.
        mount: u64,
        /// By what the host tells its processes apart.
        owner: u64,
    },
}

/// Names one open file among all that this process ever opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpenFileId(pub(crate) u64);

/// How much a lock keeps others out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockKind {
    /// Others may share it; nobody has it alone.
    Shared,
    /// Nobody else has it.
    Exclusive,
}

/// The bytes of a file that a lock is on; they need not be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LockRange {
    start: u64,
    /// Behind the last one.
    end: u64,
}

/// A lock that somebody holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldLock {
    /// Who.
    pub owner: LockOwner,
    /// Where.
    pub range: LockRange,
    /// How.
    pub kind: LockKind,
}

impl LockRange {
    /// All of a file, however far it grows.
    pub const ALL: LockRange = LockRange { start: 0, end: END };

    /// So many bytes from one on; with 0 all from there on, however far the file grows.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a start that no file has, EOVERFLOW for an end that none has.
    pub fn new(start: u64, len: u64) -> Result<Self> {
        if start >= END {
            return Err(crate::Error::InvalidArgument("a position no file has"));
        }
        let end = if len == 0 { Some(END) } else { start.checked_add(len).filter(|&end| end <= END) };
        Ok(LockRange { start, end: end.ok_or(Errno::OVERFLOW)? })
    }

    /// The first byte.
    pub fn start(self) -> u64 {
        self.start
    }

    /// How many; 0 for all that come.
    pub fn len(self) -> u64 {
        if self.end == END { 0 } else { self.end - self.start }
    }

    /// False: a range without bytes can't be made.
    pub fn is_empty(self) -> bool {
        false
    }

    fn overlaps(self, other: LockRange) -> bool {
        self.start < other.end && other.start < self.end
    }
}

impl LockKind {
    /// True if two owners may hold these at one byte.
    fn goes_along_with(self, other: LockKind) -> bool {
        self == LockKind::Shared && other == LockKind::Shared
    }
}

impl Default for Locks {
    fn default() -> Self {
        Self::with_limit(MOST)
    }
}

impl Locks {
    /// Nothing is locked yet. An owner may have locked 16,384 pieces of a file.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with another limit on how many pieces of one file an owner may have locked; at least one. Who would have
    /// more is told [`Error::TooManyLocks`](crate::Error::TooManyLocks).
    pub fn with_limit(most: usize) -> Self {
        Locks(Arc::new(Mutex::new(Registry::new(most.max(1)))))
    }

    /// Lets go of all ranges that an owner has locked of a file: it has closed a descriptor of it.
    pub fn release(&self, owner: LockOwner, node: NodeId) {
        self.step(|registry, after| registry.release((node, Space::Ranges), owner, after));
    }

    /// Lets go of all that an owner has locked. What it still waits for ends with
    /// [`Error::BadDescriptor`](crate::Error::BadDescriptor).
    pub fn release_all(&self, owner: LockOwner) {
        self.step(|registry, after| registry.end(owner, after));
    }

    /// Lets go of all ranges that some owners have locked of a file.
    #[cfg(all(feature = "fuse", target_os = "linux"))]
    pub(crate) fn release_some(&self, node: NodeId, which: impl Fn(LockOwner) -> bool) {
        let key = (node, Space::Ranges);
        self.step(|registry, after| {
            for held in registry.held(key).into_iter().filter(|held| which(held.owner)) {
                registry.release(key, held.owner, after);
            }
        });
    }

    /// Lets go of all that some owners have locked; they are no more.
    #[cfg(all(feature = "fuse", target_os = "linux"))]
    pub(crate) fn release_all_of(&self, which: impl Fn(LockOwner) -> bool) {
        self.step(|registry, after| {
            let owners: Vec<_> = registry.owners.keys().copied().filter(|owner| which(*owner)).collect();
            owners.into_iter().for_each(|owner| registry.end(owner, after));
        });
    }

    /// The ranges of a file that are locked, by owner and place.
    pub fn held(&self, node: NodeId) -> Vec<HeldLock> {
        self.0.lock().held((node, Space::Ranges))
    }

    /// The locks on a file as a whole, by owner.
    pub fn held_whole(&self, node: NodeId) -> Vec<HeldLock> {
        self.0.lock().held((node, Space::Whole))
    }

    /// True if both are the same one.
    pub(crate) fn are(&self, other: &Locks) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn ask(&self, space: Space, node: &NodeRef, wish: HeldLock) -> Result<()> {
        self.step(|registry, after| registry.ask((node.id(), space), node, wish, after))
    }

    pub(crate) fn wait(&self, space: Space, node: &NodeRef, wish: HeldLock) -> LockWait {
        LockWait::new(self.clone(), space, NodeRef::clone(node), wish)
    }

    pub(crate) fn unlock(
        &self,
        space: Space,
        node: &NodeRef,
        owner: LockOwner,
        range: LockRange,
    ) -> Result<()> {
        self.step(|registry, after| registry.unlock((node.id(), space), owner, range, after))
    }

    /// Somebody else's lock that is in the way.
    pub(crate) fn in_the_way(&self, space: Space, node: &NodeRef, wish: HeldLock) -> Option<HeldLock> {
        self.0.lock().in_the_way((node.id(), space), wish).next()
    }

    /// Changes something, and does what follows from it once the lock is let go.
    fn step<T>(&self, change: impl FnOnce(&mut Registry, &mut After) -> T) -> T {
        let mut after = After::default();
        let answer = change(&mut self.0.lock(), &mut after);
        after.follow();
        answer
    }
}

impl fmt::Debug for Locks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locks").field("files", &self.0.lock().files()).finish()
    }
}
