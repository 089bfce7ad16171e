//! Ranges of a file that are set aside, zeroed or punched out, and finding where data is.

use super::{Balance, CHUNK, Content, make_room, own, place, weight};
use crate::{Allocate, Seek};

impl Content {
    /// At most so many bytes more will count when a range, of which the end is in reach, has been
    /// treated so.
    pub(in crate::mem) fn cost_of_range(&self, offset: u64, len: u64, how: Allocate) -> u64 {
        let (first, (last, end)) = (place(offset).0, place(offset + len - 1));
        if how == Allocate::Punch {
            // Only the chunks at both ends can be left in part, and then have to be one's own.
            return self.cost_of_own(first) + self.cost_of_own(last);
        }
        // From chunk to chunk: the range may be mostly holes, and longer than there is memory.
        let of_last = weight(last, end + 1);
        let mut cost = (last - first) * CHUNK as u64 + of_last;
        let mut index = first;
        while let Some((found, _)) = self.tree.next(index).filter(|(found, _)| *found <= last) {
            let (end, alone) = if found == last { (end + 1, of_last) } else { (CHUNK, CHUNK as u64) };
            cost = cost - alone + self.cost_of_reach(found, end);
            index = found + 1;
        }
        cost
    }

    /// What it costs to own a chunk as it is.
    fn cost_of_own(&self, index: u64) -> u64 {
        self.tree.find(index).filter(|(_, shared)| *shared).map_or(0, |(chunk, _)| weight(index, chunk.len()))
    }

    /// Treats a range. The caller has checked that the end is in reach, and taken what it costs.
    pub(in crate::mem) fn set_range(&mut self, offset: u64, len: u64, how: Allocate) -> Balance {
        let mut balance = Balance::default();
        let (first, last) = (place(offset).0, place(offset + len - 1).0);
        let mut index = first;
        while index <= last {
            if how == Allocate::Punch {
                // Holes are long: go from chunk to chunk.
                match self.tree.next(index) {
                    Some((next, _)) if next <= last => index = next,
                    _ => break,
                }
            }
            let start = if index == first { place(offset).1 } else { 0 };
            let end = if index == last { place(offset + len - 1).1 + 1 } else { CHUNK };
            match how {
                Allocate::Punch => self.punch(index, start, end, &mut balance),
                Allocate::Reserve | Allocate::ReserveKeepingLength => self.reserve(index, end, &mut balance),
                Allocate::Zero | Allocate::ZeroKeepingLength => {
                    self.reserve(index, end, &mut balance);
                    own(self.tree.slot(index), index, end, &mut balance)[start..end].fill(0);
                }
            }
            index += 1;
        }
        if matches!(how, Allocate::Reserve | Allocate::Zero) {
            self.len = self.len.max(offset + len);
        }
        balance
    }

    /// Makes a chunk reach to `end`.
    fn reserve(&mut self, index: u64, end: usize, balance: &mut Balance) {
        if self.tree.get(index).is_some_and(|chunk| chunk.len() >= end) {
            return;
        }
        let chunk = own(self.tree.slot(index), index, end, balance);
        let before = chunk.len();
        make_room(chunk, end);
        chunk.resize(end, 0);
        self.stored += (end - before) as u64;
        balance.added += weight(index, end) - weight(index, before);
    }

    fn punch(&mut self, index: u64, start: usize, end: usize, balance: &mut Balance) {
        match self.tree.get(index).map(|chunk| chunk.len()) {
            Some(stored) if start < stored && end < stored => {
                own(self.tree.slot(index), index, 0, balance)[start..end].fill(0);
            }
            Some(_) => self.cut_chunk(index, start, balance),
            None => {}
        }
    }

    /// The next data, or the next hole; none at or after the end, and no data but holes up to there.
    pub(in crate::mem) fn seek(&self, offset: u64, to: Seek) -> Option<u64> {
        if offset >= self.len {
            return None;
        }
        let (mut index, mut within) = place(offset);
        if to == Seek::Data {
            let found = loop {
                let (next, chunk) = self.tree.next(index)?;
                let at = if next == index { within } else { 0 };
                if at < chunk.len() {
                    break next * CHUNK as u64 + at as u64;
                }
                (index, within) = (next + 1, 0);
            };
            // What was set aside beyond the end is no data yet.
            return Some(found).filter(|&found| found < self.len);
        }
        while let Some(chunk) = self.tree.get(index) {
            if chunk.len() < CHUNK {
                let hole = index * CHUNK as u64 + within.max(chunk.len()) as u64;
                return Some(hole.min(self.len));
            }
            (index, within) = (index + 1, 0);
        }
        Some((index * CHUNK as u64 + within as u64).min(self.len))
    }
}
