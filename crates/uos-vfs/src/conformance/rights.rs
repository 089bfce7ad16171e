//! Who may do what, by mode bits and owners. Root of the tree: mode 755, user 0.

use super::tools::{LONG_AGO, ROOT, content, file, named, refused};
use crate::{Access, Caller, Error, Kind, NodeRef, Rename, SetAttr, SetTime, Want};

const ADA: Caller = Caller::user(1001, 101);
const BOB: Caller = Caller::user(1002, 102);

fn chmod(node: &NodeRef, mode: u32) {
    node.set_attr(ROOT, &SetAttr { mode: Some(mode), ..SetAttr::default() }).unwrap();
}

fn chown(node: &NodeRef, uid: u32, gid: u32) {
    node.set_attr(ROOT, &SetAttr { uid: Some(uid), gid: Some(gid), ..SetAttr::default() }).unwrap();
}

/// A directory that everybody may write to.
fn common(root: &NodeRef) -> NodeRef {
    let dir = root.mkdir(ROOT, named(b"common"), 0o777).unwrap();
    chmod(&dir, 0o777);
    dir
}

pub(super) fn a_directory_is_searched_written_and_read_by_its_bits(root: &NodeRef) {
    let dir = common(root);
    file(&dir, b"f", b"x");
    chmod(&dir, 0o766);
    refused(root, Error::AccessDenied, || dir.lookup(&ADA, named(b"f")));
    refused(root, Error::AccessDenied, || dir.create(&ADA, named(b"g"), 0o644));
    refused(root, Error::AccessDenied, || dir.unlink(&ADA, named(b"f")));
    assert_eq!(dir.access(&ADA, Want::READ | Want::WRITE), Ok(()));
    assert_eq!(dir.access(&ADA, Want::SEARCH), Err(Error::AccessDenied));
    chmod(&dir, 0o755);
    assert!(dir.lookup(&ADA, named(b"f")).is_ok());
    let node = dir.lookup(&ADA, named(b"f")).unwrap();
    refused(root, Error::AccessDenied, || dir.create(&ADA, named(b"g"), 0o644));
    refused(root, Error::Exists, || dir.create(&ADA, named(b"f"), 0o644));
    refused(root, Error::AccessDenied, || dir.mkdir(&ADA, named(b"g"), 0o755));
    refused(root, Error::AccessDenied, || dir.symlink(&ADA, named(b"g"), b"f"));
    refused(root, Error::AccessDenied, || dir.link(&ADA, named(b"g"), &node));
    refused(root, Error::AccessDenied, || dir.unlink(&ADA, named(b"f")));
    refused(root, Error::NotFound, || dir.unlink(&ADA, named(b"g")));
    refused(root, Error::AccessDenied, || dir.rename(&ADA, named(b"f"), &dir, named(b"g"), Rename::Replace));
    chmod(&dir, 0o700);
    refused(root, Error::AccessDenied, || dir.lookup(&ADA, named(b"missing")));
    let judged = ADA.judged_before();
    assert!(dir.lookup(&judged, named(b"f")).is_ok());
}

pub(super) fn files_are_opened_by_their_bits(root: &NodeRef) {
    let node = file(root, b"f", b"secret");
    chown(&node, ADA.uid, 55);
    let open = |by: &Caller, access| NodeRef::clone(&node).open(by, access).map(drop);
    let member = BOB.with_groups(vec![54, 55]);
    for (mode, by, reads, writes) in [
        (0o600, &ADA, true, true),
        (0o600, &member, false, false),
        (0o077, &ADA, false, false),
        (0o060, &member, true, true),
        (0o640, &member, true, false),
        (0o604, &member, false, false),
        (0o604, &BOB, true, false),
        (0o602, &BOB, false, true),
        (0o000, ROOT, true, true),
    ] {
        chmod(&node, mode);
        let told = |allowed| if allowed { Ok(()) } else { Err(Error::AccessDenied) };
        assert_eq!(open(by, Access::Read), told(reads), "{by:?} reads {mode:o}");
        assert_eq!(open(by, Access::Write), told(writes), "{by:?} writes {mode:o}");
        assert_eq!(open(by, Access::ReadWrite), told(reads && writes), "{by:?} does both with {mode:o}");
    }
    // What is open stays open.
    chmod(&node, 0o600);
    let held = NodeRef::clone(&node).open(&ADA, Access::Read).unwrap();
    chmod(&node, 0);
    assert_eq!(held.read_bytes(0, 9).unwrap(), &b"secret"[..]);
}

