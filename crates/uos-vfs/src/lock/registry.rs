//! Who holds and who waits. One lock for all of it, as whether somebody waits for itself is a question about all files.

use super::ranges::Ranges;
use super::{HeldLock, LockOwner, LockRange};
use crate::{Error, NodeId, NodeRef, Result};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::task::Waker;

/// The two kinds of locks, which know nothing of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Space {
    Ranges,
    Whole,
}

pub(super) type Key = (NodeId, Space);
pub(super) type WaitId = u64;

pub(super) struct Registry {
    pub(super) files: HashMap<Key, OnFile>,
    pub(super) owners: HashMap<LockOwner, Owned>,
    next: WaitId,
    most: usize,
}

/// What is locked and waited for of one file. There is none without any.
pub(super) struct OnFile {
    /// Keeps the number of the file from being given to another.
    pub(super) node: NodeRef,
    pub(super) held: BTreeMap<LockOwner, Ranges>,
    /// Who came first is in front.
    pub(super) waits: Vec<Wait>,
}

pub(super) struct Wait {
    pub(super) id: WaitId,
    pub(super) wish: HeldLock,
    /// None once it has been woken, until it has looked.
    pub(super) waker: Option<Waker>,
    /// It could go on and has been told so; until it has looked, those behind it that are in its way are not.
    pub(super) woken: bool,
}

/// Where an owner is to be found.
#[derive(Default)]
pub(super) struct Owned {
    holds: BTreeSet<Key>,
    pub(super) waits: BTreeSet<(Key, WaitId)>,
}

/// What follows from a change, once the lock is let go: all of it may run anything.
#[derive(Default)]
pub(super) struct After {
    pub(super) wakes: Vec<Waker>,
    spent: Vec<Waker>,
    pub(super) gone: Vec<NodeRef>,
}

impl After {
    pub(super) fn follow(self) {
        self.wakes.into_iter().for_each(Waker::wake);
        drop((self.spent, self.gone));
    }
}

impl Registry {
    pub(super) fn new(most: usize) -> Self {
        Registry { files: HashMap::new(), owners: HashMap::new(), next: 0, most }
    }

    pub(super) fn files(&self) -> usize {
        self.files.len()
    }

    /// The lock, if nobody is in the way.
    pub(super) fn ask(&mut self, key: Key, node: &NodeRef, wish: HeldLock, after: &mut After) -> Result<()> {
        self.take(key, node, wish)?;
        self.taken(key, wish.owner, after);
        Ok(())
    }

    /// The lock; or a place among those who wait, to be woken from.
    pub(super) fn ask_or_wait(
        &mut self,
        key: Key,
        node: &NodeRef,
        wish: HeldLock,
        before: Option<WaitId>,
        waker: Waker,
        after: &mut After,
    ) -> Result<Option<WaitId>> {
        if before.is_some_and(|id| self.wait(key, id).is_none()) {
            after.spent.push(waker);
            return Err(Error::BadDescriptor);
        }
        let refused = match self.take(key, node, wish) {
            Ok(()) => None,
            Err(Error::WouldBlock) if self.waits_for_itself(key, wish) => Some(Error::Deadlock),
            Err(Error::WouldBlock) => {
                let id = self.line_up(key, node, wish, before, waker, after);
                self.settle(key, after);
                return Ok(Some(id));
            }
            Err(error) => Some(error),
        };
        after.spent.push(waker);
        after.spent.extend(before.and_then(|id| self.leave(key, id)));
        self.taken(key, wish.owner, after);
        refused.map_or(Ok(None), Err)
    }

    fn take(&mut self, key: Key, node: &NodeRef, wish: HeldLock) -> Result<()> {
        if self.in_the_way(key, wish).next().is_some() {
            return Err(Error::WouldBlock);
        }
        self.on_file(key, node).held.entry(wish.owner).or_default();
        self.owners.entry(wish.owner).or_default().holds.insert(key);
        self.set(key, wish.owner, wish.range, Some(wish.kind))
    }

    /// After an owner has taken something.
    fn taken(&mut self, key: Key, owner: LockOwner, after: &mut After) {
        self.settle(key, after);
        // Who waits for this owner may now wait for itself, if the owner waits as well; then the owner has to look again.
        let waits: Vec<_> =
            self.owners.get(&owner).into_iter().flat_map(|owned| &owned.waits).copied().collect();
        for (key, id) in waits {
            after.wakes.extend(self.wait(key, id).and_then(|wait| wait.waker.take()));
        }
    }

