//! Someone on the host swaps a directory for a link that leads outside while paths below it are
//! resolved and opened. Nothing outside may ever be reached.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use uos_vfs::{Access, Caller, Error, How, Kind, LocalFs, Mounts, Name, Rename};

const ROOT: &Caller = &Caller::ROOT;

/// Swaps `inside/dir` between a directory and a link to `outside` until told to stop.
fn named(bytes: &[u8]) -> Name<'_> {
    Name::new(bytes).unwrap()
}

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

#[test]
fn nothing_outside_is_reached_while_a_directory_is_swapped() {
    let opens = std::env::var("UOS_CAMPAIGN_OPENS").map_or(2_000, |text| text.parse().unwrap());
    let host = tempfile::tempdir().unwrap();
    let (inside, outside) = (host.path().join("inside"), host.path().join("outside"));
    for (dir, text) in [(inside.join("dir/sub"), "inside"), (outside.join("sub"), "outside")] {
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("file"), text).unwrap();
    }
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
    let set = uos_vfs::SetAttr { mode: Some(0), ..Default::default() };
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
    let set = uos_vfs::SetAttr { mode: Some(0o7700), ..Default::default() };
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
