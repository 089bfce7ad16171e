//! Sockets, seen from their other side: by the host's own, and by other processes.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use common::{
    World, give_up,
    network::{Names, Never, Routes, at, bound, socket, under, world, world_with},
    until, within,
};
use uos_proc::LinuxSpawner;
use uos_proto::v1::{self, SocketKind, SocketOption};
use uos_syscall::{
    Caller, Cause, Errno, Error, InUse, Limits,
    audit::{Decision, Subject},
};

/// Who may reach and be at loopback.
const LOCAL: &[&str] =
    &["net.connect:127.0.0.1", "net.bind:127.0.0.1", "net.connect:unix:/**", "net.bind:unix:/**"];

fn send(id: u64, data: impl AsRef<[u8]>) -> v1::Send {
    v1::Send { id, data: data.as_ref().to_vec().into(), timeout_us: None }
}

fn receive(id: u64) -> v1::Receive {
    v1::Receive { id, ..Default::default() }
}

fn connect(id: u64, address: Option<v1::SocketAddress>) -> v1::Connect {
    v1::Connect { id, address, timeout_us: None }
}

fn send_to(id: u64, address: Option<v1::SocketAddress>, data: impl AsRef<[u8]>) -> v1::SendTo {
    v1::SendTo { id, address, data: data.as_ref().to_vec().into(), timeout_us: None }
}

fn receive_from(id: u64) -> v1::ReceiveFrom {
    v1::ReceiveFrom { id, ..Default::default() }
}

fn accept(id: u64) -> v1::Accept {
    v1::Accept { id, timeout_us: None }
}

fn set(id: u64, option: SocketOption, value: u64) -> v1::SetSocketOption {
    v1::SetSocketOption { id, option: option.into(), value }
}

/// A socket that listens within the system.
async fn listens(world: &World, who: &Caller, kind: SocketKind, name: &str) -> u64 {
    let id = socket(world, who, kind).await;
    world.call(who, v1::Bind { id, address: under(name) }).await.unwrap();
    world.call(who, v1::Listen { id, backlog: 0 }).await.unwrap();
    id
}

/// A socket of somebody's that is connected to one of the host's own.
async fn connected(world: &World, who: &Caller) -> (u64, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let id = socket(world, who, SocketKind::Tcp).await;
    world.call(who, connect(id, at("127.0.0.1", listener.local_addr().unwrap().port()))).await.unwrap();
    (id, listener.accept().unwrap().0)
}

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

#[tokio::test]
async fn processes_talk_by_names_within_the_system() {
    let world = World::start();
    let (server, client) =
        (world.agent(&["net.bind:unix:/run/**"]).await, world.agent(&["net.connect:unix:/run/db"]).await);
    for kind in [SocketKind::UnixStream, SocketKind::UnixSeqpacket] {
        let id = socket(&world, &server, kind).await;
        let reply = world.call(&server, v1::Bind { id, address: under("/run/db") }).await.unwrap();
        assert_eq!(reply.address, under("/run/db"));
        let mine = socket(&world, &client, kind).await;
        assert_eq!(world.errno(&client, connect(mine, under("/run/db"))).await, Errno::ECONNREFUSED);
        world.call(&server, v1::Listen { id, backlog: 1 }).await.unwrap();
        world.call(&client, connect(mine, under("/run/db"))).await.unwrap();
        let full = socket(&world, &client, kind).await;
        assert_eq!(world.errno(&client, connect(full, under("/run/db"))).await, Errno::EAGAIN);
        let theirs = world.call(&server, accept(id)).await.unwrap().id;
        for text in ["one", "two"] {
            world.call(&client, send(mine, text)).await.unwrap();
        }
        let came = world.call(&server, receive(theirs)).await.unwrap();
        let expected: &[u8] = if kind == SocketKind::UnixStream { b"onetwo" } else { b"one" };
        assert_eq!(&came.data[..], expected);
        world.call(&client, v1::Shutdown { id: mine, direction: 0 }).await.unwrap();
        let last = world.call(&server, receive(theirs)).await.unwrap();
        assert_eq!(last.end, kind == SocketKind::UnixStream);
        assert!(world.call(&client, receive(mine)).await.unwrap().end);
        assert_eq!(world.errno(&client, send(mine, "x")).await, Errno::EPIPE);
        let twin = socket(&world, &server, kind).await;
        world.call(&server, v1::Bind { id: twin, address: under("/run/db") }).await.unwrap();
        assert_eq!(world.errno(&server, v1::Listen { id: twin, backlog: 0 }).await, Errno::EADDRINUSE);
        world.call(&server, v1::Close { id }).await.unwrap();
        world.call(&server, v1::Listen { id: twin, backlog: 0 }).await.unwrap();
        world.call(&server, v1::Close { id: twin }).await.unwrap();
    }
    // Datagrams, which have names on both sides.
    world.set_grants(&client, &["net.connect:unix:/run/log", "net.bind:unix:/run/me"]);
    let (log, me) = (
        socket(&world, &server, SocketKind::UnixDatagram).await,
        socket(&world, &client, SocketKind::UnixDatagram).await,
    );
    assert_eq!(
        world.errno(&client, send_to(me, under("/run/log"), "x")).await,
        Errno::EINVAL,
        "it has no name"
    );
    world.call(&client, v1::Bind { id: me, address: under("/run/me") }).await.unwrap();
    assert_eq!(world.errno(&client, send_to(me, under("/run/log"), "x")).await, Errno::ECONNREFUSED);
    world.call(&server, v1::Bind { id: log, address: under("/run/log") }).await.unwrap();
    world.call(&client, send_to(me, under("/run/log"), "line")).await.unwrap();
    let came = world.call(&server, receive_from(log)).await.unwrap();
    assert_eq!((&came.data[..], came.address), (&b"line"[..], under("/run/me")));
    let refused = world.call(&client, send_to(me, under("/run/db"), "x")).await.unwrap_err();
    assert_eq!((refused.errno, &*refused.hint), (Errno::EACCES, "grant `net.connect:unix:/run/db`"));
}

