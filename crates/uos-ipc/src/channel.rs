//! What a channel of messages is, whoever carries them.

use crate::queue::{Message, Queue, QueueError, QueueStats};
use crate::waiting::blocking::{block_on, block_on_until};
use std::future::Future;
use std::time::{Duration, Instant};

/// Both ends of one channel of messages, as far as they are open here.
///
/// The base is two calls that never wait and two futures that only wait; sending and receiving with waiting, for tasks and for
/// threads, with and without a time limit, is built on top: try, and when that is refused for now, wait for readiness and try
/// again. `tests/channel.rs` holds every implementation to the same promises.
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

    /// [`try_recv`](Self::try_recv) as soon as there is a message, or an end. Dropping it is free.
    fn recv(&self) -> impl Future<Output = Result<Message, QueueError>> + Send {
        async move {
            loop {
                match self.try_recv() {
                    Err(QueueError::Empty) => self.receivable().await,
                    answer => return answer,
                }
            }
        }
    }

    /// The same for a thread: it sleeps until there is an answer.
    fn recv_blocking(&self) -> Result<Message, QueueError> {
        block_on(self.recv())
    }

    /// The same for so long at the most; then it answers [`QueueError::Empty`].
    fn recv_timeout(&self, timeout: Duration) -> Result<Message, QueueError> {
        let answer = block_on_until(self.recv(), Instant::now().checked_add(timeout));
        answer.unwrap_or(Err(QueueError::Empty))
    }

    /// [`try_send`](Self::try_send) as soon as there is room. A dropped future has sent nothing.
    fn send(&self, message: Message) -> impl Future<Output = Result<(), QueueError>> + Send {
        async move {
            loop {
                match self.try_send(message.clone()) {
                    Err(QueueError::Full { .. }) => self.sendable(message.len()).await,
                    answer => return answer,
                }
            }
        }
    }

    /// The same for a thread: it sleeps until there is an answer.
    fn send_blocking(&self, message: Message) -> Result<(), QueueError> {
        block_on(self.send(message))
    }

    /// The same for so long at the most; then it answers what a try does.
    fn send_timeout(&self, message: Message, timeout: Duration) -> Result<(), QueueError> {
        let answer = block_on_until(self.send(message.clone()), Instant::now().checked_add(timeout));
        answer.unwrap_or_else(|| self.try_send(message))
    }
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
