//! What resolving takes and what it gives.

use crate::{Caller, Error, Name, NodeRef, VPath};
use std::fmt;

/// How to resolve.
#[derive(Clone, Copy, Debug)]
pub struct How<'a> {
    /// Who asks: each directory on the way must let it search.
    pub by: &'a Caller,
    /// Where relative paths start.
    pub base: &'a VPath,
    /// Whether a symbolic link as the last name is followed. A trailing slash follows it anyway.
    pub follow_last: bool,
    /// If the last name is missing it is to become a file: with a slash behind it, there or in a link
    /// that leads there, it is refused as [`Error::IsADirectory`], whether missing or not.
    pub makes_file: bool,
    /// Answer [`Error::WouldBlock`] instead of asking a node that may wait for a disk or network, or
    /// giving one out.
    pub memory_only: bool,
}

impl<'a> How<'a> {
    /// From the root, following links, waiting if need be.
    pub fn new(by: &'a Caller) -> Self {
        How { by, base: VPath::root_ref(), follow_last: true, makes_file: false, memory_only: false }
    }

    /// The same for a caller whom no mode bits hold back.
    pub fn privileged() -> How<'static> {
        How::new(&Caller::ROOT)
    }
}

/// Where a path leads.
#[derive(Clone)]
pub struct Place {
    /// The canonical path: no links left in it, except a last one that was not to be followed.
    pub path: VPath,
    /// What is there; `None` if the last name, and only that, is missing.
    pub node: Option<NodeRef>,
    /// The directory the last name is in. The root is its own parent.
    pub parent: NodeRef,
    /// What was met on the way beside what the path says now, in order.
    pub passed: Vec<Passed>,
    /// The path ended in a slash: only a directory will do.
    pub must_be_dir: bool,
    /// The node is the root of the tree or of a mounted filesystem: its name is not to be removed,
    /// renamed or replaced.
    pub mount_point: bool,
}

impl Place {
    /// The last name; none for the root.
    pub fn name(&self) -> Option<Name<'_>> {
        self.path.file_name().and_then(|name| Name::new(name).ok())
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("path", &self.path)
            .field("node", &self.node.as_ref().map(|node| (node.id(), node.kind())))
            .field("parent", &self.parent.id())
            .field("passed", &self.passed)
            .field("must_be_dir", &self.must_be_dir)
            .field("mount_point", &self.mount_point)
            .finish()
    }
}

/// Something on the way of a path that where it leads may tell of, though it says nothing of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passed {
    /// A link was followed: the path as it would be if that name were none. What that would leave comes before it.
    Link(VPath),
    /// A directory was gone into and left again by `..`, in the text of the path or of a link. A link that only leads
    /// upwards from where it is leaves nothing: that was known.
    Left(VPath),
}

impl Passed {
    /// The path.
    pub fn path(&self) -> &VPath {
        let (Passed::Link(path) | Passed::Left(path)) = self;
        path
    }
}

/// Why a path leads nowhere, and what it would have been.
#[derive(Clone)]
pub struct Unresolved {
    /// Why.
    pub error: Error,
    /// The canonical path as far as it went, and the rest by its text. For a path that is unusable as
    /// such: the directory it would start from.
    pub path: VPath,
    /// As in [`Place::passed`], and what would have been left if everything on the way were a directory.
    pub passed: Vec<Passed>,
    /// The deepest directory that exists on the way.
    pub at: Option<NodeRef>,
    /// For [`Error::NotFound`], the names missing below `at`; empty if the rest holds `..`.
    pub missing: Vec<Vec<u8>>,
}

impl fmt::Debug for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unresolved")
            .field("error", &self.error)
            .field("path", &self.path)
            .field("passed", &self.passed)
            .field("at", &self.at.as_ref().map(|at| at.id()))
            .field("missing", &self.missing)
            .finish()
    }
}
