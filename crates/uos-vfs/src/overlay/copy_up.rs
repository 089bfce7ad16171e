//! Getting a node into the upper layer.

use super::ROOT;
use super::layers::{Layers, Origin, key_of};
use super::marks::keeping_times;
use super::node::OverlayNode;
use super::work::Staged;
use crate::{Access, Attr, Caller, Error, Kind, Name, NodeRef, Result, Seek, SetAttr, SetTime, Special};
use std::sync::Arc;

/// How much is copied at once.
const PIECE: u64 = 1 << 20;

impl OverlayNode {
    /// Copies what is no directory up, unless it has been. The tree is not locked.
    pub(super) fn copy_up(&self, by: &Caller) -> Result<()> {
        self.copy_up_with(by, u64::MAX, |_| Ok(())).map(drop)
    }

    /// Copies what is no directory up, with no more content than so many bytes, and does something with the copy
    /// before anybody sees it. False if it has been copied up before; then nothing was done.
    pub(super) fn copy_up_with(
        &self,
        by: &Caller,
        most: u64,
        then: impl FnOnce(&NodeRef) -> Result<()>,
    ) -> Result<bool> {
        let _alone = self.copying.lock();
        if self.upper.get().is_some() {
            return Ok(false);
        }
        let staged = copy(&self.layers, by, &self.base, most)?;
        then(staged.node())?;
        let _tree = self.layers.tree.write();
        self.rise(by, staged)?;
        Ok(true)
    }

    /// The same for a directory.
    pub(super) fn copy_dir_up_with(
        &self,
        by: &Caller,
        then: impl FnOnce(&NodeRef) -> Result<()>,
    ) -> Result<bool> {
        let _tree = self.layers.tree.write();
        if self.upper.get().is_some() {
            return Ok(false);
        }
        let staged = copy(&self.layers, by, &self.base, 0)?;
        then(staged.node())?;
        self.rise(by, staged)?;
        Ok(true)
    }

    /// The upper layer of this directory, copied up with all above it if need be. The tree is locked for writing.
    pub(super) fn upper_dir(&self, by: &Caller) -> Result<NodeRef> {
        if let Some(upper) = self.upper.get() {
            return Ok(NodeRef::clone(upper));
        }
        // Not by recursion: how deep directories lie is up to the clients.
        let mut missing: Vec<Arc<OverlayNode>> = Vec::new();
        let mut next = self.parent();
        while let Some(dir) = next.take_if(|dir| dir.upper.get().is_none()) {
            next = dir.parent();
            missing.push(dir);
        }
        for dir in missing.iter().rev().map(|dir| &**dir).chain([self]) {
            dir.rise(by, copy(&self.layers, by, &dir.base, 0)?)?;
        }
        self.upper.get().cloned().ok_or(Error::Stale)
    }

    /// The copy gets its place, and this node an upper layer.
    fn rise(&self, by: &Caller, staged: Staged<'_>) -> Result<()> {
        let node = NodeRef::clone(staged.node());
        let home = self.home.lock().clone();
        let is_named = home.is_some();
        match home {
            Some(home) => {
                let dir = home.dir.upper_dir(by)?;
                keeping_times(&dir, || staged.put(&dir, Name::new(&home.name)?))?;
            }
            // It has lost its name and lives on, without one there too.
            None => self.leave_nameless(staged),
        }
        let origin = Origin { id: self.id, key: key_of(self.base.id()) };
        self.layers.copied(&self.me, key_of(node.id()), origin);
        // Nobody else sets it: the tree is locked.
        let _ = self.upper.set(NodeRef::clone(&node));
        if is_named && !self.is_dir() {
            // The name leads above from now on.
            self.lose_name_below()?;
        }
        self.tie_to(&node);
        Ok(())
    }
}

/// Makes a copy of what is below, beside, paid for by the one for whose sake that is. It has all the length, but no more
/// content than so many bytes.
fn copy<'a>(layers: &'a Layers, by: &Caller, from: &NodeRef, most: u64) -> Result<Staged<'a>> {
    let attr = from.attr()?;
    let maker = &Caller::ROOT.paid_by(by.account.clone());
    let staged = layers.work.stage(|dir, name| match attr.kind {
        Kind::File => dir.create(maker, name, 0o600),
        Kind::Directory => dir.mkdir(maker, name, 0o700),
        Kind::Symlink => dir.symlink(maker, name, &from.read_link()?),
        Kind::Fifo => dir.mknod(maker, name, Special::Fifo, attr.mode),
        Kind::Socket => dir.mknod(maker, name, Special::Socket, attr.mode),
        Kind::CharDevice => dir.mknod(maker, name, Special::CharDevice(attr.device), attr.mode),
        Kind::BlockDevice => dir.mknod(maker, name, Special::BlockDevice(attr.device), attr.mode),
    })?;
    if attr.kind == Kind::File {
        copy_content(from, staged.node(), &attr, most)?;
    }
    copy_attributes(from, staged.node(), &attr)?;
    Ok(staged)
}

/// Holes stay holes, as far as both sides know them.
fn copy_content(from: &NodeRef, to: &NodeRef, attr: &Attr, most: u64) -> Result<()> {
    let source = NodeRef::clone(from).open(ROOT, Access::Read)?;
    let target = NodeRef::clone(to).open(ROOT, Access::Write)?;
    let end = attr.size.min(most);
    let mut at = 0;
    while at < end {
        let start = match source.seek(at, Seek::Data) {
            Ok(start) => start,
            Err(Error::PastEnd) => break,
            Err(Error::NotSupported(_)) => at,
            Err(error) => return Err(error),
        };
        if start >= end {
            break;
        }
        let stop = source.seek(start, Seek::Hole).unwrap_or(end).clamp(start + 1, end.max(start + 1));
        let piece = source.read_bytes(start, (stop - start).min(PIECE) as usize)?;
        if piece.is_empty() {
            break;
        }
        let mut written = 0;
        while written < piece.len() {
            written += target.write_at(start + written as u64, &piece[written..])?;
        }
        at = start + piece.len() as u64;
    }
    if target.attr()?.size != attr.size {
        target.set_len(attr.size)?;
    }
    Ok(())
}

fn copy_attributes(from: &NodeRef, to: &NodeRef, attr: &Attr) -> Result<()> {
    match from.list_xattrs(ROOT) {
        Ok(names) => {
            for name in names {
                to.set_xattr(ROOT, &name, &from.xattr(ROOT, &name)?, crate::SetXattr::Any)?;
            }
        }
        Err(Error::NotSupported(_)) => {}
        Err(error) => return Err(error),
    }
    let rest = SetAttr {
        mode: (attr.kind != Kind::Symlink).then_some(attr.mode),
        accessed: Some(SetTime::To(attr.accessed)),
        modified: Some(SetTime::To(attr.modified)),
        ..SetAttr::default()
    };
    match to.set_attr(ROOT, &SetAttr { uid: Some(attr.uid), gid: Some(attr.gid), ..rest }) {
        // Where files can't be given away they stay with whom they would be anyway.
        Err(Error::NotPermitted) => to.set_attr(ROOT, &rest).map(drop),
        done => done.map(drop),
    }
}
