//! The table of what one process holds. An id works only in the table that holds it.

use std::collections::HashMap;

use parking_lot::Mutex;
use uos_ipc::{Control, Permit, Quota, Reader, Writer};

use crate::{Errno, Error};

/// Something a process holds.
pub(crate) enum Handle {
    /// A pipe, by one end or both, or by neither: its maker keeps sight of it.
    Pipe(PipeHandle),
}

/// What a process holds of a pipe. Dropping it closes the ends.
pub(crate) struct PipeHandle {
    pub(crate) reader: Option<Reader>,
    pub(crate) writer: Option<Writer>,
    /// Held so that the pipe can be seen and destroyed by its maker; keeps neither end open.
    pub(crate) control: Control,
    /// The holder made the pipe, and may destroy it.
    pub(crate) made: bool,
}

struct Entry {
    handle: Handle,
    _room: Permit,
}

/// The handle table of one process.
pub(crate) struct Handles {
    /// `None` once the process has ended: nothing can be put in any more. Held for a look-up or a change only; what is
    /// taken out is dropped after it is released, since a drop may wake others.
    entries: Mutex<Option<HashMap<u64, Entry>>>,
    room: Quota,
}

impl Handles {
    pub(crate) fn new(room: Quota) -> Self {
        Self { entries: Mutex::new(Some(HashMap::new())), room }
    }

    /// Puts a handle in, joining ends when the process holds the same pipe already.
    pub(crate) fn insert(&self, id: u64, handle: Handle) -> Result<(), Error> {
        let room = self.room.take(1);
        let mut entries = self.entries.lock();
        let Some(entries) = &mut *entries else {
            return Err(Error::new(Errno::ESRCH, "the process that was to get the handle has ended"));
        };
        if let Some(Entry { handle: Handle::Pipe(held), .. }) = entries.get_mut(&id) {
            let Handle::Pipe(more) = handle;
            held.reader = held.reader.take().or(more.reader);
            held.writer = held.writer.take().or(more.writer);
            held.made |= more.made;
            return Ok(());
        }
        let room = room.map_err(|full| Error::limit(Errno::EMFILE, full.name, full.used, full.limit))?;
        entries.insert(id, Entry { handle, _room: room });
        Ok(())
    }

    /// Looks at a handle.
    pub(crate) fn with<T>(&self, id: u64, look: impl FnOnce(&Handle) -> Option<T>) -> Option<T> {
        self.entries.lock().as_ref()?.get(&id).and_then(|entry| look(&entry.handle))
    }

    /// Takes a handle out.
    pub(crate) fn remove(&self, id: u64) -> Option<Handle> {
        let entry = self.entries.lock().as_mut()?.remove(&id)?;
        Some(entry.handle)
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
