//! Snapshots of `MemFs`: what they show stays, what changed afterwards does not show, and every byte and
//! node is counted while somebody has it and no longer.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use uos_vfs::{
    Access, Allocate, Caller, Error, FileSystem, Kind, MemFs, NodeRef, OpenOptions, Rename, SetXattr,
    Snapshot, Tree,
};

/// Everything there is below a path, with what it says about itself.
fn picture<T: Tree>(fs: &T) -> BTreeMap<Vec<u8>, String> {
    let mut seen = BTreeMap::new();
    let mut left = vec![b"/".to_vec()];
    while let Some(path) = left.pop() {
        let attr = fs.symlink_metadata(&path).unwrap();
        let said = match attr.kind {
            Kind::Directory => {
                let entries = fs.list_dir(&path).unwrap();
                assert_eq!(entries.len() as u64, attr.size);
                left.extend(entries.iter().map(|entry| [&path[..], b"/", &entry.name].concat()));
                format!(
                    "{:?}",
                    entries.iter().map(|entry| (&entry.name, entry.kind, entry.ino)).collect::<Vec<_>>()
                )
            }
            Kind::File => {
                let content = fs.read(&path).unwrap();
                assert_eq!(content.len() as u64, attr.size);
                format!("{content:?}")
            }
            Kind::Symlink => format!("{:?}", fs.read_link(&path).unwrap()),
            _ => String::new(),
        };
        let xattrs = fs.list_xattrs(&path).ok();
        let times = (attr.accessed, attr.modified, attr.changed, attr.nlink, attr.blocks_512);
        let facts = (attr.id.ino, attr.kind, attr.mode, attr.uid, attr.gid, times, xattrs);
        seen.insert(path, format!("{facts:?} {said}"));
    }
    seen
}

#[test]
fn a_snapshot_shows_the_past_and_takes_no_changes() {
    let fs = MemFs::builder().build();
    fs.create_dir("/d").unwrap();
    fs.write("/d/f", "old").unwrap();
    fs.hard_link("/d/f", "/g").unwrap();
    fs.symlink("d/f", "/l").unwrap();
    fs.set_xattr("/d/f", "user.a", "1", SetXattr::Any).unwrap();
    let snapshot = fs.snapshot();
    let then = picture(&snapshot);
    assert_eq!(then, picture(&fs));
    let held = snapshot.open("/g", &OpenOptions::read_only()).unwrap();
    fs.append("/g", " and new").unwrap();
    fs.set_xattr("/g", "user.a", "2", SetXattr::Any).unwrap();
    fs.rename("/d/f", "/d/e").unwrap();
    fs.rename_with("/d", "/l", Rename::Exchange).unwrap();
    fs.set_permissions("/g", 0o600).unwrap();
    fs.write("/new", "new").unwrap();
    assert_eq!(picture(&snapshot), then);
    assert_eq!(held.handle().read_bytes(0, 99).unwrap(), &b"old"[..]);
    assert_eq!(snapshot.xattr("/l", "user.a").unwrap(), b"1");
    assert_eq!(
        (fs.read("/l/e").unwrap(), fs.xattr("/g", "user.a").unwrap()),
        (b"old and new".to_vec(), b"2".to_vec())
    );
    for refused in [
        snapshot.write("/g", "x"),
        snapshot.create("/x", 0o644),
        snapshot.create_dir("/x/y"),
        snapshot.delete("/g"),
        snapshot.rename("/g", "/h"),
        snapshot.set_permissions("/g", 0),
        snapshot.symlink("x", "/y"),
        snapshot.hard_link("/g", "/h"),
        snapshot.remove_dir_all("/d"),
    ] {
        assert_eq!(refused, Err(Error::ReadOnly));
    }
    assert!(snapshot.stat_fs("/").unwrap().read_only);
    assert_ne!(snapshot.metadata("/").unwrap().id, fs.metadata("/").unwrap().id);
    // The filesystem goes, the snapshot stays.
    drop(fs);
    assert_eq!(picture(&snapshot), then);
}

