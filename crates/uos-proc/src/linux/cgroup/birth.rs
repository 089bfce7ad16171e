//! Groups that a process can be made in.

use std::ffi::c_int;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::dir::Dir;

/// Whether processes can be made in groups here: so it seems, until it was tried in vain.
///
/// It takes Linux 5.7, a filter around this program may forbid it, and some kernels (6.18 is one) take whoever is made in
/// a group that was once killed for one that is being made while it is killed; so do they in every group, if this program's
/// own was.
#[derive(Debug, Default)]
pub(super) struct Births {
    /// How many in a row were killed as they came into being.
    stillborn: AtomicU8,
}

/// So many in a row are no accident.
const ENOUGH: u8 = 3;

impl Births {
    pub(super) fn are_possible(&self) -> bool {
        self.stillborn.load(Ordering::Relaxed) < ENOUGH
    }
}

/// A group of the second version that a child is made in, instead of moving there: to let a process move, the kernel has to
/// be sure that nobody is just beginning or ending one, and waits until all processors have turned to something else. That
/// takes milliseconds, unless it has just done so.
#[derive(Debug)]
pub(crate) struct Birthplace {
    dir: Arc<Dir>,
    births: Arc<Births>,
}

impl Birthplace {
    /// In `dir`, if that can be.
    pub(super) fn of(dir: &Arc<Dir>, births: &Arc<Births>) -> Option<Self> {
        births.are_possible().then(|| Birthplace { dir: Arc::clone(dir), births: Arc::clone(births) })
    }

    /// Says that a child was made in it, and lives.
    pub(crate) fn succeeded(&self) {
        self.births.stillborn.store(0, Ordering::Relaxed);
    }

    /// Says that a child was killed as it came into being.
    pub(crate) fn was_stillborn(&self) {
        self.births.stillborn.fetch_add(1, Ordering::Relaxed);
    }

    /// Says why the kernel would not make one. What is about a lack of something may be over the next time.
    pub(crate) fn refused(&self, errno: c_int) {
        let for_good = [libc::ENOSYS, libc::EINVAL, libc::E2BIG, libc::EPERM, libc::EACCES, libc::EOPNOTSUPP];
        if for_good.contains(&errno) {
            self.births.stillborn.store(ENOUGH, Ordering::Relaxed);
        }
    }
}

impl AsFd for Birthplace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}
