//! Why nothing was sent or received. In every case nothing was taken and nothing was put in.

use crate::quota::QuotaError;

/// What a socket answers instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// Not now: nothing to receive, or not enough room.
    #[error("would block: {asked} bytes asked, {available} available")]
    WouldBlock {
        /// How many bytes were to be sent or received.
        asked: usize,
        /// How many there were: bytes to receive, or room.
        available: usize,
    },
    /// Never: it is longer than all there is room for.
    #[error("a message of {asked} bytes, where {max} are the most")]
    TooLarge {
        /// How long the message is.
        asked: usize,
        /// How long one may be.
        max: usize,
    },
    /// A send can't carry so many.
    #[error("{asked} handles, where {max} are the most")]
    TooManyHandles {
        /// How many there were.
        asked: usize,
        /// How many there may be.
        max: usize,
    },
    /// Handles go along with bytes, and a stream has none without.
    #[error("handles without a byte to carry them")]
    NoBytes,
    /// A socket in a socket in a socket could hold itself, and would never go.
    #[error("a socket can't be passed to where it may end up in itself")]
    Cycle,
    /// Nobody is left who could receive; what is sent now would be lost.
    #[error("broken pipe: the other end receives nothing more")]
    BrokenPipe,
    /// Nobody has that name, or nobody receives datagrams there any more.
    #[error("connection refused")]
    Refused,
    /// Somebody else has that name.
    #[error("the name is in use")]
    InUse,
    /// A name has 1 to 108 bytes.
    #[error("a name of {len} bytes, where 1 to 108 are allowed")]
    Name {
        /// How many it has.
        len: usize,
    },
    /// Too many wait to be accepted.
    #[error("{waiting} connections wait to be accepted, {max} are the most")]
    Backlog {
        /// How many wait.
        waiting: usize,
        /// How many may.
        max: usize,
    },
    /// There is no room for the connection.
    #[error(transparent)]
    Quota(#[from] QuotaError),
    /// This handle was closed.
    #[error("closed")]
    Closed,
}
