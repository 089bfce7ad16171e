//! One suite for every filesystem: what a `Node` promises, asked of `MemFs` and of `LocalFs`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::collections::BTreeSet;
use uos_vfs::{Access, Error, Kind, LocalFs, MemFs, New, NodeRef, OpenFile, RenameFlags, SetAttr, Timestamp};

const NEW: New = New { mode: 0o755, uid: 0, gid: 0 };
const PLAIN: RenameFlags = RenameFlags { no_replace: false, exchange: false };

/// Runs every function of the suite as a test on both filesystems.
macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        mod on_mem {
            $(#[test] fn $name() { super::$name(&super::MemFs::builder().build().root()); })*
        }
        mod on_local {
            $(#[test] fn $name() {
                let dir = tempfile::tempdir().unwrap();
                super::$name(&super::LocalFs::open(dir.path(), false).unwrap().root());
            })*
        }
    };
}

suite!(
    a_file_holds_what_was_written,
    holes_read_as_zero,
    appends_go_to_the_end,
    replacing_leaves_nothing_of_the_old,
    absurd_offsets_are_too_big,
    making_is_exclusive,
    names_are_single_components,
    directories_count_their_subdirectories,
    only_empty_directories_are_removed,
    a_removed_directory_takes_nothing,
    kinds_are_told_apart,
    an_unlinked_file_lives_on,
    hard_links_are_one_file,
    links_are_text,
    renaming_replaces,
    renaming_refuses,
    renaming_one_file_to_itself_does_nothing,
    directories_move_but_not_into_themselves,
    exchanging_swaps,
    a_listing_goes_on_where_it_stopped,
    a_listing_survives_changes,
    attributes_are_set,
    times_follow_changes,
    foreign_nodes_are_refused,
);

fn file(dir: &NodeRef, name: &[u8], data: &[u8]) -> NodeRef {
    let node = dir.create(name, &NEW).unwrap();
    open(&node).write_at(0, data).unwrap();
    node
}

fn open(node: &NodeRef) -> std::sync::Arc<dyn OpenFile> {
    node.clone().open(Access::ReadWrite).unwrap()
}

fn content(node: &NodeRef) -> Vec<u8> {
    node.clone().open(Access::Read).unwrap().read_bytes(0, 1 << 20).unwrap().to_vec()
}

fn err<T>(result: Result<T, Error>) -> Error {
    result.map(drop).unwrap_err()
}

/// The links of a directory; where the filesystem does not count them, as they ought to be.
fn links(dir: &NodeRef) -> u64 {
    match dir.attr().unwrap().nlink {
        1 => {
            let mut count = 2;
            dir.read_dir(0, &mut |entry| {
                count += u64::from(entry.kind == Kind::Directory);
                true
            })
            .unwrap();
            count
        }
        nlink => nlink,
    }
}

fn names(dir: &NodeRef) -> BTreeSet<Vec<u8>> {
    let mut names = BTreeSet::new();
    dir.read_dir(0, &mut |entry| names.insert(entry.name.to_vec())).unwrap();
    names
}

fn a_file_holds_what_was_written(root: &NodeRef) {
    let node = file(root, b"f", b"hello world");
    let again = root.lookup(b"f").unwrap();
    assert_eq!((again.id(), again.kind()), (node.id(), Kind::File));
    let open = open(&again);
    assert_eq!(open.write_at(6, b"there").unwrap(), 5);
    assert_eq!(content(&node), b"hello there");
    assert_eq!(open.read_bytes(6, 3).unwrap(), &b"the"[..]);
    assert!(open.read_bytes(11, 9).unwrap().is_empty());
    assert!(open.read_bytes(u64::MAX, 9).unwrap().is_empty());
    let mut buf = [0; 20];
    assert_eq!(open.read_at(6, &mut buf).unwrap(), 5);
    assert_eq!(open.read_at(u64::MAX, &mut buf).unwrap(), 0);
    open.set_len(4).unwrap();
    open.set_len(6).unwrap();
    assert_eq!(content(&node), b"hell\0\0");
    assert_eq!(open.attr().unwrap().size, 6);
    open.sync().unwrap();
}

