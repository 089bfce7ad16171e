//! An open file with a position: `Read`, `Write` and `Seek` over [`OpenFile`].

use crate::{Access, Attr, Error, NodeRef, OpenFile, Result};
use std::fmt;
use std::io;
use std::sync::Arc;

/// A regular file opened by path, or a directory if that was asked for, of which there is nothing to read. It stays the same file whatever becomes of the path, and closes when
/// it is dropped. It is not buffered.
pub struct File {
    node: NodeRef,
    file: Arc<dyn OpenFile>,
    access: Access,
    append: bool,
    position: u64,
}

impl File {
    /// A file just opened for `access`, at its start. With `append` each write goes to the end, and
    /// takes the position there.
    pub fn new(node: NodeRef, file: Arc<dyn OpenFile>, access: Access, append: bool) -> Self {
        File { node, file, access, append, position: 0 }
    }

    /// The same, with the position it had.
    #[cfg(feature = "tokio")]
    pub(crate) fn at(self, position: u64) -> Self {
        File { position, ..self }
    }

    /// What it is made of: node, file, access, whether it appends, and position.
    pub(crate) fn into_parts(self) -> (NodeRef, Arc<dyn OpenFile>, Access, bool, u64) {
        (self.node, self.file, self.access, self.append, self.position)
    }

    /// The node that is open.
    pub fn node(&self) -> &NodeRef {
        &self.node
    }

    /// The file without a position.
    pub fn handle(&self) -> &Arc<dyn OpenFile> {
        &self.file
    }

    /// Its attributes now.
    pub fn metadata(&self) -> Result<Attr> {
        self.file.attr()
    }

    /// Cuts it to `len` or extends it with zeros. [`Error::BadDescriptor`] unless opened for writing.
    pub fn set_len(&self, len: u64) -> Result<()> {
        self.check(self.access.writes())?;
        self.file.set_len(len)
    }

    /// Returns when everything written is as durable as the filesystem makes it.
    pub fn sync(&self) -> Result<()> {
        self.file.sync()
    }

    fn check(&self, allowed: bool) -> Result<()> {
        if allowed { Ok(()) } else { Err(Error::BadDescriptor) }
    }
}

impl io::Read for File {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.check(self.access.reads())?;
        let read = self.file.read_at(self.position, buf)?;
        self.position += read as u64;
        Ok(read)
    }

    fn read_to_end(&mut self, data: &mut Vec<u8>) -> io::Result<usize> {
        self.check(self.access.reads())?;
        let read = self.file.read_onto(self.position, usize::MAX, data)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl io::Write for File {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.check(self.access.writes())?;
        if self.append {
            self.position = self.file.append(data)? + data.len() as u64;
            return Ok(data.len());
        }
        let written = self.file.write_at(self.position, data)?;
        self.position += written as u64;
        Ok(written)
    }

    /// Nothing is held back, so there is nothing to do; [`File::sync`] makes durable.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Seek for File {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let (from, by) = match to {
            io::SeekFrom::Start(offset) => (offset, 0),
            io::SeekFrom::Current(by) => (self.position, by),
            io::SeekFrom::End(by) => (self.file.attr()?.size, by),
        };
        let position = from.checked_add_signed(by).filter(|&position| i64::try_from(position).is_ok());
        self.position = position.ok_or(Error::InvalidArgument("a position no file has"))?;
        Ok(self.position)
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("File");
        out.field("node", &self.node.id()).field("access", &self.access);
        out.field("append", &self.append).field("position", &self.position).finish_non_exhaustive()
    }
}
