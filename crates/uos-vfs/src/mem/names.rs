//! Giving names to nodes and taking them away, within one directory.

use super::directory::Directory;
use super::inode::{Body, Born, Home, Inode, Meta, State};
use super::space::Lane;
use crate::{Caller, Error, Kind, Name, NodeRef, Owner, Result, Want};
use std::sync::Arc;
use std::sync::Weak;

/// What is to be made.
pub(super) enum New<'a> {
    File,
    Directory,
    Symlink(&'a [u8]),
    Special(crate::Special),
}

impl New<'_> {
    fn kind(&self) -> Kind {
        match self {
            New::File => Kind::File,
            New::Directory => Kind::Directory,
            New::Symlink(_) => Kind::Symlink,
            New::Special(special) => special.kind(),
        }
    }

    /// Bytes that it takes from the beginning.
    fn bytes(&self) -> u64 {
        if let New::Symlink(target) = self { target.len() as u64 } else { 0 }
    }

    fn body(&self, lane: &Arc<Lane>) -> Body {
        match self {
            New::File => Body::File(Default::default()),
            New::Directory => Body::Directory(Box::new(Directory::new(Lane::new(&lane.space)))),
            New::Symlink(target) => Body::Symlink((*target).into()),
            New::Special(special) => Body::Special(*special),
        }
    }
}

impl Inode {
    #[inline]
    pub(super) fn find(&self, by: &Caller, name: Name<'_>) -> Result<Arc<Inode>> {
        self.filled();
        let state = self.state.read();
        let directory = state.directory()?;
        by.check(self.owner(&state.meta), Want::SEARCH)?;
        directory.get(name.as_bytes()).cloned().ok_or(Error::NotFound)
    }

    /// Makes a node under a free name.
    pub(super) fn make(&self, by: &Caller, name: Name<'_>, new: &New<'_>, mode: u32) -> Result<Arc<Inode>> {
        self.filled();
        let mut state = self.state.write();
        let owner = self.check_free(&state, by, name)?;
        let is_dir = matches!(new, New::Directory);
        if is_dir && state.meta.nlink >= self.lane.space.link_max {
            return Err(Error::LinkLimit);
        }
        let lane = &state.directory()?.lane;
        let bytes = new.bytes();
        if let Some(account) = &by.account {
            account.take(bytes, 1)?;
        }
        lane.take_new(bytes).inspect_err(|_| {
            if let Some(account) = &by.account {
                account.give_back(bytes, 1);
            }
        })?;
        let epoch = self.epoch();
        let now = self.moment(&state, epoch);
        let born = Born { at: now, epoch };
        let owner = by.owner_of_new(owner, new.kind(), mode);
        let home = Home { dir: Weak::clone(&self.me), cookie: state.directory()?.next_cookie() };
        let node = Inode::new(lane, by.account.clone(), owner, new.body(lane), home, born);
        let state = self.edit(&mut state, epoch);
        state.directory_mut()?.insert(name.as_bytes(), Arc::clone(&node), epoch);
        state.meta.nlink += u32::from(is_dir);
        state.meta.touch(now);
        self.is_news();
        Ok(node)
    }

    pub(super) fn make_link(&self, by: &Caller, name: Name<'_>, node: &NodeRef) -> Result<()> {
        let node = self.recognise(node)?;
        self.filled();
        let mut state = self.state.write();
        self.check_free(&state, by, name)?;
        if node.kind() == Kind::Directory {
            return Err(Error::NotPermitted);
        }
        let mut linked = node.state.write();
        if linked.meta.nlink == 0 {
            return Err(Error::NotFound);
        }
        if linked.meta.nlink >= self.lane.space.link_max {
            return Err(Error::LinkLimit);
        }
        node.take_name()?;
        let (epoch, now) = (self.epoch(), self.now());
        let linked_state = node.edit(&mut linked, epoch);
        linked_state.meta.nlink += 1;
        linked_state.meta.touch_attributes(now);
        linked_state.home = Home { dir: Weak::clone(&self.me), cookie: state.directory()?.next_cookie() };
        drop(linked);
        let state = self.edit(&mut state, epoch);
        state.directory_mut()?.insert(name.as_bytes(), node, epoch);
        state.meta.touch(now);
        Ok(())
    }

