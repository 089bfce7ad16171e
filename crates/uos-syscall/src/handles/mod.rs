//! The table of what one process holds. An id works only in the table that holds it.

mod licence;
mod object;
mod pipe;
mod queue;
mod segment;
mod topic;

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use uos_ipc::{Permit, Quota, Rights};

pub(crate) use self::{
    licence::Licence,
    object::Object,
    pipe::PipeEnds,
    queue::QueueEnds,
    segment::{SharedSegment, Window},
    topic::TopicEnds,
};
use crate::{Errno, Error};

/// Something a process holds: an object, what the holder may do with it, and what it was opened by.
pub(crate) struct Handle {
    pub(crate) object: Object,
    /// Only ever less.
    pub(crate) rights: Rights,
    /// Unset for what is of the holder's own making: a pipe was made with a right, and is used without.
    pub(crate) licence: Option<Arc<Licence>>,
}

struct Entry {
    handle: Handle,
    _room: Permit,
}

/// The handle table of one process.
pub(crate) struct Handles {
    /// `None` once the process has ended: nothing can be put in any more. Held for a look-up or a change only; what is
    /// taken out is dropped after it is released, since a drop may wake others.
    entries: Mutex<Option<BTreeMap<u64, Entry>>>,
    room: Quota,
}

impl Handle {
    /// One that its holder needs no other right to use.
    pub(crate) fn new(object: Object, rights: Rights) -> Self {
        Self { object, rights, licence: None }
    }

    /// A second one of the same object, for somebody else, with what both the first and `rights` allow.
    pub(crate) fn share(&self, rights: Rights) -> Self {
        let rights = self.rights & rights;
        Self { object: self.object.share(rights), rights, licence: self.licence.clone() }
    }

    /// Takes away all but some of its rights. What nothing is left for is handed out, to be dropped outside of locks.
    pub(crate) fn restrict(&mut self, keep: Rights) -> Option<Object> {
        self.rights = self.rights & keep;
        self.object.narrow(self.rights)
    }
}

impl Handles {
    pub(crate) fn new(room: Quota) -> Self {
        Self { entries: Mutex::new(Some(BTreeMap::new())), room }
    }

    /// Puts a handle in. What the process holds of the same object already is added to.
    pub(crate) fn insert(&self, id: u64, handle: Handle) -> Result<(), Error> {
        let room = self.room.take(1);
        let mut guard = self.entries.lock();
        let Some(entries) = &mut *guard else {
            return Err(Error::new(Errno::ESRCH, "the process that was to get the handle has ended"));
        };
        if let Some(Entry { handle: held, .. }) = entries.get_mut(&id) {
            held.rights = held.rights | handle.rights;
            let spare = held.object.join(handle.object);
            drop(guard);
            drop(spare);
            return Ok(());
        }
        let room = room.map_err(|full| Error::limit(Errno::EMFILE, full.name, full.used, full.limit))?;
        entries.insert(id, Entry { handle, _room: room });
        Ok(())
    }

    /// Looks at a handle, or changes it. What the change leaves over is to be handed out, and dropped by the caller.
    pub(crate) fn with<T>(&self, id: u64, look: impl FnOnce(&mut Handle) -> T) -> Option<T> {
        self.entries.lock().as_mut()?.get_mut(&id).map(|entry| look(&mut entry.handle))
    }

    /// Takes a handle out.
    pub(crate) fn remove(&self, id: u64) -> Option<Handle> {
        let entry = self.entries.lock().as_mut()?.remove(&id)?;
        Some(entry.handle)
    }

    /// What is said of up to `most` handles after an id, in order; and whether there are more.
    pub(crate) fn after<T>(&self, id: u64, most: usize, say: impl Fn(u64, &Handle) -> T) -> (Vec<T>, bool) {
        let entries = self.entries.lock();
        let Some(entries) = &*entries else { return (Vec::new(), false) };
        let mut rest = entries.range(id.saturating_add(1)..);
        let told = rest.by_ref().take(most).map(|(&id, entry)| say(id, &entry.handle)).collect();
        (told, rest.next().is_some())
    }

    /// Drops all handles and takes no more.
    pub(crate) fn close(&self) {
        let entries = self.entries.lock().take();
        drop(entries);
    }

    pub(crate) fn len(&self) -> u64 {
        self.entries.lock().as_ref().map_or(0, |entries| entries.len() as u64)
    }
}
