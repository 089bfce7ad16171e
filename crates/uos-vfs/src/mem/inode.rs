//! One node in memory: what never changes about it, and what does, behind its lock.

use super::content::{Balance, Content, LEN_MAX};
use super::directory::Directory;
use super::past::Past;
use super::space::Lane;
use super::xattrs::Xattrs;
use crate::{Account, Attr, Caller, Device, Error, Kind, NodeId, Owner, Result, SetAttr, Special, Timestamp};
use parking_lot::{RwLock, RwLockWriteGuard};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

pub(super) struct Inode {
    /// Itself, for whoever has to come back to it.
    pub(super) me: Weak<Inode>,
    /// Its number in the filesystem of the lane.
    ino: u64,
    kind: Kind,
    /// A directory of a fork that nobody has looked into yet; see [`fork`](super::fork).
    pub(super) unfilled: AtomicBool,
    /// Somebody may have been told its times since they were set, and the clock knows. Only who holds the lock looks at it or sets it.
    told: AtomicBool,
    /// What it counts against: the lane of the directory it was made in.
    pub(super) lane: Arc<Lane>,
    /// Who pays for it, however often it is taken over by forks: what those share with it is paid for once.
    pub(super) account: Option<Account>,
    pub(super) state: RwLock<State>,
}

pub(super) struct State {
    /// The epoch since which it is as it is.
    pub(super) since: u64,
    pub(super) meta: Meta,
    pub(super) body: Body,
    pub(super) home: Home,
    /// What most nodes have none of.
    pub(super) extra: Option<Box<Extra>>,
}

#[derive(Default)]
pub(super) struct Extra {
    pub(super) xattrs: Arc<Xattrs>,
    pub(super) past: Past,
}

/// Where a node is: for a directory its entry, nowhere for the root; for others one of their entries, the
/// one that was made last, or nowhere if that is gone and others are left.
#[derive(Clone, Default)]
pub(super) struct Home {
    pub(super) dir: Weak<Inode>,
    pub(super) cookie: u64,
}

/// When a node comes to be.
#[derive(Clone, Copy)]
pub(super) struct Born {
    pub(super) at: Timestamp,
    pub(super) epoch: u64,
}

/// The attributes that are kept rather than computed.
#[derive(Clone, Copy)]
pub(super) struct Meta {
    pub(super) nlink: u32,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) accessed: Moment,
    pub(super) modified: Moment,
    pub(super) changed: Moment,
    pub(super) born: Moment,
}

/// A [`Timestamp`] without the gap at its end.
#[derive(Clone, Copy)]
#[repr(Rust, packed(4))]
pub(super) struct Moment {
    secs: i64,
    nanos: u32,
}

pub(super) enum Body {
    File(Content),
    Directory(Box<Directory>),
    Symlink(Box<[u8]>),
    Special(Special),
}

impl Inode {
    /// A node with one name, or for a directory two, made in an epoch. Its space was taken before, and charged.
    pub(super) fn new(
        lane: &Arc<Lane>,
        account: Option<Account>,
        owner: Owner,
        body: Body,
        home: Home,
        born: Born,
    ) -> Arc<Self> {
        let now = born.at.into();
        let meta = Meta {
            nlink: if owner.kind == Kind::Directory { 2 } else { 1 },
            mode: owner.mode,
            uid: owner.uid,
            gid: owner.gid,
            accessed: now,
            modified: now,
            changed: now,
            born: now,
        };
        let state = State { since: born.epoch, meta, body, home, extra: None };
        let node = Inode::with(lane, account, lane.next_ino(), owner.kind, state);
        node.is_news();
        node
    }

    /// A node of that number and state, for which all has been counted and charged.
    pub(super) fn with(
        lane: &Arc<Lane>,
        account: Option<Account>,
        ino: u64,
        kind: Kind,
        state: State,
    ) -> Arc<Self> {
        let unfilled = state.directory().is_ok_and(Directory::is_unfilled);
        Arc::new_cyclic(|me| Inode {
            me: Weak::clone(me),
            ino,
            kind,
            unfilled: AtomicBool::new(unfilled),
            told: AtomicBool::new(true),
            lane: Arc::clone(lane),
            account,
            state: RwLock::new(state),
        })
    }

    pub(super) fn id(&self) -> NodeId {
        NodeId { fs: self.lane.space.fs, ino: self.ino, generation: 0 }
    }

