//! Moving and copying from one filesystem to another, interrupted at every step.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod failing;

use failing::{BROKEN, Fate, failing};
use std::collections::BTreeMap;
use std::sync::Arc;
use uos_vfs::{
    Caller, Error, FileSystem, Kind, LocalFs, MemFs, Mounts, NodeRef, Rename, SetTime, SetXattr, Special,
    Timestamp,
};

const THEN: SetTime = SetTime::To(Timestamp { secs: 1_000_000, nanos: 5 });

/// Two filesystems at `/a` and `/b`, and behind them what they hold when nothing fails.
struct Two {
    mounts: Mounts,
    fate: Arc<Fate>,
    sound: Mounts,
    _guards: Vec<Box<dyn std::any::Any>>,
}

impl Two {
    fn new(from: NodeRef, to: NodeRef, guards: Vec<Box<dyn std::any::Any>>) -> Self {
        let fate = Arc::new(Fate::default());
        let tree = |a: NodeRef, b: NodeRef| {
            let root = MemFs::builder().build();
            root.create_dir("/a").unwrap();
            root.create_dir("/b").unwrap();
            let mounts = Mounts::new(root.root());
            mounts.mount(b"/a", a).unwrap();
            mounts.mount(b"/b", b).unwrap();
            mounts
        };
        let mounts = tree(failing(from.clone(), &fate), failing(to.clone(), &fate));
        Two { mounts, fate, sound: tree(from, to), _guards: guards }
    }

    fn in_memory() -> Self {
        let (one, two) = (MemFs::builder().build(), MemFs::builder().build());
        Self::new(one.root(), two.root(), vec![Box::new((one, two))])
    }

    fn on_the_host() -> Self {
        let dirs = [tempfile::tempdir_in("/dev/shm").unwrap(), tempfile::tempdir().unwrap()];
        let [one, two] = dirs.each_ref().map(|dir| LocalFs::open(dir.path(), false).unwrap());
        Self::new(one.root(), two.root(), vec![Box::new((one, two)), Box::new(dirs)])
    }
}

fn pattern(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + seed + at / 977) as u8).collect()
}

/// All that can be seen below a path but what a move may change: numbers, and when attributes were last changed.
fn picture(mounts: &Mounts, path: &str) -> Option<BTreeMap<String, String>> {
    let mut seen = BTreeMap::new();
    let mut left = vec![path.to_owned()];
    let mut numbers = BTreeMap::new();
    while let Some(at) = left.pop() {
        let attr = match mounts.symlink_metadata(&at) {
            Ok(attr) => attr,
            Err(Error::NotFound) if at == path => return None,
            Err(error) => panic!("{at}: {error}"),
        };
        let holds = match attr.kind {
            Kind::File => format!("{:?}", fingerprint(&mounts.read(&at).unwrap())),
            Kind::Symlink => format!("{:?}", mounts.read_link(&at).unwrap()),
            Kind::Directory => {
                let mut entries = mounts.list_dir(&at).unwrap();
                entries.sort_by(|one, other| one.name.cmp(&other.name));
                for entry in entries {
                    left.push(format!("{at}/{}", String::from_utf8(entry.name).unwrap()));
                }
                String::new()
            }
            _ => String::new(),
        };
        let xattrs = match attr.kind {
            Kind::File => mounts.list_xattrs(&at).unwrap(),
            _ => Vec::new(),
        };
        let count = numbers.len();
        let same = *numbers.entry(attr.id).or_insert(count);
        let links = if attr.kind == Kind::Directory { 0 } else { attr.nlink };
        let told = (attr.kind, attr.mode, attr.uid, attr.gid, attr.modified, links, same, xattrs, holds);
        seen.insert(at[path.len()..].to_owned(), format!("{told:?}"));
    }
    Some(seen)
}

fn fingerprint(data: &[u8]) -> (usize, u64) {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    (data.len(), data.iter().fold(0xcbf2_9ce4_8422_2325, mix))
}

fn file(two: &Two) {
    let mounts = &two.sound;
    mounts.write("/a/it", pattern(100_000, 1)).unwrap();
    mounts.set_permissions("/a/it", 0o640).unwrap();
    mounts.set_owner("/a/it", Some(7), Some(8)).unwrap();
    mounts.set_xattr("/a/it", "user.note", "kept", SetXattr::Any).unwrap();
    mounts.set_times("/a/it", Some(THEN), Some(THEN)).unwrap();
}

fn tree(two: &Two) {
    let mounts = &two.sound;
    mounts.create_dir("/a/it/sub/deep").unwrap();
    mounts.write("/a/it/one", pattern(50_000, 2)).unwrap();
    mounts.hard_link("/a/it/one", "/a/it/sub/also one").unwrap();
    mounts.symlink("../one", "/a/it/sub/link").unwrap();
    mounts.make_special("/a/it/pipe", Special::Fifo, 0o600).unwrap();
    mounts.write("/a/it/sub/deep/two", "two").unwrap();
    for path in ["/a/it/sub/deep", "/a/it/sub", "/a/it/one", "/a/it"] {
        mounts.set_times(path, Some(THEN), Some(THEN)).unwrap();
    }
    mounts.set_permissions("/a/it/sub", 0o750).unwrap();
}

