//! What is mounted where. The resolver reads the table; only this file changes it.

use crate::resolve::{self, Crossings};
use crate::{Caller, Error, FsId, How, Kind, NodeId, NodeRef, Place, Result, Tree, Unresolved, VPath};
use parking_lot::RwLock;
use std::sync::Arc;

/// Up to this many mounts a walk over the table beats hashing.
const FEW: usize = 8;

/// A tree of filesystems grown together at their mount points, and the one way to resolve a path in
/// it. All methods may be called from any thread.
pub struct Mounts {
    // Replaced as a whole: whoever resolves keeps the table it began with and holds no lock.
    table: RwLock<Arc<Table>>,
}

/// One mounted filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountInfo {
    /// The canonical path of the mount point when it was mounted.
    pub path: VPath,
    /// The filesystem whose root is seen there.
    pub fs: FsId,
}

/// An immutable state of the mounts.
#[derive(Clone)]
struct Table {
    root: NodeRef,
    /// Ordered by the covered node, for lookups in large tables.
    mounts: Vec<Mount>,
}

#[derive(Clone)]
struct Mount {
    covered: NodeId,
    root: NodeRef,
    path: VPath,
    /// Keeps the mount point alive, so that its number is not given to another node.
    _point: NodeRef,
}

impl Table {
    /// The root that covers this directory, if it is a mount point.
    #[inline]
    fn root_on(&self, id: NodeId) -> Option<&NodeRef> {
        let index = if self.mounts.len() <= FEW {
            self.mounts.iter().position(|mount| mount.covered == id)
        } else {
            self.mounts.binary_search_by_key(&id, |mount| mount.covered).ok()
        };
        index.map(|index| &self.mounts[index].root)
    }
}

impl Crossings for Table {
    #[inline]
    fn covering(&self, dir: &NodeRef) -> Option<NodeRef> {
        if self.mounts.is_empty() { None } else { self.root_on(dir.id()).cloned() }
    }
}

impl Crossings for Mounts {
    fn covering(&self, dir: &NodeRef) -> Option<NodeRef> {
        self.snapshot().covering(dir)
    }
}

impl Tree for Mounts {
    fn resolve(&self, path: &[u8], how: &How<'_>) -> std::result::Result<Place, Unresolved> {
        self.resolve(path, how)
    }

    fn is_mount_point(&self, dir: NodeId) -> bool {
        self.is_mount_point(dir)
    }
}

impl Mounts {
    /// A tree of one filesystem.
    pub fn new(root: NodeRef) -> Self {
        Mounts { table: RwLock::new(Arc::new(Table { root, mounts: Vec::new() })) }
    }

    /// Shows the directory `root` in place of the one at the absolute path `at`.
    ///
    /// # Errors
    /// What resolving `at` gives, [`Error::NotADirectory`] if either end is none, [`Error::Busy`] if
    /// `at` is the root or already a mount point.
    pub fn mount(&self, at: &[u8], root: NodeRef) -> Result<()> {
        if root.kind() != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        let place = self.resolve_absolute(at)?;
        let point = place.node.ok_or(Error::NotFound)?;
        if point.kind() != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        if place.mount_point {
            return Err(Error::Busy);
        }
        let covered = point.id();
        let mut table = self.table.write();
        // Someone may have mounted there since.
        match table.mounts.binary_search_by_key(&covered, |mount| mount.covered) {
            Ok(_) => Err(Error::Busy),
            Err(index) => {
                let mount = Mount { covered, root, path: place.path, _point: point };
                Arc::make_mut(&mut table).mounts.insert(index, mount);
                Ok(())
            }
        }
    }

    /// Takes away what is mounted at the absolute path `at`. Whoever holds nodes of it keeps them.
    ///
    /// # Errors
    /// What resolving `at` gives, [`Error::InvalidArgument`] if nothing is mounted there,
    /// [`Error::Busy`] for the root and if there are mounts below.
    pub fn unmount(&self, at: &[u8]) -> Result<()> {
        let place = self.resolve_absolute(at)?;
        let name = place.name().ok_or(Error::Busy)?;
        if !place.mount_point {
            return Err(Error::InvalidArgument("not a mount point"));
        }
        // Found by the directory it covers: its path may have been renamed since.
        let covered = place.parent.lookup(&Caller::ROOT, name)?.id();
        let mut table = self.table.write();
        let Some(index) = table.mounts.iter().position(|mount| mount.covered == covered) else {
            return Err(Error::InvalidArgument("not a mount point"));
        };
        let path = &table.mounts[index].path;
        if table.mounts.iter().any(|mount| mount.path != *path && mount.path.starts_with(path)) {
            return Err(Error::Busy);
        }
        Arc::make_mut(&mut table).mounts.remove(index);
        Ok(())
    }

    /// Everything mounted, the root first, the others ordered by path.
    pub fn list(&self) -> Vec<MountInfo> {
        let table = self.snapshot();
        let mut list = vec![MountInfo { path: VPath::root(), fs: table.root.id().fs }];
        list.extend(
            table.mounts.iter().map(|mount| MountInfo { path: mount.path.clone(), fs: mount.root.id().fs }),
        );
        list[1..].sort_by(|one, other| one.path.cmp(&other.path));
        list
    }

    /// True if something is mounted on this very directory, whatever path leads to it now.
    pub fn is_mount_point(&self, id: NodeId) -> bool {
        self.snapshot().root_on(id).is_some()
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
