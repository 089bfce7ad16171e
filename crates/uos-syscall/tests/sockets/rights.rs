//! Who may reach whom, and until when.

use std::{
    io::Read,
    net::{TcpListener, TcpStream},
};

use uos_proto::v1::{self, SocketKind};
use uos_syscall::{Caller, Cause, Errno, Error, Limits};

use super::{LOCAL, accept, connect, receive, send, send_to};
use crate::common::{
    World,
    network::{Names, Routes, at, bound, socket, under, world, world_with},
};

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
