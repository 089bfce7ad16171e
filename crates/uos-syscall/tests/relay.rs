//! Connections in the hands of real programs.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    time::Duration,
};

use common::{
    World,
    network::{at, socket},
    output, program, texts, until, wait, within,
};
use uos_proto::v1::{self, HandleRight, SandboxLevel, SocketKind, SpawnHandle};
use uos_syscall::{Caller, Cause, Errno, Limits};

const GRANTS: &[&str] = &["net.connect:127.0.0.1", "proc.spawn:/**", "fs.read:/**", "ipc.create"];
const LEVELS: [SandboxLevel; 2] = [SandboxLevel::Privileged, SandboxLevel::Standard];

/// A script in Python with a connection as descriptor 3, which is `s` to it.
fn python(script: &str, level: SandboxLevel, id: u64) -> v1::SpawnProcess {
    let script = format!("import os, socket, sys\ns = socket.socket(fileno=3)\n{script}");
    v1::SpawnProcess {
        handles: vec![SpawnHandle { id, fd: 3 }],
        level: level.into(),
        env: texts(&["PATH=/usr/bin:/bin"]),
        ..program("/usr/bin/python3", &["-c", &script])
    }
}

/// A connection of somebody's to a listener of the host's own.
async fn connected(world: &World, who: &Caller) -> (u64, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let id = socket(world, who, SocketKind::Tcp).await;
    let address = at("127.0.0.1", listener.local_addr().unwrap().port());
    world.call(who, v1::Connect { id, address, timeout_us: None }).await.unwrap();
    let there = listener.accept().unwrap().0;
    there.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    there.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
    (id, there)
}

/// Hands a connection over, and lets go of it.
async fn given(world: &World, who: &Caller, spawn: v1::SpawnProcess) -> u64 {
    let id = spawn.handles[0].id;
    let pid = world.call(who, spawn).await.unwrap().pid;
    world.call(who, v1::Close { id }).await.unwrap();
    pid
}

/// On a thread of its own, so that what moves the bytes goes on.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    within(tokio::task::spawn_blocking(work)).await.unwrap()
}

fn all(mut there: TcpStream) -> String {
    let mut heard = String::new();
    there.read_to_string(&mut heard).unwrap();
    heard
}

#[tokio::test]
async fn a_program_talks_to_a_server_and_each_way_ends_by_itself() {
    let world = World::start();
    let agent = world.agent(GRANTS).await;
    for level in LEVELS {
        let (id, mut there) = connected(&world, &agent).await;
        // It is done sending, hears the rest, and says so where it still can.
        let script = "s.sendall(b'question\\n'); s.shutdown(socket.SHUT_WR)\n\
                      print(b''.join(iter(lambda: s.recv(100), b'')).decode())";
        let pid = given(&world, &agent, python(script, level, id)).await;
        apart(move || {
            let mut heard = String::new();
            there.read_to_string(&mut heard).unwrap();
            assert_eq!(heard, "question\n", "and then the end, while the other way is open");
            there.write_all(b"answer").unwrap();
        })
        .await;
        assert_eq!(output(&world, &agent, pid).await, b"answer\n", "at {level:?}");

        // The other side is done first.
        let (id, mut there) = connected(&world, &agent).await;
        let script = "n = len(b''.join(iter(lambda: s.recv(100), b'')))\ns.sendall(b'%d' % n)";
        let pid = given(&world, &agent, python(script, level, id)).await;
        let heard = apart(move || {
            there.write_all(b"12345").unwrap();
            there.shutdown(Shutdown::Write).unwrap();
            all(there)
        });
        assert_eq!(heard.await, "5", "at {level:?}");
        assert_eq!(wait(&world, &agent, pid).await.code, 0);
    }
    world.kernel.shut_down().await;
    assert_eq!(world.kernel.in_use().socket_bytes, 0);
}

