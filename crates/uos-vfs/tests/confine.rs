//! Someone on the host swaps a directory for a link that leads outside while paths below it are
//! resolved and opened. Nothing outside may ever be reached.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use uos_vfs::{
    Access, Caller, Error, FileSystem, How, Kind, LocalFs, Mounts, Name, OpenOptions, Rename, SetAttr, Tree,
};

const ROOT: &Caller = &Caller::ROOT;

fn named(bytes: &[u8]) -> Name<'_> {
    Name::new(bytes).unwrap()
}

/// Swaps `inside/dir` between a directory and a link to `outside` until told to stop.
fn attack(inside: &Path, outside: &Path, stop: &AtomicBool) -> u64 {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    let (dir, trap) = (inside.join("dir"), inside.join("trap"));
    symlink(outside, &trap).unwrap();
    let mut swaps = 0;
    while !stop.load(Ordering::Relaxed) {
        renameat_with(CWD, &dir, CWD, &trap, RenameFlags::EXCHANGE).unwrap();
        swaps += 1;
    }
    swaps
}

/// Ends the attack also when the test fails, or it would go on for ever.
struct Truce<'a>(&'a AtomicBool);

impl Drop for Truce<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn opens() -> u64 {
    std::env::var("UOS_CAMPAIGN_OPENS").map_or(2_000, |text| text.parse().unwrap())
}

/// Two trees that look alike: one to be shown, and one that nothing may lead to.
fn two_trees() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let host = tempfile::tempdir().unwrap();
    let (inside, outside) = (host.path().join("inside"), host.path().join("outside"));
    for (dir, text) in [(inside.join("dir/sub"), "inside"), (outside.join("sub"), "outside")] {
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("file"), text).unwrap();
    }
    (host, inside, outside)
}

#[test]
fn nothing_outside_is_reached_by_path_while_a_directory_is_swapped() {
    let (_host, inside, outside) = two_trees();
    let local = LocalFs::open(&inside, false).unwrap();
    let stop = AtomicBool::new(false);
    let (mut read, mut made, mut removed) = (0u64, 0u64, 0u64);
    let swaps = std::thread::scope(|scope| {
        let attacker = scope.spawn(|| attack(&inside, &outside, &stop));
        let truce = Truce(&stop);
        for round in 0..opens() {
            if let Ok(mut file) = local.open("/dir/sub/file", &OpenOptions::read_only()) {
                let mut text = String::new();
                file.read_to_string(&mut text).unwrap();
                assert_eq!(text, "inside", "got outside");
                read += 1;
            }
            // Some names are taken from the round before, whenever that could not remove its own.
            let mark = format!("/dir/sub/mark{}", round % 7);
            if let Ok(mut file) = local.open(&mark, &OpenOptions::write_only().create_new(0o644)) {
                file.write_all(b"inside").unwrap();
                assert_eq!(file.metadata().unwrap().size, 6);
                made += 1;
            }
            removed += u64::from(local.delete(&mark).is_ok());
            if let Ok(attr) = local.metadata("/dir/sub/file") {
                assert_eq!(attr.size, 6, "saw outside");
            }
            assert_eq!(std::fs::read_dir(outside.join("sub")).unwrap().count(), 1, "wrote outside");
        }
        drop(truce);
        attacker.join().unwrap()
    });
    assert_eq!(std::fs::read(outside.join("sub/file")).unwrap(), b"outside");
    assert!(read > 0 && removed > 0 && made >= removed && swaps > 0, "{read} {made} {removed} {swaps}");
}

#[test]
fn nothing_outside_is_reached_while_a_directory_is_swapped() {
    let opens = opens();
    let (_host, inside, outside) = two_trees();
    let mounts = Mounts::new(LocalFs::open(&inside, false).unwrap().root());
    let stop = AtomicBool::new(false);
    let (mut reached, mut missed) = (0u64, 0u64);
    let swaps = std::thread::scope(|scope| {
        let attacker = scope.spawn(|| attack(&inside, &outside, &stop));
        let truce = Truce(&stop);
        for round in 0..opens {
            let how = How { follow_last: round % 2 == 0, ..How::privileged() };
            let Ok(place) = mounts.resolve(b"/dir/sub/file", &how) else {
                missed += 1;
                continue;
            };
            // Writing goes where reading would.
            let mark = format!("mark{round}");
            if place.parent.create(ROOT, named(mark.as_bytes()), 0o755).is_ok() {
                place.parent.unlink(ROOT, named(mark.as_bytes())).unwrap();
            }
            match place.node.map(|node| node.open(ROOT, Access::Read)) {
                Some(Ok(file)) => {
                    reached += 1;
                    assert_eq!(file.read_bytes(0, 100).unwrap(), &b"inside"[..], "got outside");
                }
                _ => missed += 1,
            }
            assert_eq!(std::fs::read_dir(outside.join("sub")).unwrap().count(), 1, "wrote outside");
        }
        drop(truce);
        attacker.join().unwrap()
    });
    assert_eq!(reached + missed, opens);
    assert!(reached > 0 && swaps > 0, "{reached} reached, {missed} missed, {swaps} swaps");
}

