//! CopyFile: copies of files and of directories, seen from outside.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};

use common::{Log, World, copy, exists, list, missing, read, write};
use uos_proc::LinuxSpawner;
use uos_proto::v1;
use uos_syscall::{Errno, FileChange, audit::Subject, namespace};
use uos_vfs::VPath;

const OPEN: &[&str] =
    &["fs.read:/data/**", "fs.write:/data/**", "fs.read:/home/**", "fs.write:/home/**", "fs.read:/usr/**"];

fn deep(from: &str, to: &str) -> v1::CopyFile {
    v1::CopyFile { recursive: true, ..copy(from, to) }
}

/// The names in the host's folder, hidden ones too.
fn names(world: &World, folder: &str) -> Vec<String> {
    let read = world.host.path().join(folder).read_dir().unwrap();
    let mut names: Vec<_> = read.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_file_is_copied_whole_in_place_of_what_was_there_or_not_at_all() {
    let log = Log::default();
    let world = World::observed(LinuxSpawner::new().unwrap(), log.clone());
    let agent = world.agent(OPEN).await;
    let long: String = (0..1_500_000).map(|place| char::from(b'a' + (place % 23) as u8)).collect();
    world.put("long", &long);
    let long_file = world.host.path().join("long");
    std::fs::set_permissions(&long_file, std::fs::Permissions::from_mode(0o4750)).unwrap();

    let done = world.call(&agent, copy("/data/long", "/data/copy")).await.unwrap();
    assert_eq!((done.copied_bytes, done.copied_entries), (1_500_000, 1));
    assert_eq!(world.seen("copy"), long);
    let mode = world.host.path().join("copy").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o750, "the bit that lends an owner's rights is not copied");
    world.put("short", "short");
    world.call(&agent, copy("/data/short", "/data/copy")).await.unwrap();
    assert_eq!(world.seen("copy"), "short");
    let told = log.changes(&agent);
    let file = |change, path: &str| (change, path.to_owned(), false);
    assert_eq!(told, [file(FileChange::Created, "/data/copy"), file(FileChange::Written, "/data/copy")]);

    // Between host and memory, where there is room for one of them only.
    world.call(&agent, copy("/data/short", "/home/short")).await.unwrap();
    assert_eq!(&world.call(&agent, read("/home/short")).await.unwrap().data[..], b"short");
    world.put("folder/inner", "");
    symlink("short", world.host.path().join("link")).unwrap();
    log.changes(&agent);
    for (from, to, errno) in [
        ("/data/long", "/home/short", Errno::ENOSPC),
        ("/data/none", "/data/copy", Errno::ENOENT),
        ("/data/short", "/data/none/copy", Errno::ENOENT),
        ("/data/short", "/data/copy/x", Errno::ENOTDIR),
        ("/data/short", "/data/folder", Errno::EISDIR),
        ("/data/short", "/data/new/", Errno::EISDIR),
        ("/data/folder", "/data/new", Errno::EISDIR),
        ("/data/short", "/data/short", Errno::EINVAL),
        ("/data/short", "/data/link", Errno::EINVAL),
        ("/data/short", "", Errno::ENOENT),
        ("/data/short\0", "/data/new", Errno::EINVAL),
    ] {
        assert_eq!(world.errno(&agent, copy(from, to)).await, errno, "{from} {to}");
    }
    let keeping = v1::CopyFile { no_replace: true, ..copy("/data/long", "/data/copy") };
    assert_eq!(world.errno(&agent, keeping).await, Errno::EEXIST);
    assert_eq!(log.changes(&agent), [], "a failure is no change");
    assert_eq!((world.seen("copy"), world.seen("short")), ("short".to_owned(), "short".to_owned()));
    assert_eq!(&world.call(&agent, read("/home/short")).await.unwrap().data[..], b"short");
    assert_eq!(world.call(&agent, list("/home")).await.unwrap().entries.len(), 1, "no part is left");
    assert_eq!(names(&world, ""), ["copy", "folder", "link", "long", "short"]);
}

