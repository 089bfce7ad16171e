//! What files hold.

use super::tools::{ROOT, content, err, file, named, open};
use crate::{Error, Kind, NodeRef, SetAttr};

pub(super) fn a_file_holds_what_was_written(root: &NodeRef) {
    let node = file(root, b"f", b"hello world");
    let again = root.lookup(ROOT, named(b"f")).unwrap();
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

pub(super) fn reading_sees_what_was_written_since_the_file_was_found(root: &NodeRef) {
    let writer = open(&file(root, b"f", b"0123456789"));
    let found = root.lookup(ROOT, named(b"f")).unwrap();
    let reader = open(&found);
    let mut there = 10;
    // Into room for what there was and a little more, at the start and in the midst.
    for (grown, from, room) in [(10, 0, 11), (11, 0, 11), (12, 3, 8), (5_000, 0, 12), (9_000, 9, 4_096)] {
        writer.write_at(there, &vec![b'x'; grown - there as usize]).unwrap();
        there = grown as u64;
        let mut data = Vec::with_capacity(room);
        assert_eq!(reader.read_onto(from, usize::MAX, &mut data).unwrap(), grown - from as usize);
        assert_eq!(data, content(&found)[from as usize..]);
    }
    writer.set_len(4).unwrap();
    assert_eq!(reader.read_onto(0, usize::MAX, &mut Vec::with_capacity(11)).unwrap(), 4);
    // As much room as there was to read, and more to read by now.
    let found = file(root, b"g", &[7; 5_000]);
    let reader = open(&root.lookup(ROOT, named(b"g")).unwrap());
    open(&found).write_at(5_000, &[8; 4_000]).unwrap();
    assert_eq!(reader.read_onto(0, usize::MAX, &mut Vec::with_capacity(5_000)).unwrap(), 9_000);
}

pub(super) fn holes_read_as_zero(root: &NodeRef) {
    let node = root.create(ROOT, named(b"f"), 0o755).unwrap();
    let file = open(&node);
    file.write_at(200_000, b"end").unwrap();
    assert_eq!(node.attr().unwrap().size, 200_003);
    assert_eq!(content(&node), [vec![0; 200_000], b"end".to_vec()].concat());
    file.write_at(70_000, b"mid").unwrap();
    file.set_len(70_001).unwrap();
    file.set_len(70_003).unwrap();
    assert_eq!(&content(&node)[69_999..], b"\0m\0\0");
}

pub(super) fn appends_go_to_the_end(root: &NodeRef) {
    let node = file(root, b"f", b"one");
    let file = open(&node);
    assert_eq!(file.append(b"two").unwrap(), 3);
    file.set_len(10).unwrap();
    assert_eq!(file.append(b"").unwrap(), 10);
    assert_eq!(file.append(b"x").unwrap(), 10);
    assert_eq!(content(&node), b"onetwo\0\0\0\0x");
}

pub(super) fn replacing_leaves_nothing_of_the_old(root: &NodeRef) {
    let node = file(root, b"f", &[7; 100_000]);
    open(&node).replace(b"short").unwrap();
    assert_eq!(content(&node), b"short");
    open(&node).replace(b"").unwrap();
    assert_eq!(node.attr().unwrap().size, 0);
}

pub(super) fn absurd_offsets_are_too_big(root: &NodeRef) {
    let node = file(root, b"f", b"x");
    let file = open(&node);
    for offset in [u64::MAX, u64::MAX - 1, i64::MAX as u64] {
        assert_eq!(err(file.write_at(offset, b"ab")), Error::TooBig, "{offset}");
    }
    assert_eq!(err(file.set_len(u64::MAX)), Error::TooBig);
    assert_eq!(
        err(node.set_attr(ROOT, &SetAttr { size: Some(u64::MAX), ..SetAttr::default() })),
        Error::TooBig
    );
    assert_eq!(content(&node), b"x");
}

pub(super) fn an_unlinked_file_lives_on(root: &NodeRef) {
    let node = file(root, b"f", b"still");
    let file = open(&node);
    root.unlink(ROOT, named(b"f")).unwrap();
    assert_eq!(node.attr().unwrap().nlink, 0);
    file.append(b" here").unwrap();
    assert_eq!(content(&node), b"still here");
    assert_eq!(err(root.link(ROOT, named(b"g"), &node)), Error::NotFound);
    let other = root.create(ROOT, named(b"f"), 0o755).unwrap();
    assert_ne!(other.id(), node.id());
}
