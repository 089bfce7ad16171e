//! Sockets, seen from their other side: by the host's own, and by other processes.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod bounds;
#[path = "../common/mod.rs"]
mod common;
mod hosts;
mod rights;
mod waiting;
mod within_system;

use std::net::{TcpListener, TcpStream};

use common::{
    World,
    network::{at, socket, under},
};
use uos_proto::v1::{self, SocketKind, SocketOption};
use uos_syscall::Caller;

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