#[tokio::test]
async fn a_pair_can_be_passed_on() {
    let world = World::start();
    let parent = world.agent(&["ipc.create", "proc.spawn:/**"]).await;
    let child = world.child(&parent, &[]).await;
    let v1::SocketPairReply { id, peer_id } = world.call(&parent, v1::SocketPair { kind: 0 }).await.unwrap();
    assert_eq!(world.errno(&child, receive(peer_id)).await, Errno::EBADF);
    world.call(&parent, v1::PassHandle { pid: child.pid().0, id: peer_id, rights: vec![] }).await.unwrap();
    world.call(&parent, v1::Close { id: peer_id }).await.unwrap();
    world.call(&child, send(peer_id, "from the child")).await.unwrap();
    assert_eq!(&world.call(&parent, receive(id)).await.unwrap().data[..], b"from the child");
    world.call(&parent, v1::KillProcess { pid: child.pid().0, tree: true }).await.unwrap();
    assert!(world.call(&parent, receive(id)).await.unwrap().end, "the last who held it is gone");
    let network = v1::SocketPair { kind: SocketKind::Tcp.into() };
    assert_eq!(world.errno(&parent, network).await, Errno::EAFNOSUPPORT);
}

#[tokio::test]
async fn nobody_is_reached_and_nowhere_is_taken_without_the_right() {
    let names =
        Names::new(&[("inside.example", &[&["127.0.0.1"]]), ("both.example", &[&["8.8.8.8", "10.0.0.1"]])]);
    let routes = Routes::default();
    let world = world(&names, &routes);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let agent = world
        .agent(&["net.connect:*", "net.bind:*", "net.bind:127.0.0.2:8000-8010", "net.resolve:*.example"])
        .await;
    let (tcp, udp) =
        (socket(&world, &agent, SocketKind::Tcp).await, socket(&world, &agent, SocketKind::Udp).await);
    for host in [
        "127.0.0.1",
        "0x7f.1",
        "localhost",
        "inside.example",
        "::1",
        "[::1]",
        "::ffff:127.0.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "both.example",
        "255.255.255.255",
    ] {
        for result in [
            world.call(&agent, connect(tcp, at(host, port))).await.map(drop),
            world.call(&agent, connect(udp, at(host, port))).await.map(drop),
            world.call(&agent, send_to(udp, at(host, port), "x")).await.map(drop),
        ] {
            let refused = result.unwrap_err();
            let names_it = matches!(refused.cause.as_deref(), Some(Cause::Right(right)) if right.starts_with("net.connect:"));
            assert!(refused.errno == Errno::EACCES && names_it, "{host}: {refused:?}");
        }
    }
    assert!(routes.dialled().is_empty());
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nobody came");
    for (host, port, wanted) in [
        ("127.0.0.1", 8_000, "net.bind:127.0.0.1:8000"),
        ("", 8_000, "net.bind:127.0.0.1:8000"),
        ("localhost", 8_000, "net.bind:127.0.0.1:8000"),
        ("127.0.0.2", 7_999, "net.bind:127.0.0.2:7999"),
        ("0.0.0.0", 8_000, "net.bind:0.0.0.0:8000"),
        ("::", 8_000, "net.bind:[::]:8000"),
    ] {
        let refused = world.call(&agent, v1::Bind { id: tcp, address: at(host, port) }).await.unwrap_err();
        assert_eq!(refused.errno, Errno::EACCES, "{host}:{port}: {refused}");
        assert_eq!(*refused.hint, *format!("grant `{wanted}`"), "{refused:?}");
    }
    let name = world.call(&agent, v1::Bind { id: tcp, address: under("/run/x") }).await.unwrap_err();
    assert_eq!(&*name.hint, "grant `net.bind:unix:/run/x`");
    world.call(&agent, v1::Bind { id: tcp, address: at("127.0.0.2", 8_007) }).await.unwrap();
    world.call(&agent, v1::Listen { id: tcp, backlog: 0 }).await.unwrap();
    assert_eq!(
        std::net::TcpListener::bind("127.0.0.2:8007").unwrap_err().kind(),
        std::io::ErrorKind::AddrInUse
    );
}

