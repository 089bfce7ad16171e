//! What lies where in a ring's memory. A line of 64 bytes for each thing, so that the sides don't fight over one.

use crate::memory::{Memory, RingMemory};
use crate::quota::{Permit, Quota, QuotaError};
use crate::sync::Arc;

/// How many bytes were ever put in. The producer's.
pub(super) const TAIL: usize = 0;
/// How many were ever taken out. The consumer's.
pub(super) const HEAD: usize = 64;
/// What the consumer waits with, see `wait.rs`.
pub(super) const CONSUMER_WAITS: usize = 128;
/// What the producer waits with.
pub(super) const PRODUCER_WAITS: usize = 192;
/// 1 once the producer has closed.
pub(super) const PRODUCER_GONE: usize = 256;
/// 1 once the consumer has closed.
pub(super) const CONSUMER_GONE: usize = 320;

/// How many bytes a ring may hold, and the power of two they lie in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) limit: u64,
    pub(crate) storage: u64,
}

impl Size {
    pub(crate) fn of(limit: usize) -> Size {
        Size { limit: limit as u64, storage: limit.next_power_of_two() as u64 }
    }
}

/// How much memory a ring of that size takes.
pub(crate) fn memory_bytes(size: Size) -> usize {
    RingMemory::BYTES + size.storage as usize
}

/// What each side of a ring keeps alive: the memory, and what it costs.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) memory: Arc<Memory>,
    _keep: Keep,
}

/// What goes when both sides have gone.
#[derive(Clone)]
pub(crate) enum Keep {
    Charge {
        _charge: Arc<Permit>,
    },
    #[cfg(not(any(loom, shuttle)))]
    Mapping {
        _mapping: Arc<crate::os::shm::Mapping>,
    },
}

impl Held {
    /// Memory of this process alone, charged.
    pub(super) fn local(size: Size, quota: &Quota) -> Result<Held, QuotaError> {
        let charge = quota.take(memory_bytes(size) as u64)?;
        // The kernel refuses a few pages only when it has none left, and then an allocation would end the process too.
        let memory = Arc::new(Memory::anonymous(memory_bytes(size)).expect("memory for a ring"));
        Ok(Held { memory, _keep: Keep::Charge { _charge: Arc::new(charge) } })
    }

    /// Memory that is shared with another process.
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fn shared(mapping: Arc<crate::os::shm::Mapping>) -> Held {
        Held { memory: mapping.memory().clone(), _keep: Keep::Mapping { _mapping: mapping } }
    }
}
