//! The one resolver. Paths are bytes, walked name by name, with at most 40 links followed on the way;
//! `..` is answered from the walk's own stack and stays at the root, so no filesystem is ever asked for
//! a parent, and none can lead out of its mount.

mod place;
mod steps;
mod text;
mod walk;

pub use place::{How, Passed, Place, Unresolved};

use crate::{NodeId, NodeRef};

/// What is mounted where, as the resolver asks for it at every directory it enters.
pub trait Crossings {
    /// The root that is to be seen in place of this directory, if it is a mount point.
    fn covering(&self, dir: &NodeRef) -> Option<NodeRef>;

    /// True if something is mounted on this very directory, through whatever it is seen: its names are then
    /// not to be removed.
    fn is_covered(&self, dir: NodeId) -> bool {
        let _ = dir;
        false
    }
}

/// Nothing is mounted anywhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMounts;

impl Crossings for NoMounts {
    #[inline]
    fn covering(&self, _dir: &NodeRef) -> Option<NodeRef> {
        None
    }
}

/// Resolves `path`, absolute or from `how.base`, in the tree below `root`.
///
/// # Errors
/// [`Unresolved`] says why, and what the path would have been. A missing last name is no error.
pub fn resolve(
    root: &NodeRef,
    crossings: &(impl Crossings + ?Sized),
    path: &[u8],
    how: &How<'_>,
) -> Result<Place, Unresolved> {
    walk::resolve(root, crossings, path, how)
}