/// No name that is only passing through.
fn is_tidy(mounts: &Mounts) -> bool {
    ["/a", "/b"]
        .iter()
        .all(|dir| mounts.list_dir(dir).unwrap().iter().all(|entry| !entry.name.starts_with(b".copy-")))
}

/// Moves `/a/it` to `/b/it`, failing at every step in turn: once only, or from there on as when the process dies.
fn check(fresh: impl Fn() -> Two, fill: impl Fn(&Two), there: Option<&str>) {
    for many in [1, u64::MAX] {
        for nth in 1.. {
            let two = fresh();
            fill(&two);
            match there {
                Some("") => two.sound.create_dir("/b/it").unwrap(),
                Some(text) => two.sound.write("/b/it", text).unwrap(),
                None => {}
            }
            let (whole, before) = (picture(&two.sound, "/a/it"), picture(&two.sound, "/b/it"));
            two.fate.fail(nth, many);
            let moved = two.mounts.rename("/a/it", "/b/it");
            let over = two.fate.done() < nth;
            two.fate.fail(0, 0);
            let (source, target) = (picture(&two.sound, "/a/it"), picture(&two.sound, "/b/it"));
            assert!(
                target == before || target == whole,
                "step {nth}: {target:#?} is neither\n{before:#?}\nnor\n{whole:#?}"
            );
            assert!(source == whole || source.is_none(), "step {nth}: torn at its old name");
            assert!(source.is_some() || target == whole, "step {nth}: neither name");
            match &moved {
                Ok(()) => assert!(target == whole && source.is_none(), "step {nth}: said to be moved"),
                Err(error) => assert!([BROKEN, Error::Busy].contains(error), "step {nth}: {error}"),
            }
            if many == 1 && target == before && source == whole {
                // Where the step that failed was cleaning up itself, something may be left.
                let again = two.mounts.rename("/a/it", "/b/it");
                assert_eq!(again, Ok(()), "step {nth}: and then it can't be moved any more");
                assert_eq!(picture(&two.sound, "/b/it"), whole);
            }
            if over {
                assert_eq!(moved, Ok(()));
                assert!(is_tidy(&two.sound));
                assert!(nth > 15, "there were steps to fail at");
                break;
            }
        }
    }
}

#[test]
fn a_file_moves_whole_or_not_at_all() {
    check(Two::in_memory, file, None);
    check(Two::in_memory, file, Some("what was there before"));
}

#[test]
fn a_file_moves_whole_on_the_host_too() {
    check(Two::on_the_host, file, Some("what was there before"));
}

#[test]
fn a_tree_moves_whole_or_not_at_all() {
    check(Two::in_memory, tree, None);
    check(Two::in_memory, tree, Some(""));
}

#[test]
fn a_tree_moves_whole_on_the_host_too() {
    check(Two::on_the_host, tree, None);
}

#[test]
fn an_error_before_the_end_leaves_nothing_behind() {
    // Only making the copy fails, never clearing up: that the filesystem there is full.
    let small = MemFs::builder().capacity_bytes(30_000).build();
    let source = MemFs::builder().build();
    let two = Two::new(source.root(), small.root(), Vec::new());
    tree(&two);
    let before = picture(&two.sound, "/a/it");
    assert!(matches!(two.mounts.rename("/a/it", "/b/it"), Err(Error::NoSpace { .. })));
    assert_eq!(picture(&two.sound, "/a/it"), before);
    assert!(is_tidy(&two.sound) && !two.sound.exists("/b/it").unwrap());
    assert_eq!((small.used_bytes(), small.used_nodes()), (0, 1));
    assert!(matches!(two.mounts.copy("/a/it/one", "/b/one"), Err(Error::NoSpace { .. })));
    assert!(is_tidy(&two.sound) && small.used_nodes() == 1);
}

#[test]
fn a_copy_is_whole_or_what_was_there_before() {
    for nth in 1.. {
        let two = Two::in_memory();
        file(&two);
        two.sound.write("/b/it", "before").unwrap();
        two.fate.fail(nth, u64::MAX);
        let copied = two.mounts.copy("/a/it", "/b/it");
        let over = two.fate.done() < nth;
        two.fate.fail(0, 0);
        let target = two.sound.read("/b/it").unwrap();
        match copied {
            Ok(len) => assert!(len == 100_000 && target == pattern(100_000, 1)),
            Err(error) => {
                assert_eq!(error, BROKEN);
                assert!(target == b"before" || target == pattern(100_000, 1), "step {nth}");
            }
        }
        assert_eq!(two.sound.read("/a/it").unwrap(), pattern(100_000, 1));
        if over {
            break;
        }
    }
}

