//! Making, linking and removing entries.

use super::tools::{ROOT, content, err, file, links, named, names, open, refused};
use crate::{Access, Error, Kind, MemFs, NodeRef, Rename, SetAttr};

pub(super) fn making_is_exclusive(root: &NodeRef) {
    root.create(ROOT, named(b"f"), 0o755).unwrap();
    root.symlink(ROOT, named(b"l"), b"nowhere").unwrap();
    root.mkdir(ROOT, named(b"d"), 0o755).unwrap();
    for name in [b"f", b"l", b"d"] {
        assert_eq!(err(root.create(ROOT, named(name), 0o755)), Error::Exists);
        assert_eq!(err(root.mkdir(ROOT, named(name), 0o755)), Error::Exists);
        assert_eq!(err(root.symlink(ROOT, named(name), b"x")), Error::Exists);
    }
    assert_eq!(err(root.lookup(ROOT, named(b"nowhere"))), Error::NotFound);
}

pub(super) fn directories_count_their_subdirectories(root: &NodeRef) {
    let dir = root.mkdir(ROOT, named(b"d"), 0o755).unwrap();
    assert_eq!(links(&dir), 2);
    let sub = dir.mkdir(ROOT, named(b"s"), 0o755).unwrap();
    dir.create(ROOT, named(b"f"), 0o755).unwrap();
    assert_eq!(links(&dir), 3);
    dir.rename(ROOT, named(b"s"), root, named(b"s"), Rename::Replace).unwrap();
    assert_eq!((links(&dir), links(root)), (2, 4));
    root.rename(ROOT, named(b"s"), &dir, named(b"f"), Rename::Replace).map(drop).unwrap_err();
    root.rmdir(ROOT, named(b"s")).unwrap();
    assert_eq!((sub.attr().unwrap().nlink, links(root)), (0, 3));
}

pub(super) fn only_empty_directories_are_removed(root: &NodeRef) {
    let dir = root.mkdir(ROOT, named(b"d"), 0o755).unwrap();
    dir.create(ROOT, named(b"f"), 0o755).unwrap();
    assert_eq!(err(root.rmdir(ROOT, named(b"d"))), Error::NotEmpty);
    assert_eq!(err(root.unlink(ROOT, named(b"d"))), Error::IsADirectory);
    assert_eq!(err(dir.rmdir(ROOT, named(b"f"))), Error::NotADirectory);
    dir.unlink(ROOT, named(b"f")).unwrap();
    root.rmdir(ROOT, named(b"d")).unwrap();
    assert_eq!(err(root.rmdir(ROOT, named(b"d"))), Error::NotFound);
    assert_eq!(err(root.unlink(ROOT, named(b"d"))), Error::NotFound);
}

pub(super) fn a_removed_directory_takes_nothing(root: &NodeRef) {
    let dir = root.mkdir(ROOT, named(b"d"), 0o755).unwrap();
    let node = file(root, b"f", b"");
    root.rmdir(ROOT, named(b"d")).unwrap();
    assert_eq!(err(dir.create(ROOT, named(b"x"), 0o755)), Error::NotFound);
    assert_eq!(err(dir.mkdir(ROOT, named(b"x"), 0o755)), Error::NotFound);
    assert_eq!(err(dir.symlink(ROOT, named(b"x"), b"y")), Error::NotFound);
    assert_eq!(err(dir.link(ROOT, named(b"x"), &node)), Error::NotFound);
    assert_eq!(err(root.rename(ROOT, named(b"f"), &dir, named(b"x"), Rename::Replace)), Error::NotFound);
    assert_eq!(err(dir.lookup(ROOT, named(b"x"))), Error::NotFound);
    assert!(names(&dir).is_empty());
}

pub(super) fn kinds_are_told_apart(root: &NodeRef) {
    let node = file(root, b"f", b"");
    let link = root.symlink(ROOT, named(b"l"), b"f").unwrap();
    let dir = root.mkdir(ROOT, named(b"d"), 0o755).unwrap();
    for other in [&node, &link] {
        assert_eq!(err(other.lookup(ROOT, named(b"x"))), Error::NotADirectory);
        assert_eq!(err(other.create(ROOT, named(b"x"), 0o755)), Error::NotADirectory);
        assert_eq!(err(other.mkdir(ROOT, named(b"x"), 0o755)), Error::NotADirectory);
        assert_eq!(err(other.unlink(ROOT, named(b"x"))), Error::NotADirectory);
        assert_eq!(err(other.rmdir(ROOT, named(b"x"))), Error::NotADirectory);
        assert_eq!(
            err(other.rename(ROOT, named(b"x"), root, named(b"y"), Rename::Replace)),
            Error::NotADirectory
        );
        assert_eq!(
            err(root.rename(ROOT, named(b"f"), other, named(b"y"), Rename::Replace)),
            Error::NotADirectory
        );
        assert_eq!(err(other.read_dir(0, &mut |_| true)), Error::NotADirectory);
    }
    assert_eq!(err(dir.clone().open(ROOT, Access::Read)), Error::IsADirectory);
    assert_eq!(err(link.open(ROOT, Access::Read)), Error::TooManyLinks);
    assert!(matches!(dir.read_link(), Err(Error::InvalidArgument(_))));
    assert!(matches!(node.read_link(), Err(Error::InvalidArgument(_))));
    assert_eq!(
        err(dir.set_attr(ROOT, &SetAttr { size: Some(0), ..SetAttr::default() })),
        Error::IsADirectory
    );
}

