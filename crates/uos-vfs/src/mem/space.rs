//! What all inodes of one filesystem share: its number, its clock, what it may still hold, and which of
//! its past is still wanted. What it may hold it shares with its forks.

use super::content::Balance;
use super::epochs::Epochs;
use super::recent::Moves;
use crate::{Clock, Error, FsId, Result, StatFs};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Directories are spread over so many shelves, so that those who work in different directories seldom
/// write to the same cache line.
const SHELVES: u64 = 16;

pub(super) struct Space {
    pub(super) fs: FsId,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) epochs: Epochs,
    pub(super) moves: Moves,
    /// Held while an entry moves from one directory to another: only then do directories change
    /// their parents, so whoever holds it may compare places in the tree.
    pub(super) moving: Mutex<()>,
    /// How many names a node may have.
    pub(super) link_max: u32,
    pub(super) names: foldhash::quality::RandomState,
    pub(super) hold: Arc<Hold>,
}

/// What a filesystem and its forks may hold together. As the content that they share counts once, whoever
/// lets go of it last has to give it back to where it was taken from.
pub(super) struct Hold {
    bytes: Stock,
    nodes: Stock,
    shelves: Box<[Shelf]>,
    next_shelf: AtomicU64,
}

/// Bytes or nodes: how much there may be in all, and how much of it is handed out to the shelves.
struct Stock {
    capacity: u64,
    handed_out: AtomicU64,
    /// So much is handed out at once, beyond what is asked for.
    batch: u64,
    which: fn(&Shelf) -> &AtomicU64,
}

/// What was handed out and is not in use, and the numbers of inodes.
#[derive(Default)]
#[repr(align(128))]
struct Shelf {
    bytes: AtomicU64,
    nodes: AtomicU64,
    inodes: AtomicU64,
}

/// The part of a space that the entries of one directory use. Of its own, so that counting references
/// to it does not concern other directories, nor the cache line of what lies beside it.
#[repr(align(128))]
pub(super) struct Lane {
    pub(super) space: Arc<Space>,
    hold: Arc<Hold>,
    shelf: u64,
}

impl Space {
    /// A filesystem that nothing is in yet.
    pub(super) fn new(hold: Arc<Hold>, link_max: u32, clock: Arc<dyn Clock>) -> Self {
        Space {
            fs: FsId::new(),
            clock,
            epochs: Epochs::default(),
            moves: Moves::default(),
            moving: Mutex::new(()),
            link_max,
            names: foldhash::quality::RandomState::default(),
            hold,
        }
    }

    pub(super) fn stat(&self, fs: FsId, read_only: bool) -> StatFs {
        let hold = &self.hold;
        let free = |stock: &Stock| stock.capacity.saturating_sub(stock.used(&hold.shelves));
        StatFs {
            fs,
            block_size: 4096,
            bytes_total: hold.bytes.capacity,
            bytes_free: free(&hold.bytes),
            bytes_available: free(&hold.bytes),
            nodes_total: hold.nodes.capacity,
            nodes_free: free(&hold.nodes),
            name_max: 255,
            read_only,
        }
    }
}

impl Hold {
    /// The root directory, made next, is counted already.
    pub(super) fn new(capacity_bytes: u64, capacity_nodes: u64) -> Self {
        Hold {
            bytes: Stock::new(capacity_bytes, 0, 256 << 10, |shelf| &shelf.bytes),
            nodes: Stock::new(capacity_nodes, 1, 64, |shelf| &shelf.nodes),
            shelves: (0..SHELVES).map(|_| Shelf::default()).collect(),
            next_shelf: AtomicU64::new(0),
        }
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.bytes.used(&self.shelves)
    }

    pub(super) fn used_nodes(&self) -> u64 {
        self.nodes.used(&self.shelves)
    }

    /// Numbers up to this one are given out already.
    pub(super) fn skip_inos(&self, last: u64) {
        for shelf in &self.shelves {
            shelf.inodes.fetch_max(last / SHELVES + 1, Ordering::Relaxed);
        }
    }
}

impl Lane {
    pub(super) fn new(space: &Arc<Space>) -> Arc<Self> {
        let shelf = space.hold.next_shelf.fetch_add(1, Ordering::Relaxed) % SHELVES;
        Arc::new(Lane { space: Arc::clone(space), hold: Arc::clone(&space.hold), shelf })
    }

    /// A number never given out before in this filesystem; the first is 1, for the root.
    pub(super) fn next_ino(&self) -> u64 {
        self.shelf().inodes.fetch_add(1, Ordering::Relaxed) * SHELVES + self.shelf + 1
    }

    pub(super) fn take_bytes(&self, asked: u64) -> Result<()> {
        self.hold.bytes.take(&self.hold.shelves, self.shelf(), asked)
    }

    pub(super) fn give_bytes_back(&self, amount: u64) {
        self.hold.bytes.give_back(self.shelf(), amount);
    }

    /// Takes room for a node and its first bytes, or for neither.
    pub(super) fn take_new(&self, bytes: u64) -> Result<()> {
        self.take_node()?;
        self.take_bytes(bytes).inspect_err(|_| self.give_nodes_back(1))
    }

