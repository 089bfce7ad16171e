//! Everything that changes a directory or the attributes of a file on the host.
//!
//! Callers are judged here by the modes on the host, before the host is asked as the process that we are.
//! Somebody on the host may change a mode or swap a name in between; what happens then happens to the
//! entry of that name in the very directory that was judged, and nowhere else.

use super::attr::stat;
use super::held::{Held, reopen_as_path};
use super::node::LocalNode;
use crate::path::check_target;
use crate::{
    Access, Caller, Error, Kind, Name, NodeRef, Owner, Rename, Result, SetAttr, SetTime, Special, Want,
};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Statx, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT,
    Uid, chmodat, chownat, ftruncate, linkat, makedev, mkdirat, mknodat, openat, renameat_with, symlinkat,
    unlinkat, utimensat,
};
use rustix::io::Errno;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// The bits that may be set on a file of the host: not those that lend rights.
const MODE_BITS: u32 = 0o1777;

impl LocalNode {
    pub(super) fn make_file(&self, by: &Caller, name: Name<'_>, mode: u32) -> Result<LocalNode> {
        let owner = self.owner_of_new(by, name, Kind::File, mode)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(self.fd(), name.as_bytes(), flags, mode_of(owner.mode))?;
        let fd = reopen_as_path(&self.host.fds, file.as_fd())?;
        self.start_with(fd, owner)
    }

    pub(super) fn make_directory(&self, by: &Caller, name: Name<'_>, mode: u32) -> Result<LocalNode> {
        let owner = self.owner_of_new(by, name, Kind::Directory, mode)?;
        mkdirat(self.fd(), name.as_bytes(), mode_of(owner.mode))?;
        self.start_with(self.find_made(name)?, owner)
    }

    pub(super) fn make_symlink(&self, by: &Caller, name: Name<'_>, target: &[u8]) -> Result<LocalNode> {
        check_target(target)?;
        let owner = self.owner_of_new(by, name, Kind::Symlink, 0o777)?;
        symlinkat(target, self.fd(), name.as_bytes())?;
        self.start_with(self.find_made(name)?, owner)
    }

    /// Pipes and sockets only: a device would lend the host's own.
    pub(super) fn make_special(
        &self,
        by: &Caller,
        name: Name<'_>,
        special: Special,
        mode: u32,
    ) -> Result<LocalNode> {
        let file_type = match special {
            Special::Fifo => FileType::Fifo,
            Special::Socket => FileType::Socket,
            Special::CharDevice(_) | Special::BlockDevice(_) => {
                return Err(Error::NotSupported("devices on the host"));
            }
        };
        let owner = self.owner_of_new(by, name, special.kind(), mode)?;
        mknodat(self.fd(), name.as_bytes(), file_type, mode_of(owner.mode), makedev(0, 0))?;
        self.start_with(self.find_made(name)?, owner)
    }

