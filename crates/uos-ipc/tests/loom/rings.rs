//! One producer, one consumer, and the futex between them; loom sees every race for a byte.

use loom::thread;
use uos_ipc::{Capacity, Limits, Message, PipeError, QueueError, Quota, frames, ring, slots};

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
        assert_eq!(reader.read_blocking(&mut buffer), Ok(1), "what was written before the close comes first");
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
