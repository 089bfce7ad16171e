//! What is special about directories laid over each other. That they are filesystems like others is shown by the
//! conformance suite and by `differential`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod failing;
mod interrupted;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use uos_vfs::{
    Access, Caller, Device, Error, FileSystem, Kind, LocalFs, MemFs, Name, NodeRef, OpenOptions, OverlayFs,
    Rename, SetAttr, SetTime, SetXattr, Special, Timestamp, Tree,
};

const ROOT: &Caller = &Caller::ROOT;
const MARKS: &str = ".uos-overlay";

fn named(text: &str) -> Name<'_> {
    Name::new(text.as_bytes()).unwrap()
}

fn node(fs: &OverlayFs, path: &str) -> NodeRef {
    path.split('/')
        .filter(|name| !name.is_empty())
        .fold(fs.root(), |dir, name| dir.lookup(ROOT, named(name)).unwrap())
}

fn names(fs: &impl FileSystem, path: &str) -> Vec<String> {
    let entries = fs.list_dir(path).unwrap().into_iter();
    let mut names: Vec<_> = entries.map(|entry| String::from_utf8(entry.name).unwrap()).collect();
    names.sort();
    names
}

/// Two layers: `/a/b/file` is in the lower one, `/a/above` in the upper one.
fn layers() -> (MemFs, MemFs) {
    let (upper, lower) = (MemFs::builder().build(), MemFs::builder().build());
    upper.create_dir("/a").unwrap();
    upper.write("/a/above", "above").unwrap();
    lower.create_dir("/a/b").unwrap();
    lower.write("/a/b/file", "below").unwrap();
    (upper, lower)
}

/// The two layers with an empty one to write to.
fn laid() -> (OverlayFs, MemFs, [NodeRef; 2]) {
    let (upper, lower) = layers();
    let (lowers, top) = ([upper.root(), lower.root()], MemFs::builder().build());
    (OverlayFs::new(lowers.clone(), top.root()).unwrap(), top, lowers)
}

#[test]
fn reading_copies_nothing_even_when_opened_for_both() {
    let (fs, top, _) = laid();
    let (bytes, nodes) = (top.used_bytes(), top.used_nodes());
    assert_eq!(fs.read("/a/b/file").unwrap(), b"below");
    let file = node(&fs, "/a/b/file").open(ROOT, Access::ReadWrite).unwrap();
    assert_eq!(file.read_bytes(0, 9).unwrap(), &b"below"[..]);
    file.write_at(0, b"").unwrap();
    file.sync().unwrap();
    fs.list_dir("/a/b").unwrap();
    fs.set_attr("/a/b/file", &SetAttr { size: Some(5), ..SetAttr::default() }).unwrap();
    assert_eq!((top.used_bytes(), top.used_nodes()), (bytes, nodes));
}

#[test]
fn what_is_refused_copies_nothing_up() {
    let (fs, top, _) = laid();
    let before = (top.used_bytes(), top.used_nodes());
    let ada = fs.seen_by(Caller::user(1, 1));
    assert_eq!(ada.write("/a/b/new", ""), Err(Error::AccessDenied));
    assert_eq!(ada.append("/a/b/file", "x"), Err(Error::AccessDenied));
    assert_eq!(ada.set_permissions("/a/b/file", 0o777), Err(Error::NotPermitted));
    assert_eq!(ada.set_permissions("/a/b", 0o777), Err(Error::NotPermitted));
    assert_eq!(ada.set_xattr("/a/b/file", "user.x", "", SetXattr::Any), Err(Error::AccessDenied));
    assert_eq!(ada.delete("/a/above"), Err(Error::AccessDenied));
    assert_eq!(ada.rename("/a/b", "/c"), Err(Error::AccessDenied));
    assert_eq!(
        fs.rename("/a/b", "/a/b/c"),
        Err(Error::InvalidArgument("a directory cannot move into itself"))
    );
    assert_eq!(fs.remove_dir("/a"), Err(Error::NotEmpty));
    assert_eq!(fs.make_dir("/a/b/file", 0o755), Err(Error::Exists));
    assert_eq!(fs.rename_with("/a/b/file", "/a/above", Rename::NoReplace), Err(Error::Exists));
    assert_eq!((top.used_bytes(), top.used_nodes()), before);
}