async fn refused_by_revoke(world: &World, who: &Caller, id: u64, right: &str) {
    let check = |error: Error| {
        assert_eq!(error.errno, Errno::EACCES, "{error}");
        assert!(
            matches!(error.cause.as_deref(), Some(Cause::Right(it)) if it.starts_with(right)),
            "{error:?}"
        );
    };
    check(world.call(who, send(id, "x")).await.unwrap_err());
    check(world.call(who, receive(id)).await.unwrap_err());
}

#[tokio::test]
async fn a_right_that_is_revoked_closes_what_it_has_opened_wherever_that_is() {
    let world = World::start();
    let agent = world.agent(LOCAL).await;
    // A second handle from before it was connected by the first.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let id = socket(&world, &agent, SocketKind::Tcp).await;
    let second = world.call(&agent, v1::Dup { id }).await.unwrap().id;
    world.call(&agent, connect(id, at("127.0.0.1", listener.local_addr().unwrap().port()))).await.unwrap();
    let mut there = listener.accept().unwrap().0;
    world.call(&agent, send(second, "before")).await.unwrap();
    let other = world.agent(&[]).await;
    world.set_grants(&agent, &[LOCAL, &["proc.control"]].concat());
    world.call(&agent, v1::PassHandle { pid: other.pid().0, id, rights: vec![] }).await.unwrap();
    world.call(&other, send(id, "passed")).await.unwrap();
    let (door, port) = bound(&world, &agent, SocketKind::Tcp).await;
    world.call(&agent, v1::Listen { id: door, backlog: 0 }).await.unwrap();
    let _visitor = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let taken = world.call(&agent, accept(door)).await.unwrap().id;

    world.set_grants(&agent, &["net.bind:127.0.0.1"]);
    for (who, id) in [(&agent, id), (&agent, second), (&other, id)] {
        refused_by_revoke(&world, who, id, "net.connect:127.0.0.1").await;
    }
    let listed = world.call(&agent, v1::ListHandles::default()).await.unwrap().handles;
    let revoked: Vec<u64> = listed.iter().filter(|it| it.revoked).map(|it| it.id).collect();
    assert_eq!(revoked, [id, second]);
    world.call(&agent, send(taken, "still granted")).await.unwrap();
    world.set_grants(&agent, &["net.connect:127.0.0.1"]);
    refused_by_revoke(&world, &agent, taken, "net.bind:127.0.0.1").await;
    assert_eq!(world.errno(&agent, accept(door)).await, Errno::EACCES);
    // Given back, it goes on.
    world.call(&other, send(id, "again")).await.unwrap();
    world.call(&other, v1::Close { id }).await.unwrap();
    for id in [id, second] {
        world.call(&agent, v1::Close { id }).await.unwrap();
    }
    let mut heard = String::new();
    there.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "beforepassedagain");
}

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

    // Filled until it takes no more, a send waits.
    let mut sent = 0;
    while let Ok(reply) =
        world.call(&agent, v1::Send { timeout_us: Some(0), ..send(stream, vec![7; 1 << 20]) }).await
    {
        sent += reply.bytes_sent;
    }
    assert!(give_up(world.call(&agent, send(stream, "x"))).await.is_none());
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
async fn options_do_what_they_say() {
    let world = World::start();
    let agent = world.agent(&[LOCAL, &["net.connect:255.255.255.255", "ipc.create"]].concat()).await;
    let get = |id, option: SocketOption| v1::GetSocketOption { id, option: option.into() };

    // How much waits to be received.
    let there = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut fitted = Vec::new();
    for bytes in [4 << 10, 1 << 20] {
        let (id, port) = bound(&world, &agent, SocketKind::Udp).await;
        world.call(&agent, set(id, SocketOption::ReceiveBufferBytes, bytes)).await.unwrap();
        for _ in 0..200 {
            there.send_to(&[0; 1_000], ("127.0.0.1", port)).unwrap();
        }
        let mut count = 0;
        let none = || v1::ReceiveFrom { timeout_us: Some(0), ..receive_from(id) };
        while world.call(&agent, none()).await.is_ok() {
            count += 1;
        }
        fitted.push(count);
        assert_eq!(world.call(&agent, get(id, SocketOption::ReceiveBufferBytes)).await.unwrap().value, bytes);
        world.call(&agent, v1::Close { id }).await.unwrap();
    }
    assert!(fitted[0] < 20 && fitted[1] == 200, "{fitted:?}");

    // To all at once only where it was asked for; whether there is a way there is the machine's business.
    let id = socket(&world, &agent, SocketKind::Udp).await;
    let to_all = || send_to(id, at("255.255.255.255", 9), "x");
    assert_eq!(world.errno(&agent, to_all()).await, Errno::EACCES);
    world.call(&agent, set(id, SocketOption::Broadcast, 1)).await.unwrap();
    let sent = world.call(&agent, to_all()).await;
    assert!(sent.as_ref().map_or_else(|error| error.errno != Errno::EACCES, |_| true), "{sent:?}");

    // The host's kernel looks after a connection, or doesn't.
    let (id, there) = connected(&world, &agent).await;
    let timer = || {
        let mine = format!(":{:04X} ", there.peer_addr().unwrap().port());
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let line = table
            .lines()
            .find(|line| line.split_whitespace().nth(1).unwrap().ends_with(mine.trim()))
            .unwrap();
        line.split_whitespace().nth(5).unwrap()[..2].to_owned()
    };
    assert_eq!(timer(), "00");
    world.call(&agent, set(id, SocketOption::KeepAlive, 1)).await.unwrap();
    assert_eq!(timer(), "02");

    // An address that a connection was at until just now.
    let (door, port) = bound(&world, &agent, SocketKind::Tcp).await;
    world.call(&agent, v1::Listen { id: door, backlog: 0 }).await.unwrap();
    let mut visitor = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let taken = world.call(&agent, accept(door)).await.unwrap().id;
    for id in [taken, door] {
        world.call(&agent, v1::Close { id }).await.unwrap();
    }
    assert_eq!(visitor.read(&mut [0]).unwrap(), 0);
    drop(visitor);
    let strict = socket(&world, &agent, SocketKind::Tcp).await;
    world.call(&agent, set(strict, SocketOption::ReuseAddress, 0)).await.unwrap();
    assert_eq!(
        world.errno(&agent, v1::Bind { id: strict, address: at("127.0.0.1", port) }).await,
        Errno::EADDRINUSE
    );
    world.call(&agent, set(strict, SocketOption::ReuseAddress, 1)).await.unwrap();
    world.call(&agent, v1::Bind { id: strict, address: at("127.0.0.1", port) }).await.unwrap();

    let pair = world.call(&agent, v1::SocketPair { kind: 0 }).await.unwrap().id;
    for (id, option, value, errno) in [
        (strict, SocketOption::Ttl, 0, Errno::EINVAL),
        (strict, SocketOption::Ttl, 256, Errno::EINVAL),
        (strict, SocketOption::NoDelay, 2, Errno::EINVAL),
        (strict, SocketOption::SendBufferBytes, 4_095, Errno::EINVAL),
        (strict, SocketOption::SendBufferBytes, (4 << 20) + 1, Errno::EINVAL),
        (strict, SocketOption::Broadcast, 1, Errno::ENOPROTOOPT),
        (strict, SocketOption::Unspecified, 1, Errno::EINVAL),
        (pair, SocketOption::ReceiveBufferBytes, 8_192, Errno::ENOPROTOOPT),
        (pair, SocketOption::Ttl, 9, Errno::ENOPROTOOPT),
    ] {
        assert_eq!(world.errno(&agent, set(id, option, value)).await, errno, "{option:?} {value}");
    }
    assert_eq!(world.call(&agent, get(pair, SocketOption::SendBufferBytes)).await.unwrap().value, 208 << 10);
    assert_eq!(world.call(&agent, get(strict, SocketOption::Ttl)).await.unwrap().value, 64);
}

