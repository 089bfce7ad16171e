//! One node in memory: what never changes about it, and what does, behind its lock.

use super::content::{Content, LEN_MAX};
use super::directory::Directory;
use super::space::Space;
use crate::{Attr, Caller, Device, Error, Kind, NodeId, Owner, Result, SetAttr, Timestamp};
use parking_lot::RwLock;
use std::sync::{Arc, Weak};

pub(super) struct Inode {
    pub(super) id: NodeId,
    pub(super) kind: Kind,
    pub(super) space: Arc<Space>,
    /// Itself: a new name for a node given by reference, and the parent of a new directory, need it.
    pub(super) me: Weak<Inode>,
    pub(super) state: RwLock<State>,
}

pub(super) struct State {
    pub(super) nlink: u64,
    pub(super) body: Body,
    pub(super) modified: Timestamp,
    pub(super) changed: Timestamp,
    accessed: Timestamp,
    born: Timestamp,
    mode: u32,
    uid: u32,
    gid: u32,
}

pub(super) enum Body {
    File(Content),
    Directory(Box<Directory>),
    Symlink(Box<[u8]>),
    Special(Device),
}

impl Body {
    pub(super) fn empty_file() -> Self {
        Body::File(Content::default())
    }

    pub(super) fn empty_directory() -> Self {
        Body::Directory(Box::default())
    }
}

impl Inode {
    /// A node with one name, or for a directory two. Its space was taken before.
    pub(super) fn new(space: &Arc<Space>, owner: Owner, body: Body) -> Arc<Self> {
        let now = space.clock.now();
        let state = State {
            nlink: if owner.kind == Kind::Directory { 2 } else { 1 },
            body,
            modified: now,
            changed: now,
            accessed: now,
            born: now,
            mode: owner.mode,
            uid: owner.uid,
            gid: owner.gid,
        };
        Arc::new_cyclic(|me| Inode {
            id: space.next_id(),
            kind: owner.kind,
            space: space.clone(),
            me: me.clone(),
            state: RwLock::new(state),
        })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.space.clock.now()
    }

    pub(super) fn attributes(&self) -> Attr {
        self.attributes_of(&self.state.read())
    }

    fn attributes_of(&self, state: &State) -> Attr {
        let (size, stored) = match &state.body {
            Body::File(content) => (content.len(), content.stored()),
            Body::Directory(directory) => (directory.len() as u64, 0),
            Body::Symlink(target) => (target.len() as u64, 0),
            Body::Special(_) => (0, 0),
        };
        let device = if let Body::Special(device) = state.body { device } else { Device::default() };
        Attr {
            id: self.id,
            kind: self.kind,
            size,
            blocks_512: stored.div_ceil(512),
            nlink: state.nlink,
            mode: state.mode,
            uid: state.uid,
            gid: state.gid,
            device,
            accessed: state.accessed,
            modified: state.modified,
            changed: state.changed,
            born: Some(state.born),
        }
    }

    pub(super) fn set_attributes(&self, by: &Caller, set: &SetAttr) -> Result<Attr> {
        let now = self.now();
        let mut state = self.state.write();
        let state = &mut *state;
        let then = by.judge_change(self.owner(state), set)?;
        if let (Some(len), Body::File(content)) = (set.size, &mut state.body) {
            self.cut(content, len)?;
            state.modified = now;
        }
        (state.mode, state.uid, state.gid) = (then.mode, then.uid, then.gid);
        state.accessed = set.accessed.map_or(state.accessed, |time| time.at(now));
        state.modified = set.modified.map_or(state.modified, |time| time.at(now));
        if *set != SetAttr::default() {
            state.changed = now;
        }
        Ok(self.attributes_of(state))
    }

    pub(super) fn owner(&self, state: &State) -> Owner {
        Owner { uid: state.uid, gid: state.gid, mode: state.mode, kind: self.kind }
    }

    /// Changes the length of a file's content and gives back what it no longer stores.
    pub(super) fn cut(&self, content: &mut Content, len: u64) -> Result<()> {
        if len > LEN_MAX {
            return Err(Error::TooBig);
        }
        let before = content.stored();
        content.set_len(len);
        self.space.bytes.change(before, content.stored())
    }
}

impl Drop for Inode {
    /// Gives back what it held. Directories fall apart in a loop: their depth is up to the clients, the
    /// depth of our stack is not.
    fn drop(&mut self) {
        let mut orphans: Vec<Arc<Inode>> = self.take_children().collect();
        while let Some(orphan) = orphans.pop() {
            if let Some(mut last) = Arc::into_inner(orphan) {
                orphans.extend(last.take_children());
            }
        }
        let state = self.state.get_mut();
        match &state.body {
            Body::File(content) => self.space.bytes.give_back(content.stored()),
            Body::Symlink(target) => self.space.bytes.give_back(target.len() as u64),
            Body::Special(_) => {}
            Body::Directory(_) => return self.space.nodes.give_back(1),
        }
        // Names are left only if the directories that held them are gone too.
        self.space.nodes.give_back(state.nlink.max(1));
    }
}

impl Inode {
    fn take_children(&mut self) -> impl Iterator<Item = Arc<Inode>> {
        let directory = match &mut self.state.get_mut().body {
            Body::Directory(directory) => Some(directory),
            _ => None,
        };
        directory.into_iter().flat_map(|directory| directory.take_nodes())
    }
}

impl State {
    pub(super) fn directory(&self) -> Result<&Directory> {
        match &self.body {
            Body::Directory(directory) => Ok(directory),
            _ => Err(Error::NotADirectory),
        }
    }

    pub(super) fn directory_mut(&mut self) -> Result<&mut Directory> {
        match &mut self.body {
            Body::Directory(directory) => Ok(directory),
            _ => Err(Error::NotADirectory),
        }
    }

    pub(super) fn uid(&self) -> u32 {
        self.uid
    }

    /// Marks the content as changed.
    pub(super) fn touch(&mut self, now: Timestamp) {
        self.modified = now;
        self.changed = now;
    }
}
