//! What all nodes of one overlay share, and the table of those that are alive.

use super::ROOT;
use super::marks;
use super::node::OverlayNode;
use super::numbers::Numbers;
use super::ties::Ties;
use super::work::Work;
use crate::{FsId, Name, NodeId, NodeRef, Result};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// A node of a layer, while it is alive or has a name.
pub(super) type Key = (FsId, u64);

pub(super) fn key_of(id: NodeId) -> Key {
    (id.fs, id.ino)
}

pub(super) struct Layers {
    pub(super) fs: FsId,
    /// Whether one of the layers may wait.
    pub(super) blocks: bool,
    /// Held for writing while names change or nodes get their upper layer; see the module.
    pub(super) tree: RwLock<()>,
    pub(super) lower_roots: Box<[NodeRef]>,
    pub(super) work: Work,
    pub(super) ties: Ties,
    numbers: Numbers,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    /// By what they are in a layer: by both, once they are in two.
    live: HashMap<Key, Weak<OverlayNode>, foldhash::fast::RandomState>,
    /// By what they are in the upper layer, where nodes come from that were copied up.
    origins: HashMap<Key, Origin, foldhash::fast::RandomState>,
}

/// Where a node comes from that was copied up.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    /// Who it was before, and goes on being.
    pub(super) id: NodeId,
    /// What it was below.
    pub(super) key: Key,
}

impl Layers {
    pub(super) fn new(lower_roots: Box<[NodeRef]>, upper: &NodeRef) -> Result<Arc<Self>> {
        let top = marks::make_top(upper)?;
        let work = Work::begin(&top)?;
        Ok(Arc::new(Layers {
            fs: FsId::new(),
            blocks: lower_roots.iter().any(|root| root.blocks()) || upper.blocks(),
            tree: RwLock::new(()),
            lower_roots,
            work,
            ties: Ties::default(),
            numbers: Numbers::default(),
            known: RwLock::default(),
        }))
    }

    /// Who a node of a layer is in the overlay, unless it was copied up.
    pub(super) fn id_of(&self, id: NodeId) -> NodeId {
        NodeId { fs: self.fs, ino: self.numbers.of(key_of(id)), generation: id.generation }
    }

    /// The number of an entry of the upper layer.
    pub(super) fn number_above(&self, key: Key) -> u64 {
        let origin = self.origin(key).map(|origin| origin.id.ino);
        origin.unwrap_or_else(|| self.numbers.of(key))
    }

    /// The number of an entry of a layer below.
    pub(super) fn number_below(&self, key: Key) -> u64 {
        self.numbers.of(key)
    }

    pub(super) fn origin(&self, key: Key) -> Option<Origin> {
        self.known.read().origins.get(&key).copied()
    }

    /// The living node that is this in a layer.
    pub(super) fn live(&self, key: Key) -> Option<Arc<OverlayNode>> {
        self.known.read().live.get(&key).and_then(Weak::upgrade)
    }

    /// Makes a node known by what it is in a layer; if one has been made meanwhile, gives that.
    pub(super) fn admit(&self, key: Key, fresh: Arc<OverlayNode>) -> Arc<OverlayNode> {
        let mut known = self.known.write();
        let there = known.live.get(&key).and_then(Weak::upgrade);
        if there.is_none() {
            known.live.insert(key, Arc::downgrade(&fresh));
        }
        // Before either node can be dropped, which asks for the lock too.
        drop(known);
        there.unwrap_or(fresh)
    }

    /// A node is in the upper layer from now on.
    pub(super) fn copied(&self, node: &Weak<OverlayNode>, upper: Key, origin: Origin) {
        let mut known = self.known.write();
        known.live.insert(upper, Weak::clone(node));
        known.origins.insert(upper, origin);
    }

    /// A node is gone, or only not in use: then where it comes from is kept.
    pub(super) fn forget(&self, node: &Weak<OverlayNode>, keys: [Option<Key>; 2], gone: Option<Key>) {
        let mut known = self.known.write();
        for key in keys.into_iter().flatten() {
            if known.live.get(&key).is_some_and(|known| Weak::ptr_eq(known, node)) {
                known.live.remove(&key);
            }
        }
        if let Some(key) = gone {
            known.origins.remove(&key);
        }
    }

    /// The directories below that lie at a path there.
    pub(super) fn stack_at(&self, path: &[u8]) -> Result<Box<[NodeRef]>> {
        let names = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty());
        let mut stack = self.lower_roots.clone();
        for name in names {
            stack = marks::dirs_of(&stack, Name::new(name)?)?;
        }
        Ok(stack)
    }
}

/// The entry `name` of a directory of a layer, if there is one.
pub(super) fn entry_of(dir: &NodeRef, name: Name<'_>) -> Result<Option<NodeRef>> {
    match dir.lookup(ROOT, name) {
        Ok(node) => Ok(Some(node)),
        Err(crate::Error::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}
