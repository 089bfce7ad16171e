//! Mount, Unmount and ListMounts: what is seen where, by whom, and what a mount may not lend.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use common::{Log, World, exists, link, list, missing, mkdir, mount, move_file, read, remove, watch, write};
use tempfile::TempDir;
use uos_proc::LinuxSpawner;
use uos_proto::v1::{self, MountKind, MountSource};
use uos_syscall::{Caller, Cause, Errno, FileChange, Limits};

const ADMIN: &[&str] =
    &["fs.read:/data/**", "fs.write:/data/**", "fs.read:/home/**", "fs.write:/home/**", "fs.admin"];

fn of(kind: MountKind, path: &str, sources: &[&str]) -> v1::Mount {
    let source = |path: &&str| MountSource { path: (*path).to_owned(), ..Default::default() };
    let sources = sources.iter().map(source).collect();
    v1::Mount { path: path.to_owned(), kind: kind.into(), sources, ..Default::default() }
}

fn bind(source: &str, path: &str) -> v1::Mount {
    of(MountKind::Bind, path, &[source])
}

fn unmount(path: &str) -> v1::Unmount {
    v1::Unmount { path: path.to_owned(), ..Default::default() }
}

async fn content(world: &World, who: &Caller, path: &str) -> String {
    String::from_utf8(world.call(who, read(path)).await.unwrap().data.to_vec()).unwrap()
}

async fn names(world: &World, who: &Caller, path: &str) -> Vec<String> {
    let listed = world.call(who, list(path)).await.unwrap();
    let mut names: Vec<_> = listed.entries.into_iter().map(|entry| entry.name).collect();
    names.sort();
    names
}

#[tokio::test]
async fn memory_is_mounted_up_to_its_capacity_and_gone_when_it_is_not() {
    let log = Log::default();
    let world = World::observed(LinuxSpawner::new().unwrap(), log.clone());
    let admin = world.agent(ADMIN).await;
    world.put("at/covered", "of the host");
    let before = world.kernel.in_use();
    world.call(&admin, mount("/data/at")).await.unwrap();
    assert_eq!(log.changes(&admin), [(FileChange::Written, "/data/at".to_owned(), true)]);
    assert_eq!(names(&world, &admin, "/data/at").await, Vec::<String>::new());
    world.call(&admin, write("/data/at/in-memory", "x")).await.unwrap();
    assert_eq!(names(&world, &admin, "/data/at").await, ["in-memory"]);
    assert_eq!(world.seen("at/covered"), "of the host");
    assert_eq!(world.host.path().join("at").read_dir().unwrap().count(), 1, "nothing of it is on the host");
    assert_eq!(world.errno(&admin, write("/data/at/large", vec![0; 1 << 20])).await, Errno::ENOSPC);
    // Nor are there more files than go with the bytes.
    let mut made = 0;
    while world.call(&admin, mkdir(&format!("/data/at/{made}"))).await.is_ok() {
        made += 1;
        assert!(made < 2_000);
    }
    assert!(made > 1_000, "{made}");

    let listed = world.call(&admin, v1::ListMounts {}).await.unwrap().mounts;
    let ours = listed.iter().find(|it| it.path == "/data/at").unwrap();
    assert_eq!((ours.kind(), ours.by_call, ours.mounted_by), (MountKind::Memory, true, admin.pid().0));
    let kinds: Vec<_> =
        ["/", "/data", "/home"].map(|path| listed.iter().find(|it| it.path == path).unwrap()).into();
    assert_eq!(
        kinds.iter().map(|it| it.kind()).collect::<Vec<_>>(),
        [MountKind::Memory, MountKind::Host, MountKind::Memory]
    );
    assert!(kinds.iter().all(|it| !it.by_call && it.mounted_by == 0));
    assert!(listed.iter().find(|it| it.path == "/usr").unwrap().read_only);

    log.changes(&admin);
    world.call(&admin, unmount("/data/at")).await.unwrap();
    assert_eq!(log.changes(&admin), [(FileChange::Written, "/data/at".to_owned(), true)]);
    assert_eq!(content(&world, &admin, "/data/at/covered").await, "of the host");
    assert_eq!(world.kernel.in_use(), before);
}