fn holes_read_as_zero(root: &NodeRef) {
    let node = root.create(b"f", &NEW).unwrap();
    let file = open(&node);
    file.write_at(200_000, b"end").unwrap();
    assert_eq!(node.attr().unwrap().size, 200_003);
    assert_eq!(content(&node), [vec![0; 200_000], b"end".to_vec()].concat());
    file.write_at(70_000, b"mid").unwrap();
    file.set_len(70_001).unwrap();
    file.set_len(70_003).unwrap();
    assert_eq!(&content(&node)[69_999..], b"\0m\0\0");
}

fn appends_go_to_the_end(root: &NodeRef) {
    let node = file(root, b"f", b"one");
    let file = open(&node);
    assert_eq!(file.append(b"two").unwrap(), 3);
    file.set_len(10).unwrap();
    assert_eq!(file.append(b"").unwrap(), 10);
    assert_eq!(file.append(b"x").unwrap(), 10);
    assert_eq!(content(&node), b"onetwo\0\0\0\0x");
}

fn replacing_leaves_nothing_of_the_old(root: &NodeRef) {
    let node = file(root, b"f", &[7; 100_000]);
    open(&node).replace(b"short").unwrap();
    assert_eq!(content(&node), b"short");
    open(&node).replace(b"").unwrap();
    assert_eq!(node.attr().unwrap().size, 0);
}

fn absurd_offsets_are_too_big(root: &NodeRef) {
    let node = file(root, b"f", b"x");
    let file = open(&node);
    for offset in [u64::MAX, u64::MAX - 1, i64::MAX as u64] {
        assert_eq!(err(file.write_at(offset, b"ab")), Error::TooBig, "{offset}");
    }
    assert_eq!(err(file.set_len(u64::MAX)), Error::TooBig);
    assert_eq!(err(node.set_attr(&SetAttr { size: Some(u64::MAX), ..SetAttr::default() })), Error::TooBig);
    assert_eq!(content(&node), b"x");
}

fn making_is_exclusive(root: &NodeRef) {
    root.create(b"f", &NEW).unwrap();
    root.symlink(b"l", b"nowhere", &NEW).unwrap();
    root.mkdir(b"d", &NEW).unwrap();
    for name in [b"f", b"l", b"d"] {
        assert_eq!(err(root.create(name, &NEW)), Error::Exists);
        assert_eq!(err(root.mkdir(name, &NEW)), Error::Exists);
        assert_eq!(err(root.symlink(name, b"x", &NEW)), Error::Exists);
    }
    assert_eq!(err(root.lookup(b"nowhere")), Error::NotFound);
}

fn names_are_single_components(root: &NodeRef) {
    let node = file(root, b"f", b"");
    let long = [b'x'; 256];
    for (name, error) in [
        (&b""[..], Error::InvalidPath),
        (b".", Error::InvalidPath),
        (b"..", Error::InvalidPath),
        (b"a/b", Error::InvalidPath),
        (b"../f", Error::InvalidPath),
        (b"a\0", Error::InvalidPath),
        (&long, Error::NameTooLong),
    ] {
        assert_eq!(err(root.lookup(name)), error);
        assert_eq!(err(root.create(name, &NEW)), error);
        assert_eq!(err(root.mkdir(name, &NEW)), error);
        assert_eq!(err(root.symlink(name, b"x", &NEW)), error);
        assert_eq!(err(root.link(name, &node)), error);
        assert_eq!(err(root.unlink(name)), error);
        assert_eq!(err(root.rmdir(name)), error);
        assert_eq!(err(root.rename(name, root, b"g", PLAIN)), error);
        assert_eq!(err(root.rename(b"f", root, name, PLAIN)), error);
    }
    root.create(&long[1..], &NEW).unwrap();
    assert_eq!(names(root).len(), 2);
}

