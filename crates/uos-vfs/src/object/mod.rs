//! Object storage, through opendal. Feature `opendal`.

mod bridge;
mod file;
mod key;
mod look;
mod node;

use crate::{FsId, How, NodeRef, Owner, Place, Tree, Unresolved, resolve};
use bridge::Bridge;
use key::Key;
use node::ObjectNode;
use opendal::Operator;
use std::fmt;
use std::io;
use std::sync::Arc;

/// The objects of a service of opendal as files, by their keys.
///
/// ```
/// use opendal::{Operator, services};
/// use uos_vfs::{Error, FileSystem, ObjectFs};
///
/// let fs = ObjectFs::new(Operator::new(services::Memory::default())?)?;
/// fs.create_dir("/reports")?;
/// fs.write("/reports/today", "all is well")?;
/// assert_eq!(fs.read("/reports/today")?, b"all is well");
/// assert!(matches!(fs.rename("/reports/today", "/reports/then"), Err(Error::NotSupported(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// **What it is for.** Making, reading in any part, replacing, listing and removing whole objects. Of the
/// suite in `conformance` it meets what needs none of the abilities there. All else answers
/// [`Error::NotSupported`](crate::Error::NotSupported), and nothing is pretended: links, renames, pipes and devices, extended
/// attributes, appending, writing in the midst, cutting but to nothing, and changes of mode, owner and times.
///
/// **Writing** replaces: at once by [`FileSystem::write`](crate::FileSystem::write), or piece by piece from the start of an empty
/// object, by an upload that is seen by others once it is synced, and not at all if it is dropped before. How much others can see of
/// what is being written, and what is left when it fails, is up to the service: stores of objects put them there in one step,
/// `services-fs` does with `atomic_write_dir`.
///
/// **A node is a key**, not what was once there: when that is removed and something else made there, it is the same node.
/// An object is made only where none is, by the service's own condition, and as well as that holds; a service without
/// one makes none. (`services-fs` with `atomic_write_dir` looks first and then makes.) That a
/// directory is empty, or there, is looked at first, and may be otherwise a moment later. A directory that was not made but that keys
/// imply lasts as long as they do. Where both `a` and keys below `a/` are there, the object is seen.
///
/// **Names** are UTF-8 and neither begin nor end with white space; others can't be made, and keys that no path can
/// name, such as `a//b`, are not listed. Modes and owners are the same for all, and are judged. There is one time, of
/// the last change, and that is 1970 where the service tells none.
///
/// **It waits** for the service, so every node [`blocks`](crate::Node::blocks): the calling thread waits and must be no worker of a runtime.
/// The service runs on a runtime of the filesystem's own. How long to wait and how often to try again is for layers of the operator.
pub struct ObjectFs {
    objects: Arc<Objects>,
}

/// What all nodes of one filesystem have in common.
struct Objects {
    id: FsId,
    bridge: Bridge,
    owner: Owned,
}

/// Whose all of it is.
#[derive(Clone, Copy)]
struct Owned {
    uid: u32,
    gid: u32,
    file_mode: u32,
    dir_mode: u32,
}

/// How to show objects.
#[must_use]
pub struct ObjectFsBuilder {
    operator: Operator,
    owner: Owned,
}

impl ObjectFsBuilder {
    /// Whose all files and directories are: user and group 0 unless told otherwise.
    pub fn owner(self, uid: u32, gid: u32) -> Self {
        ObjectFsBuilder { owner: Owned { uid, gid, ..self.owner }, ..self }
    }

    /// The permission bits of all files and of all directories: 644 and 755 unless told otherwise.
    pub fn modes(self, file: u32, dir: u32) -> Self {
        let owner = Owned { file_mode: file & 0o777, dir_mode: dir & 0o777, ..self.owner };
        ObjectFsBuilder { owner, ..self }
    }

    /// Starts the runtime that the service runs on. Nothing is asked of the service yet.
    ///
    /// # Errors
    /// What the host says when there are no threads to be had.
    pub fn build(self) -> io::Result<ObjectFs> {
        let bridge = Bridge::new(self.operator)?;
        Ok(ObjectFs { objects: Arc::new(Objects { id: FsId::new(), bridge, owner: self.owner }) })
    }
}

impl ObjectFs {
    /// All that the operator reaches, for user 0 to change and everybody to read.
    ///
    /// # Errors
    /// As of [`ObjectFsBuilder::build`].
    pub fn new(operator: Operator) -> io::Result<Self> {
        Self::builder(operator).build()
    }

    /// The same, with a word on whose it is.
    pub fn builder(operator: Operator) -> ObjectFsBuilder {
        let owner = Owned { uid: 0, gid: 0, file_mode: 0o644, dir_mode: 0o755 };
        ObjectFsBuilder { operator, owner }
    }

    /// The directory of all keys.
    pub fn root(&self) -> NodeRef {
        ObjectNode::root(&self.objects)
    }
}

impl Tree for ObjectFs {
    fn resolve(&self, path: &[u8], how: &How<'_>) -> Result<Place, Unresolved> {
        resolve(&self.root(), &crate::NoMounts, path, how)
    }
}

impl Objects {
    fn owner_of(&self, kind: crate::Kind) -> Owner {
        let Owned { uid, gid, file_mode, dir_mode } = self.owner;
        let mode = if kind == crate::Kind::Directory { dir_mode } else { file_mode };
        Owner { uid, gid, mode, kind }
    }

    fn node_id(&self, key: &Key) -> crate::NodeId {
        crate::NodeId { fs: self.id, ino: key.number(), generation: 0 }
    }
}

impl fmt::Debug for ObjectFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectFs").field("service", &self.objects.bridge.operator().info()).finish()
    }
}

impl fmt::Debug for ObjectFsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectFsBuilder").field("service", &self.operator.info()).finish_non_exhaustive()
    }
}
