//! A file of the host opened for reading or writing.

use super::attr::{attr_of, stat};
use super::change::set_len;
use super::node::LocalNode;
use crate::{Access, Allocate, Attr, Error, OpenFile, Result, Seek};
use bytes::Bytes;
use parking_lot::Mutex;
use rustix::buffer::spare_capacity;
use rustix::fs::{FallocateFlags, OFlags, SeekFrom, fallocate, fcntl_getfl, fcntl_setfl, fsync, seek, tell};
use rustix::io::{Errno, pread, pwrite, retry_on_intr, write};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Files that do not tell their length, as those of `/proc`, are read in steps of this.
const STEP: usize = 4096;
/// The smallest pages there are.
const PAGE: u64 = 4096;

pub(super) struct LocalFile {
    node: Arc<LocalNode>,
    fd: Arc<OwnedFd>,
    /// Opened at the first append. It has a position of its own, which tells where an append went.
    appending: Mutex<Option<OwnedFd>>,
}

impl LocalFile {
    pub(super) fn new(node: Arc<LocalNode>, fd: Arc<OwnedFd>) -> Self {
        LocalFile { node, fd, appending: Mutex::new(None) }
    }

    /// Whether reading less than was asked for, up to there, says as much as reading nothing more. What can't be read of a file is whole
    /// pages, so nothing but the end is in the midst of one; there it was before, so it is none of a file that is being
    /// written as it is read.
    fn ends_at(&self, offset: u64) -> bool {
        offset == self.node.len && !offset.is_multiple_of(PAGE)
    }

    /// Whether so much room is enough to see the end that there was at first; should there be more by now, reading goes on.
    fn reaches_end(&self, offset: u64, room: usize) -> bool {
        self.node.len > offset && self.node.len - offset < room as u64
    }

    fn read_on(&self, offset: u64, max: usize, data: &mut Vec<u8>) -> Result<usize> {
        let before = data.len();
        loop {
            let done = data.len() - before;
            let at = offset.saturating_add(done as u64);
            let room = data.capacity() - data.len();
            // Where there is room left, less was read than was asked for.
            let is_end = done > 0 && room > 0 && self.ends_at(at);
            if i64::try_from(at).is_err() || done == max || is_end {
                return Ok(done);
            }
            if room == 0 || done == 0 && room < STEP.min(max) && !self.reaches_end(at, room) {
                // One more, to see the end. Files that tell no length go on in steps.
                let left = match stat(&self.fd)?.stx_size.saturating_sub(at) {
                    0 => STEP,
                    left => usize::try_from(left).unwrap_or(usize::MAX).saturating_add(1),
                };
                data.try_reserve_exact(left.min(max - done)).map_err(|_| Error::from(Errno::NOMEM))?;
            }
            if retry_on_intr(|| pread(&self.fd, spare_capacity(data), at))? == 0 {
                return Ok(done);
            }
            // There may be more room than was asked for.
            data.truncate(before.saturating_add(max));
        }
    }

    fn append_descriptor(&self) -> Result<OwnedFd> {
        // A file opened for reading does not become writable by appending to it.
        if fcntl_getfl(&self.fd)? & OFlags::RWMODE == OFlags::RDONLY {
            return Err(Error::BadDescriptor);
        }
        let fd = self.node.reopen(Access::Write)?;
        fcntl_setfl(&fd, OFlags::APPEND)?;
        Ok(fd)
    }
}

impl Drop for LocalFile {
    fn drop(&mut self) {
        // Who has the last reference to the node lets it go too.
        if Arc::strong_count(&self.node) > 1 {
            self.node.held.keep(&self.node.host.fds, &self.fd);
        }
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
            if done < buf.len() && self.ends_at(offset + done as u64) {
                break;
            }
        }
        Ok(done)
    }

    fn read_bytes(&self, offset: u64, max: usize) -> Result<Bytes> {
        let mut bytes = Vec::new();
        self.read_onto(offset, max, &mut bytes)?;
        Ok(bytes.into())
    }

    /// Into the room there is already, if it is enough to begin with.
    fn read_onto(&self, offset: u64, max: usize, data: &mut Vec<u8>) -> Result<usize> {
        let before = data.len();
        let read = self.read_on(offset, max, data);
        if read.is_err() {
            data.truncate(before);
        }
        read
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

    fn allocate(&self, offset: u64, len: u64, how: Allocate) -> Result<()> {
        let flags = match how {
            Allocate::Reserve => FallocateFlags::empty(),
            Allocate::ReserveKeepingLength => FallocateFlags::KEEP_SIZE,
            Allocate::Punch => FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
            Allocate::Zero => FallocateFlags::ZERO_RANGE,
            Allocate::ZeroKeepingLength => FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE,
        };
        check_range(offset, len)?;
        Ok(retry_on_intr(|| fallocate(&self.fd, flags, offset, len))?)
    }

    /// The host moves the descriptor's position, which nobody reads by.
    fn seek(&self, offset: u64, to: Seek) -> Result<u64> {
        if i64::try_from(offset).is_err() {
            return Err(Error::PastEnd);
        }
        let to = match to {
            Seek::Data => SeekFrom::Data(offset),
            Seek::Hole => SeekFrom::Hole(offset),
        };
        Ok(seek(&self.fd, to)?)
    }

    fn sync(&self) -> Result<()> {
        Ok(fsync(&self.fd)?)
    }

    fn attr(&self) -> Result<Attr> {
        Ok(attr_of(self.node.id(), self.node.kind, &stat(&self.fd)?))
    }
}

/// Ends beyond the signed offsets of the host are too big, not malformed.
fn check_end(offset: u64, data: &[u8]) -> Result<()> {
    check_range(offset, data.len() as u64)
}

fn check_range(offset: u64, len: u64) -> Result<()> {
    let end = offset.checked_add(len);
    if end.is_none_or(|end| i64::try_from(end).is_err()) { Err(Error::TooBig) } else { Ok(()) }
}
