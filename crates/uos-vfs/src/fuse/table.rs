//! The nodes that the host's kernel knows, by the numbers it knows them by. A number tells the view, so that
//! the same file has another one in each; and as long as the kernel has it, the node is held.

use crate::{Access, Caller, Error, FsId, NodeId, NodeRef, OpenFile, Result};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bits for the number of a node within its filesystem; the few above are for the filesystem and the view.
const INO_BITS: u32 = 40;
const FS_BITS: u32 = 8;
/// For numbers that do not fit: they are given out one by one.
const ODD: u64 = (1 << FS_BITS) - 1;
/// As many views as there are numbers left for.
pub(super) const VIEWS: u16 = u16::MAX;

/// Knows nodes by number.
#[derive(Default)]
pub(super) struct Table {
    known: RwLock<HashMap<u64, Known, foldhash::fast::RandomState>>,
    numbers: RwLock<Numbers>,
    /// How often files were read.
    reads: AtomicU64,
}

struct Known {
    node: NodeRef,
    /// So often the kernel has been told of it.
    told: AtomicU64,
    /// For all who have it open at once, where the kernel does not tell who that is.
    file: Mutex<Option<Arc<dyn OpenFile>>>,
    /// Of a directory: how much had been read when its entries were last told with their attributes.
    listed: AtomicU64,
}

/// A directory was never listed.
const NEVER: u64 = u64::MAX;

#[derive(Default)]
struct Numbers {
    /// The filesystems there are; where one is is part of its nodes' numbers.
    filesystems: Vec<FsId>,
    odd: HashMap<(u16, NodeId), u64>,
    last_odd: u64,
}

impl Table {
    /// The number of a node in a view, whether the kernel knows it or not.
    pub(super) fn number(&self, view: u16, id: NodeId) -> u64 {
        let top = u64::from(view) << (FS_BITS + INO_BITS);
        if id.ino >> INO_BITS == 0 {
            let known = self.numbers.read().filesystems.iter().position(|fs| *fs == id.fs);
            let place = known.or_else(|| {
                let filesystems = &mut self.numbers.write().filesystems;
                if !filesystems.contains(&id.fs) && (filesystems.len() as u64) < ODD {
                    filesystems.push(id.fs);
                }
                filesystems.iter().position(|fs| *fs == id.fs)
            });
            if let Some(place) = place {
                return top | (place as u64) << INO_BITS | id.ino;
            }
        }
        let mut numbers = self.numbers.write();
        let next = numbers.last_odd + 1;
        let number = *numbers.odd.entry((view, id)).or_insert(next);
        numbers.last_odd = numbers.last_odd.max(number);
        top | ODD << INO_BITS | number
    }

