//! Mounts: busy ones, read-only ones, bound ones, and what owners may hold on them.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use proptest::prelude::*;
use std::collections::HashMap;
use uos_vfs::{
    Access, Allocate, As, Caller, Error, FileSystem, How, Limit, LocalFs, MemFs, MountOptions, Mounts, Name,
    NodeRef, OpenOptions, Rename, SetAttr, Used,
};

const ROOT: &Caller = &Caller::ROOT;

fn mounts(dirs: &[&str]) -> Mounts {
    let mounts = Mounts::new(MemFs::builder().build().root());
    for dir in dirs {
        mounts.create_dir(dir).unwrap();
    }
    mounts
}

fn memory() -> NodeRef {
    MemFs::builder().build().root()
}

fn named(name: &str) -> Name<'_> {
    Name::new(name.as_bytes()).unwrap()
}

#[test]
fn what_is_in_use_is_not_unmounted() {
    let mounts = mounts(&["/m"]);
    mounts.mount(b"/m", memory()).unwrap();
    mounts.create_dir("/m/inner").unwrap();
    mounts.mount(b"/m/inner", memory()).unwrap();
    assert_eq!(mounts.unmount(b"/m"), Err(Error::Busy), "something is mounted below");
    assert_eq!(mounts.detach(b"/m"), Err(Error::Busy));
    // Also when the directory between them has another name by now.
    mounts.create_dir("/m/deep/er").unwrap();
    mounts.mount(b"/m/deep/er", memory()).unwrap();
    mounts.rename("/m/deep", "/m/other").unwrap();
    mounts.unmount(b"/m/inner").unwrap();
    assert_eq!(mounts.unmount(b"/m"), Err(Error::Busy));
    mounts.unmount(b"/m/other/er").unwrap();
    mounts.write("/m/f", "text").unwrap();
    let file = mounts.open("/m/f", &OpenOptions::read_only()).unwrap();
    assert_eq!(mounts.list()[1].open_files, 1);
    assert_eq!(mounts.unmount(b"/m"), Err(Error::Busy), "a file is open");
    mounts.delete("/m/f").unwrap();
    assert_eq!(mounts.unmount(b"/m"), Err(Error::Busy), "also without a name");
    drop(file);
    let file = mounts.open("/m/g", &OpenOptions::write_only().create(0o644)).unwrap();
    mounts.detach(b"/m").unwrap();
    file.handle().append(b"goes on").unwrap();
    assert!(!mounts.exists("/m/g").unwrap());
}

#[test]
fn a_mount_point_keeps_its_name() {
    let mounts = mounts(&["/a/m", "/b"]);
    mounts.mount(b"/a/m", memory()).unwrap();
    assert_eq!(mounts.remove_dir("/a/m"), Err(Error::Busy));
    assert_eq!(mounts.remove_dir_all("/a/m"), Err(Error::Busy));
    assert_eq!(mounts.remove_dir_all("/a"), Err(Error::Busy));
    assert_eq!(mounts.rename("/a/m", "/b/m"), Err(Error::Busy));
    assert_eq!(mounts.rename("/b", "/a/m"), Err(Error::Busy));
    assert_eq!(mounts.rename_with("/b", "/a/m", Rename::Exchange), Err(Error::Busy));
    assert_eq!(mounts.remove_dir("/"), Err(Error::Busy));
    assert_eq!(mounts.remove_dir("/a"), Err(Error::NotEmpty));
    mounts.bind(b"/a", b"/b", &MountOptions::default()).unwrap();
    assert_eq!(mounts.remove_dir("/b/m"), Err(Error::Busy), "whichever way one comes");
    mounts.unmount(b"/a/m").unwrap();
    mounts.remove_dir("/b/m").unwrap();
    assert!(!mounts.exists("/a/m").unwrap());
}

