//! What every [`ByteStream`] promises, as one suite. A new carrier of bytes adds one `check_all` line.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;
use uos_ipc::{ByteStream, Capacity, Pipe, PipeError, Quota};

/// How a carrier differs where it may.
#[derive(Clone, Copy)]
struct Kind {
    /// Room is what was read, to the byte; otherwise it is free again in whole pages, or later.
    by_bytes: bool,
    /// What fits is the capacity; otherwise that is the least that fits.
    exact: bool,
    /// Who waits is woken inside the call that it waits for, once; otherwise by another thread, and perhaps in vain.
    at_once: bool,
}

#[test]
fn the_pipe_in_this_process() {
    let quota = Quota::root("pipes", 2 << 20);
    let kind = Kind { by_bytes: true, exact: true, at_once: true };
    check_all(kind, |capacity| Pipe::new(Capacity::new(capacity).unwrap(), &quota).unwrap());
    assert_eq!(quota.used(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_ring_in_shared_memory() {
    let quota = Quota::root("shm", 2 << 20);
    let segments = uos_ipc::Segments::new(&quota);
    let kind = Kind { by_bytes: true, exact: true, at_once: false };
    check_all(kind, |capacity| {
        uos_ipc::SharedPipe::new(Capacity::new(capacity).unwrap(), &segments).unwrap()
    });
    assert_eq!(quota.used(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn the_kernels_pipe() {
    let kind = Kind { by_bytes: false, exact: true, at_once: false };
    check_all(kind, |capacity| uos_ipc::KernelPipe::new(Capacity::new(capacity).unwrap()).unwrap());
}

#[cfg(target_os = "linux")]
#[test]
fn the_kernels_socket() {
    let kind = Kind { by_bytes: false, exact: false, at_once: false };
    check_all(kind, |capacity| uos_ipc::KernelSocket::new(Capacity::new(capacity).unwrap()).unwrap());
}

#[cfg(target_os = "linux")]
#[test]
fn a_socket_that_the_kernel_has_no_room_for_is_refused() {
    let most = std::fs::read_to_string("/proc/sys/net/core/wmem_max").unwrap();
    let most: u64 = most.trim().parse().unwrap();
    let asked = Capacity::new((most / 2 + 1).min(1 << 20)).unwrap();
    let refused = uos_ipc::KernelSocket::new(asked).err();
    let fits = 2 * asked.bytes() as u64 <= most;
    assert_eq!(refused, (!fits).then_some(PipeError::Os { errno: 105 }), "{most}");
}

/// Runs the suite on streams of the capacities it asks for.
fn check_all<S: ByteStream>(kind: Kind, make: impl Fn(u64) -> S) {
    bytes_come_out_in_order_and_in_parts(&make(64 << 10));
    an_empty_stream_blocks_and_a_full_one_too(kind, &make(64 << 10));
    short_writes_are_whole(kind, &make(8 << 10));
    nothing_is_always_possible(&make(4096));
    a_closed_writer_leaves_what_it_wrote(&make(4096));
    a_closed_reader_breaks_the_stream(&make(4096));
    readiness_wakes_once_it_is_true(kind, &make(4096));
    waiting_ends_with_what_it_waits_for(&make(4096));
    closing_wakes_who_waits(kind, make);
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

fn an_empty_stream_blocks_and_a_full_one_too(kind: Kind, stream: &impl ByteStream) {
    assert_eq!(stream.try_read(10), Err(PipeError::WouldBlock { asked: 10, available: 0 }));
    let capacity = stream.stats().capacity_bytes;
    let mut written = if kind.exact {
        assert_eq!(stream.try_write(&vec![1; capacity + 1]), Ok(capacity), "a long write is partial");
        capacity
    } else {
        let written = stream.try_write(&vec![1; 16 * capacity]).unwrap();
        assert!((capacity..16 * capacity).contains(&written), "a long write is partial: {written}");
        written
    };
    let full = loop {
        match stream.try_write(&[1]) {
            Ok(one) => written += one,
            Err(full) => break full,
        }
    };
    assert_eq!(full, PipeError::WouldBlock { asked: 1, available: 0 });
    assert!(written == capacity || !kind.exact);
    assert_eq!(stream.stats().buffered_bytes, written);
    while stream.stats().buffered_bytes > 0 {
        stream.try_read(usize::MAX).unwrap();
    }
    assert_eq!(stream.try_write(&[1]), Ok(1));
}

fn short_writes_are_whole(kind: Kind, stream: &impl ByteStream) {
    assert_eq!(stream.try_write(&[0; 4097]), Ok(4097));
    let room = stream.stats().capacity_bytes - 4097;
    if kind.exact {
        assert_eq!(
            stream.try_write(&[1; 4096]),
            Err(PipeError::WouldBlock { asked: 4096, available: room }),
            "a write of 4096 is not split"
        );
        let written = stream.try_write(&[1; 4097]).expect("one byte more may be");
        assert!(
            if kind.by_bytes { written == room } else { (1..=room).contains(&written) },
            "{written} of {room}"
        );
    } else {
        let refused = (0..1_000).find_map(|_| match stream.try_write(&[1; 4096]) {
            Ok(written) => {
                assert_eq!(written, 4096, "a write of 4096 is not split");
                None
            }
            Err(refused) => Some(refused),
        });
        assert!(matches!(refused, Some(PipeError::WouldBlock { asked: 4096, .. })), "{refused:?}");
    }
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

fn readiness_wakes_once_it_is_true(kind: Kind, stream: &impl ByteStream) {
    let mut readable = pin!(stream.readable());
    let reader = Woken::default();
    assert!(!reader.poll(readable.as_mut()));
    stream.try_write(&[1; 4096]).unwrap();
    reader.is_woken(kind, readable.as_mut());

    if !kind.exact {
        while stream.try_write(&[1; 4096]).is_ok() {}
    }
    let mut writable = pin!(stream.writable(100));
    let writer = Woken::default();
    assert!(!writer.poll(writable.as_mut()));
    stream.try_read(99).unwrap();
    assert!(!kind.at_once || writer.times() == 0, "99 bytes of room are not enough");
    assert!(!writer.poll(writable.as_mut()), "99 bytes of room are not enough");
    if kind.exact {
        stream.try_read(if kind.by_bytes { 1 } else { 4096 }).unwrap();
    } else {
        while stream.try_read(1 << 20).is_ok() {}
    }
    writer.is_woken(kind, writable.as_mut());
    assert_eq!(stream.try_write(&[2; 100]), Ok(100));
}

fn waiting_ends_with_what_it_waits_for(stream: &impl ByteStream) {
    const SHORTLY: Duration = Duration::from_millis(1);
    assert_eq!(stream.read_timeout(9, SHORTLY), Err(PipeError::WouldBlock { asked: 9, available: 0 }));
    while stream.try_write(&[1; 4096]).is_ok() {}
    assert!(matches!(stream.write_timeout(&[1; 4096], SHORTLY), Err(PipeError::WouldBlock { .. })));
    let left = stream.stats().buffered_bytes;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut read = Vec::new();
            while read.len() < left + 4096 + 8 {
                read.extend_from_slice(&stream.read_blocking(1000).unwrap());
            }
            assert!(read.ends_with(b"and more"));
        });
        assert_eq!(stream.write_blocking(&[2; 4096]), Ok(4096));
        assert_eq!(stream.write_timeout(b"and more", Duration::from_secs(60)), Ok(8));
    });
    stream.close_write();
    assert!(stream.read_timeout(1, Duration::from_secs(60)).unwrap().is_empty());
}

fn closing_wakes_who_waits<S: ByteStream>(kind: Kind, make: impl Fn(u64) -> S) {
    let stream = make(4096);
    let (mut readable, reader) = (pin!(stream.readable()), Woken::default());
    assert!(!reader.poll(readable.as_mut()));
    stream.close_write();
    reader.is_woken(kind, readable.as_mut()); // the end is readable

    let stream = make(4096);
    while stream.try_write(&[0; 4096]).is_ok() {}
    let (mut writable, writer) = (pin!(stream.writable(1)), Woken::default());
    assert!(!writer.poll(writable.as_mut()));
    stream.close_read();
    writer.is_woken(kind, writable.as_mut()); // and so is a broken pipe writable
}

/// A waker that counts, and can be waited for.
#[derive(Default)]
struct Woken(Arc<Count>);

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

impl Woken {
    fn times(&self) -> usize {
        *self.0.times.lock().unwrap()
    }

    fn poll(&self, future: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        future.poll(&mut Context::from_waker(&Waker::from(self.0.clone()))).is_ready()
    }

    /// The future is woken and then ready. One that is never woken hangs here.
    fn is_woken(&self, kind: Kind, mut future: std::pin::Pin<&mut impl Future<Output = ()>>) {
        if kind.at_once {
            assert!(self.times() == 1 && self.poll(future));
            return;
        }
        loop {
            let mut times = self.0.times.lock().unwrap();
            while *times == 0 {
                times = self.0.woken.wait(times).unwrap();
            }
            *times = 0;
            drop(times);
            if self.poll(future.as_mut()) {
                return;
            }
        }
    }
}