    /// Gives back what was taken for a change and not needed, and what the change has set free.
    pub(super) fn settle(&self, taken: u64, balance: Balance) {
        debug_assert!(balance.added <= taken, "{balance:?} of {taken}");
        self.give_bytes_back(taken - balance.added + balance.freed);
    }

    pub(super) fn take_node(&self) -> Result<()> {
        self.hold.nodes.take(&self.hold.shelves, self.shelf(), 1)
    }

    /// Counts what a fork brings along when it is first looked at. Looking must not fail for want of room,
    /// so this may go beyond the capacity; nothing is handed out then until there is room again.
    pub(super) fn count_in(&self, bytes: u64, nodes: u64) {
        self.hold.bytes.handed_out.fetch_add(bytes, Ordering::Relaxed);
        self.hold.nodes.handed_out.fetch_add(nodes, Ordering::Relaxed);
    }

    pub(super) fn give_nodes_back(&self, amount: u64) {
        self.hold.nodes.give_back(self.shelf(), amount);
    }

    fn shelf(&self) -> &Shelf {
        &self.hold.shelves[self.shelf as usize]
    }
}

// The counters guard no other memory, so relaxed order is all they need.
impl Stock {
    fn new(capacity: u64, in_use: u64, batch: u64, which: fn(&Shelf) -> &AtomicU64) -> Self {
        Stock { capacity, handed_out: AtomicU64::new(in_use), batch, which }
    }

    /// Exact while nothing is going on; else about what it was just now.
    fn used(&self, shelves: &[Shelf]) -> u64 {
        let idle: u64 = shelves.iter().map(|shelf| (self.which)(shelf).load(Ordering::Relaxed)).sum();
        self.handed_out.load(Ordering::Relaxed).saturating_sub(idle)
    }

    fn take(&self, shelves: &[Shelf], shelf: &Shelf, asked: u64) -> Result<()> {
        if asked == 0 || less((self.which)(shelf), asked) {
            return Ok(());
        }
        if self.hand_out(asked.saturating_add(self.batch)) {
            (self.which)(shelf).fetch_add(self.batch, Ordering::Relaxed);
            return Ok(());
        }
        loop {
            if self.hand_out(asked) {
                return Ok(());
            }
            // What lies idle elsewhere is nobody's: only when there is none of it left there is no room.
            let idle: u64 = shelves.iter().map(|shelf| (self.which)(shelf).swap(0, Ordering::Relaxed)).sum();
            if idle == 0 {
                return Err(Error::NoSpace { capacity: self.capacity, used: self.used(shelves), asked });
            }
            self.handed_out.fetch_sub(idle, Ordering::Relaxed);
        }
    }

    fn give_back(&self, shelf: &Shelf, amount: u64) {
        if amount == 0 {
            return;
        }
        let idle = (self.which)(shelf);
        let there = idle.fetch_add(amount, Ordering::Relaxed) + amount;
        // Kept for the next one who asks here, but not without end.
        if there > 4 * self.batch && less(idle, there - self.batch) {
            self.handed_out.fetch_sub(there - self.batch, Ordering::Relaxed);
        }
    }

    fn hand_out(&self, amount: u64) -> bool {
        let grown = |out: u64| out.checked_add(amount).filter(|&sum| sum <= self.capacity);
        self.handed_out.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_ok()
    }
}

/// Takes so much off a counter, if there is that much.
fn less(counter: &AtomicU64, amount: u64) -> bool {
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |there| there.checked_sub(amount)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::{Hold, Lane, Space};
    use crate::{Error, SystemClock};
    use std::sync::Arc;

    fn space(bytes: u64, nodes: u64) -> Arc<Space> {
        Arc::new(Space::new(Arc::new(Hold::new(bytes, nodes)), 10, Arc::new(SystemClock)))
    }

    #[test]
    fn all_of_a_capacity_can_be_had_wherever_it_lies_idle() {
        let space = space(1 << 20, 100);
        let lanes: Vec<_> = (0..40).map(|_| Lane::new(&space)).collect();
        for lane in &lanes {
            lane.take_bytes(10).unwrap();
        }
        assert_eq!(space.hold.used_bytes(), 400);
        for lane in &lanes {
            lane.give_bytes_back(10);
        }
        assert_eq!(space.hold.used_bytes(), 0);
        lanes[7].take_bytes(1 << 20).unwrap();
        let full = Error::NoSpace { capacity: 1 << 20, used: 1 << 20, asked: 1 };
        assert_eq!(lanes[8].take_bytes(1), Err(full));
        lanes[7].give_bytes_back(1);
        lanes[8].take_bytes(1).unwrap();
        assert_eq!(space.hold.used_bytes(), 1 << 20);
    }

    #[test]
    fn no_two_inodes_share_a_number() {
        let space = space(0, 0);
        let lanes: Vec<_> = (0..20).map(|_| Lane::new(&space)).collect();
        let numbers: std::collections::HashSet<_> =
            lanes.iter().flat_map(|lane| (0..50).map(|_| lane.next_ino())).collect();
        assert_eq!(numbers.len(), 1_000);
        assert!(numbers.contains(&1) && !numbers.contains(&0));
    }
}
