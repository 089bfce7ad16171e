//! The entries of one directory, by name and in the order they came.

use super::inode::Inode;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

#[derive(Default)]
pub(super) struct Directory {
    /// The directory this one is in; dangling for the root.
    pub(super) parent: Weak<Inode>,
    /// It was removed and takes no entries any more.
    pub(super) dead: bool,
    /// Hashed with random keys, by a hash meant for short keys: looking names up is much of what resolving a path does.
    entries: HashMap<Arc<[u8]>, Entry, foldhash::quality::RandomState>,
    /// The names by their cookies. A cookie says where a listing goes on; it stays with its entry and
    /// is not used again, so entries that stay are neither missed nor seen twice.
    order: BTreeMap<u64, Arc<[u8]>>,
    last_cookie: u64,
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) node: Arc<Inode>,
    cookie: u64,
}

/// An entry as a listing shows it.
pub(super) struct Listed {
    pub(super) name: Arc<[u8]>,
    pub(super) node: Arc<Inode>,
    pub(super) cookie: u64,
}

impl Directory {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn contains(&self, name: &[u8]) -> bool {
        self.entries.contains_key(name)
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&Arc<Inode>> {
        self.entries.get(name).map(|entry| &entry.node)
    }

    /// Adds an entry under a free name, last in order.
    pub(super) fn insert(&mut self, name: &[u8], node: Arc<Inode>) {
        self.last_cookie += 1;
        self.insert_at(name, Entry { node, cookie: self.last_cookie });
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> Option<Entry> {
        let entry = self.entries.remove(name)?;
        self.order.remove(&entry.cookie);
        Some(entry)
    }

    /// Puts a removed entry back under another free name, where it was in order.
    pub(super) fn insert_at(&mut self, name: &[u8], entry: Entry) {
        let name: Arc<[u8]> = name.into();
        self.order.insert(entry.cookie, name.clone());
        self.entries.insert(name, entry);
    }

    /// Puts another node under a name, which keeps its place in order.
    pub(super) fn replace(&mut self, name: &[u8], node: Arc<Inode>) -> Option<Arc<Inode>> {
        self.entries.get_mut(name).map(|entry| std::mem::replace(&mut entry.node, node))
    }

    /// Up to `max` entries after `cookie`.
    pub(super) fn list(&self, cookie: u64, max: usize) -> Vec<Listed> {
        let after = (std::ops::Bound::Excluded(cookie), std::ops::Bound::Unbounded);
        let named = self.order.range(after).take(max);
        named
            .filter_map(|(&cookie, name)| {
                let node = self.get(name)?.clone();
                Some(Listed { name: name.clone(), node, cookie })
            })
            .collect()
    }

    /// Empties the directory into its nodes.
    pub(super) fn take_nodes(&mut self) -> impl Iterator<Item = Arc<Inode>> {
        self.order.clear();
        std::mem::take(&mut self.entries).into_values().map(|entry| entry.node)
    }
}
