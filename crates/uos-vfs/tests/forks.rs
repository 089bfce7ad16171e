//! Forks, restoring, and what lies between two snapshots, held against plain looks at the trees.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use proptest::prelude::*;
use std::collections::BTreeMap;
use uos_vfs::{
    Access, Caller, Change, Error, FileSystem, How, Kind, MemFs, OpenOptions, Rename, SetXattr, Snapshot,
    Tree, VPath, What,
};

/// What somebody sees of a path: numbers of nodes left out, as a restore gives new ones.
type Picture = BTreeMap<Vec<u8>, String>;

fn picture<T: Tree>(fs: &T) -> Picture {
    let mut seen = BTreeMap::new();
    let mut left = vec![b"/".to_vec()];
    while let Some(path) = left.pop() {
        let attr = fs.symlink_metadata(&path).unwrap();
        let said = match attr.kind {
            Kind::Directory => {
                let entries = fs.list_dir(&path).unwrap();
                assert_eq!(entries.len() as u64, attr.size);
                let above = if path == b"/" { &b""[..] } else { &path };
                left.extend(entries.iter().map(|entry| [above, b"/", &entry.name].concat()));
                String::new()
            }
            Kind::File => {
                let data = fs.read(&path).unwrap();
                format!("{} of {:?} {:?}", data.len(), data.first(), attr.modified)
            }
            Kind::Symlink => format!("{:?}", fs.read_link(&path).unwrap()),
            _ => String::new(),
        };
        // By path those of a link are those of what it leads to.
        let is_link = attr.kind == Kind::Symlink;
        let xattrs: Vec<_> = fs
            .list_xattrs(&path)
            .unwrap_or_default()
            .into_iter()
            .filter(|_| !is_link)
            .map(|name| (fs.xattr(&path, &name).ok(), name))
            .collect();
        seen.insert(
            path,
            format!("{:?} {:o} {}:{} {xattrs:?} {said}", attr.kind, attr.mode, attr.uid, attr.gid),
        );
    }
    seen
}

fn path(text: &str) -> VPath {
    VPath::parse(text.as_bytes()).unwrap()
}

fn change(what: What, at: &str) -> Change {
    Change { path: path(at), what }
}

fn sample() -> MemFs {
    let fs = MemFs::builder().build();
    fs.create_dir("/d/sub").unwrap();
    fs.write("/d/f", vec![1; 40_000]).unwrap();
    fs.write("/d/sub/g", "deep").unwrap();
    fs.symlink("d/f", "/l").unwrap();
    fs.hard_link("/d/f", "/d/sub/h").unwrap();
    fs.set_xattr("/d/sub", "user.a", "1", SetXattr::Any).unwrap();
    fs
}

#[test]
fn a_fork_and_its_origin_go_their_own_ways() {
    let fs = sample();
    let before = picture(&fs);
    let (bytes, nodes) = (fs.used_bytes(), fs.used_nodes());
    let fork = fs.fork();
    assert_eq!(fork.used_nodes(), nodes + 1, "nothing but the root is there before somebody looks");
    fs.write("/d/sub/g", "changed").unwrap();
    fs.delete("/l").unwrap();
    assert_eq!(picture(&fork), before);
    assert_ne!(picture(&fs), before);
    // Content is shared, what takes a node of its own is not.
    assert_eq!(fork.used_bytes(), bytes + 7);
    fork.write("/d/sub/h", "both names").unwrap();
    assert_eq!(fork.read("/d/f").unwrap(), b"both names");
    assert_eq!(fs.read("/d/f").unwrap(), vec![1; 40_000]);
    fork.remove_dir_all("/d").unwrap();
    assert_eq!(fs.read("/d/sub/h").unwrap(), vec![1; 40_000]);
    drop(fork);
    assert_eq!((fs.used_bytes(), fs.used_nodes()), (40_000 + 7 + 7, nodes - 1));
}

#[test]
fn names_of_one_file_stay_one_file_in_a_fork() {
    let fs = sample();
    let fork = fs.fork();
    // The other name is in a directory that nobody has looked into when this one changes and goes.
    fork.append("/d/f", "more").unwrap();
    fork.delete("/d/f").unwrap();
    assert_eq!(fork.metadata("/d/sub/h").unwrap().nlink, 1);
    assert_eq!(fork.metadata("/d/sub/h").unwrap().size, 40_004);
    let again = fork.fork().fork();
    assert_eq!(picture(&again), picture(&fork));
}

