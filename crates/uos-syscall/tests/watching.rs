//! Watches: who is told of which change, when, and what becomes of a watch.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use common::{World, copy, give_up, link, missing, mkdir, move_file, remove, symlink, watch, within, write};
use uos_proc::LinuxSpawner;
use uos_proto::v1::{self, HandleKind, MoveFlags};
use uos_syscall::{Caller, Errno, Limits};

const OPEN: &[&str] = &["fs.read:/data/**", "fs.write:/data/**", "fs.read:/home/**", "fs.write:/home/**"];

fn tree(path: &str) -> v1::Watch {
    v1::Watch { recursive: true, ..watch(path) }
}

fn read(id: u64) -> v1::ReadWatch {
    v1::ReadWatch { id, timeout_us: Some(0), ..Default::default() }
}

fn delete(path: &str) -> v1::DeleteFile {
    v1::DeleteFile { path: path.to_owned(), ..Default::default() }
}

/// What has come, in short: the change, its paths, and `/` for a directory.
async fn heard(world: &World, who: &Caller, id: u64) -> Vec<String> {
    let short = |it: &v1::Watched| {
        let change = format!("{:?}", it.change()).to_lowercase();
        let to = if it.to.is_empty() { String::new() } else { format!(" {}", it.to) };
        format!("{change} {}{to}{}", it.path, if it.directory { "/" } else { "" })
    };
    match world.call(who, read(id)).await {
        Ok(reply) => {
            assert!(!reply.overflow);
            reply.changes.iter().map(short).collect()
        }
        Err(error) => {
            assert_eq!(error.errno, Errno::ETIMEDOUT, "{error}");
            Vec::new()
        }
    }
}

async fn begin(world: &World, who: &Caller, what: v1::Watch) -> u64 {
    world.call(who, what).await.unwrap().id
}

#[tokio::test]
async fn every_change_is_told_once_in_order_to_whom_it_concerns() {
    let world = World::start();
    let agent = world.agent(OPEN).await;
    for base in ["/data", "/home"] {
        let at = |name: &str| format!("{base}/{name}");
        world.call(&agent, mkdir(&at("in/sub"))).await.unwrap();
        world.call(&agent, write(&at("in/old"), "")).await.unwrap();
        world.call(&agent, symlink("in", &at("way"))).await.unwrap();
        // By way of a link, which is followed.
        let made = world.call(&agent, watch(&at("way"))).await.unwrap();
        assert_eq!(made.path, at("in"));
        let (near, deep) = (made.id, begin(&world, &agent, tree(&at("in"))).await);
        let file = begin(&world, &agent, watch(&at("in/old"))).await;
        let aside = begin(&world, &agent, tree(&at("in/sub"))).await;

        world.call(&agent, write(&at("in/new"), "x")).await.unwrap();
        world.call(&agent, write(&at("way/old"), "x")).await.unwrap();
        world.call(&agent, write(&at("in/sub/deep"), "x")).await.unwrap();
        world.call(&agent, write(&at("out"), "x")).await.unwrap();
        let chmod = v1::Chmod { path: at("in/old"), mode: 0o600, ..Default::default() };
        world.call(&agent, chmod).await.unwrap();
        world.call(&agent, move_file(&at("in/new"), &at("in/sub/moved"))).await.unwrap();
        world.call(&agent, move_file(&at("out"), &at("in/come"))).await.unwrap();
        world.call(&agent, move_file(&at("in/come"), &at("gone"))).await.unwrap();
        world.call(&agent, link(&at("in/old"), &at("in/name"))).await.unwrap();
        world.call(&agent, copy(&at("in/old"), &at("in/copy"))).await.unwrap();
        world.call(&agent, delete(&at("in/old"))).await.unwrap();
        world.call(&agent, delete(&at("in/sub/deep"))).await.unwrap();
        world.call(&agent, remove(&at("in/sub"), true)).await.unwrap();

        let expected = |all: &[&str]| -> Vec<String> { all.iter().map(|it| it.replace("@", base)).collect() };
        assert_eq!(
            heard(&world, &agent, near).await,
            expected(&[
                "created @/in/new",
                "written @/in/old",
                "attributes @/in/old",
                "removed @/in/new",
                "created @/in/come",
                "removed @/in/come",
                "created @/in/name",
                "created @/in/copy",
                "removed @/in/old",
                "removed @/in/sub/",
            ])
        );
        assert_eq!(
            heard(&world, &agent, deep).await,
            expected(&[
                "created @/in/new",
                "written @/in/old",
                "created @/in/sub/deep",
                "attributes @/in/old",
                "moved @/in/new @/in/sub/moved",
                "created @/in/come",
                "removed @/in/come",
                "created @/in/name",
                "created @/in/copy",
                "removed @/in/old",
                "removed @/in/sub/deep",
                "removed @/in/sub/moved",
                "removed @/in/sub/",
            ])
        );
        assert_eq!(
            heard(&world, &agent, file).await,
            expected(&["written @/in/old", "attributes @/in/old", "removed @/in/old"])
        );
        assert_eq!(
            heard(&world, &agent, aside).await,
            expected(&[
                "created @/in/sub/deep",
                "created @/in/sub/moved",
                "removed @/in/sub/deep",
                "removed @/in/sub/moved",
                "removed @/in/sub/",
            ])
        );
        for id in [near, deep, file, aside] {
            assert_eq!(heard(&world, &agent, id).await, Vec::<String>::new(), "each is told once");
            world.call(&agent, v1::Unwatch { id }).await.unwrap();
        }
    }
}

