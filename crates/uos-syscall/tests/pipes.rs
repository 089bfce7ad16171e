//! Pipes between processes: who may use them, how they end, and what they may hold.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use common::{World, give_up, within};
use uos_proc::LinuxSpawner;
use uos_proto::v1::{self, call::Call};
use uos_syscall::{Caller, Cause, Errno, Limits};

const MAKER: &[&str] = &["ipc.create"];

fn pipe_read(id: u64) -> v1::ReadPipe {
    v1::ReadPipe { id, ..Default::default() }
}

fn pipe_write(id: u64, data: impl AsRef<[u8]>) -> v1::WritePipe {
    v1::WritePipe { id, data: data.as_ref().to_vec().into(), timeout_us: None }
}

async fn stats(world: &World, who: &Caller, id: u64) -> v1::PipeStatsReply {
    world.call(who, v1::PipeStats { id }).await.unwrap()
}

/// A maker with two children and a pipe from the one to the other.
async fn trio(world: &World, capacity: u64) -> (Caller, Caller, Caller, u64) {
    let maker = world.agent(MAKER).await;
    world.set_grants(&maker, &["ipc.create", "proc.spawn:/**"]);
    let (writer, reader) = (world.child(&maker, &[]).await, world.child(&maker, &[]).await);
    let (reader_pid, writer_pid) = (reader.pid().0, writer.pid().0);
    let made = world.call(&maker, v1::CreatePipe { reader_pid, writer_pid, capacity }).await.unwrap();
    (maker, writer, reader, made.id)
}

#[tokio::test]
async fn two_processes_talk_until_the_one_hangs_up() {
    let world = World::start();
    let (maker, writer, reader, id) = trio(&world, 0).await;
    assert_eq!(world.call(&writer, pipe_write(id, "hello")).await.unwrap().bytes_written, 5);
    let part = world.call(&reader, v1::ReadPipe { max_bytes: 2, ..pipe_read(id) }).await.unwrap();
    assert_eq!((&part.data[..], part.end), (&b"he"[..], false));
    let seen = stats(&world, &maker, id).await;
    assert_eq!(
        (seen.capacity_bytes, seen.buffered_bytes, seen.written_bytes, seen.read_bytes),
        (65_536, 3, 5, 2)
    );
    assert_eq!((seen.readers, seen.writers), (1, 1));

    world.call(&writer, v1::ClosePipe { id }).await.unwrap();
    assert_eq!(&world.call(&reader, pipe_read(id)).await.unwrap().data[..], b"llo");
    for _ in 0..2 {
        let end = world.call(&reader, pipe_read(id)).await.unwrap();
        assert!(end.end && end.data.is_empty());
    }
    assert_eq!(world.errno(&writer, pipe_write(id, "x")).await, Errno::EBADF);

    let (_maker, writer, reader, id) = trio(&world, 0).await;
    world.call(&reader, v1::ClosePipe { id }).await.unwrap();
    assert_eq!(world.errno(&writer, pipe_write(id, "x")).await, Errno::EPIPE);
}

#[tokio::test]
async fn the_end_of_a_process_is_the_end_of_its_side() {
    let world = World::start();
    let (maker, writer, reader, id) = trio(&world, 0).await;
    let waiting = world.call(&reader, pipe_read(id));
    let killing = world.call(&maker, v1::KillProcess { pid: writer.pid().0, tree: true });
    let (read, killed) = tokio::join!(waiting, killing);
    killed.unwrap();
    assert!(read.unwrap().end);
}

#[tokio::test]
async fn up_to_4_kib_go_in_as_one_piece_or_not_at_all() {
    let world = World::start();
    let (_maker, writer, reader, id) = trio(&world, 8_192).await;
    world.call(&writer, pipe_write(id, vec![b'a'; 4_000])).await.unwrap();
    let long = world.call(&writer, pipe_write(id, vec![b'b'; 5_000])).await.unwrap();
    assert_eq!(long.bytes_written, 4_192, "more than 4 KiB may go in part");
    let take = |max_bytes| world.call(&reader, v1::ReadPipe { max_bytes, ..pipe_read(id) });
    assert_eq!(take(4_095).await.unwrap().data.len(), 4_095);
    let piece = v1::WritePipe { timeout_us: Some(0), ..pipe_write(id, vec![b'c'; 4_096]) };
    assert_eq!(world.errno(&writer, piece).await, Errno::ETIMEDOUT);
    assert_eq!(stats(&world, &writer, id).await.buffered_bytes, 4_097, "nothing of it went in");
    // The last byte of room that it needs, and it goes in whole.
    let (written, read) = tokio::join!(world.call(&writer, pipe_write(id, vec![b'c'; 4_096])), take(1));
    assert_eq!((written.unwrap().bytes_written, read.unwrap().data.len()), (4_096, 1));
}