#[test]
fn links_of_the_host_stay_inside() {
    let host = tempfile::tempdir().unwrap();
    let (inside, outside) = (host.path().join("inside"), host.path().join("outside"));
    std::fs::create_dir_all(inside.join("d")).unwrap();
    std::fs::write(&outside, "outside").unwrap();
    symlink(&outside, inside.join("absolute")).unwrap();
    symlink("../outside", inside.join("relative")).unwrap();
    symlink("../../outside", inside.join("d/up")).unwrap();
    symlink(&inside, host.path().join("door")).unwrap();
    let mounts = Mounts::new(LocalFs::open(&host.path().join("door"), false).unwrap().root());
    for text in ["/absolute", "/relative", "/d/up", "/../outside", "/d/../../outside"] {
        let how = How::privileged();
        let found = mounts.resolve(text.as_bytes(), &how).ok().and_then(|place| place.node);
        assert!(found.is_none(), "{text} leads outside");
    }
    // The door was gone through once; where it leads now is nothing to us.
    std::fs::remove_file(host.path().join("door")).unwrap();
    symlink(host.path(), host.path().join("door")).unwrap();
    let how = How::privileged();
    assert!(mounts.resolve(b"/d", &how).unwrap().node.is_some());
}

#[test]
fn a_read_only_tree_refuses_every_change() {
    let host = tempfile::tempdir().unwrap();
    std::fs::write(host.path().join("f"), "as it was").unwrap();
    std::fs::create_dir(host.path().join("d")).unwrap();
    let root = LocalFs::open(host.path(), true).unwrap().root();
    let (file, dir) = (root.lookup(ROOT, named(b"f")).unwrap(), root.lookup(ROOT, named(b"d")).unwrap());
    let set = SetAttr { mode: Some(0), ..Default::default() };
    for refused in [
        root.create(ROOT, named(b"x"), 0o755).map(drop),
        root.mkdir(ROOT, named(b"x"), 0o755).map(drop),
        root.symlink(ROOT, named(b"x"), b"f").map(drop),
        root.link(ROOT, named(b"x"), &file),
        root.unlink(ROOT, named(b"f")),
        root.rmdir(ROOT, named(b"d")),
        root.rename(ROOT, named(b"f"), &dir, named(b"f"), Rename::Replace),
        file.set_attr(ROOT, &set).map(drop),
        file.clone().open(ROOT, Access::Write).map(drop),
        file.clone().open(ROOT, Access::ReadWrite).map(drop),
    ] {
        assert_eq!(refused, Err(Error::ReadOnly));
    }
    assert!(root.stat_fs().unwrap().read_only);
    let open = file.open(ROOT, Access::Read).unwrap();
    assert!(open.append(b"x").is_err() && open.write_at(0, b"x").is_err() && open.set_len(0).is_err());
    assert_eq!(open.read_bytes(0, 100).unwrap(), &b"as it was"[..]);
}

#[test]
fn pipes_and_devices_are_not_opened() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let host = tempfile::tempdir().unwrap();
    mknodat(CWD, host.path().join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let root = LocalFs::open(host.path(), false).unwrap().root();
    let pipe = root.lookup(ROOT, named(b"pipe")).unwrap();
    assert_eq!(pipe.kind(), Kind::Fifo);
    for access in [Access::Read, Access::Write, Access::ReadWrite] {
        assert!(matches!(pipe.clone().open(ROOT, access), Err(Error::NotSupported(_))));
    }
    root.unlink(ROOT, named(b"pipe")).unwrap();
}

#[test]
fn rights_of_the_process_are_not_lent() {
    let host = tempfile::tempdir().unwrap();
    let root = LocalFs::open(host.path(), false).unwrap().root();
    let node = root.create(ROOT, named(b"f"), 0o6755).unwrap();
    assert_eq!(node.attr().unwrap().mode, 0o755);
    let set = SetAttr { mode: Some(0o7700), ..Default::default() };
    assert_eq!(node.set_attr(ROOT, &set).unwrap().mode, 0o1700);
}