#[tokio::test]
async fn what_is_watched_goes_with_the_directory_above_it() {
    let world = World::start();
    let agent = world.agent(OPEN).await;
    world.call(&agent, mkdir("/data/a/b/c")).await.unwrap();
    world.call(&agent, mkdir("/data/ab/b")).await.unwrap();
    world.call(&agent, mkdir("/data/x")).await.unwrap();
    let inner = begin(&world, &agent, tree("/data/a/b")).await;
    let other = begin(&world, &agent, tree("/data/ab/b")).await;
    world.call(&agent, move_file("/data/a", "/data/z")).await.unwrap();
    assert_eq!(heard(&world, &agent, inner).await, ["removed /data/a/b/"]);
    // It is the path that is watched, and hears of what is there next.
    world.call(&agent, mkdir("/data/a/b")).await.unwrap();
    world.call(&agent, write("/data/z/b/x", "")).await.unwrap();
    assert_eq!(heard(&world, &agent, inner).await, ["created /data/a/b/"]);
    let swap = v1::MoveFile { flags: MoveFlags::Exchange.into(), ..move_file("/data/a/b", "/data/x") };
    world.call(&agent, swap).await.unwrap();
    assert_eq!(heard(&world, &agent, inner).await, ["removed /data/a/b/", "created /data/a/b/"]);
    assert_eq!(heard(&world, &agent, other).await, Vec::<String>::new());
}

#[tokio::test]
async fn nothing_is_told_of_what_the_one_who_watches_may_not_read() {
    let world = World::start();
    let init = world.kernel.init();
    for name in ["in/mine/x", "in/foreign/x"] {
        world.put(name, "");
    }
    let agent =
        world.agent(&["fs.read:/data/in", "fs.read:/data/in/mine/**", "fs.read:/data/in/*.txt"]).await;
    let id = begin(&world, &agent, tree("/data/in")).await;
    for (from, to) in [("mine/x", "foreign/y"), ("foreign/x", "mine/y"), ("foreign/y", "foreign/z")] {
        world.call(&init, move_file(&format!("/data/in/{from}"), &format!("/data/in/{to}"))).await.unwrap();
    }
    for name in ["foreign/new", "plain", "some.txt", "mine/new"] {
        world.call(&init, write(&format!("/data/in/{name}"), "")).await.unwrap();
    }
    assert_eq!(
        heard(&world, &agent, id).await,
        [
            "removed /data/in/mine/x",
            "created /data/in/mine/y",
            "created /data/in/some.txt",
            "created /data/in/mine/new"
        ]
    );

    // What came while it might be read is not told any more when it may not.
    world.call(&init, write("/data/in/mine/new", "x")).await.unwrap();
    world.call(&init, write("/data/in/some.txt", "x")).await.unwrap();
    world.set_grants(&agent, &["fs.read:/data/in", "fs.read:/data/in/*.txt"]);
    assert_eq!(heard(&world, &agent, id).await, ["written /data/in/some.txt"]);
    world.set_grants(&agent, &["fs.read:/data/in/*.txt"]);
    let error = world.call(&agent, read(id)).await.unwrap_err();
    assert_eq!(missing(&error), "fs.read:/data/in");
    let listed = world.call(&agent, v1::ListHandles::default()).await.unwrap().handles;
    assert_eq!(
        (listed[0].kind(), &*listed[0].opened, listed[0].revoked),
        (HandleKind::Watch, "/data/in", true)
    );
    // Giving it up is free.
    world.call(&agent, v1::Unwatch { id }).await.unwrap();

    let stranger = world.agent(&["fs.read:/data/other/**"]).await;
    for name in ["in", "none", "in/plain"] {
        let error = world.call(&stranger, watch(&format!("/data/{name}"))).await.unwrap_err();
        assert_eq!(missing(&error), format!("fs.read:/data/{name}"));
    }
}

