//! Sockets between processes, by names and in pairs.

use uos_proto::v1::{self, SocketKind};
use uos_syscall::Errno;

use super::{accept, connect, receive, receive_from, send, send_to};
use crate::common::{
    World,
    network::{socket, under},
};

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