#[test]
fn what_is_open_reads_what_is_written_later() {
    let (fs, _, lowers) = laid();
    let node = node(&fs, "/a/b/file");
    let held = node.clone().open(ROOT, Access::Read).unwrap();
    let mut file = fs.open("/a/b/file", &OpenOptions::read_write()).unwrap();
    file.write_all(b"ABOVE").unwrap();
    assert_eq!(held.read_bytes(0, 9).unwrap(), &b"ABOVE"[..]);
    fs.delete("/a/b/file").unwrap();
    file.write_all(b" and gone").unwrap();
    assert_eq!(held.read_bytes(0, 99).unwrap(), &b"ABOVE and gone"[..]);
    assert_eq!(held.attr().unwrap().nlink, 0);
    let below = lowers[1].lookup(ROOT, named("a")).unwrap().lookup(ROOT, named("b")).unwrap();
    let below = below.lookup(ROOT, named("file")).unwrap().open(ROOT, Access::Read).unwrap();
    assert_eq!(below.read_bytes(0, 9).unwrap(), &b"below"[..]);
}

#[test]
fn a_removed_file_from_below_can_still_be_written_to() {
    let (fs, top, _) = laid();
    let file = node(&fs, "/a/b/file").open(ROOT, Access::ReadWrite).unwrap();
    fs.delete("/a/b/file").unwrap();
    assert_eq!(file.attr().unwrap().nlink, 0);
    file.append(b" and more").unwrap();
    assert_eq!(file.read_bytes(0, 99).unwrap(), &b"below and more"[..]);
    assert!(!fs.exists("/a/b/file").unwrap());
    drop(file);
    assert_eq!(top.used_bytes(), 0, "nobody has it any more");
}

#[test]
fn a_reader_sees_all_of_the_old_or_all_of_the_new() {
    const LEN: usize = 300_000;
    for _ in 0..20 {
        let lower = MemFs::builder().build();
        lower.write("/file", vec![b'a'; LEN]).unwrap();
        let fs = OverlayFs::new([lower.root()], MemFs::builder().build().root()).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let mut data = Vec::new();
                    fs.open("/file", &OpenOptions::read_only()).unwrap().read_to_end(&mut data).unwrap();
                    let all = |byte| data.len() == LEN && data.iter().all(|&one| one == byte);
                    assert!(all(b'a') || all(b'b'), "{} bytes, mixed", data.len());
                }
            });
            fs.write("/file", vec![b'b'; LEN]).unwrap();
            done.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn parents_are_copied_up_as_they_are() {
    let (fs, _, lowers) = laid();
    let old = Timestamp { secs: 1_000, nanos: 7 };
    let a = lowers[0].lookup(ROOT, named("a")).unwrap();
    let set = SetAttr {
        mode: Some(0o1751),
        uid: Some(5),
        gid: Some(6),
        modified: Some(SetTime::To(old)),
        ..SetAttr::default()
    };
    a.set_attr(ROOT, &set).unwrap();
    a.set_xattr(ROOT, b"user.kept", b"yes", SetXattr::Any).unwrap();
    let before = node(&fs, "/a").attr().unwrap();
    fs.append("/a/b/file", "!").unwrap();
    let after = fs.metadata("/a").unwrap();
    assert_eq!((after.mode, after.uid, after.gid, after.modified), (0o1751, 5, 6, old));
    assert_eq!((after.id, before.modified), (before.id, old));
    assert_eq!(fs.xattr("/a", "user.kept").unwrap(), b"yes");
    assert_eq!(names(&fs, "/a"), ["above", "b"]);
}

