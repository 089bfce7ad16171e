//! Bytes and datagrams that go to the host's own sockets and come from them.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use uos_proto::v1::{self, SocketKind};
use uos_syscall::{
    Errno, InUse,
    audit::{Decision, Subject},
};

use super::{LOCAL, accept, connect, receive, receive_from, send, send_to};
use crate::common::{
    World,
    network::{at, bound, socket},
};

#[tokio::test]
async fn bytes_go_to_a_server_of_the_host_and_come_back() {
    let world = World::start();
    let agent = world.agent(LOCAL).await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let id = socket(&world, &agent, SocketKind::Tcp).await;
    let reply = world.call(&agent, connect(id, at("127.0.0.1", port))).await.unwrap();
    let (mut there, from) = listener.accept().unwrap();
    assert_eq!(reply.peer, at("127.0.0.1", port));
    assert_eq!(reply.local, at("127.0.0.1", from.port()));

    assert_eq!(world.call(&agent, send(id, "hello")).await.unwrap().bytes_sent, 5);
    let mut heard = [0; 5];
    there.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
    there.write_all(b"welcome").unwrap();
    let part = world.call(&agent, v1::Receive { max_bytes: 3, ..receive(id) }).await.unwrap();
    assert_eq!((&part.data[..], part.end), (&b"wel"[..], false));
    assert_eq!(&world.call(&agent, receive(id)).await.unwrap().data[..], b"come");

    let direction = v1::Direction::Send.into();
    world.call(&agent, v1::Shutdown { id, direction }).await.unwrap();
    assert_eq!(there.read(&mut heard).unwrap(), 0, "the other side sees the end");
    assert_eq!(world.errno(&agent, send(id, "more")).await, Errno::EPIPE);
    there.shutdown(Shutdown::Both).unwrap();
    let end = world.call(&agent, receive(id)).await.unwrap();
    assert!(end.end && end.data.is_empty());

    world.call(&agent, v1::Close { id }).await.unwrap();
    assert_eq!(world.errno(&agent, send(id, "more")).await, Errno::EBADF);
    assert_eq!(world.kernel.in_use(), InUse { processes: 2, ..InUse::default() });
    world.kernel.audit().flush();
    let records = world.audit.records();
    let record = records.iter().find(|record| record.call.name == "Connect").unwrap();
    assert_eq!(record.subject, Subject::Address(format!("127.0.0.1:{port}").into()));
    assert!(
        matches!(&record.decision, Decision::Grant(given) if given.to_string() == "net.connect:127.0.0.1")
    );
}

#[tokio::test]
async fn a_client_of_the_host_is_taken_in_and_answered() {
    let world = World::start();
    let agent = world.agent(LOCAL).await;
    let (id, port) = bound(&world, &agent, SocketKind::Tcp).await;
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "nobody listens yet");
    world.call(&agent, v1::Listen { id, backlog: 0 }).await.unwrap();
    let mut there = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let taken = world.call(&agent, accept(id)).await.unwrap();
    assert_eq!(taken.peer, at("127.0.0.1", there.local_addr().unwrap().port()));
    there.write_all(b"question").unwrap();
    assert_eq!(&world.call(&agent, receive(taken.id)).await.unwrap().data[..], b"question");
    world.call(&agent, send(taken.id, "answer")).await.unwrap();
    world.call(&agent, v1::Close { id: taken.id }).await.unwrap();
    let mut heard = String::new();
    there.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "answer");

    let second = socket(&world, &agent, SocketKind::Tcp).await;
    let taken_already = v1::Bind { id: second, address: at("127.0.0.1", port) };
    assert_eq!(world.errno(&agent, taken_already).await, Errno::EADDRINUSE);
    // What failed is as it was: it can be bound elsewhere.
    world.call(&agent, v1::Bind { id: second, address: at("", 0) }).await.unwrap();
    world.call(&agent, v1::Close { id }).await.unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[tokio::test]
async fn datagrams_go_both_ways_and_keep_their_borders() {
    let world = World::start();
    let agent = world.agent(LOCAL).await;
    let there = UdpSocket::bind("127.0.0.1:0").unwrap();
    there.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let theirs = there.local_addr().unwrap().port();
    let (id, port) = bound(&world, &agent, SocketKind::Udp).await;
    for text in ["one", "", "three"] {
        there.send_to(text.as_bytes(), ("127.0.0.1", port)).unwrap();
    }
    let first = world.call(&agent, v1::ReceiveFrom { max_bytes: 2, ..receive_from(id) }).await.unwrap();
    assert_eq!(
        (&first.data[..], first.truncated, first.address),
        (&b"on"[..], true, at("127.0.0.1", theirs))
    );
    let second = world.call(&agent, receive_from(id)).await.unwrap();
    assert!(second.data.is_empty() && !second.truncated, "a datagram of nothing is one");
    assert_eq!(&world.call(&agent, receive_from(id)).await.unwrap().data[..], b"three");
    world.call(&agent, send_to(id, at("127.0.0.1", theirs), "back")).await.unwrap();
    let mut heard = [0; 16];
    assert_eq!(there.recv_from(&mut heard).unwrap(), (4, ([127, 0, 0, 1], port).into()));

    // Connected, it talks to one alone.
    world.call(&agent, connect(id, at("127.0.0.1", theirs))).await.unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.send_to(b"psst", ("127.0.0.1", port)).unwrap();
    there.send_to(b"still here", ("127.0.0.1", port)).unwrap();
    assert_eq!(&world.call(&agent, receive(id)).await.unwrap().data[..], b"still here");
    world.call(&agent, send(id, "connected")).await.unwrap();
    assert_eq!(there.recv(&mut heard).unwrap(), 9);
    assert_eq!(world.errno(&agent, send_to(id, at("127.0.0.1", theirs), "x")).await, Errno::EISCONN);
    assert_eq!(world.errno(&agent, send(id, vec![0; 70_000])).await, Errno::EMSGSIZE);
}

#[tokio::test]
async fn who_has_no_address_hears_only_those_it_has_spoken_to() {
    let world = World::start();
    let agent = world.agent(&["net.connect:127.0.0.1"]).await;
    let (there, stranger) =
        (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    there.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let id = socket(&world, &agent, SocketKind::Udp).await;
    assert_eq!(world.errno(&agent, receive_from(id)).await, Errno::EINVAL);
    let theirs = there.local_addr().unwrap().port();
    world.call(&agent, send_to(id, at("127.0.0.1", theirs), "hello")).await.unwrap();
    let mut heard = [0; 16];
    let (_, from) = there.recv_from(&mut heard).unwrap();
    let from = ("127.0.0.1", from.port());
    stranger.send_to(b"psst", from).unwrap();
    there.send_to(b"answer", from).unwrap();
    let came = world.call(&agent, receive_from(id)).await.unwrap();
    assert_eq!((&came.data[..], came.address), (&b"answer"[..], at("127.0.0.1", theirs)));
    let none = v1::ReceiveFrom { timeout_us: Some(0), ..receive_from(id) };
    assert_eq!(world.errno(&agent, none).await, Errno::ETIMEDOUT);
}