#[test]
fn restoring_puts_everything_back_in_one_step() {
    let fs = sample();
    let (then, snapshot) = (picture(&fs), fs.snapshot());
    let root = fs.root();
    let held = fs.open("/d/sub/g", &OpenOptions::read_write()).unwrap();
    fs.rename("/d/sub", "/moved").unwrap();
    fs.write("/d/f", "other").unwrap();
    fs.set_permissions("/", 0o700).unwrap();
    fs.set_xattr("/", "user.r", "1", SetXattr::Any).unwrap();
    let (now, later) = (picture(&fs), fs.snapshot());
    fs.restore(&snapshot).unwrap();
    assert_eq!(picture(&fs), then);
    assert_eq!(root.lookup(&Caller::ROOT, "d".try_into().unwrap()).unwrap().kind(), Kind::Directory);
    // What is open goes on as a file without a name.
    held.handle().append(b"!").unwrap();
    assert_eq!(held.handle().read_bytes(0, 9).unwrap(), &b"deep!"[..]);
    assert_eq!(fs.read("/d/sub/g").unwrap(), b"deep");
    // Both ways, and also what a fork has become.
    fs.restore(&later).unwrap();
    assert_eq!(picture(&fs), now);
    let fork = snapshot.fork();
    fork.write("/d/new", "from the fork").unwrap();
    fs.restore(&fork.snapshot()).unwrap();
    assert_eq!(picture(&fs), picture(&fork));
    assert_eq!(fs.restore(&sample().snapshot()), Err(Error::CrossDevice));
}

#[test]
fn all_is_given_back_when_the_last_one_goes() {
    let fs = sample();
    let (bytes, nodes) = (fs.used_bytes(), fs.used_nodes());
    let snapshot = fs.snapshot();
    fs.write("/d/f", vec![2; 70_000]).unwrap();
    fs.restore(&snapshot).unwrap();
    let fork = fs.fork();
    fork.delete("/d/f").unwrap();
    fork.create_dir("/x/y/z").unwrap();
    picture(&fork);
    picture(&fs);
    drop((fork, snapshot));
    assert_eq!((fs.used_bytes(), fs.used_nodes()), (bytes, nodes));
    fs.remove_dir_all("/d").unwrap();
    fs.delete("/l").unwrap();
    assert_eq!((fs.used_bytes(), fs.used_nodes()), (0, 1));
}

#[test]
fn a_difference_names_what_has_changed_and_nothing_else() {
    let fs = sample();
    let before = fs.snapshot();
    assert_eq!(before.diff(&fs.snapshot()).unwrap(), []);
    fs.write("/d/sub/g", "other").unwrap();
    fs.create_dir("/new/dir").unwrap();
    fs.write("/new/dir/f", "x").unwrap();
    fs.rename("/d/sub", "/sub").unwrap();
    fs.delete("/l").unwrap();
    fs.set_permissions("/d", 0o700).unwrap();
    let after = fs.snapshot();
    // What comes later does not show.
    fs.remove_dir_all("/new").unwrap();
    fs.rename("/sub", "/elsewhere").unwrap();
    let renamed = |from: &str| What::Renamed { from: path(from) };
    let mut expected = vec![
        change(What::Modified, "/d"),
        change(What::Removed, "/l"),
        change(What::Created, "/new"),
        change(What::Created, "/new/dir"),
        change(What::Created, "/new/dir/f"),
        change(renamed("/d/sub"), "/sub"),
        change(What::Modified, "/sub/g"),
    ];
    expected.sort();
    assert_eq!(before.diff(&after).unwrap(), expected);
    let mut back = vec![
        change(What::Modified, "/d"),
        change(renamed("/sub"), "/d/sub"),
        change(What::Modified, "/d/sub/g"),
        change(What::Created, "/l"),
        change(What::Removed, "/new"),
        change(What::Removed, "/new/dir"),
        change(What::Removed, "/new/dir/f"),
    ];
    back.sort();
    assert_eq!(after.diff(&before).unwrap(), back);
    assert_eq!(before.diff(&sample().snapshot()), Err(Error::CrossDevice));
}

#[test]
fn a_file_with_several_names_is_named_by_all() {
    let fs = sample();
    let before = fs.snapshot();
    fs.append("/d/f", "more").unwrap();
    let both = [change(What::Modified, "/d/f"), change(What::Modified, "/d/sub/h")];
    assert_eq!(before.diff(&fs.snapshot()).unwrap(), both);
    fs.delete("/d/sub/h").unwrap();
    let one = [change(What::Modified, "/d/f"), change(What::Removed, "/d/sub/h")];
    assert_eq!(before.diff(&fs.snapshot()).unwrap(), one);
    let between = fs.snapshot();
    // It has one name again, and not the one it was last given.
    fs.append("/d/f", "more").unwrap();
    assert_eq!(between.diff(&fs.snapshot()).unwrap(), [change(What::Modified, "/d/f")]);
}

