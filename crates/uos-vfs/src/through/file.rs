//! An open file of a node that is seen through something.

use super::Via;
use super::claims::OpenClaim;
use super::tally::Tally;
use crate::{Allocate, Attr, NodeId, OpenFile, Result, Seek};
use bytes::Bytes;
use std::sync::Arc;

/// Tells who watches of every change, and charges for what makes the file longer.
pub(super) struct ThroughFile {
    pub(super) tally: Option<Arc<Tally>>,
    pub(super) inner: Arc<dyn OpenFile>,
    pub(super) via: Arc<Via>,
    pub(super) id: NodeId,
    /// Of whoever opened it.
    pub(super) tag: u64,
    /// Keeps the mount in use.
    pub(super) _claim: OpenClaim,
}

impl ThroughFile {
    fn change<T>(
        &self,
        longest: impl FnOnce(u64) -> u64,
        act: impl FnOnce(&dyn OpenFile) -> Result<T>,
    ) -> Result<T> {
        let done = match &self.tally {
            None => act(&*self.inner)?,
            Some(tally) => tally.lengthen(&*self.inner, longest, || act(&*self.inner))?,
        };
        if let Some(watches) = &self.via.watches {
            watches.modified(self.id, self.tag);
        }
        Ok(done)
    }
}

impl OpenFile for ThroughFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        self.inner.read_at(offset, buf)
    }

    fn read_bytes(&self, offset: u64, max: usize) -> Result<Bytes> {
        self.inner.read_bytes(offset, max)
    }

    fn read_onto(&self, offset: u64, max: usize, data: &mut Vec<u8>) -> Result<usize> {
        self.inner.read_onto(offset, max, data)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<usize> {
        if data.is_empty() {
            return self.inner.write_at(offset, data);
        }
        let end = offset.saturating_add(data.len() as u64);
        // An offset that no file has is refused by whoever keeps the file, not by what it would be charged.
        let longest = |len: u64| if i64::try_from(end).is_ok() { len.max(end) } else { len };
        self.change(longest, |file| file.write_at(offset, data))
    }

    fn append(&self, data: &[u8]) -> Result<u64> {
        if data.is_empty() {
            return self.inner.append(data);
        }
        self.change(|len| len.saturating_add(data.len() as u64), |file| file.append(data))
    }

    fn replace(&self, data: &[u8]) -> Result<()> {
        self.change(|len| len.max(data.len() as u64), |file| file.replace(data))
    }

    fn set_len(&self, len: u64) -> Result<()> {
        let longest = |now: u64| if i64::try_from(len).is_ok() { now.max(len) } else { now };
        self.change(longest, |file| file.set_len(len))
    }

    fn allocate(&self, offset: u64, len: u64, how: Allocate) -> Result<()> {
        let end = match how {
            Allocate::Reserve | Allocate::Zero => offset.saturating_add(len),
            Allocate::ReserveKeepingLength | Allocate::Punch | Allocate::ZeroKeepingLength => 0,
        };
        let longest = |now: u64| if i64::try_from(end).is_ok() { now.max(end) } else { now };
        self.change(longest, |file| file.allocate(offset, len, how))
    }

    fn seek(&self, offset: u64, to: Seek) -> Result<u64> {
        self.inner.seek(offset, to)
    }

    fn sync(&self) -> Result<()> {
        self.inner.sync()
    }

    fn attr(&self) -> Result<Attr> {
        self.inner.attr()
    }
}