#[test]
fn what_can_not_be_moved_is_refused_and_stays() {
    let two = Two::in_memory();
    tree(&two);
    let mounts = &two.mounts;
    mounts.create_dir("/b/full/of").unwrap();
    mounts.write("/b/f", "f").unwrap();
    mounts.write("/a/f", "f").unwrap();
    assert_eq!(mounts.rename_with("/a/it", "/b/f", Rename::Exchange), Err(Error::CrossDevice));
    assert_eq!(mounts.rename_with("/a/it", "/b/full", Rename::NoReplace), Err(Error::Exists));
    assert_eq!(mounts.rename("/a/it", "/b/full"), Err(Error::NotEmpty));
    assert_eq!(mounts.rename("/a/it", "/b/f"), Err(Error::NotADirectory));
    assert_eq!(mounts.rename("/a/f", "/b/full"), Err(Error::IsADirectory));
    assert_eq!(mounts.rename("/a/none", "/b/x"), Err(Error::NotFound));
    assert_eq!(mounts.rename("/a", "/b/x"), Err(Error::Busy));
    let ada = uos_vfs::As::new(mounts, Caller::user(1000, 1000));
    assert_eq!(ada.rename("/a/f", "/b/g"), Err(Error::AccessDenied));
    two.sound.create_dir("/a/it/sub/mnt").unwrap();
    mounts.mount(b"/a/it/sub/mnt", MemFs::builder().build().root()).unwrap();
    assert_eq!(mounts.rename("/a/it", "/b/it"), Err(Error::Busy), "something is mounted below");
    mounts.unmount(b"/a/it/sub/mnt").unwrap();
    assert!(is_tidy(&two.sound));
    assert_eq!(mounts.rename("/a/it", "/b/it"), Ok(()));
}

#[test]
fn a_directory_does_not_move_into_itself_by_another_way() {
    let host = tempfile::tempdir().unwrap();
    let root = MemFs::builder().build();
    let mounts = Mounts::new(root.root());
    for path in ["/outer", "/inner", "/same"] {
        mounts.create_dir(path).unwrap();
    }
    let [outer, inner] = ["", "d/e"].map(|below| {
        std::fs::create_dir_all(host.path().join(below)).unwrap();
        LocalFs::open(&host.path().join(below), false).unwrap()
    });
    // Two filesystems that know nothing of each other.
    mounts.mount(b"/outer", outer.root()).unwrap();
    mounts.mount(b"/inner", inner.root()).unwrap();
    mounts.write("/outer/d/f", "kept").unwrap();
    assert!(matches!(mounts.rename("/outer/d", "/inner/d"), Err(Error::InvalidArgument(_))));
    assert_eq!(std::fs::read(host.path().join("d/f")).unwrap(), b"kept");
    assert_eq!(std::fs::read_dir(host.path().join("d/e")).unwrap().count(), 0);
    // The same file by two ways.
    mounts.bind(b"/outer", b"/same", &uos_vfs::MountOptions::default()).unwrap();
    mounts.rename("/outer/d/f", "/same/d/f").unwrap();
    assert_eq!(std::fs::read(host.path().join("d/f")).unwrap(), b"kept");
    assert!(matches!(mounts.rename("/outer/d", "/same/d/e/d"), Err(Error::InvalidArgument(_))));
    assert!(mounts.rename("/outer/d", "/same/moved").is_ok(), "by way of a copy, as it is another mount");
    assert_eq!(std::fs::read(host.path().join("moved/f")).unwrap(), b"kept");
    assert!(!host.path().join("d").exists());
}

#[test]
fn what_is_changed_meanwhile_is_not_lost() {
    let two = Two::in_memory();
    tree(&two);
    let mounts = &two.sound;
    for path in ["/a/it/one", "/a/it/sub/deep/two"] {
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let file = match mounts.open(path, &uos_vfs::OpenOptions::write_only()) {
                    // It was gone before the writer had begun.
                    Err(Error::NotFound) => return None,
                    file => file.unwrap(),
                };
                for nth in 0..2_000u32 {
                    file.handle().write_at(0, &nth.to_le_bytes()).unwrap();
                    if !mounts.exists(path).unwrap_or(false) {
                        return None;
                    }
                }
                Some(1_999u32)
            });
            let moved = mounts.rename("/a/it", "/b/it");
            let last = writer.join().unwrap();
            match (moved, last) {
                (Ok(()), _) => assert!(mounts.exists("/b/it").unwrap()),
                (Err(error), last) => {
                    assert_eq!(error, Error::Busy);
                    if let Some(last) = last {
                        assert_eq!(mounts.read(path).unwrap()[..4], last.to_le_bytes());
                    }
                }
            }
        });
        let _ = mounts.remove_dir_all("/b/it");
        if !mounts.exists("/a/it").unwrap() {
            tree(&two);
        }
    }
}
