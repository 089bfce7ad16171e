//! Handles: passing them on, making them less, and seeing what one holds.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use common::{World, within};
use uos_proc::LinuxSpawner;
use uos_proto::v1::{self, HandleKind, HandleRight};
use uos_syscall::{Caller, Cause, Errno, Limits};

const MAKER: &[&str] = &["ipc.create", "proc.spawn:/**"];

fn rights(all: &[HandleRight]) -> Vec<i32> {
    all.iter().map(|right| *right as i32).collect()
}

fn pass(to: &Caller, id: u64, allowing: &[HandleRight]) -> v1::PassHandle {
    v1::PassHandle { pid: to.pid().0, id, rights: rights(allowing) }
}

fn read(id: u64) -> v1::ReadPipe {
    v1::ReadPipe { id, timeout_us: Some(0), ..Default::default() }
}

fn write(id: u64, data: &'static str) -> v1::WritePipe {
    v1::WritePipe { id, data: data.into(), timeout_us: Some(0) }
}

async fn list(world: &World, who: &Caller) -> Vec<(u64, HandleKind, Vec<i32>)> {
    let told = world.call(who, v1::ListHandles::default()).await.unwrap();
    told.handles.into_iter().map(|it| (it.id, it.kind(), it.rights)).collect()
}

/// A maker with a child and a pipe of its own.
async fn pair(world: &World) -> (Caller, Caller, u64) {
    let maker = world.agent(MAKER).await;
    let child = world.child(&maker, &[]).await;
    let id = world.call(&maker, v1::CreatePipe::default()).await.unwrap().id;
    (maker, child, id)
}

