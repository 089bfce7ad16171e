//! What every [`ByteStream`] promises, as one suite. A new carrier of bytes adds one `check_all` line.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use uos_ipc::{ByteStream, Capacity, Pipe, PipeError, Quota};

#[test]
fn the_pipe_in_this_process() {
    let quota = Quota::root("pipes", 2 << 20);
    check_all(|capacity| Pipe::new(Capacity::new(capacity).unwrap(), &quota).unwrap());
    assert_eq!(quota.used(), 0);
}

/// Runs the suite on streams of the capacities it asks for.
fn check_all<S: ByteStream>(make: impl Fn(u64) -> S) {
    bytes_come_out_in_order_and_in_parts(&make(64 << 10));
    an_empty_stream_blocks_and_a_full_one_too(&make(64 << 10));
    short_writes_are_whole(&make(8 << 10));
    nothing_is_always_possible(&make(4096));
    a_closed_writer_leaves_what_it_wrote(&make(4096));
    a_closed_reader_breaks_the_stream(&make(4096));
    readiness_wakes_once_it_is_true(&make(4096));
    closing_wakes_who_waits(make);
}

fn bytes_come_out_in_order_and_in_parts(stream: &impl ByteStream) {
    let sent: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    assert_eq!(stream.try_write(&sent), Ok(10_000));
    let mut received = Vec::new();
    for max in [1, 100, 5_000, 64 << 10] {
        let part = stream.try_read(max).unwrap();
        assert!(!part.is_empty() && part.len() <= max);
        received.extend_from_slice(&part);
    }
    assert_eq!(received, sent);
}

fn an_empty_stream_blocks_and_a_full_one_too(stream: &impl ByteStream) {
    assert_eq!(stream.try_read(10), Err(PipeError::WouldBlock { asked: 10, available: 0 }));
    let capacity = stream.stats().capacity_bytes;
    assert_eq!(stream.try_write(&vec![1; capacity + 1]), Ok(capacity), "a long write is partial");
    assert_eq!(stream.try_write(&[1]), Err(PipeError::WouldBlock { asked: 1, available: 0 }));
    assert_eq!(stream.stats().buffered_bytes, capacity);
    while stream.stats().buffered_bytes > 0 {
        stream.try_read(usize::MAX).unwrap();
    }
}

fn short_writes_are_whole(stream: &impl ByteStream) {
    assert_eq!(stream.try_write(&[0; 4097]), Ok(4097));
    let room = stream.stats().capacity_bytes - 4097;
    assert_eq!(
        stream.try_write(&[1; 4096]),
        Err(PipeError::WouldBlock { asked: 4096, available: room }),
        "a write of 4096 is not split"
    );
    assert_eq!(stream.try_write(&[1; 4097]), Ok(room), "one byte more may be");
}

fn nothing_is_always_possible(stream: &impl ByteStream) {
    assert_eq!(stream.try_write(&[]), Ok(0));
    assert_eq!(stream.try_read(0).map(|bytes| bytes.len()), Ok(0));
    stream.try_write(b"x").unwrap();
    assert_eq!(stream.try_read(0).map(|bytes| bytes.len()), Ok(0));
    assert_eq!(stream.stats().buffered_bytes, 1);
}

fn a_closed_writer_leaves_what_it_wrote(stream: &impl ByteStream) {
    stream.try_write(b"last words").unwrap();
    stream.close_write();
    stream.close_write();
    assert_eq!(stream.try_write(b"x"), Err(PipeError::Closed));
    assert_eq!(&stream.try_read(100).unwrap()[..], b"last words");
    for _ in 0..2 {
        assert!(stream.try_read(100).unwrap().is_empty(), "the end stays the end");
    }
    stream.close_read();
    assert_eq!(stream.try_read(100), Err(PipeError::Closed));
}

fn a_closed_reader_breaks_the_stream(stream: &impl ByteStream) {
    stream.try_write(b"unread").unwrap();
    stream.close_read();
    stream.close_read();
    assert_eq!(stream.try_read(1), Err(PipeError::Closed));
    assert_eq!(stream.try_write(b"x"), Err(PipeError::BrokenPipe));
    let stats = stream.stats();
    assert_eq!((stats.written_bytes, stats.discarded_bytes, stats.buffered_bytes), (6, 6, 0));
}

fn readiness_wakes_once_it_is_true(stream: &impl ByteStream) {
    let mut readable = pin!(stream.readable());
    let reader = Woken::default();
    assert!(!reader.poll(readable.as_mut()));
    stream.try_write(&[1; 4096]).unwrap();
    assert_eq!(reader.times(), 1);
    assert!(reader.poll(readable.as_mut()));

    let mut writable = pin!(stream.writable(100));
    let writer = Woken::default();
    assert!(!writer.poll(writable.as_mut()));
    stream.try_read(99).unwrap();
    assert_eq!(writer.times(), 0, "99 bytes of room are not enough");
    stream.try_read(1).unwrap();
    assert_eq!(writer.times(), 1);
    assert!(writer.poll(writable.as_mut()));
    assert_eq!(stream.try_write(&[2; 100]), Ok(100));
}

fn closing_wakes_who_waits<S: ByteStream>(make: impl Fn(u64) -> S) {
    let stream = make(4096);
    let (mut readable, reader) = (pin!(stream.readable()), Woken::default());
    assert!(!reader.poll(readable.as_mut()));
    stream.close_write();
    assert!(reader.times() == 1 && reader.poll(readable.as_mut()), "the end is readable");

    let stream = make(4096);
    stream.try_write(&[0; 4096]).unwrap();
    let (mut writable, writer) = (pin!(stream.writable(1)), Woken::default());
    assert!(!writer.poll(writable.as_mut()));
    stream.close_read();
    assert!(writer.times() == 1 && writer.poll(writable.as_mut()), "so is a broken pipe writable");
}

/// A waker that counts.
#[derive(Default)]
struct Woken(Arc<Count>);

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Woken {
    fn times(&self) -> usize {
        self.0.0.load(Ordering::Relaxed)
    }

    fn poll(&self, future: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        future.poll(&mut Context::from_waker(&Waker::from(self.0.clone()))).is_ready()
    }
}