fn directories_count_their_subdirectories(root: &NodeRef) {
    let dir = root.mkdir(b"d", &NEW).unwrap();
    assert_eq!(links(&dir), 2);
    let sub = dir.mkdir(b"s", &NEW).unwrap();
    dir.create(b"f", &NEW).unwrap();
    assert_eq!(links(&dir), 3);
    dir.rename(b"s", root, b"s", PLAIN).unwrap();
    assert_eq!((links(&dir), links(root)), (2, 4));
    root.rename(b"s", &dir, b"f", PLAIN).map(drop).unwrap_err();
    root.rmdir(b"s").unwrap();
    assert_eq!((sub.attr().unwrap().nlink, links(root)), (0, 3));
}

fn only_empty_directories_are_removed(root: &NodeRef) {
    let dir = root.mkdir(b"d", &NEW).unwrap();
    dir.create(b"f", &NEW).unwrap();
    assert_eq!(err(root.rmdir(b"d")), Error::NotEmpty);
    assert_eq!(err(root.unlink(b"d")), Error::IsADirectory);
    assert_eq!(err(dir.rmdir(b"f")), Error::NotADirectory);
    dir.unlink(b"f").unwrap();
    root.rmdir(b"d").unwrap();
    assert_eq!(err(root.rmdir(b"d")), Error::NotFound);
    assert_eq!(err(root.unlink(b"d")), Error::NotFound);
}

fn a_removed_directory_takes_nothing(root: &NodeRef) {
    let dir = root.mkdir(b"d", &NEW).unwrap();
    let node = file(root, b"f", b"");
    root.rmdir(b"d").unwrap();
    assert_eq!(err(dir.create(b"x", &NEW)), Error::NotFound);
    assert_eq!(err(dir.mkdir(b"x", &NEW)), Error::NotFound);
    assert_eq!(err(dir.symlink(b"x", b"y", &NEW)), Error::NotFound);
    assert_eq!(err(dir.link(b"x", &node)), Error::NotFound);
    assert_eq!(err(root.rename(b"f", &dir, b"x", PLAIN)), Error::NotFound);
    assert_eq!(err(dir.lookup(b"x")), Error::NotFound);
    assert!(names(&dir).is_empty());
}

fn kinds_are_told_apart(root: &NodeRef) {
    let node = file(root, b"f", b"");
    let link = root.symlink(b"l", b"f", &NEW).unwrap();
    let dir = root.mkdir(b"d", &NEW).unwrap();
    for other in [&node, &link] {
        assert_eq!(err(other.lookup(b"x")), Error::NotADirectory);
        assert_eq!(err(other.create(b"x", &NEW)), Error::NotADirectory);
        assert_eq!(err(other.mkdir(b"x", &NEW)), Error::NotADirectory);
        assert_eq!(err(other.unlink(b"x")), Error::NotADirectory);
        assert_eq!(err(other.rmdir(b"x")), Error::NotADirectory);
        assert_eq!(err(other.rename(b"x", root, b"y", PLAIN)), Error::NotADirectory);
        assert_eq!(err(root.rename(b"f", other, b"y", PLAIN)), Error::NotADirectory);
        assert_eq!(err(other.read_dir(0, &mut |_| true)), Error::NotADirectory);
    }
    assert_eq!(err(dir.clone().open(Access::Read)), Error::IsADirectory);
    assert_eq!(err(link.open(Access::Read)), Error::TooManyLinks);
    assert!(matches!(dir.read_link(), Err(Error::InvalidArgument(_))));
    assert!(matches!(node.read_link(), Err(Error::InvalidArgument(_))));
    assert_eq!(err(dir.set_attr(&SetAttr { size: Some(0), ..SetAttr::default() })), Error::IsADirectory);
}

fn an_unlinked_file_lives_on(root: &NodeRef) {
    let node = file(root, b"f", b"still");
    let file = open(&node);
    root.unlink(b"f").unwrap();
    assert_eq!(node.attr().unwrap().nlink, 0);
    file.append(b" here").unwrap();
    assert_eq!(content(&node), b"still here");
    assert_eq!(err(root.link(b"g", &node)), Error::NotFound);
    let other = root.create(b"f", &NEW).unwrap();
    assert_ne!(other.id(), node.id());
}

