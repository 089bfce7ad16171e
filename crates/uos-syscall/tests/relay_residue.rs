//! Connections that programs were handed leave no descriptors behind.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::{
    io::Read,
    net::{TcpListener, TcpStream},
};

use common::{
    World,
    network::{at, socket},
    settled, shell, until, wait, within,
};
use uos_proto::v1::{self, SocketKind, SpawnHandle};
use uos_syscall::{Caller, InUse};

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// One program that writes into a connection and ends, or is ended; what came of it.
async fn round(world: &World, who: &Caller, listener: &TcpListener, nth: usize) -> String {
    let id = socket(world, who, SocketKind::Tcp).await;
    let address = at("127.0.0.1", listener.local_addr().unwrap().port());
    world.call(who, v1::Connect { id, address, timeout_us: None }).await.unwrap();
    let mut there: TcpStream = listener.accept().unwrap().0;
    let script = if nth.is_multiple_of(2) { "echo hello >&3" } else { "echo hello >&3; exec sleep 1000" };
    let handles = vec![SpawnHandle { id, fd: 3 }];
    let pid = world.call(who, v1::SpawnProcess { handles, ..shell(script) }).await.unwrap().pid;
    world.call(who, v1::Close { id }).await.unwrap();
    let mut heard = [0; 6];
    let mut there = within(tokio::task::spawn_blocking(move || {
        there.read_exact(&mut heard).unwrap();
        (there, heard)
    }))
    .await
    .unwrap();
    if !nth.is_multiple_of(2) {
        world.call(who, v1::KillProcess { pid, tree: true }).await.unwrap();
    }
    wait(world, who, pid).await;
    within(tokio::task::spawn_blocking(move || {
        assert_eq!(there.0.read(&mut [0; 1]).unwrap(), 0, "it ends with its program");
        String::from_utf8(there.1.to_vec()).unwrap()
    }))
    .await
    .unwrap()
}

// Alone in its file, because other tests beside it would have descriptors of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_connections_in_programs_leave_no_descriptor_behind() {
    let world = World::start();
    let agent = world.agent(&["net.connect:127.0.0.1", "proc.spawn:/**", "fs.read:/**"]).await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // What the spawner keeps for good it makes when many live at once.
    let mut first = Vec::new();
    for _ in 0..16 {
        first.push(world.call(&agent, shell("exec sleep 1000")).await.unwrap().pid);
    }
    for pid in first {
        world.call(&agent, v1::KillProcess { pid, tree: true }).await.unwrap();
        wait(&world, &agent, pid).await;
    }
    round(&world, &agent, &listener, 0).await;
    settled(descriptors).await;
    let before = descriptors();
    for nth in 0..200 {
        assert_eq!(round(&world, &agent, &listener, nth).await, "hello\n");
    }
    until("all descriptors are back", || descriptors() <= before).await;
    until("and all room", || {
        let InUse { socket_bytes, processes, handles, .. } = world.kernel.in_use();
        (socket_bytes, processes, handles) == (0, 2, 0)
    })
    .await;
    world.kernel.shut_down().await;
}
