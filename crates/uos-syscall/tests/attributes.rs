//! Permission bits, owners, times and extended attributes, seen from outside through the host's folder behind `/data`.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::os::unix::fs::{MetadataExt, symlink};

use common::{Log, World, missing, mkdir, stat, write};
use uos_proc::LinuxSpawner;
use uos_proto::v1::{self, XattrFlags, call::Call};
use uos_syscall::{Caller, Cause, Errno, FileChange};

const OPEN: &[&str] = &[
    "fs.read:/data/**",
    "fs.write:/data/**",
    "fs.read:/home/**",
    "fs.write:/home/**",
    "fs.read:/usr/**",
    "fs.write:/usr/**",
    "fs.admin",
];

fn chmod(path: &str, mode: u32) -> v1::Chmod {
    v1::Chmod { path: path.to_owned(), mode, ..Default::default() }
}

fn chown(path: &str, uid: Option<u32>, gid: Option<u32>) -> v1::Chown {
    v1::Chown { path: path.to_owned(), uid, gid, ..Default::default() }
}

fn times(path: &str, accessed_us: Option<i64>, modified_us: Option<i64>) -> v1::SetTimes {
    v1::SetTimes { path: path.to_owned(), accessed_us, modified_us, ..Default::default() }
}

fn get(path: &str, name: &str) -> v1::GetXattr {
    v1::GetXattr { path: path.to_owned(), name: name.to_owned(), ..Default::default() }
}

fn set(path: &str, name: &str, value: impl AsRef<[u8]>, flags: XattrFlags) -> v1::SetXattr {
    let (path, name, value) = (path.to_owned(), name.to_owned(), value.as_ref().to_vec().into());
    v1::SetXattr { path, name, value, flags: flags.into(), ..Default::default() }
}

fn changed(path: &str, directory: bool) -> (FileChange, String, bool) {
    (FileChange::Attributes, path.to_owned(), directory)
}

/// A world with a file, a folder and a link to the file at `/data` and at `/home`.
async fn furnished(log: &Log) -> (World, Caller) {
    let world = World::observed(LinuxSpawner::new().unwrap(), log.clone());
    let agent = world.agent(OPEN).await;
    for base in ["/data", "/home"] {
        world.call(&agent, write(&format!("{base}/file"), "content")).await.unwrap();
        world.call(&agent, mkdir(&format!("{base}/folder"))).await.unwrap();
        world.call(&agent, common::symlink("file", &format!("{base}/link"))).await.unwrap();
    }
    log.changes(&agent);
    (world, agent)
}

#[tokio::test]
async fn permission_bits_are_set_but_for_those_that_lend_rights() {
    let log = Log::default();
    let (world, agent) = furnished(&log).await;
    for base in ["/data", "/home"] {
        let at = |name: &str| format!("{base}/{name}");
        world.call(&agent, chmod(&at("link"), 0o604)).await.unwrap();
        world.call(&agent, chmod(&at("folder"), 0o1777)).await.unwrap();
        assert_eq!(world.call(&agent, stat(&at("file"))).await.unwrap().mode, 0o604);
        assert_eq!(world.call(&agent, stat(&at("folder"))).await.unwrap().mode, 0o1777);
        assert_eq!(log.changes(&agent), [changed(&at("file"), false), changed(&at("folder"), true)]);
        for (name, mode, errno) in [
            ("file", 0o4755, Errno::EPERM),
            ("folder", 0o2755, Errno::EPERM),
            ("file", 0o10000, Errno::EINVAL),
            ("file", u32::MAX, Errno::EINVAL),
            ("none", 0o600, Errno::ENOENT),
            ("file/x", 0o600, Errno::ENOTDIR),
            ("", 0o600, Errno::ENOTDIR),
        ] {
            let path = if name.is_empty() { at("file/") } else { at(name) };
            assert_eq!(world.errno(&agent, chmod(&path, mode)).await, errno, "{path} {mode:o}");
        }
        assert_eq!(log.changes(&agent), []);
    }
    assert_eq!(world.host.path().join("file").metadata().unwrap().mode() & 0o7777, 0o604);
    assert_eq!(world.errno(&agent, chmod("/usr/bin/printf", 0o777)).await, Errno::EROFS);
    // What a process may do doesn't go by them.
    world.call(&agent, chmod("/data/file", 0)).await.unwrap();
    assert_eq!(&world.call(&agent, common::read("/data/file")).await.unwrap().data[..], b"content");
}

