//! Copying a file by path.

use super::staged::{Staged, pour};
use super::{last_name, open, place};
use crate::{Access, Error, Kind, NodeRef, Rename, Result, SetAttr, Tree};

pub(super) fn file<T: Tree + ?Sized>(tree: &T, from: &[u8], to: &[u8]) -> Result<u64> {
    let by = tree.caller();
    let source = open::existing(tree, from, Access::Read)?;
    let attr = source.metadata()?;
    let target = place(tree, to, true).map_err(|unresolved| unresolved.error)?;
    match &target.node {
        Some(there) if there.kind() == Kind::Directory => return Err(Error::IsADirectory),
        None if target.must_be_dir => return Err(Error::IsADirectory),
        Some(there) if there.id() == source.node().id() => {
            return Err(Error::InvalidArgument("a file can't be copied onto itself"));
        }
        // What may not be written to may not be replaced either.
        Some(there) => drop(NodeRef::clone(there).open(by, Access::Write)?),
        None => {}
    }
    let name = last_name(&target)?;
    let staged = Staged::begin(by, &target.parent, |by, name| target.parent.create(by, name, 0o600))?;
    let judged = by.clone().judged_before();
    let copy = NodeRef::clone(&staged.node).open(&judged, Access::Write)?;
    let len = pour(&**source.handle(), &*copy)?;
    staged.node.set_attr(&judged, &SetAttr { mode: Some(attr.mode), ..SetAttr::default() })?;
    staged.put(name, Rename::Replace)?;
    Ok(len)
}
