//! The descriptor that a node is held by.

use super::again::Fds;
use rustix::fs::{Mode, OFlags, openat};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock, Weak};

/// As long as there is one, the number of the file is not given to another. Nearly always it is one with `O_PATH`, which
/// lets nobody read or write and keeps nobody from executing the file. Only what was opened in the step that made it is held by that very
/// descriptor while it is open: one more would cost as much as making the file.
pub(super) struct Held {
    kept: OnceLock<Kept>,
    opened: Weak<OwnedFd>,
}

enum Kept {
    Path(OwnedFd),
    /// There was no room for one more descriptor when the file was closed.
    Opened(Arc<OwnedFd>),
}

/// Borrowed for one step.
pub(super) enum Lent<'a> {
    Kept(BorrowedFd<'a>),
    Opened(Arc<OwnedFd>),
}

impl Held {
    /// By a descriptor with `O_PATH`.
    pub(super) fn by_path(fd: OwnedFd) -> Self {
        Held { kept: OnceLock::from(Kept::Path(fd)), opened: Weak::new() }
    }

    /// By one that reads or writes, until whoever has opened it calls [`Held::keep`].
    pub(super) fn by_opened(fd: &Arc<OwnedFd>) -> Self {
        Held { kept: OnceLock::new(), opened: Arc::downgrade(fd) }
    }

    pub(super) fn lend(&self) -> Lent<'_> {
        if let Some(kept) = self.kept.get() {
            return Lent::Kept(kept.as_fd());
        }
        if let Some(opened) = self.opened.upgrade() {
            return Lent::Opened(opened);
        }
        Lent::Kept(self.kept.get().expect("whoever closes it has kept one before").as_fd())
    }

    /// The file is being closed, and the node is not.
    pub(super) fn keep(&self, fds: &Fds, opened: &Arc<OwnedFd>) {
        self.kept.get_or_init(|| match reopen_as_path(fds, opened.as_fd()) {
            Ok(fd) => Kept::Path(fd),
            Err(_) => Kept::Opened(Arc::clone(opened)),
        });
    }

    /// One with `O_PATH` for somebody else.
    pub(super) fn for_others(&self, fds: &Fds) -> rustix::io::Result<OwnedFd> {
        match self.kept.get() {
            Some(Kept::Path(fd)) => rustix::io::fcntl_dupfd_cloexec(fd, 0),
            _ => reopen_as_path(fds, self.lend().as_fd()),
        }
    }
}

/// From the descriptor, not from a name: that may be another file by now.
pub(super) fn reopen_as_path(fds: &Fds, fd: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    let again = fds.of(fd)?;
    openat(again.dir(), again.name(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

impl AsFd for Kept {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Kept::Path(fd) => fd.as_fd(),
            Kept::Opened(fd) => fd.as_fd(),
        }
    }
}

impl AsFd for Lent<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Lent::Kept(fd) => fd.as_fd(),
            Lent::Opened(fd) => fd.as_fd(),
        }
    }
}
