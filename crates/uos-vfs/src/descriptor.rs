//! An open file as processes have it: with a position that duplicates share.

mod locking;

use crate::lock::{LockOwner, Locks, OpenFileId};
use crate::{Access, Attr, Entry, Error, File, Kind, NodeRef, OpenFile, Result, Seek};
use parking_lot::Mutex;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A file descriptor. [`Descriptor::dup`] gives another one of the same open file: both move one position,
/// and the file closes when the last of them is dropped. What is opened anew has a position of its own.
///
/// It may be used by several threads at once. Reading and writing at the position are then one after the
/// other, so no two get the same part of a file; at an offset of their own, with [`Descriptor::pread`] and
/// [`Descriptor::pwrite`], they don't wait for each other.
///
/// Of a directory, opened by [`OpenOptions::directory`](crate::OpenOptions::directory), the position is a cursor:
/// [`Descriptor::read_dir`] moves it, [`Descriptor::seek`] to the start begins anew, and to what [`Descriptor::position`] said goes on from
/// there. It has attributes, can be made durable and locked, has no bytes ([`Error::IsADirectory`]), and
/// [`Tree::below`](crate::Tree::below) its node goes on from it.
///
/// It has no number: those are given by a table, such as [`Descriptors`](crate::Descriptors) or your own.
#[derive(Clone)]
pub struct Descriptor(Arc<Description>);

/// What duplicates share.
struct Description {
    node: NodeRef,
    file: Arc<dyn OpenFile>,
    access: Access,
    appends: AtomicBool,
    position: Mutex<u64>,
    id: OpenFileId,
    locks: Option<Locks>,
    /// It may hold locks of its own, to be let go with the last duplicate.
    locked: AtomicBool,
}

/// What can be done without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Reading gives something, or says that there is nothing.
    pub read: bool,
    /// Writing takes something, or says that there is no room.
    pub write: bool,
}

impl Descriptor {
    /// A file just opened, that can be locked among those with the same locks.
    pub fn with_locks(file: File, locks: &Locks) -> Self {
        Self::new(file, Some(locks.clone()))
    }

    fn new(file: File, locks: Option<Locks>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = OpenFileId(NEXT.fetch_add(1, Ordering::Relaxed));
        let (node, file, access, appends, position) = file.into_parts();
        let (appends, position) = (AtomicBool::new(appends), Mutex::new(position));
        let locked = AtomicBool::new(false);
        Descriptor(Arc::new(Description { node, file, access, appends, position, id, locks, locked }))
    }

    /// Another descriptor of the same open file; a clone is the same.
    #[must_use]
    pub fn dup(&self) -> Self {
        Descriptor(Arc::clone(&self.0))
    }

    /// True if both are of one open file.
    pub fn is_dup_of(&self, other: &Descriptor) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The node that is open.
    pub fn node(&self) -> &NodeRef {
        &self.0.node
    }

    /// What it was opened for.
    pub fn access(&self) -> Access {
        self.0.access
    }

    /// Whether each write goes to the end.
    pub fn appends(&self) -> bool {
        self.0.appends.load(Ordering::Relaxed)
    }

    /// Lets each write go to the end, or not, from now on and for all duplicates.
    pub fn set_appends(&self, appends: bool) {
        self.0.appends.store(appends, Ordering::Relaxed);
    }

    /// What poll(2) says of any regular file, whatever it was opened for: there is nothing to wait for.
    pub fn readiness(&self) -> Readiness {
        Readiness { read: true, write: true }
    }

    /// Its attributes now.
    pub fn attr(&self) -> Result<Attr> {
        self.0.file.attr()
    }

    /// Up to `max` entries of a directory from the position on, without `.` and `..`, and moves it behind them; none at the end. What
    /// is there throughout is given exactly once, whatever else comes and goes, as of [`Node::read_dir`](crate::Node::read_dir).
    ///
    /// # Errors
    /// [`Error::NotADirectory`].
    pub fn read_dir(&self, max: usize) -> Result<Vec<Entry>> {
        if self.0.node.kind() != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        let mut entries = Vec::new();
        let mut position = self.0.position.lock();
        let mut cursor = *position;
        self.0.node.read_dir(cursor, &mut |entry| {
            if entries.len() == max {
                return false;
            }
            let name = entry.name.as_bytes().to_vec();
            entries.push(Entry { name, kind: entry.kind, ino: entry.ino });
            cursor = entry.cursor;
            true
        })?;
        *position = cursor;
        Ok(entries)
    }