#[tokio::test]
async fn a_bound_directory_is_the_same_one_in_a_second_place() {
    let world = World::start();
    let admin = world.agent(ADMIN).await;
    world.put("source/file", "one");
    world.call(&admin, mkdir("/home/view")).await.unwrap();
    world.call(&admin, mkdir("/home/only")).await.unwrap();
    world.call(&admin, bind("/data/source", "/home/view")).await.unwrap();
    world.call(&admin, v1::Mount { read_only: true, ..bind("/data/source", "/home/only") }).await.unwrap();
    world.call(&admin, write("/home/view/file", "two")).await.unwrap();
    assert_eq!(world.seen("source/file"), "two");
    assert_eq!(content(&world, &admin, "/home/only/file").await, "two");
    for call in [write("/home/only/file", "three"), write("/home/only/new", "")] {
        assert_eq!(world.errno(&admin, call).await, Errno::EROFS);
    }
    assert_eq!(world.errno(&admin, remove("/home/view", true)).await, Errno::EBUSY);
    assert_eq!(world.errno(&admin, move_file("/home/view", "/home/x")).await, Errno::EBUSY);
    assert_eq!(world.errno(&admin, link("/home/view/file", "/data/source/name")).await, Errno::EXDEV);
    // What is read-only stays so in every place.
    world.call(&admin, mkdir("/home/again")).await.unwrap();
    world.call(&admin, bind("/home/only", "/home/again")).await.unwrap();
    assert_eq!(world.errno(&admin, write("/home/again/file", "x")).await, Errno::EROFS);
    for path in ["/home/again", "/home/only", "/home/view"] {
        world.call(&admin, unmount(path)).await.unwrap();
    }
    assert_eq!(world.seen("source/file"), "two");
}

#[tokio::test]
async fn a_bind_may_have_a_limit_of_its_own() {
    let world = World::start();
    let admin = world.agent(ADMIN).await;
    world.put("source/there", "12345");
    world.call(&admin, mkdir("/home/view")).await.unwrap();
    let limited = v1::Mount { limit_bytes: 10, limit_nodes: 4, ..bind("/data/source", "/home/view") };
    world.call(&admin, limited).await.unwrap();
    world.call(&admin, write("/home/view/new", "12345")).await.unwrap();
    let error = world.call(&admin, write("/home/view/new", "123456")).await.unwrap_err();
    assert_eq!(error.errno, Errno::EDQUOT);
    assert!(matches!(error.cause.as_deref(), Some(Cause::Limit { name: "filesystem_quota", max: 10, .. })));
    assert_eq!(world.seen("source/new"), "12345");
    world.call(&admin, mkdir("/home/view/one")).await.unwrap();
    assert_eq!(world.errno(&admin, mkdir("/home/view/two")).await, Errno::EDQUOT);
    assert!(!world.host.path().join("source/two").exists());
}

#[tokio::test]
async fn directories_are_laid_over_each_other_and_stay_as_they_are() {
    let world = World::start();
    let admin = world.agent(ADMIN).await;
    for (name, text) in [("low/a", "low"), ("low/b", "low"), ("high/b", "high"), ("high/c", "high")] {
        world.put(name, text);
    }
    world.call(&admin, mkdir("/home/over")).await.unwrap();
    let over = of(MountKind::Overlay, "/home/over", &["/data/high", "/data/low"]);
    world.call(&admin, v1::Mount { capacity_bytes: 1 << 16, ..over.clone() }).await.unwrap();
    assert_eq!(names(&world, &admin, "/home/over").await, ["a", "b", "c"]);
    assert_eq!(content(&world, &admin, "/home/over/b").await, "high");
    world.call(&admin, write("/home/over/a", "changed")).await.unwrap();
    world.call(&admin, v1::DeleteFile { path: "/home/over/c".into(), ..Default::default() }).await.unwrap();
    assert_eq!(names(&world, &admin, "/home/over").await, ["a", "b"]);
    assert_eq!(content(&world, &admin, "/home/over/a").await, "changed");
    assert_eq!((world.seen("low/a"), world.seen("high/c")), ("low".to_owned(), "high".to_owned()));
    assert_eq!(world.errno(&admin, write("/home/over/large", vec![0; 1 << 17])).await, Errno::ENOSPC);
    world.call(&admin, unmount("/home/over")).await.unwrap();
    // Or taking no changes at all.
    world.call(&admin, v1::Mount { read_only: true, ..over }).await.unwrap();
    assert_eq!(content(&world, &admin, "/home/over/a").await, "low");
    assert_eq!(world.errno(&admin, write("/home/over/a", "x")).await, Errno::EROFS);
}