#[test]
fn a_read_only_mount_takes_nothing() {
    let mounts = mounts(&["/m"]);
    let fs = MemFs::builder().build();
    fs.write("/f", "text").unwrap();
    fs.create_dir("/d").unwrap();
    mounts.mount_with(b"/m", fs.root(), MountOptions::default().read_only()).unwrap();
    let before = fs.snapshot();
    let dir = mounts.node("/m").unwrap();
    let file = mounts.node("/m/f").unwrap();
    let refused: Vec<(&str, Result<(), Error>)> = vec![
        ("write", mounts.write("/m/f", "x")),
        ("append", mounts.append("/m/f", "x")),
        ("create", mounts.create("/m/g", 0o644)),
        ("mkdir", mounts.make_dir("/m/e", 0o755)),
        ("symlink", mounts.symlink("f", "/m/l")),
        ("link", mounts.hard_link("/m/f", "/m/h")),
        ("mknod", mounts.make_special("/m/p", uos_vfs::Special::Fifo, 0o600)),
        ("unlink", mounts.delete("/m/f")),
        ("unlink nothing", mounts.delete("/m/none")),
        ("rmdir", mounts.remove_dir("/m/d")),
        ("rename", mounts.rename("/m/f", "/m/g")),
        ("rename away", mounts.rename("/m/f", "/g")),
        ("truncate", mounts.truncate("/m/f", 0)),
        ("chmod", mounts.set_permissions("/m/f", 0o600)),
        ("chown", mounts.set_owner("/m/f", Some(1), None)),
        ("xattr", mounts.set_xattr("/m/f", "user.a", "x", uos_vfs::SetXattr::Any)),
        ("open", mounts.open("/m/f", &OpenOptions::read_write()).map(drop)),
        ("node", dir.create(ROOT, named("x"), 0o644).map(drop)),
        ("opened node", NodeRef::clone(&file).open(ROOT, Access::Write).map(drop)),
        ("access", file.access(ROOT, uos_vfs::Want::WRITE)),
    ];
    for (what, result) in refused {
        assert_eq!(result, Err(Error::ReadOnly), "{what}");
    }
    assert!(before.diff(&fs.snapshot()).unwrap().is_empty());
    assert_eq!(mounts.make_dir("/m/d", 0o755), Err(Error::Exists), "as on Linux");
    assert!(mounts.stat_fs("/m").unwrap().read_only && mounts.list()[1].read_only);
    assert_eq!(mounts.read("/m/f").unwrap(), b"text");
}

#[test]
fn changes_are_forbidden_when_nobody_is_at_one() {
    let mounts = mounts(&["/m"]);
    mounts.mount(b"/m", memory()).unwrap();
    let writer = mounts.open("/m/f", &OpenOptions::write_only().create(0o644)).unwrap();
    let reader = mounts.open("/m/f", &OpenOptions::read_only()).unwrap();
    assert_eq!(mounts.set_read_only(b"/m", true), Err(Error::Busy));
    mounts.write("/m/g", "still").unwrap();
    drop(writer);
    mounts.set_read_only(b"/m", true).unwrap();
    assert_eq!(mounts.write("/m/g", "x"), Err(Error::ReadOnly));
    assert_eq!(reader.handle().read_bytes(0, 9).unwrap(), &b""[..]);
    mounts.set_read_only(b"/m", false).unwrap();
    mounts.write("/m/g", "again").unwrap();
    assert!(
        matches!(mounts.set_read_only(b"/", true), Err(Error::InvalidArgument(_))),
        "nothing is mounted there"
    );
    let whole = Mounts::with(memory(), MountOptions::default()).unwrap();
    whole.set_read_only(b"/", true).unwrap();
    assert_eq!(whole.create("/f", 0o644), Err(Error::ReadOnly));
}

