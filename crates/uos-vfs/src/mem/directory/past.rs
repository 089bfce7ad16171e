//! Entries that are gone, kept as long as a snapshot shows them.

use super::{Directory, Inode, StoredName};
use crate::mem::epochs::Shown;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// By name, then by the epoch in which it went.
#[derive(Default)]
pub(super) struct Past {
    by_name: BTreeMap<(Box<[u8]>, u64), Gone>,
}

struct Gone {
    node: Arc<Inode>,
    cookie: u64,
    born: u64,
}

/// An entry as a snapshot lists it.
pub(in crate::mem) struct ListedThen {
    pub(in crate::mem) cookie: u64,
    pub(in crate::mem) name: Box<[u8]>,
    pub(in crate::mem) node: Arc<Inode>,
}

impl Past {
    pub(super) fn into_nodes(self) -> impl Iterator<Item = Arc<Inode>> {
        self.by_name.into_values().map(|gone| gone.node)
    }
}

impl Directory {
    /// Keeps an entry that is about to change in an epoch, if a snapshot may show it.
    pub(super) fn keep(
        &mut self,
        name: &StoredName,
        node: &Arc<Inode>,
        (cookie, born): (u64, u64),
        epoch: u64,
        shown: impl Fn(u64) -> bool,
    ) {
        // Within one epoch there is no snapshot that it could be seen by.
        if born < epoch && shown(born) {
            let gone = Gone { node: Arc::clone(node), cookie, born };
            self.past.get_or_insert_default().by_name.insert((name.as_bytes().into(), epoch), gone);
        }
    }

    /// What had a name at the end of an epoch.
    pub(in crate::mem) fn get_at(&self, name: &[u8], epoch: u64) -> Option<&Arc<Inode>> {
        if let Some(at) = self.find(name)
            && self.slots[at].born <= epoch
        {
            return self.slots[at].node.as_ref();
        }
        let past = self.past.as_ref()?;
        let later = (Box::from(name), epoch + 1)..=(Box::from(name), u64::MAX);
        past.by_name.range(later).next().filter(|(_, gone)| gone.born <= epoch).map(|(_, gone)| &gone.node)
    }

    /// The name and the node that an entry had at the end of an epoch.
    pub(in crate::mem) fn entry_at(&self, cookie: u64, epoch: u64) -> Option<(&[u8], &Arc<Inode>)> {
        let slot = self.slots.get(self.slots.partition_point(|slot| slot.cookie < cookie));
        if let Some(slot) = slot.filter(|slot| slot.cookie == cookie && slot.born <= epoch) {
            return slot.node.as_ref().map(|node| (slot.name.as_bytes(), node));
        }
        let mut gone = self.past.as_ref()?.by_name.iter();
        let found =
            gone.find(|((_, died), gone)| gone.cookie == cookie && gone.born <= epoch && epoch < *died);
        found.map(|((name, _), gone)| (&name[..], &gone.node))
    }

    /// Names whose entries may have changed since the end of an epoch that is shown to somebody.
    pub(in crate::mem) fn changed_since(&self, epoch: u64) -> BTreeSet<Box<[u8]>> {
        // What was put in since stands at the end; gaps among it are of the time when they came to be.
        let new = self.slots.iter().rev().take_while(|slot| slot.born > epoch);
        let mut names: BTreeSet<Box<[u8]>> =
            new.filter(|slot| slot.node.is_some()).map(|slot| slot.name.as_bytes().into()).collect();
        // What was renamed or replaced has kept its place, and left what it was behind.
        for ((name, died), gone) in self.past.iter().flat_map(|past| &past.by_name) {
            if *died > epoch {
                names.insert(name.clone());
                let slot = self.slots.get(self.slots.partition_point(|slot| slot.cookie < gone.cookie));
                if let Some(slot) = slot.filter(|slot| slot.cookie == gone.cookie && slot.node.is_some()) {
                    names.insert(slot.name.as_bytes().into());
                }
            }
        }
        names
    }

    /// The entries at the end of an epoch after a cookie, in order.
    pub(in crate::mem) fn list_at(&self, epoch: u64, after: u64) -> Vec<ListedThen> {
        let start = self.slots.partition_point(|slot| slot.cookie <= after);
        let current = self.slots[start..].iter().filter(|slot| slot.born <= epoch).filter_map(|slot| {
            let node = Arc::clone(slot.node.as_ref()?);
            Some(ListedThen { cookie: slot.cookie, name: slot.name.as_bytes().into(), node })
        });
        let gone = self.past.iter().flat_map(|past| &past.by_name);
        let gone = gone
            .filter(|((_, died), gone)| gone.cookie > after && gone.born <= epoch && epoch < *died)
            .map(|((name, _), gone)| ListedThen {
                cookie: gone.cookie,
                name: name.clone(),
                node: Arc::clone(&gone.node),
            });
        let mut all: Vec<_> = current.chain(gone).collect();
        all.sort_unstable_by_key(|listed| listed.cookie);
        all
    }

    /// Gives out what no snapshot shows any more.
    pub(in crate::mem) fn forget(&mut self, shown: &Shown, forgotten: &mut Vec<Arc<Inode>>) {
        let Some(past) = &mut self.past else { return };
        past.by_name.retain(|(_, died), gone| {
            let kept = shown.any_in(gone.born, died - 1);
            if !kept {
                forgotten.push(Arc::clone(&gone.node));
            }
            kept
        });
        if past.by_name.is_empty() {
            self.past = None;
        }
    }
}
