//! Directories that are open: what can be done with one, whatever becomes of its name.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::collections::BTreeSet;
use std::io::{Read, SeekFrom};
use uos_vfs::lock::{LockKind, LockOwner, LockRange, Locks};
use uos_vfs::{
    Caller, Descriptor, Descriptors, Error, FileSystem, Kind, LocalFs, MemFs, Mounts, OpenOptions, OverlayFs,
    Tree,
};

/// In every kind of filesystem, each with a directory `/d` of a hundred files.
fn everywhere(check: impl Fn(&dyn Fn(&str, OpenOptions) -> Result<Descriptor, Error>, &Mounts)) {
    let dir = tempfile::tempdir().unwrap();
    let memory = MemFs::builder().build();
    let lower = MemFs::builder().build();
    lower.create_dir("/d").unwrap();
    for nth in 0..30 {
        lower.create(format!("/d/{nth}"), 0o644).unwrap();
    }
    let local = LocalFs::open(dir.path(), false).unwrap();
    let overlay = OverlayFs::new([lower.root()], MemFs::builder().build().root()).unwrap();
    for root in [memory.root(), local.root(), overlay.root()] {
        let fs = Mounts::with(root, Default::default()).unwrap();
        fs.create_dir("/d").unwrap();
        for nth in 0..100 {
            fs.write(format!("/d/{nth}"), "text").unwrap();
        }
        let locks = Locks::new();
        check(&|path, options| Ok(Descriptor::with_locks(fs.open(path, &options)?, &locks)), &fs);
    }
}

fn directory() -> OpenOptions {
    OpenOptions::read_only().directory()
}

#[test]
fn it_is_listed_from_a_position_that_duplicates_share() {
    everywhere(|open, fs| {
        let one = open("/d", directory()).unwrap();
        let (two, apart) = (one.dup(), open("/d/", directory()).unwrap());
        let mut seen = Vec::new();
        let mut middle = None;
        for turn in [&one, &two].into_iter().cycle() {
            let some = turn.read_dir(7).unwrap();
            if some.is_empty() {
                break;
            }
            assert!(some.len() <= 7 && some.iter().all(|entry| entry.kind == Kind::File));
            seen.extend(some.into_iter().map(|entry| entry.name));
            if seen.len() == 49 {
                middle = Some(one.position());
                // What comes and goes in the meantime makes no difference to what stays.
                fs.create("/d/new", 0o644).unwrap();
                fs.delete("/d/new").unwrap();
            }
        }
        let names: BTreeSet<_> = seen.iter().cloned().collect();
        assert_eq!((seen.len(), names.len()), (100, 100));
        assert_eq!(one.read_dir(1).unwrap(), [], "at the end");
        assert_eq!(
            apart.read_dir(usize::MAX).unwrap().len(),
            100,
            "opened anew it has a position of its own"
        );
        assert_eq!(one.seek(SeekFrom::Start(0)).unwrap(), 0);
        assert_eq!(two.read_dir(usize::MAX).unwrap().len(), 100);
        one.seek(SeekFrom::Start(middle.unwrap())).unwrap();
        let rest: Vec<_> = one.read_dir(usize::MAX).unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(rest, seen[49..]);
        assert!(matches!(one.seek(SeekFrom::End(0)), Err(Error::InvalidArgument(_))));
        assert_eq!(one.read_dir(0).unwrap(), []);
    });
}

#[test]
fn it_has_attributes_and_locks_but_no_bytes() {
    everywhere(|open, fs| {
        let dir = open("/d", directory()).unwrap();
        assert_eq!(dir.attr().unwrap().kind, Kind::Directory);
        dir.sync().unwrap();
        assert_eq!(dir.read(&mut [0; 4]), Err(Error::IsADirectory));
        assert_eq!(dir.pread(0, &mut [0; 4]), Err(Error::IsADirectory));
        assert_eq!(
            fs.open("/d", &directory()).unwrap().read_to_end(&mut Vec::new()).unwrap_err().raw_os_error(),
            Some(21)
        );
        for refused in [dir.write(b"x").map(drop), dir.pwrite(0, b"x").map(drop), dir.truncate(0)] {
            assert_eq!(refused, Err(Error::BadDescriptor));
        }
        let other = open("/d", directory()).unwrap();
        dir.try_lock_whole(LockKind::Exclusive).unwrap();
        assert_eq!(other.try_lock_whole(LockKind::Shared), Err(Error::WouldBlock));
        drop(dir);
        other.try_lock_whole(LockKind::Shared).unwrap();
        let range = (LockOwner::Given(1), LockRange::ALL);
        assert_eq!(other.try_lock(range.0, range.1, LockKind::Exclusive), Err(Error::BadDescriptor));
        other.try_lock(range.0, range.1, LockKind::Shared).unwrap();
    });
}

