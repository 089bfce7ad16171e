//! [`Node`] for a file of the host: what only looks is here, what changes things is handed on.

use super::attr::{attr_of, device_of, kind_of, stat};
use super::file::LocalFile;
use super::{Host, listing};
use crate::path::check_name;
use crate::{
    Access, Attr, DirEntry, Error, Kind, New, Node, NodeId, NodeRef, OpenFile, RenameFlags, Result, SetAttr,
    StatFs,
};
use rustix::fs::{CWD, FileType, Mode, OFlags, StatVfsMountFlags, fstatvfs, openat, readlinkat};
use rustix::io::fcntl_dupfd_cloexec;
use std::any::Any;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

/// One file of the host, held by an `O_PATH` descriptor. As long as that is open its device and inode
/// number are not given to another file, and its kind does not change.
pub(super) struct LocalNode {
    pub(super) host: Arc<Host>,
    pub(super) fd: OwnedFd,
    pub(super) id: NodeId,
    pub(super) kind: Kind,
}

impl LocalNode {
    pub(super) fn new(host: &Arc<Host>, fd: OwnedFd) -> Result<Self> {
        let stat = stat(&fd)?;
        let id = NodeId { fs: host.fs_of(device_of(&stat)), ino: stat.stx_ino };
        let kind = kind_of(FileType::from_raw_mode(u32::from(stat.stx_mode)));
        Ok(LocalNode { host: host.clone(), fd, id, kind })
    }

    /// The entry `name`, whatever it is, itself.
    pub(super) fn find(&self, name: &[u8]) -> Result<LocalNode> {
        check_name(name)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        LocalNode::new(&self.host, openat(&self.fd, name, flags, Mode::empty())?)
    }

    /// A path that leads to this very file, whatever its names are now.
    pub(super) fn again(&self) -> String {
        format!("/proc/self/fd/{}", self.fd.as_raw_fd())
    }

    /// Opens a regular file for real. Nothing else: opening a device or a pipe can wait or do things.
    pub(super) fn reopen(&self, access: Access) -> Result<OwnedFd> {
        match self.kind {
            Kind::File => {}
            Kind::Directory => return Err(Error::IsADirectory),
            Kind::Symlink => return Err(Error::TooManyLinks),
            Kind::Other => return Err(Error::NotSupported("devices, pipes and sockets are not opened")),
        }
        if access.writes() {
            self.host.check_writable()?;
        }
        let mode = match access {
            Access::Read => OFlags::RDONLY,
            Access::Write => OFlags::WRONLY,
            Access::ReadWrite => OFlags::RDWR,
        };
        Ok(openat(CWD, self.again(), mode | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())?)
    }
}

impl Node for LocalNode {
    fn id(&self) -> NodeId {
        self.id
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn blocks(&self) -> bool {
        true
    }

    fn attr(&self) -> Result<Attr> {
        Ok(attr_of(self.id, self.kind, &stat(&self.fd)?))
    }

    fn set_attr(&self, set: &SetAttr) -> Result<Attr> {
        self.change_attr(set)?;
        self.attr()
    }

    fn lookup(&self, name: &[u8]) -> Result<NodeRef> {
        Ok(Arc::new(self.find(name)?))
    }

    fn create(&self, name: &[u8], new: &New) -> Result<NodeRef> {
        Ok(Arc::new(self.make_file(name, new)?))
    }

    fn mkdir(&self, name: &[u8], new: &New) -> Result<NodeRef> {
        Ok(Arc::new(self.make_directory(name, new)?))
    }

    fn symlink(&self, name: &[u8], target: &[u8], new: &New) -> Result<NodeRef> {
        Ok(Arc::new(self.make_symlink(name, target, new)?))
    }

    fn link(&self, name: &[u8], node: &NodeRef) -> Result<()> {
        self.make_link(name, node)
    }

    fn unlink(&self, name: &[u8]) -> Result<()> {
        self.remove(name, false)
    }

    fn rmdir(&self, name: &[u8]) -> Result<()> {
        self.remove(name, true)
    }

    fn rename(&self, name: &[u8], to_dir: &NodeRef, to_name: &[u8], flags: RenameFlags) -> Result<()> {
        self.move_entry(name, to_dir, to_name, flags)
    }

    fn read_dir(&self, cursor: u64, sink: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        listing::read_dir(self, cursor, sink)
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        if self.kind != Kind::Symlink {
            return Err(Error::InvalidArgument("not a link"));
        }
        Ok(readlinkat(&self.fd, "", Vec::new())?.into_bytes())
    }

    fn open(self: Arc<Self>, access: Access) -> Result<Arc<dyn OpenFile>> {
        let file = self.reopen(access)?;
        Ok(Arc::new(LocalFile::new(self, file)))
    }

    fn stat_fs(&self) -> Result<StatFs> {
        let stat = fstatvfs(&self.fd)?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(StatFs {
            fs: self.id.fs,
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

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn host_fd(&self) -> Option<std::io::Result<OwnedFd>> {
        Some(fcntl_dupfd_cloexec(&self.fd, 0).map_err(Into::into))
    }
}
