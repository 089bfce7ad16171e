//! Where segments come from: the limits, and the memory that can serve again.

use super::segment::Remains;
use super::{Segment, Sharing, ShmError, memfd};
use crate::quota::{Permit, Quota};
use crate::sync::Mutex;
use std::fmt;
use std::sync::Arc;

/// Makes segments for one owner, charged to that owner's quota.
///
/// Memory of segments that nobody outside has seen can be kept for the next one, also of another owner: it is cleared
/// before it is given out, so every segment begins as zeros.
#[derive(Clone)]
pub struct Segments {
    pool: Arc<Pool>,
    quota: Quota,
}

pub(super) struct Pool {
    max_bytes: u64,
    keep_bytes: u64,
    /// Pays for what is kept.
    quota: Quota,
    /// Protects what is kept, oldest first.
    kept: Mutex<Vec<Kept>>,
}

struct Kept {
    remains: Remains,
    charge: Permit,
}

impl Segments {
    /// The most one segment may have, unless it is set otherwise: 100 MiB.
    pub const MAX_SEGMENT_BYTES: u64 = crate::segment::MAX_BYTES;
    /// What all of them together should have for a quota, unless it is set otherwise: 500 MiB.
    pub const MAX_TOTAL_BYTES: u64 = 500 << 20;

    /// Segments charged to `quota`, none larger than [`MAX_SEGMENT_BYTES`](Self::MAX_SEGMENT_BYTES). Nothing is kept.
    pub fn new(quota: &Quota) -> Segments {
        Segments::with_limits(quota, Segments::MAX_SEGMENT_BYTES, 0)
    }

    /// The same with another size for the largest, and up to `keep_bytes` of memory kept to serve again. What is kept is
    /// charged to `quota` too, and given up when somebody needs the room.
    pub fn with_limits(quota: &Quota, max_segment_bytes: u64, keep_bytes: u64) -> Segments {
        let (max_bytes, kept) = (max_segment_bytes, Mutex::new(Vec::new()));
        let pool = Pool { max_bytes, keep_bytes, quota: quota.clone(), kept };
        Segments { pool: Arc::new(pool), quota: quota.clone() }
    }

    /// The same limits and the same kept memory for another owner, whose quota should be a child of this one's.
    #[must_use]
    pub fn for_owner(&self, quota: &Quota) -> Segments {
        Segments { pool: self.pool.clone(), quota: quota.clone() }
    }

    /// A segment of zeros.
    pub fn create(&self, bytes: u64, sharing: Sharing) -> Result<Segment, ShmError> {
        let max_bytes = self.pool.max_bytes;
        let size = ShmError::Size { asked_bytes: bytes, max_bytes };
        if bytes == 0 || bytes > max_bytes {
            return Err(size);
        }
        let page = rustix::param::page_size() as u64;
        let pages = bytes.checked_next_multiple_of(page).ok_or_else(|| size.clone())?;
        let len = usize::try_from(pages).map_err(|_| size)?;
        let used = if sharing == Sharing::Writers { self.pool.take(len) } else { None };
        let charge = self.charge(pages)?;
        let (fd, memory) = match used {
            Some(Remains { fd, memory }) => {
                memory.clear();
                (fd, Some(memory))
            }
            None => (memfd::create(len)?, None),
        };
        Segment::new(bytes, sharing, fd, memory, charge, Arc::downgrade(&self.pool))
    }

    /// How much memory is kept to serve again.
    pub fn kept_bytes(&self) -> u64 {
        self.pool.kept.lock().iter().map(|kept| kept.charge.amount()).sum()
    }

    /// Gives up all memory that is kept, and says how much that was.
    pub fn purge(&self) -> u64 {
        let kept = std::mem::take(&mut *self.pool.kept.lock());
        kept.iter().map(|kept| kept.charge.amount()).sum()
    }

    /// What is kept gives way to what is used.
    fn charge(&self, bytes: u64) -> Result<Permit, ShmError> {
        match self.quota.take(bytes) {
            Err(_) if self.purge() > 0 => Ok(self.quota.take(bytes)?),
            answer => Ok(answer?),
        }
    }
}

impl Pool {
    /// Memory of exactly that size, the most recently used first: it is likeliest to be in a cache.
    fn take(&self, len: usize) -> Option<Remains> {
        let mut kept = self.kept.lock();
        let at = kept.iter().rposition(|kept| kept.remains.memory.len() == len)?;
        Some(kept.remove(at).remains)
    }

    /// Keeps it if there is room, otherwise lets it go.
    pub(super) fn keep(&self, remains: Remains) {
        let bytes = remains.memory.len() as u64;
        if bytes > self.keep_bytes {
            return;
        }
        let mut dropped_after_the_lock = Vec::new();
        let mut kept = self.kept.lock();
        let mut sum: u64 = kept.iter().map(|kept| kept.charge.amount()).sum();
        while sum + bytes > self.keep_bytes && !kept.is_empty() {
            let oldest = kept.remove(0);
            sum -= oldest.charge.amount();
            dropped_after_the_lock.push(oldest);
        }
        if let Ok(charge) = self.quota.take(bytes) {
            kept.push(Kept { remains, charge });
        }
    }
}

impl fmt::Debug for Segments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Segments({:?}, {} kept)", self.quota, self.kept_bytes())
    }
}
