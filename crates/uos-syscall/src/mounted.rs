//! What calls have mounted, and the snapshots they keep.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};
use uos_ipc::Permit;
use uos_proto::v1::MountKind;
use uos_vfs::{Detached, FsId, MountId, Snapshot, VPath};

use crate::Pid;

/// The books of a kernel on both.
#[derive(Default)]
pub(crate) struct Mounted {
    books: Mutex<Books>,
    /// Held while something is mounted, or a filesystem put back to a snapshot: a directory that something is being mounted
    /// on must not be replaced by another one.
    changing: Mutex<()>,
}

/// Held to look something up or to write it down; what goes is dropped afterwards.
#[derive(Default)]
struct Books {
    mounts: HashMap<MountId, Made>,
    snapshots: BTreeMap<u64, Arc<Kept>>,
    /// Taken away while files were open.
    lingering: Vec<(Detached, Room)>,
}

/// A mount made by a call.
pub(crate) struct Made {
    pub(crate) kind: MountKind,
    pub(crate) by: Pid,
    pub(crate) room: Room,
}

/// What a mount takes of the quotas.
pub(crate) struct Room {
    pub(crate) _mount: Permit,
    pub(crate) _memory: Option<Permit>,
}

/// A snapshot that is kept.
pub(crate) struct Kept {
    pub(crate) id: u64,
    pub(crate) snapshot: Snapshot,
    pub(crate) fs: FsId,
    /// Where the filesystem was mounted.
    pub(crate) path: VPath,
    pub(crate) name: String,
    pub(crate) created_us: i64,
    pub(crate) by: Pid,
    pub(crate) _room: Permit,
}

impl Mounted {
    /// Nothing else is mounted or put back for as long as this is held.
    pub(crate) fn alone(&self) -> MutexGuard<'_, ()> {
        self.changing.lock()
    }

    pub(crate) fn add(&self, id: MountId, made: Made) {
        self.books.lock().mounts.insert(id, made);
    }

    /// What kind of mount a call has made, and who.
    pub(crate) fn made(&self, id: MountId) -> Option<(MountKind, Pid)> {
        self.books.lock().mounts.get(&id).map(|made| (made.kind, made.by))
    }

    /// A mount has been taken away. What it takes is given back when the last file that is open through it is closed.
    pub(crate) fn remove(&self, id: MountId, detached: Option<Detached>) {
        let mut books = self.books.lock();
        let made = books.mounts.remove(&id);
        let gone = match (made, detached) {
            (Some(made), Some(detached)) => {
                books.lingering.push((detached, made.room));
                None
            }
            (made, _) => made,
        };
        drop(books);
        drop(gone);
    }

    /// Gives back what nobody uses any more.
    pub(crate) fn settle(&self) {
        let mut books = self.books.lock();
        let (lingering, gone): (Vec<_>, Vec<_>) =
            std::mem::take(&mut books.lingering).into_iter().partition(|(mount, _)| mount.open_files() > 0);
        books.lingering = lingering;
        drop(books);
        drop(gone);
    }

    pub(crate) fn keep(&self, kept: Kept) {
        self.books.lock().snapshots.insert(kept.id, Arc::new(kept));
    }

    pub(crate) fn kept(&self, id: u64) -> Option<Arc<Kept>> {
        self.books.lock().snapshots.get(&id).cloned()
    }

    /// Keeps a snapshot no longer. None if a twin was quicker.
    pub(crate) fn drop_kept(&self, id: u64) -> Option<Arc<Kept>> {
        self.books.lock().snapshots.remove(&id)
    }

    pub(crate) fn all_kept(&self) -> Vec<Arc<Kept>> {
        self.books.lock().snapshots.values().cloned().collect()
    }

    /// Whether there are snapshots of a filesystem.
    pub(crate) fn has_kept(&self, fs: FsId) -> bool {
        self.books.lock().snapshots.values().any(|kept| kept.fs == fs)
    }
}
