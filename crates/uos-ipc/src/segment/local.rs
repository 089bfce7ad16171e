//! A segment in this process alone: for parties that share it by threads, wherever the kernel has nothing to share with others.

use super::{
    Access, MAX_BYTES, MappedMemory, SegmentStats, SharedMemory, Sharing, ShmError, fresh_id, range,
};
use crate::quota::{Permit, Quota};
use parking_lot::RwLock;
use std::fmt;
use std::sync::Arc;

/// A segment of this process, or the right to read one. It takes no descriptor and no call to the kernel.
///
/// Unlike those that other processes map, each read sees each write whole or not at all.
#[derive(Clone)]
pub struct LocalSegment {
    inner: Arc<Inner>,
    access: Access,
}

/// A [`LocalSegment`] that one is attached to.
pub struct LocalMapping {
    segment: LocalSegment,
}

struct Inner {
    id: u64,
    /// Protects the bytes. Held while bytes are copied and for nothing else.
    bytes: RwLock<Box<[u8]>>,
    len: u64,
    charge: Permit,
}

impl LocalSegment {
    /// The most one may have: 100 MiB.
    pub const MAX_BYTES: u64 = MAX_BYTES;

    /// A segment of zeros, all of it charged to `quota` until it goes.
    pub fn new(bytes: u64, quota: &Quota) -> Result<LocalSegment, ShmError> {
        let size = ShmError::Size { asked_bytes: bytes, max_bytes: MAX_BYTES };
        if bytes == 0 || bytes > MAX_BYTES {
            return Err(size);
        }
        let len = usize::try_from(bytes).map_err(|_| size)?;
        let charge = quota.take(bytes)?;
        let storage = RwLock::new(vec![0; len].into_boxed_slice());
        let inner = Inner { id: fresh_id(), bytes: storage, len: bytes, charge };
        Ok(LocalSegment { inner: Arc::new(inner), access: Access::ReadWrite })
    }
}

impl SharedMemory for LocalSegment {
    type Mapping = LocalMapping;

    fn attach(&self, access: Access) -> Result<LocalMapping, ShmError> {
        if access > self.access {
            return Err(ShmError::ReadOnly);
        }
        Ok(LocalMapping { segment: LocalSegment { inner: self.inner.clone(), access } })
    }

    fn read_only(&self) -> LocalSegment {
        LocalSegment { inner: self.inner.clone(), access: Access::ReadOnly }
    }

    fn access(&self) -> Access {
        self.access
    }

    fn len_bytes(&self) -> u64 {
        self.inner.len
    }

    fn stats(&self) -> SegmentStats {
        SegmentStats {
            id: self.inner.id,
            len_bytes: self.inner.len,
            charged_bytes: self.inner.charge.amount(),
            sharing: Sharing::Writers,
            holders: Arc::strong_count(&self.inner),
            shared: 0,
        }
    }
}

impl MappedMemory for LocalMapping {
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), ShmError> {
        if self.segment.access == Access::ReadOnly {
            return Err(ShmError::ReadOnly);
        }
        let at = range(offset, bytes.len(), self.segment.inner.len)?;
        self.segment.inner.bytes.write()[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), ShmError> {
        let at = range(offset, bytes.len(), self.segment.inner.len)?;
        bytes.copy_from_slice(&self.segment.inner.bytes.read()[at..at + bytes.len()]);
        Ok(())
    }

    fn read_vec(&self, offset: u64, len: usize) -> Result<Vec<u8>, ShmError> {
        let at = range(offset, len, self.segment.inner.len)?;
        Ok(self.segment.inner.bytes.read()[at..at + len].to_vec())
    }

    fn len_bytes(&self) -> u64 {
        self.segment.inner.len
    }

    fn access(&self) -> Access {
        self.segment.access
    }
}

impl fmt::Debug for LocalSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalSegment({}, {} bytes, {:?})", self.inner.id, self.inner.len, self.access)
    }
}

impl fmt::Debug for LocalMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LocalMapping").field(&self.segment).finish()
    }
}
