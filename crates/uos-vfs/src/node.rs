//! The contract between the resolver and a filesystem: a path is resolved once, to a node, and
//! everything after that is asked of the node.

use crate::{Attr, Kind, New, NodeId, Result, SetAttr, StatFs};
use bytes::Bytes;
use std::any::Any;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A shared reference to a node of any filesystem.
pub type NodeRef = Arc<dyn Node>;

/// What an opened file is going to be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reading only.
    Read,
    /// Writing only.
    Write,
    /// Both.
    ReadWrite,
}

impl Access {
    /// True if this includes writing.
    pub fn writes(self) -> bool {
        self != Access::Read
    }
}

/// How a rename treats a name that is already there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RenameFlags {
    /// Refuse with [`Exists`](crate::Error::Exists) instead of replacing.
    pub no_replace: bool,
    /// Swap the two; both must exist. Not to be combined with `no_replace`.
    pub exchange: bool,
}

/// One entry of a directory while it is being listed.
#[derive(Clone, Copy, Debug)]
pub struct DirEntry<'a> {
    /// Its name in the directory.
    pub name: &'a [u8],
    /// What it is.
    pub kind: Kind,
    /// Its number within its filesystem.
    pub ino: u64,
    /// Where to continue so that this entry is the last one already seen.
    pub cursor: u64,
}

/// One file, directory or link, alive while referenced: a node whose last name is gone keeps working
/// for whoever holds it. Names are single components; anything else is refused as
/// [`InvalidPath`](crate::Error::InvalidPath). Nodes do not check permissions and do not follow links.
pub trait Node: Send + Sync + 'static {
    /// Who this is.
    fn id(&self) -> NodeId;

    /// What this is.
    fn kind(&self) -> Kind;

    /// True when operations may wait for a disk or a network, false for pure memory.
    fn blocks(&self) -> bool;

    /// The attributes now.
    fn attr(&self) -> Result<Attr>;

    /// Changes attributes and returns all of them as they are then.
    fn set_attr(&self, set: &SetAttr) -> Result<Attr>;

    /// The entry `name` of this directory.
    fn lookup(&self, name: &[u8]) -> Result<NodeRef>;

    /// Makes a regular file. The name must be free; a link there is not followed.
    fn create(&self, name: &[u8], new: &New) -> Result<NodeRef>;

    /// Makes a directory.
    fn mkdir(&self, name: &[u8], new: &New) -> Result<NodeRef>;

    /// Makes a symbolic link; `target` may be any text that is not empty and holds no NUL.
    fn symlink(&self, name: &[u8], target: &[u8], new: &New) -> Result<NodeRef>;

    /// Gives `node`, which must be no directory, one more name.
    fn link(&self, name: &[u8], node: &NodeRef) -> Result<()>;

    /// Takes a name away from anything but a directory.
    fn unlink(&self, name: &[u8]) -> Result<()>;

    /// Removes an empty directory.
    fn rmdir(&self, name: &[u8]) -> Result<()>;

    /// Moves an entry, atomically for everyone who looks. `to_dir` is in the same filesystem.
    fn rename(&self, name: &[u8], to_dir: &NodeRef, to_name: &[u8], flags: RenameFlags) -> Result<()>;

    /// Lists the entries after `cursor` (0: from the start) in a stable order, without `.` and `..`.
    /// `sink` returns false to stop; the entry it did so for counts as not taken. An entry that exists
    /// throughout a listing, also one in several calls, is seen exactly once, whatever else comes and
    /// goes. No lock is held while `sink` runs.
    fn read_dir(&self, cursor: u64, sink: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()>;

    /// The target of a symbolic link.
    fn read_link(&self) -> Result<Vec<u8>>;

    /// Opens a regular file. The holder keeps to the access it asked for; not every filesystem can
    /// tell afterwards.
    fn open(self: Arc<Self>, access: Access) -> Result<Arc<dyn OpenFile>>;

    /// How much the filesystem of this node holds.
    fn stat_fs(&self) -> Result<StatFs>;

    /// The concrete type, for filesystems that need to recognise their own nodes.
    fn as_any(&self) -> &dyn Any;

    /// For a node that is a real file of the host: a duplicate of an `O_PATH` descriptor on it, to
    /// start a program from or to change into.
    fn host_fd(&self) -> Option<std::io::Result<OwnedFd>> {
        None
    }
}

/// A regular file opened for reading or writing. There is no position: whoever needs one keeps it.
pub trait OpenFile: Send + Sync + 'static {
    /// Fills `buf` from `offset` as far as the file goes; 0 at or after the end.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize>;

    /// Up to `max` bytes from `offset`. No more is allocated than the file has there.
    fn read_bytes(&self, offset: u64, max: usize) -> Result<Bytes>;

    /// Writes at `offset`, extending the file as needed; bytes skipped over read as zero.
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<usize>;

    /// Writes all of `data` at the end, in one piece even against other appends, and returns the
    /// offset it went to.
    fn append(&self, data: &[u8]) -> Result<u64>;

    /// Makes `data` the whole content. Whether readers can see a moment in between, and what is left
    /// after a failure, is up to the filesystem.
    fn replace(&self, data: &[u8]) -> Result<()>;

    /// Cuts the file to `len` or extends it with zeros.
    fn set_len(&self, len: u64) -> Result<()>;

    /// Returns when everything written is as durable as the filesystem makes it.
    fn sync(&self) -> Result<()>;

    /// The attributes now.
    fn attr(&self) -> Result<Attr>;
}