#[test]
fn a_copy_keeps_holes_attributes_and_what_it_is() {
    let lower = MemFs::builder().build();
    let file = lower.open("/sparse", &OpenOptions::write_only().create(0o4755)).unwrap();
    file.handle().write_at(10 << 20, b"end").unwrap();
    file.set_len(20 << 20).unwrap();
    lower.set_attr("/sparse", &SetAttr { uid: Some(7), mode: Some(0o4755), ..SetAttr::default() }).unwrap();
    lower.symlink("nowhere", "/link").unwrap();
    lower.make_special("/null", Special::CharDevice(Device { major: 1, minor: 3 }), 0o666).unwrap();
    let top = MemFs::builder().build();
    let fs = OverlayFs::new([lower.root()], top.root()).unwrap();
    for name in ["sparse", "link", "null"] {
        let before = fs.symlink_metadata(format!("/{name}")).unwrap();
        fs.rename(format!("/{name}"), format!("/new-{name}")).unwrap();
        let after = fs.symlink_metadata(format!("/new-{name}")).unwrap();
        assert_eq!(uos_vfs::Attr { changed: before.changed, born: before.born, ..after }, before);
    }
    assert!(top.used_bytes() < 100_000, "{} bytes for a file of holes", top.used_bytes());
    assert_eq!(fs.read_link("/new-link").unwrap(), b"nowhere");
    assert_eq!(names(&fs, "/"), ["new-link", "new-null", "new-sparse"]);
}

#[test]
fn numbers_stay_when_something_is_copied_up() {
    let (fs, _, _) = laid();
    let ids = || ["/a", "/a/b", "/a/b/file", "/a/above"].map(|path| fs.metadata(path).unwrap().id);
    let listed = || {
        let mut all = BTreeSet::new();
        for path in ["/", "/a", "/a/b"] {
            all.extend(fs.list_dir(path).unwrap().into_iter().map(|entry| (entry.name, entry.ino)));
        }
        all
    };
    let (before, shown) = (ids(), listed());
    assert_eq!(BTreeSet::from(before).len(), 4);
    fs.append("/a/b/file", "!").unwrap();
    fs.set_permissions("/a/above", 0o600).unwrap();
    // Nobody has held any of them meanwhile.
    assert_eq!((ids(), listed()), (before, shown));
    fs.rename("/a/b/file", "/moved").unwrap();
    fs.rename("/a", "/c").unwrap();
    assert_eq!(fs.metadata("/moved").unwrap().id, before[2]);
    assert_eq!(fs.metadata("/c/b").unwrap().id, before[1]);
    // A number goes to nobody else as long as somebody has the node.
    let held = node(&fs, "/moved");
    fs.delete("/moved").unwrap();
    fs.write("/moved", "").unwrap();
    assert_ne!(fs.metadata("/moved").unwrap().id, held.id());
}

#[test]
fn what_is_removed_stays_removed_when_laid_again() {
    let (fs, top, lowers) = laid();
    fs.delete("/a/b/file").unwrap();
    fs.remove_dir("/a/b").unwrap();
    let again = || OverlayFs::new(lowers.clone(), top.root()).unwrap();
    assert_eq!(names(&again(), "/a"), ["above"]);
    // What is made in its place has nothing of it.
    fs.make_dir("/a/b", 0o755).unwrap();
    assert!(names(&fs, "/a/b").is_empty() && names(&again(), "/a/b").is_empty());
    fs.remove_dir_all("/a").unwrap();
    assert!(names(&again(), "/").is_empty());
    fs.create_dir("/a/b").unwrap();
    assert_eq!(names(&again(), "/a"), ["b"]);
    assert!(names(&again(), "/a/b").is_empty());
}

#[test]
fn a_directory_from_below_is_renamed_with_all_in_it() {
    let (fs, top, lowers) = laid();
    let again = || OverlayFs::new(lowers.clone(), top.root()).unwrap();
    fs.rename("/a/b", "/moved").unwrap();
    fs.rename("/a", "/moved/a").unwrap();
    for fs in [&fs, &again()] {
        assert_eq!(names(fs, "/"), ["moved"]);
        assert_eq!(names(fs, "/moved"), ["a", "file"]);
        assert_eq!(names(fs, "/moved/a"), ["above"]);
        assert_eq!(fs.read("/moved/file").unwrap(), b"below");
    }
    // It can be removed like any other, and what comes in its place is not it.
    fs.delete("/moved/file").unwrap();
    fs.rename("/moved/a", "/a").unwrap();
    fs.remove_dir("/moved").unwrap();
    fs.make_dir("/moved", 0o755).unwrap();
    for fs in [&fs, &again()] {
        assert!(names(fs, "/moved").is_empty());
        assert_eq!(names(fs, "/a"), ["above"]);
    }
    assert!(top.used_bytes() < 100, "only where they come from is written down");
}