#[test]
fn across_a_restore_only_what_differs_is_named() {
    let fs = sample();
    let first = fs.snapshot();
    fs.write("/d/sub/g", "other").unwrap();
    let second = fs.snapshot();
    fs.restore(&first).unwrap();
    assert_eq!(first.diff(&fs.snapshot()).unwrap(), []);
    assert_eq!(second.diff(&fs.snapshot()).unwrap(), [change(What::Modified, "/d/sub/g")]);
}

#[derive(Clone, Debug)]
enum Step {
    Write(String, u8),
    Mkdir(String),
    Symlink(String),
    Link(String, String),
    Delete(String),
    RemoveAll(String),
    Rename(String, String, bool),
    Mode(String, u32),
    Xattr(String, u8),
    Take,
    Fork(usize),
    Restore(usize),
    Drop(usize),
}

fn some_path() -> impl Strategy<Value = String> {
    "/[abc](/[abc]){0,2}"
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (some_path(), any::<u8>()).prop_map(|(at, byte)| Step::Write(at, byte)),
        5 => some_path().prop_map(Step::Mkdir),
        1 => some_path().prop_map(Step::Symlink),
        2 => (some_path(), some_path()).prop_map(|(from, to)| Step::Link(from, to)),
        2 => some_path().prop_map(Step::Delete),
        1 => some_path().prop_map(Step::RemoveAll),
        5 => (some_path(), some_path(), any::<bool>()).prop_map(|(from, to, swap)| Step::Rename(from, to, swap)),
        1 => (some_path(), 0..0o777u32).prop_map(|(at, mode)| Step::Mode(at, mode)),
        1 => (some_path(), any::<u8>()).prop_map(|(at, byte)| Step::Xattr(at, byte)),
        4 => Just(Step::Take),
        1 => any::<usize>().prop_map(Step::Fork),
        1 => any::<usize>().prop_map(Step::Restore),
        1 => any::<usize>().prop_map(Step::Drop),
    ]
}

fn act(fs: &MemFs, step: &Step) -> Result<(), Error> {
    match step {
        Step::Write(at, byte) => fs.write(at, vec![*byte; usize::from(*byte) * 100]),
        Step::Mkdir(at) => fs.make_dir(at, 0o755),
        Step::Symlink(at) => fs.symlink("x", at),
        Step::Link(from, to) => fs.hard_link(from, to),
        Step::Delete(at) => fs.delete(at),
        Step::RemoveAll(at) => fs.remove_dir_all(at),
        Step::Rename(from, to, swap) => {
            fs.rename_with(from, to, if *swap { Rename::Exchange } else { Rename::Replace })
        }
        Step::Mode(at, mode) => fs.set_permissions(at, *mode),
        Step::Xattr(at, byte) => fs.set_xattr(at, "user.x", [*byte], SetXattr::Any),
        Step::Take | Step::Fork(_) | Step::Restore(_) | Step::Drop(_) => Ok(()),
    }
}

/// Makes one picture into the other by nothing but what the difference says.
fn applied(before: &Picture, changes: &[Change], after: &Picture) -> Picture {
    let below = |path: &[u8], dir: &[u8]| {
        path == dir || path.strip_prefix(dir).is_some_and(|rest| rest.starts_with(b"/"))
    };
    let mut left = before.clone();
    let mut moved = Picture::new();
    // The longest first: what moves out of something that moves is gone from it then.
    let mut renames: Vec<_> = changes
        .iter()
        .filter_map(|change| match &change.what {
            What::Renamed { from } => Some((from.as_bytes().to_vec(), change.path.as_bytes().to_vec())),
            _ => None,
        })
        .collect();
    renames.sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
    for change in changes.iter().filter(|change| change.what == What::Removed) {
        assert!(left.remove(change.path.as_bytes()).is_some(), "{:?} was not there", change.path);
    }
    for (from, to) in renames {
        let taken: Vec<_> = left.keys().filter(|path| below(path, &from)).cloned().collect();
        assert!(!taken.is_empty(), "nothing was at {:?}", from.escape_ascii().to_string());
        for path in taken {
            let said = left.remove(&path).unwrap();
            moved.insert([&to[..], &path[from.len()..]].concat(), said);
        }
    }
    for (path, said) in moved {
        assert!(left.insert(path, said).is_none(), "two things have one path");
    }
    for change in changes {
        let path = change.path.as_bytes();
        match change.what {
            What::Created => assert!(left.insert(path.to_vec(), after[path].clone()).is_none()),
            What::Modified => {
                // It is named only if it is not what it was.
                let before = left.insert(path.to_vec(), after[path].clone());
                assert_ne!(before.as_ref(), Some(&after[path]), "{:?} is as it was", change.path);
            }
            _ => {}
        }
    }
    left
}

