//! Attacks on whatever can be reached by a socket.

use std::mem::size_of;

use crate::Attack;
use crate::sys::{Answer, Verdict, at, call, close, sleep_for_ever};

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    // Row 41. Arguments: PORT.
    ("connect-tcp", |args| connect_internet(libc::SOCK_STREAM, args).into()),
    // Row 42.
    ("send-udp", |args| connect_internet(libc::SOCK_DGRAM, args).into()),
    ("ping", |_| send(socket(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP)).into()),
    ("raw-socket", |_| socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP).into()),
    ("packet-socket", |_| socket(libc::AF_PACKET, libc::SOCK_RAW, 0).into()),
    ("netlink-socket", |_| socket(libc::AF_NETLINK, libc::SOCK_RAW, 0).into()),
    ("vsock-socket", |_| socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0).into()),
    ("alg-socket", |_| socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0).into()),
    ("bluetooth-socket", |_| socket(libc::AF_BLUETOOTH, libc::SOCK_RAW, 1).into()),
    // Row 43. Arguments: NAME.
    ("connect-abstract", |args| connect_local(format!("\0{}", args[0]).as_bytes()).into()),
    ("listen-abstract", listen_abstract),
    // Row 44. Arguments: PATH.
    ("connect-local", |args| connect_local(args[0].as_bytes()).into()),
];

fn socket(family: i32, kind: i32, protocol: i32) -> Answer {
    call(libc::SYS_socket, &[family, kind, protocol].map(|number| number.cast_unsigned() as usize))
}

/// To the host's loopback, port by argument. A byte is sent, so that a datagram leaves, too.
fn connect_internet(kind: i32, args: &[String]) -> Answer {
    let port: u16 = args[0].parse().expect("a port");
    let fd = socket(libc::AF_INET, kind, 0)?;
    let mut address = [0u8; 16];
    address[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    address[2..4].copy_from_slice(&port.to_be_bytes());
    address[4..8].copy_from_slice(&[127, 0, 0, 1]);
    call(libc::SYS_connect, &[fd, at(&address), address.len()])?;
    let sent = call(libc::SYS_sendto, &[fd, at(b"x"), 1, 0, 0, 0]);
    close(fd);
    sent
}

/// Sends an echo request to the loopback.
fn send(socket: Answer) -> Answer {
    let fd = socket?;
    let request = [8u8, 0, 0, 0, 0, 0, 0, 1];
    let mut address = [0u8; 16];
    address[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    address[4..8].copy_from_slice(&[127, 0, 0, 1]);
    call(libc::SYS_sendto, &[fd, at(&request), request.len(), 0, at(&address), address.len()])
}

fn local_address(name: &[u8]) -> (Vec<u8>, usize) {
    let mut address = (libc::AF_UNIX as u16).to_ne_bytes().to_vec();
    address.extend(name);
    let is_abstract = name.first() == Some(&0);
    let len = address.len() + usize::from(!is_abstract);
    address.resize(size_of::<libc::sockaddr_un>(), 0);
    (address, len)
}

fn connect_local(name: &[u8]) -> Answer {
    let fd = socket(libc::AF_UNIX, libc::SOCK_STREAM, 0)?;
    let (address, len) = local_address(name);
    let answer = call(libc::SYS_connect, &[fd, at(&address[..]), len]);
    close(fd);
    answer
}

/// Not an attack by itself: the sibling that another sandbox tries to meet. Says `did it` and stays.
fn listen_abstract(args: &[String]) -> Verdict {
    let listen = || {
        let fd = socket(libc::AF_UNIX, libc::SOCK_STREAM, 0)?;
        let (address, len) = local_address(format!("\0{}", args[0]).as_bytes());
        call(libc::SYS_bind, &[fd, at(&address[..]), len])?;
        call(libc::SYS_listen, &[fd, 8])
    };
    let verdict = Verdict::from(listen());
    if verdict == Verdict::Did {
        println!("{verdict}");
        sleep_for_ever();
    }
    verdict
}
