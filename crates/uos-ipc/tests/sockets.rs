//! Sockets between parties of this process: what unix(7) promises, and what comes along.
#![cfg(not(any(loom, shuttle)))]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use bytes::Bytes;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use uos_ipc::{
    Capacity, MAX_HANDLES, Names, Object, Parcel, Pipe, Quota, QuotaError, SOCKET_BYTES, Socket, SocketError,
    SocketKind,
};

fn quota() -> Quota {
    Quota::root("sockets", 64 << 20)
}

fn pair(kind: SocketKind, capacity: usize) -> (Socket, Socket) {
    Socket::pair(kind, capacity, &quota()).unwrap()
}

fn send(socket: &Socket, bytes: &[u8]) -> Result<usize, SocketError> {
    socket.try_send(bytes, &mut Vec::new())
}

fn received(socket: &Socket, max: usize) -> Bytes {
    let Parcel { bytes, end, .. } = socket.try_recv(max).unwrap();
    assert!(!end);
    bytes
}

#[test]
fn a_stream_has_no_borders_and_two_directions() {
    let (a, b) = pair(SocketKind::Stream, 10);
    assert_eq!((send(&a, b"one"), send(&a, b"two"), send(&b, b"back")), (Ok(3), Ok(3), Ok(4)));
    assert_eq!(
        (&received(&b, 4)[..], &received(&b, 100)[..], &received(&a, 100)[..]),
        (&b"onet"[..], &b"wo"[..], &b"back"[..])
    );
    assert_eq!(send(&a, b"longer than ten"), Ok(10));
    assert_eq!(send(&a, b"x"), Err(SocketError::WouldBlock { asked: 1, available: 0 }));
    assert_eq!(
        (send(&a, b""), a.try_recv(5).unwrap_err()),
        (Ok(0), SocketError::WouldBlock { asked: 5, available: 0 })
    );
    a.shutdown_send();
    assert_eq!(send(&a, b"x"), Err(SocketError::Closed));
    assert_eq!(&received(&b, 100)[..], b"longer tha");
    assert!(b.try_recv(1).unwrap().end && b.try_recv(1).unwrap().end, "the end stays the end");
    assert_eq!(send(&b, b"half is open"), Ok(10));
    drop(a);
    assert_eq!(send(&b, b"x"), Err(SocketError::BrokenPipe));
}

#[test]
fn packets_come_whole_or_cut_and_end() {
    let (a, b) = pair(SocketKind::SeqPacket, 1_000);
    for text in [&b"first"[..], b"", b"second"] {
        send(&a, text).unwrap();
    }
    assert_eq!(&received(&b, 100)[..], b"first");
    assert_eq!(&received(&b, 100)[..], b"", "nothing is a packet too");
    let Parcel { bytes, truncated, .. } = b.try_recv(2).unwrap();
    assert_eq!((&bytes[..], truncated), (&b"se"[..], 4), "the rest is lost, and said to be");
    assert_eq!(send(&a, &[0; 937]), Err(SocketError::TooLarge { asked: 937, max: 936 }));
    send(&a, &[0; 800]).unwrap();
    assert_eq!(send(&a, &[0; 100]), Err(SocketError::WouldBlock { asked: 100, available: 72 }));
    drop(a);
    assert_eq!(received(&b, 1_000).len(), 800);
    assert!(b.try_recv(1).unwrap().end);
}

#[test]
fn messages_of_nothing_are_bounded_too() {
    let (a, _b) = pair(SocketKind::Datagram, 1_000);
    let sent = (0..).take_while(|_| send(&a, b"").is_ok()).count();
    assert_eq!(sent, 1_000 / 64);
}