pub(super) fn what_one_makes_is_ones_own(root: &NodeRef) {
    let dir = common(root);
    for node in [
        dir.create(&ADA, named(b"f"), 0o640).unwrap(),
        dir.mkdir(&ADA, named(b"d"), 0o750).unwrap(),
        dir.symlink(&ADA, named(b"l"), b"f").unwrap(),
    ] {
        let attr = node.attr().unwrap();
        assert_eq!((attr.uid, attr.gid), (ADA.uid, ADA.gid), "{:?}", attr.kind);
    }
}

pub(super) fn a_sticky_directory_is_cleared_by_owners_only(root: &NodeRef) {
    let dir = common(root);
    chmod(&dir, 0o1777);
    dir.create(&ADA, named(b"a"), 0o666).unwrap();
    dir.mkdir(&ADA, named(b"d"), 0o777).unwrap();
    dir.create(&BOB, named(b"b"), 0o666).unwrap();
    refused(root, Error::NotPermitted, || dir.unlink(&BOB, named(b"a")));
    refused(root, Error::NotPermitted, || dir.rmdir(&BOB, named(b"d")));
    refused(root, Error::NotPermitted, || dir.rename(&BOB, named(b"a"), &dir, named(b"c"), Rename::Replace));
    refused(root, Error::NotPermitted, || dir.rename(&BOB, named(b"b"), &dir, named(b"a"), Rename::Replace));
    refused(root, Error::NotPermitted, || dir.rename(&BOB, named(b"b"), &dir, named(b"a"), Rename::Exchange));
    dir.rename(&BOB, named(b"b"), &dir, named(b"c"), Rename::Replace).unwrap();
    dir.unlink(&ADA, named(b"a")).unwrap();
    dir.rmdir(&ADA, named(b"d")).unwrap();
    chown(&dir, ADA.uid, ADA.gid);
    chmod(&dir, 0o1777);
    dir.unlink(&ADA, named(b"c")).unwrap();
}

pub(super) fn only_who_may_write_a_directory_gives_it_another_parent(root: &NodeRef) {
    let (one, two) = (common(root), root.mkdir(ROOT, named(b"two"), 0o777).unwrap());
    chmod(&two, 0o777);
    let dir = one.mkdir(ROOT, named(b"d"), 0o755).unwrap();
    file(&one, b"f", b"");
    refused(root, Error::AccessDenied, || one.rename(&ADA, named(b"d"), &two, named(b"d"), Rename::Replace));
    // Within its parent it changes nothing of its own, and a file has no parent in it.
    one.rename(&ADA, named(b"d"), &one, named(b"e"), Rename::Replace).unwrap();
    one.rename(&ADA, named(b"f"), &two, named(b"f"), Rename::Replace).unwrap();
    refused(root, Error::AccessDenied, || two.rename(&ADA, named(b"f"), &one, named(b"e"), Rename::Exchange));
    chmod(&dir, 0o777);
    one.rename(&ADA, named(b"e"), &two, named(b"e"), Rename::Replace).unwrap();
}

