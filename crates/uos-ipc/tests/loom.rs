//! Every schedule of every wake-up, by loom. A lost wake-up shows as a deadlock of the model.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p uos-ipc --test loom --release`
#![cfg(loom)]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use bytes::Bytes;
use loom::thread;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use uos_ipc::{Capacity, Pipe, PipeError, Quota};

/// A pipe of `capacity` bytes and its quota, which no model may leave charged.
fn pipe(capacity: u64) -> (Pipe, Quota) {
    let quota = Quota::root("pipes", capacity);
    (Pipe::new(Capacity::new(capacity).unwrap(), &quota).unwrap(), quota)
}

/// Waits on a loom thread, so that loom sees when nobody will ever unpark it.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_waiting_reader_sees_the_write() {
    loom::model(|| {
        let (Pipe { writer, reader, .. }, quota) = pipe(8);
        let writing = thread::spawn(move || {
            writer.try_write(b"x").unwrap();
            writer
        });
        assert_eq!(&block_on(reader.read(8)).unwrap()[..], b"x");
        drop((writing.join().unwrap(), reader));
        assert_eq!(quota.used(), 0);
    });
}

#[test]
fn a_waiting_writer_sees_the_room() {
    loom::model(|| {
        let (Pipe { writer, reader, .. }, quota) = pipe(2);
        writer.try_write(b"ab").unwrap();
        let reading = thread::spawn(move || {
            // One byte is not enough for the write of two; the second read is what lets it go on.
            assert_eq!(reader.try_read(1).unwrap().len(), 1);
            assert_eq!(reader.try_read(1).unwrap().len(), 1);
            reader
        });
        assert_eq!(block_on(writer.write(Bytes::from_static(b"cd"))), Ok(2));
        let reader = reading.join().unwrap();
        assert_eq!(&reader.try_read(8).unwrap()[..], b"cd");
        drop((reader, writer));
        assert_eq!(quota.used(), 0);
    });
}

#[test]
fn the_last_writers_close_ends_a_waiting_read() {
    loom::model(|| {
        let (Pipe { writer, reader, .. }, quota) = pipe(8);
        let other = writer.clone();
        let closing = [thread::spawn(move || drop(writer)), thread::spawn(move || drop(other))];
        assert!(block_on(reader.read(8)).unwrap().is_empty());
        closing.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(quota.used(), 0, "nothing is left that could be read");
    });
}

#[test]
fn the_last_readers_close_breaks_a_waiting_write() {
    loom::model(|| {
        let (Pipe { writer, reader, .. }, quota) = pipe(1);
        writer.try_write(b"x").unwrap();
        let closing = thread::spawn(move || drop(reader));
        assert_eq!(block_on(writer.write(Bytes::from_static(b"y"))), Err(PipeError::BrokenPipe));
        closing.join().unwrap();
        assert_eq!(quota.used(), 0);
    });
}

#[test]
fn a_woken_read_that_is_dropped_passes_the_wake_on() {
    loom::model(|| {
        let (Pipe { writer, reader, .. }, _) = pipe(8);
        let mut first = reader.read(8);
        assert!(poll_once(&mut first).is_pending());
        let dropping = thread::spawn(move || drop(first));
        let writing = thread::spawn(move || {
            writer.try_write(b"x").unwrap();
            writer
        });
        // Queued behind the first, or after it has gone; woken by the write or by the drop.
        assert_eq!(&block_on(reader.read(8)).unwrap()[..], b"x");
        dropping.join().unwrap();
        writing.join().unwrap();
    });
}

#[test]
fn one_write_serves_two_reads_one_after_the_other() {
    loom::model(|| {
        let (Pipe { writer, reader, .. }, _) = pipe(8);
        let second = reader.clone();
        let reading = thread::spawn(move || block_on(second.read(1)).unwrap());
        let writing = thread::spawn(move || {
            writer.try_write(b"xy").unwrap();
            writer
        });
        let mut seen = [block_on(reader.read(1)).unwrap(), reading.join().unwrap()];
        seen.sort();
        assert_eq!(seen, ["x", "y"]);
        writing.join().unwrap();
    });
}

#[test]
fn a_try_that_overtakes_does_not_strand_the_woken() {
    loom::model(|| {
        let (Pipe { writer, reader, .. }, _) = pipe(8);
        let hasty = reader.clone();
        let overtaking = thread::spawn(move || hasty.try_read(1).is_ok());
        let writing = thread::spawn(move || {
            writer.try_write(b"x").unwrap();
            writer.try_write(b"y").unwrap();
            writer
        });
        assert_eq!(block_on(reader.read(1)).unwrap().len(), 1);
        overtaking.join().unwrap();
        writing.join().unwrap();
    });
}

