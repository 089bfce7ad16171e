//! Shared memory between processes.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use common::World;
use uos_proc::LinuxSpawner;
use uos_proto::v1::{self, HandleRight};
use uos_syscall::{Caller, Cause, Errno, Limits};

const MAKER: &[&str] = &["ipc.create", "proc.spawn:/**"];

async fn make(world: &World, who: &Caller, size_bytes: u64) -> u64 {
    world.call(who, v1::CreateShm { size_bytes }).await.unwrap().id
}

fn write(id: u64, offset: u64, data: &'static str) -> v1::WriteShm {
    v1::WriteShm { id, offset, data: data.into() }
}

async fn read(world: &World, who: &Caller, id: u64, offset: u64, length: u64) -> Vec<u8> {
    world.call(who, v1::ReadShm { id, offset, length }).await.unwrap().data.to_vec()
}

async fn pass(world: &World, from: &Caller, to: &Caller, id: u64, rights: &[HandleRight]) {
    let rights = rights.iter().map(|right| *right as i32).collect();
    world.call(from, v1::PassHandle { pid: to.pid().0, id, rights }).await.unwrap();
}

#[tokio::test]
async fn what_one_writes_the_other_reads_once_it_is_attached() {
    let world = World::start();
    let maker = world.agent(MAKER).await;
    let (reader, writer) = (world.child(&maker, &[]).await, world.child(&maker, &[]).await);
    let id = make(&world, &maker, 10).await;
    pass(&world, &maker, &reader, id, &[HandleRight::Read]).await;
    pass(&world, &maker, &writer, id, &[HandleRight::Read, HandleRight::Write]).await;
    assert_eq!(read(&world, &maker, id, 0, 0).await, [0; 10], "it begins as zeros");
    assert_eq!(world.errno(&reader, v1::ReadShm { id, ..Default::default() }).await, Errno::EINVAL);
    assert_eq!(world.errno(&reader, v1::AttachShm { id, read_only: false }).await, Errno::EBADF);
    for who in [&reader, &writer] {
        let attached = world.call(who, v1::AttachShm { id, read_only: true }).await.unwrap();
        assert_eq!(attached.size_bytes, 10);
    }
    assert_eq!(world.errno(&writer, write(id, 0, "x")).await, Errno::EACCES, "it said: only to read");
    world.call(&writer, v1::AttachShm { id, read_only: false }).await.unwrap();
    world.call(&writer, write(id, 3, "hello")).await.unwrap();
    assert_eq!(read(&world, &reader, id, 3, 5).await, b"hello");
    assert_eq!(world.errno(&reader, write(id, 0, "x")).await, Errno::EBADF);
    assert_eq!(world.call(&maker, v1::ShmStats { id }).await.unwrap().attached, 3);

    world.call(&reader, v1::DetachShm { id }).await.unwrap();
    assert_eq!(world.errno(&reader, v1::DetachShm { id }).await, Errno::EINVAL);
    assert_eq!(world.errno(&reader, v1::ReadShm { id, ..Default::default() }).await, Errno::EINVAL);
    let seen = world.call(&reader, v1::ShmStats { id }).await.unwrap();
    assert_eq!((seen.size_bytes, seen.charged_bytes, seen.attached), (10, 4_096, 2));
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn nothing_is_touched_beyond_the_end() {
    let world = World::start();
    let maker = world.agent(MAKER).await;
    let id = make(&world, &maker, 10).await;
    for (offset, data) in [(10, "x"), (8, "abc"), (u64::MAX, "x"), (u64::MAX - 1, "abc")] {
        assert_eq!(world.errno(&maker, write(id, offset, data)).await, Errno::ERANGE, "{offset}");
    }
    assert_eq!(read(&world, &maker, id, 0, 0).await, [0; 10], "all or nothing");
    world.call(&maker, write(id, 10, "")).await.unwrap();
    world.call(&maker, write(id, 9, "z")).await.unwrap();
    assert_eq!(read(&world, &maker, id, 8, u64::MAX).await, b"\0z");
    for offset in [10, 11, u64::MAX] {
        assert_eq!(read(&world, &maker, id, offset, 5).await, b"");
    }
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn destroying_ends_it_for_everybody_and_gives_the_memory_back() {
    let world = World::start();
    let maker = world.agent(MAKER).await;
    let other = world.child(&maker, &[]).await;
    let id = make(&world, &maker, 1 << 20).await;
    pass(&world, &maker, &other, id, &[HandleRight::Read, HandleRight::Write]).await;
    world.call(&other, v1::AttachShm { id, read_only: false }).await.unwrap();
    assert_eq!(world.errno(&other, v1::DestroyShm { id }).await, Errno::EACCES);
    assert_eq!(world.kernel.in_use().shm_bytes, 1 << 20);
    world.call(&maker, v1::DestroyShm { id }).await.unwrap();
    assert_eq!(world.kernel.in_use().shm_bytes, 0, "though the other is attached");
    assert_eq!(world.errno(&other, write(id, 0, "x")).await, Errno::EIDRM);
    assert_eq!(world.errno(&other, v1::AttachShm { id, read_only: true }).await, Errno::EIDRM);
    assert_eq!(world.errno(&other, v1::ShmStats { id }).await, Errno::EIDRM);
    assert_eq!(world.errno(&maker, v1::ShmStats { id }).await, Errno::EBADF);
    world.call(&other, v1::DetachShm { id }).await.unwrap();
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn sizes_and_sums_are_bounded() {
    let limits = Limits {
        shm_bytes: 40_960,
        shm_bytes_per_process: 20_480,
        shm_segment_bytes: 16_384,
        ..Limits::default()
    };
    let world = World::with(limits, LinuxSpawner::new().unwrap());
    let maker = world.agent(MAKER).await;
    for size_bytes in [0, 16_385, u64::MAX] {
        assert_eq!(world.errno(&maker, v1::CreateShm { size_bytes }).await, Errno::EINVAL, "{size_bytes}");
    }
    make(&world, &maker, 16_384).await;
    make(&world, &maker, 1).await;
    let full = world.call(&maker, v1::CreateShm { size_bytes: 1 }).await.unwrap_err();
    let (name, used, max) = ("shm_bytes_per_process", 20_480, 20_480);
    assert_eq!((full.errno, full.cause.as_deref()), (Errno::EDQUOT, Some(&Cause::Limit { name, used, max })));
    world.kernel.shut_down().await;
    assert_eq!(world.kernel.in_use().shm_bytes, 0);
}
