//! Files through the calls, seen from outside through the host's folder behind `/data`.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::{
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use common::{World, copy, exists, link, read, within, write};
use tempfile::TempDir;
use uos_proto::v1::{self, FileKind, call::Call};
use uos_syscall::{Caller, Cause, Errno, Error, namespace};

const OPEN: &[&str] = &["fs.read:/data/**", "fs.write:/data/**"];

fn mkdir(path: &str, parents: bool) -> v1::CreateDirectory {
    v1::CreateDirectory { path: path.to_owned(), parents, ..Default::default() }
}

fn delete(path: &str) -> v1::DeleteFile {
    v1::DeleteFile { path: path.to_owned(), ..Default::default() }
}

fn stat(path: &str, follow: bool) -> v1::FileStat {
    v1::FileStat { path: path.to_owned(), follow, ..Default::default() }
}

/// The right that a refusal names.
fn missing(error: &Error) -> &str {
    match error.cause.as_deref() {
        Some(Cause::Right(right)) if error.errno == Errno::EACCES => right,
        _ => panic!("this is no refusal that names a right: {error:?}"),
    }
}

#[tokio::test]
async fn what_calls_do_is_seen_from_outside_and_the_other_way_round() {
    let world = World::start();
    let agent = world.agent(OPEN).await;

    world.call(&agent, mkdir("/data/a", false)).await.unwrap();
    let written = world.call(&agent, v1::WriteFile { mode: Some(0o640), ..write("/data/a/f", "one") }).await;
    assert_eq!(written.unwrap().bytes_written, 3);
    assert_eq!(world.seen("a/f"), "one");
    let outside = world.host.path().join("a/f").metadata().unwrap();
    assert_eq!(outside.permissions().mode() & 0o7777, 0o640);

    world.call(&agent, write("/data/a/f", "longer than one")).await.unwrap();
    assert_eq!(world.seen("a/f"), "longer than one");
    world.put("a/f", "from outside");
    let part = v1::ReadFile { offset: 5, length: Some(3), ..read("/data/a/f") };
    let part = world.call(&agent, part).await.unwrap();
    assert_eq!((&part.data[..], part.size_bytes), (&b"out"[..], 12));

    let seen = world.call(&agent, stat("/data/a/f", false)).await.unwrap();
    assert_eq!((seen.kind(), seen.size_bytes, seen.links), (FileKind::File, 12, 1));
    assert_eq!(seen.canonical_path, "/data/a/f");
    assert!(world.call(&agent, exists("/data/a/f")).await.unwrap().exists);

    world.call(&agent, delete("/data/a/f")).await.unwrap();
    assert!(!world.host.path().join("a/f").exists());
    assert!(!world.call(&agent, exists("/data/a/f")).await.unwrap().exists);
    assert_eq!(world.errno(&agent, read("/data/a/f")).await, Errno::ENOENT);
    assert_eq!(world.errno(&agent, mkdir("/data/a", false)).await, Errno::EEXIST);
    for call in [Call::from(read("/data/a")), write("/data/a", "").into(), delete("/data/a").into()] {
        assert_eq!(world.kernel.invoke(&agent, call).await.unwrap_err().errno, Errno::EISDIR);
    }
}

#[tokio::test]
async fn a_file_longer_than_a_reply_is_read_in_parts() {
    let world = World::start();
    let agent = world.agent(OPEN).await;
    let content: Vec<u8> = (0..(1 << 20) + 100_u32).map(|place| place as u8).collect();
    world.put("long", &content);
    let first = world.call(&agent, read("/data/long")).await.unwrap();
    assert_eq!((first.data.len(), first.size_bytes), (1 << 20, content.len() as u64));
    let rest = v1::ReadFile { offset: 1 << 20, ..read("/data/long") };
    let rest = world.call(&agent, rest).await.unwrap();
    assert_eq!([&first.data[..], &rest.data[..]].concat(), content);
    let beyond = v1::ReadFile { offset: u64::MAX, ..read("/data/long") };
    assert!(world.call(&agent, beyond).await.is_ok_and(|reply| reply.data.is_empty()));
}

