//! A filesystem in memory as it was.

use super::content::Content;
use super::inode::{Body, Inode, State};
use super::node::check_openable;
use super::space::Space;
use super::{Change, MemFs, diff, fork, past};
use crate::resolve::{NoMounts, resolve};
use crate::{
    Access, Attr, Caller, DirEntry, Error, FsId, How, Kind, Name, Node, NodeId, NodeRef, OpenFile, Owner,
    Place, Reach, Rename, Result, Seek, SetAttr, StatFs, Tree, Unresolved, Want,
};
use bytes::Bytes;
use std::any::Any;
use std::sync::Arc;

/// All of a [`MemFs`](super::MemFs) as it was at one moment: a read-only filesystem of its own, with
/// the same numbers. It lives on when the filesystem goes.
pub struct Snapshot {
    pub(super) view: Arc<View>,
    root: NodeRef,
}

/// A moment that is shown to somebody.
pub(super) struct View {
    /// Keeps the filesystem.
    pub(super) root: Arc<Inode>,
    pub(super) pin: Arc<Pin>,
    fs: FsId,
}

/// Keeps what nodes were at the end of an epoch, but not the nodes.
pub(super) struct Pin {
    space: Arc<Space>,
    pub(super) epoch: u64,
}

impl View {
    /// The epoch at the end of which it looks.
    pub(super) fn epoch(&self) -> u64 {
        self.pin.epoch
    }
}

impl Snapshot {
    pub(super) fn take(root: &Arc<Inode>) -> Self {
        let space = Arc::clone(&root.lane.space);
        let pin = Arc::new(Pin { epoch: space.epochs.end(), space });
        // Whatever has been until now may be told by it, by its forks and by what is exported of it: the clock is to know.
        pin.space.clock.now();
        let view = Arc::new(View { root: Arc::clone(root), pin, fs: FsId::new() });
        let root = Arc::new(OldNode { inode: Arc::clone(root), view: Arc::clone(&view) });
        Snapshot { view, root }
    }

    /// The root directory.
    pub fn root(&self) -> NodeRef {
        NodeRef::clone(&self.root)
    }

    /// A filesystem of its own that begins as this; see [`MemFs::fork`].
    pub fn fork(&self) -> MemFs {
        fork::fork(&self.view)
    }

    /// What has to be done to this one to make it the `later` one, which may also be the earlier. It takes
    /// as long as there are changes between the two, and not as long as there are files; but if a file
    /// with several names is among them, all names are looked at once.
    ///
    /// # Errors
    /// [`Error::CrossDevice`] unless both are of one filesystem.
    pub fn diff(&self, later: &Snapshot) -> Result<Vec<Change>> {
        diff::diff(&self.view, &later.view)
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("fs", &self.view.fs).field("epoch", &self.view.pin.epoch).finish()
    }
}

impl Tree for Snapshot {
    fn resolve(&self, path: &[u8], how: &How<'_>) -> std::result::Result<Place, Unresolved> {
        resolve(&self.root, &NoMounts, path, how)
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let (inodes, shown) = self.space.epochs.forget(self.epoch);
        past::forget(inodes, &shown);
    }
}

/// A node as it was.
struct OldNode {
    inode: Arc<Inode>,
    view: Arc<View>,
}

impl OldNode {
    fn owner(&self, state: &State) -> Owner {
        self.inode.owner(state.version_at(self.view.epoch()).map_or(&state.meta, |version| &version.meta))
    }

    fn at(&self, inode: Arc<Inode>) -> NodeRef {
        Arc::new(OldNode { inode, view: Arc::clone(&self.view) })
    }
}

impl Node for OldNode {
    fn id(&self) -> NodeId {
        NodeId { fs: self.view.fs, ..self.inode.id() }
    }

    fn kind(&self) -> Kind {
        self.inode.kind()
    }

    fn blocks(&self) -> bool {
        false
    }

    fn attr(&self) -> Result<Attr> {
        let state = self.inode.state.read();
        let then = match state.version_at(self.view.epoch()) {
            Some(version) => self.inode.attributes_of(&version.meta, version.measure, &state.body),
            None => self.inode.tell(&state),
        };
        Ok(Attr { id: self.id(), ..then })
    }

    fn access(&self, by: &Caller, want: Want) -> Result<()> {
        let data = matches!(self.kind(), Kind::File | Kind::Directory | Kind::Symlink);
        if data && want.includes(Want::WRITE) {
            return Err(Error::ReadOnly);
        }
        by.check(self.owner(&self.inode.state.read()), want)
    }

    fn lookup(&self, by: &Caller, name: Name<'_>) -> Result<NodeRef> {
        self.inode.filled();
        let state = self.inode.state.read();
        let directory = state.directory()?;
        by.check(self.owner(&state), Want::SEARCH)?;
        let found = directory.get_at(name.as_bytes(), self.view.epoch()).cloned();
        drop(state);
        Ok(self.at(found.ok_or(Error::NotFound)?))
    }