#[tokio::test]
async fn a_hole_is_copied_as_a_hole_and_costs_nothing() {
    let world = World::start();
    let agent = world.agent(OPEN).await;
    let file = std::fs::File::create(world.host.path().join("sparse")).unwrap();
    file.write_all_at(b"end", 1 << 40).unwrap();
    file.set_len(2 << 40).unwrap();
    let done = world.call(&agent, copy("/data/sparse", "/home/sparse")).await.unwrap();
    assert_eq!(done.copied_bytes, 2 << 40);
    let tail = v1::ReadFile { offset: 1 << 40, length: Some(3), ..read("/home/sparse") };
    assert_eq!(&world.call(&agent, tail).await.unwrap().data[..], b"end");
    world.call(&agent, copy("/home/sparse", "/data/back")).await.unwrap();
    let back = world.host.path().join("back").metadata().unwrap();
    assert!(back.len() == 2 << 40 && back.blocks() < 1_000, "{back:?}");
}

#[tokio::test]
async fn a_directory_is_copied_with_all_that_is_seen_below_it() {
    let log = Log::default();
    let world = World::observed(LinuxSpawner::new().unwrap(), log.clone());
    let agent = world.agent(OPEN).await;
    for number in 0..300 {
        world.put(&format!("tree/many/{number}"), number.to_string());
    }
    world.put("tree/closed/file", "inside");
    let closed = world.host.path().join("tree/closed");
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o500)).unwrap();
    symlink("../many/7", world.host.path().join("tree/closed/link")).unwrap();
    symlink("tree", world.host.path().join("way")).unwrap();
    namespace::mount_host(world.kernel.mounts(), "/home/other", world.host.path(), true).unwrap();

    // By way of a link, which as the last name is followed; into memory, and back with what is mounted there.
    let done = world.call(&agent, deep("/data/way", "/home/tree")).await.unwrap();
    assert_eq!(done.copied_entries, 300 + 2 + 3);
    assert_eq!(log.changes(&agent), [(FileChange::Created, "/home/tree".to_owned(), true)]);
    assert_eq!(&world.call(&agent, read("/home/tree/many/299")).await.unwrap().data[..], b"299");
    world.call(&agent, deep("/home", "/data/home")).await.unwrap();
    assert_eq!(world.seen("home/tree/closed/link"), "7");
    assert_eq!(world.seen("home/tree/closed/file"), "inside");
    let mode = world.host.path().join("home/tree/closed").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o500);
    assert_eq!(world.seen("home/other/tree/many/12"), "12", "what is mounted below is seen, and so copied");
    assert!(!world.host.path().join("home/other/home").exists(), "but what is in the making is not");
}

#[tokio::test]
async fn a_directory_that_can_not_be_copied_whole_leaves_nothing() {
    let world = World::start();
    let agent = world.agent(&["fs.read:/**", "fs.write:/**"]).await;
    world.put("tree/a/file", "x");
    world.put("tree/b/large", vec![b'x'; 2 << 20]);
    world.put("there", "");
    let mut steep = world.host.path().join("steep");
    for _ in 0..300 {
        steep.push("d");
    }
    std::fs::create_dir_all(&steep).unwrap();
    for (from, to, errno) in [
        ("/data/tree", "/data/tree", Errno::EINVAL),
        ("/data/tree", "/data/tree/a/copy", Errno::EINVAL),
        ("/", "/data/all", Errno::EINVAL),
        ("/data/tree", "/", Errno::EBUSY),
        ("/data/tree", "/data/there", Errno::EEXIST),
        ("/data/tree", "/data/steep", Errno::EEXIST),
        ("/data/tree", "/home/tree", Errno::ENOSPC),
        ("/data/tree", "/usr/tree", Errno::EROFS),
        ("/data/steep", "/data/copy", Errno::ENAMETOOLONG),
    ] {
        assert_eq!(world.errno(&agent, deep(from, to)).await, errno, "{from} {to}");
    }
    assert_eq!(names(&world, ""), ["steep", "there", "tree"]);
    assert_eq!(names(&world, "tree/a"), ["file"]);
    // By another way into itself, it has an end all the same.
    namespace::mount_host(world.kernel.mounts(), "/again", world.host.path(), false).unwrap();
    world.call(&agent, deep("/data/tree", "/again/tree/a/copy")).await.unwrap();
    assert_eq!(names(&world, "tree/a/copy/a"), ["file"]);
    assert_eq!(world.call(&agent, list("/home")).await.unwrap().entries.len(), 0);
}