/// All that can be reached, and nothing else, is counted.
fn reachable(fs: &MemFs) -> (u64, u64) {
    let mut left = vec![fs.resolve(b"/", &How::privileged()).unwrap().node.unwrap()];
    let (mut bytes, mut names) = (BTreeMap::new(), 0);
    while let Some(node) = left.pop() {
        names += 1;
        let root = &Caller::ROOT;
        let xattrs = node.list_xattrs(root).unwrap();
        let xattrs: usize =
            xattrs.iter().map(|name| name.len() + node.xattr(root, name).unwrap().len()).sum();
        let content = match node.kind() {
            // None has a hole. Of the last 16 KiB a KiB counts at least, if there are others before.
            Kind::File => match node.attr().unwrap().size {
                size if size < 16_384 || size % 16_384 == 0 => size,
                size => size / 16_384 * 16_384 + (size % 16_384).max(1024),
            },
            Kind::Symlink => node.read_link().unwrap().len() as u64,
            _ => 0,
        };
        bytes.insert(node.id().ino, content + xattrs as u64);
        let mut entries = Vec::new();
        if node.kind() == Kind::Directory {
            node.read_dir(0, &mut |entry| {
                entries.push(entry.name.as_bytes().to_vec());
                true
            })
            .unwrap();
        }
        for name in entries {
            left.push(node.lookup(root, name[..].try_into().unwrap()).unwrap());
        }
    }
    (bytes.into_values().sum(), names)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(200), ..ProptestConfig::default() })]

    /// Whatever happens to a filesystem, its forks and their snapshots: each snapshot shows what there was,
    /// and what lies between two of one filesystem makes one into the other.
    #[test]
    fn differences_make_one_snapshot_into_the_other(steps in prop::collection::vec(step(), 1..80)) {
        let mut forks = vec![MemFs::builder().build()];
        let mut held: Vec<(usize, Snapshot, Picture)> = Vec::new();
        for (nth, step) in steps.iter().enumerate() {
            let which = nth % forks.len();
            match step {
                Step::Take => {
                    let snapshot = forks[which].snapshot();
                    let now = picture(&forks[which]);
                    held.push((which, snapshot, now));
                }
                Step::Fork(of) if !held.is_empty() && forks.len() < 3 => {
                    let (_, snapshot, then) = &held[of % held.len()];
                    let fork = snapshot.fork();
                    prop_assert_eq!(&picture(&fork), then);
                    forks.push(snapshot.fork());
                }
                Step::Restore(to) if !held.is_empty() => {
                    let (_, snapshot, then) = &held[to % held.len()];
                    forks[which].restore(snapshot).unwrap();
                    prop_assert_eq!(&picture(&forks[which]), then);
                }
                Step::Drop(which) if !held.is_empty() => drop(held.swap_remove(which % held.len())),
                step => drop(act(&forks[which], step)),
            }
            for (_, snapshot, then) in &held {
                prop_assert_eq!(&picture(snapshot), then, "after step {}: {:?}", nth, step);
            }
        }
        for (of, one, before) in &held {
            for (_, other, after) in held.iter().filter(|(other, ..)| other == of) {
                let changes = one.diff(other).unwrap();
                prop_assert_eq!(&applied(before, &changes, after), after, "by {:?}", changes);
            }
        }
        held.clear();
        forks.truncate(1);
        prop_assert_eq!((forks[0].used_bytes(), forks[0].used_nodes()), reachable(&forks[0]));
    }
}

/// Opened for reading a snapshot gives what there was, and a writer gets nothing.
#[test]
fn a_fork_of_a_snapshot_takes_changes_and_the_snapshot_none() {
    let fs = sample();
    let snapshot = fs.snapshot();
    let node = snapshot.resolve(b"/d/f", &How::privileged()).unwrap().node.unwrap();
    assert_eq!(node.open(&Caller::ROOT, Access::Write).map(drop), Err(Error::ReadOnly));
    let fork = snapshot.fork();
    fork.write("/d/f", "x").unwrap();
    assert_eq!(snapshot.read("/d/f").unwrap(), vec![1; 40_000]);
}

/// As many as asked for from outside, else what fits a quick run.
fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
