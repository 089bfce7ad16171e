//! A filesystem that begins as a snapshot of another. Nothing is copied when it is made: a directory takes
//! its entries over when somebody first looks into it, and what the files among them hold is shared until
//! one side changes it.

use super::content::Content;
use super::directory::Directory;
use super::inode::{Body, Home, Inode, Meta, State};
use super::names::lose_name;
use super::snapshot::{Pin, Snapshot, View};
use super::space::{Lane, Space};
use super::xattrs::Xattrs;
use super::{MemFs, inode::Extra};
use crate::{Error, Kind, Result};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

/// Where a directory that nobody has looked into has its entries.
pub(super) struct Source {
    /// Keeps them as they were.
    pin: Arc<Pin>,
    /// The directory they are in.
    origin: Arc<Inode>,
    /// How many there are.
    pub(super) len: usize,
    taking: Arc<Taking>,
}

/// What is the same for all that one fork takes over.
struct Taking {
    /// The epoch of the taker since which it has all of it.
    epoch: u64,
    /// Whether a node gets a new number, as one that has the old number may still be in use.
    renumbers: bool,
    /// Files with several names of which some have not been taken over yet, by number, and how many those
    /// are.
    linked: Mutex<HashMap<u64, (Arc<Inode>, u32)>>,
}

/// A node as it was, without its entries.
struct Then {
    meta: Meta,
    content: Content,
    xattrs: Option<Arc<Xattrs>>,
    target: Option<Box<[u8]>>,
    special: Option<crate::Special>,
    len: u64,
}

impl Then {
    fn of(origin: &Inode, epoch: u64) -> Self {
        let state = origin.state.read();
        let version = state.version_at(epoch);
        let mut then = Then {
            meta: version.map_or(state.meta, |version| version.meta),
            content: Content::default(),
            xattrs: match version {
                Some(version) => Some(Arc::clone(&version.xattrs)),
                None => state.extra.as_ref().map(|extra| Arc::clone(&extra.xattrs)),
            },
            target: None,
            special: None,
            len: version.map_or_else(|| state.body.measure(), |version| version.measure).0,
        };
        match &state.body {
            Body::File(now) => then.content = version.map_or(now, |version| &version.content).clone(),
            Body::Symlink(target) => then.target = Some(target.clone()),
            Body::Special(special) => then.special = Some(*special),
            Body::Directory(_) => {}
        }
        then
    }
}

pub(super) fn fork(view: &Arc<View>) -> MemFs {
    let space = &view.root.lane.space;
    let space = Arc::new(Space::new(Arc::clone(&space.hold), space.link_max, Arc::clone(&space.clock)));
    let taking = Arc::new(Taking { epoch: space.epochs.now(), renumbers: false, linked: Mutex::default() });
    let lane = Lane::new(&space);
    MemFs::new(taking.take_over(&view.pin, &view.root, &lane, Home::default()))
}

pub(super) fn restore(root: &Arc<Inode>, snapshot: &Snapshot) -> Result<()> {
    let (view, space) = (&snapshot.view, &root.lane.space);
    if !Arc::ptr_eq(&view.root.lane.space.hold, &space.hold) {
        return Err(Error::CrossDevice);
    }
    root.filled();
    view.root.filled();
    let then = Then::of(&view.root, view.epoch());
    // Whatever goes is freed after the locks.
    let mut gone = Vec::new();
    let _moving = space.moving.lock();
    let listed = view.root.state.read().directory()?.list_at(view.epoch(), 0);
    let mut state = root.state.write();
    let epoch = root.epoch();
    space.moves.count();
    let state = root.edit(&mut state, epoch);
    let directory = state.directory_mut()?;
    let names: Vec<Vec<u8>> = directory.after(0).map(|entry| entry.name.to_vec()).collect();
    for name in names {
        let Some(node) = directory.remove(&name, epoch, root.shown()) else { continue };
        let mut removed = node.state.write();
        let now = node.now();
        let removed_state = node.edit(&mut removed, epoch);
        if node.kind() == Kind::Directory {
            removed_state.die(now);
        } else {
            node.give_nodes_back(lose_name(&removed_state.meta));
            removed_state.meta.nlink -= 1;
            removed_state.meta.touch_attributes(now);
        }
        drop(removed);
        gone.push(node);
    }
    let taking = Arc::new(Taking { epoch, renumbers: true, linked: Mutex::default() });
    for entry in listed {
        let home = Home { dir: Weak::clone(&root.me), cookie: directory.next_cookie() };
        let node = taking.take_over(&view.pin, &entry.node, &directory.lane, home);
        directory.insert(&entry.name, node, epoch);
    }
    state.meta = then.meta;
    let old = match (&mut state.extra, then.xattrs) {
        (Some(extra), xattrs) => Some(std::mem::replace(&mut extra.xattrs, xattrs.unwrap_or_default())),
        (None, Some(xattrs)) => Some(std::mem::replace(&mut state.extra().xattrs, xattrs)),
        (None, None) => None,
    };
    root.give_bytes_back(old.map_or(0, Xattrs::release));
    Ok(())
}

