//! How much a pipe holds.

/// The longest write that is never split and never mixed with another: `PIPE_BUF` of pipe(7) on Linux.
pub const PIPE_BUF: usize = 4096;

/// A pipe's size in bytes, already known to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capacity(usize);

/// A size no pipe may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pipe holds {} to {} bytes, not {asked_bytes}", Capacity::MIN.bytes(), Capacity::MAX.bytes())]
pub struct CapacityError {
    /// The size that was asked for.
    pub asked_bytes: u64,
}

impl Capacity {
    /// One byte.
    pub const MIN: Capacity = Capacity(1);
    /// 64 KiB, what pipe(2) gives too.
    pub const DEFAULT: Capacity = Capacity(64 << 10);
    /// 1 MiB, the most an unprivileged user of pipe(2) may set.
    pub const MAX: Capacity = Capacity(1 << 20);

    /// A size from outside, as wide as it comes, checked once.
    pub fn new(bytes: u64) -> Result<Capacity, CapacityError> {
        match usize::try_from(bytes).map(Capacity) {
            Ok(capacity) if (Self::MIN..=Self::MAX).contains(&capacity) => Ok(capacity),
            _ => Err(CapacityError { asked_bytes: bytes }),
        }
    }

    /// The size.
    pub const fn bytes(self) -> usize {
        self.0
    }

    /// Writes up to this long are atomic: [`PIPE_BUF`], or all of a pipe that is smaller.
    pub const fn atomic_bytes(self) -> usize {
        if self.0 < PIPE_BUF { self.0 } else { PIPE_BUF }
    }
}

impl Default for Capacity {
    fn default() -> Capacity {
        Capacity::DEFAULT
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_edges() {
        assert_eq!(Capacity::new(0), Err(CapacityError { asked_bytes: 0 }));
        assert_eq!(Capacity::new(1), Ok(Capacity::MIN));
        assert_eq!(Capacity::new(1 << 20), Ok(Capacity::MAX));
        let text = Capacity::new((1 << 20) + 1).unwrap_err().to_string();
        assert_eq!(text, "a pipe holds 1 to 1048576 bytes, not 1048577");
        assert!(Capacity::new(u64::MAX).is_err());
    }
}
