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

/// Only a guard against hanging for ever.
const GUARD: Duration = Duration::from_secs(60);

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
                heard += timeout(GUARD, theirs.recv(100)).await.unwrap().unwrap().bytes.len();
            }
            timeout(GUARD, gone).await.expect("it is done");
        }
    }
    // A part is missing now, and nothing comes after it.
    let Line::Unix(ours) = whole.line().unwrap() else { unreachable!("it was made so") };
    assert!(matches!(ours.try_send(b"later", &mut Vec::new()), Err(SocketError::Closed)));
    while !timeout(GUARD, theirs.recv(100)).await.unwrap().unwrap().end {}
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
        heard += timeout(GUARD, theirs.recv(1 << 20)).await.unwrap().unwrap().bytes.len();
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
    let (room, kind, runtime) = (Quota::root("room", 64 << 20), SocketKind::Stream, Runtime::current());
    for round in 0..100 {
        let right: Grants = [Grant::parse(RIGHT).unwrap()].into_iter().collect();
        kernel.set_grants(caller.pid(), right).unwrap();
        // Several at once keep the grants by turns: whoever takes them away comes in between.
        let asker = Asker::new(&caller.0, &UNASKED);
        let connections: Vec<_> = (0..4)
            .map(|_| {
                let licence = Licence::socket(asker, Right::NetConnect, "/there".into(), None);
                let (ours, theirs) = Socket::pair(kind, 1 << 20, &Quota::root("pair", 4 << 20)).unwrap();
                let ours = Arc::new(ours);
                let phase = Phase::Open(Line::Unix(Arc::clone(&ours)));
                let whole = SocketHandle::new(Kind::Unix(kind), phase, Some(licence), None).whole;
                let (fd, relay) = Relay::new(&whole, Rights::READ | Rights::WRITE, &room, &runtime).unwrap();
                (UnixStream::from(fd), ours, Arc::new(theirs), relay.run(&runtime))
            })
            .collect();
        let mut threads = Vec::new();
        for (program, _, theirs, _) in &connections {
            // Both send without end. The peer hears without end, the program not at all.
            let (mut program, hears, sends) =
                (program.try_clone().unwrap(), Arc::clone(theirs), Arc::clone(theirs));
            threads.push(std::thread::spawn(move || while program.write_all(&[b'x'; 512]).is_ok() {}));
            threads.push(std::thread::spawn(
                move || while hears.recv_blocking(1 << 20).is_ok_and(|it| !it.end) {},
            ));
            threads.push(std::thread::spawn(move || {
                while sends.send_blocking(bytes::Bytes::from_static(&[b'y'; 512]), Vec::new()).is_ok() {}
            }));
        }
        let heard = |program: &UnixStream| rustix::io::ioctl_fionread(program).unwrap();
        let moved = || {
            let of = |(program, ours, ..): &(UnixStream, Arc<Socket>, _, _)| {
                (ours.stats().sent_bytes, heard(program))
            };
            connections.iter().map(of).collect::<Vec<_>>()
        };
        let all_move = async {
            while !moved().iter().all(|(sent, heard)| *sent > 10_000 && *heard > 2_000) {
                tokio::task::yield_now().await;
            }
        };
        timeout(GUARD, all_move).await.expect("they move both ways");
        let (kernel, pid) = (kernel.clone(), caller.pid());
        let taken = tokio::task::spawn_blocking(move || kernel.set_grants(pid, Grants::none()).unwrap());
        timeout(GUARD, taken).await.expect("its turn comes").unwrap();
        let passed = moved();
        let gone = async {
            while room.used() > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(GUARD, gone).await.expect("they end by themselves");
        assert_eq!(moved(), passed, "in round {round}");
        for (_, ours, theirs, _) in &connections {
            ours.close();
            theirs.close();
        }
        drop(connections);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
    kernel.shut_down().await;
}
