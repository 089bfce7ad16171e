//! Open files: what is done by a handle, as whom, and for how long.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use common::{Log, World, give_up, read as read_file, write as write_file};
use uos_proc::LinuxSpawner;
use uos_proto::v1::{self, HandleRight, PollHandle, Whence};
use uos_syscall::{Caller, Cause, Errno, FileChange};

const BOTH: &[&str] = &["fs.read:/data/**", "fs.write:/data/**"];

fn open(path: &str) -> v1::Open {
    v1::Open { path: path.to_owned(), ..Default::default() }
}

fn open_both(path: &str) -> v1::Open {
    v1::Open { read: true, write: true, ..open(path) }
}

async fn opened(world: &World, who: &Caller, request: v1::Open) -> u64 {
    world.call(who, request).await.unwrap().id
}

async fn read(world: &World, who: &Caller, id: u64, max_bytes: u64) -> Vec<u8> {
    world.call(who, v1::Read { id, max_bytes }).await.unwrap().data.to_vec()
}

fn write(id: u64, data: &'static str) -> v1::Write {
    v1::Write { id, data: data.into() }
}

async fn seek(world: &World, who: &Caller, id: u64, offset: i64, whence: Whence) -> u64 {
    world.call(who, v1::Seek { id, offset, whence: whence.into() }).await.unwrap().position
}

/// Both in memory and on the host's disk, where calls take another way.
const PLACES: [&str; 2] = ["/data", "/home"];

async fn somebody(world: &World) -> Caller {
    world.agent(&["fs.read:/data/**", "fs.write:/data/**", "fs.read:/home/**", "fs.write:/home/**"]).await
}

