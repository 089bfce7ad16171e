//! What is mounted where. The resolver reads the table; only this file changes it.

mod options;

pub use options::MountOptions;

use crate::resolve::{self, Crossings};
use crate::through::Via;
use crate::{
    Error, FsId, How, Kind, Limit, MountId, NodeId, NodeRef, Place, Result, Tree, Unresolved, Used, VPath,
};
use parking_lot::RwLock;
use std::fmt;
use std::sync::Arc;

/// Up to this many mounts a walk over the table beats hashing.
const FEW: usize = 8;

/// A tree of filesystems grown together at their mount points, and the one way to resolve a path in
/// it. All methods may be called from any thread.
///
/// What is mounted is seen through its mount ([`Node::beneath`](crate::Node::beneath)), which may be read-only, keep
/// quotas and tell of changes, whatever the filesystem is. A filesystem, or a directory of one, may be mounted
/// several times in different ways. Two mounts are never one filesystem for renaming or linking, as on Linux.
///
/// ```
/// use uos_vfs::{Error, FileSystem, MemFs, MountOptions, Mounts, OpenOptions};
///
/// let mounts = Mounts::new(MemFs::builder().build().root());
/// mounts.create_dir("/data")?;
/// mounts.create_dir("/view")?;
/// mounts.mount(b"/data", MemFs::builder().build().root())?;
/// mounts.write("/data/report", "draft")?;
/// mounts.bind(b"/data", b"/view", &MountOptions::default().read_only())?;
/// assert_eq!(mounts.write("/view/report", "mine"), Err(Error::ReadOnly));
/// let open = mounts.open("/view/report", &OpenOptions::read_only())?;
/// assert_eq!(mounts.unmount(b"/view"), Err(Error::Busy));
/// drop(open);
/// mounts.unmount(b"/view")?;
/// # Ok::<(), Error>(())
/// ```
pub struct Mounts {
    // Replaced as a whole: whoever resolves keeps the table it began with and holds no lock.
    table: RwLock<Arc<Table>>,
}

/// One mounted filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountInfo {
    /// Which mount; none for the root where it is seen through none.
    pub id: Option<MountId>,
    /// The canonical path of the mount point when it was mounted.
    pub path: VPath,
    /// The filesystem whose root is seen there.
    pub fs: FsId,
    /// Whether the mount takes no changes; the filesystem itself may not either.
    pub read_only: bool,
    /// How many files are open through it.
    pub open_files: u64,
}

/// A mount that has been taken away, and may be in use still.
pub struct Detached(Arc<Via>);

impl Detached {
    /// How many files are open through it. There will be no more.
    pub fn open_files(&self) -> u64 {
        self.0.claims.open_files()
    }
}

impl fmt::Debug for Detached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detached").field("open_files", &self.open_files()).finish_non_exhaustive()
    }
}

/// An immutable state of the mounts.
#[derive(Clone)]
struct Table {
    root: NodeRef,
    /// What the root is seen through, if anything.
    root_via: Option<Arc<Via>>,
    /// Ordered by the covered place, for lookups in large tables.
    mounts: Vec<Mount>,
}

/// A directory as it is seen through one mount: the same one seen through another is not covered with it.
type Covered = (NodeId, Option<MountId>);

fn covered_by(dir: &NodeRef) -> Covered {
    (dir.id(), dir.beneath().map(|(via, _)| via))
}

#[derive(Clone)]
struct Mount {
    covered: Covered,
    via: Arc<Via>,
    root: NodeRef,
    path: VPath,
    /// Keeps the mount point alive, so that its number is not given to another node.
    _point: NodeRef,
}

impl Table {
    /// What is mounted on this very directory.
    #[inline]
    fn mount_on(&self, covered: Covered) -> Option<&Mount> {
        let index = if self.mounts.len() <= FEW {
            self.mounts.iter().position(|mount| mount.covered == covered)
        } else {
            self.mounts.binary_search_by_key(&covered, |mount| mount.covered).ok()
        };
        index.map(|index| &self.mounts[index])
    }

    fn is_covered(&self, id: NodeId) -> bool {
        let from = self.mounts.partition_point(|mount| mount.covered < (id, None));
        self.mounts.get(from).is_some_and(|mount| mount.covered.0 == id)
    }
}

impl Crossings for Table {
    #[inline]
    fn covering(&self, dir: &NodeRef) -> Option<NodeRef> {
        if self.mounts.is_empty() {
            return None;
        }
        self.mount_on(covered_by(dir)).map(|mount| NodeRef::clone(&mount.root))
    }
}

impl Crossings for Mounts {
    fn covering(&self, dir: &NodeRef) -> Option<NodeRef> {
        self.snapshot().covering(dir)
    }

    fn is_covered(&self, dir: NodeId) -> bool {
        self.is_mount_point(dir)
    }
}

