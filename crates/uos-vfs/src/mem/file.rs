//! Reading and writing a file. Space is taken before anything is written, so a write that does not
//! fit changes nothing.

use super::content::{Content, LEN_MAX};
use super::inode::{Body, Inode, State};
use crate::{Allocate, Attr, Caller, Error, OpenFile, Result, Seek};
use bytes::Bytes;
use std::sync::Arc;

impl OpenFile for Inode {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        Ok(content(&self.state.read())?.read_at(offset, buf))
    }

    fn read_bytes(&self, offset: u64, max: usize) -> Result<Bytes> {
        content(&self.state.read())?.read_bytes(offset, max)
    }

    fn read_onto(&self, offset: u64, max: usize, data: &mut Vec<u8>) -> Result<usize> {
        content(&self.state.read())?.read_onto(offset, max, data)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<usize> {
        self.write(Some(offset), data, None)?;
        Ok(data.len())
    }

    fn append(&self, data: &[u8]) -> Result<u64> {
        self.write(None, data, None)
    }

    fn replace(&self, data: &[u8]) -> Result<()> {
        self.put(data, None)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.cut(len, None)
    }

    fn allocate(&self, offset: u64, len: u64, how: Allocate) -> Result<()> {
        self.set_range(offset, len, how, None)
    }

    fn seek(&self, offset: u64, to: Seek) -> Result<u64> {
        content(&self.state.read())?.seek(offset, to).ok_or(Error::PastEnd)
    }

    /// Memory is as durable as it gets.
    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn attr(&self) -> Result<Attr> {
        Ok(self.attributes())
    }
}

/// A file in the hands of somebody without privileges.
pub(super) struct Unprivileged {
    pub(super) file: Arc<Inode>,
    pub(super) by: Caller,
}

impl OpenFile for Unprivileged {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        self.file.read_at(offset, buf)
    }

    fn read_bytes(&self, offset: u64, max: usize) -> Result<Bytes> {
        self.file.read_bytes(offset, max)
    }

    fn read_onto(&self, offset: u64, max: usize, data: &mut Vec<u8>) -> Result<usize> {
        self.file.read_onto(offset, max, data)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<usize> {
        self.file.write(Some(offset), data, Some(&self.by))?;
        Ok(data.len())
    }

    fn append(&self, data: &[u8]) -> Result<u64> {
        self.file.write(None, data, Some(&self.by))
    }

    fn replace(&self, data: &[u8]) -> Result<()> {
        self.file.put(data, Some(&self.by))
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.file.cut(len, Some(&self.by))
    }

    fn allocate(&self, offset: u64, len: u64, how: Allocate) -> Result<()> {
        self.file.set_range(offset, len, how, Some(&self.by))
    }

    fn seek(&self, offset: u64, to: Seek) -> Result<u64> {
        self.file.seek(offset, to)
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn attr(&self) -> Result<Attr> {
        Ok(self.file.attributes())
    }
}

impl Inode {
    /// Writes at an offset or at the end, and says where that was. What rights the file lends it goes on
    /// lending, unless it is written to by somebody without privileges.
    fn write(&self, offset: Option<u64>, data: &[u8], by: Option<&Caller>) -> Result<u64> {
        let mut state = self.state.write();
        let there = content(&state)?;
        let offset = offset.unwrap_or(there.len());
        if data.is_empty() {
            return Ok(offset);
        }
        check_end(offset, data.len() as u64)?;
        // What is to be put aside for a snapshot is shared from then on, and so costs more to change.
        let epoch = self.epoch();
        let now = self.moment(&state, epoch);
        let state = self.edit(&mut state, epoch);
        let content = content_mut(state)?;
        let cost = content.cost_of_write(offset, data.len());
        self.take_bytes(cost)?;
        self.settle(cost, content.write_at(offset, data));
        self.written(state, now, by);
        Ok(offset)
    }

    fn put(&self, data: &[u8], by: Option<&Caller>) -> Result<()> {
        check_end(0, data.len() as u64)?;
        // Copied and later freed outside the lock: readers wait for a swap, not for a copy.
        let new = Content::new(data);
        let cost = Content::cost_of_new(data.len());
        let mut state = self.state.write();
        content(&state)?;
        let epoch = self.epoch();
        let now = self.moment(&state, epoch);
        let state = self.edit(&mut state, epoch);
        let content = content_mut(state)?;
        // What is its own alone is set free by this, so that may be needed for it.
        let taken = cost.saturating_sub(content.own_bytes());
        self.take_bytes(taken)?;
        let old = std::mem::replace(content, new);
        self.written(state, now, by);
        self.give_bytes_back(taken + old.release() - cost);
        Ok(())
    }

    fn cut(&self, len: u64, by: Option<&Caller>) -> Result<()> {
        let mut state = self.state.write();
        content(&state)?;
        let epoch = self.epoch();
        let now = self.moment(&state, epoch);
        let state = self.edit(&mut state, epoch);
        self.set_content_len(state, len)?;
        self.written(state, now, by);
        Ok(())
    }

    fn set_range(&self, offset: u64, len: u64, how: Allocate, by: Option<&Caller>) -> Result<()> {
        if len == 0 {
            return Err(Error::InvalidArgument("a range that is empty"));
        }
        check_end(offset, len)?;
        let mut state = self.state.write();
        content(&state)?;
        let epoch = self.epoch();
        let now = self.moment(&state, epoch);
        let state = self.edit(&mut state, epoch);
        let content = content_mut(state)?;
        let cost = content.cost_of_range(offset, len, how);
        self.take_bytes(cost)?;
        self.settle(cost, content.set_range(offset, len, how));
        self.written(state, now, by);
        Ok(())
    }

    fn written(&self, state: &mut State, now: crate::Timestamp, by: Option<&Caller>) {
        if let Some(by) = by {
            state.meta.mode = by.mode_once_written(self.owner(&state.meta));
        }
        state.meta.touch(now);
        self.is_news();
    }
}

fn check_end(offset: u64, len: u64) -> Result<()> {
    if offset.checked_add(len).is_none_or(|end| end > LEN_MAX) { Err(Error::TooBig) } else { Ok(()) }
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
