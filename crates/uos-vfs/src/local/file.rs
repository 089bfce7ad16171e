//! A file of the host opened for reading or writing.

use super::attr::{attr_of, stat};
use super::change::set_len;
use super::node::LocalNode;
use crate::{Access, Attr, Error, OpenFile, Result};
use bytes::Bytes;
use parking_lot::Mutex;
use rustix::buffer::spare_capacity;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl, fsync, tell};
use rustix::io::{Errno, pread, pwrite, retry_on_intr, write};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Files that do not tell their length, as those of `/proc`, are read in steps of this.
const STEP: usize = 4096;

pub(super) struct LocalFile {
    node: Arc<LocalNode>,
    fd: OwnedFd,
    /// Opened at the first append. It has a position of its own, which tells where an append went.
    appending: Mutex<Option<OwnedFd>>,
}

impl LocalFile {
    pub(super) fn new(node: Arc<LocalNode>, fd: OwnedFd) -> Self {
        LocalFile { node, fd, appending: Mutex::new(None) }
    }

    fn append_descriptor(&self) -> Result<OwnedFd> {
        // A file opened for reading does not become writable by appending to it.
        if fcntl_getfl(&self.fd)? & OFlags::RWMODE == OFlags::RDONLY {
            return Err(Errno::BADF.into());
        }
        let fd = self.node.reopen(Access::Write)?;
        fcntl_setfl(&fd, OFlags::APPEND)?;
        Ok(fd)
    }
}

impl OpenFile for LocalFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        if i64::try_from(offset).is_err() {
            return Ok(0);
        }
        let mut done = 0;
        while done < buf.len() {
            let rest = &mut buf[done..];
            match retry_on_intr(|| pread(&self.fd, &mut *rest, offset + done as u64))? {
                0 => break,
                read => done += read,
            }
        }
        Ok(done)
    }

    fn read_bytes(&self, offset: u64, max: usize) -> Result<Bytes> {
        if i64::try_from(offset).is_err() {
            return Ok(Bytes::new());
        }
        let len = stat(&self.fd)?.stx_size;
        let there = if len == 0 { STEP } else { usize::try_from(len.saturating_sub(offset)).unwrap_or(max) };
        let mut bytes: Vec<u8> = Vec::new();
        while bytes.len() < max {
            if bytes.len() == bytes.capacity() {
                let room = if bytes.is_empty() { there } else { bytes.len() }.min(max - bytes.len());
                // Nothing there, or all that was there is read: only files that told no length go on.
                if room == 0 || !bytes.is_empty() && len != 0 {
                    break;
                }
                bytes.try_reserve_exact(room).map_err(|_| Error::from(Errno::NOMEM))?;
            }
            let at = offset + bytes.len() as u64;
            if retry_on_intr(|| pread(&self.fd, spare_capacity(&mut bytes), at))? == 0 {
                break;
            }
        }
        bytes.truncate(max);
        Ok(bytes.into())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<usize> {
        check_end(offset, data)?;
        Ok(retry_on_intr(|| pwrite(&self.fd, data, offset))?)
    }

    /// In one piece as long as the host takes it in one; when it runs full a part may be left.
    fn append(&self, data: &[u8]) -> Result<u64> {
        if data.is_empty() {
            return Ok(stat(&self.fd)?.stx_size);
        }
        let mut appending = self.appending.lock();
        let fd = match &mut *appending {
            Some(fd) => fd,
            none => none.insert(self.append_descriptor()?),
        };
        let mut done = retry_on_intr(|| write(&*fd, data))?;
        let offset = tell(&*fd)? - done as u64;
        while done < data.len() {
            done += retry_on_intr(|| write(&*fd, &data[done..]))?;
        }
        Ok(offset)
    }

    /// Cuts the file and writes anew: a reader may come between, and a full host leaves a part.
    fn replace(&self, data: &[u8]) -> Result<()> {
        check_end(0, data)?;
        set_len(&self.fd, 0)?;
        let mut done = 0;
        while done < data.len() {
            done += retry_on_intr(|| pwrite(&self.fd, &data[done..], done as u64))?;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        set_len(&self.fd, len)
    }

    fn sync(&self) -> Result<()> {
        Ok(fsync(&self.fd)?)
    }

    fn attr(&self) -> Result<Attr> {
        Ok(attr_of(self.node.id, self.node.kind, &stat(&self.fd)?))
    }
}

/// Ends beyond the signed offsets of the host are too big, not malformed.
fn check_end(offset: u64, data: &[u8]) -> Result<()> {
    let end = offset.checked_add(data.len() as u64);
    if end.is_none_or(|end| i64::try_from(end).is_err()) { Err(Error::TooBig) } else { Ok(()) }
}