#[tokio::test]
async fn sockets_take_room_and_give_it_back() {
    let one = 2 * (208 << 10);
    let limits = Limits { socket_bytes_per_process: 2 * one, handles_per_process: 4, ..Limits::default() };
    let world = World::with(limits, LinuxSpawner::new().unwrap());
    let agent = world.agent(&[LOCAL, &["ipc.create"]].concat()).await;
    let fresh = socket(&world, &agent, SocketKind::Tcp).await;
    assert_eq!(world.kernel.in_use().socket_bytes, 0, "the host keeps nothing for it yet");
    let (first, _) = bound(&world, &agent, SocketKind::Tcp).await;
    let (second, _) = bound(&world, &agent, SocketKind::Udp).await;
    let limit = |used| Some(Cause::Limit { name: "socket_bytes_per_process", used, max: 2 * one });
    let full = world.call(&agent, v1::Bind { id: fresh, address: at("127.0.0.1", 0) }).await.unwrap_err();
    assert_eq!((full.errno, full.cause.as_deref()), (Errno::EDQUOT, limit(2 * one).as_ref()));
    let more = world.call(&agent, set(second, SocketOption::SendBufferBytes, 1 << 20)).await.unwrap_err();
    assert_eq!(more.errno, Errno::EDQUOT);
    assert_eq!(world.errno(&agent, v1::SocketPair { kind: 0 }).await, Errno::EDQUOT);
    world.call(&agent, v1::Close { id: second }).await.unwrap();
    // A pair takes two handles; with one too few it takes none, and no room.
    world.call(&agent, v1::Dup { id: first }).await.unwrap();
    assert_eq!(world.errno(&agent, v1::SocketPair { kind: 0 }).await, Errno::EMFILE);
    assert_eq!((world.kernel.in_use().handles, world.kernel.in_use().socket_bytes), (3, one));

    // Whoever has no room for another takes nobody in, and leaves them waiting.
    world.call(&agent, v1::Listen { id: first, backlog: 0 }).await.unwrap();
    let last = socket(&world, &agent, SocketKind::Tcp).await;
    assert_eq!(world.errno(&agent, v1::Accept { id: first, timeout_us: None }).await, Errno::EMFILE);
    world.call(&agent, v1::Close { id: last }).await.unwrap();
    assert!(give_up(world.call(&agent, accept(first))).await.is_none());
    assert_eq!(world.kernel.in_use().socket_bytes, one);

    // A connection that fails costs nothing.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert_eq!(world.errno(&agent, connect(fresh, at("127.0.0.1", nobody))).await, Errno::ECONNREFUSED);
    assert_eq!(world.kernel.in_use().socket_bytes, one);
    within(world.kernel.shut_down()).await;
    assert_eq!(world.kernel.in_use(), InUse { processes: 1, ..InUse::default() });
}

