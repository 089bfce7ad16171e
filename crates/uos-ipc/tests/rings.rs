//! Rings between one producer and one consumer, against naive models, and against a peer that lies.
#![cfg(target_os = "linux")]
#![cfg(not(any(loom, shuttle)))]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod campaign;

use campaign::{Random, count};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::time::Duration;
use uos_ipc::{
    Capacity, Carries, Input, Limits, Message, Output, PipeError, QueueError, Quota, RingReader, RingWriter,
    Segments, ShmError, frames, link, ring, slots,
};

proptest! {
    /// Bytes come out as they went in, as much as fits and never more, whatever the sizes.
    #[test]
    fn a_ring_is_a_bounded_list_of_bytes(
        capacity in prop_oneof![1..40u64, 4000..9000u64],
        ops in prop::collection::vec((any::<bool>(), prop_oneof![0..20usize, 0..9000usize]), 1..60),
    ) {
        let quota = Quota::root("rings", 1 << 20);
        let capacity = Capacity::new(capacity).unwrap();
        let (mut writer, mut reader) = ring(capacity, &quota).unwrap();
        let mut model = VecDeque::new();
        let mut next = 0u8;
        for (writes, len) in ops {
            let room = capacity.bytes() - model.len();
            if writes {
                let bytes: Vec<u8> = (0..len).map(|at| next.wrapping_add(at as u8)).collect();
                let least = if len <= capacity.atomic_bytes() { len } else { 1 };
                let expected = match len {
                    0 => Ok(0),
                    _ if room < least => Err(PipeError::WouldBlock { asked: len, available: room }),
                    _ => Ok(len.min(room)),
                };
                let written = writer.try_write(&bytes);
                prop_assert_eq!(written, expected);
                let written = written.unwrap_or(0);
                model.extend(&bytes[..written]);
                next = next.wrapping_add(written as u8);
            } else {
                let expected: Vec<u8> = model.drain(..len.min(model.len())).collect();
                let read = reader.try_read(len);
                if len > 0 && expected.is_empty() {
                    prop_assert_eq!(read, Err(PipeError::WouldBlock { asked: len, available: 0 }));
                } else {
                    prop_assert_eq!(&read.unwrap()[..], expected);
                }
            }
            prop_assert_eq!(writer.counts().1 as usize, model.len());
        }
        drop(writer);
        prop_assert_eq!(&reader.try_read(usize::MAX).unwrap()[..], model.make_contiguous());
        prop_assert!(reader.try_read(1).unwrap().is_empty());
        drop(reader);
        prop_assert_eq!(quota.used(), 0);
    }

    /// Messages come out whole and in order, and both limits hold.
    #[test]
    fn frames_are_a_bounded_list_of_messages(
        messages in 1..6u64,
        bytes in prop_oneof![1..20u64, 1..2000u64],
        ops in prop::collection::vec((any::<bool>(), prop_oneof![0..20usize, 60..70usize, 0..500usize]), 1..60),
    ) {
        let limits = Limits::new(messages, bytes).unwrap();
        let (mut sender, mut receiver) = frames(limits, &Quota::root("rings", 1 << 20)).unwrap();
        let mut model: VecDeque<Message> = VecDeque::new();
        for (at, (sends, len)) in ops.into_iter().enumerate() {
            if sends {
                let used: usize = model.iter().map(|message| message.len()).sum();
                let expected = if len > limits.bytes() {
                    Err(QueueError::TooLarge { asked: len, max: limits.bytes() })
                } else if model.len() == limits.messages() || used + len > limits.bytes() {
                    Err(QueueError::Full {
                        asked: len,
                        messages: model.len(),
                        max_messages: limits.messages(),
                        bytes: used,
                        max_bytes: limits.bytes(),
                    })
                } else {
                    Ok(())
                };
                let message = Message::from(vec![at as u8; len]).with_priority(at as u8);
                prop_assert_eq!(sender.try_send(&message), expected);
                if expected.is_ok() {
                    model.push_back(message);
                }
            } else {
                prop_assert_eq!(receiver.try_recv(), model.pop_front().ok_or(QueueError::Empty));
            }
        }
        drop(sender);
        for message in model {
            prop_assert_eq!(receiver.try_recv(), Ok(message));
        }
        prop_assert_eq!(receiver.try_recv(), Err(QueueError::Ended));
    }
}

