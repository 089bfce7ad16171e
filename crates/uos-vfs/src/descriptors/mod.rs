//! What one process has open.

mod numbers;
mod table;

pub use table::FdTable;

use crate::lock::{LockKind, LockOwner, LockRange, Locks};
use crate::{Descriptor, Error, File, Readiness, Result};
use parking_lot::Mutex;
use std::fmt;
use std::ops::RangeInclusive;

/// The descriptors of a process by their numbers: a table of open files, and what closing one means for the locks of the
/// process. It may be used by several threads at once; what is at work on a file when its number is closed finishes.
///
/// ```
/// use uos_vfs::lock::Locks;
/// use uos_vfs::{Descriptors, FileSystem, MemFs, OpenOptions};
///
/// let (fs, locks) = (MemFs::builder().build(), Locks::new());
/// let process = Descriptors::new(1, &locks, 1024);
/// let fd = process.open(false, || fs.open("/f", &OpenOptions::read_write().create(0o644)))?;
/// let same = process.dup(fd)?;
/// process.get(fd)?.write(b"hello")?;
/// assert_eq!(process.get(same)?.position(), 5);
/// process.close(fd)?;
/// assert_eq!(process.dup(same)?, fd);
/// # Ok::<(), uos_vfs::Error>(())
/// ```
pub struct Descriptors {
    /// Nothing is closed and no lock is let go while it is held.
    table: Mutex<FdTable<Descriptor>>,
    locks: Locks,
    owner: LockOwner,
}

impl Descriptors {
    /// Of a process that is the owner of its locks by this number, and may have numbers below the limit.
    pub fn new(owner: u64, locks: &Locks, limit: u32) -> Self {
        let (table, locks) = (Mutex::new(FdTable::new(limit)), locks.clone());
        Descriptors { table, locks, owner: LockOwner::Given(owner) }
    }

    /// What a child of the process has after fork(2): the same open files by the same numbers, but no locks.
    #[must_use]
    pub fn fork(&self, owner: u64) -> Self {
        let table = Mutex::new(self.table.lock().fork());
        Descriptors { table, locks: self.locks.clone(), owner: LockOwner::Given(owner) }
    }

    /// Opens something once there is a number for it, so that nothing is made or cut that then gets none.
    ///
    /// # Errors
    /// [`Error::TooManyFiles`]; then those of `open`.
    pub fn open(&self, close_on_exec: bool, open: impl FnOnce() -> Result<File>) -> Result<u32> {
        let reserved = Reserved { table: &self.table, fd: Some(self.table.lock().reserve()?) };
        let file = Descriptor::with_locks(open()?, &self.locks);
        reserved.fill(file, close_on_exec)
    }

    /// Gives what is open already a number.
    ///
    /// # Errors
    /// [`Error::TooManyFiles`]; [`Error::InvalidArgument`] for what was opened with other locks than the process has, which nobody
    /// would let go of.
    pub fn insert(&self, file: Descriptor, close_on_exec: bool) -> Result<u32> {
        if !file.may_be_locked_among(&self.locks) {
            return Err(Error::InvalidArgument("it was opened with other locks"));
        }
        self.table.lock().insert(file, close_on_exec)
    }

    /// What has a number.
    ///
    /// # Errors
    /// Of everything that takes a number: [`Error::BadDescriptor`] if nothing has it.
    pub fn get(&self, fd: u32) -> Result<Descriptor> {
        self.table.lock().get(fd).cloned()
    }

    /// One more number for the same open file, the lowest free one.
    ///
    /// # Errors
    /// Also [`Error::TooManyFiles`].
    pub fn dup(&self, fd: u32) -> Result<u32> {
        self.table.lock().dup(fd)
    }

    /// The same, with the lowest free number that is at least `min`.
    ///
    /// # Errors
    /// Also [`Error::InvalidArgument`] for a `min` that is no number below the limit.
    pub fn dup_from(&self, fd: u32, min: u32, close_on_exec: bool) -> Result<u32> {
        self.table.lock().dup_from(fd, min, close_on_exec)
    }

    /// The number `to` for the same open file; what had that is closed in the same step. To its own number it does nothing.
    ///
    /// # Errors
    /// [`Error::BadDescriptor`] for a `to` that is not below the limit too; [`Error::Busy`] while that is being opened.
    pub fn dup_to(&self, fd: u32, to: u32, close_on_exec: bool) -> Result<u32> {
        let closed = self.table.lock().dup_to(fd, to, close_on_exec)?;
        closed.into_iter().for_each(|file| self.closed(&file));
        Ok(to)
    }

