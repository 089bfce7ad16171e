//! Everything that changes a directory or the attributes of a file on the host.

use super::attr::stat;
use super::node::LocalNode;
use crate::path::{check_name, check_target};
use crate::{Access, Error, Kind, New, NodeRef, RenameFlags, Result, SetAttr, Timestamp};
use rustix::fs::{
    AtFlags, CWD, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, chmodat, chownat, ftruncate,
    linkat, mkdirat, openat, renameat_with, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;
use std::os::fd::AsRawFd;
use std::sync::Arc;

/// The bits that may be set on a file of the host: not those that lend rights.
const MODE_BITS: u32 = 0o1777;

impl LocalNode {
    pub(super) fn make_file(&self, name: &[u8], new: &New) -> Result<LocalNode> {
        self.check_change(name)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.fd, name, flags, mode_of(new.mode))?;
        // From the descriptor, not from the name: that may be another file by now.
        let itself = format!("/proc/self/fd/{}", file.as_raw_fd());
        let fd = openat(CWD, itself, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        LocalNode::new(&self.host, fd)?.start_with(new)
    }

    pub(super) fn make_directory(&self, name: &[u8], new: &New) -> Result<LocalNode> {
        self.check_change(name)?;
        mkdirat(&self.fd, name, mode_of(new.mode))?;
        self.find_made(name, Kind::Directory)?.start_with(new)
    }

    pub(super) fn make_symlink(&self, name: &[u8], target: &[u8], new: &New) -> Result<LocalNode> {
        check_target(target)?;
        self.check_change(name)?;
        symlinkat(target, &self.fd, name)?;
        self.find_made(name, Kind::Symlink)?.start_with(new)
    }

    pub(super) fn make_link(&self, name: &[u8], node: &NodeRef) -> Result<()> {
        self.check_change(name)?;
        let node = self.recognise(node)?;
        Ok(linkat(CWD, node.again(), &self.fd, name, AtFlags::SYMLINK_FOLLOW)?)
    }

    pub(super) fn remove(&self, name: &[u8], directory: bool) -> Result<()> {
        self.check_change(name)?;
        let flags = if directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        Ok(unlinkat(&self.fd, name, flags)?)
    }

    pub(super) fn move_entry(
        &self,
        name: &[u8],
        to_dir: &NodeRef,
        to_name: &[u8],
        flags: RenameFlags,
    ) -> Result<()> {
        self.check_change(name)?;
        self.check_change(to_name)?;
        let to_dir = self.recognise(to_dir)?;
        let mut bits = rustix::fs::RenameFlags::empty();
        bits.set(rustix::fs::RenameFlags::NOREPLACE, flags.no_replace);
        bits.set(rustix::fs::RenameFlags::EXCHANGE, flags.exchange);
        Ok(renameat_with(&self.fd, name, &to_dir.fd, to_name, bits)?)
    }

    pub(super) fn change_attr(&self, set: &SetAttr) -> Result<()> {
        if *set == SetAttr::default() {
            return Ok(());
        }
        self.host.check_writable()?;
        if self.kind == Kind::Symlink && set.size.is_some() {
            return Err(Error::InvalidArgument("links have no length to set"));
        }
        if self.kind == Kind::Symlink && set.mode.is_some() {
            return Err(Error::NotSupported("links have no mode"));
        }
        set.check()?;
        if let Some(len) = set.size {
            set_len(self.reopen(Access::Write)?, len)?;
        }
        if set.uid.is_some() || set.gid.is_some() {
            self.change_owner(set.uid, set.gid)?;
        }
        if let Some(mode) = set.mode {
            chmodat(CWD, self.again(), mode_of(mode), AtFlags::empty())?;
        }
        if set.accessed.is_some() || set.modified.is_some() {
            let times = Timestamps {
                last_access: timespec_of(set.accessed),
                last_modification: timespec_of(set.modified),
            };
            utimensat(CWD, self.again(), &times, AtFlags::empty())?;
        }
        Ok(())
    }

    fn change_owner(&self, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        Ok(chownat(CWD, self.again(), uid, gid, AtFlags::empty())?)
    }

    /// Gives a node just made what it is to start with, as far as the host let it come otherwise.
    fn start_with(self, new: &New) -> Result<Self> {
        let stat = stat(&self.fd)?;
        if (stat.stx_uid, stat.stx_gid) != (new.uid, new.gid) {
            match self.change_owner(Some(new.uid), Some(new.gid)) {
                Ok(()) | Err(Error::NotPermitted) => {}
                Err(error) => return Err(error),
            }
        }
        // The file mode mask of the process may have taken bits away.
        if self.kind != Kind::Symlink && u32::from(stat.stx_mode) & 0o7777 != new.mode & MODE_BITS {
            chmodat(CWD, self.again(), mode_of(new.mode), AtFlags::empty())?;
        }
        Ok(self)
    }

    /// Looks up what was just made under a name. Someone on the host may have been quicker.
    fn find_made(&self, name: &[u8], kind: Kind) -> Result<LocalNode> {
        let node = self.find(name)?;
        if node.kind == kind { Ok(node) } else { Err(Error::Stale) }
    }

    fn check_change(&self, name: &[u8]) -> Result<()> {
        check_name(name)?;
        self.host.check_writable()
    }

    /// The node as one of this filesystem.
    fn recognise<'a>(&self, node: &'a NodeRef) -> Result<&'a LocalNode> {
        let local = node.as_any().downcast_ref::<LocalNode>();
        local.filter(|local| Arc::ptr_eq(&local.host, &self.host)).ok_or(Error::CrossDevice)
    }
}

/// Lengths beyond the signed offsets of the host are too big, not malformed.
pub(super) fn set_len(file: impl std::os::fd::AsFd, len: u64) -> Result<()> {
    if i64::try_from(len).is_err() {
        return Err(Error::TooBig);
    }
    loop {
        match ftruncate(&file, len) {
            Err(Errno::INTR) => {}
            done => return Ok(done?),
        }
    }
}

fn mode_of(mode: u32) -> Mode {
    Mode::from_raw_mode(mode & MODE_BITS)
}

fn timespec_of(time: Option<Timestamp>) -> Timespec {
    match time {
        Some(time) => Timespec { tv_sec: time.secs, tv_nsec: time.nanos.into() },
        None => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
    }
}
