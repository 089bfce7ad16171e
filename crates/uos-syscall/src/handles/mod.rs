//! The table of what one process holds. An id works only in the table that holds it.

mod file;
mod licence;
mod object;
mod pipe;
mod queue;
mod ready;
mod segment;
mod topic;
mod watch;

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc};

use parking_lot::Mutex;
use uos_ipc::{Permit, Quota, Rights};

pub(crate) use self::{
    file::FileHandle,
    licence::Licence,
    object::{Held, Object},
    pipe::PipeEnds,
    queue::QueueEnds,
    ready::Wait,
    segment::{SharedSegment, Window},
    topic::{Over, TopicEnds},
    watch::{Listening, WatchHandle},
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

    /// One that goes on by what it was opened by.
    pub(crate) fn licensed(object: Object, rights: Rights, licence: Arc<Licence>) -> Self {
        Self { object, rights, licence: Some(licence) }
    }

    /// What it goes on by: what it was opened by, or, of a socket, what anybody has bound and connected that by.
    pub(crate) fn licence(&self) -> Option<Arc<Licence>> {
        match &self.object {
            Object::Socket(socket) => socket.whole.licence(),
            _ => self.licence.clone(),
        }
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

    /// Takes out all whose ids are in a range.
    pub(crate) fn remove_range(&self, range: RangeInclusive<u64>) -> Vec<Handle> {
        let mut entries = self.entries.lock();
        let Some(entries) = entries.as_mut() else { return Vec::new() };
        let ids: Vec<u64> = entries.range(range).map(|(&id, _)| id).collect();
        let taken = ids.into_iter().filter_map(|id| entries.remove(&id));
        taken.map(|entry| entry.handle).collect()
    }

    /// Has one handle stand for what another one does, and hands out what it stood for. `judge` sees the first of them.
    pub(crate) fn replace(
        &self,
        id: u64,
        to: u64,
        judge: impl FnOnce(&Handle) -> Result<(), Error>,
    ) -> Result<Option<Handle>, Error> {
        let mut entries = self.entries.lock();
        let entries = entries.as_mut().ok_or_else(|| Error::no_handle(id))?;
        let from = entries.get(&id).ok_or_else(|| Error::no_handle(id))?;
        judge(&from.handle)?;
        let (second, kind) = (from.handle.share(Rights::ALL), from.handle.object.kind());
        let entry = entries.get_mut(&to).ok_or_else(|| Error::no_handle(to))?;
        if entry.handle.object.kind() != kind {
            return Err(Error::other_handle(to, entry.handle.object.noun()));
        }
        Ok((id != to).then(|| std::mem::replace(&mut entry.handle, second)))
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
