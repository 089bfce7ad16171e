//! One segment: its descriptor, what it costs, and who may do what with it.

use super::{Access, Mapping, SegmentStats, Sharing, ShmError, memfd, pool::Pool};
use crate::memory::Memory;
use crate::quota::{Permit, Quota};
use crate::segment::{SharedMemory, fresh_id};
use crate::sync::Mutex;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// Whether "only for reading" holds against one who was passed a segment so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Enforcement {
    /// The kernel refuses every write.
    Kernel,
    /// One with the same uid, or root, can open the descriptor anew through `/proc/self/fd` and write all the same. Make
    /// the segment with [`Sharing::ReadersOnly`], or run the other under another uid.
    Weakened,
}

/// A segment of shared memory, or the right to read one. Clones are the same segment; it goes, and its charge with it,
/// when the last handle, mapping and lease is dropped.
#[derive(Clone)]
pub struct Segment {
    inner: Arc<Inner>,
    access: Access,
}

/// Keeps a segment charged that was passed to another process, whose mapping lives as long as that process likes. Drop it
/// when that process has ended.
#[derive(Clone, Debug)]
pub struct Lease {
    _segment: Segment,
}

pub(super) struct Inner {
    id: u64,
    len: u64,
    sharing: Sharing,
    uid: u32,
    /// Taken out only by the drop, to be kept for the next segment.
    fd: Option<OwnedFd>,
    shared: AtomicU64,
    /// Protects which mappings there are: each is made once and lent to all.
    maps: Mutex<Maps>,
    charge: Option<Permit>,
    pool: Weak<Pool>,
}

#[derive(Default)]
struct Maps {
    writable: Option<Arc<Memory>>,
    readable: Option<Arc<Memory>>,
}

/// What is left of a segment that nobody else has ever seen.
pub(super) struct Remains {
    pub(super) fd: OwnedFd,
    pub(super) memory: Memory,
}

impl Segment {
    /// From a fresh or a cleared file. For [`Sharing::ReadersOnly`] the one writer's mapping is made before the door is shut.
    pub(super) fn new(
        len: u64,
        sharing: Sharing,
        fd: OwnedFd,
        writable: Option<Memory>,
        charge: Permit,
        pool: Weak<Pool>,
    ) -> Result<Segment, ShmError> {
        let pages = charge.amount() as usize;
        let mut maps = Maps { writable: writable.map(Arc::new), readable: None };
        if sharing == Sharing::ReadersOnly {
            let memory = Memory::map(fd.as_fd(), pages, true).map_err(ShmError::of("mmap"))?;
            memfd::forbid_new_writers(fd.as_fd())?;
            maps.writable = Some(Arc::new(memory));
        }
        let uid = rustix::process::geteuid().as_raw();
        Ok(Segment::of(len, sharing, uid, fd, maps, charge, pool, Access::ReadWrite))
    }

    /// A segment that another process has made and passed here, charged to `quota` here too.
    ///
    /// It is refused if its maker could pull it away from under us, and is only for reading unless the descriptor and the
    /// seals allow more.
    pub fn adopt(fd: OwnedFd, max_bytes: u64, quota: &Quota) -> Result<Segment, ShmError> {
        let foreign = memfd::look(fd.as_fd())?;
        if foreign.len == 0 || foreign.len > max_bytes {
            return Err(ShmError::Size { asked_bytes: foreign.len, max_bytes });
        }
        let charge = quota.take(foreign.len)?;
        let sharing = if foreign.writers { Sharing::Writers } else { Sharing::ReadersOnly };
        let access = if foreign.writable { Access::ReadWrite } else { Access::ReadOnly };
        let maps = Maps::default();
        Ok(Segment::of(foreign.len, sharing, foreign.uid, fd, maps, charge, Weak::new(), access))
    }

