//! [`Node`] for an inode: each operation handed to where it is done.

use super::file::Unprivileged;
use super::inode::{Body, Inode};
use super::names::New;
use crate::path::check_target;
use crate::{
    Access, Attr, Caller, Device, DirEntry, Error, Kind, Name, Node, NodeId, NodeRef, OpenFile, Reach,
    Rename, Result, SetAttr, SetXattr, Special, StatFs, Want,
};
use std::any::Any;
use std::sync::Arc;

/// Entries copied out at a time while listing.
const BATCH: usize = 256;

impl Node for Inode {
    fn id(&self) -> NodeId {
        self.id()
    }

    fn kind(&self) -> Kind {
        self.kind()
    }

    fn blocks(&self) -> bool {
        false
    }

    fn attr(&self) -> Result<Attr> {
        Ok(self.attributes())
    }

    fn set_attr(&self, by: &Caller, set: &SetAttr) -> Result<Attr> {
        self.set_attributes(by, set)
    }

    fn access(&self, by: &Caller, want: Want) -> Result<()> {
        if by.is_privileged() && !want.includes(Want::EXECUTE) {
            // What the mode is makes no difference, so nobody has to be kept from changing it.
            return Ok(());
        }
        by.check(self.owner(&self.state.read().meta), want)
    }

    fn lookup(&self, by: &Caller, name: Name<'_>) -> Result<NodeRef> {
        Ok(self.find(by, name)?)
    }

    fn create(&self, by: &Caller, name: Name<'_>, mode: u32) -> Result<NodeRef> {
        Ok(self.make(by, name, &New::File, mode)?)
    }

    fn mkdir(&self, by: &Caller, name: Name<'_>, mode: u32) -> Result<NodeRef> {
        Ok(self.make(by, name, &New::Directory, mode)?)
    }

    fn symlink(&self, by: &Caller, name: Name<'_>, target: &[u8]) -> Result<NodeRef> {
        check_target(target)?;
        Ok(self.make(by, name, &New::Symlink(target), 0o777)?)
    }

    fn mknod(&self, by: &Caller, name: Name<'_>, special: Special, mode: u32) -> Result<NodeRef> {
        // 0:0 is no device: it is how overlays note that a name is taken away.
        if special.device() != Device::default() && !by.is_privileged() {
            return Err(Error::NotPermitted);
        }
        Ok(self.make(by, name, &New::Special(special), mode)?)
    }

    fn link(&self, by: &Caller, name: Name<'_>, node: &NodeRef) -> Result<()> {
        self.make_link(by, name, node)
    }

    fn unlink(&self, by: &Caller, name: Name<'_>) -> Result<()> {
        self.remove_file(by, name)
    }

    fn rmdir(&self, by: &Caller, name: Name<'_>) -> Result<()> {
        self.remove_directory(by, name)
    }

    fn rename(
        &self,
        by: &Caller,
        name: Name<'_>,
        to_dir: &NodeRef,
        to_name: Name<'_>,
        how: Rename,
    ) -> Result<()> {
        self.move_entry(by, name, to_dir, to_name, how)
    }

    fn read_dir(&self, mut cursor: u64, sink: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        self.filled();
        let mut names = Vec::new();
        let mut batch: Vec<(usize, Kind, u64, u64)> = Vec::new();
        loop {
            names.clear();
            batch.clear();
            for entry in self.state.read().directory()?.after(cursor).take(BATCH) {
                names.extend_from_slice(entry.name);
                batch.push((names.len(), entry.node.kind(), entry.node.ino(), entry.cookie));
            }
            let mut start = 0;
            for &(end, kind, ino, cookie) in &batch {
                let name = Name::new(&names[start..end])?;
                if !sink(DirEntry { name, kind, ino, cursor: cookie }) {
                    return Ok(());
                }
                (start, cursor) = (end, cookie);
            }
            if batch.len() < BATCH {
                return Ok(());
            }
        }
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        match &self.state.read().body {
            Body::Symlink(target) => Ok(target.to_vec()),
            _ => Err(Error::InvalidArgument("not a link")),
        }
    }

    fn open(self: Arc<Self>, by: &Caller, access: Access) -> Result<Arc<dyn OpenFile>> {
        check_openable(self.kind())?;
        Node::access(&*self, by, access.wants())?;
        if by.is_privileged() || !access.writes() {
            return Ok(self);
        }
        Ok(Arc::new(Unprivileged { file: self, by: by.clone() }))
    }

    fn stat_fs(&self) -> Result<StatFs> {
        let space = &self.lane.space;
        Ok(space.stat(space.fs, false))
    }

    /// Memory is as durable as it gets.
    fn sync(&self, _reach: Reach) -> Result<()> {
        Ok(())
    }

    fn xattr(&self, by: &Caller, name: &[u8]) -> Result<Vec<u8>> {
        self.get_xattr(by, name)
    }

    fn set_xattr(&self, by: &Caller, name: &[u8], value: &[u8], how: SetXattr) -> Result<()> {
        self.put_xattr(by, name, value, how)
    }

    fn list_xattrs(&self, by: &Caller) -> Result<Vec<Vec<u8>>> {
        Ok(self.list_xattr_names(by))
    }

    fn remove_xattr(&self, by: &Caller, name: &[u8]) -> Result<()> {
        self.drop_xattr(by, name)
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

/// Only regular files are opened.
pub(super) fn check_openable(kind: Kind) -> Result<()> {
    match kind {
        Kind::File => Ok(()),
        Kind::Directory => Err(Error::IsADirectory),
        Kind::Symlink => Err(Error::TooManyLinks),
        _ => Err(Error::NotSupported("devices, pipes and sockets are not opened")),
    }
}
