//! When something happens, as the kernel counts: nanoseconds since the host's clock began that is never set.
//!
//! Two of these are taken of every call. `std`'s `Instant` is a pair of numbers that takes as long to subtract as it does to
//! read the clock; this is one number.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    #[inline]
    pub(crate) fn now() -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        // Neither is ever negative, and 64 bits last for centuries.
        Self((now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64))
    }

    /// How long after another it is; nothing if it is before.
    #[inline]
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}
