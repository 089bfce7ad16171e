//! Who holds what: handles with rights, owners with quotas, and the one way out by which everything goes back.

mod rights;
mod table;

pub use rights::Rights;

use crate::object::Object;
use crate::quota::{Quota, QuotaError};
use crate::sync::{Arc, AtomicU64, Mutex, Ordering};
use std::collections::HashMap;
use table::{Entry, Table};

/// Names an owner; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerId(u64);

/// Names a handle; below 2⁵³, and never given twice, so that a stale one is nobody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandleId(u64);

/// How much may be held, in all or by one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Bytes in pipes.
    pub pipe_bytes: u64,
    /// Bytes in queues and topics.
    pub queue_bytes: u64,
    /// Bytes in sockets.
    pub socket_bytes: u64,
    /// Bytes of shared memory.
    pub segment_bytes: u64,
    /// Handles.
    pub handles: u64,
}

/// The quotas that one owner's objects are charged to, each a part of the one for all.
#[derive(Clone, Debug)]
pub struct Quotas {
    /// For pipes.
    pub pipes: Quota,
    /// For queues and topics.
    pub queues: Quota,
    /// For sockets.
    pub sockets: Quota,
    /// For shared memory.
    pub segments: Quota,
    handles: Quota,
}

/// Owners and their handles.
pub struct Registry {
    all: Quotas,
    next: AtomicU64,
    /// Protects which owners there are. Tables are locked after it was given back.
    owners: Mutex<HashMap<OwnerId, Arc<Owner>>>,
}

struct Owner {
    quotas: Quotas,
    /// Protects what it holds; none once it has ended. Two tables are locked in the order of their owners' ids. Nothing is
    /// closed or dropped while one is locked.
    table: Mutex<Option<Table>>,
}

/// Why a handle was not made, found, changed or passed on. In every case nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// There is no such owner, or it has ended.
    #[error("no such owner")]
    Owner,
    /// This owner holds no such handle: never held, closed, passed on, or somebody else's.
    #[error("no such handle: {}", .id.0)]
    Unknown {
        /// Which one.
        id: HandleId,
    },
    /// The handle does not allow it.
    #[error("the handle lacks {lacks:?}, it has {has:?}")]
    Denied {
        /// What was needed and is not there.
        lacks: Rights,
        /// What is there.
        has: Rights,
    },
    /// Too many handles.
    #[error(transparent)]
    Quota(#[from] QuotaError),
}

impl Allowance {
    /// For all together: 50 MiB in pipes, as much in queues and in sockets, 500 MiB of shared memory, 65,536 handles.
    pub const DEFAULT: Allowance = Allowance {
        pipe_bytes: 50 << 20,
        queue_bytes: 50 << 20,
        socket_bytes: 50 << 20,
        segment_bytes: 500 << 20,
        handles: 65_536,
    };
}

impl Quotas {
    fn root(allowance: Allowance) -> Quotas {
        Quotas {
            pipes: Quota::root("bytes in pipes", allowance.pipe_bytes),
            queues: Quota::root("bytes in queues", allowance.queue_bytes),
            sockets: Quota::root("bytes in sockets", allowance.socket_bytes),
            segments: Quota::root("bytes of shared memory", allowance.segment_bytes),
            handles: Quota::root("handles", allowance.handles),
        }
    }

    fn child(&self, allowance: Allowance) -> Quotas {
        Quotas {
            pipes: self.pipes.child("bytes in pipes of one owner", allowance.pipe_bytes),
            queues: self.queues.child("bytes in queues of one owner", allowance.queue_bytes),
            sockets: self.sockets.child("bytes in sockets of one owner", allowance.socket_bytes),
            segments: self.segments.child("bytes of shared memory of one owner", allowance.segment_bytes),
            handles: self.handles.child("handles of one owner", allowance.handles),
        }
    }

    /// What is taken now, in the same order.
    pub fn used(&self) -> Allowance {
        Allowance {
            pipe_bytes: self.pipes.used(),
            queue_bytes: self.queues.used(),
            socket_bytes: self.sockets.used(),
            segment_bytes: self.segments.used(),
            handles: self.handles.used(),
        }
    }
}

impl OwnerId {
    /// As a number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl HandleId {
    /// From a number, as it comes from outside; it need not name anything.
    pub fn new(number: u64) -> HandleId {
        HandleId(number)
    }

    /// As a number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl Registry {
    /// Without owners.
    pub fn new(allowance: Allowance) -> Registry {
        let owners = Mutex::new(HashMap::new());
        Registry { all: Quotas::root(allowance), next: AtomicU64::new(1), owners }
    }

    /// A new owner, who holds nothing and may hold that much.
    pub fn add_owner(&self, allowance: Allowance) -> OwnerId {
        let id = OwnerId(self.fresh());
        let owner = Owner { quotas: self.all.child(allowance), table: Mutex::new(Some(Table::default())) };
        self.owners.lock().insert(id, Arc::new(owner));
        id
    }

    /// What this owner's objects are to be charged to.
    pub fn quotas(&self, owner: OwnerId) -> Result<Quotas, RegistryError> {
        Ok(self.owner(owner)?.quotas.clone())
    }

    /// What all owners hold together.
    pub fn used(&self) -> Allowance {
        self.all.used()
    }