    /// The kernel is told of a node once more.
    pub(super) fn tell(&self, number: u64, node: &NodeRef) {
        if let Some(known) = self.known.read().get(&number) {
            known.told.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut table = self.known.write();
        let fresh = || Known {
            node: Arc::clone(node),
            told: AtomicU64::new(0),
            file: Mutex::new(None),
            listed: AtomicU64::new(NEVER),
        };
        table.entry(number).or_insert_with(fresh).told.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn get(&self, number: u64) -> Option<NodeRef> {
        self.known.read().get(&number).map(|known| Arc::clone(&known.node))
    }

    /// A directory is being listed with what there is to know of its entries.
    pub(super) fn lists(&self, number: u64) {
        if let Some(known) = self.known.read().get(&number) {
            known.listed.store(self.reads.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Somebody reads a file, and the kernel asks for its attributes before it tells them to anybody again.
    pub(super) fn reads(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the kernel may take the entries of a directory from its memory. Where files have been read since they were
    /// listed, listing them again tells it in one answer what it would ask of each.
    pub(super) fn is_listed(&self, number: u64) -> bool {
        let reads = self.reads.load(Ordering::Relaxed);
        self.known.read().get(&number).is_some_and(|known| known.listed.load(Ordering::Relaxed) == reads)
    }

    /// The open file of a node, for whatever the kernel has judged.
    pub(super) fn file(&self, number: u64) -> Result<Arc<dyn OpenFile>> {
        let known = self.known.read();
        let known = known.get(&number).ok_or(Error::Stale)?;
        let mut file = known.file.lock();
        if let Some(file) = &*file {
            return Ok(Arc::clone(file));
        }
        let by = Caller::ROOT.judged_before();
        let opened = match Arc::clone(&known.node).open(&by, Access::ReadWrite) {
            Err(Error::ReadOnly | Error::AccessDenied) => Arc::clone(&known.node).open(&by, Access::Read)?,
            opened => opened?,
        };
        Ok(Arc::clone(file.insert(opened)))
    }

    /// The kernel has forgotten so many times that it was told of a node. It may be told again just now, so
    /// it is looked at again before it goes.
    pub(super) fn forget(&self, number: u64, times: u64) {
        let left = self.known.read().get(&number).map(|known| {
            let before = known.told.fetch_sub(times, Ordering::Relaxed);
            before - times.min(before)
        });
        if left == Some(0) {
            let gone = {
                let mut table = self.known.write();
                let unused = table.get(&number).is_some_and(|known| known.told.load(Ordering::Relaxed) == 0);
                if unused { table.remove(&number) } else { None }
            };
            // Freed after the lock: it may be the last reference to a large file.
            if let Some(known) = gone {
                let view = (number >> (FS_BITS + INO_BITS)) as u16;
                let id = known.node.id();
                if id.ino >> INO_BITS != 0 {
                    self.numbers.write().odd.remove(&(view, id));
                }
            }
        }
    }

    /// All nodes of a view are forgotten.
    pub(super) fn forget_view(&self, view: u16) {
        let gone: Vec<Known> = {
            let mut table = self.known.write();
            table.extract_if(|number, _| view_of(*number) == view).map(|(_, known)| known).collect()
        };
        self.numbers.write().odd.retain(|(of, _), _| *of != view);
        drop(gone);
    }

    pub(super) fn all_numbers(&self) -> Vec<u64> {
        self.known.read().keys().copied().collect()
    }

    /// By which numbers the kernel knows a node.
    pub(super) fn numbers_of(&self, id: NodeId, views: impl Iterator<Item = u16>) -> Vec<u64> {
        let known = |number: &u64| self.known.read().contains_key(number);
        views.map(|view| self.number(view, id)).filter(known).collect()
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("known", &self.known.read().len()).finish()
    }
}

/// The view that a number is of.
pub(super) fn view_of(number: u64) -> u16 {
    (number >> (FS_BITS + INO_BITS)) as u16
}

#[cfg(test)]
mod tests {
    use super::{Table, view_of};
    use crate::{FsId, MemFs, NodeId};

    #[test]
    fn no_two_nodes_share_a_number() {
        let table = Table::default();
        let mut seen = std::collections::HashSet::new();
        for view in [0, 1, u16::MAX] {
            for _ in 0..300 {
                let fs = FsId::new();
                for ino in [1, 2, (1 << 40) - 1, 1 << 40, u64::MAX] {
                    for generation in [0, 1] {
                        // Generations tell apart nodes that are not there at the same time.
                        let id = NodeId { fs, ino, generation };
                        let number = table.number(view, id);
                        assert_eq!(number, table.number(view, id));
                        assert_eq!(view_of(number), view);
                        if generation == 0 {
                            assert!(seen.insert(number), "{view} {id:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_was_read_since_it_was_listed_is_listed_again() {
        let table = Table::default();
        let node = MemFs::builder().build().root();
        let number = table.number(1, node.id());
        table.lists(number);
        assert!(!table.is_listed(number), "it is not known");
        table.tell(number, &node);
        assert!(!table.is_listed(number), "it never was");
        table.lists(number);
        assert!(table.is_listed(number));
        table.reads();
        assert!(!table.is_listed(number));
        table.lists(number);
        assert!(table.is_listed(number));
        table.forget(number, 1);
        assert!(!table.is_listed(number));
    }

    #[test]
    fn a_node_is_held_until_it_is_forgotten_as_often_as_told() {
        let table = Table::default();
        let node = MemFs::builder().build().root();
        let number = table.number(3, node.id());
        table.tell(number, &node);
        table.tell(number, &node);
        table.forget(number, 1);
        assert!(table.get(number).is_some());
        assert_eq!(table.numbers_of(node.id(), 0..5), [number]);
        table.forget(number, 1);
        assert!(table.get(number).is_none());
        table.tell(number, &node);
        table.forget_view(3);
        assert!(table.get(number).is_none());
    }
}