#[tokio::test]
async fn much_goes_through_whole_however_slowly_it_is_taken() {
    const MUCH: usize = 8 << 20;
    let world = World::start();
    let agent = world.agent(GRANTS).await;
    let (id, mut there) = connected(&world, &agent).await;
    let script = "import hashlib, threading\n\
                  data = bytes(i * 7 % 251 for i in range(1 << 16)) * 128\n\
                  sender = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))\n\
                  sender.start()\n\
                  came = b''.join(iter(lambda: s.recv(1000), b''))\n\
                  sender.join()\n\
                  print(len(came), came == data)";
    let pid = given(&world, &agent, python(script, SandboxLevel::Privileged, id)).await;
    apart(move || {
        // Nothing is taken before all that the way holds is sent: then it is sent back as it comes.
        let mut back = there.try_clone().unwrap();
        let echo = std::thread::spawn(move || {
            let (mut total, mut part) = (0, vec![0; 40_000]);
            loop {
                let read = there.read(&mut part).unwrap();
                if read == 0 {
                    break;
                }
                total += read;
                back.write_all(&part[..read]).unwrap();
            }
            back.shutdown(Shutdown::Write).unwrap();
            total
        });
        assert_eq!(echo.join().unwrap(), MUCH);
    })
    .await;
    assert_eq!(output(&world, &agent, pid).await, format!("{MUCH} True\n").into_bytes());

    // Who takes nothing holds up who sends: no more is taken in than the buffers on the way hold.
    let (id, there) = connected(&world, &agent).await;
    let script = "s.setblocking(False)\nn = 0\nimport time, select\n\
                  while select.select([], [s], [], 1)[1]:\n  n += s.send(bytes(65536))\n\
                  print(n)";
    let pid = given(&world, &agent, python(script, SandboxLevel::Privileged, id)).await;
    let sent: usize = String::from_utf8(output(&world, &agent, pid).await).unwrap().trim().parse().unwrap();
    assert!((1..32 << 20).contains(&sent), "{sent}");
    // And what was taken in arrives, though its sender has ended by now.
    wait(&world, &agent, pid).await;
    assert_eq!(apart(move || all(there).len()).await, sent);
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn it_can_not_be_connected_elsewhere() {
    let world = World::start();
    let agent = world.agent(GRANTS).await;
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let port = elsewhere.local_addr().unwrap().port();
    for level in LEVELS {
        let (id, there) = connected(&world, &agent).await;
        // By its number, as whatever family; disconnected before, and not. And as a socket of the network by its options.
        let script = format!(
            "import ctypes, struct\n\
             libc = ctypes.CDLL(None, use_errno=True)\n\
             inet = struct.pack('=H', 2) + struct.pack('>H', {port}) + bytes([127, 0, 0, 1]) + bytes(8)\n\
             for address in (inet, bytes(16), inet, struct.pack('=H', 1) + b'\\0nobody'):\n\
             \x20 got = libc.connect(3, address, len(address))\n\
             \x20 print(got, ctypes.get_errno() in (22, 106, 111, 1, 13, 97))\n\
             print(libc.sendto(3, b'x', 1, 0, inet, 16) < 0, s.family == socket.AF_UNIX)\n\
             s.sendall(b'here')"
        );
        let pid = given(&world, &agent, python(&script, level, id)).await;
        assert_eq!(apart(move || all(there)).await, "here", "it leads where it led");
        let said = String::from_utf8(output(&world, &agent, pid).await).unwrap();
        assert_eq!(said, "-1 True\n-1 True\n-1 True\n-1 True\nTrue True\n", "at {level:?}");
    }
    assert!(elsewhere.accept().is_err(), "nobody came");
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn a_right_that_is_revoked_stops_it_at_once() {
    let world = World::start();
    let agent = world.agent(GRANTS).await;
    let (id, mut there) = connected(&world, &agent).await;
    let script = "s.sendall(b'first')\nprint(s.recv(100))\nsys.stdout.flush()\n\
                  try:\n  print(s.recv(100))\n\
                  except OSError: print('reset')\n\
                  try:\n  s.sendall(b'second')\n  s.sendall(b'third')\n\
                  except OSError: print('refused')";
    // The maker keeps its own.
    let pid = world.call(&agent, python(script, SandboxLevel::Standard, id)).await.unwrap().pid;
    let mut there = apart(move || {
        let mut heard = [0; 5];
        there.read_exact(&mut heard).unwrap();
        there.write_all(b"welcome").unwrap();
        there
    })
    .await;
    let heard = world.call(&agent, v1::ReadOutput { pid, ..Default::default() }).await.unwrap().data;
    assert_eq!(&heard[..], b"b'welcome'\n");
    // Another right, and it goes on waiting; this one, and it is told so while nothing else happens.
    world.set_grants(&agent, &["net.connect:127.0.0.1", "proc.spawn:/**"]);
    world.set_grants(&agent, &["proc.spawn:/**"]);
    let said = String::from_utf8(output(&world, &agent, pid).await).unwrap();
    assert!(said == "b'welcome'\nb''\nrefused\n" || said == "b'welcome'\nreset\nrefused\n", "{said}");
    world.call(&agent, v1::Close { id }).await.unwrap();
    let rest = apart(move || {
        let mut rest = Vec::new();
        let _ = there.read_to_end(&mut rest);
        rest
    });
    assert_eq!(rest.await, b"", "nothing came through afterwards");
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn what_others_hold_goes_on_when_the_program_lets_go() {
    let world = World::start();
    let agent = world.agent(GRANTS).await;
    let (id, mut there) = connected(&world, &agent).await;
    let pid =
        world.call(&agent, python("s.sendall(b'mine ')", SandboxLevel::Privileged, id)).await.unwrap().pid;
    wait(&world, &agent, pid).await;
    until("the pair is given back", || {
        world.kernel.in_use().socket_bytes == 2 * uos_ipc::SOCKET_BYTES as u64
    })
    .await;
    world.call(&agent, v1::Send { id, data: "and mine".into(), timeout_us: None }).await.unwrap();
    there.write_all(b"to you").unwrap();
    let came = world.call(&agent, v1::Receive { id, ..Default::default() }).await.unwrap();
    assert_eq!(&came.data[..], b"to you");
    world.call(&agent, v1::Close { id }).await.unwrap();
    assert_eq!(apart(move || all(there)).await, "mine and mine");

    // One that does not let go of it by itself does so by ending, also while nothing goes either way.
    let (id, there) = connected(&world, &agent).await;
    let pid = given(&world, &agent, python("s.recv(1)", SandboxLevel::Standard, id)).await;
    world.call(&agent, v1::KillProcess { pid, tree: true }).await.unwrap();
    assert_eq!(apart(move || all(there)).await, "");
    until("its room is given back", || world.kernel.in_use().socket_bytes == 0).await;
    // One that only goes on to write ends what it has of it by closing.
    let (id, there) = connected(&world, &agent).await;
    let script = "s.shutdown(socket.SHUT_WR); s.close(); print('closed'); sys.stdout.flush(); os.execlp('sleep', 'sleep', '1000')";
    let pid = given(&world, &agent, python(script, SandboxLevel::Privileged, id)).await;
    assert_eq!(apart(move || all(there)).await, "");
    until("its room is given back while it lives", || world.kernel.in_use().socket_bytes == 0).await;
    world.call(&agent, v1::KillProcess { pid, tree: true }).await.unwrap();
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn a_handle_that_only_reads_or_writes_hands_on_no_more() {
    let world = World::start();
    let agent = world.agent(GRANTS).await;
    for (right, script, seen, heard) in [
        (
            HandleRight::Read,
            "print(s.recv(9))\ntry:\n  s.sendall(b'x')\nexcept BrokenPipeError: print('refused')",
            "b'given'\nrefused\n",
            "",
        ),
        (HandleRight::Write, "print(s.recv(9))\ns.sendall(b'sent')", "b''\n", "sent"),
    ] {
        let (id, mut there) = connected(&world, &agent).await;
        let rights = vec![right.into(), HandleRight::Transfer.into()];
        world.call(&agent, v1::RestrictHandle { id, rights }).await.unwrap();
        there.write_all(b"given").unwrap();
        let pid = given(&world, &agent, python(script, SandboxLevel::Privileged, id)).await;
        assert_eq!(String::from_utf8(output(&world, &agent, pid).await).unwrap(), seen);
        let told = apart(move || {
            let mut told = Vec::new();
            // What was given and not read is lost with the connection, and that is told.
            let _ = there.read_to_end(&mut told);
            told
        });
        assert_eq!(told.await, heard.as_bytes());
    }
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn streams_within_the_system_are_handed_over_and_all_else_is_refused() {
    let world = World::start();
    let agent = world.agent(GRANTS).await;
    let pair = v1::SocketPair { kind: SocketKind::UnixStream.into() };
    let pair = world.call(&agent, pair).await.unwrap();
    let script = "while (part := s.recv(100)): s.sendall(part.upper())\nprint('end')";
    let pid = given(&world, &agent, python(script, SandboxLevel::Standard, pair.id)).await;
    let id = pair.peer_id;
    for word in ["one", "two"] {
        world.call(&agent, v1::Send { id, data: word.into(), timeout_us: None }).await.unwrap();
        let came = world.call(&agent, v1::Receive { id, ..Default::default() }).await.unwrap();
        assert_eq!(came.data, word.to_uppercase());
    }
    let direction = v1::Direction::Send.into();
    world.call(&agent, v1::Shutdown { id, direction }).await.unwrap();
    assert_eq!(output(&world, &agent, pid).await, b"end\n");
    assert!(world.call(&agent, v1::Receive { id, ..Default::default() }).await.unwrap().end);

    wait(&world, &agent, pid).await;
    until("nothing is left of it", || world.kernel.in_use().environment_bytes == 0).await;

    let bind = world.agent(&[GRANTS, &["net.bind:127.0.0.1"]].concat()).await;
    let mut refused = Vec::new();
    for kind in [SocketKind::Tcp, SocketKind::Udp, SocketKind::UnixStream] {
        refused.push((socket(&world, &bind, kind).await, Errno::ENOTCONN));
    }
    let udp = socket(&world, &bind, SocketKind::Udp).await;
    world.call(&bind, v1::Bind { id: udp, address: at("127.0.0.1", 0) }).await.unwrap();
    let listening = socket(&world, &bind, SocketKind::Tcp).await;
    world.call(&bind, v1::Bind { id: listening, address: at("127.0.0.1", 0) }).await.unwrap();
    world.call(&bind, v1::Listen { id: listening, backlog: 0 }).await.unwrap();
    let packets = v1::SocketPair { kind: SocketKind::UnixSeqpacket.into() };
    let packets = world.call(&bind, packets).await.unwrap();
    refused.extend([(udp, Errno::ENOTSUP), (listening, Errno::ENOTCONN), (packets.id, Errno::ENOTSUP)]);
    let before = world.kernel.in_use();
    for (id, errno) in refused {
        assert_eq!(world.errno(&bind, python("", SandboxLevel::Privileged, id)).await, errno);
        assert_eq!(world.kernel.in_use(), before, "and nothing is started");
    }
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn it_takes_room_of_the_programs_and_a_right_that_holds() {
    let pair = 2 * uos_ipc::SOCKET_BYTES as u64;
    let limits = Limits { socket_bytes_per_process: pair, ..Limits::default() };
    let world = World::with(limits, uos_proc::LinuxSpawner::new().unwrap());
    let agent = world.agent(GRANTS).await;
    // The maker's is used up by the socket; the program has its own, for one.
    let (id, there) = connected(&world, &agent).await;
    let mut twice = python("", SandboxLevel::Privileged, id);
    twice.handles.push(SpawnHandle { id, fd: 4 });
    let refused = world.call(&agent, twice).await.unwrap_err();
    let name = "socket_bytes_per_process";
    assert_eq!(refused.errno, Errno::EDQUOT);
    assert!(matches!(refused.cause.as_deref(), Some(Cause::Limit { name: it, .. }) if *it == name));
    assert_eq!(world.kernel.in_use().socket_bytes, pair);

    let pid = world.call(&agent, python("s.recv(1)", SandboxLevel::Privileged, id)).await.unwrap().pid;
    assert_eq!(world.kernel.in_use().socket_bytes, 2 * pair);
    drop(there);
    wait(&world, &agent, pid).await;
    until("it is given back", || world.kernel.in_use().socket_bytes == pair).await;
    world.set_grants(&agent, &["proc.spawn:/**"]);
    let refused = world.call(&agent, python("", SandboxLevel::Privileged, id)).await.unwrap_err();
    assert!(
        matches!(refused.cause.as_deref(), Some(Cause::Right(it)) if it.starts_with("net.connect:127.0.0.1"))
    );
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn a_right_that_is_revoked_stops_a_stream_that_is_never_idle() {
    const MUCH: usize = 512 << 20;
    let world = World::start();
    let agent = world.agent(GRANTS).await;
    let (id, mut there) = connected(&world, &agent).await;
    let script = "os.set_blocking(3, True)\nwhile True: os.write(3, bytes(1 << 20))";
    let (begun, flows) = tokio::sync::oneshot::channel();
    let reader = tokio::task::spawn_blocking(move || {
        let (mut total, mut part, mut begun) = (0, vec![0; 1 << 20], Some(begun));
        while total < MUCH {
            match there.read(&mut part) {
                Ok(0) | Err(_) => break,
                Ok(read) => total += read,
            }
            if total > 1 << 20 {
                begun.take().map(|begun| begun.send(()));
            }
        }
        total
    });
    let pid = given(&world, &agent, python(script, SandboxLevel::Privileged, id)).await;
    within(flows).await.unwrap();
    // All on one thread: who would not let others come to it would send on until nobody takes it.
    world.set_grants(&agent, &["proc.spawn:/**"]);
    assert!(within(reader).await.unwrap() < MUCH);
    wait(&world, &agent, pid).await;
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn what_a_program_did_not_read_is_an_end_for_others_and_no_gap() {
    let world = World::start();
    let agent = world.agent(GRANTS).await;
    for done_sending in ["", "s.shutdown(socket.SHUT_WR)"] {
        let (id, mut there) = connected(&world, &agent).await;
        there.write_all(&[b'x'; 100_000]).unwrap();
        let script = format!("{done_sending}\ns.recv(1)");
        let spawn = python(&script, SandboxLevel::Privileged, id);
        let pid = world.call(&agent, spawn).await.unwrap().pid;
        wait(&world, &agent, pid).await;
        until("the pair is given back", || {
            world.kernel.in_use().socket_bytes == 2 * uos_ipc::SOCKET_BYTES as u64
        })
        .await;
        there.write_all(b"later").unwrap();
        let came = world.call(&agent, v1::Receive { id, ..Default::default() }).await.unwrap();
        assert!(came.end, "{} bytes from after the gap", came.data.len());
        world.call(&agent, v1::Close { id }).await.unwrap();
    }
    world.kernel.shut_down().await;
}
