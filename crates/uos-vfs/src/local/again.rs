//! The way from a descriptor to its file once more, to open it or to change it, whatever its names are now.

use crate::{Error, Result};
use rustix::fs::{CWD, Mode, OFlags, PROC_SUPER_MAGIC, fstatfs, openat};
use rustix::path::DecInt;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The directory in `/proc` that has a link for each descriptor of this process. Going there by its path takes longer
/// than the rest of opening a file.
pub(super) struct Fds {
    dir: OwnedFd,
    process: u32,
}

/// Where one descriptor leads.
pub(super) struct Again<'a> {
    dir: Dir<'a>,
    name: DecInt,
}

enum Dir<'a> {
    Known(BorrowedFd<'a>),
    /// After fork(2) the one that is known is still the parent's.
    Own(OwnedFd),
}

impl Fds {
    /// # Errors
    /// [`Error::NotSupported`] where `/proc` is something else; what opening it gives.
    pub(super) fn open() -> Result<Self> {
        let dir = open_own()?;
        if fstatfs(&dir)?.f_type != PROC_SUPER_MAGIC {
            return Err(Error::NotSupported("files of the host without its /proc"));
        }
        Ok(Fds { dir, process: std::process::id() })
    }

    pub(super) fn of(&self, fd: BorrowedFd<'_>) -> rustix::io::Result<Again<'_>> {
        let dir = if std::process::id() == self.process {
            Dir::Known(self.dir.as_fd())
        } else {
            Dir::Own(open_own()?)
        };
        Ok(Again { dir, name: DecInt::from_fd(fd) })
    }
}

impl Again<'_> {
    pub(super) fn dir(&self) -> BorrowedFd<'_> {
        match &self.dir {
            Dir::Known(dir) => *dir,
            Dir::Own(dir) => dir.as_fd(),
        }
    }

    /// To be followed, though it is a link.
    pub(super) fn name(&self) -> &CStr {
        self.name.as_c_str()
    }
}

fn open_own() -> rustix::io::Result<OwnedFd> {
    openat(CWD, "/proc/self/fd", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}
