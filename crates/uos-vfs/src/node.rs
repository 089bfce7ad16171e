//! The inode-and-handle core: what a filesystem provides. A path is resolved once, to a node, and
//! everything after that is asked of the node.

use crate::{Attr, Caller, Error, Kind, MountId, Name, NodeId, Result, SetAttr, Special, StatFs, Want};
use bytes::Bytes;
use rustix::io::Errno;
use std::any::Any;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A shared reference to a node of any filesystem.
pub type NodeRef = Arc<dyn Node>;

/// One file, directory or link of a filesystem. This trait and [`OpenFile`] are all that a backend
/// provides; paths, mounts and open descriptors are made of them.
///
/// **Alive while referenced.** A node stands for the thing itself, not for a name: after renames it is
/// still the same one, and when its last name is gone it goes on working for whoever holds it. There
/// is no `forget`: dropping the last reference is forgetting, and gives back what the node held.
///
/// **Judged where it is done.** Whatever acts on a name or on attributes takes the [`Caller`] and
/// judges it in the same step, under the same lock, as the act. What needs no name is judged once, by
/// [`Node::access`] or [`Node::open`], on the very node that is used afterwards. So a kernel that
/// resolves first and judges second never acts on anything else than what it judged; one that has
/// judged by its own rights says so with [`Judged::Before`](crate::Judged::Before).
///
/// **Links are text.** No operation follows a symbolic link, and none takes more than one name, so
/// nothing leads from a node anywhere but to its own entries.
///
/// **All or nothing.** An operation that fails has changed nothing: no entry, no time, no count of
/// used bytes. Where a backend can't promise that, its own documentation says so.
///
/// **Never pretended.** What a backend can't do it refuses with [`Error::NotSupported`], which is what
/// the provided methods do.
///
/// A backend that wraps nodes of another one knows its own again by [`Node::into_any`], and hands
/// [`Error::CrossDevice`] to those who bring nodes of a third.
pub trait Node: Send + Sync + 'static {
    /// Who this is. As long as the node is held, no other has the same.
    fn id(&self) -> NodeId;

    /// What this is. It never changes.
    fn kind(&self) -> Kind;

    /// True when operations may wait for a disk or a network, false for pure memory.
    fn blocks(&self) -> bool;

    /// The attributes now. Nobody is kept from asking.
    fn attr(&self) -> Result<Attr>;

    /// Changes attributes, all that are asked for or none, and returns all of them as they are then.
    ///
    /// # Errors
    /// What [`Caller::judge_change`] says; [`Error::TooBig`] and [`Error::NoSpace`] for a length.
    fn set_attr(&self, by: &Caller, set: &SetAttr) -> Result<Attr>;

    /// Whether the caller may do all of `want` with this node.
    ///
    /// # Errors
    /// [`Error::AccessDenied`]; [`Error::ReadOnly`] for writing where nobody may.
    fn access(&self, by: &Caller, want: Want) -> Result<()> {
        by.check((&self.attr()?).into(), want)
    }

    /// The entry `name` of this directory.
    ///
    /// # Errors
    /// [`Error::NotADirectory`], then [`Error::AccessDenied`] if the caller may not search it, then
    /// [`Error::NotFound`].
    fn lookup(&self, by: &Caller, name: Name<'_>) -> Result<NodeRef>;

    /// Makes a regular file of this mode, less what [`Caller::owner_of_new`] takes off; a umask is the
    /// caller's own affair. The name must be free; a link there is not followed. To open what was just
    /// made whatever its mode, open it as [`Caller::judged_before`].
    ///
    /// # Errors
    /// Of everything that makes an entry: [`Error::NotADirectory`]; [`Error::NotFound`] if this
    /// directory was removed; [`Error::Exists`]; [`Error::AccessDenied`]; [`Error::NoSpace`].
    fn create(&self, by: &Caller, name: Name<'_>, mode: u32) -> Result<NodeRef>;

    /// Makes a directory.
    fn mkdir(&self, by: &Caller, name: Name<'_>, mode: u32) -> Result<NodeRef>;

    /// Makes a symbolic link; `target` is text of 1 to 4095 bytes without NUL.
    ///
    /// # Errors
    /// Also [`Error::NotFound`] for an empty target, [`Error::InvalidPath`], [`Error::NameTooLong`].
    fn symlink(&self, by: &Caller, name: Name<'_>, target: &[u8]) -> Result<NodeRef>;

    /// Makes a pipe, socket or device. A device is for privileged callers: else [`Error::NotPermitted`].
    fn mknod(&self, by: &Caller, name: Name<'_>, special: Special, mode: u32) -> Result<NodeRef> {
        let _ = (by, name, special, mode);
        Err(Error::NotSupported("special files"))
    }

    /// Gives `node` one more name here.
    ///
    /// # Errors
    /// Also [`Error::NotPermitted`] for a directory, [`Error::CrossDevice`], [`Error::LinkLimit`], and
    /// [`Error::NotFound`] for a node whose last name is gone.
    fn link(&self, by: &Caller, name: Name<'_>, node: &NodeRef) -> Result<()> {
        let _ = (by, name, node);
        Err(Error::NotSupported("hard links"))
    }

    /// Takes a name away from anything but a directory.
    ///
    /// # Errors
    /// Of everything that removes an entry: [`Error::NotADirectory`]; [`Error::NotFound`];
    /// [`Error::AccessDenied`] by this directory's mode; [`Error::NotPermitted`] by its sticky bit.
    /// Then [`Error::IsADirectory`].
    fn unlink(&self, by: &Caller, name: Name<'_>) -> Result<()>;

    /// Removes an empty directory: else [`Error::NotADirectory`] or [`Error::NotEmpty`].
    fn rmdir(&self, by: &Caller, name: Name<'_>) -> Result<()>;

    /// Moves an entry, atomically for everyone who looks. Renaming to another name of the same node
    /// does nothing.
    ///
    /// # Errors
    /// In this order: [`Error::CrossDevice`] if `to_dir` is of another filesystem;
    /// [`Error::NotADirectory`]; [`Error::NotFound`]; [`Error::Exists`] by [`Rename::NoReplace`];
    /// [`Error::InvalidArgument`] for a directory into itself or below; [`Error::NotEmpty`] for
    /// one in place of its own ancestor; then those of removing and making; [`Error::NotADirectory`] or
    /// [`Error::IsADirectory`] where one replaces the other; [`Error::AccessDenied`] where a directory
    /// that may not be written would get another parent; [`Error::NotEmpty`].
    fn rename(
        &self,
        by: &Caller,
        name: Name<'_>,
        to_dir: &NodeRef,
        to_name: Name<'_>,
        how: Rename,
    ) -> Result<()>;

    /// Lists the entries after `cursor` (0: from the start) in a stable order, without `.` and `..`.
    /// `sink` returns false to stop; the entry it did so for counts as not taken. An entry that exists
    /// throughout a listing, also one in several calls, is seen exactly once, whatever else comes and
    /// goes. No lock is held while `sink` runs.
    ///
    /// It judges nobody: whoever lists asks for [`Want::READ`] once, when beginning.
    fn read_dir(&self, cursor: u64, sink: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()>;

    /// The target of a symbolic link; [`Error::InvalidArgument`] for anything else.
    fn read_link(&self) -> Result<Vec<u8>>;

    /// Opens a regular file. The holder keeps to the access it asked for; not every filesystem can
    /// tell afterwards. What the file is opened for is judged here and not again.
    ///
    /// # Errors
    /// [`Error::IsADirectory`], [`Error::TooManyLinks`] for a link, [`Error::NotSupported`] for what else
    /// is no file, [`Error::AccessDenied`].
    fn open(self: Arc<Self>, by: &Caller, access: Access) -> Result<Arc<dyn OpenFile>>;

    /// How much the filesystem of this node holds.
    fn stat_fs(&self) -> Result<StatFs>;

    /// Returns when that much is as durable as the filesystem makes it.
    fn sync(&self, reach: Reach) -> Result<()>;

    /// The value of an extended attribute: [`Error::NoAttribute`] if there is none.
    fn xattr(&self, by: &Caller, name: &[u8]) -> Result<Vec<u8>> {
        let _ = (by, name);
        Err(Error::NotSupported("extended attributes"))
    }

    /// Sets an extended attribute of up to 64 KiB. Names are 1 to 255 bytes without NUL and begin with
    /// a namespace: `user.` goes by the node's mode, `trusted.` is for the privileged.
    fn set_xattr(&self, by: &Caller, name: &[u8], value: &[u8], how: SetXattr) -> Result<()> {
        let _ = (by, name, value, how);
        Err(Error::NotSupported("extended attributes"))
    }

    /// The names of all extended attributes that the caller may see, in order.
    fn list_xattrs(&self, by: &Caller) -> Result<Vec<Vec<u8>>> {
        let _ = by;
        Err(Error::NotSupported("extended attributes"))
    }

    /// Takes an extended attribute away.
    fn remove_xattr(&self, by: &Caller, name: &[u8]) -> Result<()> {
        let _ = (by, name);
        Err(Error::NotSupported("extended attributes"))
    }

    /// The concrete type, for filesystems that need to recognise their own nodes.
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;

    /// For a node that is seen through something, such as a mount: through what, and what is beneath. So
    /// one file may be seen in two ways, of which one is read-only; both have one [`NodeId`].
    fn beneath(&self) -> Option<(MountId, &NodeRef)> {
        None
    }

    /// For a node that is seen through something that can be taken away: as long as the answer is kept that is in use, as it is
    /// by an open file.
    fn hold(&self) -> Option<Box<dyn Any + Send + Sync>> {
        None
    }

    /// For a node that is a real file of the host: a duplicate of an `O_PATH` descriptor on it, to
    /// start a program from or to change into.
    fn host_fd(&self) -> Option<std::io::Result<OwnedFd>> {
        None
    }
}

/// A regular file opened for reading or writing. There is no position: whoever needs one keeps it.
/// Dropping it closes it.
pub trait OpenFile: Send + Sync + 'static {
    /// Fills `buf` from `offset` as far as the file goes; 0 at or after the end.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize>;

    /// Up to `max` bytes from `offset`. No more is allocated than the file has there.
    fn read_bytes(&self, offset: u64, max: usize) -> Result<Bytes>;

    /// Appends to `data` what there is from `offset`, up to `max` bytes, and says how much that was. No more is allocated
    /// than the file has there, or a little. Failing, it has appended nothing.
    fn read_onto(&self, offset: u64, max: usize, data: &mut Vec<u8>) -> Result<usize> {
        let before = data.len();
        let read = read_by_length(self, offset, max, data);
        if read.is_err() {
            data.truncate(before);
        }
        read
    }

    /// Writes at `offset`, extending the file as needed; bytes skipped over read as zero.
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<usize>;

    /// Writes all of `data` at the end, in one piece even against other appends, and returns the
    /// offset it went to.
    fn append(&self, data: &[u8]) -> Result<u64>;

    /// Makes `data` the whole content. Whether readers can see a moment in between, and what is left
    /// after a failure, is up to the filesystem.
    fn replace(&self, data: &[u8]) -> Result<()>;

    /// Cuts the file to `len` or extends it with zeros. The time of change moves even if the length
    /// does not.
    fn set_len(&self, len: u64) -> Result<()>;

    /// Changes what is stored of a range, which is not empty, without writing data.
    fn allocate(&self, offset: u64, len: u64, how: Allocate) -> Result<()> {
        let _ = (offset, len, how);
        Err(Error::NotSupported("allocating"))
    }

    /// The first offset at or after `offset` where data or a hole begins; the end of the file counts
    /// as a hole. [`Error::PastEnd`] at or after the end, and when no data comes any more.
    fn seek(&self, offset: u64, to: Seek) -> Result<u64> {
        let _ = (offset, to);
        Err(Error::NotSupported("telling holes"))
    }

    /// Returns when everything written is as durable as the filesystem makes it.
    fn sync(&self) -> Result<()>;

    /// The attributes now.
    fn attr(&self) -> Result<Attr>;
}

/// More than the length is asked for, so that the end is seen when it is reached.
const ASK: usize = 64;

/// At once, as far as it goes now, and then until there is no more: a length may be told wrongly, or not at all.
fn read_by_length<F: OpenFile + ?Sized>(
    file: &F,
    offset: u64,
    max: usize,
    data: &mut Vec<u8>,
) -> Result<usize> {
    let before = data.len();
    loop {
        let done = data.len() - before;
        let at = offset.saturating_add(done as u64);
        let left = file.attr()?.size.saturating_sub(at);
        let room = usize::try_from(left).unwrap_or(usize::MAX).saturating_add(ASK).min(max - done);
        data.try_reserve(room).map_err(|_| Error::from(Errno::NOMEM))?;
        let filled = data.len();
        data.resize(filled + room, 0);
        let read = file.read_at(at, &mut data[filled..])?;
        data.truncate(filled + read);
        // A file fills what it is given as far as it goes.
        if read < room || data.len() - before == max {
            return Ok(data.len() - before);
        }
    }
}

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
    /// True if this includes reading.
    pub fn reads(self) -> bool {
        self != Access::Write
    }

    /// True if this includes writing.
    pub fn writes(self) -> bool {
        self != Access::Read
    }

    /// What the file's mode must allow for it.
    pub fn wants(self) -> Want {
        match self {
            Access::Read => Want::READ,
            Access::Write => Want::WRITE,
            Access::ReadWrite => Want::READ | Want::WRITE,
        }
    }
}

/// How a rename treats a name that is already there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rename {
    /// What has it loses it.
    #[default]
    Replace,
    /// Refuse with [`Error::Exists`].
    NoReplace,
    /// Swap the two; both must exist.
    Exchange,
}

/// What an extended attribute is expected to be before it is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SetXattr {
    /// Anything.
    #[default]
    Any,
    /// Absent: else [`Error::Exists`].
    New,
    /// There: else [`Error::NoAttribute`].
    Replace,
}

/// What becomes of a range of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocate {
    /// Space is set aside for it, so that writing there can't run out; the file grows to hold it.
    Reserve,
    /// The same, but the length stays.
    ReserveKeepingLength,
    /// It becomes a hole; the length stays.
    Punch,
    /// It reads as zeros, and space is set aside for it; the file grows to hold it.
    Zero,
    /// The same, but the length stays.
    ZeroKeepingLength,
}

/// What to look for in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// The next data.
    Data,
    /// The next hole.
    Hole,
}

/// How far a sync reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// This node: its content, entries and attributes.
    Node,
    /// Its whole filesystem.
    FileSystem,
}

/// One entry of a directory while it is being listed.
#[derive(Clone, Copy, Debug)]
pub struct DirEntry<'a> {
    /// Its name in the directory.
    pub name: Name<'a>,
    /// What it is.
    pub kind: Kind,
    /// Its number within its filesystem.
    pub ino: u64,
    /// Where to continue so that this entry is the last one already seen.
    pub cursor: u64,
}