#[test]
fn destroy_and_close_end_every_wait() {
    loom::model(|| {
        let (Pipe { writer: _writer, reader, control }, quota) = pipe(8);
        let other = reader.clone();
        let mut other_read = other.read(8);
        let closing = thread::spawn(move || drop(other));
        let destroying = thread::spawn(move || control.destroy());
        let gone = PipeError::Destroyed { discarded_bytes: 0 };
        // Whichever of the two was first; but who looks after both hears of the greater.
        let first = block_on(&mut other_read).unwrap_err();
        assert!(first == PipeError::Closed || first == gone, "{first}");
        assert_eq!(block_on(reader.read(8)), Err(gone));
        closing.join().unwrap();
        destroying.join().unwrap();
        assert_eq!(quota.used(), 0);
    });
}

#[test]
fn takes_at_the_same_time_never_overshoot_and_leave_nothing() {
    loom::model(|| {
        let root = Quota::root("all", 3);
        let owners = [root.child("a", 2), root.child("b", 2)];
        let taking = owners.clone().map(|owner| {
            let root = root.clone();
            thread::spawn(move || {
                let permit = owner.take(2);
                assert!(root.used() <= 3 && owner.used() <= 2);
                permit.is_ok()
            })
        });
        let taken = taking.map(|thread| thread.join().unwrap());
        assert!(taken.contains(&true), "one alone fits, whichever is first");
        assert_eq!((root.used(), owners[0].used(), owners[1].used()), (0, 0, 0));
    });
}

fn queue(messages: u64) -> (uos_ipc::Queue, Quota) {
    let limits = uos_ipc::Limits::new(messages, 8).unwrap();
    let quota = Quota::root("queues", limits.charge_bytes());
    (uos_ipc::Queue::new(uos_ipc::Order::Fifo, limits, &quota).unwrap(), quota)
}

#[test]
fn a_waiting_receiver_sees_the_message() {
    loom::model(|| {
        let (uos_ipc::Queue { sender, receiver, .. }, quota) = queue(1);
        let sending = thread::spawn(move || sender.try_send(b"x").unwrap());
        assert_eq!(&*block_on(receiver.recv()).unwrap(), b"x");
        sending.join().unwrap();
        assert_eq!(block_on(receiver.recv()), Err(uos_ipc::QueueError::Ended));
        assert_eq!(quota.used(), 0, "nothing is left that could be received");
    });
}