    /// Gives the owner a handle. If it is refused, the object is dropped.
    pub fn insert(&self, owner: OwnerId, object: Object, rights: Rights) -> Result<HandleId, RegistryError> {
        let owner = self.owner(owner)?;
        let entry = Entry::new(object, rights, owner.quotas.handles.take(1)?);
        self.put(&owner, entry)
    }

    /// What the handle refers to, if it allows all of `needs`. It is the same object for as long as it is held, but it is closed
    /// when the last handle to it is.
    pub fn get(
        &self,
        owner: OwnerId,
        id: HandleId,
        needs: Rights,
    ) -> Result<Arc<impl AsRef<Object> + use<>>, RegistryError> {
        self.look(owner, id, |table| table.get(id, needs).map(Entry::held))
    }

    /// What the handle allows.
    pub fn rights(&self, owner: OwnerId, id: HandleId) -> Result<Rights, RegistryError> {
        self.look(owner, id, |table| table.get(id, Rights::NONE).map(Entry::rights))
    }

    /// Takes away all rights but these. What is not there is not given.
    pub fn restrict(&self, owner: OwnerId, id: HandleId, keep: Rights) -> Result<Rights, RegistryError> {
        self.look(owner, id, |table| table.restrict(id, keep))
    }

    /// A second handle to the same object, with no more rights than the first, which must allow it.
    pub fn duplicate(&self, owner: OwnerId, id: HandleId, keep: Rights) -> Result<HandleId, RegistryError> {
        let owner = self.owner(owner)?;
        let charge = owner.quotas.handles.take(1)?;
        let mut table = owner.table.lock();
        let table = table.as_mut().ok_or(RegistryError::Owner)?;
        let copy = table.get(id, Rights::DUPLICATE)?.copy(keep, charge);
        let fresh = HandleId(self.fresh());
        table.insert(fresh, copy);
        Ok(fresh)
    }

    /// Passes a handle on, in one step: at no time do both hold it, or none. It must allow it, and can be passed with fewer rights.
    pub fn transfer(
        &self,
        from: OwnerId,
        id: HandleId,
        to: OwnerId,
        keep: Rights,
    ) -> Result<HandleId, RegistryError> {
        let (giver, taker) = (self.owner(from)?, self.owner(to)?);
        let charge = taker.quotas.handles.take(1)?;
        let fresh = HandleId(self.fresh());
        // Given back after the locks.
        let _charge_of_the_giver;
        if from == to {
            let mut table = giver.table.lock();
            let table = table.as_mut().ok_or(RegistryError::Owner)?;
            let mut entry = table.take(id, Rights::TRANSFER)?;
            _charge_of_the_giver = entry.pass(keep, charge);
            table.insert(fresh, entry);
            return Ok(fresh);
        }
        let (first, second) = if from < to { (&giver, &taker) } else { (&taker, &giver) };
        let (first, second) = (first.table.lock(), second.table.lock());
        let (mut giving, mut taking) = if from < to { (first, second) } else { (second, first) };
        let taking = taking.as_mut().ok_or(RegistryError::Owner)?;
        let mut entry = giving.as_mut().ok_or(RegistryError::Owner)?.take(id, Rights::TRANSFER)?;
        _charge_of_the_giver = entry.pass(keep, charge);
        taking.insert(fresh, entry);
        Ok(fresh)
    }

    /// Closes a handle. The object itself is closed with the last handle to it.
    pub fn close(&self, owner: OwnerId, id: HandleId) -> Result<(), RegistryError> {
        let entry = self.look(owner, id, |table| table.take(id, Rights::NONE))?;
        drop(entry);
        Ok(())
    }

    /// How many handles the owner has.
    pub fn handles(&self, owner: OwnerId) -> Result<usize, RegistryError> {
        let owner = self.owner(owner)?;
        let table = owner.table.lock();
        table.as_ref().map(Table::len).ok_or(RegistryError::Owner)
    }

    /// The owner has ended, however it ended: all its handles are closed, and it is nobody from now on. Answers how many there
    /// were. It takes as long as these take, whatever others hold, and doing it again does nothing.
    pub fn on_exit(&self, owner: OwnerId) -> usize {
        let Some(owner) = self.owners.lock().remove(&owner) else { return 0 };
        // Whoever still refers to the owner finds that it holds nothing and can be given nothing.
        let Some(table) = owner.table.lock().take() else { return 0 };
        let count = table.len();
        drop(table);
        count
    }

    fn owner(&self, owner: OwnerId) -> Result<Arc<Owner>, RegistryError> {
        self.owners.lock().get(&owner).cloned().ok_or(RegistryError::Owner)
    }

    fn look<R>(
        &self,
        owner: OwnerId,
        _id: HandleId,
        look: impl FnOnce(&mut Table) -> Result<R, RegistryError>,
    ) -> Result<R, RegistryError> {
        let owner = self.owner(owner)?;
        let mut table = owner.table.lock();
        look(table.as_mut().ok_or(RegistryError::Owner)?)
    }

    fn put(&self, owner: &Owner, entry: Entry) -> Result<HandleId, RegistryError> {
        let id = HandleId(self.fresh());
        let refused = {
            let mut table = owner.table.lock();
            match table.as_mut() {
                Some(table) => {
                    table.insert(id, entry);
                    None
                }
                None => Some(entry),
            }
        };
        if refused.is_some() { Err(RegistryError::Owner) } else { Ok(id) }
    }

    fn fresh(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Registry({} owners, {:?})", self.owners.lock().len(), self.used())
    }
}
