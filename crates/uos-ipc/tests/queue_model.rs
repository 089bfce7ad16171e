//! Random histories of a queue beside a naive model: the same answers, the same numbers.

use proptest::prelude::*;
use uos_ipc::{Limits, Message, Order, Queue, QueueError, Quota, Receiver, Sender};

#[derive(Clone, Debug)]
enum Op {
    Recv { by: usize },
    Send { by: usize, len: usize, priority: u8 },
    CloneReceiver { by: usize },
    CloneSender { by: usize },
    DropReceiver { by: usize },
    DropSender { by: usize },
    Close,
    Destroy,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let by = || 0..4usize;
    let len = prop_oneof![0..20usize, 60..70usize, 0..300usize];
    let op = prop_oneof![
        20 => by().prop_map(|by| Op::Recv { by }),
        24 => (by(), len, prop_oneof![0..3u8, any::<u8>()])
            .prop_map(|(by, len, priority)| Op::Send { by, len, priority }),
        3 => by().prop_map(|by| Op::CloneReceiver { by }),
        3 => by().prop_map(|by| Op::CloneSender { by }),
        2 => by().prop_map(|by| Op::DropReceiver { by }),
        2 => by().prop_map(|by| Op::DropSender { by }),
        1 => Just(Op::Close),
        1 => Just(Op::Destroy),
    ];
    prop::collection::vec(op, 1..100)
}

proptest! {
    #[test]
    fn a_queue_is_its_model(
        order in prop_oneof![Just(Order::Fifo), Just(Order::Priority)],
        messages in 1..20u64,
        bytes in prop_oneof![1..20u64, 1..2000u64],
        ops in ops(),
    ) {
        let limits = Limits::new(messages, bytes).unwrap();
        let quota = Quota::root("queues", limits.charge_bytes());
        let Queue { sender, receiver, control } = Queue::new(order, limits, &quota).unwrap();
        let mut receivers: Vec<Receiver> = vec![receiver];
        let mut senders: Vec<Sender> = vec![sender];
        let mut model = Model { order, limits, messages: Vec::new(), receivers: 1, senders: 1, closed: false, destroyed: false, discarded: 0 };
        let mut next = 0u8;
        for op in ops {
            let before = control.stats();
            let mut refused = false;
            match op {
                Op::Recv { by } if !receivers.is_empty() => {
                    let expected = model.recv();
                    refused = expected.is_err();
                    prop_assert_eq!(receivers[by % receivers.len()].try_recv(), expected);
                }
                Op::Send { by, len, priority } if !senders.is_empty() => {
                    next = next.wrapping_add(1);
                    let message = Message::from(vec![next; len]).with_priority(priority);
                    let expected = model.send(&message);
                    refused = expected.is_err();
                    prop_assert_eq!(senders[by % senders.len()].try_send(message), expected);
                }
                Op::CloneReceiver { by } if !receivers.is_empty() => {
                    receivers.push(receivers[by % receivers.len()].clone());
                }
                Op::CloneSender { by } if !senders.is_empty() => senders.push(senders[by % senders.len()].clone()),
                Op::DropReceiver { by } if !receivers.is_empty() => {
                    receivers.swap_remove(by % receivers.len());
                }
                Op::DropSender { by } if !senders.is_empty() => {
                    senders.swap_remove(by % senders.len());
                }
                Op::Close => {
                    control.close();
                    model.closed = true;
                }
                Op::Destroy => {
                    control.destroy();
                    model.destroyed = true;
                }
                _ => {}
            }
            (model.receivers, model.senders) = (receivers.len(), senders.len());
            if model.destroyed || model.receivers == 0 {
                model.discarded += model.messages.len() as u64;
                model.messages.clear();
            }
            let stats = control.stats();
            if refused {
                prop_assert_eq!(stats, before, "a refused call changes nothing");
            }
            prop_assert_eq!((stats.destroyed, stats.discarded), (model.destroyed, model.discarded));
            prop_assert_eq!(stats.sent, stats.received + stats.messages as u64 + stats.discarded);
            prop_assert_eq!((stats.receivers, stats.senders), (model.receivers, model.senders));
            prop_assert_eq!((stats.messages, stats.bytes), (model.messages.len(), model.bytes()));
            prop_assert!(stats.messages <= limits.messages() && stats.bytes <= limits.bytes());
            prop_assert_eq!(quota.used(), if model.is_over() { 0 } else { limits.charge_bytes() });
        }
        drop((receivers, senders));
        prop_assert_eq!(quota.used(), 0, "though the control is still there");
    }
}

struct Model {
    order: Order,
    limits: Limits,
    messages: Vec<Message>,
    receivers: usize,
    senders: usize,
    closed: bool,
    destroyed: bool,
    discarded: u64,
}

impl Model {
    fn bytes(&self) -> usize {
        self.messages.iter().map(|message| message.len()).sum()
    }

    fn recv(&mut self) -> Result<Message, QueueError> {
        if self.destroyed {
            return Err(QueueError::Destroyed { discarded: self.discarded });
        }
        let first = match self.order {
            Order::Priority => {
                let highest = self.messages.iter().map(Message::priority).max();
                self.messages.iter().position(|message| Some(message.priority()) == highest)
            }
            _ => (!self.messages.is_empty()).then_some(0),
        };
        match first {
            Some(first) => Ok(self.messages.remove(first)),
            None if self.closed || self.senders == 0 => Err(QueueError::Ended),
            None => Err(QueueError::Empty),
        }
    }

    fn send(&mut self, message: &Message) -> Result<(), QueueError> {
        let (asked, max_messages, max_bytes) = (message.len(), self.limits.messages(), self.limits.bytes());
        let (messages, bytes) = (self.messages.len(), self.bytes());
        if self.destroyed {
            return Err(QueueError::Destroyed { discarded: self.discarded });
        }
        if self.closed {
            return Err(QueueError::Closed);
        }
        if self.receivers == 0 {
            return Err(QueueError::Abandoned);
        }
        if asked > max_bytes {
            return Err(QueueError::TooLarge { asked, max: max_bytes });
        }
        if messages == max_messages || bytes + asked > max_bytes {
            return Err(QueueError::Full { asked, messages, max_messages, bytes, max_bytes });
        }
        self.messages.push(message.clone());
        Ok(())
    }

    fn is_over(&self) -> bool {
        let drained = self.messages.is_empty() && (self.closed || self.senders == 0);
        self.destroyed || self.receivers == 0 || drained
    }
}