#[tokio::test]
async fn who_gives_a_file_away_needs_the_right_of_the_hosts_superuser_too() {
    let log = Log::default();
    let (world, agent) = furnished(&log).await;
    for base in ["/data", "/home"] {
        let at = |name: &str| format!("{base}/{name}");
        world.call(&agent, chown(&at("link"), Some(1_234), None)).await.unwrap();
        world.call(&agent, chown(&at("file"), None, Some(5_678))).await.unwrap();
        let itself = v1::Chown { no_follow: true, ..chown(&at("link"), Some(9), Some(9)) };
        world.call(&agent, itself).await.unwrap();
        let seen = world.call(&agent, stat(&at("file"))).await.unwrap();
        assert_eq!((seen.uid, seen.gid), (1_234, 5_678));
        let seen = world.call(&agent, stat(&at("link"))).await.unwrap();
        assert_eq!((seen.uid, seen.gid), (9, 9));
        let file = changed(&at("file"), false);
        assert_eq!(log.changes(&agent), [file.clone(), file, changed(&at("link"), false)]);
        for (path, uid, errno) in [
            (at("file"), None, Errno::EINVAL),
            (at("file"), Some(u32::MAX), Errno::EINVAL),
            (at("none"), Some(0), Errno::ENOENT),
        ] {
            assert_eq!(world.errno(&agent, chown(&path, uid, None)).await, errno, "{path}");
        }
    }
    let outside = world.host.path().join("file").metadata().unwrap();
    assert_eq!((outside.uid(), outside.gid()), (1_234, 5_678));
    assert_eq!(log.changes(&agent), []);
    let writer = world.agent(&["fs.write:/data/**"]).await;
    for name in ["file", "none"] {
        let error = world.call(&writer, chown(&format!("/data/{name}"), Some(0), None)).await.unwrap_err();
        assert_eq!(missing(&error), "fs.admin");
    }
    assert_eq!(world.host.path().join("file").metadata().unwrap().uid(), 1_234);
}

#[tokio::test]
async fn times_are_set_to_the_microsecond_before_1970_too() {
    let log = Log::default();
    let (world, agent) = furnished(&log).await;
    for base in ["/data", "/home"] {
        let at = |name: &str| format!("{base}/{name}");
        for (accessed, modified) in
            [(Some(1), Some(1_700_000_000_123_456)), (Some(-1), None), (None, Some(-1_234_567_890))]
        {
            let before = world.call(&agent, stat(&at("file"))).await.unwrap();
            let now = world.call(&agent, times(&at("link"), accessed, modified)).await.unwrap();
            assert_eq!((now.accessed_us, now.modified_us), (accessed, modified));
            let seen = world.call(&agent, stat(&at("file"))).await.unwrap();
            assert_eq!(seen.accessed_us, accessed.unwrap_or(before.accessed_us));
            assert_eq!(seen.modified_us, modified.unwrap_or(before.modified_us));
            assert!(seen.changed_us >= before.changed_us);
        }
        assert_eq!(log.changes(&agent), vec![changed(&at("file"), false); 3]);
        let now = world.call(&agent, times(&at("folder"), None, None)).await.unwrap();
        assert!(now.accessed_us.unwrap() > 1_700_000_000_000_000 && now.accessed_us == now.modified_us);
        let itself = v1::SetTimes { no_follow: true, ..times(&at("link"), Some(7), Some(8)) };
        world.call(&agent, itself).await.unwrap();
        assert_eq!(world.call(&agent, stat(&at("link"))).await.unwrap().modified_us, 8);
        assert_eq!(world.call(&agent, stat(&at("file"))).await.unwrap().modified_us, -1_234_567_890);
        // Beyond what the filesystem can hold it says what it made of that.
        for extreme in [i64::MIN, i64::MAX] {
            let now = world.call(&agent, times(&at("file"), None, Some(extreme))).await.unwrap();
            let seen = world.call(&agent, stat(&at("file"))).await.unwrap();
            assert_eq!(now.modified_us, Some(seen.modified_us));
            assert_eq!(seen.modified_us < 0, extreme < 0, "{base} {extreme} became {}", seen.modified_us);
        }
        assert_eq!(world.errno(&agent, times(&at("none"), None, None)).await, Errno::ENOENT);
        log.changes(&agent);
    }
    world.call(&agent, times("/data/file", Some(-1_500_000), Some(2_000_001))).await.unwrap();
    let outside = world.host.path().join("file").metadata().unwrap();
    assert_eq!((outside.atime(), outside.atime_nsec()), (-2, 500_000_000));
    assert_eq!((outside.mtime(), outside.mtime_nsec()), (2, 1_000));
    assert_eq!(world.errno(&agent, times("/usr/bin/printf", None, None)).await, Errno::EROFS);
}