#[tokio::test]
async fn one_who_is_slow_loses_changes_and_is_told_so() {
    let world = World::start();
    let agent = world.agent(OPEN).await;
    let id = begin(&world, &agent, v1::Watch { capacity_bytes: 1_100, ..watch("/home") }).await;
    for number in 0..9 {
        world.call(&agent, write(&format!("/home/{number}"), "")).await.unwrap();
    }
    let reply = world.call(&agent, v1::ReadWatch { max_changes: 2, ..read(id) }).await.unwrap();
    assert_eq!((reply.changes.len(), reply.overflow), (2, false), "there was room for so many");
    for number in 0..30 {
        world.call(&agent, write(&format!("/home/{number}"), "x")).await.unwrap();
    }
    let reply = world.call(&agent, read(id)).await.unwrap();
    assert_eq!((reply.changes.len(), reply.overflow), (0, true));
    world.call(&agent, write("/home/last", "")).await.unwrap();
    assert_eq!(heard(&world, &agent, id).await, ["created /home/last"], "from then on all is told again");
    // Many of the same in a row are one.
    for _ in 0..1_000 {
        world.call(&agent, write("/home/last", "x")).await.unwrap();
    }
    assert_eq!(heard(&world, &agent, id).await, ["written /home/last"]);
}

#[tokio::test]
async fn waiting_ends_with_a_change_with_the_handle_and_with_the_caller() {
    let world = World::start();
    let agent = world.agent(&[OPEN, &["proc.spawn:/**"]].concat()).await;
    let id = begin(&world, &agent, watch("/home")).await;
    let wait = || v1::ReadWatch { id, ..Default::default() };
    let (waited, written) =
        tokio::join!(world.call(&agent, wait()), world.call(&agent, write("/home/x", "")));
    written.unwrap();
    assert_eq!(waited.unwrap().changes[0].pid, agent.pid().0);

    // Given up, it has taken nothing; another handle is served as well.
    assert!(give_up(world.kernel.invoke(&agent, wait().into())).await.is_none());
    let poll = v1::Poll { handles: vec![v1::PollHandle { id, read: true, write: false }], timeout_us: None };
    let (polled, _) = tokio::join!(world.call(&agent, poll), world.call(&agent, write("/home/y", "")));
    assert_eq!(polled.unwrap().ready.len(), 1);
    assert_eq!(heard(&world, &agent, id).await, ["created /home/y"]);

    // One who gets it passed hears by the right of the one who made it.
    let child = world.child(&agent, &[]).await;
    world.call(&agent, v1::PassHandle { pid: child.pid().0, id, rights: vec![] }).await.unwrap();
    let (waited, closed) = tokio::join!(world.call(&agent, wait()), world.call(&agent, v1::Unwatch { id }));
    closed.unwrap();
    assert_eq!(waited.unwrap_err().errno, Errno::EBADF);
    world.call(&agent, write("/home/z", "")).await.unwrap();
    assert_eq!(heard(&world, &child, id).await, ["created /home/z"]);

    let end = v1::KillProcess { pid: child.pid().0, tree: true };
    let init = world.kernel.init();
    let (waited, ended) = tokio::join!(world.call(&child, wait()), world.call(&init, end));
    ended.unwrap();
    assert_eq!(waited.unwrap_err().errno, Errno::ESRCH);
    for id in [id, 0, u64::MAX] {
        assert_eq!(world.errno(&agent, read(id)).await, Errno::EBADF);
        assert_eq!(world.errno(&agent, v1::Unwatch { id }).await, Errno::EBADF);
    }
    let pipe = world.call(&world.kernel.init(), v1::CreatePipe::default()).await.unwrap().id;
    assert_eq!(world.errno(&world.kernel.init(), read(pipe)).await, Errno::EBADF);
}

#[tokio::test]
async fn watches_are_counted_and_leave_nothing_behind() {
    let limits = Limits { queue_bytes_per_process: 200 << 10, ..Limits::default() };
    let world = World::with(limits, LinuxSpawner::new().unwrap());
    let before = world.kernel.in_use();
    let agent = world.agent(OPEN).await;
    world.put("file", "");
    for (path, errno) in [
        ("/data/none", Errno::ENOENT),
        ("/data/file/x", Errno::ENOTDIR),
        ("", Errno::ENOENT),
        ("/data/a\0b", Errno::EINVAL),
    ] {
        assert_eq!(world.errno(&agent, watch(path)).await, errno, "{path:?}");
    }
    let huge = v1::Watch { capacity_bytes: (512 << 10) + 1, ..watch("/data") };
    assert_eq!(world.errno(&agent, huge).await, Errno::EINVAL);
    let mut watches = Vec::new();
    for _ in 0..3 {
        watches.push(begin(&world, &agent, tree("/data")).await);
    }
    assert_eq!(world.errno(&agent, tree("/data")).await, Errno::EDQUOT);
    world.call(&agent, v1::Unwatch { id: watches[0] }).await.unwrap();
    begin(&world, &agent, tree("/data/file")).await;
    let end = v1::KillProcess { pid: agent.pid().0, tree: true };
    within(world.kernel.invoke(&world.kernel.init(), end.into())).await.unwrap();
    assert_eq!(world.kernel.in_use(), before);
    world.call(&world.kernel.init(), write("/data/file", "x")).await.unwrap();
}
