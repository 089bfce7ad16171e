//! Locks as a naive model has them: what each owner has at each byte.

use std::collections::{BTreeMap, BTreeSet};
use uos_vfs::lock::LockKind;

/// The last one stands for all that come after it.
pub(super) const BYTES: usize = 12;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) file: usize,
    pub(super) owner: usize,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) kind: LockKind,
}

#[derive(Default)]
pub(super) struct Naive {
    held: BTreeMap<(usize, usize), [Option<LockKind>; BYTES]>,
    pub(super) waiting: Vec<(usize, Wish)>,
}

impl Naive {
    pub(super) fn in_the_way(&self, wish: Wish) -> BTreeSet<usize> {
        let others = self.held.iter().filter(|((file, owner), _)| *file == wish.file && *owner != wish.owner);
        let collides = |kind: &LockKind| wish.kind == LockKind::Exclusive || *kind == LockKind::Exclusive;
        others
            .filter(|(_, bytes)| bytes[wish.from..wish.to].iter().flatten().any(collides))
            .map(|((_, owner), _)| *owner)
            .collect()
    }

    /// By walking all ways, over those owners alone whose waiting counts.
    pub(super) fn waits_for_itself(&self, wish: Wish, counts: impl Fn(usize) -> bool + Copy) -> bool {
        if !counts(wish.owner) {
            return false;
        }
        let mut reached = self.in_the_way(wish);
        loop {
            let before = reached.len();
            for (_, other) in self.waiting.iter().filter(|(_, other)| counts(other.owner)) {
                if reached.contains(&other.owner) && other.owner != wish.owner {
                    reached.extend(self.in_the_way(*other));
                }
            }
            if reached.len() == before {
                return reached.contains(&wish.owner);
            }
        }
    }

    pub(super) fn set(&mut self, wish: Wish, kind: Option<LockKind>) {
        let bytes = self.held.entry((wish.file, wish.owner)).or_insert([None; BYTES]);
        bytes[wish.from..wish.to].fill(kind);
    }

    pub(super) fn release(&mut self, file: usize, owner: usize) {
        self.held.remove(&(file, owner));
    }

    /// Owner, first byte, byte behind the last, and kind, of the longest pieces there are.
    pub(super) fn pieces(&self, file: usize) -> Vec<(usize, usize, usize, LockKind)> {
        let mut pieces: Vec<(usize, usize, usize, LockKind)> = Vec::new();
        for ((_, owner), bytes) in self.held.iter().filter(|((of, _), _)| *of == file) {
            for (at, kind) in bytes.iter().enumerate() {
                let Some(kind) = *kind else { continue };
                match pieces.last_mut() {
                    Some(last) if (last.0, last.2, last.3) == (*owner, at, kind) => last.2 += 1,
                    _ => pieces.push((*owner, at, at + 1, kind)),
                }
            }
        }
        pieces
    }
}