#[test]
fn several_names_below_are_one_file() {
    let lower = MemFs::builder().build();
    lower.write("/a", "below").unwrap();
    lower.hard_link("/a", "/b").unwrap();
    lower.hard_link("/a", "/c").unwrap();
    let fs = OverlayFs::new([lower.root()], MemFs::builder().build().root()).unwrap();
    let nlink = |path: &str| fs.metadata(path).unwrap().nlink;
    fs.append("/a", "!").unwrap();
    assert_eq!((fs.read("/b").unwrap(), nlink("/b")), (b"below!".to_vec(), 3));
    fs.delete("/a").unwrap();
    assert_eq!((fs.read("/c").unwrap(), nlink("/c")), (b"below!".to_vec(), 2));
    fs.hard_link("/b", "/d").unwrap();
    fs.rename("/c", "/e").unwrap();
    assert_eq!((fs.read("/e").unwrap(), nlink("/d")), (b"below!".to_vec(), 3));
    assert_eq!(fs.metadata("/b").unwrap().id, fs.metadata("/e").unwrap().id);
    for (path, left) in [("/b", 2), ("/d", 1)] {
        fs.delete(path).unwrap();
        assert_eq!(nlink("/e"), left);
    }
    assert_eq!(names(&fs, "/"), ["e"]);
    assert_eq!(lower.metadata("/a").unwrap().nlink, 3);
}

#[test]
fn nobody_sees_or_forges_marks() {
    let (fs, top, lowers) = laid();
    fs.delete("/a/above").unwrap();
    assert!(top.exists(format!("/a/{MARKS}/hidden/above")).unwrap(), "this is how it is written down");
    for dir in ["/", "/a"] {
        let path = format!("{dir}/{MARKS}");
        assert!(!names(&fs, dir).contains(&MARKS.to_owned()));
        assert!(!fs.exists(&path).unwrap());
        assert_eq!(fs.write(&path, ""), Err(Error::NotPermitted));
        assert_eq!(fs.make_dir(&path, 0o755), Err(Error::NotPermitted));
        assert_eq!(fs.symlink("x", &path), Err(Error::NotPermitted));
        assert_eq!(fs.make_special(&path, Special::Fifo, 0o600), Err(Error::NotPermitted));
        assert_eq!(fs.hard_link("/a/b/file", &path), Err(Error::NotPermitted));
        assert_eq!(fs.rename("/a/b", &path), Err(Error::NotPermitted));
        assert_eq!(fs.rename(&path, "/x"), Err(Error::NotFound));
        assert_eq!(fs.remove_dir(&path), Err(Error::NotFound));
        assert_eq!(fs.read(format!("{path}/hidden/above")), Err(Error::NotFound));
    }
    // What marks look like elsewhere means nothing here.
    fs.make_special("/a/null", Special::CharDevice(Device::default()), 0o600).unwrap();
    fs.write("/a/.wh.b", "").unwrap();
    fs.set_xattr("/a", "trusted.overlay.opaque", "y", SetXattr::Any).unwrap();
    let again = OverlayFs::new(lowers, top.root()).unwrap();
    assert_eq!(names(&again, "/a"), [".wh.b", "b", "null"]);
    // Marks of layers below are those of another overlay.
    let twice = OverlayFs::new([top.root()], MemFs::builder().build().root()).unwrap();
    assert_eq!(names(&twice, "/"), ["a"]);
    assert_eq!(names(&twice, "/a"), [".wh.b", "null"]);
}