#[tokio::test]
async fn a_pipe_is_only_of_use_to_those_it_was_given_to_and_only_its_maker_ends_it() {
    let world = World::start();
    let (maker, writer, reader, id) = trio(&world, 0).await;
    let (third, other) =
        (world.agent(&["ipc.create", "proc.control", "proc.inspect"]).await, world.agent(MAKER).await);
    let calls = |id: u64| -> Vec<Call> {
        vec![
            pipe_read(id).into(),
            pipe_write(id, "x").into(),
            v1::ClosePipe { id }.into(),
            v1::DestroyPipe { id }.into(),
            v1::PipeStats { id }.into(),
        ]
    };
    for call in calls(id).into_iter().chain(calls(u64::MAX)) {
        for stranger in [&third, &other, &world.kernel.init()] {
            let error = within(world.kernel.invoke(stranger, call.clone())).await.unwrap_err();
            assert_eq!(error.errno, Errno::EBADF);
        }
    }
    // Each end is an end, and the maker has neither.
    assert_eq!(world.errno(&writer, pipe_read(id)).await, Errno::EBADF);
    assert_eq!(world.errno(&reader, pipe_write(id, "x")).await, Errno::EBADF);
    assert_eq!(world.errno(&maker, pipe_read(id)).await, Errno::EBADF);
    assert_eq!(world.errno(&reader, v1::DestroyPipe { id }).await, Errno::EACCES);

    world.call(&writer, pipe_write(id, "lost")).await.unwrap();
    world.call(&reader, v1::ReadPipe { max_bytes: 4, ..pipe_read(id) }).await.unwrap();
    let waiting = async { world.call(&reader, pipe_read(id)).await.unwrap_err().errno };
    let (errno, destroyed) = tokio::join!(waiting, world.call(&maker, v1::DestroyPipe { id }));
    destroyed.unwrap();
    assert_eq!(errno, Errno::EIDRM, "who waits is woken");
    let later: [(&Caller, Call); 4] = [
        (&writer, pipe_write(id, "x").into()),
        (&reader, pipe_read(id).into()),
        (&reader, v1::ReadPipe { timeout_us: Some(0), ..pipe_read(id) }.into()),
        (&writer, v1::PipeStats { id }.into()),
    ];
    for (who, call) in later {
        assert_eq!(within(world.kernel.invoke(who, call)).await.unwrap_err().errno, Errno::EIDRM);
    }
    assert_eq!(world.errno(&maker, v1::PipeStats { id }).await, Errno::EBADF, "it has given up its own");
    assert_eq!(world.kernel.in_use().pipe_bytes, 0);
    for holder in [&writer, &reader] {
        world.call(holder, v1::ClosePipe { id }).await.unwrap();
    }
    assert_eq!(world.kernel.in_use().handles, 0);
}

#[tokio::test]
async fn who_destroys_a_pipe_hears_it_in_its_own_waiting_calls_and_what_was_lost() {
    let world = World::start();
    let agent = world.agent(MAKER).await;
    let id = world.call(&agent, v1::CreatePipe { capacity: 4, ..Default::default() }).await.unwrap().id;
    let twin = world.call(&agent, v1::Dup { id }).await.unwrap().id;
    world.call(&agent, pipe_write(id, "1234")).await.unwrap();
    let waiting = world.call(&agent, pipe_write(id, "more"));
    let (refused, destroyed) = tokio::join!(waiting, world.call(&agent, v1::DestroyPipe { id }));
    destroyed.unwrap();
    let refused = refused.unwrap_err();
    assert_eq!(
        (refused.errno, &*refused.message),
        (Errno::EIDRM, "the pipe was destroyed, 4 bytes of it unread")
    );
    assert_eq!(world.errno(&agent, v1::DestroyPipe { id: twin }).await, Errno::EIDRM, "it was already");
    world.call(&agent, v1::ClosePipe { id: twin }).await.unwrap();
    assert_eq!((world.kernel.in_use().handles, world.kernel.in_use().pipe_bytes), (0, 0));
}

