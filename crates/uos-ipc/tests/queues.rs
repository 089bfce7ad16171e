//! What waiting at queues and topics is like, for tasks and for threads.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use bytes::Bytes;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;
use uos_ipc::{Limits, Message, Order, Queue, QueueError, Quota, Slow, Topic};

fn limits(messages: u64) -> Limits {
    Limits::new(messages, 1 << 10).unwrap()
}

fn queue(messages: u64) -> Queue {
    Queue::new(Order::Fifo, limits(messages), &Quota::root("queues", 1 << 20)).unwrap()
}

fn poll<F: Future>(future: &mut Pin<&mut F>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn who_waits_is_served_in_the_order_it_came() {
    let queue = queue(1);
    let (mut first, mut second) = (pin!(queue.receiver.recv()), pin!(queue.receiver.recv()));
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    queue.sender.try_send(b"one").unwrap();
    assert!(poll(&mut second).is_pending(), "it is not its turn");
    assert_eq!(poll(&mut first), Poll::Ready(Ok(Message::from(b"one"))));
    queue.sender.try_send(b"two").unwrap();
    assert_eq!(poll(&mut second), Poll::Ready(Ok(Message::from(b"two"))));

    queue.sender.try_send(b"full").unwrap();
    let (mut long, mut short) = (pin!(queue.sender.send(vec![0; 1000])), pin!(queue.sender.send(b"s")));
    assert!(poll(&mut long).is_pending() && poll(&mut short).is_pending());
    queue.receiver.try_recv().unwrap();
    assert!(poll(&mut short).is_pending());
    assert_eq!(poll(&mut long), Poll::Ready(Ok(())));
}

#[test]
fn a_dropped_wait_leaves_nothing() {
    let queue = queue(1);
    {
        let mut recv = pin!(queue.receiver.recv());
        assert!(poll(&mut recv).is_pending());
        queue.sender.try_send(b"x").unwrap();
    }
    assert_eq!(queue.control.stats().waiting_receivers, 0);
    {
        let mut send = pin!(queue.sender.send(b"never"));
        assert!(poll(&mut send).is_pending());
    }
    assert_eq!(&*queue.receiver.try_recv().unwrap(), b"x");
    assert_eq!(queue.receiver.try_recv(), Err(QueueError::Empty));
}

#[test]
fn a_wait_with_an_end_ends() {
    let queue = queue(1);
    assert_eq!(queue.receiver.recv_timeout(Duration::from_millis(1)), Err(QueueError::Empty));
    queue.sender.send_timeout(b"x", Duration::ZERO).unwrap();
    let refused = queue.sender.send_timeout(b"yz", Duration::from_millis(1));
    let full = QueueError::Full { asked: 2, messages: 1, max_messages: 1, bytes: 1, max_bytes: 1024 };
    assert_eq!(refused, Err(full));
    assert_eq!(&*queue.receiver.recv_timeout(Duration::MAX).unwrap(), b"x");
}

#[test]
fn threads_lose_and_double_nothing() {
    const EACH: u32 = 5_000;
    let Queue { sender, receiver, control } = queue(7);
    let received = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for who in 0..3u8 {
            let sender = sender.clone();
            scope.spawn(move || {
                for number in 0..EACH {
                    let mut bytes = vec![who];
                    bytes.extend(number.to_be_bytes());
                    sender.send_blocking(bytes).unwrap();
                }
            });
        }
        drop(sender);
        for _ in 0..2 {
            let (receiver, received) = (receiver.clone(), &received);
            scope.spawn(move || {
                let mut own = Vec::new();
                while let Ok(message) = receiver.recv_blocking() {
                    own.push((message[0], u32::from_be_bytes(message[1..].try_into().unwrap())));
                }
                for who in 0..3 {
                    let mine: Vec<u32> = own.iter().filter(|(by, _)| *by == who).map(|(_, n)| *n).collect();
                    assert!(mine.is_sorted(), "what one sent came out of order");
                }
                received.lock().unwrap().extend(own);
            });
        }
    });
    let mut received = received.into_inner().unwrap();
    received.sort_unstable();
    let all: Vec<_> = (0..3u8).flat_map(|who| (0..EACH).map(move |number| (who, number))).collect();
    assert_eq!(received, all);
    assert_eq!(control.stats().discarded, 0);
}

/// Bytes whose drop looks at the queue they were in, as any owner's may.
struct Nosy(Arc<Mutex<Option<Queue>>>);

impl AsRef<[u8]> for Nosy {
    fn as_ref(&self) -> &[u8] {
        &[7; 100]
    }
}

impl Drop for Nosy {
    fn drop(&mut self) {
        if let Ok(queue) = self.0.try_lock()
            && let Some(queue) = &*queue
        {
            queue.control.stats();
        }
    }
}

#[test]
fn what_is_lost_is_dropped_outside_the_lock() {
    let place = Arc::new(Mutex::new(None));
    let queue = queue(2);
    let control = queue.control.clone();
    queue.sender.try_send(Bytes::from_owner(Nosy(place.clone()))).unwrap();
    *place.lock().unwrap() = Some(queue);
    control.destroy();
    assert_eq!(control.stats().discarded, 1);
}