#[tokio::test]
async fn both_ends_of_a_copy_are_judged_and_of_a_directory_all_below() {
    let world = World::start();
    for name in ["own/file", "own/tree/x", "foreign/file", "foreign/tree/x"] {
        world.put(name, "content");
    }
    let own = &["fs.read:/data/own/**", "fs.write:/data/own/**"][..];
    let reader = &["fs.read:/data/own/tree", "fs.write:/data/own/**"][..];
    let writer = &["fs.read:/data/own/**", "fs.write:/data/own/new"][..];
    for (grants, from, to, right) in [
        (own, "foreign/file", "own/new", "fs.read:/data/foreign/file"),
        (own, "foreign/none", "own/new", "fs.read:/data/foreign/none"),
        (own, "foreign/tree", "own/new", "fs.read:/data/foreign/tree"),
        (own, "own/file", "foreign/new", "fs.write:/data/foreign/new"),
        (own, "own/none", "foreign/file", "fs.write:/data/foreign/file"),
        (own, "own/tree", "foreign/none/new", "fs.write:/data/foreign/none/new"),
        (reader, "own/tree", "own/new", "fs.read:/data/own/tree/**"),
        (writer, "own/tree", "own/new", "fs.write:/data/own/new/**"),
    ] {
        let agent = world.agent(grants).await;
        let error =
            world.call(&agent, deep(&format!("/data/{from}"), &format!("/data/{to}"))).await.unwrap_err();
        assert_eq!(missing(&error), right, "{from} {to}");
    }
    assert_eq!(names(&world, "own"), ["file", "tree"]);
    assert_eq!(names(&world, "foreign"), ["file", "tree"]);
    let agent = world.agent(own).await;
    world.call(&agent, deep("/data/own/tree", "/data/own/new")).await.unwrap();
    assert_eq!(world.seen("own/new/x"), "content");
    world.kernel.audit().flush();
    let [from, to] = ["/data/own/tree", "/data/own/new"].map(|path| VPath::parse(path.as_bytes()).unwrap());
    assert!(world.audit.records().iter().any(|it| it.subject == Subject::Paths(from.clone(), to.clone())));
}

#[tokio::test]
async fn a_copy_stops_when_its_caller_ends_and_leaves_nothing() {
    let world = World::start();
    world.put("tree/file", "x");
    let agent = world.agent(OPEN).await;
    let (kernel, by) = (world.kernel.clone(), agent.clone());
    // It copies itself again and again until it is ended.
    let copying = tokio::spawn(async move {
        for number in 0_u64.. {
            let call = deep("/data/tree", &format!("/data/tree-{number}"));
            if let Err(error) = kernel.invoke(&by, call.into()).await {
                return error.errno;
            }
        }
        unreachable!("there are not so many numbers")
    });
    common::until("it has begun", || world.host.path().join("tree-3").exists()).await;
    let end = v1::KillProcess { pid: agent.pid().0, tree: true };
    world.call(&world.kernel.init(), end).await.unwrap();
    assert_eq!(common::within(copying).await.unwrap(), Errno::ESRCH);
    assert!(names(&world, "").iter().all(|name| !name.starts_with('.')), "no part is left");
    assert_eq!(world.errno(&agent, exists("/data/tree")).await, Errno::ESRCH);
    assert_eq!(world.errno(&agent, write("/data/x", "")).await, Errno::ESRCH);
}

#[test]
fn what_a_killed_kernel_was_copying_is_removed_when_the_next_begins() {
    let host = tempfile::TempDir::new().unwrap();
    let part = host.path().join(format!("folder/.uos-{}.part", "0".repeat(32)));
    std::fs::create_dir_all(part.join("deep/er")).unwrap();
    std::fs::write(part.join("deep/file"), "half").unwrap();
    std::fs::write(host.path().join("folder/kept"), "").unwrap();
    assert_eq!(namespace::remove_unfinished(host.path()).unwrap(), 1);
    assert!(!part.exists() && host.path().join("folder/kept").exists());
}
