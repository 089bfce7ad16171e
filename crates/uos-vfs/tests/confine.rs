//! Someone on the host swaps a directory for a link that leads outside while paths below it are
//! resolved and opened. Nothing outside may ever be reached.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use uos_vfs::{Access, Error, How, Kind, LocalFs, Mounts, New, VPath};

const NEW: New = New { mode: 0o755, uid: 0, gid: 0 };

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
    let base = VPath::root();
    let stop = AtomicBool::new(false);
    let (mut reached, mut missed) = (0u64, 0u64);
    let swaps = std::thread::scope(|scope| {
        let attacker = scope.spawn(|| attack(&inside, &outside, &stop));
        let truce = Truce(&stop);
        for round in 0..opens {
            let how = How { base: &base, follow_last: round % 2 == 0, memory_only: false };
            let Ok(place) = mounts.resolve(b"/dir/sub/file", &how) else {
                missed += 1;
                continue;
            };
            // Writing goes where reading would.
            let mark = format!("mark{round}");
            if place.parent.create(mark.as_bytes(), &NEW).is_ok() {
                place.parent.unlink(mark.as_bytes()).unwrap();
            }
            match place.node.map(|node| node.open(Access::Read)) {
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
    let base = VPath::root();
    for text in ["/absolute", "/relative", "/d/up", "/../outside", "/d/../../outside"] {
        let how = How { base: &base, follow_last: true, memory_only: false };
        let found = mounts.resolve(text.as_bytes(), &how).ok().and_then(|place| place.node);
        assert!(found.is_none(), "{text} leads outside");
    }
    // The door was gone through once; where it leads now is nothing to us.
    std::fs::remove_file(host.path().join("door")).unwrap();
    symlink(host.path(), host.path().join("door")).unwrap();
    let how = How { base: &base, follow_last: true, memory_only: false };
    assert!(mounts.resolve(b"/d", &how).unwrap().node.is_some());
}

#[test]
fn a_read_only_tree_refuses_every_change() {
    let host = tempfile::tempdir().unwrap();
    std::fs::write(host.path().join("f"), "as it was").unwrap();
    std::fs::create_dir(host.path().join("d")).unwrap();
    let root = LocalFs::open(host.path(), true).unwrap().root();
    let (file, dir) = (root.lookup(b"f").unwrap(), root.lookup(b"d").unwrap());
    let set = uos_vfs::SetAttr { mode: Some(0), ..Default::default() };
    for refused in [
        root.create(b"x", &NEW).map(drop),
        root.mkdir(b"x", &NEW).map(drop),
        root.symlink(b"x", b"f", &NEW).map(drop),
        root.link(b"x", &file),
        root.unlink(b"f"),
        root.rmdir(b"d"),
        root.rename(b"f", &dir, b"f", Default::default()),
        file.set_attr(&set).map(drop),
        file.clone().open(Access::Write).map(drop),
        file.clone().open(Access::ReadWrite).map(drop),
    ] {
        assert_eq!(refused, Err(Error::ReadOnly));
    }
    assert!(root.stat_fs().unwrap().read_only);
    let open = file.open(Access::Read).unwrap();
    assert!(open.append(b"x").is_err() && open.write_at(0, b"x").is_err() && open.set_len(0).is_err());
    assert_eq!(open.read_bytes(0, 100).unwrap(), &b"as it was"[..]);
}

#[test]
fn pipes_and_devices_are_not_opened() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let host = tempfile::tempdir().unwrap();
    mknodat(CWD, host.path().join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let root = LocalFs::open(host.path(), false).unwrap().root();
    let pipe = root.lookup(b"pipe").unwrap();
    assert_eq!(pipe.kind(), Kind::Other);
    for access in [Access::Read, Access::Write, Access::ReadWrite] {
        assert!(matches!(pipe.clone().open(access), Err(Error::NotSupported(_))));
    }
    root.unlink(b"pipe").unwrap();
}

#[test]
fn rights_of_the_process_are_not_lent() {
    let host = tempfile::tempdir().unwrap();
    let root = LocalFs::open(host.path(), false).unwrap().root();
    let node = root.create(b"f", &New { mode: 0o6755, ..NEW }).unwrap();
    assert_eq!(node.attr().unwrap().mode, 0o755);
    let set = uos_vfs::SetAttr { mode: Some(0o7700), ..Default::default() };
    assert_eq!(node.set_attr(&set).unwrap().mode, 0o1700);
}

#[test]
fn a_node_gives_out_a_descriptor_on_itself() {
    let host = tempfile::tempdir().unwrap();
    std::fs::write(host.path().join("f"), "first").unwrap();
    let root = LocalFs::open(host.path(), false).unwrap().root();
    let node = root.lookup(b"f").unwrap();
    root.rename(b"f", &root, b"g", Default::default()).unwrap();
    std::fs::write(host.path().join("f"), "second").unwrap();
    let fd = node.host_fd().unwrap().unwrap();
    let stat = rustix::fs::fstat(&fd).unwrap();
    assert_eq!((stat.st_ino, stat.st_size), (node.id().ino, 5));
    assert!(uos_vfs::MemFs::builder().build().root().host_fd().is_none());
}
