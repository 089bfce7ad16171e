//! Watches: what has changed at a path, kept for those who ask.
//!
//! What is watched is a path, and what is told are the changes that calls make by paths: the same that observers are told
//! ([`crate::Event::FileChanged`]). Rights go by path too, so each change is told to whoever may read there when it happens, and
//! still when it is asked for.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use uos_ipc::Permit;
use uos_proto::Right;
use uos_vfs::VPath;

use crate::{Pid, asking::Leave, events::FileChange, rights::Grants};

/// What one change takes beside its paths.
const CHANGE_BYTES: usize = 96;

/// All watches of a kernel.
#[derive(Default)]
pub(crate) struct Watches {
    /// By what they watch. Held to look or to change; nobody is told, and nothing dropped, under it.
    by_path: RwLock<BTreeMap<VPath, Vec<Weak<Watch>>>>,
    /// How many there are, so that changes nobody watches cost one look.
    count: AtomicUsize,
}

/// One watch, for all who hold it.
pub(crate) struct Watch {
    path: VPath,
    recursive: bool,
    /// Of the one who made it.
    leave: Leave,
    capacity: usize,
    /// Held to put something in or take it out.
    unheard: Mutex<Unheard>,
    /// Something has come, or a handle was closed.
    pub(crate) changed: Notify,
    all: Arc<Watches>,
    _room: Permit,
}

#[derive(Default)]
struct Unheard {
    changes: VecDeque<Seen>,
    bytes: usize,
    /// There was no room: what was there is gone, and nothing more comes until that has been heard.
    overflow: bool,
}

/// A change as a watch tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) change: FileChange,
    pub(crate) path: VPath,
    pub(crate) directory: bool,
    pub(crate) by: Pid,
}

impl Watches {
    /// Watches a path from now on, until the last one drops it.
    pub(crate) fn add(
        self: &Arc<Self>,
        (path, recursive): (VPath, bool),
        leave: Leave,
        (capacity, room): (usize, Permit),
    ) -> Arc<Watch> {
        let watch = Arc::new(Watch {
            path: path.clone(),
            recursive,
            leave,
            capacity,
            unheard: Mutex::default(),
            changed: Notify::new(),
            all: Arc::clone(self),
            _room: room,
        });
        self.by_path.write().entry(path).or_default().push(Arc::downgrade(&watch));
        self.count.fetch_add(1, Ordering::AcqRel);
        watch
    }

    /// Something has changed.
    pub(crate) fn tell(&self, change: &FileChange, path: &VPath, directory: bool, by: Pid) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut concerned: Vec<Arc<Watch>> = Vec::new();
        let by_path = self.by_path.read();
        let mut add = |watches: &Vec<Weak<Watch>>| {
            for watch in watches.iter().filter_map(Weak::upgrade) {
                if !concerned.iter().any(|known| Arc::ptr_eq(known, &watch)) {
                    concerned.push(watch);
                }
            }
        };
        let to = if let FileChange::Moved { to } = change { Some(to) } else { None };
        for path in [Some(path), to].into_iter().flatten() {
            let mut above = Some(path.clone());
            while let Some(path) = above {
                by_path.get(&path).into_iter().for_each(&mut add);
                above = path.parent();
            }
        }
        // With a directory that is moved goes what is watched below it.
        if to.is_some() && directory {
            let below = by_path.range((Bound::Excluded(path.clone()), Bound::Unbounded));
            let below = below.take_while(|(other, _)| other.as_bytes().starts_with(path.as_bytes()));
            below.filter(|(other, _)| other.starts_with(path)).for_each(|(_, watches)| add(watches));
        }
        drop(by_path);
        for watch in concerned {
            watch.hear(change, path, directory, by);
        }
    }
}

impl Watch {
    /// Takes in a change as far as it is watched, and may be told.
    fn hear(&self, change: &FileChange, path: &VPath, directory: bool, by: Pid) {
        let sees = |path: &VPath| self.covers(path) && self.may_read(path);
        let (change, path) = match change {
            FileChange::Moved { to } => match (sees(path), sees(to)) {
                (true, true) => (change.clone(), path),
                (true, false) => (FileChange::Removed, path),
                (false, true) => (FileChange::Created, to),
                (false, false) if self.path.starts_with(path) && self.may_read(&self.path) => {
                    (FileChange::Removed, &self.path)
                }
                (false, false) => return,
            },
            _ if sees(path) => (change.clone(), path),
            _ => return,
        };
        self.keep(Seen { change, path: path.clone(), directory, by });
    }

    fn may_read(&self, path: &VPath) -> bool {
        let allows = |grants: &Grants| grants.for_path(Right::FsRead, path.as_bytes()).map(|_| ()).ok_or(());
        self.leave.ask(allows).is_ok()
    }

    fn covers(&self, path: &VPath) -> bool {
        match path.starts_with(&self.path) {
            true if self.recursive || *path == self.path => true,
            true => path.parent().is_some_and(|parent| parent == self.path),
            false => false,
        }
    }

    fn keep(&self, seen: Seen) {
        let mut unheard = self.unheard.lock();
        if unheard.overflow || unheard.changes.back() == Some(&seen) {
            // Whoever hears of it once looks at what there is then.
            return;
        }
        unheard.bytes += seen.bytes();
        if unheard.bytes > self.capacity {
            *unheard = Unheard { overflow: true, ..Unheard::default() };
        } else {
            unheard.changes.push_back(seen);
        }
        drop(unheard);
        self.changed.notify_waiters();
    }

    /// Takes out what has come, oldest first, and whether something was lost before it. Nothing if nothing has.
    pub(crate) fn take(&self, most: usize) -> Option<(Vec<Seen>, bool)> {
        let mut unheard = self.unheard.lock();
        let overflow = std::mem::take(&mut unheard.overflow);
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some(seen) = unheard.changes.pop_front()
        {
            unheard.bytes -= seen.bytes();
            // Also what was read may not be any more.
            if seen.paths().all(|path| self.may_read(path)) {
                taken.push(seen);
            }
        }
        (overflow || !taken.is_empty()).then_some((taken, overflow))
    }

    /// Whether something has come.
    pub(crate) fn has_some(&self) -> bool {
        let unheard = self.unheard.lock();
        unheard.overflow || !unheard.changes.is_empty()
    }
}

impl Seen {
    fn paths(&self) -> impl Iterator<Item = &VPath> {
        let to = if let FileChange::Moved { to } = &self.change { Some(to) } else { None };
        [&self.path].into_iter().chain(to)
    }

    fn bytes(&self) -> usize {
        CHANGE_BYTES + self.paths().map(|path| path.as_bytes().len()).sum::<usize>()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut by_path = self.all.by_path.write();
        if let Some(watches) = by_path.get_mut(&self.path) {
            watches.retain(|watch| watch.strong_count() > 0);
            if watches.is_empty() {
                by_path.remove(&self.path);
            }
        }
        self.all.count.fetch_sub(1, Ordering::AcqRel);
    }
}
