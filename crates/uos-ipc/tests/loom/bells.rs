//! Waiting at a ring without a thread: by a bell, which the other side rings only if it was told that somebody listens.

use super::block_on;
use loom::thread;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use uos_ipc::{
    ByteStream, Capacity, Channel, Limits, Message, PipeError, QueueError, Quota, SharedPipe, SharedQueue,
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
