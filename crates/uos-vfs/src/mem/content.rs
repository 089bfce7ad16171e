//! The bytes of one file, in chunks under a tree of branches, so that a large file grows without being
//! copied, holes take no memory, and a copy of the whole is one reference until one of the two changes.
//!
//! A chunk is stored up to its last written byte; what is missing of it reads as zero. Each chunk there
//! is counts with its [`weight`] once, however many contents share it; so nothing here is dropped without
//! [`Content::release`], which says how much that set free.

mod ranges;
mod tree;

use crate::{Error, Result};
use bytes::Bytes;
use rustix::io::Errno;
use std::ops::Range;
use std::sync::Arc;
use tree::Tree;

/// Bytes per chunk: small enough to be copied when a snapshot shares it, large enough that finding it
/// costs little beside copying its bytes.
pub(super) const CHUNK: usize = 16 * 1024;
/// What is written beyond the end of a chunk fills new memory by so much at a time, less than is copied by one string
/// instruction: the host hands each page of it out as it is first touched, and to be interrupted in the midst of such an
/// instruction costs more than the copying.
const BLOCK: usize = 1024;
/// Longest file: what the largest host filesystems allow, and far from where offsets overflow.
pub(super) const LEN_MAX: u64 = 1 << 44;

/// What a chunk beyond the first weighs at least. Branches stand between it and its file: when it is far from all others
/// those take about as much, and a file of single bytes far apart would hold a thousand times what it is charged.
const LEAST: usize = 1024;

pub(super) type Chunk = Arc<Vec<u8>>;

#[derive(Clone, Default)]
pub(super) struct Content {
    len: u64,
    stored: u64,
    tree: Tree,
}

/// What a change has done to the bytes that count.
#[must_use]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Balance {
    /// So many more, of those that were taken for it. What was shared when the cost was asked for may be
    /// shared no more when it is changed, so it may be less than that; it is never more.
    pub(super) added: u64,
    /// So many less.
    pub(super) freed: u64,
}

impl Content {
    /// A copy of `data`.
    pub(super) fn new(data: &[u8]) -> Self {
        let mut content = Content::default();
        let balance = content.write_at(0, data);
        debug_assert_eq!(balance, Balance { added: Content::cost_of_new(data.len()), freed: 0 });
        content
    }

