//! Why a read or a write did not happen. In every case nothing was taken and nothing was put in.

/// What a pipe answers instead of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PipeError {
    /// Not now: nothing to read, or not enough room to write.
    #[error("would block: {asked} bytes asked, {available} available")]
    WouldBlock {
        /// How many bytes were to be read or written.
        asked: usize,
        /// How many there were: bytes to read, or room to write into.
        available: usize,
    },
    /// Nobody is left who could read; what is written now would be lost.
    #[error("broken pipe: no reader is left")]
    BrokenPipe,
    /// This handle was closed. An end of file is not an error.
    #[error("closed")]
    Closed,
    /// The whole pipe was destroyed, be it before or after this handle was closed.
    #[error("destroyed, with {discarded_bytes} bytes that nobody had read")]
    Destroyed {
        /// How many of its bytes nobody has ever read.
        discarded_bytes: u64,
    },
    /// The other side, in another process, has written what can't be true. This ring is over; nothing else is touched.
    #[error("the other side of the ring is corrupt")]
    PeerCorrupt,
    /// The kernel refused, in a way that no pipe should see.
    #[error("the kernel's pipe: {}", std::io::Error::from_raw_os_error(*errno))]
    Os {
        /// What it answered.
        errno: i32,
    },
}

#[cfg(any(target_os = "linux", loom, shuttle))]
impl From<crate::ring::Corrupt> for PipeError {
    fn from(_: crate::ring::Corrupt) -> PipeError {
        PipeError::PeerCorrupt
    }
}
