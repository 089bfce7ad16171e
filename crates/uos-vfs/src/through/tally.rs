//! What is charged for each node, and to whom.
//!
//! What an owner holds is the sum over their nodes, known from counting them once and from then on kept by
//! every change that goes through here. For a node that somebody holds there is one tally, shared by all who do,
//! and under its lock every change of length or owner is made and booked: so it is exact whoever races.
//! A node without names is charged until the last of those who hold it lets go, as its space is in use until then.

use super::ledger::Ledger;
use crate::{Attr, Error, Kind, Limit, Name, Node, NodeId, NodeRef, OpenFile, Result, Used};
use parking_lot::{Mutex, MutexGuard};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

/// The accounts of one mount.
pub(crate) struct Quota {
    pub(super) ledger: Ledger,
    /// Held while a name is taken away or a node gets one more, so that who loses its last name is known.
    names: Mutex<()>,
    held: Mutex<HashMap<NodeId, Weak<Tally>>>,
}

impl Quota {
    /// Counts what is there already. Nobody may change it meanwhile but through what has this quota.
    pub(crate) fn count(root: &NodeRef, limit: Limit) -> Result<Arc<Self>> {
        let mut used: HashMap<u32, Used> = HashMap::new();
        let (mut seen, mut left) = (HashSet::new(), vec![NodeRef::clone(root)]);
        while let Some(node) = left.pop() {
            let attr = node.attr()?;
            // A file with several names counts once. What else the host has mounted there is not of this one.
            if attr.id.fs != root.id().fs || !seen.insert(attr.id) {
                continue;
            }
            let owner = used.entry(attr.uid).or_default();
            owner.nodes += 1;
            owner.bytes = owner.bytes.saturating_add(length_of(&attr));
            if attr.kind == Kind::Directory {
                let mut names = Vec::new();
                node.read_dir(0, &mut |entry| {
                    names.push(entry.name.as_bytes().to_vec());
                    true
                })?;
                for name in names {
                    match node.lookup(&crate::Caller::ROOT, Name::new(&name)?) {
                        Ok(entry) => left.push(entry),
                        Err(Error::NotFound) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        let (ledger, held) = (Ledger::new(limit, used), Mutex::default());
        Ok(Arc::new(Quota { ledger, names: Mutex::new(()), held }))
    }

    pub(crate) fn used(&self, uid: u32) -> Used {
        self.ledger.used(uid)
    }

    pub(crate) fn limit(&self, uid: u32) -> Limit {
        self.ledger.limit(uid)
    }

    pub(crate) fn set_limit(&self, uid: u32, limit: Limit) {
        self.ledger.set_limit(uid, limit);
    }

    /// The tally of a node that somebody holds.
    pub(super) fn tally(self: &Arc<Self>, id: NodeId) -> Arc<Tally> {
        let mut held = self.held.lock();
        if let Some(tally) = held.get(&id).and_then(Weak::upgrade) {
            return tally;
        }
        let tally = Arc::new(Tally { quota: Arc::clone(self), id, charge: Mutex::default() });
        held.insert(id, Arc::downgrade(&tally));
        tally
    }

    pub(super) fn names(&self) -> MutexGuard<'_, ()> {
        self.names.lock()
    }

    /// Makes a node for an owner, who is charged before: so it is refused before anything is done.
    pub(super) fn made(
        &self,
        uid: u32,
        bytes: u64,
        make: impl FnOnce() -> Result<NodeRef>,
    ) -> Result<NodeRef> {
        self.ledger.take(uid, bytes, 1)?;
        let node = make().inspect_err(|_| self.ledger.give_back(uid, bytes, 1))?;
        // Where the process can't give files away, they are its own.
        if let Ok(attr) = node.attr()
            && attr.uid != uid
        {
            self.ledger.give_back(uid, bytes, 1);
            self.ledger.note_node(attr.uid, bytes);
        }
        Ok(node)
    }
}

/// What is charged for one node.
pub(super) struct Tally {
    quota: Arc<Quota>,
    id: NodeId,
    charge: Mutex<Charge>,
}

#[derive(Default)]
struct Charge {
    /// To whom, and for how many bytes; unknown before the first change.
    known: Option<(u32, u64)>,
    /// Its last name is gone.
    nameless: bool,
}

impl Tally {
    /// Does something that may make the file longer, up to what `longest` makes of its length now. That is charged
    /// first, and afterwards what has really come of it.
    pub(super) fn lengthen<T>(
        &self,
        file: &dyn OpenFile,
        longest: impl FnOnce(u64) -> u64,
        act: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let mut charge = self.charge.lock();
        let attr = file.attr()?;
        let (uid, charged) = *charge.known.get_or_insert((attr.uid, attr.size));
        let asked = longest(attr.size).saturating_sub(charged);
        let ledger = &self.quota.ledger;
        ledger.take(uid, asked, 0)?;
        let done = act();
        let taken = charged + asked;
        // A file that can't even say how long it is now is taken to be what it was to become.
        let now = file.attr().map_or(if done.is_ok() { taken } else { charged }, |attr| attr.size);
        ledger.settle(uid, taken, now);
        charge.known = Some((uid, now));
        done
    }

    /// Changes attributes, of which the length and the owner are charged.
    pub(super) fn set(
        &self,
        node: &dyn Node,
        uid: Option<u32>,
        size: Option<u64>,
        act: impl FnOnce() -> Result<Attr>,
    ) -> Result<Attr> {
        let mut charge = self.charge.lock();
        let attr = node.attr()?;
        let (from, charged) = *charge.known.get_or_insert((attr.uid, length_of(&attr)));
        let ledger = &self.quota.ledger;
        let to = uid.filter(|uid| *uid != from);
        let grown = charged.max(size.unwrap_or(0));
        match to {
            Some(to) => ledger.take(to, grown, 1)?,
            None => ledger.take(from, grown - charged, 0)?,
        }
        let done = act();
        let now = match &done {
            Ok(attr) => Some(*attr),
            Err(_) => node.attr().ok(),
        };
        let (owner, len) = now.map_or((from, charged), |attr| (attr.uid, length_of(&attr)));
        match to {
            // As much as came of it, whether it failed or did half.
            Some(to) if owner == to => {
                ledger.give_back(from, charged, 1);
                ledger.settle(to, grown, len);
            }
            Some(to) => {
                ledger.give_back(to, grown, 1);
                ledger.settle(from, charged, len);
            }
            None => ledger.settle(from, grown, len),
        }
        charge.known = Some((if Some(owner) == to { owner } else { from }, len));
        done
    }

    /// One of its names has been taken away, and it is looked whether that was the last. Of a directory it always is.
    pub(super) fn lost_a_name(&self, node: &dyn Node) {
        let mut charge = self.charge.lock();
        let Ok(attr) = node.attr() else { return };
        if attr.kind == Kind::Directory || attr.nlink == 0 {
            charge.known.get_or_insert((attr.uid, length_of(&attr)));
            charge.nameless = true;
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let mut held = self.quota.held.lock();
        // Another one may be there by now.
        if held.get(&self.id).is_some_and(|tally| tally.strong_count() == 0) {
            held.remove(&self.id);
        }
        drop(held);
        let charge = self.charge.get_mut();
        if let (true, Some((uid, bytes))) = (charge.nameless, charge.known) {
            self.quota.ledger.give_back(uid, bytes, 1);
        }
    }
}

/// What counts of a node's size.
fn length_of(attr: &Attr) -> u64 {
    match attr.kind {
        Kind::File | Kind::Symlink => attr.size,
        _ => 0,
    }
}
