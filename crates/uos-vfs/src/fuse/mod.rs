//! Filesystems at real mount points, by FUSE. Feature `fuse`; Linux.
//!
//! ```no_run
//! use uos_vfs::MemFs;
//! use uos_vfs::fuse::{Mount, View};
//!
//! let fs = MemFs::builder().build();
//! let mount = Mount::options().whole(View::of(fs.root())).start("/mnt/uos".as_ref())?;
//! // Until it is dropped, everybody on the host sees the same files as we do.
//! mount.unmount()?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Who asks is judged by the host's kernel, by the attributes that we tell (`default_permissions`): it knows
//! all groups of a process, a request names one. Writes are not held back by the host, so whoever reads by
//! another way sees them at once. The other way round the host may show what was for as long as
//! [`Options::ttl`]; [`Mount::changed`] ends that. With [`Options::watches`] nobody needs to say so: what is changed
//! through those the host is told within moments. Only what crosses an answer that is just on its way, and names if
//! tens of thousands change at once, may still be shown for that time. Locks are kept by the host, and so are each
//! view's own, unless [`Options::locks`] says where.

mod answers;
mod attr;
mod change;
mod export;
mod handles;
mod linger;
mod list;
mod locks;
mod shared;
mod stale;
mod table;
mod view;

pub use view::View;

use crate::lock::Locks;
use crate::watch::{Hears, Watches};
use crate::{Name, NodeRef};
use export::Export;
use fuser::{BackgroundSession, Config, MountOption, Session, SessionACL};
use locks::Bridge;
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use shared::Shared;
use stale::Stale;
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{JoinHandle, available_parallelism};
use std::time::Duration;

/// How to mount.
#[derive(Clone, Debug)]
#[must_use]
pub struct Options {
    whole: Option<View>,
    ttl: Duration,
    tells_opens: Option<bool>,
    threads: usize,
    read_only: bool,
    lends_rights: bool,
    name: String,
    watches: Option<Watches>,
    locks: Option<Locks>,
}

impl Options {
    /// Shows this at the mount point itself. Without it the mount point is a directory of views, empty at
    /// first; see [`Mount::add_view`].
    pub fn whole(self, view: View) -> Self {
        Options { whole: Some(view), ..self }
    }

    /// How long the host may show what it knows without asking. One second unless told otherwise.
    pub fn ttl(self, ttl: Duration) -> Self {
        Options { ttl, ..self }
    }

    /// Tells the host what is changed through these otherwise than by itself, so that it forgets what it knows of that.
    /// Views see each other's changes the same way.
    pub fn watches(self, watches: &Watches) -> Self {
        Options { watches: Some(watches.clone()), ..self }
    }

    /// The host does not tell when something is opened or closed: what it has read lately is then read again
    /// without asking, at the price of a file that stays open for us as long as the host knows it. So it is
    /// anyway for a whole view of files in memory, where that costs nothing.
    ///
    /// With this a directory must be listed by cursors that fit into 62 bits, as those of memory do.
    pub fn without_opens(self) -> Self {
        Options { tells_opens: Some(false), ..self }
    }

    /// Processes of the host lock ranges (fcntl(2)) among these, so that they and we keep each other out, and those of
    /// different views too. Whoever has to wait does so until it has the lock, or a signal. Without it the host keeps them.
    ///
    /// What is asked of the host then: when something is opened or closed it tells us, which takes a request each time; closing any
    /// descriptor of a file lets go of all that its process has locked of that. Locks of open files (`F_OFD_SETLK`) go when the last who has
    /// the file open closes it, as the host says nothing earlier; `F_GETLK` can't say which process is in the way.
    /// Whole files (flock(2)) stay with the host, among its own processes: what `fuser` hands on of such a request doesn't say that it is one.
    pub fn locks(self, locks: &Locks) -> Self {
        Options { locks: Some(locks.clone()), ..self }
    }

    /// How many threads serve it, four unless told otherwise. With one alone a slow file holds up all. Where requests follow on each
    /// other and there is more than one core, one of them looks for the next for a few ten microseconds before it sleeps.
    pub fn threads(self, threads: usize) -> Self {
        Options { threads: threads.max(1), ..self }
    }

    /// The host takes no changes at all.
    pub fn read_only(self) -> Self {
        Options { read_only: true, ..self }
    }

