use std::{io::Write as _, os::unix::net::UnixStream};

use tokio::time::timeout;
use uos_ipc::{Socket, SocketError};
use uos_proto::{Right, v1::CreateProcessRequest};

use super::*;
use crate::{
    Kernel,
    asking::{Asker, UNASKED},
    namespace,
    rights::{Grant, Grants},
    sockets::{Kind, Phase, SocketHandle},
};

#[tokio::test]
async fn a_peer_that_never_reads_does_not_keep_what_a_program_that_has_ended_had() {
    let (room, kind) = (Quota::root("room", 1 << 20), SocketKind::Stream);
    let (ours, theirs) = Socket::pair(kind, 1_000, &Quota::root("pair", 1 << 20)).unwrap();
    let line = Line::Unix(Arc::new(ours));
    let whole = SocketHandle::new(Kind::Unix(kind), Phase::Open(line), None, None).whole;
    let runtime = Runtime::current();
    for linger in [LINGER, Duration::ZERO] {
        let (fd, relay) = Relay::new(&whole, Rights::READ | Rights::WRITE, &room, &runtime).unwrap();
        let leash = Relay { linger, ..relay }.run(&runtime);
        UnixStream::from(fd).write_all(&[b'x'; 5_000]).unwrap();
        drop(leash);
        let gone = async {
            while room.used() > 0 {
                tokio::task::yield_now().await;
            }
        };
        if linger.is_zero() {
            timeout(LINGER, gone).await.expect("the peer takes nothing, and it is given up");
        } else {
            // Within its time all of it arrives at a peer that takes it late.
            let mut heard = 0;
            while heard < 5_000 {
                heard += timeout(LINGER, theirs.recv(100)).await.unwrap().unwrap().bytes.len();
            }
            timeout(LINGER, gone).await.expect("it is done");
        }
    }
    // A part is missing now, and nothing comes after it.
    let Line::Unix(ours) = whole.line().unwrap() else { unreachable!("it was made so") };
    assert!(matches!(ours.try_send(b"later", &mut Vec::new()), Err(SocketError::Closed)));
    while !timeout(LINGER, theirs.recv(100)).await.unwrap().unwrap().end {}
}

#[tokio::test]
async fn others_have_their_turn_after_each_piece_however_much_there_is_to_move() {
    let (room, kind) = (Quota::root("room", 1 << 20), SocketKind::Stream);
    let (ours, theirs) = Socket::pair(kind, 1 << 20, &Quota::root("pair", 4 << 20)).unwrap();
    let line = Line::Unix(Arc::new(ours));
    let whole = SocketHandle::new(Kind::Unix(kind), Phase::Open(line), None, None).whole;
    let runtime = Runtime::current();
    let (fd, relay) = Relay::new(&whole, Rights::READ | Rights::WRITE, &room, &runtime).unwrap();
    let mut program = UnixStream::from(fd);
    program.set_nonblocking(true).unwrap();
    let mut sent = 0;
    while let Ok(count) = program.write(&[b'x'; 8 << 10]) {
        sent += count;
    }
    assert!(sent > PIECE, "{sent} bytes are ready at once");
    let leash = relay.run(&runtime);
    // There is one thread, and this is its second task.
    tokio::task::yield_now().await;
    let first = theirs.try_recv(1 << 20).unwrap().bytes.len();
    assert!(first <= PIECE, "{first} bytes in one turn");
    let mut heard = first;
    while heard < sent {
        heard += timeout(LINGER, theirs.recv(1 << 20)).await.unwrap().unwrap().bytes.len();
    }
    drop(leash);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_passes_once_a_right_has_been_taken_away() {
    const RIGHT: &str = "net.connect:unix:/there";
    let mounts = namespace::standard(namespace::Capacity::default()).unwrap();
    let kernel = Kernel::builder(mounts, uos_proc::LinuxSpawner::new().unwrap()).start().unwrap();
    let request = CreateProcessRequest { grants: vec![RIGHT.into()], ..Default::default() };
    let made = kernel.create_process(&kernel.init(), request).await.unwrap();
    let caller = kernel.by_token(&made.token).unwrap();
    let (room, kind, runtime) = (Quota::root("room", 1 << 20), SocketKind::Stream, Runtime::current());
    for round in 0..300 {
        let right: Grants = [Grant::parse(RIGHT).unwrap()].into_iter().collect();
        kernel.set_grants(caller.pid(), right).unwrap();
        let asker = Asker::new(&caller.0, &UNASKED);
        let licence = Licence::socket(asker, Right::NetConnect, "/there".into(), None);
        let (ours, theirs) = Socket::pair(kind, 1 << 20, &Quota::root("pair", 4 << 20)).unwrap();
        let ours = Arc::new(ours);
        let phase = Phase::Open(Line::Unix(Arc::clone(&ours)));
        let whole = SocketHandle::new(Kind::Unix(kind), phase, Some(licence), None).whole;
        let (fd, relay) = Relay::new(&whole, Rights::READ | Rights::WRITE, &room, &runtime).unwrap();
        let leash = relay.run(&runtime);
        let mut program = UnixStream::from(fd);
        // Sends without end, and is heard without end.
        let sender = std::thread::spawn(move || while program.write_all(&[b'x'; 512]).is_ok() {});
        let hearer =
            std::thread::spawn(move || while theirs.recv_blocking(1 << 20).is_ok_and(|it| !it.end) {});
        while ours.stats().sent_bytes < 10_000 {
            tokio::task::yield_now().await;
        }
        kernel.set_grants(caller.pid(), Grants::none()).unwrap();
        let passed = ours.stats().sent_bytes;
        let gone = async {
            while room.used() > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(LINGER, gone).await.expect("it ends by itself");
        assert_eq!(ours.stats().sent_bytes, passed, "in round {round}");
        ours.close();
        drop((leash, whole, ours));
        sender.join().unwrap();
        hearer.join().unwrap();
    }
    kernel.shut_down().await;
}
