//! New names of new files and of old ones, seen from outside through the host's folder behind `/data`.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::os::unix::fs::{PermissionsExt, symlink};

use common::{Log, World, missing};
use uos_proc::LinuxSpawner;
use uos_proto::v1;
use uos_syscall::{Errno, FileChange};

const OPEN: &[&str] = &["fs.read:/data/**", "fs.write:/data/**", "fs.write:/usr/**"];

fn create(path: &str) -> v1::CreateFile {
    v1::CreateFile { path: path.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn a_new_file_is_empty_and_never_in_place_of_something() {
    let log = Log::default();
    let world = World::observed(LinuxSpawner::new().unwrap(), log.clone());
    let agent = world.agent(OPEN).await;
    world.put("there", "content");
    world.put("folder/inner", "");
    symlink("nowhere", world.host.path().join("dangling")).unwrap();
    world.call(&agent, v1::CreateFile { mode: Some(0o640), ..create("/data/new") }).await.unwrap();
    let made = world.host.path().join("new").metadata().unwrap();
    assert_eq!((made.len(), made.permissions().mode() & 0o7777), (0, 0o640));
    assert_eq!(log.changes(&agent), [(FileChange::Created, "/data/new".to_owned(), false)]);
    for (path, errno) in [
        ("/data/there", Errno::EEXIST),
        ("/data/folder", Errno::EEXIST),
        ("/data/dangling", Errno::EEXIST),
        ("/data/new/", Errno::ENOTDIR),
        ("/data/other/", Errno::EISDIR),
        ("/data/none/other", Errno::ENOENT),
        ("/data/there/other", Errno::ENOTDIR),
        ("/usr/bin/other", Errno::EROFS),
        ("", Errno::ENOENT),
        ("/data/a\0b", Errno::EINVAL),
    ] {
        assert_eq!(world.errno(&agent, create(path)).await, errno, "{path:?}");
    }
    let odd = v1::CreateFile { mode: Some(0o10000), ..create("/data/other") };
    assert_eq!(world.errno(&agent, odd).await, Errno::EINVAL);
    assert_eq!(log.changes(&agent), []);
    assert_eq!(world.seen("there"), "content");
    assert!(!world.host.path().join("nowhere").exists() && !world.host.path().join("other").exists());

    let narrow = world.agent(&["fs.read:/data/**", "fs.write:/data/folder/**"]).await;
    for name in ["there", "none", "none/deep"] {
        let error = world.call(&narrow, create(&format!("/data/{name}"))).await.unwrap_err();
        assert_eq!(missing(&error), format!("fs.write:/data/{name}"));
    }
}
