//! [`Node`] for a file of the host: what only looks is here, what changes things is handed on.

use super::attr::{attr_of, kind_of, stat, stat_but_for_times};
use super::file::LocalFile;
use super::held::{Held, Lent};
use super::{Host, listing};
use crate::{
    Access, Attr, Caller, DirEntry, Error, FsId, Kind, Name, Node, NodeId, NodeRef, OpenFile, Reach, Rename,
    Result, SetAttr, SetXattr, Special, StatFs, Want,
};
use rustix::fs::{FileType, Mode, OFlags, StatVfsMountFlags, Statx, fstatvfs, openat, readlinkat};
use std::any::Any;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};

/// One file of the host, held by a descriptor. As long as that is open its device and inode
/// number are not given to another file, and its kind does not change.
pub(super) struct LocalNode {
    pub(super) host: Arc<Host>,
    pub(super) held: Held,
    pub(super) kind: Kind,
    /// Asked for when somebody wants to know, if nothing else had to be asked before.
    id: OnceLock<NodeId>,
    /// How long it was when it was looked at first.
    pub(super) len: u64,
}

impl LocalNode {
    pub(super) fn new(host: &Arc<Host>, fd: OwnedFd) -> Result<Self> {
        let stat = stat_but_for_times(&fd)?;
        Ok(LocalNode::told(host, Held::by_path(fd), &stat))
    }

    /// A node of which the host has told already.
    pub(super) fn told(host: &Arc<Host>, held: Held, stat: &Statx) -> Self {
        let kind = kind_of(FileType::from_raw_mode(u32::from(stat.stx_mode)));
        LocalNode { host: host.clone(), held, kind, id: OnceLock::from(host.id_of(stat)), len: stat.stx_size }
    }

    /// What was opened as a directory.
    pub(super) fn directory(host: &Arc<Host>, fd: OwnedFd) -> Self {
        let (held, kind) = (Held::by_path(fd), Kind::Directory);
        LocalNode { host: host.clone(), held, kind, id: OnceLock::new(), len: 0 }
    }

    pub(super) fn id(&self) -> NodeId {
        // A host that has let go of what is held open (of its own, over a network) won't say; then it is like no other.
        *self.id.get_or_init(|| match stat(self.fd()) {
            Ok(stat) => self.host.id_of(&stat),
            Err(_) => NodeId { fs: FsId::new(), ino: u64::MAX, generation: 0 },
        })
    }

    pub(super) fn fd(&self) -> Lent<'_> {
        self.held.lend()
    }

    /// The attributes of what is not a node yet, by one question.
    pub(super) fn attr_of_new(host: &Host, fd: &OwnedFd) -> Result<Attr> {
        let stat = stat(fd)?;
        let kind = kind_of(FileType::from_raw_mode(u32::from(stat.stx_mode)));
        Ok(attr_of(host.id_of(&stat), kind, &stat))
    }

    /// The entry `name`, whatever it is, itself.
    pub(super) fn find(&self, name: Name<'_>) -> Result<LocalNode> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        LocalNode::new(&self.host, openat(self.fd(), name.as_bytes(), flags, Mode::empty())?)
    }

    /// Does something by a name that leads to this very file, whatever its own names are now.
    pub(super) fn again<T>(
        &self,
        act: impl FnOnce(BorrowedFd<'_>, &CStr) -> rustix::io::Result<T>,
    ) -> rustix::io::Result<T> {
        let lent = self.fd();
        let again = self.host.fds.of(lent.as_fd())?;
        act(again.dir(), again.name())
    }

    /// The same for what the host takes whole paths for.
    pub(super) fn by_path<T>(
        &self,
        act: impl FnOnce(&str) -> rustix::io::Result<T>,
    ) -> rustix::io::Result<T> {
        let lent = self.fd();
        act(&format!("/proc/self/fd/{}", lent.as_fd().as_raw_fd()))
    }

    pub(super) fn attr_now(&self) -> Result<Attr> {
        let stat = stat(self.fd())?;
        Ok(attr_of(*self.id.get_or_init(|| self.host.id_of(&stat)), self.kind, &stat))
    }

    /// Judges a caller whom mode bits may hold back, by the mode as it is now.
    pub(super) fn permit(&self, by: &Caller, want: Want) -> Result<()> {
        if by.is_privileged() && !want.includes(Want::EXECUTE) {
            return Ok(());
        }
        if by.is_privileged() && self.kind == Kind::Directory {
            return Ok(());
        }
        by.check((&self.attr_now()?).into(), want)
    }

    /// Opens a regular file for real. Nothing else: opening a device or a pipe can wait or do things.
    pub(super) fn reopen(&self, access: Access) -> Result<OwnedFd> {
        match self.kind {
            Kind::File => {}
            Kind::Directory => return Err(Error::IsADirectory),
            Kind::Symlink => return Err(Error::TooManyLinks),
            _ => return Err(Error::NotSupported("devices, pipes and sockets are not opened")),
        }
        if access.writes() {
            self.host.check_writable()?;
        }
        let flags = flags_of(access) | OFlags::CLOEXEC | OFlags::NOCTTY;
        Ok(self.again(|dir, name| openat(dir, name, flags, Mode::empty()))?)
    }
}