/// An attribute as the host has it.
fn outside(world: &World, name: &str) -> Option<Vec<u8>> {
    let path = world.host.path().join("file");
    let mut value = vec![0; 1 << 16];
    let len = rustix::fs::getxattr(path, name, &mut value[..]).ok()?;
    value.truncate(len);
    Some(value)
}

#[tokio::test]
async fn extended_attributes_are_set_told_listed_and_taken_away() {
    use XattrFlags::{Create, Remove, Replace, Unspecified};
    let log = Log::default();
    let (world, agent) = furnished(&log).await;
    for base in ["/data", "/home"] {
        let at = |name: &str| format!("{base}/{name}");
        world.call(&agent, set(&at("link"), "user.b", b"\0two\xff", Create)).await.unwrap();
        world.call(&agent, set(&at("file"), "user.a", "", Unspecified)).await.unwrap();
        world.call(&agent, set(&at("file"), "user.b", "three", Replace)).await.unwrap();
        let raw =
            v1::SetXattr { name_raw: (&b"user.\xff"[..]).into(), ..set(&at("file"), "", "x", Unspecified) };
        world.call(&agent, raw).await.unwrap();
        world.call(&agent, set(&at("folder"), "user.c", "x", Unspecified)).await.unwrap();
        let file = changed(&at("file"), false);
        let told = log.changes(&agent);
        assert_eq!(
            told,
            [file.clone(), file.clone(), file.clone(), file.clone(), changed(&at("folder"), true)]
        );
        assert_eq!(&world.call(&agent, get(&at("file"), "user.b")).await.unwrap().value[..], b"three");
        assert_eq!(&world.call(&agent, get(&at("link"), "user.a")).await.unwrap().value[..], b"");
        let listed = v1::ListXattr { path: at("file"), ..Default::default() };
        let names = world.call(&agent, listed.clone()).await.unwrap().names;
        let names: Vec<_> = names.iter().map(|it| (&*it.name, &it.name_raw[..])).collect();
        assert_eq!(names, [("user.a", &b""[..]), ("user.b", b""), ("user.\u{fffd}", b"user.\xff")]);
        world.call(&agent, set(&at("file"), "user.a", "", Remove)).await.unwrap();
        assert_eq!(world.call(&agent, listed).await.unwrap().names.len(), 2);
        log.changes(&agent);

        let long = format!("user.{}", "n".repeat(251));
        for (name, flags, errno) in [
            ("user.b", Create, Errno::EEXIST),
            ("user.new", Replace, Errno::ENODATA),
            ("user.new", Remove, Errno::ENODATA),
            ("", Unspecified, Errno::ERANGE),
            (&*long, Unspecified, Errno::ERANGE),
            ("user.", Unspecified, Errno::EINVAL),
            ("user.a\0b", Unspecified, Errno::EINVAL),
            ("a", Unspecified, Errno::ENOTSUP),
            ("trusted.a", Unspecified, Errno::ENOTSUP),
            ("security.capability", Unspecified, Errno::ENOTSUP),
            ("system.posix_acl_access", Unspecified, Errno::ENOTSUP),
            ("USER.a", Unspecified, Errno::ENOTSUP),
        ] {
            assert_eq!(
                world.errno(&agent, set(&at("file"), name, "", flags)).await,
                errno,
                "{base} {name:?}"
            );
            let told = if flags == Unspecified { errno } else { continue };
            assert_eq!(world.errno(&agent, get(&at("file"), name)).await, told, "{base} {name:?}");
        }
        assert_eq!(world.errno(&agent, get(&at("file"), "user.new")).await, Errno::ENODATA);
        assert_eq!(world.errno(&agent, get(&at("none"), "user.b")).await, Errno::ENOENT);
        assert_eq!(world.errno(&agent, set(&at("file"), "user.b", "x", Remove)).await, Errno::EINVAL);
        let unknown = v1::SetXattr { flags: 9, ..set(&at("file"), "user.b", "", Unspecified) };
        assert_eq!(world.errno(&agent, unknown).await, Errno::EINVAL);
        let huge = set(&at("file"), "user.b", vec![0; (64 << 10) + 1], Unspecified);
        let error = world.call(&agent, huge).await.unwrap_err();
        assert_eq!(error.errno, Errno::E2BIG);
        assert!(matches!(
            error.cause.as_deref(),
            Some(Cause::Limit { name: "xattr_bytes", max: 65_536, .. })
        ));
        assert_eq!(log.changes(&agent), []);
        assert_eq!(&world.call(&agent, get(&at("file"), "user.b")).await.unwrap().value[..], b"three");
    }
    assert_eq!(outside(&world, "user.b").as_deref(), Some(&b"three"[..]));
    assert_eq!(outside(&world, "user.a"), None);
    assert_eq!(world.errno(&agent, set("/usr/bin/printf", "user.b", "", Unspecified)).await, Errno::EROFS);
}