#[test]
fn what_a_snapshot_shares_counts_once_and_what_it_keeps_until_it_goes() {
    let fs = MemFs::builder().capacity_bytes(50_000).capacity_nodes(4).build();
    fs.write("/f", vec![1; 40_000]).unwrap();
    let snapshot = fs.snapshot();
    assert_eq!((fs.used_bytes(), fs.used_nodes()), (40_000, 2));
    let file = fs.open("/f", &OpenOptions::write_only()).unwrap();
    // The last chunk is copied, and there is room for that alone.
    file.handle().write_at(39_999, b"x").unwrap();
    assert_eq!(fs.used_bytes(), 40_000 + (40_000 - 2 * 16_384));
    let full = file.handle().write_at(0, b"x");
    assert!(matches!(full, Err(Error::NoSpace { capacity: 50_000, .. })), "{full:?}");
    assert_eq!(fs.read("/f").unwrap(), [vec![1; 39_999], vec![b'x']].concat());
    assert!(matches!(fs.write("/f", vec![2; 20_000]), Err(Error::NoSpace { .. })));
    fs.delete("/f").unwrap();
    drop(file);
    assert_eq!(fs.used_nodes(), 2, "the snapshot has it");
    fs.create("/g", 0o644).unwrap();
    fs.create("/h", 0o644).unwrap();
    assert!(matches!(fs.create("/i", 0o644), Err(Error::NoSpace { capacity: 4, used: 4, asked: 1 })));
    let second = fs.snapshot();
    drop(snapshot);
    assert_eq!((fs.used_bytes(), fs.used_nodes()), (0, 3));
    drop(second);
    fs.create("/i", 0o644).unwrap();
}

