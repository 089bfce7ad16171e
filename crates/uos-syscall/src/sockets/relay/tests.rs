use std::{io::Write as _, os::unix::net::UnixStream};

use tokio::time::timeout;
use uos_ipc::{Socket, SocketError};

use super::*;
use crate::sockets::{Kind, Phase, SocketHandle};

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
