//! Queues and topics.

use std::sync::Arc;

use uos_ipc::{
    Limits, Message, Order, Queue, QueueError, QueueStats, Receiver, RecvFuture, Rights, SendFuture, Slow,
    Topic,
};
use uos_proto::v1::{self, QueueKind};

use super::{
    handles::{broken, give_up, keep},
    within,
};
use crate::{
    Errno, Error,
    admit::{Absent, Cx},
    handles::{Handle, Object, Over, QueueEnds, TopicEnds},
    perform::{Syscall, Waiting},
    target::{HandleTarget, Scope, System},
};

impl Syscall for v1::CreateQueue {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::CreateQueueReply, Error> {
        let asked = self.limits.unwrap_or_default();
        let or = |asked, usual| if asked == 0 { usual } else { asked };
        let messages = or(asked.messages, Limits::DEFAULT.messages() as u64);
        let limits = Limits::new(messages, or(asked.bytes, Limits::DEFAULT.bytes() as u64))
            .map_err(|error| Error::invalid("limits", error))?;
        let quota = &cx.caller().share.queue_bytes;
        let queue = |order| -> Result<Object, Error> {
            let Queue { sender, receiver, control } = Queue::new(order, limits, quota)?;
            Ok(Object::Queue(QueueEnds { sender: Some(sender), receiver: Some(receiver), control }))
        };
        let topic = |slow| Ok(Object::Topic(TopicEnds::new(Topic::new(slow, limits, quota), limits)));
        let object = match QueueKind::try_from(self.kind) {
            Ok(QueueKind::Unspecified | QueueKind::Fifo) => queue(Order::Fifo),
            Ok(QueueKind::Priority) => queue(Order::Priority),
            Ok(QueueKind::Topic) => topic(Slow::Drop),
            Ok(QueueKind::TopicBlocking) => topic(Slow::Block),
            Err(_) => Err(Error::invalid("kind", format_args!("{} is no kind of queue", self.kind))),
        }?;
        Ok(v1::CreateQueueReply { id: keep(&cx, Handle::new(object, Rights::ALL))? })
    }
}

/// Where a message goes.
pub(crate) enum Outbox {
    /// The send belongs to the handle without keeping it open, so that closing the handle ends the send.
    Queue(SendFuture),
    Topic(TopicEnds, Message),
}

impl Waiting for v1::SendMessage {
    type Target = HandleTarget<Outbox>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        // A number beyond the scale is as urgent as can be; `run` refuses it before anything is sent.
        let urgency = u8::try_from(self.priority).unwrap_or(u8::MAX);
        let message = Message::from(self.data.clone()).with_priority(urgency);
        scope.handle(self.id, Rights::WRITE, |object| match object {
            Object::Queue(queue) => Some(Outbox::Queue(queue.sender.as_ref()?.send(message))),
            Object::Topic(topic) => Some(Outbox::Topic(topic.to_subscribe(), message)),
            _ => None,
        })
    }

    async fn run(&self, cx: Cx<'_, Self::Target>) -> Result<v1::SendMessageReply, Error> {
        if self.priority > u32::from(u8::MAX) {
            return Err(Error::invalid("priority", "0 to 255"));
        }
        let sent = match cx.target.found {
            Outbox::Queue(send) => within(self.timeout_us, async { send.await.map(|()| 1) }).await,
            Outbox::Topic(topic, message) => {
                let publishing = topic.get().map_err(over)?;
                let sent = within(self.timeout_us, publishing.publish(message)).await;
                if let Some(Ok(0)) = sent {
                    // Perhaps nobody was left of those it waited for because publishing has ended.
                    topic.get().map_err(over)?;
                }
                sent
            }
        };
        match sent {
            Some(Ok(receivers)) => Ok(v1::SendMessageReply { receivers: receivers as u64 }),
            Some(Err(error)) => Err(refused(error)),
            None => Err(Error::new(Errno::ETIMEDOUT, "there was no room in time; nothing was sent")),
        }
    }
}

impl Waiting for v1::ReceiveMessage {
    type Target = HandleTarget<RecvFuture>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        scope.handle(self.id, Rights::READ, |object| match object {
            Object::Queue(queue) => Some(queue.receiver.as_ref()?.recv()),
            Object::Subscription(subscription) => Some(subscription.recv()),
            _ => None,
        })
    }

    async fn run(&self, cx: Cx<'_, Self::Target>) -> Result<v1::ReceiveMessageReply, Error> {
        match within(self.timeout_us, cx.target.found).await {
            Some(Ok(message)) => Ok(v1::ReceiveMessageReply {
                priority: u32::from(message.priority()),
                data: message.into_bytes(),
                end: false,
            }),
            Some(Err(QueueError::Ended)) => Ok(v1::ReceiveMessageReply { end: true, ..Default::default() }),
            Some(Err(error)) => Err(refused(error)),
            None => Err(Error::new(Errno::ETIMEDOUT, "nothing came in time")),
        }
    }
}

impl Syscall for v1::Subscribe {
    type Target = HandleTarget<TopicEnds>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        scope.handle(self.id, Rights::READ, |object| match object {
            Object::Topic(topic) => Some(topic.to_subscribe()),
            _ => None,
        })
    }

    fn run(&self, cx: Cx<'_, &Self::Target>) -> Result<v1::SubscribeReply, Error> {
        let topic = cx.target.found.get().map_err(over)?;
        let subscription = Arc::new(topic.subscribe()?);
        let rights = Rights::READ | Rights::DUPLICATE | Rights::TRANSFER;
        Ok(v1::SubscribeReply { id: keep(&cx, Handle::new(Object::Subscription(subscription), rights))? })
    }
}