#[test]
fn datagrams_carry_the_name_of_who_sent_them() {
    let (names, quota) = (Names::new(), quota());
    let (a, b) = (names.bind(b"a", 1_000, &quota).unwrap(), names.bind(b"b", 1_000, &quota).unwrap());
    a.try_send_to(b"b", b"to b", &mut Vec::new()).unwrap();
    b.try_send_to(b"b", b"to itself", &mut Vec::new()).unwrap();
    let first = b.try_recv(100).unwrap();
    assert_eq!((&first.bytes[..], first.from.as_deref()), (&b"to b"[..], Some(&b"a"[..])));
    assert_eq!(b.try_recv(100).unwrap().from.as_deref(), Some(&b"b"[..]));
    assert_eq!(b.try_recv(100).unwrap_err(), SocketError::WouldBlock { asked: 100, available: 0 });
    assert_eq!(names.bind(b"a", 1, &quota).unwrap_err(), SocketError::InUse);
    for len in [0, 109] {
        assert_eq!(names.bind(&vec![b'x'; len], 1, &quota).unwrap_err(), SocketError::Name { len });
    }
    b.close();
    assert_eq!(a.try_send_to(b"b", b"x", &mut Vec::new()), Err(SocketError::Refused));
    drop(b);
    assert_eq!(a.try_send_to(b"b", b"x", &mut Vec::new()), Err(SocketError::Refused));
    names.bind(b"b", 1, &quota).expect("the name is free again");
    assert_eq!(Names::new().connect(b"a", &quota).unwrap_err(), SocketError::Refused, "another space");
    drop(a);
    assert_eq!(quota.used(), 0);
}

#[test]
fn who_listens_accepts_in_order() {
    let (names, quota) = (Names::new(), quota());
    let listener = names.listen(b"door", SocketKind::Stream, 100, 2, &quota).unwrap();
    assert!(matches!(listener.try_accept(), Err(SocketError::WouldBlock { .. })));
    let first = names.connect(b"door", &quota).unwrap();
    send(&first, b"first").unwrap();
    let second = names.connect(b"door", &quota).unwrap();
    assert_eq!(names.connect(b"door", &quota).unwrap_err(), SocketError::Backlog { waiting: 2, max: 2 });
    assert_eq!(&received(&listener.try_accept().unwrap(), 100)[..], b"first", "sent before it was accepted");
    let mut accept = pin!(listener.accept());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(accept.as_mut().poll(&mut cx).is_ready());
    assert!(second.try_recv(1).unwrap().end, "accepted and dropped");
    let waiting = names.connect(b"door", &quota).unwrap();
    let mut waits = pin!(waiting.recv(1));
    assert!(waits.as_mut().poll(&mut cx).is_pending());
    drop(listener);
    assert!(
        matches!(waits.as_mut().poll(&mut cx), Poll::Ready(Ok(Parcel { end: true, .. }))),
        "never accepted"
    );
    assert_eq!(names.connect(b"door", &quota).unwrap_err(), SocketError::Refused);
    drop((first, second, waiting));
    assert_eq!(quota.used(), 0);
}

#[test]
fn handles_come_with_their_byte() {
    let (a, b) = pair(SocketKind::Stream, 100);
    let pipe = Pipe::new(Capacity::DEFAULT, &quota()).unwrap();
    send(&a, b"before").unwrap();
    let mut handles = vec![Object::Reader(pipe.reader), Object::Pipe(pipe.control.clone())];
    a.try_send(b"with", &mut handles).unwrap();
    assert!(handles.is_empty());
    send(&a, b"after").unwrap();
    let before = b.try_recv(100).unwrap();
    assert_eq!(
        (&before.bytes[..], before.handles.len()),
        (&b"before"[..], 0),
        "not past one that carries handles"
    );
    let with = b.try_recv(2).unwrap();
    assert_eq!((&with.bytes[..], with.handles.len()), (&b"wi"[..], 2));
    assert_eq!(&received(&b, 100)[..], b"thafter");
    pipe.writer.try_write(b"still open").unwrap();
    let Object::Reader(reader) = &with.handles[0] else { panic!("in order") };
    assert_eq!(&reader.try_read(100).unwrap()[..], b"still open");

    let mut handles = vec![Object::Pipe(pipe.control.clone())];
    assert_eq!(a.try_send(b"", &mut handles), Err(SocketError::NoBytes));
    while send(&a, b"full").is_ok() {}
    assert!(matches!(a.try_send(b"x", &mut handles), Err(SocketError::WouldBlock { .. })));
    assert_eq!(handles.len(), 1, "what was not sent is still here");
    let mut many: Vec<_> = (0..=MAX_HANDLES).map(|_| Object::Pipe(pipe.control.clone())).collect();
    assert_eq!(
        a.try_send(b"x", &mut many),
        Err(SocketError::TooManyHandles { asked: MAX_HANDLES + 1, max: MAX_HANDLES })
    );
}

