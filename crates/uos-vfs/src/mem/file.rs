//! Reading and writing a file. Space is taken before anything is written, so a write that does not
//! fit changes nothing.

use super::content::{Content, LEN_MAX};
use super::inode::{Body, Inode, State};
use crate::{Attr, Error, OpenFile, Result};
use bytes::Bytes;

impl OpenFile for Inode {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        Ok(content(&self.state.read())?.read_at(offset, buf))
    }

    fn read_bytes(&self, offset: u64, max: usize) -> Result<Bytes> {
        content(&self.state.read())?.read_bytes(offset, max)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<usize> {
        self.write(Some(offset), data)?;
        Ok(data.len())
    }

    fn append(&self, data: &[u8]) -> Result<u64> {
        self.write(None, data)
    }

    fn replace(&self, data: &[u8]) -> Result<()> {
        if data.len() as u64 > LEN_MAX {
            return Err(Error::TooBig);
        }
        // Copied and later freed outside the lock: readers wait for a swap, not for a copy.
        let mut new = Content::new(data)?;
        let now = self.now();
        let mut state = self.state.write();
        let old = content_mut(&mut state)?;
        self.space.bytes.change(old.stored(), new.stored())?;
        std::mem::swap(old, &mut new);
        state.touch(now);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        let now = self.now();
        let mut state = self.state.write();
        self.cut(content_mut(&mut state)?, len)?;
        state.touch(now);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn attr(&self) -> Result<Attr> {
        Ok(self.attributes())
    }
}

impl Inode {
    /// Writes at an offset or at the end, and says where that was.
    fn write(&self, offset: Option<u64>, data: &[u8]) -> Result<u64> {
        let now = self.now();
        let mut state = self.state.write();
        let content = content_mut(&mut state)?;
        let offset = offset.unwrap_or(content.len());
        if data.is_empty() {
            return Ok(offset);
        }
        if offset.checked_add(data.len() as u64).is_none_or(|end| end > LEN_MAX) {
            return Err(Error::TooBig);
        }
        let (before, after) = (content.stored(), content.stored_after(offset, data.len()));
        self.space.bytes.take(after - before)?;
        if let Err(error) = content.write_at(offset, data) {
            self.space.bytes.give_back(after - before);
            return Err(error);
        }
        state.touch(now);
        Ok(offset)
    }
}

/// Only files are ever opened, but that is not for the compiler to know.
fn content(state: &State) -> Result<&Content> {
    match &state.body {
        Body::File(content) => Ok(content),
        _ => Err(Error::InvalidArgument("not a file")),
    }
}

fn content_mut(state: &mut State) -> Result<&mut Content> {
    match &mut state.body {
        Body::File(content) => Ok(content),
        _ => Err(Error::InvalidArgument("not a file")),
    }
}
