//! Whose turn it is among those who wait, and who would wait for ever.

use super::registry::{After, Key, Registry};
use super::{HeldLock, LockOwner};
use std::collections::HashSet;

impl Registry {
    /// After every change of a file: wakes who can go on, from the front, and forgets the file if nobody is left.
    pub(super) fn settle(&mut self, key: Key, after: &mut After) {
        let Some(file) = self.files.get(&key) else { return };
        if file.held.is_empty() && file.waits.is_empty() {
            after.gone.extend(self.files.remove(&key).map(|file| file.node));
            return;
        }
        let mut promised: Vec<HeldLock> = Vec::new();
        let mut chosen = Vec::new();
        for (at, wait) in file.waits.iter().enumerate() {
            let in_its_way = |other: &HeldLock| {
                other.owner != wait.wish.owner
                    && other.range.overlaps(wait.wish.range)
                    && !other.kind.goes_along_with(wait.wish.kind)
            };
            if wait.woken {
                promised.push(wait.wish);
            } else if !promised.iter().any(in_its_way) && self.in_the_way(key, wait.wish).next().is_none() {
                promised.push(wait.wish);
                chosen.push(at);
            }
        }
        let Some(file) = self.files.get_mut(&key) else { return };
        for at in chosen {
            file.waits[at].woken = true;
            after.wakes.extend(file.waits[at].waker.take());
        }
    }

    /// True if those in the way wait, by way of whichever others, for the one who asks.
    pub(super) fn waits_for_itself(&self, key: Key, wish: HeldLock) -> bool {
        let in_the_way = |key, wish| self.in_the_way(key, wish).map(|held| held.owner);
        if matches!(wish.owner, LockOwner::OpenFile(_)) {
            return false;
        }
        let mut seen = HashSet::new();
        let mut next: Vec<_> = in_the_way(key, wish).collect();
        while let Some(other) = next.pop() {
            if other == wish.owner {
                return true;
            }
            if matches!(other, LockOwner::OpenFile(_)) || !seen.insert(other) {
                continue;
            }
            for (key, id) in self.owners.get(&other).into_iter().flat_map(|owned| &owned.waits) {
                let waits = self.files.get(key).into_iter().flat_map(|file| &file.waits);
                for wait in waits.filter(|wait| wait.id == *id) {
                    next.extend(in_the_way(*key, wait.wish));
                }
            }
        }
        false
    }
}