impl Node for LocalNode {
    fn id(&self) -> NodeId {
        self.id()
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn blocks(&self) -> bool {
        true
    }

    fn attr(&self) -> Result<Attr> {
        self.attr_now()
    }

    fn set_attr(&self, by: &Caller, set: &SetAttr) -> Result<Attr> {
        self.change_attr(by, set)?;
        self.attr()
    }

    fn access(&self, by: &Caller, want: Want) -> Result<()> {
        if want.includes(Want::WRITE) && matches!(self.kind, Kind::File | Kind::Directory | Kind::Symlink) {
            self.host.check_writable()?;
        }
        self.permit(by, want)
    }

    fn lookup(&self, by: &Caller, name: Name<'_>) -> Result<NodeRef> {
        if self.kind == Kind::Directory {
            self.permit(by, Want::SEARCH)?;
        }
        Ok(Arc::new(self.find(name)?))
    }

    fn create(&self, by: &Caller, name: Name<'_>, mode: u32) -> Result<NodeRef> {
        Ok(Arc::new(self.make_file(by, name, mode)?))
    }

    fn mkdir(&self, by: &Caller, name: Name<'_>, mode: u32) -> Result<NodeRef> {
        Ok(Arc::new(self.make_directory(by, name, mode)?))
    }

    fn symlink(&self, by: &Caller, name: Name<'_>, target: &[u8]) -> Result<NodeRef> {
        Ok(Arc::new(self.make_symlink(by, name, target)?))
    }

    fn mknod(&self, by: &Caller, name: Name<'_>, special: Special, mode: u32) -> Result<NodeRef> {
        Ok(Arc::new(self.make_special(by, name, special, mode)?))
    }

    fn link(&self, by: &Caller, name: Name<'_>, node: &NodeRef) -> Result<()> {
        self.make_link(by, name, node)
    }

    fn unlink(&self, by: &Caller, name: Name<'_>) -> Result<()> {
        self.remove(by, name, false)
    }

    fn rmdir(&self, by: &Caller, name: Name<'_>) -> Result<()> {
        self.remove(by, name, true)
    }

    fn rename(
        &self,
        by: &Caller,
        name: Name<'_>,
        to_dir: &NodeRef,
        to_name: Name<'_>,
        how: Rename,
    ) -> Result<()> {
        self.move_entry(by, name, to_dir, to_name, how)
    }

    fn read_dir(&self, cursor: u64, sink: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        listing::read_dir(self, cursor, sink)
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        if self.kind != Kind::Symlink {
            return Err(Error::InvalidArgument("not a link"));
        }
        Ok(readlinkat(self.fd(), "", Vec::new())?.into_bytes())
    }

    fn open(self: Arc<Self>, by: &Caller, access: Access) -> Result<Arc<dyn OpenFile>> {
        if self.kind == Kind::File {
            self.permit(by, access.wants())?;
        }
        let file = self.reopen(access)?;
        Ok(Arc::new(LocalFile::new(self, Arc::new(file))))
    }

    fn stat_fs(&self) -> Result<StatFs> {
        let stat = fstatvfs(self.fd())?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(StatFs {
            fs: self.id().fs,
            block_size: u32::try_from(stat.f_bsize).unwrap_or(4096),
            bytes_total: bytes(stat.f_blocks),
            bytes_free: bytes(stat.f_bfree),
            bytes_available: bytes(stat.f_bavail),
            nodes_total: stat.f_files,
            nodes_free: stat.f_ffree,
            name_max: u32::try_from(stat.f_namemax).unwrap_or(255),
            read_only: self.host.read_only || stat.f_flag.contains(StatVfsMountFlags::RDONLY),
        })
    }

    fn sync(&self, reach: Reach) -> Result<()> {
        self.make_durable(reach)
    }

    fn xattr(&self, by: &Caller, name: &[u8]) -> Result<Vec<u8>> {
        self.get_attribute(by, name)
    }

    fn set_xattr(&self, by: &Caller, name: &[u8], value: &[u8], how: SetXattr) -> Result<()> {
        self.set_attribute(by, name, value, how)
    }

    fn list_xattrs(&self, by: &Caller) -> Result<Vec<Vec<u8>>> {
        self.list_attributes(by)
    }

    fn remove_xattr(&self, by: &Caller, name: &[u8]) -> Result<()> {
        self.remove_attribute(by, name)
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn host_fd(&self) -> Option<std::io::Result<OwnedFd>> {
        Some(self.held.for_others(&self.host.fds).map_err(Into::into))
    }
}

/// How the host is told what a file is opened for.
pub(super) fn flags_of(access: Access) -> OFlags {
    match access {
        Access::Read => OFlags::RDONLY,
        Access::Write => OFlags::WRONLY,
        Access::ReadWrite => OFlags::RDWR,
    }
}
