//! What every [`Channel`] promises, as one suite. A new carrier of messages adds one `check_all` line.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;
use uos_ipc::{Channel, Limits, Message, Order, Queue, QueueError, Quota};

#[test]
fn queues_in_this_process() {
    let quota = Quota::root("queues", 8 << 20);
    for order in [Order::Fifo, Order::Priority] {
        check_all(Kind { exact: true, at_once: true }, |messages, bytes| {
            Queue::new(order, Limits::new(messages, bytes).unwrap(), &quota).unwrap()
        });
    }
    assert_eq!(quota.used(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn rings_in_shared_memory() {
    let quota = Quota::root("shm", 8 << 20);
    let segments = uos_ipc::Segments::new(&quota);
    check_all(Kind { exact: true, at_once: false }, |messages, bytes| {
        uos_ipc::SharedQueue::new(Limits::new(messages, bytes).unwrap(), &segments).unwrap()
    });
    assert_eq!(quota.used(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn the_kernels_sockets_for_packets() {
    let kind = Kind { exact: false, at_once: false };
    check_all(kind, |messages, bytes| {
        uos_ipc::KernelQueue::new(Limits::new(messages, bytes).unwrap()).unwrap()
    });
}

/// How a carrier differs where it may.
#[derive(Clone, Copy)]
struct Kind {
    /// What fits are the limits; otherwise they are the least that fits.
    exact: bool,
    /// Who waits is woken inside the call that it waits for, once; otherwise by another thread, and perhaps in vain.
    at_once: bool,
}

/// Runs the suite on channels of the limits it asks for.
fn check_all<C: Channel>(kind: Kind, make: impl Fn(u64, u64) -> C) {
    messages_come_out_whole_and_in_order(&make(100, 64 << 10));
    both_limits_hold(kind, &make(3, 100));
    all_that_the_limits_say_fits(&make);
    what_never_fits_says_so(&make(3, 100));
    nothing_is_a_message_too(kind, &make(2, 1));
    a_closed_sender_leaves_what_it_sent(&make(4, 100));
    a_closed_receiver_is_told(&make(4, 100));
    readiness_wakes_once_it_is_true(kind, &make(1, 100));
    waiting_ends_with_what_it_waits_for(kind, &make(1, 100));
    closing_wakes_who_waits(kind, &make);
}

fn message(text: &str) -> Message {
    Message::from(text.as_bytes())
}

fn messages_come_out_whole_and_in_order(channel: &impl Channel) {
    for round in 0..3 {
        for len in [0, 1, 64, 65, 4_000, 30_000] {
            channel.try_send(vec![round; len].into()).unwrap();
        }
        for len in [0, 1, 64, 65, 4_000, 30_000] {
            assert_eq!(&*channel.try_recv().unwrap(), &vec![round; len][..]);
        }
    }
    assert_eq!(channel.try_recv(), Err(QueueError::Empty));
    let stats = channel.stats();
    assert_eq!((stats.sent, stats.received, stats.messages, stats.bytes), (18, 18, 0, 0));
}

/// As many more as fit, each of that many bytes, and the refusal after them.
fn fill(channel: &impl Channel, len: usize) -> (usize, QueueError) {
    let mut count = 0;
    loop {
        match channel.try_send(vec![0; len].into()) {
            Ok(()) => count += 1,
            Err(refused) => return (count, refused),
        }
    }
}

fn both_limits_hold(kind: Kind, channel: &impl Channel) {
    if !kind.exact {
        let (count, refused) = fill(channel, 1);
        let full =
            QueueError::Full { asked: 1, messages: count, max_messages: 3, bytes: count, max_bytes: 100 };
        assert_eq!(refused, full);
        assert!((3..1_000).contains(&count), "bounded all the same: {count}");
        return;
    }
    for _ in 0..3 {
        channel.try_send(message("x")).unwrap();
    }
    let full = QueueError::Full { asked: 1, messages: 3, max_messages: 3, bytes: 3, max_bytes: 100 };
    assert_eq!(channel.try_send(message("x")), Err(full));
    channel.try_recv().unwrap();
    let full = QueueError::Full { asked: 99, messages: 2, max_messages: 3, bytes: 2, max_bytes: 100 };
    assert_eq!(channel.try_send(vec![0; 99].into()), Err(full));
    channel.try_send(vec![0; 98].into()).unwrap();
    assert_eq!(channel.stats().bytes, 100);
}

fn all_that_the_limits_say_fits<C: Channel>(make: &impl Fn(u64, u64) -> C) {
    for (messages, bytes) in [(1, 100), (1, 1), (100, 100), (64, 64 << 10), (16, 10_000), (3, 65_000)] {
        let channel = make(messages, bytes);
        for _ in 0..messages {
            channel.try_send(vec![0; (bytes / messages) as usize].into()).unwrap();
        }
        for _ in 0..messages {
            assert_eq!(channel.try_recv().unwrap().len() as u64, bytes / messages);
        }
        channel.try_send(vec![0; bytes as usize].into()).unwrap();
        assert_eq!(channel.try_recv().unwrap().len() as u64, bytes);
    }
}

fn what_never_fits_says_so(channel: &impl Channel) {
    assert_eq!(channel.try_send(vec![0; 101].into()), Err(QueueError::TooLarge { asked: 101, max: 100 }));
    assert!(is_ready(&mut pin!(channel.sendable(101)).as_mut()), "waiting would not help");
}

fn nothing_is_a_message_too(kind: Kind, channel: &impl Channel) {
    let (count, refused) = fill(channel, 0);
    assert!(matches!(refused, QueueError::Full { asked: 0, .. }), "{refused:?}");
    assert!(if kind.exact { count == 2 } else { count >= 2 }, "{count}");
    channel.close_send();
    for _ in 0..count {
        assert_eq!(channel.try_recv().unwrap().len(), 0);
    }
    assert_eq!(channel.try_recv(), Err(QueueError::Ended), "which is not a message of nothing");
}

fn a_closed_sender_leaves_what_it_sent(channel: &impl Channel) {
    channel.try_send(message("last words")).unwrap();
    channel.close_send();
    channel.close_send();
    assert_eq!(channel.try_send(message("x")), Err(QueueError::Closed));
    assert_eq!(&*channel.try_recv().unwrap(), b"last words");
    for _ in 0..2 {
        assert_eq!(channel.try_recv(), Err(QueueError::Ended), "the end stays the end");
    }
}

fn a_closed_receiver_is_told(channel: &impl Channel) {
    channel.try_send(message("unread")).unwrap();
    channel.close_recv();
    channel.close_recv();
    assert_eq!(channel.try_recv(), Err(QueueError::Closed));
    assert_eq!(channel.try_send(message("x")), Err(QueueError::Abandoned));
    let stats = channel.stats();
    assert_eq!((stats.messages, stats.bytes, stats.discarded), (0, 0, 1));
}

fn readiness_wakes_once_it_is_true(kind: Kind, channel: &impl Channel) {
    let mut receivable = pin!(channel.receivable());
    let receiver = Arc::new(Count::default());
    assert!(!receiver.poll(receivable.as_mut()));
    channel.try_send(message("x")).unwrap();
    receiver.is_woken(kind, receivable.as_mut());
    if !kind.exact {
        fill(channel, 1);
    }
    let mut sendable = pin!(channel.sendable(1));
    let sender = Arc::new(Count::default());
    assert!(!sender.poll(sendable.as_mut()));
    channel.try_recv().unwrap();
    if !kind.exact {
        while channel.try_recv().is_ok() {}
    }
    sender.is_woken(kind, sendable.as_mut());
}

fn waiting_ends_with_what_it_waits_for(kind: Kind, channel: &impl Channel) {
    const SHORTLY: Duration = Duration::from_millis(1);
    assert_eq!(channel.recv_timeout(SHORTLY), Err(QueueError::Empty));
    channel.send_blocking(message("a")).unwrap();
    let more = if kind.exact { 0 } else { fill(channel, 1).0 };
    assert!(matches!(channel.send_timeout(message("b"), SHORTLY), Err(QueueError::Full { .. })));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(channel.recv_blocking().unwrap(), message("a"));
            (0..more).for_each(|_| assert_eq!(&*channel.recv_blocking().unwrap(), &[0]));
            let received = [(); 2].map(|()| channel.recv_blocking().unwrap());
            assert_eq!(received, ["b", "c"].map(message));
        });
        channel.send_timeout(message("b"), Duration::from_secs(60)).unwrap();
        channel.send_blocking(message("c")).unwrap();
    });
    channel.close_send();
    assert_eq!(channel.recv_timeout(Duration::from_secs(60)), Err(QueueError::Ended));
}

fn closing_wakes_who_waits<C: Channel>(kind: Kind, make: &impl Fn(u64, u64) -> C) {
    let channel = make(1, 1);
    let (mut receivable, receiver) = (pin!(channel.receivable()), Arc::new(Count::default()));
    assert!(!receiver.poll(receivable.as_mut()));
    channel.close_send();
    receiver.is_woken(kind, receivable.as_mut());
    let channel = make(1, 1);
    fill(&channel, 1);
    let (mut sendable, sender) = (pin!(channel.sendable(1)), Arc::new(Count::default()));
    assert!(!sender.poll(sendable.as_mut()));
    channel.close_recv();
    sender.is_woken(kind, sendable.as_mut());
}

fn is_ready<F: Future>(future: &mut std::pin::Pin<&mut F>) -> bool {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// A waker that counts, and can be waited for.
#[derive(Default)]
struct Count {
    times: Mutex<usize>,
    woken: Condvar,
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        *self.times.lock().unwrap() += 1;
        self.woken.notify_all();
    }
}

impl Count {
    fn poll(self: &Arc<Count>, future: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        future.poll(&mut Context::from_waker(&Waker::from(self.clone()))).is_ready()
    }

    /// The future is woken and then ready. One that is never woken hangs here.
    fn is_woken(self: &Arc<Count>, kind: Kind, mut future: std::pin::Pin<&mut impl Future<Output = ()>>) {
        if kind.at_once {
            assert!(*self.times.lock().unwrap() == 1 && self.poll(future));
            return;
        }
        loop {
            let mut times = self.times.lock().unwrap();
            while *times == 0 {
                times = self.woken.wait(times).unwrap();
            }
            *times = 0;
            drop(times);
            if self.poll(future.as_mut()) {
                return;
            }
        }
    }
}