#[test]
fn a_full_upper_layer_refuses_and_nothing_is_changed() {
    let (upper, lower) = layers();
    lower.write("/large", vec![1; 10_000]).unwrap();
    for (bytes, nodes) in [(5_000, 1_000), (100_000, 5)] {
        let top = MemFs::builder().capacity_bytes(bytes).capacity_nodes(nodes).build();
        let fs = OverlayFs::new([upper.root(), lower.root()], top.root()).unwrap();
        top.write("/fill", "").unwrap();
        let before = (names(&fs, "/"), fs.metadata("/large").unwrap());
        let full =
            |result: Result<(), Error>| assert!(matches!(result, Err(Error::NoSpace { .. })), "{result:?}");
        full(fs.append("/large", "x"));
        full(fs.rename("/large", "/small"));
        if nodes < 10 {
            full(fs.delete("/large"));
            full(fs.write("/new", "x"));
            full(fs.remove_dir_all("/a"));
        }
        assert_eq!((names(&fs, "/"), fs.metadata("/large").unwrap()), before);
        assert_eq!(fs.read("/large").unwrap(), vec![1; 10_000]);
        assert_eq!(top.used_bytes(), 0);
    }
}

#[test]
fn a_listing_shows_each_once_while_all_of_them_are_copied_up() {
    let (upper, lower) = (MemFs::builder().build(), MemFs::builder().build());
    for nth in 0..300 {
        if nth % 2 == 0 {
            upper.write(format!("/file{nth}"), "").unwrap();
        }
        if nth % 3 == 0 || nth % 2 == 1 {
            lower.write(format!("/file{nth}"), "").unwrap();
        }
    }
    let fs = OverlayFs::new([upper.root(), lower.root()], MemFs::builder().build().root()).unwrap();
    for nth in 0..50 {
        fs.write(format!("/own{nth}"), "").unwrap();
    }
    let (mut seen, mut cursor, mut round) = (Vec::new(), 0, 0);
    loop {
        let mut taken = 0;
        fs.root()
            .read_dir(cursor, &mut |entry| {
                if taken == 7 {
                    return false;
                }
                taken += 1;
                cursor = entry.cursor;
                seen.push(String::from_utf8(entry.name.as_bytes().to_vec()).unwrap());
                assert_eq!(entry.ino, fs.root().lookup(ROOT, entry.name).unwrap().id().ino);
                true
            })
            .unwrap();
        if taken == 0 {
            break;
        }
        for nth in (0..300).filter(|nth| nth % 51 == round % 51) {
            fs.append(format!("/file{nth}"), "changed").unwrap();
            fs.write("/tmp", "").unwrap();
            fs.rename("/tmp", format!("/file{}", (nth + 1) % 300)).unwrap();
        }
        round += 1;
    }
    seen.retain(|name| name != "tmp");
    assert_eq!(seen.len(), 350);
    assert_eq!(BTreeSet::from_iter(seen).len(), 350);
}

#[test]
fn depth_is_up_to_clients() {
    const DEEP: usize = 6_000;
    let (lower, top) = (MemFs::builder().build(), MemFs::builder().build());
    let mut dir = lower.root();
    for _ in 0..DEEP {
        dir = dir.mkdir(ROOT, named("d"), 0o755).unwrap();
    }
    drop(dir.create(ROOT, named("file"), 0o644).unwrap());
    drop(dir);
    let fs = OverlayFs::new([lower.root()], top.root()).unwrap();
    let mut dir = fs.root();
    for _ in 0..DEEP {
        dir = dir.lookup(ROOT, named("d")).unwrap();
    }
    let file = dir.lookup(ROOT, named("file")).unwrap();
    drop(dir);
    file.clone().open(ROOT, Access::Write).unwrap().write_at(0, b"x").unwrap();
    assert_eq!(
        top.used_nodes() as usize,
        1 + 3 + DEEP + 1,
        "the root, what is written down there, and all above"
    );
    drop(file);
}

#[test]
fn a_host_below_is_never_written_to() {
    let (below, above) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::create_dir_all(below.path().join("dir/sub")).unwrap();
    std::fs::write(below.path().join("dir/file"), "below").unwrap();
    let lower = || LocalFs::open(below.path(), true).unwrap().root();
    let upper = || LocalFs::open(above.path(), false).unwrap().root();
    let fs = OverlayFs::new([lower()], upper()).unwrap();
    fs.append("/dir/file", ", and above").unwrap();
    fs.rename("/dir", "/moved").unwrap();
    fs.remove_dir("/moved/sub").unwrap();
    drop(fs);
    let fs = OverlayFs::new([lower()], upper()).unwrap();
    assert_eq!(names(&fs, "/"), ["moved"]);
    assert_eq!(names(&fs, "/moved"), ["file"]);
    assert_eq!(fs.read("/moved/file").unwrap(), b"below, and above");
    assert_eq!(std::fs::read(below.path().join("dir/file")).unwrap(), b"below");
    assert!(below.path().join("dir/sub").is_dir());
}