fn hard_links_are_one_file(root: &NodeRef) {
    let node = file(root, b"f", b"one");
    let dir = root.mkdir(b"d", &NEW).unwrap();
    dir.link(b"g", &node).unwrap();
    let other = dir.lookup(b"g").unwrap();
    assert_eq!((other.id(), node.attr().unwrap().nlink), (node.id(), 2));
    open(&other).append(b"two").unwrap();
    assert_eq!(content(&node), b"onetwo");
    assert_eq!(err(root.link(b"f", &node)), Error::Exists);
    assert_eq!(err(root.link(b"e", &dir)), Error::NotPermitted);
    root.unlink(b"f").unwrap();
    assert_eq!((content(&other), other.attr().unwrap().nlink), (b"onetwo".to_vec(), 1));
}

fn links_are_text(root: &NodeRef) {
    let target = b"../a//b/./\xff";
    let link = root.symlink(b"l", target, &NEW).unwrap();
    assert_eq!((link.kind(), link.read_link().unwrap()), (Kind::Symlink, target.to_vec()));
    let attr = root.lookup(b"l").unwrap().attr().unwrap();
    assert_eq!((attr.size, attr.mode, attr.kind), (11, 0o777, Kind::Symlink));
    assert_eq!(err(root.symlink(b"m", b"", &NEW)), Error::NotFound);
    assert_eq!(err(root.symlink(b"m", b"a\0", &NEW)), Error::InvalidPath);
    assert_eq!(err(root.symlink(b"m", &[b'a'; 4096], &NEW)), Error::NameTooLong);
    root.link(b"n", &link).unwrap();
    assert_eq!(root.lookup(b"n").unwrap().read_link().unwrap(), target);
}

fn renaming_replaces(root: &NodeRef) {
    let old = file(root, b"f", b"old");
    file(root, b"g", b"new");
    root.rename(b"g", root, b"f", PLAIN).unwrap();
    assert_eq!(content(&root.lookup(b"f").unwrap()), b"new");
    assert_eq!((content(&old), old.attr().unwrap().nlink), (b"old".to_vec(), 0));
    let (one, two) = (root.mkdir(b"one", &NEW).unwrap(), root.mkdir(b"two", &NEW).unwrap());
    file(&one, b"in", b"");
    root.rename(b"one", root, b"two", PLAIN).unwrap();
    assert_eq!(root.lookup(b"two").unwrap().id(), one.id());
    assert_eq!(err(two.create(b"x", &NEW)), Error::NotFound);
    assert_eq!(names(root), BTreeSet::from([b"f".to_vec(), b"two".to_vec()]));
    assert_eq!(links(root), 3);
}

fn renaming_refuses(root: &NodeRef) {
    file(root, b"f", b"");
    file(root, b"g", b"");
    let dir = root.mkdir(b"d", &NEW).unwrap();
    root.mkdir(b"e", &NEW).unwrap();
    file(&dir, b"in", b"");
    let keep = RenameFlags { no_replace: true, exchange: false };
    let both = RenameFlags { no_replace: true, exchange: true };
    assert_eq!(err(root.rename(b"x", root, b"y", PLAIN)), Error::NotFound);
    assert_eq!(err(root.rename(b"f", root, b"d", PLAIN)), Error::IsADirectory);
    assert_eq!(err(root.rename(b"d", root, b"f", PLAIN)), Error::NotADirectory);
    assert_eq!(err(root.rename(b"e", root, b"d", PLAIN)), Error::NotEmpty);
    assert_eq!(err(root.rename(b"f", root, b"g", keep)), Error::Exists);
    assert!(matches!(root.rename(b"f", root, b"g", both), Err(Error::InvalidArgument(_))));
    root.rename(b"f", root, b"h", keep).unwrap();
    assert_eq!(names(root), ["d", "e", "g", "h"].map(|name| name.as_bytes().to_vec()).into());
}

fn renaming_one_file_to_itself_does_nothing(root: &NodeRef) {
    let node = file(root, b"f", b"x");
    root.link(b"g", &node).unwrap();
    root.rename(b"f", root, b"g", PLAIN).unwrap();
    root.rename(b"f", root, b"f", PLAIN).unwrap();
    assert_eq!((names(root).len(), node.attr().unwrap().nlink), (2, 2));
}