pub(super) fn attributes_are_their_owners(root: &NodeRef) {
    let dir = common(root);
    let node = dir.create(&ADA, named(b"f"), 0o666).unwrap();
    chmod(&node, 0o666);
    let set = |by: &Caller, set: &SetAttr| node.set_attr(by, set).map(drop);
    let (now, then) = (Some(SetTime::Now), Some(SetTime::To(LONG_AGO)));
    let mode = SetAttr { mode: Some(0o600), ..SetAttr::default() };
    let size = SetAttr { size: Some(3), ..SetAttr::default() };
    let times = SetAttr { accessed: then, modified: then, ..SetAttr::default() };
    let touch = SetAttr { accessed: now, modified: now, ..SetAttr::default() };
    let uid = SetAttr { uid: Some(BOB.uid), ..SetAttr::default() };
    let gid = SetAttr { gid: Some(BOB.gid), ..SetAttr::default() };
    refused(root, Error::NotPermitted, || set(&BOB, &mode));
    refused(root, Error::NotPermitted, || set(&BOB, &times));
    for by in [&ADA, &BOB] {
        refused(root, Error::NotPermitted, || set(by, &uid));
    }
    refused(root, Error::NotPermitted, || set(&ADA, &gid));
    refused(root, Error::NotPermitted, || set(&BOB, &gid));
    // One that is refused takes the others with it.
    let both = SetAttr { uid: Some(BOB.uid), ..mode };
    refused(root, Error::NotPermitted, || set(&ADA, &both));
    set(&BOB, &size).unwrap();
    set(&BOB, &touch).unwrap();
    set(&ADA, &times).unwrap();
    assert_eq!(node.attr().unwrap().modified, LONG_AGO);
    set(&ADA.with_groups(vec![BOB.gid]), &gid).unwrap();
    set(&ADA, &mode).unwrap();
    refused(root, Error::AccessDenied, || set(&BOB, &size));
    refused(root, Error::AccessDenied, || set(&BOB, &touch));
    let attr = node.attr().unwrap();
    assert_eq!((attr.uid, attr.gid, attr.mode, attr.size), (ADA.uid, BOB.gid, 0o600, 3));
    assert_eq!(content(&node), b"\0\0\0");
}

pub(super) fn a_set_group_id_directory_hands_down_its_group(root: &NodeRef) {
    let dir = common(root);
    chown(&dir, 0, 77);
    chmod(&dir, 0o2777);
    let file = dir.create(&ADA, named(b"f"), 0o2755).unwrap().attr().unwrap();
    assert_eq!((file.gid, file.mode), (77, 0o755), "who is not in the group doesn't lend it");
    let sub = dir.mkdir(&ADA, named(b"d"), 0o755).unwrap().attr().unwrap();
    assert_eq!((sub.gid, sub.mode), (77, 0o2755));
    assert_eq!(dir.symlink(&ADA, named(b"l"), b"f").unwrap().attr().unwrap().gid, 77);
    let member = ADA.with_groups(vec![77]);
    assert_eq!(dir.create(&member, named(b"g"), 0o2755).unwrap().attr().unwrap().mode, 0o2755);
}

pub(super) fn rights_are_not_lent_by_what_others_wrote(root: &NodeRef) {
    let node = file(root, b"f", b"program");
    let mode = || node.attr().unwrap().mode;
    chmod(&node, 0o6777);
    NodeRef::clone(&node).open(&ADA, Access::Write).unwrap().write_at(0, b"x").unwrap();
    assert_eq!(mode(), 0o777);
    chmod(&node, 0o6777);
    node.set_attr(&ADA, &SetAttr { size: Some(1), ..SetAttr::default() }).unwrap();
    assert_eq!(mode(), 0o777);
    chmod(&node, 0o6777);
    NodeRef::clone(&node).open(ROOT, Access::Write).unwrap().write_at(0, b"x").unwrap();
    assert_eq!(mode(), 0o6777, "user 0 lends what it likes");
    chown(&node, ADA.uid, ADA.gid);
    assert_eq!(mode(), 0o777);
    chmod(&node, 0o2666);
    let append = |by: &Caller| drop(NodeRef::clone(&node).open(by, Access::Write).unwrap().append(b"x"));
    append(&BOB.with_groups(vec![ADA.gid]));
    assert_eq!(mode(), 0o2666, "without execution the bit lends nothing");
    append(&BOB);
    assert_eq!(mode(), 0o666, "but it is not for others to keep");
    node.set_attr(&ADA.with_groups(vec![5]), &SetAttr { mode: Some(0o2755), ..SetAttr::default() }).unwrap();
    assert_eq!(mode(), 0o2755);
    chown(&node, ADA.uid, 9);
    node.set_attr(&ADA, &SetAttr { mode: Some(0o2755), ..SetAttr::default() }).unwrap();
    assert_eq!(mode(), 0o755, "the group is not the owner's to lend");
    assert_eq!(node.kind(), Kind::File);
}