#[tokio::test]
async fn nonsense_is_refused_and_changes_nothing() {
    let world = World::start();
    let agent = world.agent(LOCAL).await;
    let id = socket(&world, &agent, SocketKind::Tcp).await;
    let long = format!("/{}", "x".repeat(108));
    let address =
        |host: &str, port, name: &str| Some(v1::SocketAddress { host: host.into(), port, name: name.into() });
    for nonsense in [
        None,
        address("127.0.0.1", 65_536, ""),
        address("127.0.0.1", u32::MAX, ""),
        address("a b", 1, ""),
        address("127.0.0.1:80", 1, ""),
        address("http://127.0.0.1", 1, ""),
        address("127.0.0.1\0", 1, ""),
        address("127.0.0.1", 1, "/x"),
        address("", 0, "x"),
        address("", 0, "/x/../y"),
        address("", 0, "/x//y"),
        address("", 0, "/x/"),
        address("", 0, "/"),
        address("", 0, "/x\0"),
        address("", 0, &long),
    ] {
        assert_eq!(
            world.errno(&agent, v1::Bind { id, address: nonsense.clone() }).await,
            Errno::EINVAL,
            "{nonsense:?}"
        );
        assert_eq!(world.errno(&agent, connect(id, nonsense.clone())).await, Errno::EINVAL, "{nonsense:?}");
    }
    assert_eq!(world.errno(&agent, v1::Socket { kind: 99 }).await, Errno::EINVAL);
    assert_eq!(world.errno(&agent, v1::Bind { id, address: under("/x") }).await, Errno::EAFNOSUPPORT);
    assert_eq!(world.errno(&agent, v1::Listen { id, backlog: 0 }).await, Errno::EINVAL);
    assert_eq!(world.errno(&agent, accept(id)).await, Errno::EINVAL);
    assert_eq!(world.errno(&agent, send(id, "x")).await, Errno::ENOTCONN);
    assert_eq!(world.errno(&agent, receive(id)).await, Errno::ENOTCONN);
    assert_eq!(world.errno(&agent, v1::Shutdown { id, direction: 0 }).await, Errno::ENOTCONN);
    assert_eq!(world.errno(&agent, v1::Shutdown { id, direction: 9 }).await, Errno::EINVAL);
    assert_eq!(world.errno(&agent, receive_from(id)).await, Errno::ENOTSUP);
    assert_eq!(world.errno(&agent, send_to(id, at("127.0.0.1", 1), "x")).await, Errno::ENOTSUP);
    let unix = socket(&world, &agent, SocketKind::UnixStream).await;
    assert_eq!(world.errno(&agent, connect(unix, at("127.0.0.1", 1))).await, Errno::EAFNOSUPPORT);
    let mail = socket(&world, &agent, SocketKind::Udp).await;
    assert_eq!(world.errno(&agent, v1::Listen { id: mail, backlog: 0 }).await, Errno::ENOTSUP);
    // Of other kinds, gone, and never there.
    let init = world.kernel.init();
    let pipe = world.call(&init, v1::CreatePipe::default()).await.unwrap().id;
    assert_eq!(world.errno(&init, receive(pipe)).await, Errno::EBADF);
    assert_eq!(world.errno(&init, receive(id)).await, Errno::EBADF);
    assert_eq!(world.errno(&init, connect(id, at("127.0.0.1", 1))).await, Errno::EBADF);
    assert_eq!(world.errno(&agent, receive(u64::MAX)).await, Errno::EBADF);
    // After all of this it is as good as new.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = || at("127.0.0.1", listener.local_addr().unwrap().port());
    world.call(&agent, connect(id, to())).await.unwrap();
    assert_eq!(world.errno(&agent, connect(id, to())).await, Errno::EISCONN);
    assert_eq!(world.errno(&agent, v1::Bind { id, address: at("127.0.0.1", 0) }).await, Errno::EISCONN);
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

#[tokio::test]
async fn names_are_looked_up_for_who_may() {
    let names = Names::new(&[("a.example", &[&["8.8.8.8", "::1"]]), ("fire.example", &[])]);
    let world = world_with(Limits::default(), &names, &Routes::default());
    let agent = world.agent(&["net.resolve:*.example"]).await;
    let resolve = |name: &str| v1::Resolve { name: name.into(), timeout_us: None };
    assert_eq!(world.call(&agent, resolve("A.example.")).await.unwrap().addresses, ["8.8.8.8", "::1"]);
    assert_eq!(world.errno(&agent, resolve("b.example")).await, Errno::ENOENT);
    assert_eq!(world.errno(&agent, resolve("fire.example")).await, Errno::EAGAIN);
    let refused = world.call(&agent, resolve("a.org")).await.unwrap_err();
    assert_eq!((refused.errno, &*refused.hint), (Errno::EACCES, "grant `net.resolve:a.org`"));
    for name in ["", "1.2.3.4", "[::1]", "a b", "*.example"] {
        assert_eq!(world.errno(&agent, resolve(name)).await, Errno::EINVAL, "{name}");
    }
    assert_eq!(names.asked(), ["a.example", "b.example", "fire.example"]);
}