fn directories_move_but_not_into_themselves(root: &NodeRef) {
    let a = root.mkdir(b"a", &NEW).unwrap();
    let b = a.mkdir(b"b", &NEW).unwrap();
    let c = b.mkdir(b"c", &NEW).unwrap();
    for flags in [PLAIN, RenameFlags { no_replace: true, exchange: false }] {
        assert!(matches!(root.rename(b"a", &c, b"x", flags), Err(Error::InvalidArgument(_))));
        assert!(matches!(root.rename(b"a", &a, b"x", flags), Err(Error::InvalidArgument(_))));
    }
    assert_eq!(err(b.rename(b"c", root, b"a", PLAIN)), Error::NotEmpty);
    let swap = RenameFlags { no_replace: false, exchange: true };
    assert!(matches!(b.rename(b"c", root, b"a", swap), Err(Error::InvalidArgument(_))));
    a.rename(b"b", root, b"b", PLAIN).unwrap();
    root.rename(b"a", &c, b"a", PLAIN).unwrap();
    let moved = root.lookup(b"b").unwrap().lookup(b"c").unwrap().lookup(b"a").unwrap();
    assert_eq!(moved.id(), a.id());
    assert!(matches!(root.rename(b"b", &a, b"x", PLAIN), Err(Error::InvalidArgument(_))));
}

fn exchanging_swaps(root: &NodeRef) {
    let swap = RenameFlags { no_replace: false, exchange: true };
    let node = file(root, b"f", b"x");
    let dir = root.mkdir(b"d", &NEW).unwrap();
    let sub = dir.mkdir(b"s", &NEW).unwrap();
    assert_eq!(err(root.rename(b"f", root, b"x", swap)), Error::NotFound);
    root.rename(b"f", &dir, b"s", swap).unwrap();
    assert_eq!(root.lookup(b"f").unwrap().id(), sub.id());
    assert_eq!(dir.lookup(b"s").unwrap().id(), node.id());
    assert_eq!((links(root), links(&dir)), (4, 2));
    root.rename(b"f", root, b"d", swap).unwrap();
    assert_eq!(root.lookup(b"f").unwrap().id(), dir.id());
    // The one that moved up has a new parent, so the other may move into it.
    root.rename(b"f", &sub, b"in", PLAIN).unwrap();
    assert_eq!(names(&sub), BTreeSet::from([b"in".to_vec()]));
}

fn a_listing_goes_on_where_it_stopped(root: &NodeRef) {
    let all: BTreeSet<Vec<u8>> = (0..300).map(|i| format!("name{i}").into_bytes()).collect();
    for name in &all {
        root.create(name, &NEW).unwrap();
    }
    let (mut seen, mut cursor) = (Vec::new(), 0);
    loop {
        let mut taken = 0;
        root.read_dir(cursor, &mut |entry| {
            if taken == 7 {
                return false;
            }
            taken += 1;
            cursor = entry.cursor;
            seen.push(entry.name.to_vec());
            assert_eq!(entry.kind, Kind::File);
            assert_eq!(entry.ino, root.lookup(entry.name).unwrap().id().ino);
            true
        })
        .unwrap();
        if taken == 0 {
            break;
        }
    }
    assert_eq!(seen.len(), 300);
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), all);
}

fn a_listing_survives_changes(root: &NodeRef) {
    for i in 0..200 {
        root.create(format!("stay{i}").as_bytes(), &NEW).unwrap();
        root.create(format!("go{i}").as_bytes(), &NEW).unwrap();
    }
    let (mut seen, mut cursor, mut round) = (Vec::new(), 0, 0);
    loop {
        let mut taken = 0;
        root.read_dir(cursor, &mut |entry| {
            if taken == 10 {
                return false;
            }
            taken += 1;
            cursor = entry.cursor;
            seen.push(entry.name.to_vec());
            true
        })
        .unwrap();
        if taken == 0 {
            break;
        }
        for i in (round * 3..round * 3 + 3).filter(|&i| i < 200) {
            let _ = root.unlink(format!("go{i}").as_bytes());
            root.create(format!("come{i}").as_bytes(), &NEW).unwrap();
            // Replacing keeps a name where it is.
            root.create(b"tmp", &NEW).unwrap();
            root.rename(b"tmp", root, format!("stay{i}").as_bytes(), PLAIN).unwrap();
        }
        round += 1;
    }
    seen.retain(|name| name.starts_with(b"stay"));
    assert_eq!(seen.len(), 200);
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>().len(), 200);
}