#[test]
fn a_bound_directory_is_the_same_and_another_mount() {
    let mounts = mounts(&["/a/d", "/b", "/c"]);
    mounts.mount(b"/a", memory()).unwrap();
    mounts.create_dir("/a/d/e").unwrap();
    mounts.write("/a/d/f", "text").unwrap();
    mounts.bind(b"/a/d", b"/b", &MountOptions::default().read_only()).unwrap();
    let id = |path: &str| mounts.metadata(path).unwrap().id;
    assert_eq!(id("/a/d/f"), id("/b/f"));
    assert_eq!(mounts.write("/b/f", "x"), Err(Error::ReadOnly));
    mounts.write("/a/d/f", "new").unwrap();
    assert_eq!(mounts.read("/b/f").unwrap(), b"new");
    // What is mounted in one is not mounted in the other.
    mounts.mount(b"/a/d/e", memory()).unwrap();
    mounts.write("/a/d/e/inner", "").unwrap();
    assert!(!mounts.exists("/b/e/inner").unwrap());
    assert_eq!(mounts.resolve(b"/b/../a", &How::privileged()).unwrap().path.as_bytes(), b"/a");
    // A directory within itself ends there.
    mounts.bind(b"/", b"/c", &MountOptions::default()).unwrap();
    assert!(mounts.exists("/c/c").unwrap());
    assert!(mounts.list_dir("/c/c").unwrap().is_empty());
    assert!(mounts.list_dir("/c/a/d").unwrap().is_empty(), "what `/a` was before it was mounted on");
    let (from, to) = (mounts.node("/a/d").unwrap(), mounts.node("/b").unwrap());
    assert_eq!(from.rename(ROOT, named("f"), &to, named("g"), Rename::Replace), Err(Error::CrossDevice));
    assert_eq!(from.link(ROOT, named("g"), &mounts.node("/b/f").unwrap()), Err(Error::CrossDevice));
    // A file open through the one holds the other as well, whose it is.
    let open = mounts.open("/b/f", &OpenOptions::read_only()).unwrap();
    mounts.unmount(b"/a/d/e").unwrap();
    assert_eq!((mounts.unmount(b"/b"), mounts.unmount(b"/a")), (Err(Error::Busy), Err(Error::Busy)));
    drop(open);
    mounts.unmount(b"/b").unwrap();
    mounts.unmount(b"/a").unwrap();
}

fn limited(bytes: u64, nodes: u64) -> (Mounts, MemFs) {
    let mounts = mounts(&["/m"]);
    let fs = MemFs::builder().build();
    fs.set_permissions("/", 0o777).unwrap();
    let options = MountOptions::default().quota(Limit { bytes, nodes });
    mounts.mount_with(b"/m", fs.root(), options).unwrap();
    (mounts, fs)
}

fn used(mounts: &Mounts, uid: u32) -> (u64, u64) {
    let Used { bytes, nodes } = mounts.quota(b"/m", uid).unwrap().0;
    (bytes, nodes)
}

#[test]
fn an_owner_gets_no_more_than_their_share() {
    let (mounts, fs) = limited(100, 3);
    let ada = As::new(&mounts, Caller::user(1000, 1000));
    let over = |used, asked| Err(Error::QuotaExceeded { limit: 100, used, asked });
    ada.write("/m/a", [1; 60]).unwrap();
    ada.write("/m/b", [2; 40]).unwrap();
    assert_eq!(used(&mounts, 1000), (100, 2));
    let before = fs.snapshot();
    assert_eq!(ada.append("/m/a", [3]), over(100, 1));
    assert_eq!(ada.write("/m/a", [3; 61]), over(100, 1));
    assert_eq!(ada.truncate("/m/b", 42), over(100, 2));
    assert_eq!(ada.symlink("x", "/m/l"), over(100, 1));
    let file = ada.open("/m/a", &OpenOptions::write_only()).unwrap();
    assert_eq!(file.handle().write_at(1000, b"far").map(drop), over(100, 943));
    assert_eq!(file.handle().allocate(0, 61, Allocate::Reserve), over(100, 1));
    assert_eq!(file.handle().write_at(u64::MAX, b"x"), Err(Error::TooBig));
    assert!(before.diff(&fs.snapshot()).unwrap().is_empty(), "what is refused has changed nothing");
    // What is written over is not written anew.
    file.handle().write_at(0, &[9; 60]).unwrap();
    ada.make_dir("/m/d", 0o755).unwrap();
    assert_eq!(ada.create("/m/c", 0o644), Err(Error::QuotaExceeded { limit: 3, used: 3, asked: 1 }));
    assert!(!fs.exists("/c").unwrap());
    // Others have their own.
    let bob = As::new(&mounts, Caller::user(1001, 1001));
    bob.write("/m/bob", [1; 100]).unwrap();
    assert_eq!(used(&mounts, 1001), (100, 1));
    assert_eq!(
        mounts.set_owner("/m/bob", Some(1000), None),
        Err(Error::QuotaExceeded { limit: 100, used: 100, asked: 100 }),
        "nothing is given to who can't hold it"
    );
    assert_eq!((used(&mounts, 1001), mounts.metadata("/m/bob").unwrap().uid), ((100, 1), 1001));
    mounts.set_limit(b"/m", 1001, Limit { bytes: 250, nodes: 5 }).unwrap();
    bob.append("/m/bob", [1; 150]).unwrap();
    assert_eq!(
        mounts.quota(b"/m", 1001).unwrap(),
        (Used { bytes: 250, nodes: 1 }, Limit { bytes: 250, nodes: 5 })
    );
    // A link is no second file.
    bob.hard_link("/m/bob", "/m/bob2").unwrap();
    assert_eq!(used(&mounts, 1001), (250, 1));
    bob.delete("/m/bob").unwrap();
    assert_eq!(used(&mounts, 1001), (250, 1));
}

