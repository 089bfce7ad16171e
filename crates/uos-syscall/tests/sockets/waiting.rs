//! What waits, and what ends it.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
};

use uos_proc::LinuxSpawner;
use uos_proto::v1::{self, SocketKind};
use uos_syscall::{Errno, InUse, Limits};

use super::{LOCAL, accept, connect, connected, listens, receive, receive_from, send};
use crate::common::{
    World, give_up,
    network::{Never, at, bound, socket, under},
    until, within,
};

#[tokio::test]
async fn what_waits_is_ended_by_time_by_closing_and_by_giving_up() {
    let world = World::start();
    let agent = world.agent(&[LOCAL, &["ipc.create"]].concat()).await;
    let (stream, there) = connected(&world, &agent).await;
    let (door, _) = bound(&world, &agent, SocketKind::Tcp).await;
    world.call(&agent, v1::Listen { id: door, backlog: 0 }).await.unwrap();
    let (mail, _) = bound(&world, &agent, SocketKind::Udp).await;
    let pair = world.call(&agent, v1::SocketPair { kind: 0 }).await.unwrap().id;
    let named = listens(&world, &agent, SocketKind::UnixStream, "/door").await;
    let handles = world.kernel.in_use().handles;

    let soon = Some(1_000);
    assert_eq!(
        world.errno(&agent, v1::Receive { timeout_us: soon, ..receive(stream) }).await,
        Errno::ETIMEDOUT
    );
    assert_eq!(
        world.errno(&agent, v1::Receive { timeout_us: soon, ..receive(pair) }).await,
        Errno::ETIMEDOUT
    );
    assert_eq!(
        world.errno(&agent, v1::ReceiveFrom { timeout_us: soon, ..receive_from(mail) }).await,
        Errno::ETIMEDOUT
    );
    for id in [door, named] {
        assert_eq!(world.errno(&agent, v1::Accept { id, timeout_us: soon }).await, Errno::ETIMEDOUT);
        assert!(give_up(world.call(&agent, accept(id))).await.is_none());
    }
    assert!(give_up(world.call(&agent, receive(stream))).await.is_none());
    // Given up, it has taken nothing: the next one gets all of it.
    (&there).write_all(b"whole").unwrap();
    assert_eq!(&world.call(&agent, receive(stream)).await.unwrap().data[..], b"whole");

    // Filled until it takes no more, a send waits. What is under way on the host's side may make room once more.
    let mut sent = 0;
    while let Some(reply) = give_up(world.call(&agent, send(stream, vec![7; 1 << 20]))).await {
        sent += reply.unwrap().bytes_sent;
    }
    let full = v1::Send { timeout_us: Some(0), ..send(stream, vec![7; 1 << 20]) };
    match world.call(&agent, full).await {
        Ok(reply) => sent += reply.bytes_sent,
        Err(error) => assert_eq!(error.errno, Errno::ETIMEDOUT),
    }
    let reading = tokio::task::spawn_blocking(move || {
        let mut all = vec![0; sent as usize];
        (&there).read_exact(&mut all).unwrap();
        assert!(all.iter().all(|&byte| byte == 7));
        there
    });
    assert_eq!(world.call(&agent, send(stream, "x")).await.unwrap().bytes_sent, 1);
    let mut there = reading.await.unwrap();
    let mut last = [0];
    there.read_exact(&mut last).unwrap();
    assert_eq!(&last, b"x");

    assert_eq!(world.kernel.in_use().handles, handles);
    for (id, call) in [
        (stream, receive(stream).into()),
        (door, accept(door).into()),
        (mail, receive_from(mail).into()),
        (pair, receive(pair).into()),
        (named, accept(named).into()),
    ] {
        let closing = async {
            tokio::task::yield_now().await;
            world.call(&agent, v1::Close { id }).await.unwrap();
        };
        let (result, ()) = tokio::join!(within(world.kernel.invoke(&agent, call)), closing);
        assert_eq!(result.unwrap_err().errno, Errno::EBADF);
    }
    assert_eq!(there.read(&mut last).unwrap(), 0, "closed for the other side, too");
    world.call(&world.kernel.init(), v1::KillProcess { pid: agent.pid().0, tree: true }).await.unwrap();
    assert_eq!(world.kernel.in_use(), InUse { processes: 1, ..InUse::default() });
}

#[tokio::test]
async fn many_are_waited_for_at_once() {
    let world = World::start();
    let agent = world.agent(LOCAL).await;
    let (stream, mut there) = connected(&world, &agent).await;
    let (door, port) = bound(&world, &agent, SocketKind::Tcp).await;
    world.call(&agent, v1::Listen { id: door, backlog: 0 }).await.unwrap();
    let poll = |handles: &[(u64, bool, bool)], timeout_us| v1::Poll {
        handles: handles.iter().map(|&(id, read, write)| v1::PollHandle { id, read, write }).collect(),
        timeout_us,
    };
    let both = || poll(&[(stream, true, false), (door, true, false)], None);
    let ready =
        |reply: v1::PollReply| reply.ready.iter().map(|it| (it.id, it.read, it.write)).collect::<Vec<_>>();
    assert!(give_up(world.call(&agent, both())).await.is_none());
    there.write_all(b"x").unwrap();
    assert_eq!(ready(world.call(&agent, both()).await.unwrap()), [(stream, true, false)]);
    world.call(&agent, receive(stream)).await.unwrap();
    assert!(give_up(world.call(&agent, both())).await.is_none(), "what was there has been taken");
    let _visitor = TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert_eq!(ready(world.call(&agent, both()).await.unwrap()), [(door, true, false)]);
    let named = listens(&world, &agent, SocketKind::UnixStream, "/door").await;
    let within_the_system = || poll(&[(named, true, false)], None);
    assert!(give_up(world.call(&agent, within_the_system())).await.is_none());
    let visitor = socket(&world, &agent, SocketKind::UnixStream).await;
    world.call(&agent, connect(visitor, under("/door"))).await.unwrap();
    assert_eq!(ready(world.call(&agent, within_the_system()).await.unwrap()), [(named, true, false)]);
    let writable = poll(&[(stream, true, true)], None);
    assert_eq!(ready(world.call(&agent, writable).await.unwrap()), [(stream, false, true)]);
}

#[tokio::test]
async fn a_connection_is_made_by_one_and_given_up_without_a_trace() {
    let world =
        World::built(Limits::default(), LinuxSpawner::new().unwrap(), |builder| builder.resolver(Never));
    let agent = world.agent(&[LOCAL, &["net.connect:*", "net.resolve:*"]].concat()).await;
    let id = socket(&world, &agent, SocketKind::Tcp).await;
    let slow = || connect(id, at("slow.example", 1));
    let mut first = Box::pin(world.call(&agent, slow()));
    assert!(give_up(&mut first).await.is_none());
    assert_eq!(world.errno(&agent, slow()).await, Errno::EALREADY);
    drop(first);
    assert_eq!(
        world.errno(&agent, v1::Connect { timeout_us: Some(1_000), ..slow() }).await,
        Errno::ETIMEDOUT
    );
    let timed = v1::Resolve { name: "slow.example".into(), timeout_us: Some(1_000) };
    assert_eq!(world.errno(&agent, timed).await, Errno::ETIMEDOUT);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    world.call(&agent, connect(id, at("127.0.0.1", listener.local_addr().unwrap().port()))).await.unwrap();
    until("it has come", || listener.accept().is_ok()).await;
}
