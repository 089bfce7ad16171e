//! TruncateFile and AppendFile: what becomes of a file's content, seen from outside.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::os::unix::fs::{MetadataExt, symlink};

use common::{Log, World, missing, mkdir, read, write};
use uos_proc::LinuxSpawner;
use uos_proto::v1;
use uos_syscall::{Errno, FileChange};

const OPEN: &[&str] =
    &["fs.read:/data/**", "fs.write:/data/**", "fs.read:/home/**", "fs.write:/home/**", "fs.write:/usr/**"];

fn append(path: &str, data: impl AsRef<[u8]>) -> v1::AppendFile {
    v1::AppendFile { path: path.to_owned(), data: data.as_ref().to_vec().into(), ..Default::default() }
}

fn cut(path: &str, size_bytes: u64) -> v1::TruncateFile {
    v1::TruncateFile { path: path.to_owned(), size_bytes, ..Default::default() }
}

#[tokio::test]
async fn a_file_is_cut_or_gets_zeros_and_nothing_else_has_a_size() {
    let log = Log::default();
    let world = World::observed(LinuxSpawner::new().unwrap(), log.clone());
    let agent = world.agent(OPEN).await;
    world.put("file", "content");
    symlink("file", world.host.path().join("link")).unwrap();
    world.call(&agent, cut("/data/file", 3)).await.unwrap();
    assert_eq!(world.seen("file"), "con");
    world.call(&agent, cut("/data/link", 5)).await.unwrap();
    assert_eq!(world.seen("file"), "con\0\0");
    world.call(&agent, cut("/data/file", 1 << 40)).await.unwrap();
    let long = world.host.path().join("file").metadata().unwrap();
    assert!(long.len() == 1 << 40 && long.blocks() < 1_000, "zeros take no room");
    world.call(&agent, cut("/data/file", 0)).await.unwrap();
    assert_eq!(log.changes(&agent), vec![(FileChange::Written, "/data/file".to_owned(), false); 4]);

    world.put("file", "content");
    world.call(&agent, write("/home/file", "content")).await.unwrap();
    world.call(&agent, mkdir("/home/folder")).await.unwrap();
    world.call(&agent, mkdir("/data/folder")).await.unwrap();
    log.changes(&agent);
    for base in ["/data", "/home"] {
        for (name, size, errno) in [
            ("file", 1 << 63, Errno::EFBIG),
            ("file", u64::MAX, Errno::EFBIG),
            ("folder", 0, Errno::EISDIR),
            ("none", 0, Errno::ENOENT),
            ("file/", 0, Errno::ENOTDIR),
            ("file/x", 0, Errno::ENOTDIR),
            ("fi\0le", 0, Errno::EINVAL),
        ] {
            assert_eq!(
                world.errno(&agent, cut(&format!("{base}/{name}"), size)).await,
                errno,
                "{base}/{name} {size}"
            );
        }
    }
    assert_eq!(world.errno(&agent, cut("", 0)).await, Errno::ENOENT);
    assert_eq!(world.errno(&agent, cut("/usr/bin/printf", 0)).await, Errno::EROFS);
    assert_eq!(log.changes(&agent), []);
    assert_eq!(world.seen("file"), "content");
    assert_eq!(&world.call(&agent, read("/home/file")).await.unwrap().data[..], b"content");

    let reader = world.agent(&["fs.read:/data/**"]).await;
    for name in ["file", "none", "folder"] {
        let error = world.call(&reader, cut(&format!("/data/{name}"), 0)).await.unwrap_err();
        assert_eq!(missing(&error), format!("fs.write:/data/{name}"));
    }
    assert_eq!(world.seen("file"), "content");
}

#[tokio::test]
async fn what_is_appended_is_at_the_end_and_a_failure_adds_nothing() {
    let log = Log::default();
    let world = World::observed(LinuxSpawner::new().unwrap(), log.clone());
    let agent = world.agent(OPEN).await;
    symlink("file", world.host.path().join("link")).unwrap();
    let made = v1::AppendFile { mode: Some(0o640), ..append("/data/link", "one") };
    assert_eq!(world.call(&agent, made).await.unwrap().bytes_written, 3);
    assert_eq!(world.host.path().join("file").metadata().unwrap().mode() & 0o7777, 0o640);
    world.call(&agent, append("/data/file", " two")).await.unwrap();
    assert_eq!(world.seen("file"), "one two");
    assert_eq!(
        log.changes(&agent),
        [FileChange::Created, FileChange::Written].map(|change| (change, "/data/file".to_owned(), false))
    );

    world.put("folder/inner", "");
    world.call(&agent, append("/home/file", "old")).await.unwrap();
    log.changes(&agent);
    let too_much = vec![b'x'; 1 << 20];
    for (path, data, errno) in [
        ("/home/file", &*too_much, Errno::ENOSPC),
        ("/home/new", &[b'x'; (1 << 20) + 1][..], Errno::ENOSPC),
        ("/data/folder", b"x", Errno::EISDIR),
        ("/data/new/", b"x", Errno::EISDIR),
        ("/data/file/", b"x", Errno::ENOTDIR),
        ("/data/none/new", b"x", Errno::ENOENT),
        ("/usr/bin/printf", b"x", Errno::EROFS),
        ("", b"x", Errno::ENOENT),
    ] {
        assert_eq!(world.errno(&agent, append(path, data)).await, errno, "{path}");
    }
    let odd = v1::AppendFile { mode: Some(0o10000), ..append("/data/new", "") };
    assert_eq!(world.errno(&agent, odd).await, Errno::EINVAL);
    assert_eq!(log.changes(&agent), []);
    assert_eq!(&world.call(&agent, read("/home/file")).await.unwrap().data[..], b"old");
    assert!(!world.call(&agent, common::exists("/home/new")).await.unwrap().exists, "nothing half made");
    assert!(!world.host.path().join("new").exists());

    let reader = world.agent(&["fs.read:/data/**"]).await;
    for name in ["file", "none", "folder"] {
        let error = world.call(&reader, append(&format!("/data/{name}"), "x")).await.unwrap_err();
        assert_eq!(missing(&error), format!("fs.write:/data/{name}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_append_to_one_file_lose_nothing_and_mix_nothing() {
    let world = World::start();
    let agent = world.agent(OPEN).await;
    for path in ["/data/log", "/home/log"] {
        let writers = ["a", "b", "c"].map(|who| {
            let (kernel, agent) = (world.kernel.clone(), agent.clone());
            tokio::spawn(async move {
                for _ in 0..100 {
                    let line = format!("{}\n", who.repeat(99));
                    common::within(kernel.invoke(&agent, append(path, line).into())).await.unwrap();
                }
            })
        });
        for writer in writers {
            common::within(writer).await.unwrap();
        }
        let all = world.call(&agent, read(path)).await.unwrap().data;
        let lines: Vec<_> = std::str::from_utf8(&all).unwrap().lines().map(ToOwned::to_owned).collect();
        assert_eq!(lines.len(), 300);
        for who in ["a", "b", "c"] {
            assert_eq!(lines.iter().filter(|line| **line == who.repeat(99)).count(), 100, "{path} {who}");
        }
    }
}