fn attributes_are_set(root: &NodeRef) {
    let node = file(root, b"f", b"12345");
    let new = node.attr().unwrap();
    assert_eq!((new.mode, new.kind, new.id, new.size), (0o755, Kind::File, node.id(), 5));
    let (accessed, modified) = (Timestamp { secs: 1_000, nanos: 5 }, Timestamp { secs: 2_000, nanos: 999 });
    let set = SetAttr {
        size: Some(3),
        mode: Some(0o1640),
        accessed: Some(accessed),
        modified: Some(modified),
        ..SetAttr::default()
    };
    let attr = node.set_attr(&set).unwrap();
    assert_eq!((attr.size, attr.mode, attr.accessed, attr.modified), (3, 0o1640, accessed, modified));
    assert_eq!(node.attr().unwrap(), attr);
    let bad = Timestamp { secs: 0, nanos: 1_000_000_000 };
    for set in [
        SetAttr { mode: Some(0), modified: Some(bad), ..SetAttr::default() },
        SetAttr { mode: Some(0), uid: Some(u32::MAX), ..SetAttr::default() },
    ] {
        assert!(matches!(node.set_attr(&set), Err(Error::InvalidArgument(_))));
    }
    assert_eq!(node.set_attr(&SetAttr::default()).unwrap(), attr);
    let link = root.symlink(b"l", b"f", &NEW).unwrap();
    let touched = link.set_attr(&SetAttr { modified: Some(modified), ..SetAttr::default() }).unwrap();
    assert_eq!((touched.modified, touched.kind), (modified, Kind::Symlink));
    assert!(matches!(
        link.set_attr(&SetAttr { mode: Some(0), ..SetAttr::default() }),
        Err(Error::NotSupported(_))
    ));
    assert_eq!(root.mkdir(b"d", &New { mode: 0o1777, ..NEW }).unwrap().attr().unwrap().mode, 0o1777);
}

fn times_follow_changes(root: &NodeRef) {
    let old = Some(Timestamp { secs: 1, nanos: 0 });
    let node = file(root, b"f", b"x");
    let age = |node: &NodeRef| {
        node.set_attr(&SetAttr { accessed: old, modified: old, ..SetAttr::default() }).unwrap()
    };
    age(&node);
    open(&node).write_at(0, b"y").unwrap();
    assert!(Some(node.attr().unwrap().modified) > old);
    age(&node);
    open(&node).set_len(9).unwrap();
    assert!(Some(node.attr().unwrap().modified) > old);
    age(root);
    root.link(b"g", &node).unwrap();
    assert!(Some(root.attr().unwrap().modified) > old);
    age(root);
    root.rename(b"g", root, b"h", PLAIN).unwrap();
    assert!(Some(root.attr().unwrap().modified) > old);
    age(root);
    root.unlink(b"h").unwrap();
    assert!(Some(root.attr().unwrap().modified) > old);
    age(root);
    open(&node).write_at(0, b"z").unwrap();
    assert_eq!(Some(root.attr().unwrap().modified), old);
}

fn foreign_nodes_are_refused(root: &NodeRef) {
    let other = MemFs::builder().build().root();
    let node = file(&other, b"f", b"");
    file(root, b"mine", b"");
    assert_eq!(err(root.link(b"g", &node)), Error::CrossDevice);
    assert_eq!(err(root.rename(b"mine", &other, b"g", PLAIN)), Error::CrossDevice);
    assert_ne!(other.stat_fs().unwrap().fs, root.stat_fs().unwrap().fs);
    assert_eq!(root.stat_fs().unwrap().name_max, 255);
}