    /// What counts of so many bytes without a hole.
    pub(super) fn cost_of_new(len: usize) -> u64 {
        let (index, within) = place(len as u64);
        index * CHUNK as u64 + weight(index, within)
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes that are no hole.
    pub(super) fn stored(&self) -> u64 {
        self.stored
    }

    /// Fills `buf` as far as the content goes.
    pub(super) fn read_at(&self, offset: u64, buf: &mut [u8]) -> usize {
        let len = self.available(offset, buf.len());
        let buf = &mut buf[..len];
        for piece in pieces(offset, len) {
            let stored = self.stored_part(&piece);
            let (data, hole) = buf[piece.outside].split_at_mut(stored.len());
            data.copy_from_slice(stored);
            hole.fill(0);
        }
        len
    }

    pub(super) fn read_bytes(&self, offset: u64, max: usize) -> Result<Bytes> {
        let mut bytes = Vec::new();
        self.read_onto(offset, max, &mut bytes)?;
        Ok(bytes.into())
    }

    /// Appends what there is, up to `max` bytes, and says how much that was.
    pub(super) fn read_onto(&self, offset: u64, max: usize, data: &mut Vec<u8>) -> Result<usize> {
        let (len, before) = (self.available(offset, max), data.len());
        data.try_reserve_exact(len).map_err(|_| Error::from(Errno::NOMEM))?;
        for piece in pieces(offset, len) {
            data.extend_from_slice(self.stored_part(&piece));
            data.resize(before + piece.outside.end, 0);
        }
        Ok(len)
    }

    /// How many bytes more will count when `len` have been written at `offset`. A chunk that is
    /// shared counts anew, as writing copies it.
    pub(super) fn cost_of_write(&self, offset: u64, len: usize) -> u64 {
        pieces(offset, len).map(|piece| self.cost_of_reach(piece.index, piece.within.end)).sum()
    }

    /// Writes. The caller has checked that the end is in reach, and taken what it costs.
    pub(super) fn write_at(&mut self, offset: u64, data: &[u8]) -> Balance {
        let mut balance = Balance::default();
        for piece in pieces(offset, data.len()) {
            let part = &data[piece.outside];
            let chunk = own(self.tree.slot(piece.index), piece.index, piece.within.end, &mut balance);
            let before = chunk.len();
            make_room(chunk, piece.within.end);
            if chunk.len() < piece.within.start {
                chunk.resize(piece.within.start, 0);
            }
            let overlap = chunk.len().min(piece.within.end) - piece.within.start;
            let (over, beyond) = part.split_at(overlap);
            chunk[piece.within.start..][..overlap].copy_from_slice(over);
            for block in beyond.chunks(BLOCK) {
                chunk.extend_from_slice(block);
            }
            self.stored += (chunk.len() - before) as u64;
            balance.added += weight(piece.index, chunk.len()) - weight(piece.index, before);
        }
        if !data.is_empty() {
            self.len = self.len.max(offset + data.len() as u64);
        }
        balance
    }

    /// How many bytes more will count, for a while or for good, when it has been cut to `len`: the
    /// chunk of the new end is copied if it is shared.
    pub(super) fn cost_of_len(&self, len: u64) -> u64 {
        let (index, within) = place(len);
        match self.tree.find(index) {
            Some((chunk, true)) if len < self.len => weight(index, chunk.len().min(within)),
            _ => 0,
        }
    }

    /// Cuts or extends; extending stores nothing.
    pub(super) fn set_len(&mut self, len: u64) -> Balance {
        let mut balance = Balance::default();
        if len < self.len {
            let (index, within) = place(len);
            // The chunk of the new end is cut, those after it go.
            for (index, chunk) in self.tree.split_off(index + u64::from(within > 0)) {
                self.stored -= chunk.len() as u64;
                balance.freed += set_free(index, chunk);
            }
            self.cut_chunk(index, within, &mut balance);
        }
        self.len = len;
        balance
    }

    /// Whether it reads the same. What two share is not looked at, and holes read as zeros.
    pub(super) fn same(&self, other: &Content) -> bool {
        if self.len != other.len {
            return false;
        }
        let mut from = 0;
        loop {
            let both = [self.tree.next(from), other.tree.next(from)];
            let Some(index) = both.iter().flatten().map(|(index, _)| *index).min() else { return true };
            let [one, two] = both.map(|found| found.filter(|(at, _)| *at == index).map(|(_, chunk)| chunk));
            let shared = one.zip(two).is_some_and(|(one, two)| Arc::ptr_eq(one, two));
            if !shared && !same_but_for_zeros(bytes_of(one), bytes_of(two)) {
                return false;
            }
            from = index + 1;
        }
    }

    /// The chunks there are and where in the file they are, in chunks.
    pub(super) fn chunks(&self) -> impl Iterator<Item = (u64, &Chunk)> {
        let mut from = 0;
        std::iter::from_fn(move || {
            let (index, chunk) = self.tree.next(from)?;
            from = index + 1;
            Some((index, chunk))
        })
    }

    /// What counts of what only this content has.
    pub(super) fn own_bytes(&self) -> u64 {
        self.tree.sum_of_own(|index, chunk| weight(index, chunk.len()))
    }

    /// Lets go of everything, and says how many bytes that sets free.
    #[must_use]
    pub(super) fn release(self) -> u64 {
        let mut freed = 0;
        self.tree.for_each_own_chunk(|index, chunk| freed += set_free(index, chunk));
        freed
    }

    /// What it costs to own a chunk that reaches to `end`.
    fn cost_of_reach(&self, index: u64, end: usize) -> u64 {
        match self.tree.find(index) {
            None => weight(index, end),
            Some((chunk, true)) => weight(index, chunk.len().max(end)),
            Some((chunk, false)) => weight(index, end).saturating_sub(weight(index, chunk.len())),
        }
    }

    fn available(&self, offset: u64, max: usize) -> usize {
        usize::try_from(self.len.saturating_sub(offset)).map_or(max, |there| there.min(max))
    }

    fn stored_part(&self, piece: &Piece) -> &[u8] {
        let chunk = bytes_of(self.tree.get(piece.index));
        let end = piece.within.end.min(chunk.len());
        &chunk[piece.within.start.min(end)..end]
    }

    /// Cuts one chunk, copying no more than what stays of a shared one.
    fn cut_chunk(&mut self, index: u64, within: usize, balance: &mut Balance) {
        let before = self.tree.get(index).map_or(0, |chunk| chunk.len());
        if before <= within {
            return;
        }
        self.stored -= (before - within) as u64;
        if within == 0 {
            balance.freed += self.tree.take(index).map_or(0, |chunk| set_free(index, chunk));
            return;
        }
        let slot = self.tree.slot(index);
        if let Some(chunk) = Arc::get_mut(slot) {
            // Gives memory back too, or a filesystem could hold far more than it counts.
            chunk.truncate(within);
            chunk.shrink_to_fit();
            balance.freed += weight(index, before) - weight(index, within);
        } else {
            let copy = Arc::new(slot[..within].to_vec());
            balance.added += weight(index, within);
            balance.freed += set_free(index, std::mem::replace(slot, copy));
        }
    }
}

/// The part of a range of the file that lies in one chunk.
struct Piece {
    index: u64,
    /// Where it is in the chunk.
    within: Range<usize>,
    /// Where it is in the range.
    outside: Range<usize>,
}

fn pieces(offset: u64, len: usize) -> impl Iterator<Item = Piece> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let (index, start) = place(offset + done as u64);
        let size = (CHUNK - start).min(len - done);
        let piece = Piece { index, within: start..start + size, outside: done..done + size };
        done += size;
        Some(piece)
    })
}