#[test]
fn layers_must_be_directories_and_the_upper_one_writable() {
    let (fs, other) = (MemFs::builder().build(), MemFs::builder().build());
    fs.write("/file", "").unwrap();
    let file = fs.root().lookup(ROOT, named("file")).unwrap();
    let refused = |lowers: Vec<NodeRef>, upper| OverlayFs::new(lowers, upper).map(drop).unwrap_err();
    assert_eq!(refused(vec![file.clone()], other.root()), Error::NotADirectory);
    assert_eq!(refused(vec![], file), Error::NotADirectory);
    assert!(matches!(refused(vec![other.root()], other.root()), Error::InvalidArgument(_)));
    let dir = tempfile::tempdir().unwrap();
    let read_only = LocalFs::open(dir.path(), true).unwrap().root();
    assert_eq!(refused(vec![], read_only), Error::ReadOnly);
}

#[test]
fn threads_leave_an_overlay_that_adds_up() {
    let lower = MemFs::builder().build();
    for dir in 0..4 {
        lower.create_dir(format!("/d{dir}/sub")).unwrap();
        for file in 0..10 {
            lower.write(format!("/d{dir}/f{file}"), format!("{dir}/{file}")).unwrap();
        }
    }
    let top = MemFs::builder().build();
    let fs = OverlayFs::new([lower.root()], top.root()).unwrap();
    let ops: u64 = std::env::var("UOS_CAMPAIGN_HAMMER").map_or(8_000, |text| text.parse().unwrap()) / 40;
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let fs = &fs;
            scope.spawn(move || {
                let mut state = thread * 7 + 1;
                let mut next = |below: u64| {
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 33) % below
                };
                for _ in 0..ops {
                    let dirs = [format!("/d{}", next(5)), format!("/d{}", next(5))];
                    let (one, two) =
                        (format!("{}/f{}", dirs[0], next(12)), format!("{}/f{}", dirs[1], next(12)));
                    // Whether it can be done is up to the others; what matters is what is left.
                    let _ = match next(9) {
                        0 => fs.append(&one, "x"),
                        1 => fs.rename(&one, &two),
                        2 => fs.rename_with(&one, &two, Rename::Exchange),
                        3 => fs.delete(&one),
                        4 => fs.hard_link(&one, &two),
                        5 => fs.rename(&dirs[0], format!("{}/sub", dirs[1])),
                        6 => fs.rename(format!("{}/sub", dirs[0]), &dirs[1]),
                        7 => fs.list_dir(&dirs[0]).map(drop),
                        _ => fs.set_permissions(&one, 0o600 + next(64) as u32),
                    };
                }
            });
        }
    });
    let (now, again) = (tree(&fs), tree(&OverlayFs::new([lower.root()], top.root()).unwrap()));
    assert_eq!(now, again, "what was in memory is what was written down");
    assert_eq!(lower.read("/d3/f9").unwrap(), b"3/9");
}

/// All paths with what is there.
fn tree(fs: &OverlayFs) -> Vec<String> {
    let mut all = Vec::new();
    let mut next = vec![String::new()];
    while let Some(path) = next.pop() {
        for name in names(fs, &format!("{path}/")) {
            let path = format!("{path}/{name}");
            let attr = fs.symlink_metadata(&path).unwrap();
            let content = if attr.kind == Kind::File { fs.read(&path).unwrap() } else { Vec::new() };
            let content = String::from_utf8_lossy(&content).into_owned();
            // Of directories the number depends on whether they are merged.
            let links = if attr.kind == Kind::Directory { 0 } else { attr.nlink };
            all.push(format!("{path} {:?} {:o} {links} {content}", attr.kind, attr.mode));
            if attr.kind == Kind::Directory {
                next.push(path);
            }
        }
    }
    all.sort();
    all
}