#[tokio::test]
async fn what_is_passed_can_do_what_was_said_and_no_more() {
    use HandleRight::{Duplicate, Read, Transfer, Write};
    let world = World::start();
    let (maker, child, id) = pair(&world).await;
    let given = world.call(&maker, pass(&child, id, &[Write])).await.unwrap();
    assert_eq!(given.rights, rights(&[Write]));
    world.call(&child, write(id, "hello")).await.unwrap();
    assert_eq!(&world.call(&maker, read(id)).await.unwrap().data[..], b"hello", "the giver keeps its own");

    assert_eq!(world.errno(&child, read(id)).await, Errno::EBADF);
    let refused = world.call(&child, pass(&child, id, &[])).await.unwrap_err();
    assert_eq!(refused.errno, Errno::EACCES);
    assert_eq!(refused.cause.as_deref(), Some(&Cause::Right("handle.transfer".into())));
    assert_eq!(world.errno(&child, v1::DestroyPipe { id }).await, Errno::EACCES);

    // A second passing adds to it.
    let given = world.call(&maker, pass(&child, id, &[Read, Duplicate])).await.unwrap();
    assert_eq!(given.rights, rights(&[Read, Write, Duplicate]));
    world.call(&maker, write(id, "back")).await.unwrap();
    assert_eq!(&world.call(&child, read(id)).await.unwrap().data[..], b"back");
    assert_eq!(list(&world, &child).await, [(id, HandleKind::Pipe, rights(&[Read, Write, Duplicate]))]);

    // All that there is goes along when nothing is named, and it is no more than the giver has.
    let other = world.child(&maker, &[]).await;
    world.call(&maker, v1::RestrictHandle { id, rights: rights(&[Read, Transfer]) }).await.unwrap();
    assert_eq!(world.call(&maker, pass(&other, id, &[])).await.unwrap().rights, rights(&[Read, Transfer]));
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn an_end_that_nothing_is_left_for_is_closed() {
    let world = World::start();
    let (maker, child, id) = pair(&world).await;
    world.call(&maker, pass(&child, id, &[HandleRight::Read])).await.unwrap();
    let waiting = world.call(&child, v1::ReadPipe { id, ..Default::default() });
    let restricting = world.call(&maker, v1::RestrictHandle { id, rights: rights(&[HandleRight::Destroy]) });
    let (read, left) = tokio::join!(waiting, restricting);
    assert!(read.unwrap().end, "the last writer has gone");
    assert_eq!(left.unwrap().rights, rights(&[HandleRight::Destroy]));
    assert_eq!(world.errno(&maker, pass(&child, id, &[])).await, Errno::EACCES);
    let widened = v1::RestrictHandle { id, rights: rights(&[HandleRight::Write, HandleRight::Destroy]) };
    let still = world.call(&maker, widened).await.unwrap();
    assert_eq!(still.rights, rights(&[HandleRight::Destroy]), "rights never come back");
    world.call(&maker, v1::DestroyPipe { id }).await.unwrap();
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn handles_go_only_to_whom_one_may_control() {
    let world = World::start();
    let (maker, child, id) = pair(&world).await;
    let stranger = world.agent(&[]).await;
    let ended = world.child(&maker, &[]).await;
    world.call(&maker, v1::KillProcess { pid: ended.pid().0, tree: true }).await.unwrap();
    for nobody in [stranger.pid().0, ended.pid().0, 1, 999_999, u64::MAX] {
        let passing = v1::PassHandle { pid: nobody, id, rights: vec![] };
        assert_eq!(world.errno(&maker, passing).await, Errno::ESRCH, "{nobody}");
    }
    assert_eq!(world.errno(&child, pass(&maker, id, &[])).await, Errno::EBADF, "it holds no such handle");
    for unknown in [0, 6, -1, i32::MAX] {
        let odd = v1::PassHandle { pid: child.pid().0, id, rights: vec![unknown] };
        assert_eq!(world.errno(&maker, odd).await, Errno::EINVAL);
        let odd = v1::RestrictHandle { id, rights: vec![unknown] };
        assert_eq!(world.errno(&maker, odd).await, Errno::EINVAL);
    }
    assert_eq!(list(&world, &child).await, []);
    assert_eq!(list(&world, &maker).await.len(), 1);
    world.set_grants(&maker, &["proc.control"]);
    world.call(&maker, pass(&stranger, id, &[])).await.unwrap();
    assert_eq!(list(&world, &stranger).await.len(), 1);
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn a_full_table_takes_no_more_and_the_giver_loses_nothing() {
    let limits = Limits { handles_per_process: 2, ..Limits::default() };
    let world = World::with(limits, LinuxSpawner::new().unwrap());
    let (maker, child, id) = pair(&world).await;
    let second = world.call(&maker, v1::CreatePipe::default()).await.unwrap().id;
    world.call(&maker, pass(&child, id, &[])).await.unwrap();
    world.call(&maker, pass(&child, second, &[])).await.unwrap();
    world.call(&maker, v1::ClosePipe { id: second }).await.unwrap();
    let third = world.call(&maker, v1::CreatePipe::default()).await.unwrap().id;
    let full = world.call(&maker, pass(&child, third, &[])).await.unwrap_err();
    assert_eq!(full.errno, Errno::EMFILE);
    world.call(&maker, pass(&child, id, &[])).await.unwrap();
    assert_eq!(list(&world, &maker).await.len(), 2);
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn long_lists_come_in_parts() {
    let world = World::start();
    let maker = world.agent(MAKER).await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(world.call(&maker, v1::CreatePipe::default()).await.unwrap().id);
    }
    let (mut seen, mut cursor) = (Vec::new(), 0);
    loop {
        let part = world.call(&maker, v1::ListHandles { cursor, limit: 2 }).await.unwrap();
        assert!(part.handles.len() <= 2);
        seen.extend(part.handles.iter().map(|it| it.id));
        cursor = part.next_cursor;
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(seen, made);
    let beyond = within(world.call(&maker, v1::ListHandles { cursor: u64::MAX, limit: u32::MAX })).await;
    assert_eq!(beyond.unwrap().handles, []);
    world.kernel.shut_down().await;
}
