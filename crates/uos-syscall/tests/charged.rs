//! What files take in memory is on the account of the process that made them, is bounded, and finds somebody who pays when
//! that process ends.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use common::{
    Answered, Log, World, copy, link, mkdir, mount, move_file, remove, symlink, until, within, write,
};
use uos_proc::LinuxSpawner;
use uos_proto::v1::{self, MountKind, MountSource};
use uos_syscall::{Area, Caller, Cause, Errno, Event, Existing, Limits};

const OPEN: &[&str] = &["fs.read:/**", "fs.write:/**", "fs.admin"];

/// What is on the account of a process: bytes and nodes.
async fn charged(world: &World, who: &Caller) -> (u64, u64) {
    let pid = who.pid().0;
    let told = world.call(&world.kernel.init(), v1::GetProcessMemoryStats { pid }).await.unwrap();
    let area = told.areas.iter().find(|area| area.name == "files").unwrap();
    (area.used_bytes, told.file_nodes)
}

/// Makes a call, and says how much more is on the account of who made it.
async fn cost<R: Answered>(world: &World, who: &Caller, call: R) -> (i64, i64) {
    let before = charged(world, who).await;
    world.call(who, call).await.unwrap();
    let after = charged(world, who).await;
    (after.0 as i64 - before.0 as i64, after.1 as i64 - before.1 as i64)
}

fn delete(path: &str) -> v1::DeleteFile {
    v1::DeleteFile { path: path.to_owned(), ..Default::default() }
}

fn append(path: &str, len: usize) -> v1::AppendFile {
    v1::AppendFile { path: path.to_owned(), data: vec![7; len].into(), ..Default::default() }
}

fn truncate(path: &str, size_bytes: u64) -> v1::TruncateFile {
    v1::TruncateFile { path: path.to_owned(), size_bytes, ..Default::default() }
}

#[tokio::test]
async fn every_call_that_makes_something_in_memory_is_charged_for_it() {
    let world = World::start();
    let agent = world.agent(OPEN).await;
    let cost = async |call: v1::call::Call| {
        let before = charged(&world, &agent).await;
        within(world.kernel.invoke(&agent, call)).await.unwrap();
        let after = charged(&world, &agent).await;
        (after.0 as i64 - before.0 as i64, after.1 as i64 - before.1 as i64)
    };
    let at = |path: &str| path.to_owned();
    let recursive = v1::CopyFile { recursive: true, ..copy("/home/d", "/home/copies") };
    let temp = v1::TempFile { path: at("/tmp"), ..Default::default() };
    let xattr = v1::SetXattr {
        path: at("/home/a"),
        name: at("user.x"),
        value: vec![1; 14].into(),
        ..Default::default()
    };
    for (call, bytes, nodes) in [
        (write("/home/a", [1; 100]).into(), 100, 1),
        (write("/home/a", [1; 70]).into(), -30, 0),
        (append("/home/a", 5).into(), 5, 0),
        (append("/home/b", 9).into(), 9, 1),
        (v1::CreateFile { path: at("/home/c"), ..Default::default() }.into(), 0, 1),
        // A hole takes nothing, and cutting gives back what was stored.
        (truncate("/home/a", 1_000_000).into(), 0, 0),
        (truncate("/home/a", 25).into(), -50, 0),
        (mkdir("/home/d/e/f").into(), 0, 3),
        (symlink("to", "/home/d/l").into(), 2, 1),
        (link("/home/b", "/home/d/b").into(), 0, 1),
        (xattr.into(), 20, 0),
        (copy("/home/a", "/home/d/a").into(), 25, 1),
        // Two directories below, a link, the file of two names, and a copy.
        (recursive.into(), 2 + 9 + 25, 6),
        (temp.into(), 0, 1),
        (move_file("/home/b", "/home/moved").into(), 0, 0),
        // Moved to another filesystem it is copied, attributes of its own are not; and goes where it was.
        (move_file("/home/a", "/tmp/a").into(), -20, 0),
        (delete("/tmp/a").into(), -25, -1),
        (delete("/home/moved").into(), 0, -1),
        (delete("/home/d/b").into(), -9, -1),
        (remove("/home/copies", true).into(), -36, -6),
    ] {
        let name = format!("{call:?}");
        assert_eq!(cost(call).await, (bytes, nodes), "{name}");
    }
    // On the host's disk it takes no memory.
    assert_eq!(cost(write("/data/x", [1; 100]).into()).await, (0, 0));
}