pub(super) fn hard_links_are_one_file(root: &NodeRef) {
    let node = file(root, b"f", b"one");
    let dir = root.mkdir(ROOT, named(b"d"), 0o755).unwrap();
    dir.link(ROOT, named(b"g"), &node).unwrap();
    let other = dir.lookup(ROOT, named(b"g")).unwrap();
    assert_eq!((other.id(), node.attr().unwrap().nlink), (node.id(), 2));
    open(&other).append(b"two").unwrap();
    assert_eq!(content(&node), b"onetwo");
    assert_eq!(err(root.link(ROOT, named(b"f"), &node)), Error::Exists);
    assert_eq!(err(root.link(ROOT, named(b"e"), &dir)), Error::NotPermitted);
    root.unlink(ROOT, named(b"f")).unwrap();
    assert_eq!((content(&other), other.attr().unwrap().nlink), (b"onetwo".to_vec(), 1));
}

pub(super) fn links_are_text(root: &NodeRef) {
    let target = b"../a//b/./\xff";
    let link = root.symlink(ROOT, named(b"l"), target).unwrap();
    assert_eq!((link.kind(), link.read_link().unwrap()), (Kind::Symlink, target.to_vec()));
    let attr = root.lookup(ROOT, named(b"l")).unwrap().attr().unwrap();
    assert_eq!((attr.size, attr.mode, attr.kind), (11, 0o777, Kind::Symlink));
    assert_eq!(err(root.symlink(ROOT, named(b"m"), b"")), Error::NotFound);
    assert_eq!(err(root.symlink(ROOT, named(b"m"), b"a\0")), Error::InvalidPath);
    assert_eq!(err(root.symlink(ROOT, named(b"m"), &[b'a'; 4096])), Error::NameTooLong);
    root.link(ROOT, named(b"n"), &link).unwrap();
    assert_eq!(root.lookup(ROOT, named(b"n")).unwrap().read_link().unwrap(), target);
}

pub(super) fn foreign_nodes_are_refused(root: &NodeRef) {
    let other = MemFs::builder().build().root();
    let node = file(&other, b"f", b"");
    file(root, b"mine", b"");
    assert_eq!(err(root.link(ROOT, named(b"g"), &node)), Error::CrossDevice);
    assert_eq!(
        err(root.rename(ROOT, named(b"mine"), &other, named(b"g"), Rename::Replace)),
        Error::CrossDevice
    );
    assert_ne!(other.stat_fs().unwrap().fs, root.stat_fs().unwrap().fs);
    assert_eq!(root.stat_fs().unwrap().name_max, 255);
}

pub(super) fn refusing_changes_nothing(root: &NodeRef) {
    let (node, dir) = (file(root, b"f", b"x"), root.mkdir(ROOT, named(b"d"), 0o755).unwrap());
    file(&dir, b"in", b"y");
    root.symlink(ROOT, named(b"l"), b"nowhere").unwrap();
    for name in [b"f", b"d", b"l"] {
        refused(root, Error::Exists, || root.create(ROOT, named(name), 0o600));
        refused(root, Error::Exists, || root.mkdir(ROOT, named(name), 0o700));
        refused(root, Error::Exists, || root.symlink(ROOT, named(name), b"x"));
        refused(root, Error::Exists, || root.link(ROOT, named(name), &node));
    }
    refused(root, Error::NotPermitted, || root.link(ROOT, named(b"new"), &dir));
    refused(root, Error::NotEmpty, || root.rmdir(ROOT, named(b"d")));
    refused(root, Error::NotADirectory, || root.rmdir(ROOT, named(b"f")));
    refused(root, Error::IsADirectory, || root.unlink(ROOT, named(b"d")));
    refused(root, Error::NotFound, || root.unlink(ROOT, named(b"new")));
    for how in [Rename::Replace, Rename::NoReplace, Rename::Exchange] {
        refused(root, Error::NotFound, || root.rename(ROOT, named(b"new"), &dir, named(b"f"), how));
    }
    refused(root, Error::NotADirectory, || {
        root.rename(ROOT, named(b"d"), root, named(b"f"), Rename::Replace)
    });
    refused(root, Error::IsADirectory, || root.rename(ROOT, named(b"f"), root, named(b"d"), Rename::Replace));
    refused(root, Error::Exists, || root.rename(ROOT, named(b"f"), root, named(b"d"), Rename::NoReplace));
}