#[test]
fn what_is_given_up_comes_back_when_nobody_uses_it() {
    let (mounts, _fs) = limited(100, 3);
    let ada = As::new(&mounts, Caller::user(1000, 1000));
    ada.write("/m/a", [1; 100]).unwrap();
    let open = ada.open("/m/a", &OpenOptions::read_write()).unwrap();
    ada.delete("/m/a").unwrap();
    assert_eq!(used(&mounts, 1000), (100, 1), "somebody has it open");
    open.handle().set_len(70).unwrap();
    assert_eq!(used(&mounts, 1000), (70, 1));
    drop(open);
    assert_eq!(used(&mounts, 1000), (0, 0));
    ada.write("/m/a", [1; 50]).unwrap();
    ada.write("/m/b", [1; 50]).unwrap();
    ada.rename("/m/a", "/m/b").unwrap();
    assert_eq!(used(&mounts, 1000), (50, 1), "what was replaced is gone");
    ada.rename("/m/b", "/m/b").unwrap();
    assert_eq!(used(&mounts, 1000), (50, 1));
    ada.make_dir("/m/d", 0o755).unwrap();
    ada.make_dir("/m/e", 0o755).unwrap();
    ada.rename("/m/d", "/m/e").unwrap();
    assert_eq!(used(&mounts, 1000), (50, 2));
    ada.remove_dir("/m/e").unwrap();
    mounts.set_owner("/m/b", Some(7), None).unwrap();
    assert_eq!((used(&mounts, 1000), used(&mounts, 7)), ((0, 0), (50, 1)));
    mounts.truncate("/m/b", 5).unwrap();
    mounts.delete("/m/b").unwrap();
    assert_eq!(used(&mounts, 7), (0, 0));
    assert!(matches!(mounts.quota(b"/", 7), Err(Error::InvalidArgument(_))));
}

#[test]
fn what_was_there_before_counts() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("d")).unwrap();
    std::fs::write(dir.path().join("d/f"), [0; 30]).unwrap();
    std::fs::hard_link(dir.path().join("d/f"), dir.path().join("g")).unwrap();
    std::os::unix::fs::symlink("target", dir.path().join("l")).unwrap();
    let mounts = mounts(&["/m"]);
    let uid = rustix::process::geteuid().as_raw();
    let local = LocalFs::open(dir.path(), false).unwrap();
    let options = MountOptions::default().quota(Limit { bytes: 50, nodes: 100 });
    mounts.mount_with(b"/m", local.root(), options).unwrap();
    assert_eq!(used(&mounts, uid), (36, 4));
    mounts.append("/m/g", [1; 14]).unwrap();
    assert!(matches!(
        mounts.append("/m/d/f", [1]),
        Err(Error::QuotaExceeded { limit: 50, used: 50, asked: 1 })
    ));
    mounts.delete("/m/g").unwrap();
    mounts.delete("/m/d/f").unwrap();
    assert_eq!(used(&mounts, uid), (6, 3));
}

