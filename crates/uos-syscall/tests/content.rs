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