#[tokio::test]
async fn one_position_for_all_duplicates_and_none_for_what_is_opened_anew() {
    let world = World::start();
    let agent = somebody(&world).await;
    for place in PLACES {
        let path = format!("{place}/file");
        world.call(&agent, write_file(&path, "0123456789")).await.unwrap();
        let id = opened(&world, &agent, open_both(&path)).await;
        let twin = world.call(&agent, v1::Dup { id }).await.unwrap().id;
        let other = opened(&world, &agent, open(&path)).await;
        assert_eq!(read(&world, &agent, id, 3).await, b"012");
        assert_eq!(read(&world, &agent, twin, 3).await, b"345");
        assert_eq!(read(&world, &agent, other, 3).await, b"012");
        assert_eq!(world.call(&agent, write(twin, "AB")).await.unwrap().bytes_written, 2);
        assert_eq!(read(&world, &agent, id, 0).await, b"89");
        assert_eq!(read(&world, &agent, id, 0).await, b"", "the end");

        world.call(&agent, v1::Close { id }).await.unwrap();
        assert_eq!(world.errno(&agent, v1::Read { id, max_bytes: 1 }).await, Errno::EBADF);
        assert_eq!(seek(&world, &agent, twin, -3, Whence::End).await, 7);
        assert_eq!(read(&world, &agent, twin, 0).await, b"B89");
        let all = world.call(&agent, read_file(&path)).await.unwrap().data;
        assert_eq!(&all[..], b"012345AB89");
    }
    assert_eq!(world.seen("file"), "012345AB89", "on the host");
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn what_is_done_at_an_offset_leaves_the_position() {
    let world = World::start();
    let agent = somebody(&world).await;
    for place in PLACES {
        let path = format!("{place}/file");
        world.call(&agent, write_file(&path, "0123456789")).await.unwrap();
        let id = opened(&world, &agent, open_both(&path)).await;
        seek(&world, &agent, id, 5, Whence::Set).await;
        let part = world.call(&agent, v1::Pread { id, offset: 8, max_bytes: 9 }).await.unwrap();
        assert_eq!(&part.data[..], b"89");
        world.call(&agent, v1::Pwrite { id, offset: 1, data: "xyz".into() }).await.unwrap();
        assert_eq!(read(&world, &agent, id, 1).await, b"5");
        world.call(&agent, v1::Ftruncate { id, length: 4 }).await.unwrap();
        let told = world.call(&agent, v1::Fstat { id }).await.unwrap();
        assert_eq!((told.attributes.unwrap().size_bytes, told.position), (4, 6));
        world.call(&agent, write(id, "!")).await.unwrap();
        world.call(&agent, v1::Fsync { id }).await.unwrap();
        assert_eq!(&world.call(&agent, read_file(&path)).await.unwrap().data[..], b"0xyz\0\0!");

        for (offset, whence) in [(-1, Whence::Set), (-9, Whence::Current), (-8, Whence::End)] {
            let seek = v1::Seek { id, offset, whence: whence.into() };
            assert_eq!(world.errno(&agent, seek).await, Errno::EINVAL, "{offset} {whence:?}");
        }
        assert_eq!(world.errno(&agent, v1::Seek { id, offset: 0, whence: 9 }).await, Errno::EINVAL);
        let past = v1::Seek { id, offset: 100, whence: Whence::Data.into() };
        assert_eq!(world.errno(&agent, past).await, Errno::ENXIO);
        assert_eq!(seek(&world, &agent, id, 0, Whence::Hole).await, 7, "the end is a hole");
        let huge = v1::Pwrite { id, offset: u64::MAX, data: "x".into() };
        assert!(matches!(world.errno(&agent, huge).await, Errno::EINVAL | Errno::EFBIG));
        assert_eq!(world.call(&agent, v1::Fstat { id }).await.unwrap().attributes.unwrap().size_bytes, 7);
    }
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn a_file_is_made_new_emptied_or_added_to_as_was_said() {
    let log = Log::default();
    let world = World::observed(LinuxSpawner::new().unwrap(), log.clone());
    let agent = world.agent(BOTH).await;
    world.put("old", "content");
    world.put("folder/x", "");
    std::os::unix::fs::symlink("old", world.host.path().join("link")).unwrap();
    assert_eq!(world.errno(&agent, open("/data/new")).await, Errno::ENOENT);
    let exclusive = |path| v1::Open { create: true, exclusive: true, ..open_both(path) };
    assert_eq!(world.errno(&agent, exclusive("/data/old")).await, Errno::EEXIST);
    assert_eq!(world.errno(&agent, exclusive("/data/link")).await, Errno::EEXIST);
    assert_eq!(world.errno(&agent, open("/data/folder")).await, Errno::EISDIR);
    let not_followed = v1::Open { no_follow: true, ..open("/data/link") };
    assert_eq!(world.errno(&agent, not_followed).await, Errno::ELOOP);
    let odd = v1::Open { truncate: true, ..open("/data/old") };
    assert_eq!(world.errno(&agent, odd).await, Errno::EINVAL);
    let odd = v1::Open { exclusive: true, ..open("/data/old") };
    assert_eq!(world.errno(&agent, odd).await, Errno::EINVAL);
    let odd = v1::Open { create: true, mode: Some(0o10000), ..open_both("/data/odd") };
    assert_eq!(world.errno(&agent, odd).await, Errno::EINVAL);
    assert_eq!(world.seen("old"), "content", "none of these has changed anything");
    assert!(log.changes(&agent).is_empty());

    let id = opened(&world, &agent, exclusive("/data/new")).await;
    world.call(&agent, write(id, "made")).await.unwrap();
    assert_eq!(world.seen("new"), "made");
    let appending = v1::Open { append: true, ..open("/data/link") };
    let id = opened(&world, &agent, appending).await;
    world.call(&agent, write(id, " and")).await.unwrap();
    world.call(&agent, v1::Pwrite { id, offset: 0, data: " more".into() }).await.unwrap();
    assert_eq!(world.seen("old"), "content and more");
    assert_eq!(world.errno(&agent, v1::Read { id, max_bytes: 1 }).await, Errno::EBADF);
    opened(&world, &agent, v1::Open { truncate: true, ..open_both("/data/old") }).await;
    assert_eq!(world.seen("old"), "");
    let told: Vec<_> = log.changes(&agent).into_iter().map(|(change, path, _)| (change, path)).collect();
    let (new, old) = ("/data/new".to_owned(), "/data/old".to_owned());
    let written = |path: &String| (FileChange::Written, path.clone());
    let created = (FileChange::Created, new.clone());
    assert_eq!(told, [created, written(&new), written(&old), written(&old), written(&old)]);
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn opening_takes_the_right_for_what_it_is_to_be_opened_for() {
    let world = World::start();
    world.put("file", "content");
    let reader = world.agent(&["fs.read:/data/**"]).await;
    let writer = world.agent(&["fs.write:/data/**"]).await;
    let nobody = world.agent(&[]).await;
    let denied = async |who: &Caller, request: v1::Open, right: &str| {
        let error = world.call(who, request).await.unwrap_err();
        assert_eq!((error.errno, error.cause.as_deref()), (Errno::EACCES, Some(&Cause::Right(right.into()))));
    };
    denied(&reader, open_both("/data/file"), "fs.write:/data/file").await;
    denied(&reader, v1::Open { create: true, ..open("/data/new") }, "fs.write:/data/new").await;
    denied(&writer, open("/data/file"), "fs.read:/data/file").await;
    denied(&nobody, open("/data/file"), "fs.read:/data/file").await;
    denied(&nobody, open("/data/none"), "fs.read:/data/none").await;
    assert!(!world.host.path().join("new").exists());
    let id = opened(&world, &reader, open("/data/file")).await;
    assert_eq!(world.errno(&reader, write(id, "x")).await, Errno::EBADF);
    assert_eq!(world.errno(&reader, v1::Ftruncate { id, length: 0 }).await, Errno::EBADF);
    assert_eq!(world.seen("file"), "content");
    world.kernel.shut_down().await;
}

/// A right that is taken away stops what it has opened, at the next call, wherever the handle was passed.
#[tokio::test]
async fn a_revoke_in_the_middle_of_a_stream_of_writes_stops_the_next_one() {
    let world = World::start();
    let agent = world.agent(&["fs.read:/data/**", "fs.write:/data/**", "proc.spawn:/**"]).await;
    let child = world.child(&agent, &[]).await;
    let id = opened(&world, &agent, v1::Open { create: true, ..open_both("/data/file") }).await;
    let pass = v1::PassHandle { pid: child.pid().0, id, rights: vec![] };
    world.call(&agent, pass.clone()).await.unwrap();
    for _ in 0..10 {
        world.call(&agent, write(id, "a")).await.unwrap();
        world.call(&child, write(id, "b")).await.unwrap();
    }
    world.set_grants(&agent, &["fs.read:/data/**", "fs.write:/data/other/**"]);
    for who in [&agent, &child] {
        let refused = world.call(who, write(id, "c")).await.unwrap_err();
        let right = Cause::Right("fs.write:/data/file".into());
        assert_eq!((refused.errno, refused.cause.as_deref()), (Errno::EACCES, Some(&right)));
        assert_eq!(world.errno(who, v1::Ftruncate { id, length: 0 }).await, Errno::EACCES);
        assert_eq!(world.errno(who, v1::Lock { id, ..Default::default() }).await, Errno::EACCES);
        world.call(who, v1::Pread { id, offset: 0, max_bytes: 1 }).await.unwrap();
    }
    assert_eq!(world.seen("file"), "ab".repeat(10));

    world.set_grants(&agent, &[]);
    assert_eq!(world.errno(&child, v1::Pread { id, ..Default::default() }).await, Errno::EACCES);
    assert_eq!(world.errno(&child, v1::Fstat { id }).await, Errno::EACCES);
    assert_eq!(world.errno(&child, v1::Dup { id }).await, Errno::EACCES);
    assert_eq!(world.errno(&agent, pass).await, Errno::EACCES);
    let told = world.call(&child, v1::ListHandles::default()).await.unwrap().handles;
    assert!(told[0].revoked && told[0].opened == "/data/file", "{told:?}");
    // It can still be made less and given up.
    world.call(&child, v1::RestrictHandle { id, rights: vec![HandleRight::Read.into()] }).await.unwrap();
    world.call(&child, v1::Close { id }).await.unwrap();
    // And a right that comes back opens it again, for those who kept it.
    world.set_grants(&agent, &["fs.read:/data/**"]);
    world.call(&agent, v1::Pread { id, ..Default::default() }).await.unwrap();
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn one_handle_comes_to_stand_for_another_in_one_step() {
    let world = World::start();
    let agent = world.agent(&["fs.read:/data/**", "ipc.create"]).await;
    world.put("one", "one");
    world.put("two", "two");
    let one = opened(&world, &agent, open("/data/one")).await;
    let two = opened(&world, &agent, open("/data/two")).await;
    let pipe = world.call(&agent, v1::CreatePipe::default()).await.unwrap().id;
    world.call(&agent, v1::Dup2 { id: one, to_id: two }).await.unwrap();
    world.call(&agent, v1::Close { id: one }).await.unwrap();
    assert_eq!(read(&world, &agent, two, 0).await, b"one");
    world.call(&agent, v1::Dup2 { id: two, to_id: two }).await.unwrap();
    for (id, to_id) in [(one, two), (two, one), (two, pipe), (pipe, two), (two, u64::MAX)] {
        assert_eq!(world.errno(&agent, v1::Dup2 { id, to_id }).await, Errno::EBADF, "{id} {to_id}");
    }
    world.call(&agent, v1::RestrictHandle { id: two, rights: vec![HandleRight::Read.into()] }).await.unwrap();
    assert_eq!(world.errno(&agent, v1::Dup { id: two }).await, Errno::EACCES);
    assert_eq!(world.errno(&agent, v1::Dup2 { id: two, to_id: two }).await, Errno::EACCES);

    assert_eq!(world.errno(&agent, v1::CloseRange { first: 2, last: 1 }).await, Errno::EINVAL);
    let closed = world.call(&agent, v1::CloseRange { first: two, last: u64::MAX }).await.unwrap().closed;
    assert_eq!((closed, world.kernel.in_use().handles), (2, 0));
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn locks_keep_others_out_until_they_are_let_go_of() {
    let world = World::start();
    world.put("file", "0123456789");
    let (one, two) = (world.agent(BOTH).await, world.agent(BOTH).await);
    let (first, second) = (
        opened(&world, &one, open_both("/data/file")).await,
        opened(&world, &two, open_both("/data/file")).await,
    );
    let lock = |id, offset, length| v1::Lock { id, offset, length, timeout_us: Some(0), shared: false };
    world.call(&one, lock(first, 0, 5)).await.unwrap();
    world.call(&two, lock(second, 5, 5)).await.unwrap();
    assert_eq!(world.errno(&two, lock(second, 4, 1)).await, Errno::ETIMEDOUT);
    let shared = v1::Lock { shared: true, ..lock(second, 0, 0) };
    assert_eq!(world.errno(&two, shared).await, Errno::ETIMEDOUT);
    assert_eq!(world.errno(&two, lock(second, u64::MAX, 1)).await, Errno::EINVAL);

    // Who waits gets it as soon as it is free; given up, it has taken nothing.
    let patient = v1::Lock { timeout_us: None, ..lock(second, 0, 1) };
    assert!(give_up(world.kernel.invoke(&two, patient.into())).await.is_none());
    let freed = v1::Unlock { id: first, offset: 0, length: 2 };
    let (got, freed) = tokio::join!(world.call(&two, patient), world.call(&one, freed));
    freed.unwrap();
    got.unwrap();
    // By now each waits for the other.
    let (waiting, last) =
        tokio::join!(world.call(&one, v1::Lock { timeout_us: None, ..lock(first, 5, 1) }), async {
            let error = world.errno(&two, v1::Lock { timeout_us: None, ..lock(second, 3, 1) }).await;
            // Any handle of the file that is closed lets go of all.
            let again = opened(&world, &two, open("/data/file")).await;
            world.call(&two, v1::Close { id: again }).await.unwrap();
            error
        });
    assert_eq!(last, Errno::EDEADLK);
    waiting.unwrap();
    world.call(&world.kernel.init(), v1::KillProcess { pid: one.pid().0, tree: true }).await.unwrap();
    world.call(&two, lock(second, 0, 0)).await.unwrap();
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn one_call_waits_for_many_and_tells_of_all_that_are_ready() {
    let world = World::start();
    world.put("file", "");
    let agent = world.agent(&["fs.read:/data/**", "ipc.create"]).await;
    let pipe = world.call(&agent, v1::CreatePipe { capacity: 4_096, ..Default::default() }).await.unwrap().id;
    let queue = world.call(&agent, v1::CreateQueue::default()).await.unwrap().id;
    let file = opened(&world, &agent, open("/data/file")).await;
    let on = |id, read, write| PollHandle { id, read, write };
    let poll = |handles: &[PollHandle]| v1::Poll { handles: handles.to_vec(), timeout_us: Some(0) };
    let wait = |handles: &[PollHandle]| v1::Poll { handles: handles.to_vec(), timeout_us: None };
    let both = [on(pipe, true, true), on(queue, true, false)];
    assert_eq!(world.call(&agent, poll(&both)).await.unwrap().ready, [on(pipe, false, true)]);
    let to_read = [on(queue, true, false), on(pipe, true, false)];
    assert_eq!(world.errno(&agent, poll(&to_read)).await, Errno::ETIMEDOUT);
    let ready = world.call(&agent, poll(&[to_read[0], on(file, true, false)])).await.unwrap().ready;
    assert_eq!(ready, [on(file, true, false)], "a file is always ready");

    for _ in 0..100 {
        assert!(give_up(world.kernel.invoke(&agent, wait(&to_read).into())).await.is_none());
    }
    let send = v1::SendMessage { id: queue, data: "x".into(), ..Default::default() };
    let (ready, sent) = tokio::join!(world.call(&agent, wait(&to_read)), world.call(&agent, send));
    sent.unwrap();
    assert_eq!(ready.unwrap().ready, [on(queue, true, false)]);
    let fill = v1::WritePipe { id: pipe, data: vec![0; 4_096].into(), timeout_us: None };
    world.call(&agent, fill).await.unwrap();
    assert_eq!(world.call(&agent, wait(&to_read)).await.unwrap().ready, to_read);
    assert_eq!(world.errno(&agent, poll(&[on(pipe, false, true)])).await, Errno::ETIMEDOUT);
    // Closing what is waited for ends the wait.
    let drained = v1::ReadPipe { id: pipe, ..Default::default() };
    world.call(&agent, drained).await.unwrap();
    let (ready, closed) =
        tokio::join!(world.call(&agent, wait(&to_read[1..])), world.call(&agent, v1::Close { id: pipe }));
    closed.unwrap();
    assert_eq!(ready.unwrap().ready, [on(pipe, true, false)]);

    assert_eq!(world.errno(&agent, poll(&to_read)).await, Errno::EBADF);
    for odd in [vec![], vec![on(queue, false, false)], vec![on(queue, true, true); 1_025]] {
        assert_eq!(world.errno(&agent, poll(&odd)).await, Errno::EINVAL);
    }
    assert_eq!(world.errno(&agent, poll(&[on(file, false, true)])).await, Errno::EBADF);
    world.kernel.shut_down().await;
}