    /// Set-user-id programs and devices on it work for those who use it. Without this they do not.
    pub fn lends_rights(self) -> Self {
        Options { lends_rights: true, ..self }
    }

    /// What the host calls it in its table of mounts: `uos` unless told otherwise.
    pub fn name(self, name: impl Into<String>) -> Self {
        Options { name: name.into(), ..self }
    }

    /// Mounts it on a directory. What a process that died has left mounted there is detached first.
    ///
    /// Only root can let others use it; for whoever may not, it is mounted for its own user alone, which
    /// [`Mount::is_for_others`] tells.
    ///
    /// # Errors
    /// What the host says, with `EACCES` or `ENOENT` also for a machine without FUSE.
    pub fn start(self, at: &Path) -> io::Result<Mount> {
        detach_if_dead(at)?;
        let at = at.canonicalize()?;
        let in_memory = self.whole.as_ref().is_some_and(|view| !view.root.blocks() && view.is_alone());
        let tells_opens = self.locks.is_some() || self.tells_opens.unwrap_or(!in_memory);
        let bridge = self.locks.as_ref().map(Bridge::new);
        let shared = Arc::new(Shared::new(self.whole.clone(), tells_opens, self.ttl, bridge));
        // Heard of before the host knows anything.
        let stale = self.watches.as_ref().map(|watches| {
            let stale = Stale::new(&shared);
            let hears: Arc<dyn Hears> = Arc::<Stale>::clone(&stale);
            watches.heard_by(&hears);
            stale
        });
        let mut config = Config::default();
        config.n_threads = Some(self.threads);
        config.clone_fd = self.threads > 1;
        config.mount_options = vec![
            MountOption::FSName(self.name.clone()),
            MountOption::Subtype("uos".to_owned()),
            MountOption::DefaultPermissions,
            if self.read_only { MountOption::RO } else { MountOption::RW },
        ];
        if self.lends_rights {
            config.mount_options.extend([MountOption::Suid, MountOption::Dev]);
        }
        config.acl = SessionACL::All;
        let session = match Session::new(Export::new(&shared), &at, &config) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                config.acl = SessionACL::Owner;
                Session::new(Export::new(&shared), &at, &config)?
            }
            mounted => mounted?,
        };
        if available_parallelism().is_ok_and(|cores| cores.get() > 1) {
            shared.linger.on(session.as_fd().try_clone_to_owned()?);
        }
        let session = session.spawn()?;
        let is_for_others = config.acl == SessionACL::All;
        let mut mount = Mount { at, shared, is_for_others, session: Some(session), stale: None };
        if let (Some(stale), Some(session)) = (stale, &mount.session) {
            let thread = stale.start(session.notifier())?;
            mount.stale = Some((stale, thread));
        }
        Ok(mount)
    }
}

/// A mounted filesystem. Dropping it unmounts it; whoever has something open there meanwhile keeps that until
/// the process ends.
#[derive(Debug)]
pub struct Mount {
    at: PathBuf,
    shared: Arc<Shared>,
    is_for_others: bool,
    session: Option<BackgroundSession>,
    stale: Option<(Arc<Stale>, JoinHandle<()>)>,
}

