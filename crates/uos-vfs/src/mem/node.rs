//! [`Node`] for an inode: each operation handed to where it is done.

use super::inode::{Body, Inode};
use crate::path::check_target;
use crate::{
    Access, Attr, Caller, DirEntry, Error, Kind, Name, Node, NodeId, NodeRef, OpenFile, Reach, Rename,
    Result, SetAttr, Special, StatFs,
};
use std::any::Any;
use std::sync::Arc;

/// Entries copied out at a time while listing.
const BATCH: usize = 64;

impl Node for Inode {
    fn id(&self) -> NodeId {
        self.id
    }

    fn kind(&self) -> Kind {
        self.kind
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

    fn lookup(&self, by: &Caller, name: Name<'_>) -> Result<NodeRef> {
        Ok(self.find(by, name)?)
    }

    fn create(&self, by: &Caller, name: Name<'_>, mode: u32) -> Result<NodeRef> {
        self.make(by, name, Kind::File, mode, Body::empty_file())
    }

    fn mkdir(&self, by: &Caller, name: Name<'_>, mode: u32) -> Result<NodeRef> {
        self.make(by, name, Kind::Directory, mode, Body::empty_directory())
    }

    fn symlink(&self, by: &Caller, name: Name<'_>, target: &[u8]) -> Result<NodeRef> {
        check_target(target)?;
        self.make(by, name, Kind::Symlink, 0o777, Body::Symlink(target.into()))
    }

    fn mknod(&self, by: &Caller, name: Name<'_>, special: Special, mode: u32) -> Result<NodeRef> {
        if special.device() != Default::default() && !by.is_privileged() {
            return Err(Error::NotPermitted);
        }
        self.make(by, name, special.kind(), mode, Body::Special(special.device()))
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
        loop {
            let batch = self.state.read().directory()?.list(cursor, BATCH);
            for listed in &batch {
                let (kind, ino) = (listed.node.kind, listed.node.id.ino);
                let Ok(name) = Name::new(&listed.name) else { continue };
                if !sink(DirEntry { name, kind, ino, cursor: listed.cookie }) {
                    return Ok(());
                }
                cursor = listed.cookie;
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
        match self.kind {
            Kind::File => {}
            Kind::Directory => return Err(Error::IsADirectory),
            Kind::Symlink => return Err(Error::TooManyLinks),
            _ => return Err(Error::NotSupported("devices, pipes and sockets are not opened")),
        }
        by.check(self.owner(&self.state.read()), access.wants())?;
        Ok(self)
    }

    fn stat_fs(&self) -> Result<StatFs> {
        Ok(self.space.stat())
    }

    /// Memory is as durable as it gets.
    fn sync(&self, _reach: Reach) -> Result<()> {
        Ok(())
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}