    pub(super) fn ino(&self) -> u64 {
        self.ino
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// A directory that is nowhere, and has not been removed.
    pub(super) fn is_root(&self) -> bool {
        let state = self.state.read();
        let nowhere = Weak::ptr_eq(&state.home.dir, &Weak::new());
        self.kind == Kind::Directory && nowhere && state.meta.nlink > 0
    }

    /// Takes room for bytes of this node, and charges it, or does neither.
    pub(super) fn take_bytes(&self, asked: u64) -> Result<()> {
        let Some(account) = self.account.as_ref().filter(|_| asked > 0) else {
            return self.lane.take_bytes(asked);
        };
        account.take(asked, 0)?;
        self.lane.take_bytes(asked).inspect_err(|_| account.give_back(asked, 0))
    }

    pub(super) fn give_bytes_back(&self, amount: u64) {
        if let Some(account) = self.account.as_ref().filter(|_| amount > 0) {
            account.give_back(amount, 0);
        }
        self.lane.give_bytes_back(amount);
    }

    /// Takes room for a further name, and charges it, or does neither.
    pub(super) fn take_name(&self) -> Result<()> {
        let Some(account) = &self.account else { return self.lane.take_node() };
        account.take(0, 1)?;
        self.lane.take_node().inspect_err(|_| account.give_back(0, 1))
    }

    /// Further names have gone.
    pub(super) fn give_nodes_back(&self, amount: u64) {
        if let Some(account) = self.account.as_ref().filter(|_| amount > 0) {
            account.give_back(0, amount);
        }
        self.lane.give_nodes_back(amount);
    }

    /// Gives back what was taken for a change and not needed, and what the change has set free.
    pub(super) fn settle(&self, taken: u64, balance: Balance) {
        debug_assert!(balance.added <= taken, "{balance:?} of {taken}");
        self.give_bytes_back(taken - balance.added + balance.freed);
    }

    /// The time of a change to what is locked already: before, somebody else might get a later one and be seen with it first.
    pub(super) fn now(&self) -> Timestamp {
        self.lane.space.clock.now()
    }

    /// The time of a change in an epoch to what is locked: another than anybody has seen here before. As long as nobody has seen
    /// any, about now is as good, and takes a fraction of the time to ask for.
    #[inline]
    pub(super) fn moment(&self, state: &State, epoch: u64) -> Timestamp {
        // Of what was before this epoch a snapshot may show the times.
        if self.told.load(Ordering::Relaxed) || state.since != epoch {
            self.now()
        } else {
            self.lane.space.clock.about_now()
        }
    }

    /// Its times have been set to such a moment, and it is still locked.
    #[inline]
    pub(super) fn is_news(&self) {
        self.told.store(false, Ordering::Relaxed);
    }

    /// The epoch of an operation that holds all the locks it is going to need.
    pub(super) fn epoch(&self) -> u64 {
        self.lane.space.epochs.now()
    }

    /// Whether a snapshot may show what has been since an epoch.
    pub(super) fn shown(&self) -> impl Fn(u64) -> bool + Copy + '_ {
        |since| self.lane.space.epochs.shows(since)
    }

    /// The state, about to change in an epoch: what a snapshot shows of it is put aside first.
    #[inline]
    pub(super) fn edit<'a>(&self, state: &'a mut RwLockWriteGuard<'_, State>, epoch: u64) -> &'a mut State {
        if state.since != epoch {
            self.begin_epoch(state, epoch);
        }
        state
    }

    #[cold]
    fn begin_epoch(&self, state: &mut State, epoch: u64) {
        if self.lane.space.epochs.shows(state.since) {
            state.put_aside(epoch - 1);
            self.lane.space.epochs.record(epoch, Weak::clone(&self.me));
        }
        state.since = epoch;
    }

    /// What it is, told to somebody. Made where it is wanted, and not copied there.
    #[inline(always)]
    pub(super) fn attributes(&self) -> Attr {
        let state = self.state.read();
        self.tell(&state)
    }

    /// What somebody is told about it as it is, which is locked.
    #[inline(always)]
    pub(super) fn tell(&self, state: &State) -> Attr {
        if !self.told.load(Ordering::Acquire) {
            self.is_told(state.meta.changed.into());
        }
        self.attributes_of(&state.meta, state.body.measure(), &state.body)
    }

    /// In this order: whoever finds it told, which others may be told at the same time, knows that the clock knows.
    #[cold]
    fn is_told(&self, changed: Timestamp) {
        self.lane.space.clock.told(changed);
        self.told.store(true, Ordering::Release);
    }

    /// The attributes by these facts about it, which may be of the past.
    #[inline(always)]
    pub(super) fn attributes_of(&self, meta: &Meta, (size, stored): (u64, u64), body: &Body) -> Attr {
        Attr {
            id: self.id(),
            kind: self.kind,
            size,
            blocks_512: stored.div_ceil(512),
            nlink: meta.nlink.into(),
            mode: meta.mode,
            uid: meta.uid,
            gid: meta.gid,
            device: if let Body::Special(special) = body { special.device() } else { Device::default() },
            accessed: meta.accessed.into(),
            modified: meta.modified.into(),
            changed: meta.changed.into(),
            born: Some(meta.born.into()),
        }
    }