impl Tree for Mounts {
    fn resolve(&self, path: &[u8], how: &How<'_>) -> std::result::Result<Place, Unresolved> {
        self.resolve(path, how)
    }

    fn resolve_below(
        &self,
        dir: &NodeRef,
        path: &[u8],
        how: &How<'_>,
    ) -> std::result::Result<Place, Unresolved> {
        resolve::resolve(dir, &*self.snapshot(), path, how)
    }

    fn is_mount_point(&self, dir: NodeId) -> bool {
        self.is_mount_point(dir)
    }
}

impl Mounts {
    /// A tree of one filesystem, as it is.
    pub fn new(root: NodeRef) -> Self {
        Self::of(Table { root, root_via: None, mounts: Vec::new() })
    }

    /// A tree of one filesystem, seen through a mount.
    ///
    /// # Errors
    /// [`Error::NotADirectory`]; with a quota, what counting gives.
    pub fn with(root: NodeRef, options: MountOptions) -> Result<Self> {
        let (via, root) = options.mounted(root)?;
        Ok(Self::of(Table { root, root_via: Some(via), mounts: Vec::new() }))
    }

    fn of(table: Table) -> Self {
        Mounts { table: RwLock::new(Arc::new(table)) }
    }

    /// Shows the directory `root` in place of the one at the absolute path `at`.
    ///
    /// # Errors
    /// What resolving `at` gives, [`Error::NotADirectory`] if either end is none, [`Error::Busy`] if
    /// `at` is the root or already a mount point.
    pub fn mount(&self, at: &[u8], root: NodeRef) -> Result<()> {
        self.mount_with(at, root, MountOptions::default())
    }

    /// The same, in a way of its own.
    ///
    /// # Errors
    /// Also, with a quota, what counting what is there already gives.
    pub fn mount_with(&self, at: &[u8], root: NodeRef, options: MountOptions) -> Result<()> {
        self.mount_on(&self.resolve_absolute(at)?, root, options).map(drop)
    }

    /// The same in place of the directory that a path was found to lead to, which is not looked up again.
    ///
    /// # Errors
    /// As of [`Mounts::mount_with`], but for resolving.
    pub fn mount_on(&self, place: &Place, root: NodeRef, options: MountOptions) -> Result<MountId> {
        if root.kind() != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        let point = NodeRef::clone(place.node.as_ref().ok_or(Error::NotFound)?);
        if point.kind() != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        if place.mount_point {
            return Err(Error::Busy);
        }
        let covered = covered_by(&point);
        let (via, root) = options.mounted(root)?;
        let id = via.id;
        let mut table = self.table.write();
        // Someone may have mounted there since.
        match table.mounts.binary_search_by_key(&covered, |mount| mount.covered) {
            Ok(_) => Err(Error::Busy),
            Err(index) => {
                let mount = Mount { covered, via, root, path: place.path.clone(), _point: point };
                Arc::make_mut(&mut table).mounts.insert(index, mount);
                Ok(id)
            }
        }
    }

    /// Shows a directory of the tree at a second place. What is mounted below it is not seen there. What the mount
    /// it is seen through forbids stays forbidden, and its quotas go on counting.
    ///
    /// # Errors
    /// What resolving `dir` gives, and those of [`Mounts::mount_with`].
    pub fn bind(&self, dir: &[u8], at: &[u8], options: &MountOptions) -> Result<()> {
        let root = self.resolve_absolute(dir)?.node.ok_or(Error::NotFound)?;
        self.mount_with(at, root, options.clone())
    }

    /// Takes away what is mounted at the absolute path `at`. Whoever holds nodes of it keeps them.
    ///
    /// # Errors
    /// What resolving `at` gives, [`Error::InvalidArgument`] if nothing is mounted there,
    /// [`Error::Busy`] for the root, if there are mounts below and while files are open through it.
    pub fn unmount(&self, at: &[u8]) -> Result<()> {
        self.unmount_from(&self.resolve_absolute(at)?)
    }

    /// The same of what is mounted where a path was found to lead to, which is not looked up again.
    ///
    /// # Errors
    /// As of [`Mounts::unmount`], but for resolving.
    pub fn unmount_from(&self, place: &Place) -> Result<()> {
        self.take_away(place, false).map(drop)
    }

    /// The same whether or not files are open: who has them goes on with them, and nobody else gets there.
    ///
    /// # Errors
    /// As of [`Mounts::unmount`], but for the files.
    pub fn detach(&self, at: &[u8]) -> Result<()> {
        self.detach_from(&self.resolve_absolute(at)?).map(drop)
    }

    /// The same of what is mounted where a path was found to lead to, which is not looked up again.
    ///
    /// # Errors
    /// As of [`Mounts::detach`], but for resolving.
    pub fn detach_from(&self, place: &Place) -> Result<Detached> {
        self.take_away(place, true).map(Detached)
    }