#[tokio::test]
async fn only_process_1_mounts_folders_of_the_host_and_takes_away_what_was_configured() {
    let world = World::start();
    let (init, admin) =
        (world.kernel.init(), world.agent(&["fs.read:/**", "fs.write:/**", "fs.admin"]).await);
    let secret = TempDir::new().unwrap();
    std::fs::write(secret.path().join("file"), "secret").unwrap();
    world.call(&admin, mkdir("/home/at")).await.unwrap();
    let host_path = secret.path().to_str().unwrap().to_owned();
    let host = v1::Mount { host_path, ..of(MountKind::Host, "/home/at", &[]) };
    assert_eq!(world.errno(&admin, host.clone()).await, Errno::EPERM);
    assert_eq!(names(&world, &admin, "/home/at").await, Vec::<String>::new());
    for path in ["/usr", "/home", "/data", "/tmp"] {
        assert_eq!(world.errno(&admin, unmount(path)).await, Errno::EPERM, "{path}");
    }
    assert_eq!(world.errno(&admin, unmount("/")).await, Errno::EBUSY);
    assert_eq!(world.errno(&init, unmount("/")).await, Errno::EBUSY);

    world.call(&init, host.clone()).await.unwrap();
    assert_eq!(content(&world, &admin, "/home/at/file").await, "secret");
    assert_eq!(world.errno(&init, unmount("/home")).await, Errno::EBUSY, "something is mounted below");
    // What process 1 has mounted by a call, a call may take away.
    world.call(&admin, unmount("/home/at")).await.unwrap();
    world.call(&init, unmount("/data")).await.unwrap();
    assert_eq!(names(&world, &admin, "/data").await, Vec::<String>::new());
    for (host_path, errno) in
        [("/none/at/all", Errno::ENOENT), ("relative", Errno::EINVAL), ("", Errno::EINVAL)]
    {
        let odd = v1::Mount { host_path: host_path.to_owned(), ..host.clone() };
        assert_eq!(world.errno(&init, odd).await, errno, "{host_path:?}");
    }
}

