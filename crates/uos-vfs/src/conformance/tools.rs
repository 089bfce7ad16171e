//! What the cases have in common.

use crate::{Access, Caller, Error, Kind, Name, NodeRef, OpenFile, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) const ROOT: &Caller = &Caller::ROOT;

/// Long before any test ran.
pub(super) const LONG_AGO: Timestamp = Timestamp { secs: 1_000_000, nanos: 0 };

pub(super) fn named(bytes: &[u8]) -> Name<'_> {
    Name::new(bytes).unwrap()
}

pub(super) fn file(dir: &NodeRef, name: &[u8], data: &[u8]) -> NodeRef {
    let node = dir.create(ROOT, named(name), 0o755).unwrap();
    assert_eq!(open(&node).write_at(0, data).unwrap(), data.len());
    node
}

pub(super) fn open(node: &NodeRef) -> Arc<dyn OpenFile> {
    NodeRef::clone(node).open(ROOT, Access::ReadWrite).unwrap()
}

pub(super) fn content(node: &NodeRef) -> Vec<u8> {
    NodeRef::clone(node).open(ROOT, Access::Read).unwrap().read_bytes(0, 1 << 20).unwrap().to_vec()
}

pub(super) fn err<T>(result: Result<T, Error>) -> Error {
    result.map(drop).unwrap_err()
}

/// The links of a directory; where the filesystem does not count them, as they ought to be.
pub(super) fn links(dir: &NodeRef) -> u64 {
    match dir.attr().unwrap().nlink {
        1 => 2 + entries(dir).into_iter().filter(|(_, kind)| *kind == Kind::Directory).count() as u64,
        nlink => nlink,
    }
}

pub(super) fn entries(dir: &NodeRef) -> Vec<(Vec<u8>, Kind)> {
    let mut entries = Vec::new();
    dir.read_dir(0, &mut |entry| {
        entries.push((entry.name.as_bytes().to_vec(), entry.kind));
        true
    })
    .unwrap();
    entries
}

pub(super) fn names(dir: &NodeRef) -> BTreeSet<Vec<u8>> {
    entries(dir).into_iter().map(|(name, _)| name).collect()
}

/// The names of a directory as a test writes them down.
pub(super) fn these<const N: usize>(names: [&str; N]) -> BTreeSet<Vec<u8>> {
    names.map(|name| name.as_bytes().to_vec()).into()
}

/// Does something that must be refused, and shows that it has changed neither the tree nor its times.
pub(super) fn refused<T>(root: &NodeRef, error: Error, act: impl FnOnce() -> Result<T, Error>) {
    let before = picture(root);
    assert_eq!(act().map(drop), Err(error));
    assert_eq!(picture(root), before, "refusing has changed something");
}

/// Everything about a small tree that can be seen.
pub(super) fn picture(node: &NodeRef) -> Vec<String> {
    let mut seen =
        vec![format!("{:?}", crate::Attr { accessed: Timestamp::default(), ..node.attr().unwrap() })];
    match node.kind() {
        Kind::Directory => {
            for (name, _) in entries(node) {
                seen.push(format!("{name:?}"));
                seen.extend(picture(&node.lookup(ROOT, named(&name)).unwrap()));
            }
        }
        Kind::File => seen.push(format!("{:?}", content(node))),
        Kind::Symlink => seen.push(format!("{:?}", node.read_link())),
        _ => {}
    }
    seen
}
