//! Directories that a thread has lately come by. Whoever works in one directory comes by the same path again and
//! again, and the locks along it, though taken only for reading, are written to by all who do so: with two threads
//! in two directories below one root, most of the time went into handing the root's lock from one core to the other.
//!
//! What is remembered holds nothing alive, and counts only as long as no directory of the filesystem has lost its
//! place since before the way was gone.

use super::inode::Inode;
use super::space::Space;
use crate::FsId;
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// So many are remembered, each in the one place that its path gives.
const PLACES: usize = 8;

/// How often directories of a filesystem have lost their places.
#[derive(Default)]
pub(super) struct Moves(AtomicU64);

impl Moves {
    /// A directory loses its place. What it was in is locked for writing, so nobody comes by there meanwhile.
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }

    fn now(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// A way that was gone.
struct Way {
    fs: FsId,
    path: Vec<u8>,
    moves: u64,
    dir: Weak<Inode>,
}

thread_local! {
    static WAYS: RefCell<[Option<Way>; PLACES]> = const { RefCell::new([const { None }; PLACES]) };
}

/// The directory that a path leads to, as remembered, or else by going the way.
pub(super) fn directory(
    space: &Space,
    path: &[u8],
    way: impl FnOnce() -> Option<Arc<Inode>>,
) -> Option<Arc<Inode>> {
    // Before the way is gone: what moves meanwhile counts against it.
    let moves = space.moves.now();
    let place = place_of(path);
    let remembered = WAYS.try_with(|ways| {
        let ways = ways.borrow();
        let known = ways[place].as_ref()?;
        let counts = known.moves == moves && known.fs == space.fs && known.path == path;
        if counts { known.dir.upgrade() } else { None }
    });
    if let Ok(Some(dir)) = remembered {
        return Some(dir);
    }
    let dir = way()?;
    // A thread that is ending remembers nothing.
    let _ = WAYS.try_with(|ways| {
        let way = &mut ways.borrow_mut()[place];
        let mut path_room = way.take().map_or(Vec::new(), |way| way.path);
        path_room.clear();
        path_room.extend_from_slice(path);
        *way = Some(Way { fs: space.fs, path: path_room, moves, dir: Arc::downgrade(&dir) });
    });
    Some(dir)
}

/// From what tells neighbours apart: the length, and what comes before the slash at the end.
fn place_of(path: &[u8]) -> usize {
    let last = path.iter().rev().nth(1).copied().unwrap_or(0);
    (path.len() + usize::from(last)) % PLACES
}