    fn read_dir(&self, cursor: u64, sink: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        self.inode.filled();
        let listed = self.inode.state.read().directory()?.list_at(self.view.epoch(), cursor);
        for entry in &listed {
            let (kind, ino) = (entry.node.kind(), entry.node.ino());
            if !sink(DirEntry { name: Name::new(&entry.name)?, kind, ino, cursor: entry.cookie }) {
                break;
            }
        }
        Ok(())
    }

    /// What a link says never changes.
    fn read_link(&self) -> Result<Vec<u8>> {
        self.inode.read_link()
    }

    fn open(self: Arc<Self>, by: &Caller, access: Access) -> Result<Arc<dyn OpenFile>> {
        check_openable(self.kind())?;
        Node::access(&*self, by, access.wants())?;
        let state = self.inode.state.read();
        let content = match (state.version_at(self.view.epoch()), &state.body) {
            (Some(version), _) => version.content.clone(),
            (None, Body::File(content)) => content.clone(),
            (None, _) => Content::default(),
        };
        drop(state);
        Ok(Arc::new(OldFile { node: self, content }))
    }

    fn stat_fs(&self) -> Result<StatFs> {
        Ok(self.inode.lane.space.stat(self.view.fs, true))
    }

    fn sync(&self, _reach: Reach) -> Result<()> {
        Ok(())
    }

    fn xattr(&self, by: &Caller, name: &[u8]) -> Result<Vec<u8>> {
        let state = self.inode.state.read();
        self.inode.permit_xattr(self.owner(&state), &state.body, by, name, Want::READ)?;
        match (state.version_at(self.view.epoch()), &state.extra) {
            (Some(version), _) => version.xattrs.get(name),
            (None, Some(extra)) => extra.xattrs.get(name),
            (None, None) => Err(Error::NoAttribute),
        }
    }

    fn list_xattrs(&self, by: &Caller) -> Result<Vec<Vec<u8>>> {
        let state = self.inode.state.read();
        Ok(match (state.version_at(self.view.epoch()), &state.extra) {
            (Some(version), _) => version.xattrs.names(by),
            (None, Some(extra)) => extra.xattrs.names(by),
            (None, None) => Vec::new(),
        })
    }

    fn set_attr(&self, _by: &Caller, _set: &SetAttr) -> Result<Attr> {
        Err(Error::ReadOnly)
    }

    fn create(&self, _by: &Caller, _name: Name<'_>, _mode: u32) -> Result<NodeRef> {
        Err(Error::ReadOnly)
    }

    fn mkdir(&self, _by: &Caller, _name: Name<'_>, _mode: u32) -> Result<NodeRef> {
        Err(Error::ReadOnly)
    }

    fn symlink(&self, _by: &Caller, _name: Name<'_>, _target: &[u8]) -> Result<NodeRef> {
        Err(Error::ReadOnly)
    }

    fn unlink(&self, _by: &Caller, _name: Name<'_>) -> Result<()> {
        Err(Error::ReadOnly)
    }

    fn rmdir(&self, _by: &Caller, _name: Name<'_>) -> Result<()> {
        Err(Error::ReadOnly)
    }

    fn link(&self, _by: &Caller, _name: Name<'_>, _node: &NodeRef) -> Result<()> {
        Err(Error::ReadOnly)
    }

    fn rename(&self, _by: &Caller, _: Name<'_>, _: &NodeRef, _: Name<'_>, _how: Rename) -> Result<()> {
        Err(Error::ReadOnly)
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

/// A file as it was, open for reading.
struct OldFile {
    node: Arc<OldNode>,
    content: Content,
}

impl OpenFile for OldFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        Ok(self.content.read_at(offset, buf))
    }

    fn read_bytes(&self, offset: u64, max: usize) -> Result<Bytes> {
        self.content.read_bytes(offset, max)
    }

    fn read_onto(&self, offset: u64, max: usize, data: &mut Vec<u8>) -> Result<usize> {
        self.content.read_onto(offset, max, data)
    }

    fn seek(&self, offset: u64, to: Seek) -> Result<u64> {
        self.content.seek(offset, to).ok_or(Error::PastEnd)
    }

    fn write_at(&self, _offset: u64, _data: &[u8]) -> Result<usize> {
        Err(Error::BadDescriptor)
    }

    fn append(&self, _data: &[u8]) -> Result<u64> {
        Err(Error::BadDescriptor)
    }

    fn replace(&self, _data: &[u8]) -> Result<()> {
        Err(Error::BadDescriptor)
    }

    fn set_len(&self, _len: u64) -> Result<()> {
        Err(Error::BadDescriptor)
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn attr(&self) -> Result<Attr> {
        self.node.attr()
    }
}

impl Drop for OldFile {
    fn drop(&mut self) {
        let content = std::mem::take(&mut self.content);
        self.node.inode.give_bytes_back(content.release());
    }
}
