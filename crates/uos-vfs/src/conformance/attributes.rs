//! Modes, lengths and times.

use super::tools::{LONG_AGO, ROOT, file, named, open};
use crate::{Error, Kind, NodeRef, Rename, SetAttr, SetTime, Timestamp};

pub(super) fn attributes_are_set(root: &NodeRef) {
    let node = file(root, b"f", b"12345");
    let new = node.attr().unwrap();
    assert_eq!((new.mode, new.kind, new.id, new.size), (0o755, Kind::File, node.id(), 5));
    let (accessed, modified) = (Timestamp { secs: 1_000, nanos: 5 }, Timestamp { secs: 2_000, nanos: 999 });
    let set = SetAttr {
        size: Some(3),
        mode: Some(0o1640),
        accessed: Some(accessed.into()),
        modified: Some(modified.into()),
        ..SetAttr::default()
    };
    let attr = node.set_attr(ROOT, &set).unwrap();
    assert_eq!((attr.size, attr.mode, attr.accessed, attr.modified), (3, 0o1640, accessed, modified));
    assert_eq!(node.attr().unwrap(), attr);
    let bad = Timestamp { secs: 0, nanos: 1_000_000_000 };
    for set in [
        SetAttr { mode: Some(0), modified: Some(bad.into()), ..SetAttr::default() },
        SetAttr { mode: Some(0), uid: Some(u32::MAX), ..SetAttr::default() },
    ] {
        assert!(matches!(node.set_attr(ROOT, &set), Err(Error::InvalidArgument(_))));
    }
    assert_eq!(node.set_attr(ROOT, &SetAttr::default()).unwrap(), attr);
    let link = root.symlink(ROOT, named(b"l"), b"f").unwrap();
    let touched =
        link.set_attr(ROOT, &SetAttr { modified: Some(modified.into()), ..SetAttr::default() }).unwrap();
    assert_eq!((touched.modified, touched.kind), (modified, Kind::Symlink));
    assert!(matches!(
        link.set_attr(ROOT, &SetAttr { mode: Some(0), ..SetAttr::default() }),
        Err(Error::NotSupported(_))
    ));
    assert_eq!(root.mkdir(ROOT, named(b"d"), 0o1777).unwrap().attr().unwrap().mode, 0o1777);
}

pub(super) fn times_follow_changes(root: &NodeRef) {
    let node = file(root, b"f", b"x");
    let dir = root.mkdir(ROOT, named(b"d"), 0o755).unwrap();
    // Ages all three, lets something happen, and says whose content has changed by it.
    let changed = |act: &dyn Fn()| {
        let long_ago = Some(SetTime::To(LONG_AGO));
        let all = [root, &node, &dir];
        for node in all {
            node.set_attr(ROOT, &SetAttr { accessed: long_ago, modified: long_ago, ..SetAttr::default() })
                .unwrap();
        }
        act();
        all.map(|node| node.attr().unwrap().modified > LONG_AGO)
    };
    assert_eq!(
        changed(&|| {
            open(&node).write_at(0, b"y").unwrap();
        }),
        [false, true, false]
    );
    assert_eq!(
        changed(&|| {
            open(&node).write_at(0, b"").unwrap();
        }),
        [false, false, false]
    );
    assert_eq!(
        changed(&|| {
            open(&node).append(b"z").unwrap();
        }),
        [false, true, false]
    );
    assert_eq!(changed(&|| open(&node).set_len(9).unwrap()), [false, true, false]);
    assert_eq!(changed(&|| open(&node).set_len(9).unwrap()), [false, true, false]);
    assert_eq!(changed(&|| dir.link(ROOT, named(b"g"), &node).unwrap()), [false, false, true]);
    let mode = SetAttr { mode: Some(0o700), ..SetAttr::default() };
    assert_eq!(
        changed(&|| {
            node.set_attr(ROOT, &mode).unwrap();
        }),
        [false, false, false]
    );
    assert_eq!(
        changed(&|| dir.rename(ROOT, named(b"g"), &dir, named(b"h"), Rename::Replace).unwrap()),
        [false, false, true]
    );
    assert_eq!(
        changed(&|| dir.rename(ROOT, named(b"h"), root, named(b"h"), Rename::Replace).unwrap()),
        [true, false, true]
    );
    assert_eq!(changed(&|| root.unlink(ROOT, named(b"h")).unwrap()), [true, false, false]);
    assert_eq!(changed(&|| drop(dir.mkdir(ROOT, named(b"s"), 0o755).unwrap())), [false, false, true]);
    assert_eq!(changed(&|| dir.rmdir(ROOT, named(b"s")).unwrap()), [false, false, true]);
    assert_eq!(changed(&|| drop(dir.lookup(ROOT, named(b"s")))), [false, false, false]);
    assert!(node.attr().unwrap().changed > LONG_AGO);
}