impl Syscall for v1::Unsubscribe {
    type Target = HandleTarget<()>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        scope.handle(self.id, Rights::NONE, |object| matches!(object, Object::Subscription(_)).then_some(()))
    }

    fn run(&self, cx: Cx<'_, &Self::Target>) -> Result<v1::UnsubscribeReply, Error> {
        give_up(&cx, self.id)?;
        Ok(v1::UnsubscribeReply {})
    }
}

/// A queue or a topic as a whole.
pub(crate) enum Whole {
    Queue(uos_ipc::QueueControl),
    Topic(TopicEnds),
    Subscription(Arc<Receiver>),
}

impl Whole {
    fn of(object: &Object) -> Option<Self> {
        match object {
            Object::Queue(queue) => Some(Self::Queue(queue.control.clone())),
            Object::Topic(topic) => Some(Self::Topic(topic.to_subscribe())),
            Object::Subscription(subscription) => Some(Self::Subscription(Arc::clone(subscription))),
            _ => None,
        }
    }
}

impl Syscall for v1::CloseQueue {
    type Target = HandleTarget<Whole>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        scope.handle(self.id, Rights::WRITE, |object| Whole::of(object))
    }

    fn run(&self, cx: Cx<'_, &Self::Target>) -> Result<v1::CloseQueueReply, Error> {
        match &cx.target.found {
            Whole::Queue(control) => {
                alive(control.stats())?;
                control.close();
            }
            Whole::Topic(topic) => {
                is_there(topic)?;
                topic.end(Over::Closed);
            }
            Whole::Subscription(_) => return Err(Error::no_handle(self.id)),
        }
        Ok(v1::CloseQueueReply {})
    }
}

impl Syscall for v1::DestroyQueue {
    type Target = HandleTarget<Whole>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        scope.handle(self.id, Rights::DESTROY, |object| Whole::of(object))
    }

    fn run(&self, cx: Cx<'_, &Self::Target>) -> Result<v1::DestroyQueueReply, Error> {
        match &cx.target.found {
            Whole::Queue(control) => {
                alive(control.stats())?;
                control.destroy();
            }
            Whole::Topic(topic) => {
                is_there(topic)?;
                topic.end(Over::Destroyed);
            }
            Whole::Subscription(_) => return Err(Error::no_handle(self.id)),
        }
        give_up(&cx, self.id)?;
        Ok(v1::DestroyQueueReply {})
    }
}

impl Syscall for v1::QueueStats {
    type Target = HandleTarget<Whole>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        scope.handle(self.id, Rights::NONE, |object| Whole::of(object))
    }

    fn run(&self, cx: Cx<'_, &Self::Target>) -> Result<v1::QueueStatsReply, Error> {
        Ok(match &cx.target.found {
            Whole::Queue(control) => told(&alive(control.stats())?),
            Whole::Subscription(subscription) => told(&subscription.stats()),
            Whole::Topic(topic) => {
                is_there(topic)?;
                all_told(topic)
            }
        })
    }
}

fn told(stats: &QueueStats) -> v1::QueueStatsReply {
    v1::QueueStatsReply {
        limits: Some(wire(stats.limits)),
        messages: stats.messages as u64,
        bytes: stats.bytes as u64,
        sent: stats.sent,
        received: stats.received,
        missed: stats.missed,
        senders: stats.senders as u64,
        receivers: stats.receivers as u64,
        closed: stats.closed,
    }
}

fn all_told(topic: &TopicEnds) -> v1::QueueStatsReply {
    let (open, stats) = (topic.get(), topic.get().map(|topic| topic.stats()).unwrap_or_default());
    let none = v1::QueueStatsReply {
        limits: Some(wire(topic.limits())),
        receivers: stats.len() as u64,
        closed: open.is_err(),
        ..Default::default()
    };
    stats.iter().fold(none, |sum, one| v1::QueueStatsReply {
        messages: sum.messages + one.messages as u64,
        bytes: sum.bytes + one.bytes as u64,
        sent: sum.sent + one.sent,
        received: sum.received + one.received,
        missed: sum.missed + one.missed,
        ..sum
    })
}

fn wire(limits: Limits) -> v1::QueueLimits {
    v1::QueueLimits { messages: limits.messages() as u64, bytes: limits.bytes() as u64 }
}

/// The numbers of a queue, unless it was destroyed.
fn alive(stats: QueueStats) -> Result<QueueStats, Error> {
    if stats.destroyed { Err(destroyed(stats.discarded)) } else { Ok(stats) }
}

fn is_there(topic: &TopicEnds) -> Result<(), Error> {
    if topic.get().err() == Some(Over::Destroyed) { Err(over(Over::Destroyed)) } else { Ok(()) }
}

fn destroyed(discarded: u64) -> Error {
    Error::new(Errno::EIDRM, format!("the queue was destroyed, {discarded} messages of it not received"))
}

/// The answer of a topic of which publishing has ended.
fn over(how: Over) -> Error {
    match how {
        Over::Closed => broken(),
        Over::Destroyed => Error::new(Errno::EIDRM, "the topic was destroyed"),
    }
}

fn refused(error: QueueError) -> Error {
    match error {
        QueueError::Destroyed { discarded } => destroyed(discarded),
        QueueError::TooLarge { asked, max } => {
            Error::limit(Errno::EMSGSIZE, "message_bytes", asked as u64, max as u64)
        }
        _ => broken(),
    }
}
