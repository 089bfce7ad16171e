//! Giving names to nodes and taking them away, within one directory.

use super::inode::{Body, Inode};
use crate::path::check_name;
use crate::{Error, Kind, New, NodeRef, Result};
use std::sync::Arc;

impl Inode {
    pub(super) fn find(&self, name: &[u8]) -> Result<Arc<Inode>> {
        check_name(name)?;
        self.state.read().directory()?.get(name).cloned().ok_or(Error::NotFound)
    }

    /// Makes a node under a free name.
    pub(super) fn make(&self, name: &[u8], kind: Kind, new: &New, body: Body) -> Result<NodeRef> {
        check_name(name)?;
        let mut state = self.state.write();
        let directory = state.directory_mut()?;
        if directory.dead {
            return Err(Error::NotFound);
        }
        if directory.contains(name) {
            return Err(Error::Exists);
        }
        let bytes = if let Body::Symlink(target) = &body { target.len() as u64 } else { 0 };
        self.space.nodes.take(1)?;
        if let Err(error) = self.space.bytes.take(bytes) {
            self.space.nodes.give_back(1);
            return Err(error);
        }
        let node = Inode::new(&self.space, kind, new, body);
        if let Body::Directory(made) = &mut node.state.write().body {
            made.parent = self.me.clone();
        }
        directory.insert(name, node.clone());
        state.nlink += u64::from(kind == Kind::Directory);
        state.touch(self.now());
        Ok(node)
    }

    pub(super) fn make_link(&self, name: &[u8], node: &NodeRef) -> Result<()> {
        check_name(name)?;
        let node = self.recognise(node)?;
        let mut state = self.state.write();
        let directory = state.directory_mut()?;
        if directory.dead {
            return Err(Error::NotFound);
        }
        if directory.contains(name) {
            return Err(Error::Exists);
        }
        if node.kind == Kind::Directory {
            return Err(Error::NotPermitted);
        }
        let now = self.now();
        let mut linked = node.state.write();
        if linked.nlink == 0 {
            return Err(Error::NotFound);
        }
        self.space.nodes.take(1)?;
        linked.nlink += 1;
        linked.changed = now;
        drop(linked);
        directory.insert(name, node);
        state.touch(now);
        Ok(())
    }

    pub(super) fn remove_file(&self, name: &[u8]) -> Result<()> {
        check_name(name)?;
        // Declared before the lock, so that what was removed is freed after it.
        let removed;
        let mut state = self.state.write();
        let directory = state.directory_mut()?;
        if directory.get(name).ok_or(Error::NotFound)?.kind == Kind::Directory {
            return Err(Error::IsADirectory);
        }
        removed = directory.remove(name).ok_or(Error::NotFound)?;
        removed.node.lose_name();
        state.touch(self.now());
        Ok(())
    }

    pub(super) fn remove_directory(&self, name: &[u8]) -> Result<()> {
        check_name(name)?;
        let removed;
        let mut state = self.state.write();
        let directory = state.directory_mut()?;
        directory.get(name).ok_or(Error::NotFound)?.die()?;
        removed = directory.remove(name);
        debug_assert!(removed.is_some());
        state.nlink -= 1;
        state.touch(self.now());
        Ok(())
    }

    /// A file or link has lost one of its names; the directory of it is locked.
    pub(super) fn lose_name(&self) {
        let mut state = self.state.write();
        state.nlink -= 1;
        state.changed = self.now();
        // The last name is counted with the node, until that goes.
        if state.nlink > 0 {
            self.space.nodes.give_back(1);
        }
    }

    /// An empty directory loses its name for good; the one it is in is locked.
    pub(super) fn die(&self) -> Result<()> {
        let mut state = self.state.write();
        let directory = state.directory_mut()?;
        if !directory.is_empty() {
            return Err(Error::NotEmpty);
        }
        directory.dead = true;
        state.nlink = 0;
        state.changed = self.now();
        Ok(())
    }

    /// The node as one of this filesystem.
    pub(super) fn recognise(&self, node: &NodeRef) -> Result<Arc<Inode>> {
        let inode = node.as_any().downcast_ref::<Inode>();
        inode
            .filter(|inode| Arc::ptr_eq(&inode.space, &self.space))
            .and_then(|inode| inode.me.upgrade())
            .ok_or(Error::CrossDevice)
    }
}