    pub(super) fn remove_file(&self, by: &Caller, name: Name<'_>) -> Result<()> {
        self.filled();
        // Declared before the locks, it is freed after them, which may take a while.
        let _gone;
        let mut state = self.state.write();
        let (node, cookie) = self.find_to_remove(&state, by, name)?;
        let mut removed = node.state.write();
        by.check_sticky(self.owner(&state.meta), removed.meta.uid)?;
        if node.kind() == Kind::Directory {
            return Err(Error::IsADirectory);
        }
        let epoch = self.epoch();
        let now = self.moment(&state, epoch).max(node.moment(&removed, epoch));
        let freed = lose_name(&node.edit(&mut removed, epoch).meta);
        removed.meta.nlink -= 1;
        removed.meta.touch_attributes(now);
        removed.leave(self, cookie);
        drop(removed);
        node.give_nodes_back(freed);
        let state = self.edit(&mut state, epoch);
        _gone = state.directory_mut()?.remove(name.as_bytes(), epoch, self.shown());
        state.meta.touch(now);
        self.is_news();
        Ok(())
    }

    pub(super) fn remove_directory(&self, by: &Caller, name: Name<'_>) -> Result<()> {
        self.filled();
        let _gone;
        let mut state = self.state.write();
        let (node, _) = self.find_to_remove(&state, by, name)?;
        let mut removed = node.state.write();
        by.check_sticky(self.owner(&state.meta), removed.meta.uid)?;
        if removed.directory()?.len() > 0 {
            return Err(Error::NotEmpty);
        }
        let (epoch, now) = (self.epoch(), self.now());
        self.lane.space.moves.count();
        node.edit(&mut removed, epoch).die(now);
        drop(removed);
        let state = self.edit(&mut state, epoch);
        _gone = state.directory_mut()?.remove(name.as_bytes(), epoch, self.shown());
        state.meta.nlink -= 1;
        state.meta.touch(now);
        Ok(())
    }

    /// Whether a caller may make an entry of a name that must be free.
    fn check_free(&self, state: &State, by: &Caller, name: Name<'_>) -> Result<Owner> {
        let directory = state.directory()?;
        let owner = self.owner(&state.meta);
        by.check(owner, Want::SEARCH)?;
        if directory.dead {
            return Err(Error::NotFound);
        }
        if directory.get(name.as_bytes()).is_some() {
            return Err(Error::Exists);
        }
        by.check(owner, Want::WRITE)?;
        directory.check_room()?;
        Ok(owner)
    }

    /// What a caller wants to remove, if it may write here, and the cookie of its entry.
    pub(super) fn find_to_remove<'a>(
        &self,
        state: &'a State,
        by: &Caller,
        name: Name<'_>,
    ) -> Result<(&'a Arc<Inode>, u64)> {
        let directory = state.directory()?;
        let owner = self.owner(&state.meta);
        by.check(owner, Want::SEARCH)?;
        let (node, cookie) = directory.entry(name.as_bytes()).ok_or(Error::NotFound)?;
        by.check(owner, Want::WRITE)?;
        Ok((node, cookie))
    }

    /// The node as one of this filesystem.
    pub(super) fn recognise(&self, node: &NodeRef) -> Result<Arc<Inode>> {
        let inode = NodeRef::clone(node).into_any().downcast::<Inode>().ok();
        inode.filter(|inode| Arc::ptr_eq(&inode.lane.space, &self.lane.space)).ok_or(Error::CrossDevice)
    }
}

/// How many nodes are given back by taking a name away: the last one is counted with the node, until
/// that goes.
pub(super) fn lose_name(meta: &Meta) -> u64 {
    u64::from(meta.nlink > 1)
}

impl State {
    /// An empty directory loses its name for good.
    pub(super) fn die(&mut self, now: crate::Timestamp) {
        if let Body::Directory(directory) = &mut self.body {
            directory.dead = true;
        }
        self.meta.nlink = 0;
        self.meta.touch_attributes(now);
    }
}
