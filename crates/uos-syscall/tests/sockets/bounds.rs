//! Options, room, and nonsense.

use std::{
    io::Read,
    net::{TcpListener, TcpStream, UdpSocket},
    time::Duration,
};

use uos_proc::LinuxSpawner;
use uos_proto::v1::{self, SocketKind, SocketOption};
use uos_syscall::{Cause, Errno, InUse, Limits};

use super::{LOCAL, accept, connect, connected, receive, receive_from, send, send_to, set};
use crate::common::{
    World, give_up,
    network::{at, bound, nobody, socket, under},
    within,
};

#[tokio::test]
async fn options_do_what_they_say() {
    let world = World::start();
    let agent = world.agent(&[LOCAL, &["net.connect:255.255.255.255", "ipc.create"]].concat()).await;
    let get = |id, option: SocketOption| v1::GetSocketOption { id, option: option.into() };

    // How much waits to be received.
    let (there, witness) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    witness.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut fitted = Vec::new();
    for bytes in [4 << 10, 1 << 20] {
        let (id, port) = bound(&world, &agent, SocketKind::Udp).await;
        world.call(&agent, set(id, SocketOption::ReceiveBufferBytes, bytes)).await.unwrap();
        for _ in 0..200 {
            there.send_to(&[0; 1_000], ("127.0.0.1", port)).unwrap();
            // A busy host delivers later than it takes in, but in order: with this one, that one has come or is lost.
            there.send_to(&[0], witness.local_addr().unwrap()).unwrap();
            witness.recv(&mut [0]).unwrap();
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
        // By both addresses: others may be at the same port, as a connection that has ended and waits its time.
        let [mine, theirs] =
            [there.peer_addr(), there.local_addr()].map(|at| format!(":{:04X}", at.unwrap().port()));
        // A table that changes while it is read may be told with gaps.
        (0..100)
            .find_map(|_| {
                let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
                let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
                let mut here = fields.filter(|of| of[1].ends_with(&mine) && of[2].ends_with(&theirs));
                here.next().map(|of| of[5][..2].to_owned())
            })
            .unwrap()
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
    let nobody = nobody();
    let there = at("127.0.0.1", nobody.local_addr().unwrap().port());
    assert_eq!(world.errno(&agent, connect(fresh, there)).await, Errno::ECONNREFUSED);
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