#[test]
fn slots_fill_up_drain_and_end() {
    let quota = Quota::root("rings", 1 << 20);
    let (mut sender, mut receiver) = slots(3, &quota).unwrap();
    assert_eq!(receiver.try_recv(), Err(QueueError::Empty));
    for round in 0..10u8 {
        for slot in 0..3 {
            sender.try_send(&[round + slot; 64]).unwrap();
        }
        let full = QueueError::Full { asked: 64, messages: 3, max_messages: 3, bytes: 192, max_bytes: 192 };
        assert_eq!(sender.try_send(&[0; 64]), Err(full));
        assert_eq!(sender.send_timeout(&[0; 64], Duration::from_millis(1)), Err(full));
        for slot in 0..3 {
            assert_eq!(receiver.try_recv(), Ok([round + slot; 64]));
        }
        assert_eq!(receiver.recv_timeout(Duration::from_millis(1)), Err(QueueError::Empty));
    }
    assert_eq!((sender.counts().0, receiver.received()), (30, 30));
    sender.try_send(&[9; 64]).unwrap();
    drop(sender);
    assert_eq!(receiver.recv_blocking(), Ok([9; 64]));
    assert_eq!(receiver.recv_blocking(), Err(QueueError::Ended));
    drop(receiver);
    let (mut sender, receiver) = slots(3, &quota).unwrap();
    drop(receiver);
    assert_eq!(sender.try_send(&[0; 64]), Err(QueueError::Abandoned));
    drop(sender);
    assert_eq!(quota.used(), 0);
    assert!(slots(1, &Quota::root("none", 10)).is_err());
}

#[test]
fn batches_are_as_one_by_one() {
    let (mut sender, mut receiver) = slots(5, &Quota::root("rings", 1 << 20)).unwrap();
    let all: Vec<[u8; 64]> = (0..200).map(|n| [n; 64]).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for batch in all.chunks(13) {
                sender.send_all_blocking(batch).unwrap();
            }
            sender.send_all_blocking(&[]).unwrap();
            drop(sender);
        });
        let mut received = Vec::new();
        assert_eq!(receiver.recv_many_blocking(&mut received, 0), Ok(0));
        while let Ok(count) = receiver.recv_many_blocking(&mut received, 3) {
            assert!((1..=3).contains(&count));
        }
        assert!(received == all);
        assert_eq!(receiver.recv_many_blocking(&mut received, 3), Err(QueueError::Ended));
    });
}

#[test]
fn two_threads_pass_megabytes_through_a_small_ring() {
    const TOTAL: usize = 4 << 20;
    let (mut writer, mut reader) =
        ring(Capacity::new(10_000).unwrap(), &Quota::root("rings", 1 << 20)).unwrap();
    let pattern: Vec<u8> = (0..TOTAL).map(|at| (at % 251) as u8).collect();
    let received = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut at = 0;
            for len in (1..).map(|step| step * 37 % 20_000 + 1) {
                let end = (at + len).min(TOTAL);
                writer.write_blocking(&pattern[at..end]).unwrap();
                at = end;
                if at == TOTAL {
                    return drop(writer);
                }
            }
        });
        let (mut all, mut buffer) = (Vec::with_capacity(TOTAL), vec![0; 7_000]);
        loop {
            match reader.read_blocking(&mut buffer).unwrap() {
                0 => return all,
                len => all.extend_from_slice(&buffer[..len]),
            }
        }
    });
    assert!(received == pattern);
}

/// A ring of bytes in a segment, and a second mapping of the segment to lie through.
fn ring_and_liar(capacity: u64) -> (RingWriter, RingReader, uos_ipc::Mapping) {
    let segments = Segments::new(&Quota::root("shm", 1 << 22));
    let (producer, consumer) = link(Carries::Bytes(Capacity::new(capacity).unwrap()), &segments).unwrap();
    let liar = producer.map_for_peer().unwrap();
    let (Input::Bytes(writer), Output::Bytes(reader)) =
        (producer.into_input().unwrap(), consumer.into_output().unwrap())
    else {
        panic!("bytes were asked for")
    };
    (writer, reader, liar)
}

const TAIL: u64 = 0;
const HEAD: u64 = 64;

