//! The entries of one directory, by name and in the order they came, as they are and as far as snapshots
//! show it as they were.

mod past;

use super::fork::Source;
use super::inode::Inode;
use super::space::Lane;
use super::stored_name::StoredName;
use crate::{Error, Result};
use hashbrown::HashTable;
use past::Past;
use std::hash::BuildHasher;
use std::sync::Arc;

/// As many entries are looked through one by one, which is quicker than hashing a name.
const SCANNED: usize = 8;
/// Below this many, removed entries are not worth moving the others for.
const FEW: usize = 32;

/// In cache lines of its own: who works in one directory must not hold up who works in the next.
#[repr(align(128))]
pub(super) struct Directory {
    /// What the entries count against.
    pub(super) lane: Arc<Lane>,
    /// It was removed and takes no entries any more.
    pub(super) dead: bool,
    /// In the order of their cookies. A cookie says where a listing goes on; it stays with its entry and
    /// is not used again, so entries that stay are neither missed nor seen twice.
    slots: Vec<Slot>,
    live: usize,
    /// Where in `slots` each name is, once there are so many of them. Hashed with random keys, by a hash meant for short keys: looking
    /// names up is much of what resolving a path does.
    index: HashTable<u32>,
    indexed: bool,
    last_cookie: u64,
    past: Option<Box<Past>>,
    /// Where the entries are that it does not have yet.
    source: Option<Box<Source>>,
}

/// One entry, or a gap where one was.
struct Slot {
    cookie: u64,
    /// The epoch since which it is as it is.
    born: u64,
    name: StoredName,
    node: Option<Arc<Inode>>,
}

/// An entry as a listing shows it.
pub(super) struct Listed<'a> {
    pub(super) name: &'a [u8],
    pub(super) node: &'a Arc<Inode>,
    pub(super) cookie: u64,
}

impl Directory {
    pub(super) fn new(lane: Arc<Lane>) -> Self {
        Directory {
            lane,
            dead: false,
            slots: Vec::new(),
            live: 0,
            index: HashTable::new(),
            indexed: false,
            last_cookie: 0,
            past: None,
            source: None,
        }
    }

    /// One whose entries are taken from elsewhere when somebody looks.
    pub(super) fn unfilled(lane: Arc<Lane>, source: Source) -> Self {
        Directory { source: Some(Box::new(source)), ..Directory::new(lane) }
    }

    pub(super) fn is_unfilled(&self) -> bool {
        self.source.is_some()
    }

    pub(super) fn take_source(&mut self) -> Option<Box<Source>> {
        self.source.take()
    }

    pub(super) fn len(&self) -> usize {
        self.source.as_ref().map_or(self.live, |source| source.len)
    }

    /// The cookie that the next entry gets.
    pub(super) fn next_cookie(&self) -> u64 {
        self.last_cookie + 1
    }

    /// The cookie of an entry; 0 if there is none.
    pub(super) fn cookie_of(&self, name: &[u8]) -> u64 {
        self.find(name).map_or(0, |at| self.slots[at].cookie)
    }

    /// What has a name, and the cookie of its entry.
    pub(super) fn entry(&self, name: &[u8]) -> Option<(&Arc<Inode>, u64)> {
        let slot = &self.slots[self.find(name)?];
        Some((slot.node.as_ref()?, slot.cookie))
    }

    /// Whether one more entry can be counted, gaps included.
    pub(super) fn check_room(&self) -> Result<()> {
        let (capacity, used) = (u32::MAX.into(), self.slots.len() as u64);
        if used < capacity { Ok(()) } else { Err(Error::NoSpace { capacity, used, asked: 1 }) }
    }

    #[inline]
    pub(super) fn get(&self, name: &[u8]) -> Option<&Arc<Inode>> {
        self.slots[self.find(name)?].node.as_ref()
    }

    /// Adds an entry under a free name, last in order.
    pub(super) fn insert(&mut self, name: &[u8], node: Arc<Inode>, epoch: u64) {
        self.last_cookie += 1;
        let slot =
            Slot { cookie: self.last_cookie, born: epoch, name: StoredName::new(name), node: Some(node) };
        self.slots.push(slot);
        self.live += 1;
        self.enter(self.slots.len() - 1);
    }

