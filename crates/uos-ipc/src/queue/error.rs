//! Why a message was not sent or not received. In every case nothing was taken and nothing was put in.

/// What a queue answers instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// Not now: there is nothing to receive.
    #[error("would block: the queue is empty")]
    Empty,
    /// Not now: there is no room for this one.
    #[error(
        "would block: {asked} bytes asked; {messages} of {max_messages} messages and {bytes} of {max_bytes} bytes are in it"
    )]
    Full {
        /// How long the message is.
        asked: usize,
        /// How many messages there are.
        messages: usize,
        /// How many there may be.
        max_messages: usize,
        /// How many bytes are in them.
        bytes: usize,
        /// How many there may be.
        max_bytes: usize,
    },
    /// Never: it is longer than all there is room for.
    #[error("a message of {asked} bytes, where {max} are the most")]
    TooLarge {
        /// How long the message is.
        asked: usize,
        /// How long one may be.
        max: usize,
    },
    /// All has been received and nobody can send any more. Not a fault: the end.
    #[error("the end: nothing more will come")]
    Ended,
    /// Nobody is left who could receive; what is sent now would be lost.
    #[error("no receiver is left")]
    Abandoned,
    /// This handle was closed, or sending was ended.
    #[error("closed")]
    Closed,
    /// The whole queue was destroyed, be it before or after this handle was closed.
    #[error("destroyed, with {discarded} messages that nobody had received")]
    Destroyed {
        /// How many of its messages nobody has ever received.
        discarded: u64,
    },
    /// The other side, in another process, has written what can't be true. This ring is over; nothing else is touched.
    #[error("the other side of the ring is corrupt")]
    PeerCorrupt,
    /// The kernel refused, in a way that no queue should see.
    #[error("the kernel's sockets: {}", std::io::Error::from_raw_os_error(*errno))]
    Os {
        /// What it answered.
        errno: i32,
    },
}

#[cfg(any(target_os = "linux", loom, shuttle))]
impl From<crate::ring::Corrupt> for QueueError {
    fn from(_: crate::ring::Corrupt) -> QueueError {
        QueueError::PeerCorrupt
    }
}