    fn line_up(
        &mut self,
        key: Key,
        node: &NodeRef,
        wish: HeldLock,
        before: Option<WaitId>,
        waker: Waker,
        after: &mut After,
    ) -> WaitId {
        if key.1 == Space::Whole {
            // As flock(2) does: two who share it and each want it alone would wait for each other for ever.
            self.drop_held(key, wish.owner);
        }
        if let Some(id) = before
            && let Some(wait) = self.wait(key, id)
        {
            wait.woken = false;
            after.spent.extend(wait.waker.replace(waker));
            return id;
        }
        let id = self.next;
        self.next += 1;
        self.on_file(key, node).waits.push(Wait { id, wish, waker: Some(waker), woken: false });
        self.owners.entry(wish.owner).or_default().waits.insert((key, id));
        id
    }

    pub(super) fn unlock(
        &mut self,
        key: Key,
        owner: LockOwner,
        range: LockRange,
        after: &mut After,
    ) -> Result<()> {
        let done = self.set(key, owner, range, None);
        self.settle(key, after);
        done
    }

    pub(super) fn release(&mut self, key: Key, owner: LockOwner, after: &mut After) {
        self.drop_held(key, owner);
        self.settle(key, after);
    }

    /// The owner is no more.
    pub(super) fn end(&mut self, owner: LockOwner, after: &mut After) {
        let Some(owned) = self.owners.remove(&owner) else { return };
        for key in &owned.holds {
            self.drop_held(*key, owner);
            self.settle(*key, after);
        }
        for (key, id) in owned.waits {
            after.wakes.extend(self.leave(key, id));
            self.settle(key, after);
        }
    }

    /// Somebody waits no more.
    pub(super) fn give_up(&mut self, key: Key, id: WaitId, after: &mut After) {
        after.spent.extend(self.leave(key, id));
        self.settle(key, after);
    }

    pub(super) fn in_the_way(&self, key: Key, wish: HeldLock) -> impl Iterator<Item = HeldLock> {
        let held = self.files.get(&key).map(|file| &file.held);
        let others = held.into_iter().flatten().filter(move |(owner, _)| **owner != wish.owner);
        others.filter_map(move |(owner, ranges)| {
            let (range, kind) = ranges.in_the_way_of(wish.range, wish.kind)?;
            Some(HeldLock { owner: *owner, range, kind })
        })
    }

    pub(super) fn held(&self, key: Key) -> Vec<HeldLock> {
        let held = self.files.get(&key).map(|file| &file.held);
        let of = |(owner, ranges): (&LockOwner, &Ranges)| {
            let owner = *owner;
            ranges.iter().map(|(range, kind)| HeldLock { owner, range, kind }).collect::<Vec<_>>()
        };
        held.into_iter().flatten().flat_map(of).collect()
    }

    fn on_file(&mut self, key: Key, node: &NodeRef) -> &mut OnFile {
        self.files.entry(key).or_insert_with(|| OnFile {
            node: NodeRef::clone(node),
            held: BTreeMap::new(),
            waits: Vec::new(),
        })
    }

    fn wait(&mut self, key: Key, id: WaitId) -> Option<&mut Wait> {
        self.files.get_mut(&key)?.waits.iter_mut().find(|wait| wait.id == id)
    }

    fn set(
        &mut self,
        key: Key,
        owner: LockOwner,
        range: LockRange,
        kind: Option<super::LockKind>,
    ) -> Result<()> {
        let Some(ranges) = self.files.get_mut(&key).and_then(|file| file.held.get_mut(&owner)) else {
            return Ok(());
        };
        let done = ranges.set(range, kind, self.most);
        if ranges.is_empty() {
            self.drop_held(key, owner);
        }
        done
    }

    fn drop_held(&mut self, key: Key, owner: LockOwner) {
        if let Some(file) = self.files.get_mut(&key) {
            file.held.remove(&owner);
        }
        if let Some(owned) = self.owners.get_mut(&owner) {
            owned.holds.remove(&key);
            self.forget_idle(owner);
        }
    }

    /// Takes somebody out of the line; gives whom to wake or to forget.
    fn leave(&mut self, key: Key, id: WaitId) -> Option<Waker> {
        let file = self.files.get_mut(&key)?;
        let at = file.waits.iter().position(|wait| wait.id == id)?;
        let wait = file.waits.remove(at);
        if let Some(owned) = self.owners.get_mut(&wait.wish.owner) {
            owned.waits.remove(&(key, id));
            self.forget_idle(wait.wish.owner);
        }
        wait.waker
    }

    fn forget_idle(&mut self, owner: LockOwner) {
        if self.owners.get(&owner).is_some_and(|owned| owned.holds.is_empty() && owned.waits.is_empty()) {
            self.owners.remove(&owner);
        }
    }
}