impl Mount {
    /// Nothing mounted yet.
    pub fn options() -> Options {
        Options {
            whole: None,
            ttl: Duration::from_secs(1),
            tells_opens: None,
            threads: 4,
            read_only: false,
            lends_rights: false,
            name: "uos".to_owned(),
            watches: None,
            locks: None,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.at
    }

    /// Whether other users than the one of this process may use it.
    pub fn is_for_others(&self) -> bool {
        self.is_for_others
    }

    /// Shows a view as a directory of the mount point. Nothing leads from it to another: whoever has only
    /// that directory, bound somewhere else, sees only that view, and its files have numbers of their own.
    ///
    /// # Errors
    /// [`Error::Exists`](crate::Error::Exists) for a name that is taken,
    /// [`Error::NotSupported`](crate::Error::NotSupported) if the mount point itself shows a view.
    pub fn add_view(&self, name: Name<'_>, view: View) -> crate::Result<()> {
        self.shared.add_view(name, view)
    }

    /// Takes a view away. What is open in it answers `ESTALE` from then on.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound).
    pub fn remove_view(&self, name: Name<'_>) -> crate::Result<()> {
        self.shared.remove_view(name)?;
        if let Some(session) = &self.session {
            // What the host doesn't know of it need not forget.
            let name = OsStr::from_bytes(name.as_bytes());
            let _ = session.notifier().inval_entry(fuser::INodeNo::ROOT, name);
        }
        Ok(())
    }

    /// Lets the host forget what it knows of a node that has been changed otherwise than through it.
    pub fn changed(&self, node: &NodeRef) {
        let Some(session) = &self.session else { return };
        for number in self.shared.numbers_of(node.id()) {
            let _ = session.notifier().inval_inode(fuser::INodeNo(number), 0, 0);
        }
    }

    /// The same of an entry of a directory, which leads to something else or nothing since.
    pub fn entry_changed(&self, dir: &NodeRef, name: Name<'_>) {
        let Some(session) = &self.session else { return };
        for number in self.shared.numbers_of(dir.id()) {
            let name = OsStr::from_bytes(name.as_bytes());
            let _ = session.notifier().inval_entry(fuser::INodeNo(number), name);
        }
    }

    /// Waits until somebody else has unmounted it.
    pub fn wait(mut self) -> io::Result<()> {
        let ended = self.session.take().map_or(Ok(()), BackgroundSession::join);
        stop_telling(self.stale.take());
        match ended {
            // By an unmount, or cut off: then what is left answers so to everything.
            Err(error) if is_cut(&error) && !is_dead(&self.at) => Ok(()),
            ended => ended,
        }
    }

    /// Unmounts it. It is gone from the tree of the host when this returns, and nobody uses it any more if
    /// the answer is true; else whoever still does keeps it until they let go or this process ends.
    pub fn unmount(mut self) -> io::Result<bool> {
        self.end()
    }

    fn end(&mut self) -> io::Result<bool> {
        let Some(session) = self.session.take() else { return Ok(true) };
        let ended = match unmount(&self.at, UnmountFlags::empty()) {
            // Gone already, by somebody else's hand.
            Ok(()) | Err(Errno::INVAL) => unless_cut(session.join()).map(|()| true),
            Err(Errno::PERM) => unless_cut(session.umount_and_join()).map(|()| true),
            Err(Errno::BUSY) => {
                unmount(&self.at, UnmountFlags::DETACH)?;
                // Serves on until the last one lets go, and tells them what changes.
                let stale = self.stale.take();
                let serve = move || {
                    let _ = session.join();
                    stop_telling(stale);
                };
                std::thread::Builder::new().name("fuse-detached".to_owned()).spawn(serve)?;
                return Ok(false);
            }
            Err(errno) => Err(errno.into()),
        };
        stop_telling(self.stale.take());
        ended
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // There is nobody left to tell; `unmount` tells.
        let _ = self.end();
    }
}

/// After what is told could reach anybody: telling waits for the host.
fn stop_telling(stale: Option<(Arc<Stale>, JoinHandle<()>)>) {
    if let Some((stale, thread)) = stale {
        stale.end();
        // It has nothing to say but that it panicked, which it has said.
        let _ = thread.join();
    }
}

/// A thread that reads requests as the host unmounts is told mostly that there is no device any more, which is the end, and now
/// and then that the connection was cut (seen on Linux 6.18 after much had been written). Both are what was asked for.
fn unless_cut(ended: io::Result<()>) -> io::Result<()> {
    ended.or_else(|error| if is_cut(&error) { Ok(()) } else { Err(error) })
}

fn is_cut(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::CONNABORTED.raw_os_error())
}

/// A filesystem whose process is gone answers so to everything, also to being mounted over.
fn detach_if_dead(at: &Path) -> io::Result<()> {
    if is_dead(at) { Ok(unmount(at, UnmountFlags::DETACH)?) } else { Ok(()) }
}

fn is_dead(at: &Path) -> bool {
    // Its attributes the host may still know; this it has to ask for.
    rustix::fs::statfs(at).is_err_and(|errno| errno == Errno::NOTCONN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_was_cut_by_an_unmount_has_ended_well() {
        let of = |errno: Errno| Err(io::Error::from(errno));
        assert!(unless_cut(Ok(())).is_ok());
        assert!(unless_cut(of(Errno::CONNABORTED)).is_ok());
        for errno in [Errno::IO, Errno::INVAL, Errno::NOTCONN] {
            let told = unless_cut(of(errno)).unwrap_err();
            assert_eq!(told.raw_os_error(), Some(errno.raw_os_error()));
        }
        assert!(unless_cut(Err(io::Error::other("a thread panicked"))).is_err());
    }
}
