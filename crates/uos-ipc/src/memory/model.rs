//! Memory as the model checkers see it: bytes that report a race, and a futex made of a lock and a condition.

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

    pub(crate) fn word(&self, at: usize) -> &AtomicU64 {
        &self.words[at / LINE]
    }

    pub(crate) fn flag(&self, at: usize) -> &AtomicU32 {
        &self.flags[at / LINE]
    }

    /// As the kernel's: looking at the value and going to sleep are one step for whoever wakes.
    pub(crate) fn sleep(&self, at: usize, while_it_is: u32, _at_most: Option<Duration>) {
        let asleep = self.sleepers.lock().expect("a model that panicked has already failed");
        if self.flag(at).load(Ordering::SeqCst) == while_it_is {
            drop(self.woken.wait(asleep).expect("a model that panicked has already failed"));
        }
    }

    pub(crate) fn wake(&self, _at: usize) {
        drop(self.sleepers.lock().expect("a model that panicked has already failed"));
        self.woken.notify_all();
    }
}
