//! One message to everybody who has subscribed: publish and subscribe, over a queue for each.

use crate::queue::{Limits, Message, Order, Queue, QueueError, QueueStats, Receiver, Sender};
use crate::quota::{Quota, QuotaError};
use crate::sync::{Arc, Mutex};
use crate::waiting::blocking;
use std::fmt;

/// What happens to a subscriber whose queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slow {
    /// It misses the message, and its numbers say how many it has missed.
    Drop,
    /// The publisher waits for it, and nobody gets the message before all can.
    Block,
}

/// Publishes. Clones publish to the same subscribers; when the last is dropped, these get what is left and then
/// [`QueueError::Ended`].
///
/// All subscribers see the same messages in the same order, from the moment they subscribe.
#[derive(Clone)]
pub struct Topic {
    shared: Arc<Shared>,
}

struct Shared {
    slow: Slow,
    limits: Limits,
    quota: Quota,
    /// Held while a message goes to all of them, which is what makes the order one; locks of queues are taken inside.
    subscribers: Mutex<Vec<Sender>>,
}

/// Receives what is published. Dropping it ends the subscription and returns its charge.
pub type Subscription = Receiver;

impl Topic {
    /// A topic without subscribers. Each will have a queue of these limits, charged to `quota`.
    pub fn new(slow: Slow, limits: Limits, quota: &Quota) -> Topic {
        let subscribers = Mutex::new(Vec::new());
        Topic { shared: Arc::new(Shared { slow, limits, quota: quota.clone(), subscribers }) }
    }

    /// A new subscriber, who gets what is published from now on.
    pub fn subscribe(&self) -> Result<Subscription, QuotaError> {
        let Queue { sender, receiver, .. } = Queue::new(Order::Fifo, self.shared.limits, &self.shared.quota)?;
        self.shared.subscribers.lock().push(sender);
        Ok(receiver)
    }

    /// Gives the message to all subscribers, and never waits. Answers how many got it.
    ///
    /// Under [`Slow::Block`] all get it or none, and `Full` has the numbers of the first that has no room.
    pub fn try_publish(&self, message: impl Into<Message>) -> Result<usize, QueueError> {
        self.deliver(&message.into()).map_err(|(error, _)| error)
    }

    /// Waits until all subscribers have room, where the topic says so. Publishers that wait are in no order among
    /// themselves; a dropped future has published nothing.
    pub async fn publish(&self, message: impl Into<Message>) -> Result<usize, QueueError> {
        let message = message.into();
        loop {
            let room = match self.deliver(&message) {
                Ok(count) => return Ok(count),
                Err((QueueError::Full { .. }, Some(room))) => room,
                Err((error, _)) => return Err(error),
            };
            room.await;
        }
    }

    /// [`publish`](Self::publish) for a thread: it sleeps until there is an answer.
    pub fn publish_blocking(&self, message: impl Into<Message>) -> Result<usize, QueueError> {
        blocking::block_on(self.publish(message))
    }

    /// The numbers of each subscriber's queue, by who came first.
    pub fn stats(&self) -> Vec<QueueStats> {
        let subscribers = self.shared.subscribers.lock();
        let all = subscribers.iter().map(|sender| sender.control().stats());
        all.filter(|stats| stats.receivers > 0).collect()
    }

    /// Ends publishing for all: subscribers get what is left and then `Ended`. New ones may come again.
    pub fn close(&self) {
        // Dropped after the lock: the last sender's end wakes receivers.
        let _subscribers = std::mem::take(&mut *self.shared.subscribers.lock());
    }

    /// All in one step; or the refusal, and what to wait for if waiting helps.
    fn deliver(&self, message: &Message) -> Result<usize, (QueueError, Option<crate::Ready>)> {
        let max = self.shared.limits.bytes();
        if message.len() > max {
            return Err((QueueError::TooLarge { asked: message.len(), max }, None));
        }
        let (mut wakes, mut gone, mut count) = (Vec::new(), Vec::new(), 0);
        let refused = {
            let mut subscribers = self.shared.subscribers.lock();
            let refused = match self.shared.slow {
                Slow::Drop => None,
                Slow::Block => subscribers.iter().find_map(|sender| {
                    let full = sender.check(message.len()).err();
                    let full = full.filter(|error| matches!(error, QueueError::Full { .. }))?;
                    Some((full, Some(sender.ready(message.len()))))
                }),
            };
            if refused.is_none() {
                // Nobody else puts anything in: there is still room wherever there was.
                for at in (0..subscribers.len()).rev() {
                    let (answer, woken) = subscribers[at].put(&mut message.clone());
                    wakes.push(woken);
                    match answer {
                        Ok(()) => count += 1,
                        Err(QueueError::Full { .. }) => subscribers[at].miss(),
                        Err(_) => gone.push(subscribers.remove(at)),
                    }
                }
            }
            refused
        };
        wakes.into_iter().flatten().for_each(crate::waiting::Wakes::fire);
        drop(gone);
        refused.map_or(Ok(count), Err)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic").field("slow", &self.shared.slow).field("subscribers", &self.stats()).finish()
    }
}
