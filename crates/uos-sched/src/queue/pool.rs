//! Lists of entries that share their memory: in chunks, each read and written in order, and given back when it is
//! empty. No list has more to spare than a part of a chunk, and none is ever moved because it grows.

use super::heap::Entry;

/// So that a chunk is two kilobytes. So many are fetched together at the most: with 31 it took a third longer at a
/// million, with 255 no less.
const ENTRIES: usize = 127;
const NONE: u32 = u32::MAX;

/// A list. All its chunks are full but the last.
#[derive(Clone, Copy)]
pub(crate) struct Chain {
    first: u32,
    last: u32,
    /// How much of the last one.
    filled: u32,
}

#[derive(Clone, Copy)]
struct Chunk {
    entries: [Entry; ENTRIES],
    next: u32,
}

pub(crate) struct Pool {
    chunks: Vec<Chunk>,
    free: u32,
}

impl Default for Pool {
    fn default() -> Pool {
        Pool { chunks: Vec::new(), free: NONE }
    }
}

impl Chain {
    pub(crate) const EMPTY: Chain = Chain { first: NONE, last: NONE, filled: 0 };

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first == NONE
    }

    /// Whether it is no more than a chunk.
    pub(crate) fn is_short(&self) -> bool {
        self.first == self.last
    }
}

impl Pool {
    #[inline]
    pub(crate) fn push(&mut self, chain: &mut Chain, entry: Entry) {
        if chain.first == NONE || chain.filled as usize == ENTRIES {
            self.lengthen(chain, entry);
        }
        self.chunks[chain.last as usize].entries[chain.filled as usize] = entry;
        chain.filled += 1;
    }

    #[inline(never)]
    fn lengthen(&mut self, chain: &mut Chain, entry: Entry) {
        let new = match self.free {
            NONE => {
                if self.chunks.len() == self.chunks.capacity() {
                    // By an eighth and not twofold: memory is counted by task.
                    self.chunks.reserve_exact(self.chunks.len() / 8 + 16);
                }
                self.chunks.push(Chunk { entries: [entry; ENTRIES], next: NONE });
                (self.chunks.len() - 1) as u32
            }
            free => {
                self.free = self.chunks[free as usize].next;
                self.chunks[free as usize].next = NONE;
                free
            }
        };
        match chain.first {
            NONE => chain.first = new,
            _ => self.chunks[chain.last as usize].next = new,
        }
        (chain.last, chain.filled) = (new, 0);
    }

    /// Moves the first chunk of a list to the end of these. Answers whether there was one.
    pub(crate) fn take(&mut self, chain: &mut Chain, to: &mut Vec<Entry>) -> bool {
        if chain.first == NONE {
            return false;
        }
        let (at, is_last) = (chain.first, chain.is_short());
        let chunk = &mut self.chunks[at as usize];
        let len = if is_last { chain.filled as usize } else { ENTRIES };
        to.extend_from_slice(&chunk.entries[..len]);
        chain.first = if is_last { NONE } else { chunk.next };
        chunk.next = self.free;
        self.free = at;
        true
    }

    /// All of a list, in order.
    pub(crate) fn entries(&self, chain: &Chain) -> impl Iterator<Item = &Entry> + use<'_> {
        let (last, filled) = (chain.last, chain.filled as usize);
        let known = |at: u32| (at != NONE).then_some(at);
        let follow = move |&at: &u32| if at == last { None } else { known(self.chunks[at as usize].next) };
        let chunks = std::iter::successors(known(chain.first), follow);
        chunks.flat_map(move |at| {
            let len = if at == last { filled } else { ENTRIES };
            self.chunks[at as usize].entries[..len].iter()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: u64) -> Entry {
        Entry { key, slot: 0, stamp: 0 }
    }

    #[test]
    fn lists_keep_their_order_and_share_their_memory() {
        let (mut pool, mut even, mut odd) = (Pool::default(), Chain::EMPTY, Chain::EMPTY);
        for round in 0..3 {
            for key in 0..600 {
                pool.push(if key % 2 == 0 { &mut even } else { &mut odd }, entry(key));
            }
            let keys: Vec<u64> = pool.entries(&odd).map(|entry| entry.key).collect();
            assert_eq!(keys, (0..300).map(|at| 2 * at + 1).collect::<Vec<_>>());
            assert!(!even.is_short());
            for chain in [&mut even, &mut odd] {
                let mut taken = Vec::new();
                while pool.take(chain, &mut taken) {}
                assert_eq!(taken.len(), 300);
                *chain = Chain::EMPTY;
            }
            assert_eq!(pool.chunks.len(), 6, "round {round}: what was given back is used again");
        }
    }
}
