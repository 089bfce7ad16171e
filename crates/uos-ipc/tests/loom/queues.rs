//! Waiting at a queue or a topic: for messages, for room, and for the end.

use super::block_on;
use loom::thread;
use uos_ipc::{Limits, Order, Queue, QueueError, Quota, Slow, Topic};

fn queue(messages: u64) -> (Queue, Quota) {
    let limits = Limits::new(messages, 8).unwrap();
    let quota = Quota::root("queues", limits.charge_bytes());
    (Queue::new(Order::Fifo, limits, &quota).unwrap(), quota)
}

#[test]
fn a_waiting_receiver_sees_the_message() {
    loom::model(|| {
        let (Queue { sender, receiver, .. }, quota) = queue(1);
        let sending = thread::spawn(move || sender.try_send(b"x").unwrap());
        assert_eq!(&*block_on(receiver.recv()).unwrap(), b"x");
        sending.join().unwrap();
        assert_eq!(block_on(receiver.recv()), Err(QueueError::Ended));
        assert_eq!(quota.used(), 0, "nothing is left that could be received");
    });
}

#[test]
fn a_waiting_sender_sees_the_room() {
    loom::model(|| {
        let (Queue { sender, receiver, .. }, quota) = queue(1);
        sender.try_send(b"a").unwrap();
        let receiving = thread::spawn(move || {
            receiver.try_recv().unwrap();
            receiver
        });
        assert_eq!(block_on(sender.send(b"b")), Ok(()));
        let receiver = receiving.join().unwrap();
        assert_eq!(&*receiver.try_recv().unwrap(), b"b");
        drop((receiver, sender));
        assert_eq!(quota.used(), 0);
    });
}

#[test]
fn one_message_is_for_one_of_two_receivers_and_the_end_for_both() {
    loom::model(|| {
        let (Queue { sender, receiver, .. }, _) = queue(1);
        let other = receiver.clone();
        let waiting = thread::spawn(move || block_on(other.recv()).is_ok());
        sender.try_send(b"x").unwrap();
        drop(sender);
        let here = block_on(receiver.recv()).is_ok();
        assert!(here != waiting.join().unwrap());
    });
}

#[test]
fn a_publisher_waits_for_the_one_without_room() {
    loom::model(|| {
        let quota = Quota::root("topic", 1 << 20);
        let limits = Limits::new(1, 8).unwrap();
        let topic = Topic::new(Slow::Block, limits, &quota);
        let subscription = topic.subscribe().unwrap();
        topic.try_publish(b"a").unwrap();
        let receiving = thread::spawn(move || {
            subscription.try_recv().unwrap();
            subscription
        });
        assert_eq!(block_on(topic.publish(b"b")), Ok(1));
        assert_eq!(&*receiving.join().unwrap().try_recv().unwrap(), b"b");
    });
}
