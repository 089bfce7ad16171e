//! The few primitives this crate waits and counts with, so that loom can stand in for them.
//!
//! Under `--cfg loom` every schedule of the models in `tests/loom.rs` is run; otherwise this is
//! parking_lot (no poisoning, one byte per lock) and the standard atomics.

#[cfg(not(loom))]
mod real {
    pub(crate) use parking_lot::Mutex;
    pub(crate) use std::sync::Arc;
    pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
}

#[cfg(loom)]
mod real {
    pub(crate) use loom::sync::Arc;
    use loom::sync::MutexGuard;
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};

    /// loom's mutex with parking_lot's signature: a panic in a model fails the model anyway.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Mutex<T> {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("a model that panicked has already failed")
        }
    }
}

pub(crate) use real::{Arc, AtomicU64, Mutex, Ordering};