    /// Takes an entry out. `shown` says whether a snapshot may show what has been since an epoch.
    pub(super) fn remove(
        &mut self,
        name: &[u8],
        epoch: u64,
        shown: impl Fn(u64) -> bool,
    ) -> Option<Arc<Inode>> {
        let at = self.leave(name)?;
        let slot = &mut self.slots[at];
        let (name, node) = (std::mem::take(&mut slot.name), slot.node.take()?);
        let before = (slot.cookie, slot.born);
        slot.born = epoch;
        self.keep(&name, &node, before, epoch, shown);
        self.live -= 1;
        self.close_gaps();
        Some(node)
    }

    /// Puts another node under a name, which keeps its place in order.
    pub(super) fn replace(
        &mut self,
        name: &[u8],
        node: Arc<Inode>,
        epoch: u64,
        shown: impl Fn(u64) -> bool,
    ) -> Option<Arc<Inode>> {
        let at = self.find(name)?;
        let slot = &mut self.slots[at];
        let old = slot.node.replace(node)?;
        let (name, before) = (slot.name.clone(), (slot.cookie, slot.born));
        slot.born = epoch;
        self.keep(&name, &old, before, epoch, shown);
        Some(old)
    }

    /// Gives an entry another, free name; it keeps its place in order.
    pub(super) fn rename(&mut self, name: &[u8], to: &[u8], epoch: u64, shown: impl Fn(u64) -> bool) {
        let Some(at) = self.leave(name) else { return };
        let slot = &mut self.slots[at];
        let old = std::mem::replace(&mut slot.name, StoredName::new(to));
        let before = (slot.cookie, slot.born);
        slot.born = epoch;
        if let Some(node) = slot.node.clone() {
            self.keep(&old, &node, before, epoch, shown);
        }
        self.enter(at);
    }

    /// The entries after `cookie`.
    pub(super) fn after(&self, cookie: u64) -> impl Iterator<Item = Listed<'_>> {
        let start = self.slots.partition_point(|slot| slot.cookie <= cookie);
        self.slots[start..].iter().filter_map(|slot| {
            let node = slot.node.as_ref()?;
            Some(Listed { name: slot.name.as_bytes(), node, cookie: slot.cookie })
        })
    }

    /// Empties the directory into its nodes, its past included.
    pub(super) fn take_nodes(&mut self) -> impl Iterator<Item = Arc<Inode>> {
        self.index = HashTable::new();
        self.indexed = false;
        self.live = 0;
        let past = self.past.take().into_iter().flat_map(|past| past.into_nodes());
        std::mem::take(&mut self.slots).into_iter().filter_map(|slot| slot.node).chain(past)
    }

    fn hash(&self, name: &[u8]) -> u64 {
        self.lane.space.names.hash_one(name)
    }

    #[inline]
    fn find(&self, name: &[u8]) -> Option<usize> {
        if !self.indexed {
            // The name of a gap is empty, as no other is.
            return self.slots.iter().position(|slot| slot.name.is(name));
        }
        let same = |&at: &u32| self.slots[at as usize].name.as_bytes() == name;
        self.index.find(self.hash(name), same).map(|&at| at as usize)
    }

    /// Enters a slot into the index.
    fn enter(&mut self, at: usize) {
        if !self.indexed {
            if self.slots.len() > SCANNED {
                self.index_all();
            }
            return;
        }
        let (slots, names) = (&self.slots, &self.lane.space.names);
        let hash = |at: &u32| names.hash_one(slots[*at as usize].name.as_bytes());
        // `check_room` has been asked.
        let at = at as u32;
        self.index.insert_unique(hash(&at), at, hash);
    }

    /// Enters all slots there are.
    fn index_all(&mut self) {
        self.indexed = true;
        self.index = HashTable::with_capacity(self.live);
        for at in 0..self.slots.len() {
            if self.slots[at].node.is_some() {
                self.enter(at);
            }
        }
    }

    /// Takes a name out of the index, and says where it is.
    fn leave(&mut self, name: &[u8]) -> Option<usize> {
        if !self.indexed {
            return self.find(name);
        }
        let hash = self.hash(name);
        let same = |&at: &u32| self.slots[at as usize].name.as_bytes() == name;
        let (at, _) = self.index.find_entry(hash, same).ok()?.remove();
        Some(at as usize)
    }

    /// Gaps at the end go at once; when they are most of the slots, all go.
    fn close_gaps(&mut self) {
        while self.slots.last().is_some_and(|slot| slot.node.is_none()) {
            self.slots.pop();
        }
        if self.slots.len() > 2 * self.live + FEW {
            self.slots.retain(|slot| slot.node.is_some());
            self.slots.shrink_to(2 * self.live);
            if self.indexed {
                self.index_all();
            }
        }
    }
}