#[test]
fn an_index_that_cannot_be_true_ends_the_ring() {
    for lie in [101, 1 << 40, u64::MAX, u64::MAX - 5, 9] {
        let (mut writer, mut reader, liar) = ring_and_liar(100);
        writer.try_write(&[1; 50]).unwrap();
        assert_eq!(reader.try_read(10).unwrap().len(), 10);
        // More than was ever written, or less than was read already.
        liar.write(TAIL, &lie.to_le_bytes()).unwrap();
        let read = (0..3).map(|_| reader.try_read(1 << 20)).collect::<Vec<_>>();
        if lie == 101 {
            assert!(
                read[0].as_ref().is_ok_and(|bytes| bytes.len() <= 100),
                "within the ring it is only nonsense"
            );
        } else {
            assert_eq!(read, vec![Err(PipeError::PeerCorrupt); 3], "a tail of {lie}");
        }
    }
    for lie in [51, 1 << 40, u64::MAX] {
        let (mut writer, _reader, liar) = ring_and_liar(100);
        writer.try_write(&[1; 50]).unwrap();
        // More was read than was written.
        liar.write(HEAD, &u64::to_le_bytes(lie)).unwrap();
        for _ in 0..3 {
            assert_eq!(writer.try_write(&[1; 60]), Err(PipeError::PeerCorrupt), "a head of {lie}");
        }
    }
}

#[test]
fn a_message_longer_than_the_ring_ends_the_ring() {
    let segments = Segments::new(&Quota::root("shm", 1 << 22));
    for (length, rest) in [(101, 0), (u64::from(u32::MAX), 0), (4, 0), (3, 1 << 40)] {
        let (producer, consumer) = link(Carries::Messages(Limits::new(4, 100).unwrap()), &segments).unwrap();
        let liar = producer.map_for_peer().unwrap();
        let (Input::Messages(mut sender), Output::Messages(mut receiver)) =
            (producer.into_input().unwrap(), consumer.into_output().unwrap())
        else {
            panic!("messages were asked for")
        };
        sender.try_send(&Message::from(b"abc")).unwrap();
        liar.write(4096, &(length | rest).to_le_bytes()).unwrap();
        assert_eq!(receiver.try_recv(), Err(QueueError::PeerCorrupt), "{length} and {rest}");
    }
}

#[test]
fn ends_are_what_they_were_made_for() {
    let quota = Quota::root("shm", 1 << 20);
    let segments = Segments::new(&quota);
    let (producer, consumer) = link(Carries::Slots(4), &segments).unwrap();
    assert_eq!(consumer.into_input().err(), Some(ShmError::Role));
    assert!(uos_ipc::SharedPipe::of(producer).is_err());
    for count in [0, uos_ipc::MAX_SLOTS + 1, usize::MAX] {
        assert!(matches!(link(Carries::Slots(count), &segments), Err(ShmError::Size { .. })));
    }
    assert_eq!(quota.used(), 0);
}

/// Scribbles over both indices, the flags and the bytes while the ring is used: it may end as corrupt or give nonsense, and
/// nothing else. `UOS_CAMPAIGN_SCRIBBLES` is how many rings are treated so.
#[test]
fn a_scribbling_peer_harms_its_own_ring_only() {
    let rings = count("UOS_CAMPAIGN_SCRIBBLES", 200);
    let mut random = Random::new();
    let mut corrupt = 0;
    for _ in 0..rings {
        let (mut writer, mut reader, liar) = ring_and_liar(random.below(5_000) + 1);
        for _ in 0..60 {
            let word = match random.below(4) {
                0 => random.next(),
                1 => random.below(10_000),
                _ => u64::MAX - random.below(10_000),
            };
            let at = match random.below(4) {
                0 => TAIL,
                1 => HEAD,
                2 => random.below(8) * 64,
                _ => random.below(liar.len_bytes() - 8),
            };
            if random.below(3) == 0 {
                liar.write(at, &word.to_le_bytes()).unwrap();
            }
            let written = writer.try_write(&vec![7; random.below(6_000) as usize]);
            let read = reader.try_read(random.below(6_000) as usize);
            for error in [written.err(), read.err()].into_iter().flatten() {
                match error {
                    PipeError::WouldBlock { .. } | PipeError::BrokenPipe => {}
                    PipeError::PeerCorrupt => corrupt += 1,
                    error => panic!("{error}"),
                }
            }
        }
    }
    assert!(corrupt > rings, "the lies are seen: {corrupt} times in {rings} rings");
}
