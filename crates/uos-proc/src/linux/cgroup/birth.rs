//! Groups that a process can be made in.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::dir::Dir;

/// Whether processes can be made in groups here: so it seems, until it was tried in vain.
///
/// It takes Linux 5.7, a filter around this program may forbid it, and some kernels (6.18 is one) take whoever is made in
/// a group that was once killed for one that is being made while it is killed.
#[derive(Debug)]
pub(super) struct Births(AtomicBool);

impl Default for Births {
    fn default() -> Self {
        Births(AtomicBool::new(true))
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
        let are_possible = births.0.load(Ordering::Relaxed);
        are_possible.then(|| Birthplace { dir: Arc::clone(dir), births: Arc::clone(births) })
    }

    /// Says that a child could not be made in it, but could elsewhere.
    pub(crate) fn has_failed(&self) {
        self.births.0.store(false, Ordering::Relaxed);
    }
}

impl AsFd for Birthplace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}
