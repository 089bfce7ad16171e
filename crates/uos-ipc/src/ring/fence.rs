//! The fence that each side of a ring needs between what it writes and what it reads next, and who pays for it.
//!
//! An index changes with every message, and a fence there waits until the message has reached a cache line that the other side
//! held last: it cost more than all the rest. Who is about to sleep is in no hurry. So that one asks the kernel to have every
//! processor pass a fence on which a process of ours runs (membarrier(2)), and who changes an index only keeps the compiler
//! from turning its two steps around. Both are ordered then as by a fence each. Who sleeps again and again has the other side make
//! fences instead, until there was no sleep for long (`wait.rs`): to interrupt all processors each time would be dearer.

use crate::sync::{Ordering, fence};

/// How the threads of this process keep the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fences {
    /// By the kernel, when somebody is about to sleep.
    Asked,
    /// By themselves, each time: where the kernel does not do it, or may not be asked.
    Own,
}

impl Fences {
    /// What this process can do. The first time it tells the kernel that its threads are to be part of it.
    #[cfg(not(any(loom, shuttle)))]
    pub(super) fn of_this_process() -> Fences {
        use rustix::thread::{MembarrierCommand, membarrier};
        use std::sync::LazyLock;

        static FENCES: LazyLock<Fences> = LazyLock::new(|| {
            let asked = membarrier(MembarrierCommand::RegisterGlobalExpedited)
                .and_then(|()| membarrier(MembarrierCommand::GlobalExpedited));
            if asked.is_ok() { Fences::Asked } else { Fences::Own }
        });
        *FENCES
    }

    /// The models know no kernel. There each side says that it needs the other's fences, and the other makes them for that alone.
    #[cfg(any(loom, shuttle))]
    pub(super) fn of_this_process() -> Fences {
        Fences::Own
    }

    /// Between a change of an index and the look at the flag of who may sleep.
    #[inline(always)]
    pub(super) fn after_a_change(self) {
        #[cfg(not(any(loom, shuttle)))]
        match self {
            Fences::Asked => std::sync::atomic::compiler_fence(Ordering::SeqCst),
            Fences::Own => fence(Ordering::SeqCst),
        }
    }

    /// Between one's own flag and the last look before a sleep. Refused if the kernel will not do any more what it once did.
    pub(super) fn before_a_sleep(self) -> Result<(), Refused> {
        fence(Ordering::SeqCst);
        #[cfg(not(any(loom, shuttle)))]
        if self == Fences::Asked {
            use rustix::thread::{MembarrierCommand, membarrier};

            return membarrier(MembarrierCommand::GlobalExpedited).map_err(|_| Refused);
        }
        Ok(())
    }
}

/// The other side has to make its fences itself.
pub(super) struct Refused;