#[test]
fn handles_that_nobody_receives_are_closed() {
    let quota = quota();
    let (a, b) = Socket::pair(SocketKind::SeqPacket, 1_000, &quota).unwrap();
    let pipe = Pipe::new(Capacity::DEFAULT, &quota).unwrap();
    a.try_send(b"x", &mut vec![Object::Reader(pipe.reader)]).unwrap();
    pipe.writer.try_write(b"kept open under way").unwrap();
    drop(b);
    assert!(pipe.writer.try_write(b"x").is_err(), "lost with the socket it was in");
    drop((a, pipe.writer, pipe.control));
    assert_eq!(quota.used(), 0);
}

#[test]
fn a_socket_never_ends_up_in_itself() {
    let quota = quota();
    let pair = || Socket::pair(SocketKind::SeqPacket, 1_000, &quota).unwrap();
    let ((a, b), (c, d)) = (pair(), pair());
    let mut itself = vec![Object::Socket(b.clone())];
    assert_eq!(a.try_send(b"x", &mut itself), Err(SocketError::Cycle));
    // One in the other is fine, and then not the other in the one.
    a.try_send(b"x", &mut vec![Object::Socket(d.clone())]).unwrap();
    let mut back = vec![Object::Socket(b.clone())];
    assert_eq!(c.try_send(b"x", &mut back), Err(SocketError::Cycle));
    let arrived = b.try_recv(10).unwrap().handles;
    assert!(matches!(arrived[..], [Object::Socket(_)]));
    c.try_send(b"x", &mut back).unwrap();
    drop((itself, back, arrived, a, b, c, d));
    assert_eq!(quota.used(), 0);
    let (a, b) = pair();
    let mut waits = Box::pin(a.send(Bytes::from_static(b"x"), vec![Object::Socket(a.clone())]));
    assert!(matches!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(1))));
    drop((waits, a, b));
    assert_eq!(quota.used(), 0);
}

#[test]
fn waiting_is_served_in_order_and_ends_with_the_handle() {
    let (a, b) = pair(SocketKind::Stream, 4);
    let mut cx = Context::from_waker(Waker::noop());
    let mut reads = [b.recv(2), b.recv(2)].map(Box::pin);
    assert!(reads.iter_mut().all(|read| read.as_mut().poll(&mut cx).is_pending()));
    send(&a, b"abcd").unwrap();
    for (read, expected) in reads.iter_mut().zip(["ab", "cd"]) {
        assert!(
            matches!(read.as_mut().poll(&mut cx), Poll::Ready(Ok(Parcel { bytes, .. })) if bytes == expected)
        );
    }
    send(&a, b"full").unwrap();
    let mut write = pin!(a.send(Bytes::from_static(b"more"), Vec::new()));
    assert!(write.as_mut().poll(&mut cx).is_pending());
    a.close();
    assert!(matches!(write.as_mut().poll(&mut cx), Poll::Ready(Err(SocketError::Closed))));
    let sender = std::thread::spawn({
        let (a, c) = pair(SocketKind::Stream, 3);
        move || {
            let sending = std::thread::spawn(move || {
                (0..1_000u16).for_each(|n| {
                    let mut left = Bytes::copy_from_slice(&n.to_be_bytes());
                    while !left.is_empty() {
                        let sent = a.send_blocking(left.clone(), Vec::new()).unwrap();
                        drop(left.split_to(sent));
                    }
                });
            });
            let mut all = Vec::new();
            loop {
                let part = c.recv_blocking(5).unwrap();
                if part.end {
                    break;
                }
                all.extend_from_slice(&part.bytes);
            }
            sending.join().unwrap();
            all
        }
    });
    let expected: Vec<u8> = (0..1_000u16).flat_map(u16::to_be_bytes).collect();
    assert_eq!(sender.join().unwrap(), expected);
}