    fn take_away(&self, place: &Place, whoever_uses_it: bool) -> Result<Arc<Via>> {
        place.name().ok_or(Error::Busy)?;
        let seen_through = place.node.as_ref().filter(|_| place.mount_point).and_then(|node| node.beneath());
        let (id, _) = seen_through.ok_or(Error::InvalidArgument("not a mount point"))?;
        let mut table = self.table.write();
        // Somebody else may have been quicker.
        let Some(index) = table.mounts.iter().position(|mount| mount.via.id == id) else {
            return Err(Error::InvalidArgument("not a mount point"));
        };
        if table.mounts.iter().any(|mount| mount.covered.1 == Some(id)) {
            return Err(Error::Busy);
        }
        if !whoever_uses_it && table.mounts[index].via.claims.open_files() > 0 {
            return Err(Error::Busy);
        }
        let gone = Arc::make_mut(&mut table).mounts.remove(index);
        drop(table);
        // Freed after the lock: it may be the last reference to a filesystem.
        Ok(gone.via)
    }

    /// Lets the mount at the absolute path `at` take no changes any more, or take them again. What is at work through it, be it
    /// an open file, is never cut off.
    ///
    /// # Errors
    /// [`Error::Busy`] while files are open for writing or something is being changed; those of [`Mounts::quota`].
    pub fn set_read_only(&self, at: &[u8], read_only: bool) -> Result<()> {
        self.via_at(at)?.claims.set_read_only(read_only)
    }

    /// What an owner holds on the mount at the absolute path `at`, and may hold.
    ///
    /// # Errors
    /// What resolving `at` gives, [`Error::InvalidArgument`] if nothing is mounted there,
    /// [`Error::NotSupported`] if it was mounted without a quota.
    pub fn quota(&self, at: &[u8], uid: u32) -> Result<(Used, Limit)> {
        let via = self.via_at(at)?;
        let quota = via.quota.as_ref().ok_or(Error::NotSupported("quotas where none are kept"))?;
        Ok((quota.used(uid), quota.limit(uid)))
    }

    /// Gives an owner another limit than all others. What they hold beyond it they keep, but get no more.
    ///
    /// # Errors
    /// Those of [`Mounts::quota`].
    pub fn set_limit(&self, at: &[u8], uid: u32, limit: Limit) -> Result<()> {
        let via = self.via_at(at)?;
        let quota = via.quota.as_ref().ok_or(Error::NotSupported("quotas where none are kept"))?;
        quota.set_limit(uid, limit);
        Ok(())
    }

    fn via_at(&self, at: &[u8]) -> Result<Arc<Via>> {
        let place = self.resolve_absolute(at)?;
        let table = self.snapshot();
        let via = match place.node.as_ref().filter(|_| place.mount_point).and_then(|node| node.beneath()) {
            None => None,
            Some((id, _)) => {
                let root = table.root_via.iter();
                root.chain(table.mounts.iter().map(|mount| &mount.via)).find(|via| via.id == id)
            }
        };
        via.cloned().ok_or(Error::InvalidArgument("not a mount point"))
    }

    /// Everything mounted, the root first, the others ordered by path.
    pub fn list(&self) -> Vec<MountInfo> {
        let table = self.snapshot();
        let info = |path: &VPath, root: &NodeRef, via: Option<&Arc<Via>>| MountInfo {
            id: via.map(|via| via.id),
            path: path.clone(),
            fs: root.id().fs,
            read_only: via.is_some_and(|via| via.claims.is_read_only()),
            open_files: via.map_or(0, |via| via.claims.open_files()),
        };
        let mut list = vec![info(VPath::root_ref(), &table.root, table.root_via.as_ref())];
        list.extend(table.mounts.iter().map(|mount| info(&mount.path, &mount.root, Some(&mount.via))));
        list[1..].sort_by(|one, other| one.path.cmp(&other.path));
        list
    }

    /// The path of something that is mounted on a directory of this filesystem.
    pub fn mounted_in(&self, fs: FsId) -> Option<VPath> {
        let table = self.snapshot();
        table.mounts.iter().find(|mount| mount.covered.0.fs == fs).map(|mount| mount.path.clone())
    }

    /// True if something is mounted on this very directory, whatever path leads to it now, and through whichever
    /// mount.
    pub fn is_mount_point(&self, id: NodeId) -> bool {
        self.snapshot().is_covered(id)
    }

    /// Resolves `path`, absolute or from `how.base`.
    ///
    /// # Errors
    /// [`Unresolved`] says why, and what the path would have been. A missing last name is no error.
    pub fn resolve(&self, path: &[u8], how: &How<'_>) -> std::result::Result<Place, Unresolved> {
        let table = self.snapshot();
        resolve::resolve(&table.root, &*table, path, how)
    }

    fn resolve_absolute(&self, at: &[u8]) -> Result<Place> {
        self.resolve(at, &How::privileged()).map_err(|unresolved| unresolved.error)
    }

    fn snapshot(&self) -> Arc<Table> {
        Arc::clone(&self.table.read())
    }
}
