//! Memory as the model checkers see it: bytes that report a race, and a futex made of a lock and a condition.

use crate::sync::Arc;
#[cfg(loom)]
use loom::{
    cell::UnsafeCell,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    sync::{Condvar, Mutex},
};
#[cfg(shuttle)]
use shuttle::sync::{
    Condvar, Mutex,
    atomic::{AtomicU32, AtomicU64, Ordering},
};
#[cfg(shuttle)]
use std::cell::UnsafeCell;
use std::convert::Infallible;
use std::time::Duration;

/// Where the bytes begin that are not words or flags; each of those has a line of 64 bytes of its own.
const BYTES: usize = 4096;
const LINE: usize = 64;

pub(crate) struct Memory {
    words: Vec<AtomicU64>,
    flags: Vec<AtomicU32>,
    bytes: Vec<UnsafeCell<u8>>,
    sleepers: Mutex<()>,
    woken: Condvar,
}

// SAFETY: whether two threads ever touch a byte at the same time is what the models find out; loom's cells report it.
unsafe impl Sync for Memory {}
// SAFETY: as above.
unsafe impl Send for Memory {}

impl Memory {
    pub(crate) fn anonymous(len: usize) -> Result<Memory, Infallible> {
        Ok(Memory {
            words: (0..2).map(|_| AtomicU64::new(0)).collect(),
            flags: (0..6).map(|_| AtomicU32::new(0)).collect(),
            bytes: (BYTES..len).map(|_| UnsafeCell::new(0)).collect(),
            sleepers: Mutex::new(()),
            woken: Condvar::new(),
        })
    }

    pub(crate) fn copy_in(&self, at: usize, bytes: &[u8]) {
        for (cell, byte) in self.bytes[at - BYTES..].iter().zip(bytes) {
            #[cfg(loom)]
            // SAFETY: loom panics if anybody else has it.
            cell.with_mut(|cell| unsafe { *cell = *byte });
            #[cfg(shuttle)]
            // SAFETY: shuttle runs one thread at a time and switches only inside its own primitives.
            unsafe {
                *cell.get() = *byte;
            }
        }
    }

    pub(crate) fn copy_out(&self, at: usize, bytes: &mut [u8]) {
        for (cell, byte) in self.bytes[at - BYTES..].iter().zip(bytes) {
            #[cfg(loom)]
            // SAFETY: loom panics if anybody writes to it.
            cell.with(|cell| unsafe { *byte = *cell });
            #[cfg(shuttle)]
            // SAFETY: as in `copy_in`.
            unsafe {
                *byte = *cell.get();
            }
        }
    }

    pub(crate) fn append_to(&self, at: usize, len: usize, bytes: &mut Vec<u8>) {
        let end = bytes.len();
        bytes.resize(end + len, 0);
        self.copy_out(at, &mut bytes[end..]);
    }
}

/// As the real one, but that it holds nothing back: there is nothing to gain.
pub(crate) struct RingMemory {
    memory: Arc<Memory>,
    mask: u64,
}

impl RingMemory {
    pub(crate) const BYTES: usize = BYTES;

    pub(crate) fn new(memory: Arc<Memory>, storage: u64) -> RingMemory {
        RingMemory { memory, mask: storage - 1 }
    }

    pub(crate) fn word<const AT: usize>(&self) -> &AtomicU64 {
        &self.memory.words[AT / LINE]
    }

    pub(crate) fn flag<const AT: usize>(&self) -> &AtomicU32 {
        &self.memory.flags[AT / LINE]
    }

    pub(crate) fn slot_in(&self, index: u64, slot: &[u8; 64]) {
        self.memory.copy_in(BYTES + (index & self.mask) as usize, slot);
    }

    pub(crate) fn slot_out(&self, index: u64) -> [u8; 64] {
        let mut slot = [0; 64];
        self.memory.copy_out(BYTES + (index & self.mask) as usize, &mut slot);
        slot
    }

    /// As the kernel's: looking at the value and going to sleep are one step for whoever wakes.
    pub(crate) fn sleep(&self, flag: &AtomicU32, while_it_is: u32, _at_most: Option<Duration>) {
        let asleep = self.memory.sleepers.lock().expect("a model that panicked has already failed");
        if flag.load(Ordering::SeqCst) == while_it_is {
            drop(self.memory.woken.wait(asleep).expect("a model that panicked has already failed"));
        }
    }

    pub(crate) fn wake(&self, _flag: &AtomicU32) {
        drop(self.memory.sleepers.lock().expect("a model that panicked has already failed"));
        self.memory.woken.notify_all();
    }
}

impl std::ops::Deref for RingMemory {
    type Target = Memory;

    fn deref(&self) -> &Memory {
        &self.memory
    }
}
