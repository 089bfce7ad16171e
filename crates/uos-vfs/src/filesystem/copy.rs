//! Copying a file by path.

use super::{last_name, open, place};
use crate::{Access, Caller, Error, Kind, Name, NodeRef, OpenFile, Rename, Result, SetAttr, Tree};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much is copied at once.
const PIECE: usize = 1 << 20;

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
    let staged = Staged::begin(by, &target.parent)?;
    let len = staged.fill(source.handle())?;
    staged
        .node
        .set_attr(&by.clone().judged_before(), &SetAttr { mode: Some(attr.mode), ..SetAttr::default() })?;
    staged.put(name)?;
    Ok(len)
}

/// A copy in the making, under a name of its own beside the one it is to have. Dropped before it is put
/// there, it goes again.
struct Staged<'a> {
    by: &'a Caller,
    dir: &'a NodeRef,
    name: Vec<u8>,
    node: NodeRef,
}

impl<'a> Staged<'a> {
    fn begin(by: &'a Caller, dir: &'a NodeRef) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!(".copy-{}-{number}", std::process::id()).into_bytes();
            match dir.create(by, Name::new(&name)?, 0o600) {
                Ok(node) => return Ok(Staged { by, dir, name, node }),
                // Left over from another time.
                Err(Error::Exists) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn fill(&self, source: &Arc<dyn OpenFile>) -> Result<u64> {
        let file = NodeRef::clone(&self.node).open(&self.by.clone().judged_before(), Access::Write)?;
        let mut done = 0;
        loop {
            let piece = source.read_bytes(done, PIECE)?;
            if piece.is_empty() {
                return Ok(done);
            }
            let mut rest = &piece[..];
            while !rest.is_empty() {
                let written = file.write_at(done, rest)?;
                done += written as u64;
                rest = &rest[written..];
            }
        }
    }

    fn put(mut self, name: Name<'_>) -> Result<()> {
        self.dir.rename(self.by, Name::new(&self.name)?, self.dir, name, Rename::Replace)?;
        self.name.clear();
        Ok(())
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if let Ok(name) = Name::new(&self.name) {
            // The copy has failed already; that its beginnings can't be removed either is of less use.
            let _ = self.dir.unlink(self.by, name);
        }
    }
}
