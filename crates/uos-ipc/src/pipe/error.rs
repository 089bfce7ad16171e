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
    /// This handle was closed, or the whole pipe destroyed. An end of file is not an error.
    #[error("closed")]
    Closed,
}
