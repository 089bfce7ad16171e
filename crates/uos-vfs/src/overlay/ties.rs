//! Files that have several names below. They are one file there, and stay one when one of the names is changed or
//! taken away: what is kept of each is how many of its names below are still to be seen, and what it has become in
//! the upper layer. When that has no name there that is seen, it has one in `work`.

use super::layers::{Key, key_of};
use super::node::OverlayNode;
use super::work::Staged;
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

/// Of one file.
#[derive(Clone, Default)]
struct Tie {
    /// How many of its names below are to be seen.
    names: u64,
    upper: Option<NodeRef>,
    /// Its name in `work`.
    parked: Option<String>,
}

impl Ties {
    /// What a file below has become, if only its other names show that.
    pub(super) fn upper_of(&self, key: Key) -> Option<NodeRef> {
        self.of(key)?.upper
    }

    fn of(&self, key: Key) -> Option<Tie> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        self.ties.read().get(&key).cloned()
    }

    fn set(&self, key: Key, tie: Tie) {
        self.any.store(true, Ordering::Release);
        // What was before is dropped after the lock.
        let _before = self.ties.write().insert(key, tie);
    }

    /// Lets go of a file that no name leads to.
    pub(super) fn forget(&self, key: Key) {
        if self.of(key).is_some_and(|tie| tie.names == 0) {
            let _tie = self.ties.write().remove(&key);
        }
    }
}

impl OverlayNode {
    fn tie(&self) -> Option<Tie> {
        self.layers.ties.of(self.origin?)
    }

    /// How many names it has that is no directory, of which so many lead to what it is made of.
    pub(super) fn count_names(&self, there: u64) -> u64 {
        match (self.upper.get(), self.tie()) {
            _ if self.is_gone() => 0,
            (_, None) => there,
            (None, Some(tie)) => tie.names,
            (Some(_), Some(tie)) => (there + tie.names).saturating_sub(u64::from(tie.parked.is_some())),
        }
    }

    /// One of the names that lead to it below is not to be seen any more.
    pub(super) fn lose_name_below(&self) -> Result<()> {
        let Some(origin) = self.origin else { return Ok(()) };
        let mut tie = match self.tie() {
            Some(tie) => tie,
            // In the upper layer under its only name.
            None if !self.is_from_below() => return Ok(()),
            None => Tie { names: self.base.attr()?.nlink, ..Tie::default() },
        };
        if tie.names <= 1 && self.tie().is_none() {
            if self.upper.get().is_none() {
                self.go();
            }
            return Ok(());
        }
        tie.names = tie.names.saturating_sub(1);
        if tie.names == 0
            && let Some(name) = tie.parked.take()
        {
            self.layers.work.unpark(&name)?;
        }
        self.layers.ties.set(origin, tie);
        Ok(())
    }

    /// It is in the upper layer now; its other names below lead there too.
    pub(super) fn tie_to(&self, upper: &NodeRef) {
        if let (Some(origin), Some(tie)) = (self.origin, self.tie()) {
            self.layers.ties.set(origin, Tie { upper: Some(NodeRef::clone(upper)), ..tie });
        }
    }

    /// One of its names in the upper layer is about to go. If it is the last one and others below lead to it, it
    /// gets one that is not seen.
    pub(super) fn park(&self) -> Result<()> {
        if let (Some(origin), Some(upper), Some(tie)) = (self.origin, self.upper.get(), self.tie())
            && tie.names > 0
            && tie.parked.is_none()
        {
            let parked = Some(self.layers.work.link(upper)?.park());
            self.layers.ties.set(origin, Tie { parked, ..tie });
        }
        Ok(())
    }

    /// A copy that has no name to be put under: it needs none, unless other names below lead to it.
    pub(super) fn leave_nameless(&self, staged: Staged<'_>) {
        if let (Some(origin), Some(tie)) = (self.origin, self.tie())
            && tie.names > 0
        {
            self.layers.ties.set(origin, Tie { parked: Some(staged.park()), ..tie });
        }
    }

    /// Whether it was found below.
    fn is_from_below(&self) -> bool {
        self.upper.get().is_none_or(|upper| key_of(upper.id()) != key_of(self.base.id()))
    }
}
