//! Locking an open file. What locks mean is told in [`crate::lock`].

use super::Descriptor;
use crate::lock::{HeldLock, LockKind, LockOwner, LockRange, LockWait, Locks, Space};
use crate::{Error, Result};
use std::sync::atomic::Ordering;

/// The text of ENOTSUP.
const NO_LOCKS: Error = Error::NotSupported("locks on what was opened without");

impl Descriptor {
    /// The owner that this open file is itself, with all its duplicates.
    pub fn lock_owner(&self) -> LockOwner {
        LockOwner::OpenFile(self.0.id)
    }

    /// Locks a range for an owner, in place of what it had there.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] if somebody else's lock is in the way; [`Error::BadDescriptor`] unless opened for reading, if it
    /// is to be shared, or for writing; [`Error::InvalidArgument`] for another open file as the owner, or a process of the host;
    /// [`Error::TooManyLocks`]; [`Error::NotSupported`] without [`Descriptor::with_locks`].
    pub fn try_lock(&self, owner: LockOwner, range: LockRange, kind: LockKind) -> Result<()> {
        self.judge(owner, kind)?;
        self.locks()?.ask(Space::Ranges, &self.0.node, HeldLock { owner, range, kind })
    }

    /// The same, but waits until nobody is in the way.
    ///
    /// # Errors
    /// Those of [`Descriptor::try_lock`] but [`Error::WouldBlock`]; [`Error::Deadlock`] if the owner would wait for itself;
    /// [`Error::BadDescriptor`] too if meanwhile the owner is told to be no more.
    pub fn lock(&self, owner: LockOwner, range: LockRange, kind: LockKind) -> LockWait {
        self.wait(Space::Ranges, HeldLock { owner, range, kind }, self.judge(owner, kind))
    }

    /// Lets go of a range, as far as the owner has locked it.
    ///
    /// # Errors
    /// [`Error::TooManyLocks`] if that cuts one in two and the owner may not have so many; [`Error::NotSupported`].
    pub fn unlock(&self, owner: LockOwner, range: LockRange) -> Result<()> {
        self.locks()?.unlock(Space::Ranges, &self.0.node, owner, range)
    }

    /// Somebody else's lock that is in the way of one, if there is any.
    ///
    /// # Errors
    /// [`Error::NotSupported`].
    pub fn lock_in_the_way(
        &self,
        owner: LockOwner,
        range: LockRange,
        kind: LockKind,
    ) -> Result<Option<HeldLock>> {
        Ok(self.locks()?.in_the_way(Space::Ranges, &self.0.node, HeldLock { owner, range, kind }))
    }

    /// Locks the file as a whole for this open file, in place of what it had.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] if another open file's lock is in the way; then it has what it had. [`Error::NotSupported`].
    pub fn try_lock_whole(&self, kind: LockKind) -> Result<()> {
        self.locks()?.ask(Space::Whole, &self.0.node, self.whole(kind))
    }

    /// The same, but waits until nobody is in the way. If it has to wait, it lets go first of what it had, as with flock(2).
    ///
    /// # Errors
    /// [`Error::NotSupported`]; [`Error::BadDescriptor`] if the last duplicate is dropped meanwhile.
    pub fn lock_whole(&self, kind: LockKind) -> LockWait {
        self.wait(Space::Whole, self.whole(kind), Ok(()))
    }

    /// Lets go of the file as a whole.
    ///
    /// # Errors
    /// [`Error::NotSupported`].
    pub fn unlock_whole(&self) -> Result<()> {
        self.locks()?.unlock(Space::Whole, &self.0.node, self.lock_owner(), LockRange::ALL)
    }

    /// False if it was opened with other locks.
    pub(crate) fn may_be_locked_among(&self, locks: &Locks) -> bool {
        self.0.locks.as_ref().is_none_or(|own| own.are(locks))
    }

    fn whole(&self, kind: LockKind) -> HeldLock {
        self.0.locked.store(true, Ordering::Relaxed);
        HeldLock { owner: self.lock_owner(), range: LockRange::ALL, kind }
    }

    fn wait(&self, space: Space, wish: HeldLock, judged: Result<()>) -> LockWait {
        match self.locks() {
            Ok(locks) => locks.wait(space, &self.0.node, wish).refused(judged.err()),
            // One for itself alone, as there is nobody to be locked against.
            Err(error) => Locks::new().wait(space, &self.0.node, wish).refused(Some(error)),
        }
    }

    fn locks(&self) -> Result<&Locks> {
        self.0.locks.as_ref().ok_or(NO_LOCKS)
    }

    fn judge(&self, owner: LockOwner, kind: LockKind) -> Result<()> {
        self.check(match kind {
            LockKind::Shared => self.0.access.reads(),
            LockKind::Exclusive => self.0.access.writes(),
        })?;
        match owner {
            LockOwner::Given(_) => Ok(()),
            // Of another, nobody would know when to let go.
            LockOwner::OpenFile(id) if id != self.0.id => {
                Err(Error::InvalidArgument("the owner is another open file"))
            }
            LockOwner::OpenFile(_) => {
                self.0.locked.store(true, Ordering::Relaxed);
                Ok(())
            }
            LockOwner::Host { .. } => Err(Error::InvalidArgument("the owner is a process of the host")),
        }
    }
}
