//! [`Node`] for an inode: each operation handed to where it is done.

use super::inode::{Body, Inode};
use crate::path::check_target;
use crate::{
    Access, Attr, DirEntry, Error, Kind, New, Node, NodeId, NodeRef, OpenFile, RenameFlags, Result, SetAttr,
    StatFs,
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

    fn set_attr(&self, set: &SetAttr) -> Result<Attr> {
        self.set_attributes(set)
    }

    fn lookup(&self, name: &[u8]) -> Result<NodeRef> {
        Ok(self.find(name)?)
    }

    fn create(&self, name: &[u8], new: &New) -> Result<NodeRef> {
        self.make(name, Kind::File, new, Body::empty_file())
    }

    fn mkdir(&self, name: &[u8], new: &New) -> Result<NodeRef> {
        self.make(name, Kind::Directory, new, Body::empty_directory())
    }

    fn symlink(&self, name: &[u8], target: &[u8], new: &New) -> Result<NodeRef> {
        check_target(target)?;
        // Links carry no permissions of their own.
        let new = New { mode: 0o777, ..*new };
        self.make(name, Kind::Symlink, &new, Body::Symlink(target.into()))
    }

    fn link(&self, name: &[u8], node: &NodeRef) -> Result<()> {
        self.make_link(name, node)
    }

    fn unlink(&self, name: &[u8]) -> Result<()> {
        self.remove_file(name)
    }

    fn rmdir(&self, name: &[u8]) -> Result<()> {
        self.remove_directory(name)
    }

    fn rename(&self, name: &[u8], to_dir: &NodeRef, to_name: &[u8], flags: RenameFlags) -> Result<()> {
        self.move_entry(name, to_dir, to_name, flags)
    }

    fn read_dir(&self, mut cursor: u64, sink: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        loop {
            let batch = self.state.read().directory()?.list(cursor, BATCH);
            for listed in &batch {
                let (kind, ino) = (listed.node.kind, listed.node.id.ino);
                if !sink(DirEntry { name: &listed.name, kind, ino, cursor: listed.cookie }) {
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

    fn open(self: Arc<Self>, _access: Access) -> Result<Arc<dyn OpenFile>> {
        match self.kind {
            Kind::File => Ok(self),
            Kind::Directory => Err(Error::IsADirectory),
            Kind::Symlink => Err(Error::TooManyLinks),
            Kind::Other => Err(Error::NotSupported("not a file")),
        }
    }

    fn stat_fs(&self) -> Result<StatFs> {
        Ok(self.space.stat())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