#[tokio::test]
async fn a_filesystem_tells_its_size_as_the_host_does() {
    let log = Log::default();
    let (world, agent) = furnished(&log).await;
    let stat = |path: &str| v1::Statfs { path: path.to_owned(), ..Default::default() };
    let memory = world.call(&agent, stat("/home/file")).await.unwrap();
    assert_eq!((memory.total_bytes, memory.name_max_bytes, memory.read_only), (1 << 20, 255, false));
    world.call(&agent, write("/home/more", vec![b'x'; 4_096])).await.unwrap();
    let fuller = world.call(&agent, stat("/home")).await.unwrap();
    assert!(fuller.free_bytes <= memory.free_bytes - 4_096 && fuller.available_bytes <= fuller.free_bytes);
    let host = world.call(&agent, stat("/data/link")).await.unwrap();
    let outside = rustix::fs::statvfs(world.host.path()).unwrap();
    assert_eq!(host.total_bytes, outside.f_blocks * outside.f_frsize);
    assert_eq!((host.total_nodes, host.read_only), (outside.f_files, false));
    assert!(world.call(&agent, stat("/usr")).await.unwrap().read_only);
    assert_eq!(world.errno(&agent, stat("/data/none")).await, Errno::ENOENT);
    assert_eq!(world.errno(&agent, stat("/data/file/x")).await, Errno::ENOTDIR);
}

#[tokio::test]
async fn attributes_of_what_is_foreign_are_neither_told_nor_changed() {
    let world = World::start();
    world.put("own/file", "");
    world.put("foreign/file", "");
    symlink("/data/foreign/file", world.host.path().join("own/link")).unwrap();
    let own = world.agent(&["fs.read:/data/own/**", "fs.write:/data/own/**", "fs.admin"]).await;
    let before = world.host.path().join("foreign/file").metadata().unwrap();
    let all = |path: &str| -> Vec<(Call, &str)> {
        let path_of = || path.to_owned();
        vec![
            (chmod(path, 0o600).into(), "fs.write"),
            (chown(path, Some(1), None).into(), "fs.write"),
            (times(path, Some(1), Some(1)).into(), "fs.write"),
            (set(path, "user.x", "", XattrFlags::Unspecified).into(), "fs.write"),
            (get(path, "user.x").into(), "fs.read"),
            (v1::ListXattr { path: path_of(), ..Default::default() }.into(), "fs.read"),
            (v1::Statfs { path: path_of(), ..Default::default() }.into(), "fs.read"),
        ]
    };
    for (path, leads_to) in [
        ("/data/foreign/file", "/data/foreign/file"),
        ("/data/foreign/none", "/data/foreign/none"),
        ("/data/own/../foreign", "/data/foreign"),
        ("/data/own/link", "/data/foreign/file"),
    ] {
        for (call, right) in all(path) {
            let name = call.info().name;
            let error = common::within(world.kernel.invoke(&own, call)).await.unwrap_err();
            assert_eq!(missing(&error), format!("{right}:{leads_to}"), "{name} {path}");
        }
    }
    let after = world.host.path().join("foreign/file").metadata().unwrap();
    assert_eq!((before.ctime_nsec(), before.mode()), (after.ctime_nsec(), after.mode()));
}

/// Files in memory may get the time of the clock's last tick, but not one before a time that was asked for.
#[tokio::test]
async fn no_file_is_older_than_the_time_that_was_asked_for_before_it() {
    let (world, agent) = furnished(&Log::default()).await;
    let mut asked = Vec::new();
    for nth in 0..200 {
        let path = format!("/home/folder/{nth}");
        let before = world.call(&agent, v1::GetCurrentTime {}).await.unwrap().time_us;
        world.call(&agent, write(&path, "content")).await.unwrap();
        asked.push((path, before));
    }
    for (path, before) in asked {
        let made = world.call(&agent, stat(&path)).await.unwrap();
        assert!(made.modified_us >= before, "{path}: {made:?} after {before}");
    }
}