#[test]
fn a_waiting_sender_sees_the_room() {
    loom::model(|| {
        let (uos_ipc::Queue { sender, receiver, .. }, quota) = queue(1);
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
        let (uos_ipc::Queue { sender, receiver, .. }, _) = queue(1);
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
        let limits = uos_ipc::Limits::new(1, 8).unwrap();
        let topic = uos_ipc::Topic::new(uos_ipc::Slow::Block, limits, &quota);
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

#[test]
fn a_poller_sees_whatever_comes_first() {
    loom::model(|| {
        let (one, _) = pipe(8);
        let (other, _) = pipe(8);
        let readers = [one.reader, other.reader].map(Arc::new);
        let mut poller = uos_ipc::Poller::new();
        for (key, reader) in (0..).zip(&readers) {
            let reader = reader.clone();
            poller.add(key, move || reader.readable());
        }
        let writing = thread::spawn(move || {
            other.writer.try_write(b"x").unwrap();
            other.writer
        });
        assert_eq!(block_on(poller.wait()), [1]);
        drop((writing.join().unwrap(), one.writer));
    });
}

#[test]
fn a_socket_wakes_who_receives_and_who_accepts() {
    loom::model(|| {
        let quota = Quota::root("sockets", 1 << 20);
        let names = uos_ipc::Names::new();
        let listener = names.listen(b"door", uos_ipc::SocketKind::Stream, 8, 1, &quota).unwrap();
        let connecting = thread::spawn({
            let quota = quota.clone();
            move || {
                let socket = names.connect(b"door", &quota).unwrap();
                socket.try_send(b"x", &mut Vec::new()).unwrap();
                drop(socket);
                names
            }
        });
        let accepted = block_on(listener.accept()).unwrap();
        assert_eq!(&block_on(accepted.recv(8)).unwrap().bytes[..], b"x");
        assert!(block_on(accepted.recv(8)).unwrap().end);
        drop((connecting.join().unwrap(), listener, accepted));
        assert_eq!(quota.used(), 0);
    });
}

mod rings {
    //! One producer, one consumer, and the futex between them; loom sees every race for a byte.

    use super::Quota;
    use loom::thread;
    use uos_ipc::{Capacity, Limits, Message, PipeError, QueueError, frames, ring, slots};

    /// Up to three preemptions; a sleeper's steps are too many for all of them.
    fn model(run: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(run);
    }

    fn quota() -> Quota {
        Quota::root("rings", 1 << 20)
    }

    #[test]
    fn a_sleeping_receiver_sees_the_slot_and_then_the_end() {
        model(|| {
            let quota = quota();
            let (mut sender, mut receiver) = slots(1, &quota).unwrap();
            let sending = thread::spawn(move || sender.try_send(&[7; 64]).unwrap());
            assert_eq!(receiver.recv_blocking(), Ok([7; 64]));
            assert_eq!(receiver.recv_blocking(), Err(QueueError::Ended));
            sending.join().unwrap();
            drop(receiver);
            assert_eq!(quota.used(), 0);
        });
    }

    #[test]
    fn a_sleeping_sender_sees_the_room() {
        model(|| {
            let (mut sender, mut receiver) = slots(1, &quota()).unwrap();
            sender.try_send(&[1; 64]).unwrap();
            let receiving = thread::spawn(move || {
                assert_eq!(receiver.try_recv(), Ok([1; 64]));
                receiver
            });
            sender.send_blocking(&[2; 64]).unwrap();
            assert_eq!(receiving.join().unwrap().try_recv(), Ok([2; 64]));
        });
    }

    #[test]
    fn pushes_are_seen_after_one_wake_for_all() {
        model(|| {
            let (mut sender, mut receiver) = slots(2, &quota()).unwrap();
            let sending = thread::spawn(move || {
                sender.try_push(&[1; 64]).unwrap();
                sender.try_push(&[2; 64]).unwrap();
                sender.wake();
                sender
            });
            assert_eq!(receiver.recv_blocking(), Ok([1; 64]));
            assert_eq!(receiver.recv_blocking(), Ok([2; 64]));
            drop(sending.join().unwrap());
        });
    }

    #[test]
    fn bytes_pass_around_the_edge_in_order() {
        model(|| {
            let (mut writer, mut reader) = ring(Capacity::new(2).unwrap(), &quota()).unwrap();
            let writing = thread::spawn(move || writer.write_blocking(b"abc").unwrap());
            let (mut all, mut buffer) = (Vec::new(), [0; 2]);
            loop {
                match reader.read_blocking(&mut buffer).unwrap() {
                    0 => break,
                    len => all.extend_from_slice(&buffer[..len]),
                }
            }
            assert_eq!(all, b"abc");
            writing.join().unwrap();
        });
    }

    #[test]
    fn a_close_ends_a_sleeping_reader() {
        model(|| {
            let (mut writer, mut reader) = ring(Capacity::new(2).unwrap(), &quota()).unwrap();
            let closing = thread::spawn(move || {
                writer.try_write(b"x").unwrap();
                drop(writer);
            });
            let mut buffer = [0; 2];
            assert_eq!(
                reader.read_blocking(&mut buffer),
                Ok(1),
                "what was written before the close comes first"
            );
            assert_eq!(reader.read_blocking(&mut buffer), Ok(0));
            closing.join().unwrap();
        });
    }

    #[test]
    fn a_close_breaks_a_sleeping_writer() {
        model(|| {
            let (mut writer, reader) = ring(Capacity::new(1).unwrap(), &quota()).unwrap();
            writer.try_write(b"x").unwrap();
            let closing = thread::spawn(move || drop(reader));
            assert_eq!(writer.write_blocking(b"y"), Err(PipeError::BrokenPipe));
            closing.join().unwrap();
        });
    }

    #[test]
    fn messages_wait_for_room_and_for_each_other() {
        model(|| {
            let (mut sender, mut receiver) = frames(Limits::new(1, 4).unwrap(), &quota()).unwrap();
            let sending = thread::spawn(move || {
                sender.send_blocking(&Message::from(b"ab")).unwrap();
                sender.send_blocking(&Message::from(b"c").with_priority(3)).unwrap();
            });
            assert_eq!(receiver.recv_blocking().unwrap(), Message::from(b"ab"));
            assert_eq!(receiver.recv_blocking().unwrap(), Message::from(b"c").with_priority(3));
            assert_eq!(receiver.recv_blocking(), Err(QueueError::Ended));
            sending.join().unwrap();
        });
    }
}

mod bells {
    //! Waiting at a ring without a thread: by a bell, which the other side rings only if it was told that somebody listens.

    use super::{Quota, block_on};
    use loom::thread;
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Waker};
    use uos_ipc::{
        ByteStream, Capacity, Channel, Limits, Message, PipeError, QueueError, SharedPipe, SharedQueue,
    };

    /// Up to two preemptions: there is a third thread, which stands for the kernel.
    fn model(run: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(2);
        builder.check(run);
    }

    fn pipe(capacity: u64) -> Arc<SharedPipe> {
        let quota = Quota::root("rings", 1 << 20);
        Arc::new(SharedPipe::new(Capacity::new(capacity).unwrap(), &quota).unwrap())
    }

    fn queue(messages: u64, bytes: u64) -> Arc<SharedQueue> {
        let quota = Quota::root("rings", 1 << 20);
        Arc::new(SharedQueue::new(Limits::new(messages, bytes).unwrap(), &quota).unwrap())
    }

    #[test]
    fn who_listens_hears_of_the_bytes_and_of_the_end() {
        model(|| {
            let pipe = pipe(2);
            let writing = thread::spawn({
                let pipe = pipe.clone();
                move || {
                    pipe.try_write(b"x").unwrap();
                    pipe.close_write();
                }
            });
            block_on(pipe.readable());
            assert_eq!(&pipe.try_read(1).unwrap()[..], b"x");
            block_on(pipe.readable());
            assert!(pipe.try_read(1).unwrap().is_empty());
            writing.join().unwrap();
        });
    }

    #[test]
    fn who_listens_hears_of_room_and_of_a_broken_pipe() {
        model(|| {
            let pipe = pipe(2);
            pipe.try_write(b"ab").unwrap();
            let reading = thread::spawn({
                let pipe = pipe.clone();
                move || {
                    assert_eq!(pipe.try_read(1).unwrap().len(), 1);
                    assert_eq!(pipe.try_read(1).unwrap().len(), 1);
                    pipe.close_read();
                }
            });
            block_on(pipe.writable(2));
            // Both bytes were read, and the reader may have gone by now.
            assert!(matches!(pipe.try_write(b"cd"), Ok(2) | Err(PipeError::BrokenPipe)));
            block_on(pipe.writable(2));
            assert_eq!(pipe.try_write(b"ef"), Err(PipeError::BrokenPipe));
            reading.join().unwrap();
        });
    }

    #[test]
    fn both_who_listen_at_one_end_hear_of_it() {
        model(|| {
            let pipe = pipe(2);
            let listening = [(); 2].map(|()| {
                let pipe = pipe.clone();
                thread::spawn(move || block_on(pipe.readable()))
            });
            pipe.try_write(b"x").unwrap();
            listening.into_iter().for_each(|thread| thread.join().unwrap());
        });
    }

    #[test]
    fn who_stops_listening_silences_nobody() {
        model(|| {
            let pipe = pipe(2);
            let mut given_up = Box::pin(pipe.readable());
            assert!(given_up.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            let giving_up = thread::spawn(move || {
                let _ = given_up.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                drop(given_up);
            });
            let writing = thread::spawn({
                let pipe = pipe.clone();
                move || pipe.try_write(b"x").unwrap()
            });
            block_on(pipe.readable());
            giving_up.join().unwrap();
            writing.join().unwrap();
        });
    }

    #[test]
    fn messages_are_heard_of_in_both_directions() {
        model(|| {
            let queue = queue(1, 2);
            let receiving = thread::spawn({
                let queue = queue.clone();
                move || {
                    block_on(queue.receivable());
                    queue.try_recv().unwrap()
                }
            });
            queue.try_send(Message::from(b"a")).unwrap();
            block_on(queue.sendable(1));
            queue.try_send(Message::from(b"b")).unwrap();
            assert_eq!(receiving.join().unwrap(), Message::from(b"a"));
            assert_eq!(queue.try_recv(), Ok(Message::from(b"b")));
            assert_eq!(queue.try_recv(), Err(QueueError::Empty));
        });
    }

    #[test]
    fn a_listener_that_does_not_look_silences_nobody() {
        model(|| {
            let pipe = pipe(2);
            let mut readable = pin!(pipe.readable());
            assert!(readable.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            let listening = thread::spawn({
                let pipe = pipe.clone();
                move || block_on(pipe.readable())
            });
            pipe.try_write(b"x").unwrap();
            listening.join().unwrap();
            assert!(readable.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        });
    }
}