#[tokio::test]
async fn a_malformed_path_is_malformed_and_a_devious_one_is_judged_where_it_leads() {
    let world = World::start();
    let agent = world.agent(OPEN).await;
    world.put("file", "content");
    world.put("folder/inner", "");
    let deep = format!("/data{}", "/x".repeat(2_500));
    let long = format!("/data/{}", "n".repeat(256));
    for (path, errno) in [
        ("", Errno::ENOENT),
        ("/data/a\0b", Errno::EINVAL),
        (&*deep, Errno::ENAMETOOLONG),
        (&*long, Errno::ENAMETOOLONG),
        ("/data/file/", Errno::ENOTDIR),
        ("/data/file/x", Errno::ENOTDIR),
        ("/data/absent/x", Errno::ENOENT),
    ] {
        let short = &path[..path.len().min(20)];
        assert_eq!(world.errno(&agent, read(path)).await, errno, "reading {short:?}");
        assert_eq!(world.errno(&agent, write(path, "new")).await, errno, "writing {short:?}");
    }
    assert_eq!(world.errno(&agent, write("/data/new/", "")).await, Errno::EISDIR);
    assert_eq!(
        world.errno(&agent, v1::WriteFile { mode: Some(0o10000), ..write("/data/n", "") }).await,
        Errno::EINVAL
    );

    for path in ["/data/../etc/x", "/data/folder/../../etc/x", "//etc//./x", "data/../etc/x", "/../../etc/x"]
    {
        let error = world.call(&agent, write(path, "")).await.unwrap_err();
        assert_eq!(missing(&error), "fs.write:/etc/x", "{path}");
    }
    for path in ["/data/folder/../file", "//data/./file", "data/file", "../data/file"] {
        let reply = world.call(&agent, read(path)).await.unwrap();
        assert_eq!(&reply.data[..], b"content", "{path}");
    }
    let raw = v1::WriteFile { path_raw: (&b"/data/\xff"[..]).into(), ..write("/ignored", "raw") };
    world.call(&agent, raw).await.unwrap();
    let mut names: Vec<_> =
        world.host.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let names: Vec<_> = names.iter().map(|name| name.as_encoded_bytes()).collect();
    assert_eq!(names, [&b"file"[..], b"folder", b"\xff"], "the refused have changed nothing");
    assert_eq!(world.seen("file"), "content");
}

#[tokio::test]
async fn a_grant_on_a_folder_says_nothing_of_one_whose_name_only_begins_alike() {
    let (world, secret) = with_secret();
    let agent = world.agent(OPEN).await;
    let error = world.call(&agent, read("/data-secret/file")).await.unwrap_err();
    assert_eq!(
        (missing(&error), &*error.hint),
        ("fs.read:/data-secret/file", "grant `fs.read:/data-secret/file`")
    );
    let error = world.call(&agent, write("/data-secret/file", "")).await.unwrap_err();
    assert_eq!(missing(&error), "fs.write:/data-secret/file");
    assert_eq!(std::fs::read_to_string(secret.path().join("file")).unwrap(), "secret");
}

#[tokio::test]
async fn a_link_out_of_the_granted_folder_is_refused_where_it_leads() {
    let (world, secret) = with_secret();
    let agent = world.agent(OPEN).await;
    let make = |target: &str, name: &str| symlink(target, world.host.path().join(name)).unwrap();
    make("/etc/hostname", "to-file");
    make("/data-secret", "to-folder");
    make("../data-secret/new", "to-nothing");
    for (path, leads_to) in [
        ("/data/to-file", "/etc/hostname"),
        ("/data/to-folder/file", "/data-secret/file"),
        // What is left again must be the caller's to see.
        ("/data/to-folder/../x", "/data-secret"),
        ("/data/to-nothing", "/data-secret/new"),
    ] {
        let error = world.call(&agent, read(path)).await.unwrap_err();
        assert_eq!(missing(&error), format!("fs.read:{leads_to}"));
        let error = world.call(&agent, write(path, "broken in")).await.unwrap_err();
        assert_eq!(missing(&error), format!("fs.write:{leads_to}"));
        let error = world.call(&agent, stat(path, true)).await.unwrap_err();
        assert_eq!(missing(&error), format!("fs.read:{leads_to}"));
    }
    let error = world.call(&agent, mkdir("/data/to-folder/a/b", true)).await.unwrap_err();
    assert_eq!(missing(&error), "fs.write:/data-secret/a/b");
    assert_eq!(std::fs::read_dir(secret.path()).unwrap().count(), 1, "nothing was made there");

    // The link itself lies in the folder, and is the agent's to see and remove.
    assert_eq!(world.call(&agent, stat("/data/to-file", false)).await.unwrap().kind(), FileKind::Symlink);
    world.call(&agent, delete("/data/to-file")).await.unwrap();
    assert!(
        Path::new("/etc/hostname").exists() && world.host.path().join("to-file").symlink_metadata().is_err()
    );
}