    pub(super) fn make_link(&self, by: &Caller, name: Name<'_>, node: &NodeRef) -> Result<()> {
        let node = self.recognise(node)?;
        self.owner_of_new(by, name, node.kind, 0)?;
        // Only now: the name being taken comes first.
        let link = |dir: BorrowedFd<'_>, again: &CStr| {
            linkat(dir, again, self.fd(), name.as_bytes(), AtFlags::SYMLINK_FOLLOW)
        };
        Ok(node.again(link)?)
    }

    pub(super) fn remove(&self, by: &Caller, name: Name<'_>, directory: bool) -> Result<()> {
        self.check_removal(by, name, false)?;
        let flags = if directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        Ok(unlinkat(self.fd(), name.as_bytes(), flags)?)
    }

    pub(super) fn move_entry(
        &self,
        by: &Caller,
        name: Name<'_>,
        to_dir: &NodeRef,
        to_name: Name<'_>,
        how: Rename,
    ) -> Result<()> {
        let to_dir = self.recognise(to_dir)?;
        let elsewhere = to_dir.id() != self.id();
        self.check_removal(by, name, elsewhere)?;
        match to_dir.check_removal(by, to_name, elsewhere && how == Rename::Exchange) {
            Err(Error::NotFound) if how != Rename::Exchange => {
                to_dir.permit(by, Want::WRITE | Want::SEARCH)?;
            }
            Err(error) => return Err(error),
            Ok(()) => {}
        }
        let flags = match how {
            Rename::Replace => RenameFlags::empty(),
            Rename::NoReplace => RenameFlags::NOREPLACE,
            Rename::Exchange => RenameFlags::EXCHANGE,
        };
        Ok(renameat_with(self.fd(), name.as_bytes(), to_dir.fd(), to_name.as_bytes(), flags)?)
    }

    pub(super) fn change_attr(&self, by: &Caller, set: &SetAttr) -> Result<()> {
        if *set == SetAttr::default() {
            return Ok(());
        }
        self.host.check_writable()?;
        let now = Owner::from(&self.attr_now()?);
        let then = by.judge_change(now, set)?;
        if let Some(len) = set.size {
            set_len(self.reopen(Access::Write)?, len)?;
        }
        if set.uid.is_some() || set.gid.is_some() {
            self.change_owner(set.uid, set.gid)?;
        }
        if self.kind != Kind::Symlink && (set.mode.is_some() || then.mode != now.mode) {
            self.again(|dir, name| chmodat(dir, name, mode_of(then.mode), AtFlags::empty()))?;
        }
        if set.accessed.is_some() || set.modified.is_some() {
            let times = Timestamps {
                last_access: timespec_of(set.accessed),
                last_modification: timespec_of(set.modified),
            };
            self.again(|dir, name| utimensat(dir, name, &times, AtFlags::empty()))?;
        }
        Ok(())
    }

    fn change_owner(&self, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        Ok(self.again(|dir, name| chownat(dir, name, uid, gid, AtFlags::empty()))?)
    }

    fn start_with(&self, fd: OwnedFd, owner: Owner) -> Result<LocalNode> {
        let stat = stat(&fd)?;
        let node = LocalNode::told(&self.host, Held::by_path(fd), &stat);
        // Someone on the host may have been quicker, and put something else under the name.
        if node.kind != owner.kind {
            return Err(Error::Stale);
        }
        node.begin_as(owner, &stat)?;
        Ok(node)
    }

    /// Gives a node just made what it is to start with, as far as the host let it come otherwise.
    pub(super) fn begin_as(&self, owner: Owner, stat: &Statx) -> Result<()> {
        if (stat.stx_uid, stat.stx_gid) != (owner.uid, owner.gid) {
            match self.change_owner(Some(owner.uid), Some(owner.gid)) {
                Ok(()) | Err(Error::NotPermitted) => {}
                Err(error) => return Err(error),
            }
        }
        // The file mode mask of the process may have taken bits away.
        if self.kind != Kind::Symlink && u32::from(stat.stx_mode) & 0o7777 != owner.mode & MODE_BITS {
            self.again(|dir, name| chmodat(dir, name, mode_of(owner.mode), AtFlags::empty()))?;
        }
        Ok(())
    }

    /// What was just made under a name.
    fn find_made(&self, name: Name<'_>) -> Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(self.fd(), name.as_bytes(), flags, Mode::empty())?)
    }

    /// What a new node here belongs to, if the caller may make one: a name that is taken comes first.
    fn owner_of_new(&self, by: &Caller, name: Name<'_>, kind: Kind, mode: u32) -> Result<Owner> {
        if self.kind != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        if !by.is_privileged() {
            self.permit(by, Want::SEARCH)?;
            if self.find(name).is_ok() {
                return Err(Error::Exists);
            }
        }
        self.host.check_writable()?;
        self.permit(by, Want::WRITE | Want::SEARCH)?;
        Ok(by.owner_of_new(Owner::from(&self.attr_now()?), kind, mode))
    }

    /// Whether the caller may take a name away here, or give what has it another parent.
    fn check_removal(&self, by: &Caller, name: Name<'_>, elsewhere: bool) -> Result<()> {
        self.host.check_writable()?;
        if by.is_privileged() {
            return Ok(());
        }
        if self.kind != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        self.permit(by, Want::SEARCH)?;
        let victim = self.find(name)?;
        let dir = Owner::from(&self.attr_now()?);
        by.check(dir, Want::WRITE | Want::SEARCH)?;
        by.check_sticky(dir, victim.attr_now()?.uid)?;
        if elsewhere && victim.kind == Kind::Directory { victim.permit(by, Want::WRITE) } else { Ok(()) }
    }

    /// The node as one of this filesystem.
    fn recognise(&self, node: &NodeRef) -> Result<Arc<LocalNode>> {
        let local = NodeRef::clone(node).into_any().downcast::<LocalNode>().ok();
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

pub(super) fn mode_of(mode: u32) -> Mode {
    Mode::from_raw_mode(mode & MODE_BITS)
}

fn timespec_of(time: Option<SetTime>) -> Timespec {
    match time {
        Some(SetTime::To(time)) => Timespec { tv_sec: time.secs, tv_nsec: time.nanos.into() },
        Some(SetTime::Now) => Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
        None => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
    }
}
