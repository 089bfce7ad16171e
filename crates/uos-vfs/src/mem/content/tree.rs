//! The chunks of a file by their index: a tree of branches that is shared until changed, and then copied
//! along one path.

use super::Chunk;
use std::sync::Arc;

/// Children of a branch.
const WIDTH: u64 = 32;

#[derive(Clone, Default)]
pub(super) struct Tree {
    root: Slot,
    /// Levels of branches above the chunks.
    height: u8,
}

#[derive(Clone, Default)]
enum Slot {
    #[default]
    Hole,
    Chunk(Chunk),
    Branch(Arc<Branch>),
}

#[derive(Clone, Default)]
struct Branch {
    slots: [Slot; WIDTH as usize],
}

impl Tree {
    #[inline]
    pub(super) fn get(&self, index: u64) -> Option<&Chunk> {
        self.find(index).map(|(chunk, _)| chunk)
    }

    /// A chunk, and whether another tree has it too, directly or by a branch above it. Only whoever may
    /// change this tree can let another have a part of it, so `false` stays true meanwhile.
    #[inline]
    pub(super) fn find(&self, index: u64) -> Option<(&Chunk, bool)> {
        let mut slot = &self.root;
        let mut height = self.height;
        let mut shared = false;
        if index >= reach(height) {
            return None;
        }
        loop {
            match slot {
                Slot::Hole => return None,
                Slot::Chunk(chunk) => return Some((chunk, shared || Arc::strong_count(chunk) > 1)),
                Slot::Branch(branch) => {
                    shared |= Arc::strong_count(branch) > 1;
                    height -= 1;
                    slot = &branch.slots[child(index, height)];
                }
            }
        }
    }

    /// The chunk there, made empty if there is none.
    pub(super) fn slot(&mut self, index: u64) -> &mut Chunk {
        while index >= reach(self.height) {
            if !matches!(self.root, Slot::Hole) {
                let mut branch = Branch::default();
                branch.slots[0] = std::mem::take(&mut self.root);
                self.root = Slot::Branch(Arc::new(branch));
            }
            self.height += 1;
        }
        descend(&mut self.root, self.height, index)
    }

    /// Takes a chunk away, and the branches that held nothing else.
    pub(super) fn take(&mut self, index: u64) -> Option<Chunk> {
        self.get(index)?;
        take(&mut self.root, self.height, index)
    }

    /// The first chunk from `index` on, and where it is.
    pub(super) fn next(&self, index: u64) -> Option<(u64, &Chunk)> {
        if index >= reach(self.height) { None } else { next(&self.root, self.height, 0, index) }
    }

    /// Takes away all chunks from `index` on, and says where they were.
    pub(super) fn split_off(&mut self, index: u64) -> Vec<(u64, Chunk)> {
        let mut chunks = Vec::new();
        if index == 0 {
            let all = std::mem::take(self);
            collect(all.root, all.height, 0, &mut chunks);
        } else if index < reach(self.height) {
            split(&mut self.root, self.height, 0, index, &mut chunks);
        }
        chunks
    }

    /// The sum of something over the chunks that no other tree has.
    pub(super) fn sum_of_own(&self, of: impl Fn(u64, &Chunk) -> u64) -> u64 {
        fn own(slot: &Slot, height: u8, base: u64, of: &impl Fn(u64, &Chunk) -> u64) -> u64 {
            match slot {
                Slot::Chunk(chunk) if Arc::strong_count(chunk) == 1 => of(base, chunk),
                Slot::Branch(branch) if Arc::strong_count(branch) == 1 => {
                    let below = branch.slots.iter().zip(bases(base, height));
                    below.map(|(slot, base)| own(slot, height - 1, base, of)).sum()
                }
                _ => 0,
            }
        }
        own(&self.root, self.height, 0, &of)
    }

    /// Hands over the chunks that only this tree has, and others that it shares directly; what it shares by the
    /// branch goes to the other one. Of two that let go of a branch at the same time exactly one is last.
    pub(super) fn for_each_own_chunk(self, mut act: impl FnMut(u64, Chunk)) {
        fn own(slot: Slot, height: u8, base: u64, act: &mut impl FnMut(u64, Chunk)) {
            match slot {
                Slot::Hole => {}
                Slot::Chunk(chunk) => act(base, chunk),
                Slot::Branch(branch) => {
                    if let Some(branch) = Arc::into_inner(branch) {
                        for (slot, base) in branch.slots.into_iter().zip(bases(base, height)) {
                            own(slot, height - 1, base, act);
                        }
                    }
                }
            }
        }
        own(self.root, self.height, 0, &mut act);
    }
}

/// So many chunks fit under so many levels. A file has at most 2^30.
fn reach(height: u8) -> u64 {
    1 << (WIDTH.trailing_zeros() * u32::from(height))
}

