//! A tree of files as seen from its root, by somebody.

use crate::resolve::{NoMounts, resolve};
use crate::{
    Access, Attr, Caller, Error, How, Kind, NodeId, NodeRef, OpenFile, Place, Result, Unresolved, VPath,
};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Whatever paths can be resolved in: one filesystem, several mounted into each other, or either as
/// somebody sees it. Every tree is a [`FileSystem`](crate::FileSystem).
pub trait Tree: Send + Sync {
    /// Resolves `path`, absolute or from `how.base`.
    ///
    /// # Errors
    /// [`Unresolved`] says why, and what the path would have been. A missing last name is no error.
    fn resolve(&self, path: &[u8], how: &How<'_>) -> std::result::Result<Place, Unresolved>;

    /// What `path` leads to, where nobody needs to know how: a tree that knows a shorter way than resolving
    /// takes it. The answer is the same.
    ///
    /// # Errors
    /// As of [`Tree::resolve`], and [`Error::NotFound`] for a missing last name.
    fn find(&self, path: &[u8], how: &How<'_>) -> Result<NodeRef> {
        self.resolve(path, how).map_err(|unresolved| unresolved.error)?.node.ok_or(Error::NotFound)
    }

    /// The attributes of what `path` leads to, in the same way.
    ///
    /// # Errors
    /// As of [`Tree::find`].
    fn look(&self, path: &[u8], how: &How<'_>) -> Result<Attr> {
        self.find(path, how)?.attr()
    }

    /// Resolves `path` from a directory of this tree that is held, as if that were the root: `..` stays there, and so does a
    /// slash at the start. What is mounted below it is seen.
    ///
    /// # Errors
    /// As of [`Tree::resolve`].
    fn resolve_below(
        &self,
        dir: &NodeRef,
        path: &[u8],
        how: &How<'_>,
    ) -> std::result::Result<Place, Unresolved> {
        resolve(dir, &NoMounts, path, how)
    }

    /// Makes a regular file where `path` leads, under a free name, and opens it as [`Caller::judged_before`]; `None` if this
    /// tree has no shorter way to do that than to find, to make and to open, or if that way didn't get there. Then it has
    /// made nothing.
    ///
    /// # Errors
    /// What came after it was made.
    fn create_at_once(
        &self,
        path: &[u8],
        how: &How<'_>,
        mode: u32,
        access: Access,
    ) -> Option<Result<(NodeRef, Arc<dyn OpenFile>)>> {
        let _ = (path, how, mode, access);
        None
    }

    /// True if something is mounted on this very directory, whatever path leads to it now.
    fn is_mount_point(&self, dir: NodeId) -> bool {
        let _ = dir;
        false
    }

    /// Who asks, when nobody else is named: user 0, unless this is a tree [`As`] somebody else sees it.
    fn caller(&self) -> &Caller {
        &Caller::ROOT
    }

    /// Where relative paths start.
    fn working_dir(&self) -> &VPath {
        VPath::root_ref()
    }

    /// What is below a directory of this tree that is held, such as by a descriptor, wherever that is moved meanwhile: what the
    /// calls of POSIX whose names end in `at` work in. Unlike with those nothing leads out of it, as with openat2(2) and
    /// `RESOLVE_IN_ROOT`.
    ///
    /// # Errors
    /// [`Error::NotADirectory`].
    fn below(&self, dir: &NodeRef) -> Result<Below<&Self>>
    where
        Self: Sized,
    {
        Below::new(self, dir)
    }

    /// The same tree, as `caller` sees it from the root.
    fn seen_by(&self, caller: Caller) -> As<&Self>
    where
        Self: Sized,
    {
        As::new(self, caller)
    }
}

/// What is below a directory that is held; see [`Tree::below`].
#[derive(Clone)]
pub struct Below<T> {
    tree: T,
    dir: NodeRef,
}

impl<T> Below<T> {
    /// What is below a directory of the tree behind `tree`.
    ///
    /// # Errors
    /// [`Error::NotADirectory`].
    pub fn new(tree: T, dir: &NodeRef) -> Result<Self> {
        if dir.kind() != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        Ok(Below { tree, dir: NodeRef::clone(dir) })
    }
}

impl<T: Deref<Target: Tree> + Send + Sync> Tree for Below<T> {
    fn resolve(&self, path: &[u8], how: &How<'_>) -> std::result::Result<Place, Unresolved> {
        self.tree.resolve_below(&self.dir, path, how)
    }

    fn resolve_below(
        &self,
        dir: &NodeRef,
        path: &[u8],
        how: &How<'_>,
    ) -> std::result::Result<Place, Unresolved> {
        self.tree.resolve_below(dir, path, how)
    }

    fn is_mount_point(&self, dir: NodeId) -> bool {
        self.tree.is_mount_point(dir)
    }

    fn caller(&self) -> &Caller {
        self.tree.caller()
    }
}

impl<T> fmt::Debug for Below<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Below").field("dir", &self.dir.id()).finish_non_exhaustive()
    }
}

/// A tree as somebody sees it, from where they are.
#[derive(Clone, Debug)]
pub struct As<T> {
    tree: T,
    caller: Caller,
    working_dir: VPath,
}

impl<T> As<T> {
    /// The tree behind `tree`, as `caller` sees it from the root.
    pub fn new(tree: T, caller: Caller) -> Self {
        As { tree, caller, working_dir: VPath::root() }
    }

    /// The same with relative paths starting elsewhere.
    #[must_use]
    pub fn from_dir(self, working_dir: VPath) -> Self {
        As { working_dir, ..self }
    }
}

impl<T: Deref<Target: Tree> + Send + Sync> Tree for As<T> {
    fn resolve(&self, path: &[u8], how: &How<'_>) -> std::result::Result<Place, Unresolved> {
        self.tree.resolve(path, how)
    }

    fn find(&self, path: &[u8], how: &How<'_>) -> Result<NodeRef> {
        self.tree.find(path, how)
    }

    fn look(&self, path: &[u8], how: &How<'_>) -> Result<Attr> {
        self.tree.look(path, how)
    }

    fn resolve_below(
        &self,
        dir: &NodeRef,
        path: &[u8],
        how: &How<'_>,
    ) -> std::result::Result<Place, Unresolved> {
        self.tree.resolve_below(dir, path, how)
    }

    fn create_at_once(
        &self,
        path: &[u8],
        how: &How<'_>,
        mode: u32,
        access: Access,
    ) -> Option<Result<(NodeRef, Arc<dyn OpenFile>)>> {
        self.tree.create_at_once(path, how, mode, access)
    }

    fn is_mount_point(&self, dir: NodeId) -> bool {
        self.tree.is_mount_point(dir)
    }

    fn caller(&self) -> &Caller {
        &self.caller
    }

    fn working_dir(&self) -> &VPath {
        &self.working_dir
    }
}
