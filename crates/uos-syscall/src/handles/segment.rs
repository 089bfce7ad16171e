//! A segment of shared memory, as one process holds it.

use std::{
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::RwLock;
use uos_ipc::{Access, Enforcement, Lease, Mapping, Rights, Segment, SegmentStats};
use uos_proc::Level;

use super::object::Held;
use crate::{Errno, Error};

/// The segment itself, for all who hold it.
struct Whole {
    /// `None` once it was destroyed. Held while bytes are copied, so that none are touched afterwards.
    mapping: RwLock<Option<Mapping>>,
    attached: AtomicU64,
}

/// What one process holds of a segment.
pub(crate) struct SharedSegment {
    whole: Arc<Whole>,
    attachment: Option<Attachment>,
}

/// Being attached, until it is dropped.
struct Attachment {
    whole: Arc<Whole>,
    access: Access,
}

/// What a call may do with a segment: that which its caller is attached for.
pub(crate) struct Window {
    whole: Arc<Whole>,
    access: Option<Access>,
}

impl SharedSegment {
    /// A new one, its maker attached.
    pub(crate) fn new(segment: &Segment) -> Result<Self, Error> {
        let mapping = RwLock::new(Some(segment.attach(Access::ReadWrite)?));
        let whole = Arc::new(Whole { mapping, attached: AtomicU64::new(0) });
        let mut held = Self { whole, attachment: None };
        held.attach(Access::ReadWrite);
        Ok(held)
    }

    /// Attaches to it, or changes for what.
    pub(crate) fn attach(&mut self, access: Access) {
        match &mut self.attachment {
            Some(attachment) => attachment.access = access,
            None => {
                self.whole.attached.fetch_add(1, Ordering::Relaxed);
                self.attachment = Some(Attachment { whole: Arc::clone(&self.whole), access });
            }
        }
    }

    /// Whether it was attached.
    pub(crate) fn detach(&mut self) -> bool {
        self.attachment.take().is_some()
    }

    /// For a call, which takes its time outside of the table.
    pub(crate) fn window(&self) -> Window {
        Window {
            whole: Arc::clone(&self.whole),
            access: self.attachment.as_ref().map(|attachment| attachment.access),
        }
    }
}

impl Window {
    pub(crate) fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>, Error> {
        self.attached_for(Access::ReadOnly)?;
        self.whole(|mapping| {
            // What is beyond the end is not there, as in a file.
            let rest = mapping.len_bytes().saturating_sub(offset);
            Ok(mapping.read_vec(offset.min(mapping.len_bytes()), len.min(rest as usize))?)
        })
    }

    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.attached_for(Access::ReadWrite)?;
        self.whole(|mapping| Ok(mapping.write(offset, bytes)?))
    }

    /// Its numbers, and how many are attached.
    pub(crate) fn stats(&self) -> Result<(SegmentStats, u64), Error> {
        self.whole(|mapping| Ok((mapping.segment().stats(), self.whole.attached.load(Ordering::Relaxed))))
    }

    /// A descriptor for a program, and what keeps the segment charged as long as that runs.
    pub(crate) fn share(&self, rights: Rights, level: Level) -> Result<(OwnedFd, Lease), Error> {
        let access = if rights.contains(Rights::WRITE) { Access::ReadWrite } else { Access::ReadOnly };
        // In a sandbox it is another user of the host than the kernel; that is all that counts here.
        let user = if level < Level::Privileged { u32::MAX } else { 0 };
        self.whole(|mapping| {
            let (fd, enforcement, lease) = mapping.segment().share(access, user)?;
            if access == Access::ReadOnly && enforcement == Enforcement::Weakened {
                return Err(Error::new(
                    Errno::ENOTSUP,
                    "a Privileged program could open the segment anew to write",
                )
                .hint("start it at a tighter level, or hand it a handle that may write"));
            }
            Ok((fd, lease))
        })
    }

    /// Ends it for everybody.
    pub(crate) fn destroy(&self) -> Result<(), Error> {
        match self.whole.mapping.write().take() {
            Some(mapping) => drop(mapping),
            None => return Err(destroyed()),
        }
        Ok(())
    }

    fn attached_for(&self, wanted: Access) -> Result<(), Error> {
        match self.access {
            None => {
                Err(Error::new(Errno::EINVAL, "the segment is not attached").hint("call AttachShm first"))
            }
            Some(access) if wanted > access => {
                Err(Error::new(Errno::EACCES, "the segment is attached for reading only"))
            }
            Some(_) => Ok(()),
        }
    }

    fn whole<T>(&self, look: impl FnOnce(&Mapping) -> Result<T, Error>) -> Result<T, Error> {
        self.whole.mapping.read().as_ref().ok_or_else(destroyed).and_then(look)
    }
}

fn destroyed() -> Error {
    Error::new(Errno::EIDRM, "the segment was destroyed")
}

impl Held for SharedSegment {
    fn share(&self, _rights: Rights) -> Self {
        Self { whole: Arc::clone(&self.whole), attachment: None }
    }

    fn narrow(&mut self, rights: Rights) -> Option<Self> {
        if !rights.contains(Rights::READ) {
            self.attachment = None;
        } else if let Some(attachment) = &mut self.attachment
            && !rights.contains(Rights::WRITE)
        {
            attachment.access = Access::ReadOnly;
        }
        None
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.whole.attached.fetch_sub(1, Ordering::Relaxed);
    }
}
