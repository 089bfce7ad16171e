//! What one owner has locked of one file.

use super::{LockKind, LockRange};
use crate::{Error, Result};

/// In order and apart; those that touch differ in kind.
#[derive(Debug, Default)]
pub(super) struct Ranges(Vec<(LockRange, LockKind)>);

impl Ranges {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (LockRange, LockKind)> {
        self.0.iter().copied()
    }

    /// The first one that somebody else's lock would not go along with.
    pub(super) fn in_the_way_of(&self, range: LockRange, kind: LockKind) -> Option<(LockRange, LockKind)> {
        let first = self.0.partition_point(|(held, _)| held.end <= range.start);
        let overlapping = self.0[first..].iter().take_while(|(held, _)| held.overlaps(range));
        overlapping.copied().find(|(_, held)| !held.goes_along_with(kind))
    }

    /// Makes this range of this kind, or not locked, whatever it was. Refused, it has changed nothing.
    pub(super) fn set(&mut self, range: LockRange, kind: Option<LockKind>, most: usize) -> Result<()> {
        let first = self.0.partition_point(|(held, _)| held.end < range.start);
        let touched = self.0[first..].iter().take_while(|(held, _)| held.start <= range.end).count();
        let (mut now, mut left, mut right) = (range, None, None);
        for &(held, of) in &self.0[first..first + touched] {
            if Some(of) == kind {
                now = LockRange { start: now.start.min(held.start), end: now.end.max(held.end) };
                continue;
            }
            // At most one of them begins before the range, and one ends behind it; either may do both.
            if held.start < range.start {
                left = Some((LockRange { start: held.start, end: held.end.min(range.start) }, of));
            }
            if held.end > range.end {
                right = Some((LockRange { start: held.start.max(range.end), end: held.end }, of));
            }
        }
        let pieces = [left, kind.map(|kind| (now, kind)), right];
        let len = self.0.len() - touched + pieces.iter().flatten().count();
        if len > most && len > self.0.len() {
            return Err(Error::TooManyLocks);
        }
        self.0.splice(first..first + touched, pieces.into_iter().flatten());
        Ok(())
    }
}