impl Taking {
    /// A node of the taker that is what `origin` was then.
    fn take_over(
        self: &Arc<Self>,
        pin: &Arc<Pin>,
        origin: &Arc<Inode>,
        lane: &Arc<Lane>,
        home: Home,
    ) -> Arc<Inode> {
        let mut linked = self.linked.lock();
        if let Some((node, left)) = linked.get_mut(&origin.ino()) {
            let node = Arc::clone(node);
            *left -= 1;
            if *left == 0 {
                linked.remove(&origin.ino());
            }
            return node;
        }
        let then = Then::of(origin, pin.epoch);
        let is_dir = origin.kind() == Kind::Directory;
        // All names of a file are counted with the first that is taken over.
        let names = if is_dir { 1 } else { then.meta.nlink.max(1) };
        let target_bytes = then.target.as_ref().map_or(0, |target| target.len() as u64);
        lane.count_in(target_bytes, names.into());
        if let Some(account) = &origin.account {
            account.note(target_bytes, names.into());
        }
        let body = match (then.target, then.special) {
            _ if is_dir && then.len > 0 => Body::Directory(Box::new(Directory::unfilled(
                Lane::new(&lane.space),
                Source {
                    pin: Arc::clone(pin),
                    origin: Arc::clone(origin),
                    len: then.len as usize,
                    taking: Arc::clone(self),
                },
            ))),
            _ if is_dir => Body::Directory(Box::new(Directory::new(Lane::new(&lane.space)))),
            (Some(target), _) => Body::Symlink(target),
            (None, Some(special)) => Body::Special(special),
            (None, None) => Body::File(then.content),
        };
        let extra = then.xattrs.map(|xattrs| Box::new(Extra { xattrs, ..Extra::default() }));
        let state = State { since: self.epoch, meta: then.meta, body, home, extra };
        let ino = if self.renumbers { lane.next_ino() } else { origin.ino() };
        let node = Inode::with(lane, origin.account.clone(), ino, origin.kind(), state);
        if !is_dir && then.meta.nlink > 1 {
            linked.insert(origin.ino(), (Arc::clone(&node), then.meta.nlink - 1));
        }
        node
    }
}

impl Inode {
    /// Comes before every look at the entries of a directory. Only once does it do anything.
    #[inline]
    pub(super) fn filled(&self) {
        if self.unfilled.load(Ordering::Acquire) {
            self.fill();
        }
    }

    #[cold]
    fn fill(&self) {
        let mut state = self.state.write();
        let Ok(directory) = state.directory_mut() else { return };
        // Somebody else may have been quicker.
        let Some(source) = directory.take_source() else { return };
        // From the younger to the older: the locks there are never held by whoever waits for one here.
        source.origin.filled();
        let listed = source.origin.state.read().directory().map(|origin| origin.list_at(source.pin.epoch, 0));
        for entry in listed.into_iter().flatten() {
            let home = Home { dir: Weak::clone(&self.me), cookie: directory.next_cookie() };
            let node = source.taking.take_over(&source.pin, &entry.node, &directory.lane, home);
            directory.insert(&entry.name, node, source.taking.epoch);
        }
        self.unfilled.store(false, Ordering::Release);
        drop(state);
        // The past may be let go of by this, which locks many nodes: after our own lock.
        drop(source);
    }
}
