//! Files that have several names below. They are one file there, and stay one when one of the names is changed or
//! taken away: what is kept of each is how many of its names below are still to be seen, and what it has become in
//! the upper layer.

use super::layers::{Key, key_of};
use super::node::OverlayNode;
use crate::{NodeRef, Result};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Default)]
pub(super) struct Ties {
    /// Most overlays have none.
    any: AtomicBool,
    ties: RwLock<HashMap<Key, Tie, foldhash::fast::RandomState>>,
}

struct Tie {
    names: u64,
    upper: Option<NodeRef>,
}

impl Ties {
    /// What a file below has become, if only its other names show that.
    pub(super) fn upper_of(&self, key: Key) -> Option<NodeRef> {
        self.look(key, |tie| tie.upper.clone()).flatten()
    }

    /// How many of its names below are to be seen, if they are counted.
    fn names_of(&self, key: Key) -> Option<u64> {
        self.look(key, |tie| tie.names)
    }

    fn look<R>(&self, key: Key, ask: impl FnOnce(&Tie) -> R) -> Option<R> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        self.ties.read().get(&key).map(ask)
    }

    fn change(&self, key: Key, names: u64, change: impl FnOnce(&mut Tie)) {
        self.any.store(true, Ordering::Release);
        change(self.ties.write().entry(key).or_insert(Tie { names, upper: None }));
    }

    /// Lets go of a file that no name leads to.
    pub(super) fn forget(&self, key: Key) {
        if self.names_of(key) == Some(0) {
            // Freed after the lock.
            let tie = self.ties.write().remove(&key);
            drop(tie);
        }
    }
}

impl OverlayNode {
    /// How many names it has that is no directory, of which so many lead to what it is made of.
    pub(super) fn count_names(&self, there: u64) -> u64 {
        let below = self.origin.and_then(|origin| self.layers.ties.names_of(origin));
        match (self.upper.get(), below) {
            _ if self.is_gone() => 0,
            (Some(_), below) => there + below.unwrap_or(0),
            (None, Some(below)) => below,
            (None, None) => there,
        }
    }

    /// One of the names that lead to it below is not to be seen any more.
    pub(super) fn lose_name_below(&self) -> Result<()> {
        let Some(origin) = self.origin else { return Ok(()) };
        let names = match self.layers.ties.names_of(origin) {
            Some(names) => names,
            // In the upper layer under its only name.
            None if !self.is_from_below() => return Ok(()),
            None => self.base.attr()?.nlink,
        };
        if names > 1 || self.layers.ties.names_of(origin).is_some() {
            self.layers.ties.change(origin, names, |tie| tie.names = names.saturating_sub(1));
        } else if self.upper.get().is_none() {
            self.go();
        }
        Ok(())
    }

    /// It is in the upper layer now; its other names below lead there too.
    pub(super) fn tie(&self, upper: &NodeRef) {
        if let Some(origin) = self.origin
            && let Some(names) = self.layers.ties.names_of(origin)
        {
            self.layers.ties.change(origin, names, |tie| tie.upper = Some(NodeRef::clone(upper)));
        }
    }

    /// What it was below, if it is that no more.
    pub(super) fn is_from_below(&self) -> bool {
        self.upper.get().is_none_or(|upper| key_of(upper.id()) != key_of(self.base.id()))
    }
}