#[tokio::test]
async fn a_pipe_closed_while_a_call_waits_on_it_ends_the_call() {
    let world = World::start();
    let agent = world.agent(MAKER).await;
    let id = world.call(&agent, v1::CreatePipe::default()).await.unwrap().id;
    let waiting = async { world.call(&agent, pipe_read(id)).await.unwrap_err().errno };
    let (errno, closed) = tokio::join!(waiting, world.call(&agent, v1::ClosePipe { id }));
    closed.unwrap();
    assert_eq!(errno, Errno::EBADF);
    assert_eq!((world.kernel.in_use().handles, world.kernel.in_use().pipe_bytes), (0, 0));
}

#[tokio::test]
async fn a_read_that_is_given_up_leaves_no_trace_and_takes_no_data() {
    let world = World::start();
    let agent = world.agent(MAKER).await;
    let id = world.call(&agent, v1::CreatePipe::default()).await.unwrap().id;
    let before = stats(&world, &agent, id).await;
    for _ in 0..100 {
        assert!(give_up(world.kernel.invoke(&agent, pipe_read(id).into())).await.is_none());
    }
    assert_eq!(
        world.errno(&agent, v1::ReadPipe { timeout_us: Some(0), ..pipe_read(id) }).await,
        Errno::ETIMEDOUT
    );
    assert_eq!(stats(&world, &agent, id).await, before);
    world.call(&agent, pipe_write(id, "for the next")).await.unwrap();
    assert_eq!(&world.call(&agent, pipe_read(id)).await.unwrap().data[..], b"for the next");

    // One that was served but never asked again gives what it got to nobody, and takes nothing either.
    let mut served = Box::pin(world.kernel.invoke(&agent, pipe_read(id).into()));
    assert!(give_up(&mut served).await.is_none());
    world.call(&agent, pipe_write(id, "kept")).await.unwrap();
    drop(served);
    assert_eq!(&world.call(&agent, pipe_read(id)).await.unwrap().data[..], b"kept");
}

#[tokio::test]
async fn what_pipes_may_hold_is_limited_and_the_limit_is_named() {
    let limits = Limits {
        pipe_bytes: 40_000,
        pipe_bytes_per_process: 30_000,
        handles_per_process: 3,
        ..Default::default()
    };
    let world = World::with(limits, LinuxSpawner::new().unwrap());
    let (one, two) = (world.agent(MAKER).await, world.agent(MAKER).await);
    let make = |capacity| v1::CreatePipe { capacity, ..Default::default() };
    let limit = async |who: &Caller, capacity| {
        let error = world.call(who, make(capacity)).await.unwrap_err();
        match error.cause.as_deref() {
            Some(Cause::Limit { name, used, max }) => (error.errno, *name, *used, *max),
            other => panic!("{other:?}"),
        }
    };
    let first = world.call(&one, make(20_000)).await.unwrap().id;
    assert_eq!(limit(&one, 10_001).await, (Errno::EDQUOT, "pipe_bytes_per_process", 20_000, 30_000));
    world.call(&one, make(10_000)).await.unwrap();
    assert_eq!(limit(&two, 10_001).await, (Errno::EDQUOT, "pipe_bytes", 30_000, 40_000));
    world.call(&one, v1::DestroyPipe { id: first }).await.unwrap();
    for _ in 0..2 {
        world.call(&one, make(4_096)).await.unwrap();
    }
    let before = world.kernel.in_use();
    assert_eq!(limit(&one, 4_096).await, (Errno::EMFILE, "handles_per_process", 3, 3));
    // A table of somebody else being full leaves nothing with the others.
    world.set_grants(&two, &["ipc.create", "proc.control"]);
    let for_one = v1::CreatePipe { reader_pid: one.pid().0, ..make(4_096) };
    assert_eq!(world.errno(&two, for_one).await, Errno::EMFILE);
    assert_eq!(world.kernel.in_use(), before);
    assert_eq!(world.errno(&two, make((1 << 20) + 1)).await, Errno::EINVAL);
}
