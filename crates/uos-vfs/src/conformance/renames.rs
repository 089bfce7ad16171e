//! Moving entries.

use super::tools::{ROOT, content, err, file, links, named, names, these};
use crate::{Error, NodeRef, Rename};

pub(super) fn renaming_replaces(root: &NodeRef) {
    let old = file(root, b"f", b"old");
    file(root, b"g", b"new");
    root.rename(ROOT, named(b"g"), root, named(b"f"), Rename::Replace).unwrap();
    assert_eq!(content(&root.lookup(ROOT, named(b"f")).unwrap()), b"new");
    assert_eq!((content(&old), old.attr().unwrap().nlink), (b"old".to_vec(), 0));
    let (one, two) =
        (root.mkdir(ROOT, named(b"one"), 0o755).unwrap(), root.mkdir(ROOT, named(b"two"), 0o755).unwrap());
    file(&one, b"in", b"");
    root.rename(ROOT, named(b"one"), root, named(b"two"), Rename::Replace).unwrap();
    assert_eq!(root.lookup(ROOT, named(b"two")).unwrap().id(), one.id());
    assert_eq!(err(two.create(ROOT, named(b"x"), 0o755)), Error::NotFound);
    assert_eq!(names(root), these(["f", "two"]));
    assert_eq!(links(root), 3);
}

pub(super) fn renaming_refuses(root: &NodeRef) {
    file(root, b"f", b"");
    file(root, b"g", b"");
    let dir = root.mkdir(ROOT, named(b"d"), 0o755).unwrap();
    root.mkdir(ROOT, named(b"e"), 0o755).unwrap();
    file(&dir, b"in", b"");
    assert_eq!(err(root.rename(ROOT, named(b"x"), root, named(b"y"), Rename::Replace)), Error::NotFound);
    assert_eq!(err(root.rename(ROOT, named(b"f"), root, named(b"d"), Rename::Replace)), Error::IsADirectory);
    assert_eq!(err(root.rename(ROOT, named(b"d"), root, named(b"f"), Rename::Replace)), Error::NotADirectory);
    assert_eq!(err(root.rename(ROOT, named(b"e"), root, named(b"d"), Rename::Replace)), Error::NotEmpty);
    assert_eq!(err(root.rename(ROOT, named(b"f"), root, named(b"g"), Rename::NoReplace)), Error::Exists);
    root.rename(ROOT, named(b"f"), root, named(b"h"), Rename::NoReplace).unwrap();
    assert_eq!(names(root), these(["d", "e", "g", "h"]));
}

pub(super) fn renaming_one_file_to_itself_does_nothing(root: &NodeRef) {
    let node = file(root, b"f", b"x");
    root.link(ROOT, named(b"g"), &node).unwrap();
    root.rename(ROOT, named(b"f"), root, named(b"g"), Rename::Replace).unwrap();
    root.rename(ROOT, named(b"f"), root, named(b"f"), Rename::Replace).unwrap();
    assert_eq!((names(root).len(), node.attr().unwrap().nlink), (2, 2));
}

pub(super) fn directories_move_but_not_into_themselves(root: &NodeRef) {
    let a = root.mkdir(ROOT, named(b"a"), 0o755).unwrap();
    let b = a.mkdir(ROOT, named(b"b"), 0o755).unwrap();
    let c = b.mkdir(ROOT, named(b"c"), 0o755).unwrap();
    for how in [Rename::Replace, Rename::NoReplace] {
        assert!(matches!(
            root.rename(ROOT, named(b"a"), &c, named(b"x"), how),
            Err(Error::InvalidArgument(_))
        ));
        assert!(matches!(
            root.rename(ROOT, named(b"a"), &a, named(b"x"), how),
            Err(Error::InvalidArgument(_))
        ));
    }
    assert_eq!(err(b.rename(ROOT, named(b"c"), root, named(b"a"), Rename::Replace)), Error::NotEmpty);
    assert!(matches!(
        b.rename(ROOT, named(b"c"), root, named(b"a"), Rename::Exchange),
        Err(Error::InvalidArgument(_))
    ));
    a.rename(ROOT, named(b"b"), root, named(b"b"), Rename::Replace).unwrap();
    root.rename(ROOT, named(b"a"), &c, named(b"a"), Rename::Replace).unwrap();
    let moved = root
        .lookup(ROOT, named(b"b"))
        .unwrap()
        .lookup(ROOT, named(b"c"))
        .unwrap()
        .lookup(ROOT, named(b"a"))
        .unwrap();
    assert_eq!(moved.id(), a.id());
    assert!(matches!(
        root.rename(ROOT, named(b"b"), &a, named(b"x"), Rename::Replace),
        Err(Error::InvalidArgument(_))
    ));
}

pub(super) fn exchanging_swaps(root: &NodeRef) {
    let node = file(root, b"f", b"x");
    let dir = root.mkdir(ROOT, named(b"d"), 0o755).unwrap();
    let sub = dir.mkdir(ROOT, named(b"s"), 0o755).unwrap();
    assert_eq!(err(root.rename(ROOT, named(b"f"), root, named(b"x"), Rename::Exchange)), Error::NotFound);
    root.rename(ROOT, named(b"f"), &dir, named(b"s"), Rename::Exchange).unwrap();
    assert_eq!(root.lookup(ROOT, named(b"f")).unwrap().id(), sub.id());
    assert_eq!(dir.lookup(ROOT, named(b"s")).unwrap().id(), node.id());
    assert_eq!((links(root), links(&dir)), (4, 2));
    root.rename(ROOT, named(b"f"), root, named(b"d"), Rename::Exchange).unwrap();
    assert_eq!(root.lookup(ROOT, named(b"f")).unwrap().id(), dir.id());
    // The one that moved up has a new parent, so the other may move into it.
    root.rename(ROOT, named(b"f"), &sub, named(b"in"), Rename::Replace).unwrap();
    assert_eq!(names(&sub), these(["in"]));
}