fn place(offset: u64) -> (u64, usize) {
    (offset / CHUNK as u64, (offset % CHUNK as u64) as usize)
}

/// A chunk that nobody else sees change: if it is shared, a copy with room up to `end`.
fn own<'a>(slot: &'a mut Chunk, index: u64, end: usize, balance: &mut Balance) -> &'a mut Vec<u8> {
    if Arc::get_mut(slot).is_none() {
        let mut copy = Vec::with_capacity(slot.len().max(end));
        copy.extend_from_slice(slot);
        balance.added += weight(index, copy.len());
        balance.freed += set_free(index, std::mem::replace(slot, Arc::new(copy)));
    }
    // Not shared any more: this copies nothing.
    Arc::make_mut(slot)
}

fn bytes_of(chunk: Option<&Chunk>) -> &[u8] {
    chunk.map_or(&[], |chunk| chunk.as_slice())
}

/// Whether the longer of two goes on with zeros only.
fn same_but_for_zeros(one: &[u8], two: &[u8]) -> bool {
    let common = one.len().min(two.len());
    one[..common] == two[..common] && one[common..].iter().chain(&two[common..]).all(|&byte| byte == 0)
}

/// What counts of a chunk that stores so much: all of it, and for each but the first no less than stands for its branches.
/// So a file of one chunk, as nearly all are, counts to the byte.
fn weight(index: u64, stored: usize) -> u64 {
    match (index, stored) {
        (0, _) | (_, 0) => stored as u64,
        _ => stored.max(LEAST) as u64,
    }
}

/// Lets go of a chunk; gives what it weighs if nobody else has it. Of several who do so at the same time
/// exactly one gets it.
fn set_free(index: u64, chunk: Chunk) -> u64 {
    Arc::into_inner(chunk).map_or(0, |chunk| weight(index, chunk.len()))
}

/// Doubles what is there, for the sake of many small appends, but never beyond a chunk.
fn make_room(chunk: &mut Vec<u8>, len: usize) {
    if len > chunk.capacity() {
        let capacity = len.max(2 * chunk.capacity()).min(CHUNK);
        chunk.reserve_exact(capacity - chunk.len());
    }
}

#[cfg(test)]
mod tests;