/// Which child of a branch whose children have this height.
fn child(index: u64, height: u8) -> usize {
    (index / reach(height) % WIDTH) as usize
}

/// Where the children of a branch begin that begins at `base` and has this height.
fn bases(base: u64, height: u8) -> impl Iterator<Item = u64> {
    (0..WIDTH).map(move |nth| base + nth * reach(height - 1))
}

fn descend(slot: &mut Slot, height: u8, index: u64) -> &mut Chunk {
    if height > 0 {
        if matches!(slot, Slot::Hole) {
            *slot = Slot::Branch(Arc::default());
        }
        let Slot::Branch(branch) = slot else { unreachable!("above the chunks there are branches") };
        return descend(&mut Arc::make_mut(branch).slots[child(index, height - 1)], height - 1, index);
    }
    if matches!(slot, Slot::Hole) {
        *slot = Slot::Chunk(Arc::default());
    }
    let Slot::Chunk(chunk) = slot else { unreachable!("below the branches there are chunks") };
    chunk
}

fn take(slot: &mut Slot, height: u8, index: u64) -> Option<Chunk> {
    let Slot::Branch(branch) = slot else {
        return match std::mem::take(slot) {
            Slot::Chunk(chunk) => Some(chunk),
            _ => None,
        };
    };
    let chunk = take(&mut Arc::make_mut(branch).slots[child(index, height - 1)], height - 1, index);
    prune(slot);
    chunk
}

/// A branch that holds nothing is none: nobody is charged for it.
fn prune(slot: &mut Slot) {
    if let Slot::Branch(branch) = slot
        && branch.slots.iter().all(|slot| matches!(slot, Slot::Hole))
    {
        *slot = Slot::Hole;
    }
}

fn next(slot: &Slot, height: u8, base: u64, from: u64) -> Option<(u64, &Chunk)> {
    match slot {
        Slot::Hole => None,
        Slot::Chunk(chunk) => Some((base, chunk)),
        Slot::Branch(branch) => {
            let size = reach(height - 1);
            let first = (from.saturating_sub(base) / size) as usize;
            branch
                .slots
                .iter()
                .enumerate()
                .skip(first)
                .find_map(|(nth, slot)| next(slot, height - 1, base + nth as u64 * size, from))
        }
    }
}

/// Takes the chunks from `index`, relative to this slot, which is not 0.
fn split(slot: &mut Slot, height: u8, base: u64, index: u64, chunks: &mut Vec<(u64, Chunk)>) {
    let Slot::Branch(branch) = slot else { return };
    let size = reach(height - 1);
    let (first, rest) = ((index / size) as usize, index % size);
    let slots = &mut Arc::make_mut(branch).slots;
    if rest > 0 {
        split(&mut slots[first], height - 1, base + first as u64 * size, rest, chunks);
    }
    for (slot, base) in slots.iter_mut().zip(bases(base, height)).skip(first + usize::from(rest > 0)) {
        collect(std::mem::take(slot), height - 1, base, chunks);
    }
    prune(slot);
}

/// All chunks below. Those below a shared branch are there as further references; the branch itself is
/// let go before they are, so that the last of them is seen to be the last.
fn collect(slot: Slot, height: u8, base: u64, chunks: &mut Vec<(u64, Chunk)>) {
    match slot {
        Slot::Hole => {}
        Slot::Chunk(chunk) => chunks.push((base, chunk)),
        Slot::Branch(branch) => {
            let branch = Arc::unwrap_or_clone(branch);
            for (slot, base) in branch.slots.into_iter().zip(bases(base, height)) {
                collect(slot, height - 1, base, chunks);
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    impl Slot {
        fn branches(&self) -> usize {
            match self {
                Slot::Branch(branch) => 1 + branch.slots.iter().map(Slot::branches).sum::<usize>(),
                _ => 0,
            }
        }
    }

    #[test]
    fn what_is_taken_away_leaves_no_branches() {
        let mut tree = Tree::default();
        let (near, far) = (5, WIDTH.pow(4) - 1);
        for index in [near, far] {
            tree.slot(index);
        }
        assert_eq!(tree.root.branches(), 1 + 2 * 3, "a way to each");
        for step in 1..200 {
            tree.slot(step * WIDTH);
            assert!(tree.take(step * WIDTH).is_some());
            tree.slot(step * WIDTH + 1);
            assert_eq!(tree.split_off(step * WIDTH + 1).len(), if step == 1 { 2 } else { 1 });
            assert_eq!(tree.root.branches(), 4, "the way to the near one");
        }
        let shared = tree.clone();
        assert!(tree.take(near).is_some());
        assert_eq!((tree.root.branches(), shared.root.branches()), (0, 4));
        assert!(shared.get(near).is_some());
    }
}
