//! What a segment of memory is that several hold, whoever keeps it.

mod error;
mod local;

pub use error::ShmError;
pub use local::{LocalMapping, LocalSegment};

use std::sync::atomic::{AtomicU64, Ordering};

/// The most one segment may have, unless it is set otherwise: 100 MiB.
pub(crate) const MAX_BYTES: u64 = 100 << 20;

/// What may be done with a segment through a handle or a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Look.
    ReadOnly,
    /// Look and change.
    ReadWrite,
}

/// Who may ever write to a segment. Decided when it is made, as the kernel takes a seal only then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sharing {
    /// Its maker, and those it is passed to with [`Access::ReadWrite`].
    Writers,
    /// Its maker alone, through the mapping it has from the start. The kernel refuses everybody else, whatever their uid.
    ReadersOnly,
}

/// A segment's numbers at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentStats {
    /// Names it in this process; never given twice.
    pub id: u64,
    /// How much may be used.
    pub len_bytes: u64,
    /// How much it costs: whole pages, where the kernel keeps it.
    pub charged_bytes: u64,
    /// Who may ever write.
    pub sharing: Sharing,
    /// Handles, mappings and leases there are.
    pub holders: usize,
    /// How often it was passed on to another process.
    pub shared: u64,
}

/// A handle of a segment, or the right to read one. Clones are the same segment; it goes, and its charge with it, when the
/// last handle and mapping is dropped. It begins as zeros, and never changes its size.
///
/// Nothing here ever waits, so there is no form with waiting: what goes through a segment is told of by a ring or a queue.
/// `tests/segment.rs` holds every implementation to the same promises.
pub trait SharedMemory: Clone + Send + Sync {
    /// What it is attached as.
    type Mapping: MappedMemory;

    /// Attaches to it: the one way to its bytes. More than the handle may do answers [`ShmError::ReadOnly`].
    fn attach(&self, access: Access) -> Result<Self::Mapping, ShmError>;

    /// The same segment through a handle that can do less. There is no way back.
    #[must_use]
    fn read_only(&self) -> Self;

    /// What may be done through this handle.
    fn access(&self) -> Access;

    /// How many bytes may be used.
    fn len_bytes(&self) -> u64;

    /// The numbers at this moment.
    fn stats(&self) -> SegmentStats;
}

/// A segment that one is attached to, until this is dropped.
///
/// Others may change the bytes at any time, so they are copied in and out and never lent: what was read once is looked at,
/// and not read a second time. A range that is not all in the segment answers [`ShmError::Range`], whatever its end would be.
pub trait MappedMemory: Send + Sync {
    /// Copies bytes in, all of them or none.
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), ShmError>;

    /// Fills `bytes` with what is there now.
    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), ShmError>;

    /// A copy of that many bytes.
    fn read_vec(&self, offset: u64, len: usize) -> Result<Vec<u8>, ShmError>;

    /// How many bytes there are.
    fn len_bytes(&self) -> u64;

    /// What may be done through this.
    fn access(&self) -> Access;
}

/// Where a range begins, if all of it is in a segment of that size. Its end may overflow nothing.
pub(crate) fn range(offset: u64, len: usize, size_bytes: u64) -> Result<usize, ShmError> {
    match offset.checked_add(len as u64) {
        Some(end) if end <= size_bytes => Ok(offset as usize),
        _ => Err(ShmError::Range { offset, len: len as u64, size_bytes }),
    }
}

/// A name that no segment of this process has had.
pub(crate) fn fresh_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
