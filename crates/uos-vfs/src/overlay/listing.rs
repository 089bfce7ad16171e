//! Listing a merged directory. Names that the layers below have come first, in the order of their bytes and
//! whatever they lead to now, and then all others in the order of the upper layer. So where a name is in the order
//! does not change when it is copied up, removed and made again, or replaced.

use super::RESERVED;
use super::layers::{entry_of, key_of};
use super::node::{Dir, OverlayNode};
use crate::{DirEntry, Kind, Name, Result};
use std::collections::BTreeMap;

/// Entries looked up at a time.
const BATCH: usize = 256;

/// A name in the layers below.
pub(super) struct Below {
    name: Box<[u8]>,
    kind: Kind,
    number: u64,
}

/// An entry to be shown.
struct Shown {
    name: Box<[u8]>,
    kind: Kind,
    number: u64,
    cursor: u64,
}

impl OverlayNode {
    pub(super) fn list(&self, mut cursor: u64, sink: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        let dir = self.dir()?;
        let below = self.names_below(dir)?;
        loop {
            let (batch, next) = {
                let _tree = self.layers.tree.read();
                if self.is_gone() {
                    return Ok(());
                }
                match usize::try_from(cursor).ok().filter(|&done| done < below.len()) {
                    Some(done) => self.some_below(&below[done..], cursor)?,
                    None => self.some_above(below, cursor)?,
                }
            };
            for entry in &batch {
                let name = Name::new(&entry.name)?;
                if !sink(DirEntry { name, kind: entry.kind, ino: entry.number, cursor: entry.cursor }) {
                    return Ok(());
                }
            }
            match next {
                Some(next) => cursor = next,
                None => return Ok(()),
            }
        }
    }

    /// Entries by names of the layers below, and where to go on.
    fn some_below(&self, names: &[Below], cursor: u64) -> Result<(Vec<Shown>, Option<u64>)> {
        let mut batch = Vec::new();
        let mut cursor = cursor;
        for below in names.iter().take(BATCH) {
            cursor += 1;
            let name = Name::new(&below.name)?;
            let above = match self.upper.get() {
                Some(upper) => entry_of(upper, name)?,
                None => None,
            };
            let (kind, number) = match above {
                Some(found) => (found.kind(), self.layers.number_above(key_of(found.id()))),
                None if self.upper.get().is_some() && self.is_hidden(name)? => continue,
                None => (below.kind, below.number),
            };
            batch.push(Shown { name: below.name.clone(), kind, number, cursor });
        }
        Ok((batch, Some(cursor)))
    }

    /// Entries that only the upper layer has. Where it goes on there is told behind the names below.
    fn some_above(&self, below: &[Below], cursor: u64) -> Result<(Vec<Shown>, Option<u64>)> {
        let Some(upper) = self.upper.get() else { return Ok((Vec::new(), None)) };
        let fs = upper.id().fs;
        let behind = below.len() as u64;
        let (mut batch, mut seen, mut last) = (Vec::new(), 0, cursor);
        upper.read_dir(cursor - behind.min(cursor), &mut |entry| {
            seen += 1;
            last = behind.saturating_add(entry.cursor);
            let name = entry.name.as_bytes();
            let known = below.binary_search_by(|below| (*below.name).cmp(name)).is_ok();
            if !known && name != RESERVED {
                let number = self.layers.number_above((fs, entry.ino));
                batch.push(Shown { name: name.into(), kind: entry.kind, number, cursor: last });
            }
            seen < BATCH
        })?;
        Ok((batch, (seen == BATCH).then_some(last)))
    }

    /// All names in the layers below, each once, in order.
    fn names_below<'a>(&self, dir: &'a Dir) -> Result<&'a [Below]> {
        if let Some(below) = dir.below.get() {
            return Ok(below);
        }
        let mut all: BTreeMap<Box<[u8]>, (Kind, u64)> = BTreeMap::new();
        for lower in dir.lowers() {
            let fs = lower.id().fs;
            lower.read_dir(0, &mut |entry| {
                if entry.name.as_bytes() != RESERVED && !all.contains_key(entry.name.as_bytes()) {
                    let number = self.layers.number_below((fs, entry.ino));
                    all.insert(entry.name.as_bytes().into(), (entry.kind, number));
                }
                true
            })?;
        }
        let all: Box<[Below]> =
            all.into_iter().map(|(name, (kind, number))| Below { name, kind, number }).collect();
        Ok(dir.below.get_or_init(|| all))
    }
}
