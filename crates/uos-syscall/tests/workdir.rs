//! Working directories: where relative paths start, for every call.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::os::unix::fs::symlink;

use common::{World, missing, mkdir, move_file, read, remove, shell, write};
use uos_proto::v1;
use uos_syscall::{Caller, Errno};

fn go(path: &str) -> v1::SetWorkingDirectory {
    v1::SetWorkingDirectory { path: path.to_owned(), ..Default::default() }
}

async fn here(world: &World, caller: &Caller) -> String {
    world.call(caller, v1::GetWorkingDirectory {}).await.unwrap().path
}

#[tokio::test]
async fn relative_paths_start_in_the_working_directory_and_children_begin_there() {
    let world = World::start();
    let agent = world.agent(&["fs.read:/data/**", "fs.write:/data/**", "proc.spawn:/**"]).await;
    assert_eq!(here(&world, &agent).await, "/");
    world.put("a/b/file", "inner");
    world.put("file", "outer");
    symlink("a/b", world.host.path().join("link")).unwrap();

    let reply = world.call(&agent, go("data/link/../b/.")).await.unwrap();
    assert_eq!((&*reply.path, reply.path_raw.len()), ("/data/a/b", 0), "it is the canonical path");
    assert_eq!(&world.call(&agent, read("file")).await.unwrap().data[..], b"inner");
    assert_eq!(&world.call(&agent, read("../../file")).await.unwrap().data[..], b"outer");
    world.call(&agent, write("new", "from here")).await.unwrap();
    assert_eq!(world.seen("a/b/new"), "from here");
    let child = world.child(&agent, &["fs.read:/data/**"]).await;
    assert_eq!(here(&world, &child).await, "/data/a/b");
    world.call(&agent, go("..")).await.unwrap();
    assert_eq!(
        (here(&world, &agent).await, here(&world, &child).await),
        ("/data/a".into(), "/data/a/b".into())
    );

    // What leads up and out is judged like any other path.
    assert_eq!(missing(&world.call(&child, write("x", "")).await.unwrap_err()), "fs.write:/data/a/b/x");
    assert_eq!(missing(&world.call(&child, go("../../..")).await.unwrap_err()), "fs.read:/");
    assert_eq!(here(&world, &child).await, "/data/a/b");
    // It is a path: what is moved there later is where relative paths start, and what is gone is not.
    world.call(&agent, move_file("/data/a/b", "/data/c")).await.unwrap();
    assert_eq!(world.errno(&child, read("file")).await, Errno::ENOENT);
    world.call(&agent, mkdir("/data/a/b")).await.unwrap();
    world.call(&agent, write("/data/a/b/file", "another")).await.unwrap();
    assert_eq!(&world.call(&child, read("file")).await.unwrap().data[..], b"another");
    world.call(&agent, remove("/data/a", true)).await.unwrap();
    assert_eq!(world.errno(&child, go(".")).await, Errno::ENOENT);
    world.call(&child, go("/data")).await.unwrap();

    // Names that are no text come back as bytes.
    world
        .call(&agent, v1::CreateDirectory { path_raw: (&b"/data/\xff"[..]).into(), ..mkdir("") })
        .await
        .unwrap();
    let raw = v1::SetWorkingDirectory { path_raw: (&b"/data/\xff"[..]).into(), ..go("") };
    world.call(&agent, raw).await.unwrap();
    let reply = world.call(&agent, v1::GetWorkingDirectory {}).await.unwrap();
    assert_eq!((&*reply.path, &reply.path_raw[..]), ("/data/\u{fffd}", &b"/data/\xff"[..]));
}

#[tokio::test]
async fn only_a_directory_that_may_be_read_can_be_the_working_directory() {
    let world = World::start();
    world.put("own/file", "");
    world.put("foreign/folder/inner", "");
    let agent = world.agent(&["fs.read:/data/own/**"]).await;
    world.call(&agent, go("/data/own")).await.unwrap();
    let long = "x/".repeat(2_048);
    for (path, errno) in [
        ("", Errno::ENOENT),
        ("file", Errno::ENOTDIR),
        ("file/x", Errno::ENOTDIR),
        ("none", Errno::ENOENT),
        ("a\0b", Errno::EINVAL),
        (&*long, Errno::ENAMETOOLONG),
    ] {
        assert_eq!(world.errno(&agent, go(path)).await, errno, "{:?}", &path[..path.len().min(9)]);
    }
    for name in ["folder", "none", "folder/inner"] {
        let error = world.call(&agent, go(&format!("../foreign/{name}"))).await.unwrap_err();
        assert_eq!(missing(&error), format!("fs.read:/data/foreign/{name}"));
    }
    assert_eq!(here(&world, &agent).await, "/data/own");
}

#[tokio::test]
async fn a_program_is_found_from_the_working_directory() {
    let world = World::start();
    let agent = world.agent(&["fs.read:/**", "proc.spawn:/**"]).await;
    world.call(&agent, go("/bin")).await.unwrap();
    let pid = world
        .call(&agent, v1::SpawnProcess { program: "sh".into(), ..shell("echo here") })
        .await
        .unwrap()
        .pid;
    assert_eq!(common::output(&world, &agent, pid).await, b"here\n");
}
