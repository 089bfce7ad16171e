//! What a channel of messages is, whoever carries them.

use crate::queue::{Message, Queue, QueueError, QueueStats};
use std::future::Future;

/// Both ends of one channel of messages, as far as they are open here.
///
/// The base is two calls that never wait and two futures that only wait; sending or receiving with waiting is built on
/// top: try, and when that is refused for now, await readiness and try again. `tests/channel.rs` holds every
/// implementation to the same promises.
pub trait Channel: Send + Sync {
    /// Puts a message in, whole or not at all.
    fn try_send(&self, message: Message) -> Result<(), QueueError>;

    /// Takes the next message out.
    fn try_recv(&self) -> Result<Message, QueueError>;

    /// Ready when [`try_send`](Self::try_send) of that many bytes would not answer `Full`. Somebody else may be
    /// quicker: the next try decides.
    fn sendable(&self, len: usize) -> impl Future<Output = ()> + Send + 'static;

    /// Ready when [`try_recv`](Self::try_recv) would not answer `Empty`.
    fn receivable(&self) -> impl Future<Output = ()> + Send + 'static;

    /// Closes the sending end held here; what is in the channel can still be received. Again, it does nothing.
    fn close_send(&self);

    /// Closes the receiving end held here. Closing again does nothing.
    fn close_recv(&self);

    /// The numbers at this moment.
    fn stats(&self) -> QueueStats;
}

impl Channel for Queue {
    fn try_send(&self, message: Message) -> Result<(), QueueError> {
        self.sender.try_send(message)
    }

    fn try_recv(&self) -> Result<Message, QueueError> {
        self.receiver.try_recv()
    }

    fn sendable(&self, len: usize) -> impl Future<Output = ()> + Send + 'static {
        self.sender.ready(len)
    }

    fn receivable(&self) -> impl Future<Output = ()> + Send + 'static {
        self.receiver.ready()
    }

    fn close_send(&self) {
        self.sender.close();
    }

    fn close_recv(&self) {
        self.receiver.close();
    }

    fn stats(&self) -> QueueStats {
        self.control.stats()
    }
}
