//! Time as it is passed in: whole nanoseconds since a start the caller chose.

use crate::SchedError;
use std::fmt;
use std::ops::{Add, Mul};

/// A point in time or a length of it. 64 bits of nanoseconds last 584 years; sums saturate there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

/// The longest a task runs before others are looked at: 1 µs to 4 s, checked once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantum(Nanos);

impl Nanos {
    /// The start, and no time at all.
    pub const ZERO: Nanos = Nanos(0);

    /// This many microseconds.
    pub const fn from_micros(micros: u64) -> Nanos {
        Nanos(micros.saturating_mul(1_000))
    }

    /// This many milliseconds.
    pub const fn from_millis(millis: u64) -> Nanos {
        Nanos(millis.saturating_mul(1_000_000))
    }

    /// This many seconds.
    pub const fn from_secs(secs: u64) -> Nanos {
        Nanos(secs.saturating_mul(1_000_000_000))
    }

    /// Whole microseconds, rounded down.
    pub const fn as_micros(self) -> u64 {
        self.0 / 1_000
    }

    /// How long it is since `earlier`; nothing if that is later.
    pub const fn since(self, earlier: Nanos) -> Nanos {
        Nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Quantum {
    /// Below this, switching would cost more than running.
    pub const MIN: Quantum = Quantum(Nanos::from_micros(1));
    /// 10 ms: what round-robin gives by default.
    pub const DEFAULT: Quantum = Quantum(Nanos::from_millis(10));
    /// Above this, others would take it for a hang.
    pub const MAX: Quantum = Quantum(Nanos::from_secs(4));

    /// A length that can be a quantum, or the bounds it is outside of.
    pub fn new(length: Nanos) -> Result<Quantum, SchedError> {
        if (Self::MIN.0..=Self::MAX.0).contains(&length) {
            Ok(Quantum(length))
        } else {
            Err(SchedError::BadQuantum { asked: length, min: Self::MIN.0, max: Self::MAX.0 })
        }
    }

    /// For constants that are within the bounds.
    pub(crate) const fn known(length: Nanos) -> Quantum {
        assert!(Self::MIN.0.0 <= length.0 && length.0 <= Self::MAX.0.0);
        Quantum(length)
    }

    /// Its length.
    pub const fn length(self) -> Nanos {
        self.0
    }
}

impl Default for Quantum {
    fn default() -> Quantum {
        Quantum::DEFAULT
    }
}

impl Add for Nanos {
    type Output = Nanos;

    fn add(self, more: Nanos) -> Nanos {
        Nanos(self.0.saturating_add(more.0))
    }
}

impl Mul<u64> for Nanos {
    type Output = Nanos;

    fn mul(self, times: u64) -> Nanos {
        Nanos(self.0.saturating_mul(times))
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ns", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantum_edges() {
        assert!(Quantum::new(Nanos(999)).is_err());
        assert_eq!(Quantum::new(Nanos(1_000)), Ok(Quantum::MIN));
        assert_eq!(Quantum::new(Nanos::from_secs(4)), Ok(Quantum::MAX));
        let text = Quantum::new(Nanos(4_000_000_001)).unwrap_err().to_string();
        assert_eq!(text, "a quantum is 1000 ns to 4000000000 ns, not 4000000001 ns");
    }
}
