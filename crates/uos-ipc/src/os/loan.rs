//! Messages that are not copied: blocks of a segment, lent to a receiver that gives them back.
//!
//! A block is taken, written in place, and sent as a descriptor of 64 bytes through a ring; the receiver looks at it where it
//! lies, in a mapping that the kernel lets it only read, and sends the block's number back through a second ring. Neither
//! side believes the other: a descriptor names a place and a generation, and one that can't be true ends the connection.

use super::link::{Carries, Input, LinkEnd, Output, link};
use super::shm::{Access, Mapping, Segment, Segments, Sharing, ShmError};
use crate::queue::QueueError;
use crate::ring::{MAX_SLOTS, SLOT_BYTES, SlotReceiver, SlotSender};
use crate::sync::Mutex;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How long to sleep before looking for blocks that were dropped unsent.
const UNSENT: Duration = Duration::from_millis(20);

/// Lends blocks out.
pub struct Lender {
    shared: Arc<Lent>,
    /// Blocks that nobody has.
    free: Vec<u32>,
    number: u32,
    block_bytes: u64,
    /// How often each block was sent. Odd while it is out.
    generations: Vec<u64>,
    to: SlotSender,
    back: SlotReceiver,
}

struct Lent {
    mapping: Mapping,
    /// Protects which blocks came back unsent, on whatever thread they were dropped.
    unsent: Mutex<Vec<u32>>,
}

/// A block to write to. Dropped unsent, it is free again.
pub struct Loan {
    shared: Arc<Lent>,
    block: u32,
    offset: u64,
    len: u64,
}

/// The receiving end before it is used: open it here, or pass it on.
#[derive(Debug)]
pub struct BorrowerEnd {
    pub(super) segment: Segment,
    pub(super) from: LinkEnd,
    pub(super) back: LinkEnd,
    pub(super) block_bytes: u64,
    pub(super) count: u64,
    /// What the lender calls the segment.
    pub(super) number: u32,
}

/// Receives blocks.
pub struct Borrower {
    shared: Arc<Borrowing>,
    number: u64,
    block_bytes: u64,
    /// The generation in which each block was last seen.
    seen: Vec<u64>,
    from: SlotReceiver,
    corrupt: bool,
}

struct Borrowing {
    mapping: Mapping,
    /// Protects the way back, which is used by drops on any thread.
    back: Mutex<SlotSender>,
}

/// A block to look at. Dropped, it goes back.
pub struct Borrowed {
    shared: Arc<Borrowing>,
    offset: u64,
    len: u64,
    generation: u64,
    block: u64,
}

