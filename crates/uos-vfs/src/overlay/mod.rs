//! Directories laid over each other: what is looked at comes from below until it is changed, what is changed
//! goes to the upper layer.
//!
//! A node has an upper layer or it has none yet, and gets one once and for good: by being **copied up**. What a
//! directory holds is not kept; it is asked of the layers each time, the upper one first, so there is nothing
//! that could disagree with them.
//!
//! What has to be written down besides files is written into the upper layer, in one entry of each directory
//! that needs it, called [`RESERVED`], which nobody sees or makes through the overlay; see [`marks`].
//!
//! Locks: `tree` of the whole overlay is held for reading while something is looked up or listed, and for
//! writing while names change or a node gets its upper layer, so each change is one step for everyone who looks.
//! No content is copied under it: a copy is made beside, under a lock of the one file that it is of, taken before
//! `tree`. The table of living nodes has a lock of its own, taken last.

mod copy_up;
mod file;
mod find;
mod layers;
mod listing;
mod marks;
mod names;
mod node;
mod numbers;
mod rename;
mod ties;
mod work;

use crate::resolve::{NoMounts, resolve};
use crate::{Caller, Error, How, Kind, NodeRef, Place, Result, Tree, Unresolved};
use layers::Layers;
use node::OverlayNode;
use std::sync::Arc;

/// The name of what the overlay writes down in the directories of its upper layer.
const RESERVED: &[u8] = b".uos-overlay";

/// As whom the layers are asked: callers are judged by the overlay, once.
const ROOT: &Caller = &Caller::ROOT;

/// Read-only directories, seen as one that can be written to.
///
/// Of several things of one name the topmost is seen; directories are merged. What changes is copied to the
/// upper layer first, directories alone and files whole, at the first write and not when they are opened, and a
/// reader sees the file as it was or as it is then. What is removed is marked there as hidden. The layers below
/// are never changed.
///
/// **What is open stays coherent.** A file that was opened before it was copied up, for reading too, reads what is
/// written afterwards, by whomever, as in any filesystem. (Linux goes on reading the layer below.)
///
/// **Numbers and names stay.** A node keeps its number when it is copied up. A file with several names below stays
/// one file whichever of them it is changed by, and a directory of the layers below can be renamed.
///
/// The upper layer can be laid over the same layers again later, and shows the same files. What holds only as long
/// as the overlay lives: the numbers of nodes that were copied up, and that several names below, of which one has
/// been changed, are one file.
///
/// What is copied up is on the [`Account`](crate::Account) of the one for whose change it is; marks are on nobody's.
///
/// A layer must not be changed but through the overlay. Directories that are merged tell no number of
/// subdirectories: they say 1 for their links. Names of a file that a layer above its own covers count as links. The upper layer must be able to rename. It is in the way of nobody
/// but who wants to use the name `.uos-overlay`: that is never found, and making it is [`Error::NotPermitted`].
/// When an operation fails, what it has copied up remains copied up; nobody sees a difference but in the space taken.
///
/// ```
/// use uos_vfs::{FileSystem, MemFs, OverlayFs};
///
/// let (below, above) = (MemFs::builder().build(), MemFs::builder().build());
/// below.write("/plan", "first")?;
/// below.write("/old", "")?;
/// let fs = OverlayFs::new([below.root()], above.root())?;
/// fs.append("/plan", ", and second")?;
/// fs.delete("/old")?;
/// assert_eq!(fs.read("/plan")?, b"first, and second");
/// assert_eq!(fs.list_dir("/")?.len(), 1);
/// assert_eq!(below.read("/plan")?, b"first");
/// # Ok::<(), uos_vfs::Error>(())
/// ```
pub struct OverlayFs {
    root: Arc<OverlayNode>,
    /// The same, as it is asked for again and again.
    node: NodeRef,
}

impl OverlayFs {
    /// Lays directories over each other, the topmost first, and above them one to write to.
    ///
    /// # Errors
    /// [`Error::NotADirectory`] if one is none; [`Error::InvalidArgument`] if the upper one is there twice; what
    /// making a directory in the upper one gives, such as [`Error::ReadOnly`].
    pub fn new(lowers: impl IntoIterator<Item = NodeRef>, upper: NodeRef) -> Result<OverlayFs> {
        let lowers: Box<[NodeRef]> = lowers.into_iter().collect();
        if lowers.iter().chain([&upper]).any(|root| root.kind() != Kind::Directory) {
            return Err(Error::NotADirectory);
        }
        if lowers.iter().any(|lower| lower.id() == upper.id()) {
            return Err(Error::InvalidArgument("the upper layer is a lower one too"));
        }
        let layers = Layers::new(lowers.clone(), &upper)?;
        let root = OverlayNode::root(&layers, lowers, upper);
        Ok(OverlayFs { node: Arc::clone(&root) as NodeRef, root })
    }

    /// The root directory.
    pub fn root(&self) -> NodeRef {
        NodeRef::clone(&self.node)
    }
}

impl std::fmt::Debug for OverlayFs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OverlayFs").field("root", &self.root.id).finish_non_exhaustive()
    }
}

impl Tree for OverlayFs {
    fn resolve(&self, path: &[u8], how: &How<'_>) -> std::result::Result<Place, Unresolved> {
        resolve(&self.node, &NoMounts, path, how)
    }
}