#[test]
fn what_does_not_fit_the_quota_is_not_made() {
    let quota = Quota::root("sockets", 3 * SOCKET_BYTES as u64);
    let one = Socket::pair(SocketKind::Stream, SOCKET_BYTES, &quota).unwrap();
    let refused = Socket::pair(SocketKind::Stream, SOCKET_BYTES, &quota).unwrap_err();
    assert!(matches!(refused, QuotaError { name: "sockets", .. }));
    assert_eq!(quota.used(), 2 * SOCKET_BYTES as u64, "nothing of the half is left");
    drop(one);
    assert_eq!(quota.used(), 0);
}

proptest! {
    /// A stream is a list of bytes; messages are a list of messages; nothing is lost, doubled or torn.
    #[test]
    fn a_lane_is_its_model(
        kind in prop_oneof![Just(SocketKind::Stream), Just(SocketKind::SeqPacket), Just(SocketKind::Datagram)],
        ops in prop::collection::vec((any::<bool>(), 0..200usize), 1..80),
    ) {
        let quota = quota();
        let (a, b) = Socket::pair(kind, 500, &quota).unwrap();
        let mut model: VecDeque<Vec<u8>> = VecDeque::new();
        for (step, (sends, len)) in ops.into_iter().enumerate() {
            let held: usize = model.iter().map(|sent| sent.len() + if kind == SocketKind::Stream { 0 } else { 64 }).sum();
            if sends {
                let bytes = vec![step as u8; len];
                let expected = match kind {
                    SocketKind::Stream if len == 0 => Ok(0),
                    SocketKind::Stream if held == 500 => Err(SocketError::WouldBlock { asked: len, available: 0 }),
                    SocketKind::Stream => Ok(len.min(500 - held)),
                    _ if len + 64 > 500 - held => Err(SocketError::WouldBlock {
                        asked: len,
                        available: (500 - held).saturating_sub(64),
                    }),
                    _ => Ok(len),
                };
                prop_assert_eq!(send(&a, &bytes), expected.clone());
                match expected {
                    Ok(0) if kind == SocketKind::Stream => {}
                    Ok(sent) => model.push_back(bytes[..sent].to_vec()),
                    Err(_) => {}
                }
            } else if model.is_empty() {
                prop_assert_eq!(b.try_recv(len).unwrap_err(), SocketError::WouldBlock { asked: len, available: 0 });
            } else if kind == SocketKind::Stream {
                let mut all: Vec<u8> = model.drain(..).flatten().collect();
                let rest = all.split_off(len.min(all.len()));
                if !rest.is_empty() {
                    model.push_back(rest);
                }
                prop_assert_eq!(&received(&b, len)[..], &all[..]);
            } else {
                let sent = model.pop_front().unwrap();
                let parcel = b.try_recv(len).unwrap();
                prop_assert_eq!((&parcel.bytes[..], parcel.truncated), (&sent[..len.min(sent.len())], sent.len().saturating_sub(len)));
            }
            prop_assert_eq!(b.stats().inbox_bytes, model.iter().map(Vec::len).sum::<usize>());
        }
        drop(a);
        let left: Vec<u8> = std::iter::from_fn(|| b.try_recv(1_000).ok().filter(|parcel| !parcel.end))
            .flat_map(|parcel| parcel.bytes.to_vec())
            .collect();
        prop_assert_eq!(left, model.into_iter().flatten().collect::<Vec<_>>());
        prop_assert_eq!(quota.used(), 0, "one side is drained, and nobody receives on the other");
    }
}