#[tokio::test]
async fn open_files_uploads_and_copies_up_are_charged_too() {
    let world = World::start();
    let (agent, other) = (world.agent(OPEN).await, world.agent(OPEN).await);
    let open = v1::Open { path: "/home/a".into(), write: true, create: true, ..Default::default() };
    let id = world.call(&agent, open).await.unwrap().id;
    assert_eq!(cost(&world, &agent, v1::Write { id, data: vec![1; 40].into() }).await, (40, 0));
    assert_eq!(cost(&world, &agent, v1::Pwrite { id, offset: 90, data: vec![1; 10].into() }).await, (60, 0));
    assert_eq!(cost(&world, &agent, v1::Ftruncate { id, length: 50 }).await, (-50, 0));
    // Whoever writes into it, it is the maker's; and stays so without a name until it is closed.
    assert_eq!(cost(&world, &other, append("/home/a", 8)).await, (0, 0));
    assert_eq!(cost(&world, &agent, delete("/home/a")).await, (0, 0));
    assert_eq!(charged(&world, &agent).await, (58, 1));
    assert_eq!(cost(&world, &agent, v1::Close { id }).await, (-58, -1));

    let mut upload = within(world.kernel.begin_upload(&agent, "/home/up", Existing::Replace)).await.unwrap();
    within(upload.write(vec![1; 300].into())).await.unwrap();
    assert_eq!(charged(&world, &agent).await, (300, 1), "what is staged is there");
    within(upload.commit()).await.unwrap();
    assert_eq!(charged(&world, &agent).await, (300, 1));
    let upload =
        within(world.kernel.begin_upload(&agent, "/home/given_up", Existing::Replace)).await.unwrap();
    drop(upload);
    let pid = agent.pid().0;
    until("what was given up is given back", || {
        let told =
            world.kernel.invoke_blocking(&world.kernel.init(), v1::GetProcessMemoryStats { pid }.into());
        matches!(told, Ok(v1::reply::Reply::GetProcessMemoryStats(told)) if told.file_nodes == 1)
    })
    .await;

    for path in ["/home/lower", "/home/over"] {
        world.call(&agent, mkdir(path)).await.unwrap();
    }
    world.call(&agent, write("/home/lower/x", [1; 200])).await.unwrap();
    let sources = vec![MountSource { path: "/home/lower".into(), ..Default::default() }];
    let overlay = v1::Mount { kind: MountKind::Overlay.into(), sources, ..mount("/home/over") };
    world.call(&agent, overlay).await.unwrap();
    assert_eq!(cost(&world, &other, append("/home/over/x", 1)).await, (201, 1), "the copy is its maker's");
    world.clear().await;
}

#[tokio::test]
async fn what_a_process_may_have_is_bounded_and_the_next_byte_is_refused() {
    let log = Log::default();
    let limits = Limits { file_bytes_per_process: 1_000, file_nodes_per_process: 4, ..Limits::default() };
    let world = World::built(limits, LinuxSpawner::new().unwrap(), |builder| builder.observer(log.clone()));
    let (agent, other) = (world.agent(OPEN).await, world.agent(OPEN).await);
    let told = |name| {
        let area = Area { pid: Some(agent.pid()), name };
        let of = |event: &Event| match event {
            Event::Pressure { area: about, is_high, .. } if *about == area => Some(*is_high),
            _ => None,
        };
        log.0.lock().unwrap().iter().filter_map(of).collect::<Vec<_>>()
    };
    let refused = async |call: v1::call::Call| {
        let error = within(world.kernel.invoke(&agent, call)).await.unwrap_err();
        match error.cause.as_deref() {
            Some(Cause::Limit { name: "filesystem_quota", used, max }) => (error.errno, *used, *max),
            _ => panic!("{error:?}"),
        }
    };
    world.call(&agent, write("/home/a", [1; 990])).await.unwrap();
    until("it is told", || told("files") == [true]).await;
    assert_eq!(refused(append("/home/a", 11).into()).await, (Errno::EDQUOT, 990, 1_000));
    assert_eq!(refused(write("/home/b", [1; 11]).into()).await, (Errno::EDQUOT, 990, 1_000));
    assert!(!world.call(&agent, common::exists("/home/b")).await.unwrap().exists, "nothing is left of it");
    world.call(&agent, append("/home/a", 10)).await.unwrap();
    // Others have room of their own, and so has the host's disk.
    world.call(&other, write("/home/other", [1; 1_000])).await.unwrap();
    world.call(&agent, write("/data/large", [1; 5_000])).await.unwrap();
    world.call(&agent, mkdir("/home/d/e/f")).await.unwrap();
    assert_eq!(refused(mkdir("/home/g").into()).await, (Errno::EDQUOT, 4, 4));
    until("that is told, too", || told("file_nodes") == [true]).await;

    let usage = world.call(&agent, v1::GetResourceUsage { pid: 0 }).await.unwrap();
    let of = |name: &str| usage.resources.iter().find(|it| it.name == name).map(|it| (it.used, it.max));
    assert_eq!(of("file_bytes"), Some((1_000, Some(1_000))));
    assert_eq!(of("file_nodes"), Some((4, Some(4))));
    world.call(&agent, delete("/home/a")).await.unwrap();
    world.call(&agent, remove("/home/d", true)).await.unwrap();
    until("and the end of both", || told("files") == [true, false] && told("file_nodes") == [true, false])
        .await;
    // Process 1 is bound by the filesystems alone.
    let init = world.kernel.init();
    world.call(&init, write("/home/large", [1; 100_000])).await.unwrap();
    let usage = world.call(&init, v1::GetResourceUsage { pid: 0 }).await.unwrap();
    assert!(
        usage.resources.iter().any(|it| it.name == "file_bytes" && it.used == 100_000 && it.max.is_none())
    );
}