#[test]
fn a_node_gives_out_a_descriptor_on_itself() {
    let host = tempfile::tempdir().unwrap();
    std::fs::write(host.path().join("f"), "first").unwrap();
    let root = LocalFs::open(host.path(), false).unwrap().root();
    let node = root.lookup(ROOT, named(b"f")).unwrap();
    root.rename(ROOT, named(b"f"), &root, named(b"g"), Rename::Replace).unwrap();
    std::fs::write(host.path().join("f"), "second").unwrap();
    let fd = node.host_fd().unwrap().unwrap();
    let stat = rustix::fs::fstat(&fd).unwrap();
    assert_eq!((stat.st_ino, stat.st_size), (node.id().ino, 5));
    assert!(uos_vfs::MemFs::builder().build().root().host_fd().is_none());
}

/// Of the files of this process that are open for writing, so many are of this number.
fn open_for_writing(ino: u64) -> usize {
    use std::os::unix::fs::MetadataExt;
    let all = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    all.filter(|fd| std::fs::metadata(fd.path()).is_ok_and(|found| found.ino() == ino))
        .filter(|fd| fd.metadata().is_ok_and(|link| link.mode() & 0o200 != 0))
        .count()
}

#[test]
fn a_file_that_was_made_and_closed_is_not_open_for_writing_though_its_node_is_held() {
    let host = tempfile::tempdir().unwrap();
    let local = LocalFs::open(host.path(), false).unwrap();
    let mut file = local.open("/new", &OpenOptions::write_only().create_new(0o755)).unwrap();
    file.write_all(b"made").unwrap();
    let node = file.node().clone();
    assert_eq!(open_for_writing(node.id().ino), 1);
    // It can be handed out, changed and opened again while it is open.
    let fd = node.host_fd().unwrap().unwrap();
    assert!(rustix::io::write(&fd, b"x").is_err(), "a descriptor that was handed out can write");
    drop(fd);
    node.set_attr(ROOT, &SetAttr { mode: Some(0o700), ..SetAttr::default() }).unwrap();
    assert_eq!(node.clone().open(ROOT, Access::Read).unwrap().read_bytes(0, 10).unwrap(), &b"made"[..]);
    local.rename("/new", "/other").unwrap();
    local.create("/new", 0o644).unwrap();
    drop(file);
    // Else the host would not let anybody execute it.
    assert_eq!(open_for_writing(node.id().ino), 0);
    assert_eq!(node.attr().unwrap().size, 4);
    local.delete("/other").unwrap();
    let file = node.clone().open(ROOT, Access::ReadWrite).unwrap();
    assert_eq!(file.read_bytes(0, 10).unwrap(), &b"made"[..]);
    assert_eq!(node.attr().unwrap().nlink, 0);
    let fd = node.host_fd().unwrap().unwrap();
    assert_eq!(rustix::fs::fstat(&fd).unwrap().st_ino, node.id().ino);
}

#[test]
fn what_is_made_by_path_has_the_mode_that_was_asked_for_and_the_group_of_its_directory() {
    use rustix::fs::{Mode, chmod, chown};
    let host = tempfile::tempdir().unwrap();
    let local = LocalFs::open(host.path(), false).unwrap();
    local.create("/open", 0o7777).unwrap();
    assert_eq!(
        local.metadata("/open").unwrap().mode,
        0o1777,
        "the mask of the process took bits, or rights were lent"
    );
    std::fs::create_dir(host.path().join("team")).unwrap();
    chown(host.path().join("team"), None, Some(rustix::fs::Gid::from_raw(12))).unwrap();
    chmod(host.path().join("team"), Mode::from_raw_mode(0o2775)).unwrap();
    local.create("/team/f", 0o644).unwrap();
    assert_eq!(local.metadata("/team/f").unwrap().gid, 12);
    local.seen_by(Caller::user(7, 8).judged_before()).create("/f", 0o640).unwrap();
    let attr = local.metadata("/f").unwrap();
    assert_eq!((attr.uid, attr.gid, attr.mode), (7, 8, 0o640));
    for (path, error) in [
        ("/f", Error::Exists),
        ("/f/x", Error::NotADirectory),
        ("/none/x", Error::NotFound),
        ("/x/", Error::IsADirectory),
        ("/..", Error::Exists),
    ] {
        assert_eq!(local.create(path, 0o644), Err(error), "{path}");
    }
}
