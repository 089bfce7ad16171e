//! Giving names to nodes and taking them away, within one directory.

use super::inode::{Body, Inode};
use crate::{Caller, Error, Kind, Name, NodeRef, Result, Want};
use std::sync::Arc;

impl Inode {
    pub(super) fn find(&self, by: &Caller, name: Name<'_>) -> Result<Arc<Inode>> {
        let state = self.state.read();
        let directory = state.directory()?;
        by.check(self.owner(&state), Want::SEARCH)?;
        directory.get(name.as_bytes()).cloned().ok_or(Error::NotFound)
    }

    /// Makes a node under a free name.
    pub(super) fn make(
        &self,
        by: &Caller,
        name: Name<'_>,
        kind: Kind,
        mode: u32,
        body: Body,
    ) -> Result<NodeRef> {
        let mut state = self.state.write();
        let owner = self.owner(&state);
        let directory = state.directory_mut()?;
        by.check(owner, Want::SEARCH)?;
        if directory.dead {
            return Err(Error::NotFound);
        }
        if directory.contains(name.as_bytes()) {
            return Err(Error::Exists);
        }
        by.check(owner, Want::WRITE)?;
        let bytes = if let Body::Symlink(target) = &body { target.len() as u64 } else { 0 };
        self.space.nodes.take(1)?;
        if let Err(error) = self.space.bytes.take(bytes) {
            self.space.nodes.give_back(1);
            return Err(error);
        }
        let node = Inode::new(&self.space, by.owner_of_new(owner, kind, mode), body);
        if let Body::Directory(made) = &mut node.state.write().body {
            made.parent = self.me.clone();
        }
        directory.insert(name.as_bytes(), node.clone());
        state.nlink += u64::from(kind == Kind::Directory);
        state.touch(self.now());
        Ok(node)
    }

    pub(super) fn make_link(&self, by: &Caller, name: Name<'_>, node: &NodeRef) -> Result<()> {
        let node = self.recognise(node)?;
        let mut state = self.state.write();
        let owner = self.owner(&state);
        let directory = state.directory_mut()?;
        by.check(owner, Want::SEARCH)?;
        if directory.dead {
            return Err(Error::NotFound);
        }
        if directory.contains(name.as_bytes()) {
            return Err(Error::Exists);
        }
        by.check(owner, Want::WRITE)?;
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
        directory.insert(name.as_bytes(), node);
        state.touch(now);
        Ok(())
    }

    pub(super) fn remove_file(&self, by: &Caller, name: Name<'_>) -> Result<()> {
        // Declared before the lock, so that what was removed is freed after it.
        let removed;
        let mut state = self.state.write();
        let owner = self.owner(&state);
        let directory = state.directory_mut()?;
        by.check(owner, Want::SEARCH)?;
        let victim = directory.get(name.as_bytes()).ok_or(Error::NotFound)?;
        by.check(owner, Want::WRITE)?;
        by.check_sticky(owner, victim.state.read().uid())?;
        if victim.kind == Kind::Directory {
            return Err(Error::IsADirectory);
        }
        removed = directory.remove(name.as_bytes()).ok_or(Error::NotFound)?;
        removed.node.lose_name();
        state.touch(self.now());
        Ok(())
    }

    pub(super) fn remove_directory(&self, by: &Caller, name: Name<'_>) -> Result<()> {
        let removed;
        let mut state = self.state.write();
        let owner = self.owner(&state);
        let directory = state.directory_mut()?;
        by.check(owner, Want::SEARCH)?;
        let victim = directory.get(name.as_bytes()).ok_or(Error::NotFound)?;
        by.check(owner, Want::WRITE)?;
        by.check_sticky(owner, victim.state.read().uid())?;
        victim.die()?;
        removed = directory.remove(name.as_bytes());
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
        let inode = NodeRef::clone(node).into_any().downcast::<Inode>().ok();
        inode.filter(|inode| Arc::ptr_eq(&inode.space, &self.space)).ok_or(Error::CrossDevice)
    }
}