#[test]
fn a_limit_holds_against_racing_writers() {
    let (mounts, _fs) = limited(10_000, 1_000);
    let written: u64 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|thread| {
                let mounts = &mounts;
                scope.spawn(move || {
                    let ada = As::new(mounts, Caller::user(1000, 1000));
                    let file = ada
                        .open(format!("/m/{}", thread % 3), &OpenOptions::write_only().create(0o666))
                        .unwrap();
                    (0..1_000).filter(|_| file.handle().append(b"0123456").is_ok()).count() as u64 * 7
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!((written, used(&mounts, 1000)), (10_000 / 7 * 7, (10_000 / 7 * 7, 3)));
    for name in ["/m/0", "/m/1", "/m/2"] {
        mounts.delete(name).unwrap();
    }
    assert_eq!(used(&mounts, 1000), (0, 0));
}

#[derive(Clone, Debug)]
enum Step {
    Write(u8, u8, u16),
    Append(u8, u8, u16),
    Truncate(u8, u16),
    Own(u8, u8),
    Link(u8, u8),
    Rename(u8, u8, bool),
    Delete(u8),
    Mkdir(u8, u8),
    Rmdir(u8),
    Symlink(u8, u8),
    Hold(u8),
    Release,
}

fn step() -> impl Strategy<Value = Step> {
    let (name, uid, len) = (0..5u8, 0..3u8, 0..200u16);
    prop_oneof![
        (name.clone(), uid.clone(), len.clone()).prop_map(|(name, uid, len)| Step::Write(name, uid, len)),
        (name.clone(), uid.clone(), len.clone()).prop_map(|(name, uid, len)| Step::Append(name, uid, len)),
        (name.clone(), len).prop_map(|(name, len)| Step::Truncate(name, len)),
        (name.clone(), uid.clone()).prop_map(|(name, uid)| Step::Own(name, uid)),
        (name.clone(), name.clone()).prop_map(|(from, to)| Step::Link(from, to)),
        (name.clone(), name.clone(), any::<bool>()).prop_map(|(from, to, swap)| Step::Rename(from, to, swap)),
        name.clone().prop_map(Step::Delete),
        (name.clone(), uid.clone()).prop_map(|(name, uid)| Step::Mkdir(name, uid)),
        name.clone().prop_map(Step::Rmdir),
        (name.clone(), uid).prop_map(|(name, uid)| Step::Symlink(name, uid)),
        name.prop_map(Step::Hold),
        Just(Step::Release),
    ]
}

/// What each owner holds, by looking.
fn census(mounts: &Mounts, held: &[uos_vfs::File]) -> HashMap<u32, (u64, u64)> {
    let mut attrs = HashMap::new();
    let mut left = vec!["/m".to_owned()];
    while let Some(path) = left.pop() {
        let attr = mounts.symlink_metadata(&path).unwrap();
        if attr.kind == uos_vfs::Kind::Directory {
            let entries = mounts.list_dir(&path).unwrap();
            left.extend(
                entries.iter().map(|entry| format!("{path}/{}", String::from_utf8_lossy(&entry.name))),
            );
        }
        attrs.insert(attr.id, attr);
    }
    for file in held {
        let attr = file.metadata().unwrap();
        attrs.insert(attr.id, attr);
    }
    let mut owners = HashMap::new();
    for attr in attrs.values() {
        let counts = matches!(attr.kind, uos_vfs::Kind::File | uos_vfs::Kind::Symlink);
        let owner = owners.entry(attr.uid).or_insert((0, 0));
        owner.0 += if counts { attr.size } else { 0 };
        owner.1 += 1;
    }
    owners
}

proptest! {
    #[test]
    fn the_books_are_what_counting_gives(steps in prop::collection::vec(step(), 1..80)) {
        let (mounts, _fs) = limited(500, 6);
        let by = |uid: u8| Caller::user(u32::from(uid) + 10, 1);
        let path = |name: u8| format!("/m/{name}");
        let mut held: Vec<uos_vfs::File> = Vec::new();
        for step in steps {
            let _ = match step {
                Step::Write(name, uid, len) => {
                    mounts.write(path(name), vec![1; len.into()]).and_then(|()| mounts.set_owner(path(name), Some(by(uid).uid), None))
                }
                Step::Append(name, uid, len) => As::new(&mounts, by(uid)).append(path(name), vec![2; len.into()]),
                Step::Truncate(name, len) => mounts.truncate(path(name), len.into()),
                Step::Own(name, uid) => mounts.set_attr(
                    path(name),
                    &SetAttr { uid: Some(by(uid).uid), size: (name == 0).then_some(7), ..SetAttr::default() },
                ),
                Step::Link(from, to) => mounts.hard_link(path(from), path(to)),
                Step::Rename(from, to, swap) => mounts.rename_with(
                    path(from), path(to), if swap { Rename::Exchange } else { Rename::Replace },
                ),
                Step::Delete(name) => mounts.delete(path(name)),
                Step::Mkdir(name, uid) => As::new(&mounts, by(uid)).make_dir(path(name), 0o777),
                Step::Rmdir(name) => mounts.remove_dir(path(name)),
                Step::Symlink(name, uid) => As::new(&mounts, by(uid)).symlink("nowhere", path(name)),
                Step::Hold(name) => mounts.open(path(name), &OpenOptions::read_write()).map(|file| held.push(file)),
                Step::Release => { held.pop(); Ok(()) }
            };
            let counted = census(&mounts, &held);
            for uid in [0, 10, 11, 12] {
                prop_assert_eq!(used(&mounts, uid), counted.get(&uid).copied().unwrap_or_default(), "owner {}", uid);
            }
        }
    }
}

#[test]
fn what_was_found_is_mounted_on_and_unmounted_from_whatever_its_path_leads_to_by_then() {
    let mounts = mounts(&["/a", "/b"]);
    let found = |path: &str| mounts.resolve(path.as_bytes(), &How::privileged()).unwrap();
    let place = found("/a");
    mounts.rename("/a", "/c").unwrap();
    mounts.symlink("b", "/a").unwrap();
    let id = mounts.mount_on(&place, memory(), MountOptions::default()).unwrap();
    mounts.write("/c/inside", "").unwrap();
    assert!(!mounts.exists("/b/inside").unwrap());
    assert!(mounts.list().iter().any(|mount| mount.id == Some(id)));
    assert_eq!(mounts.mount_on(&place, memory(), MountOptions::default()), Err(Error::Busy));
    assert_eq!(mounts.unmount_from(&place), Err(Error::InvalidArgument("not a mount point")));

    let mounted = found("/c");
    let open = mounts.open("/c/inside", &OpenOptions::read_only()).unwrap();
    assert_eq!(mounts.unmount_from(&mounted), Err(Error::Busy));
    assert_eq!(mounts.mounted_in(place.node.as_ref().unwrap().id().fs), Some(place.path.clone()));
    let detached = mounts.detach_from(&mounted).unwrap();
    assert_eq!(detached.open_files(), 1);
    drop(open);
    assert_eq!(detached.open_files(), 0);
    assert_eq!(mounts.mounted_in(place.node.as_ref().unwrap().id().fs), None);
    // What is mounted there next is not what was found.
    mounts.mount(b"/c", memory()).unwrap();
    assert_eq!(mounts.unmount_from(&mounted), Err(Error::InvalidArgument("not a mount point")));
    mounts.unmount(b"/c").unwrap();
    assert_eq!(mounts.unmount_from(&found("/")), Err(Error::Busy));
}

#[test]
fn a_filesystem_in_memory_is_known_by_its_root_alone() {
    let fs = MemFs::builder().build();
    fs.create_dir("/dir").unwrap();
    fs.write("/file", "x").unwrap();
    let mounts = mounts(&["/at", "/bound"]);
    mounts.mount(b"/at", fs.root()).unwrap();
    mounts.bind(b"/at/dir", b"/bound", &MountOptions::default()).unwrap();
    let known = MemFs::with_root(&mounts.node("/at").unwrap()).unwrap();
    let before = known.snapshot();
    fs.write("/file", "y").unwrap();
    known.restore(&before).unwrap();
    assert_eq!(fs.read("/file").unwrap(), b"x");
    for path in ["/at/dir", "/at/file", "/bound"] {
        assert!(MemFs::with_root(&mounts.node(path).unwrap()).is_none(), "{path}");
    }
    let removed = fs.node("/dir").unwrap();
    fs.remove_dir("/dir").unwrap();
    assert!(MemFs::with_root(&removed).is_none());
    assert!(MemFs::with_root(&before.root()).is_none(), "what was is not what is");
    assert!(MemFs::with_root(&before.fork().root()).is_some());
    let host = tempfile::tempdir().unwrap();
    assert!(MemFs::with_root(&LocalFs::open(host.path(), false).unwrap().root()).is_none());
}