#[test]
fn a_snapshot_under_way_is_a_moment() {
    let fs = MemFs::builder().build();
    for dir in ["/a", "/b"] {
        fs.create_dir(dir).unwrap();
    }
    fs.create("/a/0", 0o644).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // One file goes to and fro: at every moment it is in one of the two.
        scope.spawn(|| {
            for round in 0u64.. {
                let (from, to) = if round.is_multiple_of(2) { ("/a/0", "/b/0") } else { ("/b/0", "/a/0") };
                fs.rename(from, to).unwrap();
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        // Of two files the second is always written after the first.
        scope.spawn(|| {
            for round in 0u32.. {
                fs.write("/first", round.to_le_bytes()).unwrap();
                fs.write("/second", round.to_le_bytes()).unwrap();
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let number = |snapshot: &Snapshot, path| {
            let bytes = snapshot.read(path).ok().filter(|bytes| bytes.len() == 4)?;
            Some(u32::from_le_bytes(bytes.try_into().unwrap()))
        };
        for _ in 0..500 {
            let snapshot = fs.snapshot();
            let places = ["/a/0", "/b/0"].map(|path| snapshot.exists(path).unwrap());
            assert_ne!(places[0], places[1], "in none or in both");
            let (first, second) = (number(&snapshot, "/first"), number(&snapshot, "/second"));
            // Writing replaces in one step, so either file is whole or not there yet.
            let ahead = first.map_or(0, |first| first + 1) - second.map_or(0, |second| second + 1);
            assert!(ahead <= 1, "{first:?} {second:?}");
            let again = ["/a/0", "/b/0"].map(|path| snapshot.exists(path).unwrap());
            assert_eq!(places, again);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[derive(Clone, Debug)]
enum Step {
    Write(String, usize, usize),
    Append(String, usize),
    Truncate(String, u64),
    Punch(String, u64),
    Mkdir(String),
    Symlink(String, String),
    Link(String, String),
    Delete(String),
    RemoveAll(String),
    Rename(String, String, bool),
    Mode(String, u32),
    Xattr(String, usize),
    Take,
    Drop(usize),
}

fn path() -> impl Strategy<Value = String> {
    "/[abc](/[abc])?"
}

fn step() -> impl Strategy<Value = Step> {
    let size = || prop_oneof![0..50usize, 16_300..16_500usize];
    prop_oneof![
        4 => (path(), size(), size()).prop_map(|(at, from, len)| Step::Write(at, from, len)),
        2 => (path(), size()).prop_map(|(at, len)| Step::Append(at, len)),
        2 => (path(), size()).prop_map(|(at, len)| Step::Truncate(at, len as u64)),
        1 => (path(), size()).prop_map(|(at, len)| Step::Punch(at, len as u64)),
        3 => path().prop_map(Step::Mkdir),
        1 => (path(), path()).prop_map(|(to, at)| Step::Symlink(to, at)),
        2 => (path(), path()).prop_map(|(from, to)| Step::Link(from, to)),
        2 => path().prop_map(Step::Delete),
        1 => path().prop_map(Step::RemoveAll),
        4 => (path(), path(), any::<bool>()).prop_map(|(from, to, swap)| Step::Rename(from, to, swap)),
        1 => (path(), 0..0o7777u32).prop_map(|(at, mode)| Step::Mode(at, mode)),
        1 => (path(), 0..9usize).prop_map(|(at, len)| Step::Xattr(at, len)),
        3 => Just(Step::Take),
        2 => any::<usize>().prop_map(Step::Drop),
    ]
}

fn act(fs: &MemFs, nth: usize, step: &Step) -> Result<(), Error> {
    let byte = nth as u8 | 1;
    match step {
        Step::Write(at, from, len) => {
            let file = fs.open(at, &OpenOptions::write_only().create(0o644))?;
            file.handle().write_at(*from as u64, &vec![byte; *len]).map(drop)
        }
        Step::Append(at, len) => fs.append(at, vec![byte; *len]),
        Step::Truncate(at, len) => fs.truncate(at, *len),
        Step::Punch(at, len) => {
            let file = fs.open(at, &OpenOptions::write_only())?;
            file.handle().allocate(*len / 2, len + 1, Allocate::Punch)
        }
        Step::Mkdir(at) => fs.make_dir(at, 0o755),
        Step::Symlink(to, at) => fs.symlink(to, at),
        Step::Link(from, to) => fs.hard_link(from, to),
        Step::Delete(at) => fs.delete(at),
        Step::RemoveAll(at) => fs.remove_dir_all(at),
        Step::Rename(from, to, swap) => {
            fs.rename_with(from, to, if *swap { Rename::Exchange } else { Rename::Replace })
        }
        Step::Mode(at, mode) => fs.set_permissions(at, *mode),
        Step::Xattr(at, len) => fs.set_xattr(at, "user.x", vec![byte; *len], SetXattr::Any),
        Step::Take | Step::Drop(_) => Ok(()),
    }
}

/// The bytes of files, links and attributes that can be reached, each file once.
fn reachable(fs: &MemFs) -> (u64, u64) {
    fn walk(node: &NodeRef, seen: &mut BTreeMap<u64, u64>, names: &mut u64) {
        let root = &Caller::ROOT;
        let xattrs: usize = node
            .list_xattrs(root)
            .unwrap()
            .iter()
            .map(|name| name.len() + node.xattr(root, name).unwrap().len())
            .sum();
        let content = match node.kind() {
            // What counts of it, chunk by chunk from hole to hole.
            Kind::File => stored(node),
            Kind::Symlink => node.read_link().unwrap().len() as u64,
            _ => 0,
        };
        seen.insert(node.id().ino, content + xattrs as u64);
        *names += 1;
        if node.kind() == Kind::Directory {
            let mut entries = Vec::new();
            node.read_dir(0, &mut |entry| {
                entries.push(entry.name.as_bytes().to_vec());
                true
            })
            .unwrap();
            for name in entries {
                walk(&node.lookup(root, uos_vfs::Name::new(&name).unwrap()).unwrap(), seen, names);
            }
        }
    }
    let (mut seen, mut names) = (BTreeMap::new(), 0);
    walk(&fs.root(), &mut seen, &mut names);
    (seen.into_values().sum(), names)
}

fn stored(node: &NodeRef) -> u64 {
    let file = NodeRef::clone(node).open(&Caller::ROOT, Access::Read).unwrap();
    let (mut at, mut sum) = (0, 0);
    while let Ok(data) = file.seek(at, uos_vfs::Seek::Data) {
        at = file.seek(data, uos_vfs::Seek::Hole).unwrap();
        for chunk in data / 16_384..at.div_ceil(16_384) {
            let least = if chunk == 0 { 0 } else { 1024 };
            sum += (at - chunk * 16_384).min(16_384).max(least);
        }
    }
    sum
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(64), ..ProptestConfig::default() })]

    /// However much happens, every snapshot goes on showing what there was when it was taken; and when all
    /// are gone, what is counted is what can be reached.
    #[test]
    fn snapshots_stay_as_they_were(steps in prop::collection::vec(step(), 1..80)) {
        let fs = MemFs::builder().build();
        let mut held: Vec<(Snapshot, BTreeMap<Vec<u8>, String>)> = Vec::new();
        for (nth, step) in steps.iter().enumerate() {
            match step {
                Step::Take => {
                    let now = picture(&fs);
                    held.push((fs.snapshot(), now));
                }
                Step::Drop(which) if !held.is_empty() => drop(held.swap_remove(which % held.len())),
                step => drop(act(&fs, nth, step)),
            }
            for (snapshot, then) in &held {
                prop_assert_eq!(&picture(snapshot), then, "after step {}: {:?}", nth, step);
            }
        }
        held.clear();
        prop_assert_eq!((fs.used_bytes(), fs.used_nodes()), reachable(&fs));
    }
}

/// As many as asked for from outside, else what fits a quick run.
fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
