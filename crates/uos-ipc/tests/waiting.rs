//! Waiting, seen from outside: order, single wakes, drops, closes, and many at a time.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use uos_ipc::{Capacity, Pipe, PipeError, Quota};

fn pipe(capacity: u64) -> Pipe {
    let quota = Quota::root("pipes", capacity);
    Pipe::new(Capacity::new(capacity).unwrap(), &quota).unwrap()
}

/// A future with a waker of its own that counts how often it is woken.
struct Task<F> {
    future: F,
    wakes: Arc<Count>,
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl<F: Future + Unpin> Task<F> {
    /// Polled once, to take its place.
    fn waiting(future: F) -> Task<F> {
        let mut task = Task { future, wakes: Arc::default() };
        assert!(task.poll().is_pending());
        task
    }

    fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(self.wakes.clone());
        Pin::new(&mut self.future).poll(&mut Context::from_waker(&waker))
    }

    fn wakes(&self) -> usize {
        self.wakes.0.load(Ordering::Relaxed)
    }
}

#[test]
fn one_write_wakes_one_reader_and_the_oldest() {
    let Pipe { writer, reader, control } = pipe(64);
    let mut tasks: Vec<_> = (0..3).map(|_| Task::waiting(reader.read(8))).collect();
    assert_eq!(control.stats().waiting_readers, 3);
    writer.try_write(b"one").unwrap();
    writer.try_write(b"two").unwrap();
    assert_eq!(tasks.iter().map(Task::wakes).collect::<Vec<_>>(), [1, 0, 0]);
    assert!(tasks[1].poll().is_pending(), "a read polled without being woken does not overtake");
    assert_eq!(tasks[0].poll(), Poll::Ready(Ok(Bytes::from_static(b"onetwo"))));
    assert_eq!(tasks[1].wakes(), 0, "nothing is left for it");
    writer.try_write(b"three").unwrap();
    assert_eq!(tasks[1].poll(), Poll::Ready(Ok(Bytes::from_static(b"three"))));
}

#[test]
fn what_a_reader_leaves_wakes_the_next() {
    let Pipe { writer, reader, .. } = pipe(64);
    let mut tasks: Vec<_> = (0..3).map(|_| Task::waiting(reader.read(1))).collect();
    writer.try_write(b"ab").unwrap();
    assert!(tasks[0].poll().is_ready());
    assert_eq!((tasks[1].wakes(), tasks[2].wakes()), (1, 0));
    assert!(tasks[1].poll().is_ready());
    assert_eq!(tasks[2].wakes(), 0);
}

#[test]
fn a_reader_that_lost_the_race_keeps_its_place() {
    let Pipe { writer, reader, .. } = pipe(64);
    let (mut first, mut second) = (Task::waiting(reader.read(8)), Task::waiting(reader.read(8)));
    writer.try_write(b"x").unwrap();
    assert_eq!(reader.try_read(8).unwrap(), "x", "a try may overtake");
    assert!(first.poll().is_pending());
    writer.try_write(b"y").unwrap();
    assert_eq!((first.wakes(), second.wakes()), (2, 0));
    assert!(second.poll().is_pending());
    assert!(first.poll().is_ready());
}

#[test]
fn a_woken_future_that_is_dropped_passes_the_wake_on() {
    let Pipe { writer, reader, control } = pipe(64);
    let (first, mut second) = (Task::waiting(reader.read(8)), Task::waiting(reader.read(8)));
    writer.try_write(b"x").unwrap();
    assert_eq!((first.wakes(), second.wakes()), (1, 0));
    drop(first);
    assert_eq!(second.wakes(), 1);
    assert_eq!(second.poll(), Poll::Ready(Ok(Bytes::from_static(b"x"))));
    assert_eq!(control.stats().waiting_readers, 0);
}

#[test]
fn a_dropped_write_has_written_nothing() {
    let Pipe { writer, reader, control } = pipe(8);
    writer.try_write(b"12345678").unwrap();
    let waiting = Task::waiting(writer.write(Bytes::from_static(b"abc")));
    let mut behind = Task::waiting(writer.write(Bytes::from_static(b"d")));
    reader.try_read(2).unwrap();
    assert_eq!((waiting.wakes(), behind.wakes()), (0, 0), "two bytes are too few for the one in front");
    drop(waiting);
    assert_eq!(behind.poll(), Poll::Ready(Ok(1)));
    assert_eq!(reader.try_read(64).unwrap(), "345678d");
    assert_eq!(control.stats().waiting_writers, 0);
}

#[test]
fn closing_a_handle_ends_its_own_waits_only() {
    let Pipe { writer, reader, .. } = pipe(8);
    let other = reader.clone();
    let mut unpolled = reader.read(8);
    let (mut mine, mut others) = (Task::waiting(reader.read(8)), Task::waiting(other.read(8)));
    drop(reader);
    assert_eq!((mine.wakes(), others.wakes()), (1, 0));
    assert_eq!(mine.poll(), Poll::Ready(Err(PipeError::Closed)));
    let poll = Pin::new(&mut unpolled).poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(poll, Poll::Ready(Err(PipeError::Closed)));
    writer.try_write(b"x").unwrap();
    assert_eq!(others.poll(), Poll::Ready(Ok(Bytes::from_static(b"x"))));
}

