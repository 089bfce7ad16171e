//! A directory of the host and everything below it.
//!
//! A node is an `O_PATH` descriptor: it stands for the file itself, not for a name. A lookup takes one
//! name from one descriptor without following links; reading, writing and changing attributes go
//! through `/proc/self/fd`, which leads to the same file again. A path of more than one name is only ever
//! given to the host with the order to take our root for its own (openat2(2)), so nothing that others do to the tree
//! meanwhile can lead outside of it.

mod again;
mod attr;
mod change;
mod extended;
mod file;
mod held;
mod listing;
mod node;

use crate::path::check_path;
use crate::resolve::{NoMounts, resolve};
use crate::{
    Access, Attr, Error, FsId, How, Kind, NodeId, NodeRef, OpenFile, Owner, Place, Result, Tree, Unresolved,
};
use again::Fds;
use file::LocalFile;
use held::Held;
use node::LocalNode;
use parking_lot::Mutex;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, Statx, openat, openat2};
use rustix::process::{getegid, geteuid};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

/// A directory of the host as a filesystem. It needs `/proc`.
///
/// Links are handed out as text, for the resolver to follow inside its own tree. Devices, pipes and
/// sockets have names and attributes but are never opened. New nodes get the owner asked for if the
/// process may give files away and stay with the process otherwise. The set-user-id and set-group-id
/// bits are never set: they would lend the rights of this process to users of the host.
///
/// Changes of several attributes at once, and replacing content, take several steps on the host; a
/// failure or a reader may come between them.
pub struct LocalFs {
    root: NodeRef,
    host: Arc<Host>,
    /// The root again, for paths that the host resolves.
    fd: OwnedFd,
}

impl LocalFs {
    /// The filesystem below `dir`; if that is a link, below where it leads now. With `read_only` every
    /// change is refused as [`Error::ReadOnly`].
    ///
    /// # Errors
    /// What opening `dir` as a directory gives; [`Error::NotSupported`] without `/proc`.
    pub fn open(dir: &Path, read_only: bool) -> Result<LocalFs> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = openat(CWD, dir, flags, Mode::empty())?;
        let ours = (geteuid().as_raw(), getegid().as_raw());
        let host = Arc::new(Host { read_only, ours, fds: Fds::open()?, devices: Mutex::new(Vec::new()) });
        let root = Arc::new(LocalNode::new(&host, fd.try_clone().map_err(|error| of_io(&error))?)?);
        Ok(LocalFs { root, host, fd })
    }

    /// The root directory.
    pub fn root(&self) -> NodeRef {
        self.root.clone()
    }
}

impl Tree for LocalFs {
    fn resolve(&self, path: &[u8], how: &How<'_>) -> std::result::Result<Place, Unresolved> {
        resolve(&self.root, &NoMounts, path, how)
    }

    fn find(&self, path: &[u8], how: &How<'_>) -> Result<NodeRef> {
        match self.at_once(path, how) {
            // With a slash behind it the host finds nothing else.
            Some(fd) if path.ends_with(b"/") => Ok(Arc::new(LocalNode::directory(&self.host, fd))),
            Some(fd) => Ok(Arc::new(LocalNode::new(&self.host, fd)?)),
            None => {
                self.resolve(path, how).map_err(|unresolved| unresolved.error)?.node.ok_or(Error::NotFound)
            }
        }
    }

    fn look(&self, path: &[u8], how: &How<'_>) -> Result<Attr> {
        match self.at_once(path, how) {
            Some(fd) => LocalNode::attr_of_new(&self.host, &fd),
            None => self.find(path, how)?.attr(),
        }
    }

    fn create_at_once(
        &self,
        path: &[u8],
        how: &How<'_>,
        mode: u32,
        access: Access,
    ) -> Option<Result<(NodeRef, Arc<dyn OpenFile>)>> {
        // Whoever is as we are gets the owner and, where a directory hands it down, the group from the host.
        if self.host.read_only || (how.by.uid, how.by.gid) != self.host.ours {
            return None;
        }
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOCTTY | node::flags_of(access);
        let fd = self.open_at_once(path, how, flags, change::mode_of(mode))?;
        Some(self.made(fd, Owner { uid: how.by.uid, gid: how.by.gid, mode, kind: Kind::File }))
    }
}

impl LocalFs {
    /// What a path leads to, resolved by the host as if our root were its root; `None` as of
    /// [`LocalFs::open_at_once`].
    fn at_once(&self, path: &[u8], how: &How<'_>) -> Option<OwnedFd> {
        if how.makes_file {
            return None;
        }
        let last = if how.follow_last { OFlags::empty() } else { OFlags::NOFOLLOW };
        self.open_at_once(path, how, OFlags::PATH | last, Mode::empty())
    }

    /// For callers whom no mode holds back; `None` for others, and wherever that fails, for the resolver to say why.
    fn open_at_once(&self, path: &[u8], how: &How<'_>, flags: OFlags, mode: Mode) -> Option<OwnedFd> {
        if !how.by.is_privileged() || how.memory_only {
            return None;
        }
        if path.first() != Some(&b'/') && !how.base.is_root() {
            return None;
        }
        check_path(path).ok()?;
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        openat2(&self.fd, path, flags | OFlags::CLOEXEC, mode, inside).ok()
    }

    /// What was made and opened in one.
    fn made(&self, fd: OwnedFd, mut owner: Owner) -> Result<(NodeRef, Arc<dyn OpenFile>)> {
        let (stat, fd) = (attr::stat_but_for_times(&fd)?, Arc::new(fd));
        let node = LocalNode::told(&self.host, Held::by_opened(&fd), &stat);
        if stat.stx_gid != owner.gid && stat.stx_gid != getegid().as_raw() {
            owner.gid = stat.stx_gid;
        }
        node.begin_as(owner, &stat)?;
        let node = Arc::new(node);
        Ok((Arc::clone(&node) as NodeRef, Arc::new(LocalFile::new(node, fd))))
    }
}

fn of_io(error: &std::io::Error) -> Error {
    Error::from_errno(error.raw_os_error().unwrap_or(0))
}

/// What all nodes of one `LocalFs` share.
struct Host {
    read_only: bool,
    /// User and group of this process.
    ours: (u32, u32),
    fds: Fds,
    /// The devices met so far. Inode numbers are unique on one device only, so each counts as a
    /// filesystem of its own. There are few.
    devices: Mutex<Vec<((u32, u32), FsId)>>,
}

impl Host {
    fn id_of(&self, stat: &Statx) -> NodeId {
        NodeId {
            fs: self.fs_of(attr::device_of(stat)),
            ino: stat.stx_ino,
            generation: attr::generation_of(stat),
        }
    }

    fn fs_of(&self, device: (u32, u32)) -> FsId {
        let mut devices = self.devices.lock();
        if let Some(&(_, fs)) = devices.iter().find(|(known, _)| *known == device) {
            return fs;
        }
        let fs = FsId::new();
        devices.push((device, fs));
        fs
    }

    fn check_writable(&self) -> Result<()> {
        if self.read_only { Err(Error::ReadOnly) } else { Ok(()) }
    }
}
