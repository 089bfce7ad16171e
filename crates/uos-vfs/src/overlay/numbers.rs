//! Numbers for nodes of several filesystems in one.

use super::layers::Key;
use crate::FsId;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;

/// Bits for the number of a node in its own filesystem; the few above are for the filesystem.
const INO_BITS: u32 = 32;
const FS_BITS: u32 = 8;
/// Where the numbers begin that are given out one by one, to nodes whose own do not fit.
const ODD: u64 = 1 << (INO_BITS + FS_BITS);

#[derive(Default)]
pub(super) struct Numbers {
    /// Those that nodes have been met of.
    filesystems: RwLock<Vec<FsId>>,
    odd: Mutex<HashMap<Key, u64>>,
}

impl Numbers {
    /// The number of a node, always the same one.
    pub(super) fn of(&self, key: Key) -> u64 {
        let (fs, ino) = key;
        if ino >> INO_BITS == 0
            && let Some(place) = self.place_of(fs)
        {
            return place << INO_BITS | ino;
        }
        let mut odd = self.odd.lock();
        let next = ODD + odd.len() as u64;
        *odd.entry(key).or_insert(next)
    }

    fn place_of(&self, fs: FsId) -> Option<u64> {
        if let Some(place) = self.filesystems.read().iter().position(|&known| known == fs) {
            return Some(place as u64);
        }
        let mut filesystems = self.filesystems.write();
        if let Some(place) = filesystems.iter().position(|&known| known == fs) {
            return Some(place as u64);
        }
        let place = filesystems.len() as u64;
        if place >> FS_BITS != 0 {
            return None;
        }
        filesystems.push(fs);
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::Numbers;
    use crate::FsId;
    use std::collections::HashSet;

    #[test]
    fn no_two_nodes_share_a_number() {
        let numbers = Numbers::default();
        let mut seen = HashSet::new();
        for _ in 0..300 {
            let fs = FsId::new();
            for ino in [1, 2, u32::MAX.into(), 1 << 32, 1 << 40, u64::MAX] {
                let number = numbers.of((fs, ino));
                assert!(seen.insert(number), "{ino} of {fs:?}");
                assert_eq!(numbers.of((fs, ino)), number);
            }
        }
    }
}