#[test]
fn only_a_directory_is_opened_as_one_and_only_by_asking() {
    everywhere(|open, fs| {
        fs.symlink("d", "/link").unwrap();
        for (path, options, error) in [
            ("/d", OpenOptions::read_only(), Error::IsADirectory),
            ("/d/1", directory(), Error::NotADirectory),
            ("/none", directory(), Error::NotFound),
            ("/link", directory().no_follow(), Error::NotADirectory),
            ("/d", OpenOptions::write_only().directory(), Error::IsADirectory),
            ("/d", OpenOptions::read_write().directory(), Error::IsADirectory),
            ("/d/1", OpenOptions::read_write().directory(), Error::NotADirectory),
        ] {
            assert_eq!(open(path, options).map(|_| ()), Err(error), "{path}");
        }
        for made in [directory().create(0o644), directory().create_new(0o644)] {
            assert!(matches!(open("/new", made), Err(Error::InvalidArgument(_))));
        }
        assert!(!fs.exists("/new").unwrap());
        assert_eq!(open("/link", directory()).unwrap().read_dir(200).unwrap().len(), 100);
        assert_eq!(open("/d/1", OpenOptions::read_only()).unwrap().read_dir(1), Err(Error::NotADirectory));
        fs.set_permissions("/d", 0o311).unwrap();
        let stranger = fs.seen_by(Caller::user(7, 7));
        assert_eq!(stranger.open("/d", &directory()).map(|_| ()), Err(Error::AccessDenied));
        fs.set_permissions("/d", 0o744).unwrap();
        assert!(stranger.open("/d", &directory()).is_ok());
    });
}

#[test]
fn one_goes_on_from_it_wherever_it_is_moved_and_never_above_it() {
    everywhere(|open, fs| {
        let dir = open("/d", directory()).unwrap();
        fs.create_dir("/elsewhere").unwrap();
        fs.write("/secret", "above").unwrap();
        fs.rename("/d", "/elsewhere/e").unwrap();
        fs.create_dir("/d").unwrap();
        let below = fs.below(dir.node()).unwrap();
        assert_eq!(below.read("1").unwrap(), b"text");
        assert_eq!(below.read("/../../1").unwrap(), b"text", "dots and slashes stay");
        below.write("sub", "made").unwrap();
        below.rename("sub", "new").unwrap();
        below.symlink("/new", "link").unwrap();
        below.make_dir("made", 0o755).unwrap();
        assert_eq!(below.read("link").unwrap(), b"made", "of a link as well");
        assert_eq!(fs.read("/elsewhere/e/new").unwrap(), b"made");
        assert_eq!(below.read("../secret"), Err(Error::NotFound));
        below.symlink("../../secret", "up").unwrap();
        assert_eq!(below.read("up"), Err(Error::NotFound));
        let stranger = below.seen_by(Caller::user(7, 7));
        assert_eq!(stranger.write("1", "x"), Err(Error::AccessDenied));
        let sub = below.open("made", &directory()).unwrap();
        assert_eq!(below.below(sub.node()).unwrap().read("../1"), Err(Error::NotFound));
        assert_eq!(fs.below(&fs.node("/secret").unwrap()).map(|_| ()), Err(Error::NotADirectory));
    });
}

#[test]
fn one_that_was_removed_is_empty_and_takes_nothing() {
    everywhere(|open, fs| {
        let dir = open("/d", directory()).unwrap();
        fs.remove_dir_all("/d").unwrap();
        assert_eq!(dir.read_dir(10).unwrap(), []);
        assert_eq!(dir.attr().unwrap().kind, Kind::Directory);
        let below = fs.below(dir.node()).unwrap();
        assert_eq!(below.create("x", 0o644), Err(Error::NotFound));
        assert_eq!(below.exists("x"), Ok(false));
    });
}

#[test]
fn a_mount_with_an_open_directory_is_busy_and_what_is_mounted_below_one_is_seen() {
    let fs = Mounts::new(MemFs::builder().build().root());
    fs.create_dir("/d/mnt").unwrap();
    let outer = fs.open("/d", &directory()).unwrap();
    fs.mount(b"/d/mnt", MemFs::builder().build().root()).unwrap();
    fs.write("/d/mnt/f", "mounted").unwrap();
    assert_eq!(fs.below(outer.node()).unwrap().read("mnt/f").unwrap(), b"mounted");
    assert_eq!(fs.below(outer.node()).unwrap().remove_dir("mnt"), Err(Error::Busy));
    let inner = fs.open("/d/mnt", &directory()).unwrap();
    assert_eq!(fs.unmount(b"/d/mnt"), Err(Error::Busy));
    drop(inner);
    fs.unmount(b"/d/mnt").unwrap();
}

#[test]
fn a_process_has_it_by_a_number_like_a_file() {
    let (fs, locks) = (MemFs::builder().build(), Locks::new());
    fs.create_dir("/d/sub").unwrap();
    let process = Descriptors::new(1, &locks, 8);
    let fd = process.open(false, || fs.open("/d", &directory())).unwrap();
    let same = process.dup(fd).unwrap();
    assert_eq!(process.get(fd).unwrap().read_dir(10).unwrap().len(), 1);
    assert_eq!(process.get(same).unwrap().read_dir(10).unwrap(), []);
    process.close(fd).unwrap();
    fs.remove_dir_all("/d").unwrap();
    assert_eq!(process.get(same).unwrap().attr().unwrap().nlink, 0);
}
