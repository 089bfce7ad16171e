//! Waiting at a pipe: for bytes, for room, and for its end.

use super::{block_on, poll_once};
use bytes::Bytes;
use loom::thread;
use uos_ipc::{Capacity, Pipe, PipeError, Quota};

/// A pipe of `capacity` bytes and its quota, which no model may leave charged.
pub(super) fn pipe(capacity: u64) -> (Pipe, Quota) {
    let quota = Quota::root("pipes", capacity);
    (Pipe::new(Capacity::new(capacity).unwrap(), &quota).unwrap(), quota)
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