#[tokio::test]
async fn a_mount_lends_no_right_and_says_nothing_of_what_is_foreign() {
    let world = World::start();
    for name in ["own/a/x", "own/b/x", "foreign/x", "foreign/dir/x"] {
        world.put(name, "");
    }
    let own = ["fs.read:/data/own/**", "fs.write:/data/own/**"];
    let with = |more: &[&'static str]| [&own[..], more].concat();
    let at = "/data/own/a";
    for (grants, call, right) in [
        (with(&[]), mount(at), "fs.admin"),
        (with(&[]), mount("/data/foreign"), "fs.admin"),
        (with(&["fs.admin"]), mount("/data/foreign"), "fs.write:/data/foreign"),
        (with(&["fs.admin"]), mount("/data/foreign/none"), "fs.write:/data/foreign/none"),
        (with(&["fs.admin"]), mount("/data"), "fs.write:/data"),
        (with(&["fs.admin"]), bind("/data/foreign", at), "fs.read:/data/foreign"),
        (with(&["fs.admin"]), bind("/data/foreign/none", at), "fs.read:/data/foreign/none"),
        (with(&["fs.admin", "fs.read:/data/foreign"]), bind("/data/foreign", at), "fs.read:/data/foreign/**"),
        (
            with(&["fs.admin", "fs.read:/data/foreign/**"]),
            bind("/data/foreign", at),
            "fs.write:/data/foreign",
        ),
        (
            with(&["fs.admin", "fs.read:/data/foreign/**", "fs.write:/data/foreign"]),
            bind("/data/foreign", at),
            "fs.write:/data/foreign/**",
        ),
        (
            with(&["fs.admin"]),
            of(MountKind::Overlay, at, &["/data/own/b", "/data/foreign/dir"]),
            "fs.read:/data/foreign/dir",
        ),
        (vec!["fs.admin", "fs.write:/data/own/a"], mount(at), "fs.write:/data/own/a/**"),
    ] {
        let agent = world.agent(&grants).await;
        let error = world.call(&agent, call.clone()).await.unwrap_err();
        assert_eq!(missing(&error), right, "{call:?}");
    }
    let admin = world.agent(&with(&["fs.admin", "fs.read:/data/foreign/**"])).await;
    for (path, right) in
        [("/data/foreign", "fs.write:/data/foreign"), ("/data/foreign/none", "fs.write:/data/foreign/none")]
    {
        assert_eq!(missing(&world.call(&admin, unmount(path)).await.unwrap_err()), right);
    }
    // To look at what one may look at anyway is enough where nothing can be changed by it.
    world.call(&admin, v1::Mount { read_only: true, ..bind("/data/foreign", at) }).await.unwrap();
    assert_eq!(names(&world, &admin, at).await, ["dir", "x"]);
    assert_eq!(world.errno(&admin, write("/data/own/a/x", "broken in")).await, Errno::EROFS);
    let agent = world.agent(&own).await;
    assert_eq!(missing(&world.call(&agent, unmount(at)).await.unwrap_err()), "fs.admin");
    assert_eq!(missing(&world.call(&agent, v1::ListMounts {}).await.unwrap_err()), "fs.admin");
}

#[tokio::test]
async fn what_makes_no_sense_mounts_nothing() {
    let world = World::start();
    let admin = world.agent(ADMIN).await;
    world.put("file", "");
    world.put("at/x", "");
    let before = (world.kernel.in_use(), world.call(&admin, v1::ListMounts {}).await.unwrap().mounts.len());
    let memory = || mount("/data/at");
    let (many, two) = (vec!["/data/at"; 17], ["/data/at", "/data/at"]);
    for (call, errno) in [
        (mount("/data/none"), Errno::ENOENT),
        (mount(""), Errno::ENOENT),
        (mount("/data/file"), Errno::ENOTDIR),
        (mount("/data/a\0"), Errno::EINVAL),
        (mount("/data"), Errno::EBUSY),
        (v1::Mount { kind: 0, ..memory() }, Errno::EINVAL),
        (v1::Mount { kind: 99, ..memory() }, Errno::EINVAL),
        (v1::Mount { kind: -1, ..memory() }, Errno::EINVAL),
        (v1::Mount { limit_bytes: 1, ..memory() }, Errno::EINVAL),
        (v1::Mount { host_path: "/".into(), ..memory() }, Errno::EINVAL),
        (v1::Mount { capacity_bytes: u64::MAX, ..memory() }, Errno::EDQUOT),
        (v1::Mount { capacity_bytes: 1, ..bind("/data/at", "/data/at") }, Errno::EINVAL),
        (of(MountKind::Memory, "/data/at", &["/data/at"]), Errno::EINVAL),
        (of(MountKind::Bind, "/data/at", &[]), Errno::EINVAL),
        (of(MountKind::Bind, "/data/at", &two), Errno::EINVAL),
        (of(MountKind::Overlay, "/data/at", &[]), Errno::EINVAL),
        (of(MountKind::Overlay, "/data/at", &many), Errno::EINVAL),
        (bind("/data/none", "/data/at"), Errno::ENOENT),
        (bind("/data/file", "/data/at"), Errno::ENOTDIR),
        (of(MountKind::Overlay, "/data/at", &["/data/file"]), Errno::ENOTDIR),
    ] {
        assert_eq!(world.errno(&admin, call.clone()).await, errno, "{call:?}");
    }
    for (path, errno) in [
        ("/data/at", Errno::EINVAL),
        ("/data/file", Errno::EINVAL),
        ("/data/none", Errno::ENOENT),
        ("", Errno::ENOENT),
    ] {
        assert_eq!(world.errno(&admin, unmount(path)).await, errno, "{path}");
    }
    let after = (world.kernel.in_use(), world.call(&admin, v1::ListMounts {}).await.unwrap().mounts.len());
    assert_eq!(before, after);
    // On itself it can be bound, once.
    world.call(&admin, bind("/data/at", "/data/at")).await.unwrap();
    assert_eq!(world.errno(&admin, bind("/data/at", "/data/at")).await, Errno::EBUSY);
    assert_eq!(names(&world, &admin, "/data/at").await, ["x"]);
}

#[tokio::test]
async fn what_is_in_use_is_taken_away_by_force_only_and_counted_until_it_is_closed() {
    let world = World::start();
    let admin = world.agent(ADMIN).await;
    world.call(&admin, mkdir("/home/at")).await.unwrap();
    world.call(&admin, mount("/home/at")).await.unwrap();
    world.call(&admin, mkdir("/home/at/below")).await.unwrap();
    world.call(&admin, mount("/home/at/below")).await.unwrap();
    let force = |path: &str| v1::Unmount { force: true, ..unmount(path) };
    for call in [unmount("/home/at"), force("/home/at")] {
        assert_eq!(world.errno(&admin, call).await, Errno::EBUSY, "something is mounted below");
    }
    world.call(&admin, unmount("/home/at/below")).await.unwrap();
    let open = v1::Open { path: "/home/at/file".into(), write: true, create: true, ..Default::default() };
    let id = world.call(&admin, open).await.unwrap().id;
    let watching = world.call(&admin, watch("/home/at")).await.unwrap().id;
    assert_eq!(world.errno(&admin, unmount("/home/at")).await, Errno::EBUSY, "a file is open");
    world.call(&admin, force("/home/at")).await.unwrap();
    assert!(!world.call(&admin, exists("/home/at/file")).await.unwrap().exists);
    let seen = v1::ReadWatch { id: watching, ..Default::default() };
    let told = world.call(&admin, seen).await.unwrap().changes;
    assert_eq!(told.iter().map(|it| &*it.path).collect::<Vec<_>>(), ["/home/at"]);
    world.call(&admin, v1::Write { id, data: "goes on".into() }).await.unwrap();
    assert_eq!((world.kernel.in_use().mounts, world.kernel.in_use().mounted_bytes), (1, 1 << 20));
    world.call(&admin, v1::Close { id }).await.unwrap();
    assert_eq!((world.kernel.in_use().mounts, world.kernel.in_use().mounted_bytes), (0, 0));
}

#[tokio::test]
async fn mounts_are_limited_and_outlive_their_maker() {
    let limits = Limits { mounts: 2, mounted_bytes: 3 << 20, ..Limits::default() };
    let world = World::with(limits, LinuxSpawner::new().unwrap());
    let (admin, other) = (world.agent(ADMIN).await, world.agent(ADMIN).await);
    for name in ["a", "b", "c"] {
        world.call(&admin, mkdir(&format!("/home/{name}"))).await.unwrap();
    }
    world.call(&admin, v1::Mount { capacity_bytes: 2 << 20, ..mount("/home/a") }).await.unwrap();
    let error =
        world.call(&admin, v1::Mount { capacity_bytes: 2 << 20, ..mount("/home/b") }).await.unwrap_err();
    assert!(matches!(error.cause.as_deref(), Some(Cause::Limit { name: "mounted_bytes", .. })), "{error:?}");
    world.call(&admin, mount("/home/b")).await.unwrap();
    let error = world.call(&admin, bind("/data", "/home/c")).await.unwrap_err();
    assert!(
        matches!(error.cause.as_deref(), Some(Cause::Limit { name: "mounts", used: 2, max: 2 })),
        "{error:?}"
    );
    world.call(&world.kernel.init(), v1::KillProcess { pid: admin.pid().0, tree: true }).await.unwrap();
    world.call(&other, write("/home/a/x", "")).await.unwrap();
    for path in ["/home/a", "/home/b"] {
        world.call(&other, unmount(path)).await.unwrap();
    }
    assert_eq!(world.kernel.in_use().mounts, 0);
}