    /// Closes a number, and lets go of all locks that the process has on that file.
    pub fn close(&self, fd: u32) -> Result<()> {
        let closed = self.table.lock().remove(fd)?;
        self.closed(&closed);
        Ok(())
    }

    /// Closes all numbers of a range that are open.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if it ends before it begins.
    pub fn close_range(&self, range: RangeInclusive<u32>) -> Result<()> {
        if range.is_empty() {
            return Err(Error::InvalidArgument("a range that ends before it begins"));
        }
        let closed = self.table.lock().remove_range(range);
        closed.iter().for_each(|file| self.closed(file));
        Ok(())
    }

    /// Closes all that is to be closed when another program is executed.
    pub fn exec(&self) {
        let closed = self.table.lock().exec();
        closed.iter().for_each(|file| self.closed(file));
    }

    /// Whether a number is closed then.
    pub fn closes_on_exec(&self, fd: u32) -> Result<bool> {
        self.table.lock().closes_on_exec(fd)
    }

    /// Says whether it is.
    pub fn set_close_on_exec(&self, fd: u32, closes: bool) -> Result<()> {
        self.table.lock().set_close_on_exec(fd, closes)
    }

    /// From now on numbers are below this. What is open stays.
    pub fn set_limit(&self, limit: u32) {
        self.table.lock().set_limit(limit);
    }

    /// What can be done with it without waiting; of a number that nothing has, poll(2) says so too.
    pub fn readiness(&self, fd: u32) -> Result<Readiness> {
        Ok(self.get(fd)?.readiness())
    }

    /// All numbers that are open.
    pub fn numbers(&self) -> Vec<u32> {
        self.table.lock().iter().map(|(fd, _)| fd).collect()
    }

    /// Who the process is to those who lock.
    pub fn lock_owner(&self) -> LockOwner {
        self.owner
    }

    /// Locks a range for the process.
    ///
    /// # Errors
    /// Also those of [`Descriptor::try_lock`].
    pub fn try_lock(&self, fd: u32, range: LockRange, kind: LockKind) -> Result<()> {
        let file = self.get(fd)?;
        let done = file.try_lock(self.owner, range, kind);
        self.locked(fd, &file, range, done)
    }

    /// The same, but waits until nobody is in the way. Given up, it has locked nothing.
    ///
    /// # Errors
    /// Also those of [`Descriptor::lock`]; and [`Error::BadDescriptor`] if the number is closed meanwhile.
    pub async fn lock(&self, fd: u32, range: LockRange, kind: LockKind) -> Result<()> {
        let file = self.get(fd)?;
        let done = file.lock(self.owner, range, kind).await;
        self.locked(fd, &file, range, done)
    }

    /// Lets go of a range, as far as the process has locked it.
    ///
    /// # Errors
    /// Also those of [`Descriptor::unlock`].
    pub fn unlock(&self, fd: u32, range: LockRange) -> Result<()> {
        self.get(fd)?.unlock(self.owner, range)
    }

    /// A number that was closed while something was being locked by it won't be closed again, to let go of that.
    fn locked(&self, fd: u32, file: &Descriptor, range: LockRange, done: Result<()>) -> Result<()> {
        if self.table.lock().get(fd).is_ok_and(|now| now.is_dup_of(file)) {
            return done;
        }
        if done.is_ok() && file.unlock(self.owner, range).is_err() {
            // It is in the midst of more than the process may have in pieces.
            self.closed(file);
        }
        Err(Error::BadDescriptor)
    }

    fn closed(&self, file: &Descriptor) {
        self.locks.release(self.owner, file.node().id());
    }
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        self.locks.release_all(self.owner);
    }
}

impl fmt::Debug for Descriptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Descriptors").field("owner", &self.owner).field("open", &self.numbers()).finish()
    }
}

/// A number that goes back unless it is filled.
struct Reserved<'a> {
    table: &'a Mutex<FdTable<Descriptor>>,
    fd: Option<u32>,
}

impl Reserved<'_> {
    fn fill(mut self, file: Descriptor, close_on_exec: bool) -> Result<u32> {
        let fd = self.fd.take().ok_or(Error::BadDescriptor)?;
        self.table.lock().fill(fd, file, close_on_exec)?;
        Ok(fd)
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if let Some(fd) = self.fd {
            // Nobody else can have given it back.
            let _ = self.table.lock().unreserve(fd);
        }
    }
}
