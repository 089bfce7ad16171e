//! The few primitives this crate waits and counts with, so that loom and shuttle can stand in for them.
//!
//! Under `--cfg loom` every schedule of the models in `tests/loom` is run, under `--cfg shuttle` many random ones of those
//! in `tests/shuttle.rs`; otherwise this is parking_lot (no poisoning, one byte per lock) and the standard atomics.

#[cfg(not(any(loom, shuttle)))]
mod real {
    pub(crate) use parking_lot::Mutex;
    pub(crate) use std::sync::Arc;
    pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
}

#[cfg(any(loom, shuttle))]
mod real {
    #[cfg(loom)]
    use loom::sync as model;
    #[cfg(shuttle)]
    use shuttle::sync as model;

    pub(crate) use model::Arc;
    use model::MutexGuard;
    pub(crate) use model::atomic::{AtomicU32, AtomicU64, Ordering, fence};

    /// The model's mutex with parking_lot's signature: a panic in a model fails the model anyway.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(model::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Mutex<T> {
            Mutex(model::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("a model that panicked has already failed")
        }
    }
}

pub(crate) use real::{Arc, AtomicU64, Mutex, Ordering};
#[cfg(any(target_os = "linux", loom, shuttle))]
pub(crate) use real::{AtomicU32, fence};