    pub(super) fn set_attributes(&self, by: &Caller, set: &SetAttr) -> Result<Attr> {
        let mut state = self.state.write();
        let then = by.judge_change(self.owner(&state.meta), set)?;
        // As Linux has it: cutting a file to the length it has is no change.
        let cuts = set.size.is_some_and(|len| len != state.body.measure().0);
        if cuts || (SetAttr { size: None, ..*set }) != SetAttr::default() || then.mode != state.meta.mode {
            let (epoch, now) = (self.epoch(), self.now());
            let state = self.edit(&mut state, epoch);
            if let Some(len) = set.size.filter(|_| cuts) {
                self.set_content_len(state, len)?;
                state.meta.touch(now);
            }
            let meta = &mut state.meta;
            (meta.mode, meta.uid, meta.gid) = (then.mode, then.uid, then.gid);
            meta.accessed = set.accessed.map_or(meta.accessed, |time| time.at(now).into());
            meta.modified = set.modified.map_or(meta.modified, |time| time.at(now).into());
            meta.touch_attributes(now);
        }
        Ok(self.tell(&state))
    }

    /// Cuts or extends what a file holds, which is being edited.
    pub(super) fn set_content_len(&self, state: &mut State, len: u64) -> Result<()> {
        if len > LEN_MAX {
            return Err(Error::TooBig);
        }
        if let Body::File(content) = &mut state.body {
            let cost = content.cost_of_len(len);
            self.take_bytes(cost)?;
            self.settle(cost, content.set_len(len));
        }
        Ok(())
    }

    pub(super) fn owner(&self, meta: &Meta) -> Owner {
        Owner { uid: meta.uid, gid: meta.gid, mode: meta.mode, kind: self.kind }
    }
}

impl State {
    /// An entry of the node has gone.
    pub(super) fn leave(&mut self, dir: &Inode, cookie: u64) {
        if self.home.cookie == cookie && Weak::ptr_eq(&self.home.dir, &dir.me) {
            self.home = Home::default();
        }
    }

    pub(super) fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

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
}

impl Meta {
    /// As it was written down: last read, last change, last change of attributes, birth. Names are counted
    /// anew.
    pub(super) fn restored(owner: Owner, times: [Timestamp; 4]) -> Self {
        let [accessed, modified, changed, born] = times.map(Moment::from);
        let nlink = if owner.kind == Kind::Directory { 2 } else { 1 };
        Meta { nlink, mode: owner.mode, uid: owner.uid, gid: owner.gid, accessed, modified, changed, born }
    }

    /// Marks the content as changed.
    pub(super) fn touch(&mut self, now: Timestamp) {
        self.modified = now.into();
        self.changed = now.into();
    }

    /// Marks the attributes as changed.
    pub(super) fn touch_attributes(&mut self, now: Timestamp) {
        self.changed = now.into();
    }
}

impl Body {
    /// The length, and the bytes that take memory.
    pub(super) fn measure(&self) -> (u64, u64) {
        match self {
            Body::File(content) => (content.len(), content.stored()),
            Body::Directory(directory) => (directory.len() as u64, 0),
            Body::Symlink(target) => (target.len() as u64, 0),
            Body::Special(_) => (0, 0),
        }
    }
}

impl From<Timestamp> for Moment {
    fn from(time: Timestamp) -> Self {
        Moment { secs: time.secs, nanos: time.nanos }
    }
}

impl From<Moment> for Timestamp {
    fn from(moment: Moment) -> Self {
        Timestamp { secs: moment.secs, nanos: moment.nanos }
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
        let mut bytes = 0;
        if let Some(extra) = state.extra.take() {
            bytes += extra.past.release() + Xattrs::release(extra.xattrs);
        }
        match std::mem::replace(&mut state.body, Body::Special(Special::Fifo)) {
            Body::File(content) => bytes += content.release(),
            Body::Symlink(target) => bytes += target.len() as u64,
            Body::Directory(_) | Body::Special(_) => {}
        }
        self.lane.give_bytes_back(bytes);
        // Names are left only if the directories that held them are gone too.
        let names = if self.kind == Kind::Directory { 1 } else { state.meta.nlink.max(1) };
        if let Some(account) = &self.account {
            account.give_back(bytes, names.into());
        }
        self.lane.give_nodes_back(names.into());
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