#[tokio::test]
async fn who_made_a_process_pays_for_the_files_it_leaves() {
    let limits = Limits { file_bytes_per_process: 1_000, ..Limits::default() };
    let world = World::with(limits, LinuxSpawner::new().unwrap());
    let init = world.kernel.init();
    let maker = world.agent(&["fs.read:/**", "fs.write:/**", "proc.spawn:/**"]).await;
    let end = async |who: &Caller| {
        world.call(&init, v1::KillProcess { pid: who.pid().0, tree: true }).await.unwrap();
    };
    // What they leave counts against who makes them, who in the end makes nobody any more.
    for round in 0..3 {
        let child = world.child(&maker, &["fs.read:/**", "fs.write:/**"]).await;
        world.call(&child, write(&format!("/home/{round}"), [1; 400])).await.unwrap();
        assert_eq!(charged(&world, &child).await, (400, 1));
        end(&child).await;
        assert_eq!(charged(&world, &child).await, (0, 0), "the ended have nothing");
        assert_eq!(charged(&world, &maker).await, (400 * (round + 1), round + 1));
    }
    assert_eq!(world.errno(&maker, write("/home/own", [1; 1])).await, Errno::EDQUOT);
    let born = || within(world.kernel.create_process(&maker, v1::CreateProcessRequest::default()));
    let refused = born().await.unwrap_err();
    assert_eq!(refused.errno, Errno::EDQUOT);
    assert!(matches!(
        refused.cause.as_deref(),
        Some(Cause::Limit { name: "file_bytes", used: 1_200, max: 1_000 })
    ));
    let program = v1::SpawnProcess { program: "/usr/bin/true".into(), ..Default::default() };
    assert_eq!(world.errno(&maker, program).await, Errno::EDQUOT);
    // Whoever removes one gives back what its heir is charged with.
    world.call(&init, delete("/home/0")).await.unwrap();
    assert_eq!(charged(&world, &maker).await, (800, 2));
    // With its maker's end it goes on to the next who lives; a child of the maker ends with it.
    assert!(born().await.is_ok());
    let child = world.child(&maker, &["fs.read:/**", "fs.write:/**"]).await;
    world.call(&child, write("/home/last", [1; 50])).await.unwrap();
    let before = charged(&world, &init).await;
    end(&maker).await;
    assert_eq!(charged(&world, &init).await, (before.0 + 850, before.1 + 3));
    for path in ["/home/1", "/home/2", "/home/last"] {
        world.call(&init, delete(path)).await.unwrap();
    }
    assert_eq!(charged(&world, &init).await, before);
}

#[tokio::test]
async fn what_snapshots_keep_stays_on_the_account_of_who_made_it() {
    let world = World::start();
    let agent = world.agent(OPEN).await;
    world.call(&agent, mkdir("/home/at")).await.unwrap();
    world.call(&agent, mount("/home/at")).await.unwrap();
    world.call(&agent, write("/home/at/x", [1; 100])).await.unwrap();
    let snapshot = v1::Snapshot { path: "/home/at".into(), ..Default::default() };
    let id = world.call(&agent, snapshot).await.unwrap().id;
    assert_eq!(cost(&world, &agent, write("/home/at/x", [2; 30])).await, (30, 0));
    assert_eq!(cost(&world, &agent, delete("/home/at/x")).await, (0, 0), "both are still there");
    let restore = v1::RestoreSnapshot { id };
    world.call(&agent, restore).await.unwrap();
    world.call(&agent, v1::DropSnapshot { id }).await.unwrap();
    // The directory it is mounted on, and what was restored.
    assert_eq!(charged(&world, &agent).await, (100, 2));
    world.clear().await;
}

#[tokio::test]
async fn names_of_nobodys_files_are_bounded_too() {
    let world = World::start();
    let init = world.kernel.init();
    world.call(&init, write("/home/one", [])).await.unwrap();
    let mut names = 1;
    let refused = loop {
        let link = v1::Link { from: "/home/one".into(), to: format!("/home/{names}"), ..Default::default() };
        match world.call(&init, link).await {
            Ok(_) => names += 1,
            Err(error) => break error.errno,
        }
        assert!(names <= 1_024, "one for each KiB");
    };
    assert_eq!(refused, Errno::ENOSPC);
    assert!(names > 1_000);
}