/// Why nothing was lent or received. In every case nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoanError {
    /// There are no such blocks.
    #[error("{asked_bytes} bytes, where a block has {block_bytes}")]
    TooLarge {
        /// How much was asked for.
        asked_bytes: u64,
        /// How much one has.
        block_bytes: u64,
    },
    /// All blocks are out.
    #[error("all {blocks} blocks are lent out")]
    NoneFree {
        /// How many there are.
        blocks: usize,
    },
    /// The range is not in the block.
    #[error("{len} bytes at {offset} are not in a loan of {size_bytes}")]
    Range {
        /// Where it would begin.
        offset: u64,
        /// How much it would be.
        len: u64,
        /// How much there is.
        size_bytes: u64,
    },
    /// What the rings answer: empty, ended, abandoned, or a peer that is corrupt.
    #[error(transparent)]
    Ring(#[from] QueueError),
    /// What the memory answers.
    #[error(transparent)]
    Shm(#[from] ShmError),
}

/// `count` blocks of that size in a segment of their own, and the two rings. The receiver can only read.
pub fn loans(
    block_bytes: u64,
    count: usize,
    segments: &Segments,
) -> Result<(Lender, BorrowerEnd), LoanError> {
    let max_bytes = (MAX_SLOTS * SLOT_BYTES) as u64;
    if block_bytes == 0 || count == 0 || count > MAX_SLOTS {
        return Err(
            ShmError::Size { asked_bytes: block_bytes.saturating_mul(count as u64), max_bytes }.into()
        );
    }
    // On lines of 64 bytes of their own, so that two blocks never share one.
    let block_bytes = block_bytes.checked_next_multiple_of(SLOT_BYTES as u64).unwrap_or(u64::MAX);
    let size = block_bytes.saturating_mul(count as u64);
    let segment = segments.create(size, Sharing::ReadersOnly)?;
    let mapping = segment.attach(Access::ReadWrite)?;
    let (to, from) = link(Carries::Slots(count), segments)?;
    let (back, returned) = link(Carries::Slots(count), segments)?;
    let (Input::Slots(to), Output::Slots(returned)) = (to.into_input()?, returned.into_output()?) else {
        return Err(ShmError::Role.into());
    };
    let free = (0..count as u32).rev().collect();
    let shared = Arc::new(Lent { mapping, unsent: Mutex::new(Vec::new()) });
    let number = segment.id() as u32;
    let lender =
        Lender { shared, free, number, block_bytes, generations: vec![0; count], to, back: returned };
    let segment = segment.read_only();
    Ok((lender, BorrowerEnd { segment, from, back, block_bytes, count: count as u64, number }))
}

impl Lender {
    /// A block of at least `len` bytes, whose bytes are what they last were.
    pub fn loan(&mut self, len: u64) -> Result<Loan, LoanError> {
        if len > self.block_bytes {
            return Err(LoanError::TooLarge { asked_bytes: len, block_bytes: self.block_bytes });
        }
        if self.free.is_empty() {
            self.collect()?;
        }
        let block = self.free.pop().ok_or(LoanError::NoneFree { blocks: self.generations.len() })?;
        let offset = u64::from(block) * self.block_bytes;
        Ok(Loan { shared: self.shared.clone(), block, offset, len })
    }

    /// The same, sleeping until one comes back.
    pub fn loan_blocking(&mut self, len: u64) -> Result<Loan, LoanError> {
        loop {
            match self.loan(len) {
                // Blocks that are dropped unsent ring no bell, and are looked for again after a while.
                Err(LoanError::NoneFree { .. }) => match self.back.recv_timeout(UNSENT) {
                    Ok(slot) => self.returned(&slot)?,
                    Err(QueueError::Empty | QueueError::Ended) => {}
                    Err(error) => return Err(error.into()),
                },
                answer => return answer,
            }
        }
    }

    /// Sends the block. If that is refused, it is free again.
    pub fn send(&mut self, loan: Loan) -> Result<(), LoanError> {
        let at = loan.block as usize;
        if !Arc::ptr_eq(&loan.shared, &self.shared) {
            return Err(ShmError::Role.into());
        }
        let generation = self.generations[at] + 1;
        let mut slot = [0; SLOT_BYTES];
        let fields = [u64::from(self.number), loan.offset, loan.len, generation, u64::from(loan.block)];
        for (bytes, field) in slot.chunks_exact_mut(8).zip(fields) {
            bytes.copy_from_slice(&field.to_le_bytes());
        }
        self.to.try_send(&slot)?;
        self.generations[at] = generation;
        // It is the receiver's now.
        loan.forget();
        Ok(())
    }

    /// Takes back what the receiver has given back. It happens by itself when there is nothing else left.
    pub fn collect(&mut self) -> Result<(), LoanError> {
        self.free.append(&mut self.shared.unsent.lock());
        let mut slot = [0; SLOT_BYTES];
        loop {
            // Whoever gives back never waits for room, as there is a slot for every block.
            match self.back.try_pop_into(&mut slot) {
                Ok(()) => self.returned(&slot)?,
                Err(QueueError::Empty) => return Ok(()),
                // Whoever is gone has nothing any more.
                Err(QueueError::Ended) => {
                    for block in 0..self.generations.len() {
                        if self.generations[block] % 2 == 1 {
                            self.generations[block] += 1;
                            self.free.push(block as u32);
                        }
                    }
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// How much a block has.
    pub fn block_bytes(&self) -> u64 {
        self.block_bytes
    }

    /// How many blocks nobody has, as far as is known here.
    pub fn free_blocks(&self) -> usize {
        self.free.len() + self.shared.unsent.lock().len()
    }

    /// One block comes back: it must be one that is out, in the generation in which it went.
    fn returned(&mut self, slot: &[u8; SLOT_BYTES]) -> Result<(), LoanError> {
        let [generation, block] = [24, 32].map(|at| number(slot, at));
        match usize::try_from(block).ok().and_then(|block| self.generations.get_mut(block)) {
            Some(own) if *own == generation && generation % 2 == 1 => {
                *own += 1;
                self.free.push(block as u32);
                Ok(())
            }
            _ => Err(QueueError::PeerCorrupt.into()),
        }
    }
}

impl Loan {
    /// Copies bytes in at an offset within the block.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), LoanError> {
        let at = within(self.offset, self.len, offset, bytes.len())?;
        Ok(self.shared.mapping.write(at, bytes)?)
    }

    /// Where the block begins, for those who fill it in place: [`len_bytes`](Self::len_bytes) bytes that nobody else writes to.
    pub fn as_ptr(&self) -> *mut u8 {
        self.shared.mapping.as_ptr().wrapping_add(self.offset as usize)
    }

    /// How many bytes it has.
    pub fn len_bytes(&self) -> u64 {
        self.len
    }

    fn forget(mut self) {
        self.block = u32::MAX;
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if self.block != u32::MAX {
            self.shared.unsent.lock().push(self.block);
        }
    }
}

impl BorrowerEnd {
    /// Receives here.
    pub fn open(self) -> Result<Borrower, LoanError> {
        let mapping = self.segment.attach(Access::ReadOnly)?;
        let size = self.block_bytes.checked_mul(self.count).filter(|size| *size <= mapping.len_bytes());
        let count = usize::try_from(self.count).ok().filter(|count| (1..=MAX_SLOTS).contains(count));
        let (Some(_), Some(count), 1..) = (size, count, self.block_bytes) else {
            return Err(
                ShmError::Size { asked_bytes: self.block_bytes, max_bytes: mapping.len_bytes() }.into()
            );
        };
        let (Output::Slots(from), Input::Slots(back)) = (self.from.into_output()?, self.back.into_input()?)
        else {
            return Err(ShmError::Role.into());
        };
        let shared = Arc::new(Borrowing { mapping, back: Mutex::new(back) });
        let (number, block_bytes) = (u64::from(self.number), self.block_bytes);
        Ok(Borrower { shared, number, block_bytes, seen: vec![0; count], from, corrupt: false })
    }
}

impl Borrower {
    /// Takes the next block, if there is one.
    pub fn try_recv(&mut self) -> Result<Borrowed, LoanError> {
        // Whoever lends never waits for room, as there is a slot for every block.
        let mut slot = [0; SLOT_BYTES];
        self.from.try_pop_into(&mut slot)?;
        self.borrowed(&slot)
    }

    /// The same, sleeping until there is one.
    pub fn recv_blocking(&mut self) -> Result<Borrowed, LoanError> {
        let slot = self.from.recv_blocking()?;
        self.borrowed(&slot)
    }

    /// Only what lies in one block, and is newer than what was seen there before, can be true.
    fn borrowed(&mut self, slot: &[u8; SLOT_BYTES]) -> Result<Borrowed, LoanError> {
        let [segment, offset, len, generation, block] = [0, 8, 16, 24, 32].map(|at| number(slot, at));
        match usize::try_from(block).ok().and_then(|block| self.seen.get_mut(block)) {
            Some(seen)
                if !self.corrupt
                    && segment == self.number
                    && offset == block * self.block_bytes
                    && len <= self.block_bytes
                    && generation > *seen
                    && generation % 2 == 1 =>
            {
                *seen = generation;
                Ok(Borrowed { shared: self.shared.clone(), offset, len, generation, block })
            }
            _ => {
                self.corrupt = true;
                Err(QueueError::PeerCorrupt.into())
            }
        }
    }
}

impl Borrowed {
    /// Fills `bytes` from an offset within the block.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), LoanError> {
        let at = within(self.offset, self.len, offset, bytes.len())?;
        Ok(self.shared.mapping.read(at, bytes)?)
    }

    /// Where the block begins, for those who look at it in place. The sender should not change it any more, but could.
    pub fn as_ptr(&self) -> *const u8 {
        self.shared.mapping.as_ptr().wrapping_add(self.offset as usize)
    }

    /// How many bytes it has.
    pub fn len_bytes(&self) -> u64 {
        self.len
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let mut slot = [0; SLOT_BYTES];
        slot[24..32].copy_from_slice(&self.generation.to_le_bytes());
        slot[32..40].copy_from_slice(&self.block.to_le_bytes());
        // There is a slot for every block, so it fits; and a lender that is gone wants nothing back.
        let _ = self.shared.back.lock().try_send(&slot);
    }
}

/// Where the range lies in the segment, if all of it is in the block.
fn within(base: u64, size_bytes: u64, offset: u64, len: usize) -> Result<u64, LoanError> {
    match offset.checked_add(len as u64) {
        Some(end) if end <= size_bytes => Ok(base + offset),
        _ => Err(LoanError::Range { offset, len: len as u64, size_bytes }),
    }
}

#[inline(always)]
fn number(slot: &[u8; SLOT_BYTES], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&slot[at..at + 8]);
    u64::from_le_bytes(bytes)
}

impl fmt::Debug for Loan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Loan({} bytes, block {})", self.len, self.block)
    }
}

impl fmt::Debug for Borrowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Borrowed({} bytes at {})", self.len, self.offset)
    }
}