    /// The same of a segment that was just adopted, of which its maker uses less than whole pages.
    pub(crate) fn shortened(self, len: u64) -> Result<Segment, ShmError> {
        let size = ShmError::Size { asked_bytes: len, max_bytes: self.inner.len };
        let access = self.access;
        match Arc::try_unwrap(self.inner) {
            Ok(mut inner) if (1..=inner.len).contains(&len) => {
                inner.len = len;
                Ok(Segment { inner: Arc::new(inner), access })
            }
            _ => Err(size),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of the one struct, filled in two places")]
    fn of(
        len: u64,
        sharing: Sharing,
        uid: u32,
        fd: OwnedFd,
        maps: Maps,
        charge: Permit,
        pool: Weak<Pool>,
        access: Access,
    ) -> Segment {
        let shared = AtomicU64::new(0);
        let (fd, charge, maps) = (Some(fd), Some(charge), Mutex::new(maps));
        let inner = Inner { id: fresh_id(), len, sharing, uid, fd, shared, maps, charge, pool };
        Segment { inner: Arc::new(inner), access }
    }

    /// Names it in this process; never given twice.
    pub fn id(&self) -> u64 {
        self.inner.id
    }

    /// How many bytes may be used.
    pub fn len_bytes(&self) -> u64 {
        self.inner.len
    }

    /// What may be done through this handle.
    pub fn access(&self) -> Access {
        self.access
    }

    /// The same segment through a handle that can do less. There is no way back.
    #[must_use]
    pub fn read_only(&self) -> Segment {
        Segment { inner: self.inner.clone(), access: Access::ReadOnly }
    }

    /// Maps it, or lends the mapping there is.
    pub fn attach(&self, access: Access) -> Result<Mapping, ShmError> {
        if access > self.access {
            return Err(ShmError::ReadOnly);
        }
        let mut maps = self.inner.maps.lock();
        let map = match access {
            Access::ReadOnly => &mut maps.readable,
            Access::ReadWrite => &mut maps.writable,
        };
        let memory = match map {
            Some(memory) => memory.clone(),
            None => {
                let pages = self.inner.charge.as_ref().map_or(0, Permit::amount) as usize;
                let memory = Memory::map(self.as_fd(), pages, access == Access::ReadWrite);
                map.insert(Arc::new(memory.map_err(ShmError::of("mmap"))?)).clone()
            }
        };
        drop(maps);
        Ok(Mapping::new(memory, self.clone(), access))
    }

    /// A descriptor to give to another process, and the lease that keeps the segment charged until that one has ended.
    ///
    /// `to_uid` is who will have it; the answer says whether "only for reading" is the kernel's word against that one.
    pub fn share(&self, access: Access, to_uid: u32) -> Result<(OwnedFd, Enforcement, Lease), ShmError> {
        let to_write = access == Access::ReadWrite;
        if access > self.access || (to_write && self.inner.sharing == Sharing::ReadersOnly) {
            return Err(ShmError::ReadOnly);
        }
        self.inner.shared.fetch_add(1, Ordering::AcqRel);
        if self.inner.sharing == Sharing::Writers {
            // Only now, as a segment that is never shared can do without.
            memfd::forbid_sealing(self.as_fd())?;
        }
        let fd = match access {
            Access::ReadOnly => memfd::reopen_to_read(self.as_fd())?,
            Access::ReadWrite => self.as_fd().try_clone_to_owned().map_err(|error| ShmError::Os {
                call: "fcntl(F_DUPFD_CLOEXEC)",
                errno: error.raw_os_error().unwrap_or(0),
            })?,
        };
        let weak = self.inner.sharing == Sharing::Writers && (to_uid == 0 || to_uid == self.inner.uid);
        let enforcement = if weak { Enforcement::Weakened } else { Enforcement::Kernel };
        Ok((fd, enforcement, Lease { _segment: self.clone() }))
    }

    /// Keeps it charged for somebody who has its descriptor.
    pub(crate) fn lease(&self) -> Lease {
        Lease { _segment: self.clone() }
    }

    /// The numbers at this moment.
    pub fn stats(&self) -> SegmentStats {
        SegmentStats {
            id: self.inner.id,
            len_bytes: self.inner.len,
            charged_bytes: self.inner.charge.as_ref().map_or(0, Permit::amount),
            sharing: self.inner.sharing,
            holders: Arc::strong_count(&self.inner),
            shared: self.inner.shared.load(Ordering::Relaxed),
        }
    }
}

impl SharedMemory for Segment {
    type Mapping = Mapping;

    fn attach(&self, access: Access) -> Result<Mapping, ShmError> {
        self.attach(access)
    }

    fn read_only(&self) -> Segment {
        self.read_only()
    }

    fn access(&self) -> Access {
        self.access
    }

    fn len_bytes(&self) -> u64 {
        self.len_bytes()
    }

    fn stats(&self) -> SegmentStats {
        self.stats()
    }
}

impl AsFd for Segment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.inner.fd {
            Some(fd) => fd.as_fd(),
            None => unreachable!("only the drop takes it out"),
        }
    }
}

impl Drop for Inner {
    /// What nobody else has seen can serve again: touching fresh memory costs thirty times what clearing used memory does.
    fn drop(&mut self) {
        let memory = self.maps.lock().writable.take();
        let unseen = self.sharing == Sharing::Writers && *self.shared.get_mut() == 0;
        // The charge goes back first: what is kept is charged to the pool.
        self.charge = None;
        if let (Some(pool), true, Some(fd)) = (self.pool.upgrade(), unseen, self.fd.take())
            && let Some(memory) = memory.and_then(Arc::into_inner)
        {
            pool.keep(Remains { fd, memory });
        }
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Segment({}, {} bytes, {:?})", self.inner.id, self.inner.len, self.access)
    }
}