#[test]
fn closing_the_woken_ones_handle_passes_the_wake_on() {
    let Pipe { writer, reader, .. } = pipe(8);
    let other = reader.clone();
    let (first, mut second) = (Task::waiting(reader.read(8)), Task::waiting(other.read(8)));
    writer.try_write(b"x").unwrap();
    assert_eq!((first.wakes(), second.wakes()), (1, 0));
    drop(reader);
    assert_eq!(second.wakes(), 1);
    assert!(second.poll().is_ready());
}

#[test]
fn a_waiting_read_does_not_hold_the_pipe_together() {
    let Pipe { writer, reader, .. } = pipe(8);
    let mut read = Task::waiting(reader.read(8));
    drop(reader);
    assert_eq!(writer.try_write(b"x"), Err(PipeError::BrokenPipe));
    assert_eq!(read.poll(), Poll::Ready(Err(PipeError::Closed)));
}

#[test]
fn destroy_wakes_everybody_and_says_so_from_then_on() {
    let Pipe { writer, reader, control } = pipe(1);
    let gone = Err(PipeError::Destroyed { discarded_bytes: 0 });
    let closing = reader.clone();
    let mut reads: Vec<_> = (0..3).map(|_| Task::waiting(reader.read(8))).collect();
    reads.push(Task::waiting(closing.read(8)));
    control.destroy();
    control.destroy();
    // A handle that is closed before its call has looked again does not hide why it was woken.
    drop(closing);
    for read in &mut reads {
        assert_eq!((read.wakes(), read.poll()), (1, Poll::Ready(gone.clone())));
    }
    let later = [reader.clone().try_read(1), reader.try_read(0), reader.read_blocking(1)];
    assert!(later.iter().all(|answer| *answer == gone), "{later:?}");
    reader.close();
    assert_eq!(reader.try_read(1), gone);
    assert_eq!(writer.try_write(b"x"), Err(PipeError::Destroyed { discarded_bytes: 0 }));
}

#[test]
fn what_a_destroyed_pipe_held_is_counted_in_every_answer() {
    let Pipe { writer, reader, control } = pipe(8);
    writer.try_write(b"12345678").unwrap();
    reader.try_read(3).unwrap();
    let mut write = Task::waiting(writer.write(Bytes::from_static(b"abcd")));
    control.destroy();
    let gone = PipeError::Destroyed { discarded_bytes: 5 };
    assert_eq!((write.wakes(), write.poll()), (1, Poll::Ready(Err(gone))));
    assert_eq!(writer.write_blocking(Bytes::from_static(b"x")), Err(gone));
    assert_eq!(reader.try_read_into(&mut [0; 4]), Err(gone));
    assert_eq!(gone.to_string(), "destroyed, with 5 bytes that nobody had read");
}

#[test]
fn the_copy_of_a_closed_handle_is_closed() {
    let Pipe { writer, reader, .. } = pipe(8);
    reader.close();
    assert_eq!(reader.clone().try_read(1), Err(PipeError::Closed));
    assert_eq!(writer.try_write(b"x"), Err(PipeError::BrokenPipe), "no copy revives the side");
}

#[test]
fn waits_belong_to_no_lifetime_and_may_cross_threads() {
    fn check<T: Send + 'static>(_: &T) {}
    let Pipe { writer, reader, .. } = pipe(8);
    check(&reader.read(1));
    check(&reader.readable());
    check(&writer.write(Bytes::new()));
    check(&writer.writable(1));
}

#[tokio::test(flavor = "current_thread")]
async fn a_thousand_blocked_tasks_each_wake_with_their_own() {
    let quota = Quota::root("pipes", 1_000 * Capacity::DEFAULT.bytes() as u64);
    let (mut writers, mut tasks) = (Vec::new(), Vec::new());
    for n in 0..1_000u32 {
        let Pipe { writer, reader, control } = Pipe::new(Capacity::DEFAULT, &quota).unwrap();
        writers.push((n, writer, control));
        tasks.push(tokio::spawn(async move { (n, reader.read(64).await.unwrap()) }));
    }
    while writers.iter().any(|(_, _, control)| control.stats().waiting_readers == 0) {
        tokio::task::yield_now().await;
    }
    for (n, writer, _) in writers.iter().rev() {
        writer.write(Bytes::copy_from_slice(&n.to_le_bytes())).await.unwrap();
    }
    for task in tasks {
        let (n, bytes) = task.await.unwrap();
        assert_eq!(bytes[..], n.to_le_bytes());
    }
    drop(writers);
    assert_eq!(quota.used(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_writes_of_many_writers_are_never_mixed() {
    let Pipe { writer, reader, control } = pipe(10_000);
    let writing: Vec<_> = (0..4u8)
        .map(|n| {
            let writer = writer.clone();
            tokio::spawn(async move {
                for _ in 0..50 {
                    assert_eq!(writer.write(Bytes::from(vec![n; 4096])).await, Ok(4096));
                }
            })
        })
        .collect();
    drop(writer);
    let mut received = Vec::new();
    loop {
        let part = reader.read(1500).await.unwrap();
        if part.is_empty() {
            break;
        }
        received.extend_from_slice(&part);
    }
    for task in writing {
        task.await.unwrap();
    }
    assert_eq!(received.len(), 4 * 50 * 4096);
    assert!(received.chunks(4096).all(|chunk| chunk.iter().all(|byte| *byte == chunk[0])));
    assert_eq!(control.stats().waiting_readers + control.stats().waiting_writers, 0);
}