#[test]
fn a_destroyed_queue_says_so_to_who_waits_and_to_who_comes_later() {
    let Queue { sender: _sender, receiver, control } = queue(2);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| receiver.recv_blocking());
        while control.stats().waiting_receivers == 0 {
            thread::yield_now();
        }
        control.destroy();
        assert_eq!(waiting.join().unwrap(), Err(QueueError::Destroyed { discarded: 0 }));
    });

    let Queue { sender, receiver, control } = queue(2);
    for _ in 0..2 {
        sender.try_send(b"unread").unwrap();
    }
    let mut send = pin!(sender.send(b"one more"));
    assert!(poll(&mut send).is_pending());
    control.close();
    control.destroy();
    let gone = QueueError::Destroyed { discarded: 2 };
    assert_eq!(poll(&mut send), Poll::Ready(Err(gone)));
    assert_eq!(sender.try_send(b"x"), Err(gone), "greater than the close before");
    assert_eq!(receiver.try_recv(), Err(gone));
    assert_eq!(sender.send_blocking(b"x"), Err(gone));
    receiver.close();
    assert_eq!(receiver.recv_blocking(), Err(gone));
    assert!(control.stats().closed && control.stats().destroyed);
}

#[test]
fn every_subscriber_gets_what_is_published_from_then_on() {
    let quota = Quota::root("topic", 1 << 20);
    let topic = Topic::new(Slow::Drop, limits(4), &quota);
    assert_eq!(topic.try_publish(b"to nobody"), Ok(0));
    let first = topic.subscribe().unwrap();
    topic.try_publish(b"one").unwrap();
    let second = topic.subscribe().unwrap();
    assert_eq!(topic.try_publish(b"two"), Ok(2));
    assert_eq!(&*first.try_recv().unwrap(), b"one");
    assert_eq!(&*first.try_recv().unwrap(), b"two");
    assert_eq!(&*second.try_recv().unwrap(), b"two");
    assert_eq!(second.try_recv(), Err(QueueError::Empty));
    drop(second);
    assert_eq!(topic.clone().try_publish(b"three"), Ok(1), "a subscription ends by its drop");
    assert_eq!(quota.used(), limits(4).charge_bytes());
    drop(topic);
    assert_eq!(&*first.try_recv().unwrap(), b"three");
    assert_eq!(first.try_recv(), Err(QueueError::Ended));
    drop(first);
    assert_eq!(quota.used(), 0);
}

#[test]
fn a_slow_subscriber_misses_and_knows_how_many() {
    let topic = Topic::new(Slow::Drop, limits(2), &Quota::root("topic", 1 << 20));
    let (slow, quick) = (topic.subscribe().unwrap(), topic.subscribe().unwrap());
    for number in 0..5u8 {
        let count = topic.try_publish(&[number]).unwrap();
        assert_eq!(count, if number < 2 { 2 } else { 1 });
        assert_eq!(&*quick.try_recv().unwrap(), [number]);
    }
    assert_eq!((slow.stats().missed, quick.stats().missed), (3, 0));
    assert_eq!((&*slow.try_recv().unwrap(), &*slow.try_recv().unwrap()), (&[0][..], &[1][..]));
}

#[test]
fn a_publisher_waits_for_the_slow_one_and_nobody_is_ahead() {
    let topic = Topic::new(Slow::Block, limits(1), &Quota::root("topic", 1 << 20));
    let (slow, quick) = (topic.subscribe().unwrap(), topic.subscribe().unwrap());
    topic.try_publish(b"one").unwrap();
    quick.try_recv().unwrap();
    let full = QueueError::Full { asked: 3, messages: 1, max_messages: 1, bytes: 3, max_bytes: 1024 };
    assert_eq!(topic.try_publish(b"two"), Err(full));
    assert_eq!(quick.try_recv(), Err(QueueError::Empty), "all or nobody");
    let mut publishing = pin!(topic.publish(b"two"));
    assert!(poll(&mut publishing).is_pending());
    slow.try_recv().unwrap();
    assert_eq!(poll(&mut publishing), Poll::Ready(Ok(2)));
    assert_eq!((&*slow.try_recv().unwrap(), &*quick.try_recv().unwrap()), (&b"two"[..], &b"two"[..]));
    let mut publishing = pin!(topic.publish(vec![0; 2000]));
    assert_eq!(poll(&mut publishing), Poll::Ready(Err(QueueError::TooLarge { asked: 2000, max: 1024 })));
    topic.try_publish(b"three").unwrap();
    let mut publishing = pin!(topic.publish(b"four"));
    assert!(poll(&mut publishing).is_pending());
    drop((slow, quick));
    assert_eq!(poll(&mut publishing), Poll::Ready(Ok(0)), "who has left holds nobody up");
}

#[test]
fn all_subscribers_see_one_order() {
    let topic = Topic::new(Slow::Block, limits(3), &Quota::root("topic", 1 << 20));
    let subscriptions: Vec<_> = (0..3).map(|_| topic.subscribe().unwrap()).collect();
    let seen: Vec<Vec<Message>> = thread::scope(|scope| {
        for who in 0..3u8 {
            let topic = topic.clone();
            scope.spawn(move || {
                (0..500u16).for_each(|number| {
                    topic.publish_blocking(vec![who, (number >> 8) as u8, number as u8]).map(drop).unwrap();
                });
            });
        }
        drop(topic);
        let receive = |subscription: uos_ipc::Subscription| {
            std::iter::from_fn(|| subscription.recv_blocking().ok()).collect::<Vec<_>>()
        };
        let readers: Vec<_> = subscriptions
            .into_iter()
            .map(|subscription| scope.spawn(move || receive(subscription)))
            .collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    assert_eq!(seen[0].len(), 1500);
    assert!(seen[0] == seen[1] && seen[1] == seen[2]);
}
