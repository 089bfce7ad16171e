//! Why a segment was not made, not mapped or not touched. In every case nothing was changed.

use crate::quota::QuotaError;

/// What shared memory answers instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShmError {
    /// No segment may have that size.
    #[error("a segment has 1 to {max_bytes} bytes, not {asked_bytes}")]
    Size {
        /// The size that was asked for.
        asked_bytes: u64,
        /// The most one may have here.
        max_bytes: u64,
    },
    /// There is no room for it.
    #[error(transparent)]
    Quota(#[from] QuotaError),
    /// The bytes asked for are not all in the segment.
    #[error("{len} bytes at {offset} are not in a segment of {size_bytes}")]
    Range {
        /// Where they would begin.
        offset: u64,
        /// How many they would be.
        len: u64,
        /// How many there are.
        size_bytes: u64,
    },
    /// This segment or mapping is only for reading here.
    #[error("only for reading")]
    ReadOnly,
    /// A foreign segment that could be pulled away from under who maps it.
    #[error("a foreign segment without the seals against shrinking and growing")]
    Unsealed,
    /// This is the other kind of end, or carries something else.
    #[error("not that end of such a ring")]
    Role,
    /// The kernel refused.
    #[error("{call}: {}", std::io::Error::from_raw_os_error(*errno))]
    Os {
        /// Which call.
        call: &'static str,
        /// What it answered.
        errno: i32,
    },
}

#[cfg(target_os = "linux")]
impl ShmError {
    /// For `map_err`: which call it was.
    pub(crate) fn of(call: &'static str) -> impl FnOnce(rustix::io::Errno) -> ShmError {
        move |errno| ShmError::Os { call, errno: errno.raw_os_error() }
    }
}