/// Every call by path, on one path.
fn all_on(path: &str) -> Vec<Call> {
    let path = || path.to_owned();
    vec![
        read(&path()).into(),
        write(&path(), "x").into(),
        delete(&path()).into(),
        v1::ListDirectory { path: path(), ..Default::default() }.into(),
        exists(&path()).into(),
        stat(&path(), true).into(),
        stat(&path(), false).into(),
        mkdir(&path(), false).into(),
        mkdir(&path(), true).into(),
        common::program(&path(), &[]).into(),
        v1::CreateFile { path: path(), ..Default::default() }.into(),
        v1::TruncateFile { path: path(), ..Default::default() }.into(),
        v1::SetWorkingDirectory { path: path(), ..Default::default() }.into(),
        v1::CopyFile { recursive: true, ..copy(&path(), "/data/copy") }.into(),
        copy("/data/file", &path()).into(),
        v1::AppendFile { path: path(), ..Default::default() }.into(),
        link(&path(), "/data/name").into(),
        link("/data/file", &path()).into(),
        common::symlink("x", &path()).into(),
        v1::ReadLink { path: path(), ..Default::default() }.into(),
        v1::Chmod { path: path(), ..Default::default() }.into(),
        v1::Chown { path: path(), uid: Some(0), ..Default::default() }.into(),
        v1::SetTimes { path: path(), ..Default::default() }.into(),
        v1::SetTimes { path: path(), no_follow: true, ..Default::default() }.into(),
        v1::GetXattr { path: path(), name: "user.x".into(), ..Default::default() }.into(),
        v1::SetXattr { path: path(), name: "user.x".into(), ..Default::default() }.into(),
        v1::ListXattr { path: path(), ..Default::default() }.into(),
        v1::Statfs { path: path(), ..Default::default() }.into(),
        v1::TempFile { path: path(), ..Default::default() }.into(),
        v1::Watch { path: path(), recursive: true, ..Default::default() }.into(),
        common::mount(&path()).into(),
        v1::Unmount { path: path(), ..Default::default() }.into(),
        v1::Snapshot { path: path(), ..Default::default() }.into(),
    ]
}

#[tokio::test]
async fn what_is_foreign_looks_the_same_whatever_it_is() {
    let (world, secret) = with_secret();
    let agent: Caller = world.agent(OPEN).await;
    std::fs::create_dir(secret.path().join("dir")).unwrap();
    std::fs::write(secret.path().join("dir/inner"), "").unwrap();
    for (target, name) in [("/data-secret/dir", "link"), ("loop", "loop"), ("/data-secret/gone", "dangling")]
    {
        symlink(target, secret.path().join(name)).unwrap();
    }
    for rest in ["", "/inner", "/inner/deeper"] {
        let mut expected: Option<Vec<Error>> = None;
        for name in ["nothing", "file", "dir", "link", "loop", "dangling"] {
            let mut errors = Vec::new();
            for call in all_on(&format!("/data-secret/{name}{rest}")) {
                let error = within(world.kernel.invoke(&agent, call)).await.unwrap_err();
                let same = |text: &str| text.replace(&format!("/{name}"), "/NAME");
                let Some(Cause::Right(right)) = error.cause.as_deref() else { panic!("{error:?}") };
                errors.push(Error {
                    errno: error.errno,
                    message: same(&error.message).into(),
                    hint: same(&error.hint).into(),
                    cause: Some(Box::new(Cause::Right(same(right)))),
                });
            }
            assert_eq!(
                expected.get_or_insert_with(|| errors.clone()),
                &errors,
                "{name}{rest} can be told apart"
            );
        }
    }
}

/// A world with a second folder of the host at `/data-secret`, which holds one file.
fn with_secret() -> (World, TempDir) {
    let (world, secret) = (World::start(), TempDir::new().unwrap());
    std::fs::write(secret.path().join("file"), "secret").unwrap();
    namespace::mount_host(world.kernel.mounts(), "/data-secret", secret.path(), false).unwrap();
    (world, secret)
}

/// Whether a foreign name is there, and what it is, must not show in where a path that leaves it again leads.
#[tokio::test]
async fn what_a_path_enters_and_leaves_again_must_be_the_callers_to_see() {
    let world = World::start();
    world.put("own/file", "content");
    world.put("foreign/folder/inner", "");
    world.put("foreign/plain", "");
    let caller = world.agent(&["fs.read:/data/own/**"]).await;
    for name in ["folder", "plain", "nothing"] {
        let path = format!("/data/foreign/{name}/../../own/file");
        let refused = world.call(&caller, read(&path)).await.unwrap_err();
        assert_eq!(refused.message, format!("the right fs.read:/data/foreign/{name} is missing"));
    }
    assert_eq!(&world.call(&caller, read("/data/own/../own/file")).await.unwrap().data[..], b"content");
}