    /// Fills `buf` from the position as far as the file goes, and moves it there; 0 at the end.
    ///
    /// # Errors
    /// [`Error::BadDescriptor`] unless opened for reading.
    pub fn read(&self, buf: &mut [u8]) -> Result<usize> {
        self.check(self.0.access.reads())?;
        let mut position = self.0.position.lock();
        let read = self.0.file.read_at(*position, buf)?;
        *position += read as u64;
        Ok(read)
    }

    /// Writes at the position, or at the end if it appends, and moves it behind what was written.
    ///
    /// # Errors
    /// [`Error::BadDescriptor`] unless opened for writing.
    pub fn write(&self, data: &[u8]) -> Result<usize> {
        self.check(self.0.access.writes())?;
        let mut position = self.0.position.lock();
        let (from, written) = self.put(*position, data)?;
        *position = from + written as u64;
        Ok(written)
    }

    /// Fills `buf` from an offset. The position stays.
    ///
    /// # Errors
    /// As of [`Descriptor::read`].
    pub fn pread(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        self.check(self.0.access.reads())?;
        self.0.file.read_at(offset, buf)
    }

    /// Writes at an offset; but at the end if it appends, as on Linux. The position stays.
    ///
    /// # Errors
    /// As of [`Descriptor::write`].
    pub fn pwrite(&self, offset: u64, data: &[u8]) -> Result<usize> {
        self.check(self.0.access.writes())?;
        Ok(self.put(offset, data)?.1)
    }

    /// Where the next one reads or writes.
    pub fn position(&self) -> u64 {
        *self.0.position.lock()
    }

    /// Moves the position, also beyond the end, and says where it is.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a position before the start or that no file has, and for the end of a directory.
    pub fn seek(&self, to: io::SeekFrom) -> Result<u64> {
        let mut position = self.0.position.lock();
        if self.0.node.kind() == Kind::Directory && matches!(to, io::SeekFrom::End(_)) {
            return Err(Error::InvalidArgument("a directory has no end to count from"));
        }
        let (from, by) = match to {
            io::SeekFrom::Start(offset) => (offset, 0),
            io::SeekFrom::Current(by) => (*position, by),
            io::SeekFrom::End(by) => (self.0.file.attr()?.size, by),
        };
        let there = from.checked_add_signed(by).filter(|&there| i64::try_from(there).is_ok());
        *position = there.ok_or(Error::InvalidArgument("a position no file has"))?;
        Ok(*position)
    }

    /// Moves the position to the next data or the next hole from an offset on, and says where it is.
    ///
    /// # Errors
    /// Those of [`OpenFile::seek`].
    pub fn seek_to(&self, offset: u64, to: Seek) -> Result<u64> {
        let mut position = self.0.position.lock();
        *position = self.0.file.seek(offset, to)?;
        Ok(*position)
    }

    /// Cuts the file to `len` or extends it with zeros. The position stays, be it beyond the end.
    ///
    /// # Errors
    /// [`Error::BadDescriptor`] unless opened for writing.
    pub fn truncate(&self, len: u64) -> Result<()> {
        self.check(self.0.access.writes())?;
        self.0.file.set_len(len)
    }

    /// Returns when everything written is as durable as the filesystem makes it.
    pub fn sync(&self) -> Result<()> {
        self.0.file.sync()
    }

    fn put(&self, offset: u64, data: &[u8]) -> Result<(u64, usize)> {
        if self.appends() {
            return Ok((self.0.file.append(data)?, data.len()));
        }
        Ok((offset, self.0.file.write_at(offset, data)?))
    }

    fn check(&self, allowed: bool) -> Result<()> {
        if allowed { Ok(()) } else { Err(Error::BadDescriptor) }
    }
}

impl From<File> for Descriptor {
    /// With the position the file has. It can't be locked: for that see [`Descriptor::with_locks`].
    fn from(file: File) -> Self {
        Self::new(file, None)
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        if let Some(locks) = &self.locks
            && *self.locked.get_mut()
        {
            locks.release_all(LockOwner::OpenFile(self.id));
        }
    }
}

impl io::Read for Descriptor {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(Descriptor::read(self, buf)?)
    }
}

impl io::Write for Descriptor {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Ok(Descriptor::write(self, data)?)
    }

    /// Nothing is held back; [`Descriptor::sync`] makes durable.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Seek for Descriptor {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        Ok(Descriptor::seek(self, to)?)
    }
}

impl fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Descriptor");
        out.field("node", &self.0.node.id())
            .field("access", &self.0.access)
            .field("appends", &self.appends());
        out.field("position", &*self.0.position.lock()).finish_non_exhaustive()
    }
}
