//! What one owner holds.

use super::{HandleId, RegistryError, Rights};
use crate::object::Object;
use crate::quota::Permit;
use crate::sync::{Arc, AtomicU64, Ordering};
use std::collections::HashMap;

#[derive(Default)]
pub(super) struct Table {
    entries: HashMap<HandleId, Entry>,
}

/// One handle. Dropping it closes the object if it was the last to it; so it is dropped under no lock.
pub(super) struct Entry {
    held: Arc<Held>,
    rights: Rights,
    charge: Permit,
}

/// An object and how many handles there are to it, in all tables.
pub(super) struct Held {
    object: Object,
    handles: AtomicU64,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, id: HandleId, needs: Rights) -> Result<&Entry, RegistryError> {
        let entry = self.entries.get(&id).ok_or(RegistryError::Unknown { id })?;
        entry.allows(needs).map(|()| entry)
    }

    pub(super) fn restrict(&mut self, id: HandleId, keep: Rights) -> Result<Rights, RegistryError> {
        let entry = self.entries.get_mut(&id).ok_or(RegistryError::Unknown { id })?;
        entry.rights = entry.rights & keep;
        Ok(entry.rights)
    }

    pub(super) fn take(&mut self, id: HandleId, needs: Rights) -> Result<Entry, RegistryError> {
        self.get(id, needs)?;
        self.entries.remove(&id).ok_or(RegistryError::Unknown { id })
    }

    pub(super) fn insert(&mut self, id: HandleId, entry: Entry) {
        self.entries.insert(id, entry);
    }
}

impl Entry {
    pub(super) fn new(object: Object, rights: Rights, charge: Permit) -> Entry {
        Entry { held: Arc::new(Held { object, handles: AtomicU64::new(1) }), rights, charge }
    }

    pub(super) fn held(&self) -> Arc<Held> {
        self.held.clone()
    }

    pub(super) fn rights(&self) -> Rights {
        self.rights
    }

    pub(super) fn copy(&self, keep: Rights, charge: Permit) -> Entry {
        self.held.handles.fetch_add(1, Ordering::AcqRel);
        Entry { held: self.held.clone(), rights: self.rights & keep, charge }
    }

    /// For another owner, who pays from now on. Answers with what the former one has paid.
    pub(super) fn pass(&mut self, keep: Rights, charge: Permit) -> Permit {
        self.rights = self.rights & keep;
        std::mem::replace(&mut self.charge, charge)
    }

    fn allows(&self, needs: Rights) -> Result<(), RegistryError> {
        match needs.without(self.rights) {
            Rights::NONE => Ok(()),
            lacks => Err(RegistryError::Denied { lacks, has: self.rights }),
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.held.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Somebody may be using it at this moment: what waits through it ends.
            self.held.object.close();
        }
    }
}

impl AsRef<Object> for Held {
    fn as_ref(&self) -> &Object {
        &self.object
    }
}
