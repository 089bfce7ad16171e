//! A segment seen from inside: the guard that keeps it mapped.

use super::{Access, Segment, ShmError};
use crate::memory::Memory;
use crate::segment::{MappedMemory, range};
use std::fmt;
use std::sync::Arc;

/// A mapped segment. It stays mapped, and charged, until this is dropped.
///
/// Others may change the bytes at any time, so they are copied in and out and never lent: what was read once is looked at,
/// and not read a second time.
pub struct Mapping {
    memory: Arc<Memory>,
    segment: Segment,
    access: Access,
}

impl Mapping {
    pub(super) fn new(memory: Arc<Memory>, segment: Segment, access: Access) -> Mapping {
        Mapping { memory, segment, access }
    }

    /// Copies bytes in, all of them or none.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), ShmError> {
        if self.access == Access::ReadOnly {
            return Err(ShmError::ReadOnly);
        }
        let at = self.range(offset, bytes.len())?;
        self.memory.copy_in(at, bytes);
        Ok(())
    }

    /// Fills `bytes` with what is there now.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), ShmError> {
        let at = self.range(offset, bytes.len())?;
        self.memory.copy_out(at, bytes);
        Ok(())
    }

    /// A copy of that many bytes.
    pub fn read_vec(&self, offset: u64, len: usize) -> Result<Vec<u8>, ShmError> {
        let at = self.range(offset, len)?;
        let mut bytes = Vec::new();
        self.memory.append_to(at, len, &mut bytes);
        Ok(bytes)
    }

    /// Where the bytes are, for those who can deal with bytes that change while they look. Valid while this lives, for
    /// [`len_bytes`](Self::len_bytes) bytes, and to be written only where [`access`](Self::access) says so.
    pub fn as_ptr(&self) -> *mut u8 {
        self.memory.as_ptr()
    }

    /// How many bytes there are.
    pub fn len_bytes(&self) -> u64 {
        self.segment.len_bytes()
    }

    /// What may be done through this.
    pub fn access(&self) -> Access {
        self.access
    }

    /// The segment that is mapped.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    pub(crate) fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    fn range(&self, offset: u64, len: usize) -> Result<usize, ShmError> {
        range(offset, len, self.segment.len_bytes())
    }
}

impl MappedMemory for Mapping {
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), ShmError> {
        self.write(offset, bytes)
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), ShmError> {
        self.read(offset, bytes)
    }

    fn read_vec(&self, offset: u64, len: usize) -> Result<Vec<u8>, ShmError> {
        self.read_vec(offset, len)
    }

    fn len_bytes(&self) -> u64 {
        self.len_bytes()
    }

    fn access(&self) -> Access {
        self.access
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mapping({:?}, {:?})", self.segment, self.access)
    }
}
