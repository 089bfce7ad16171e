//! How a filesystem is written down in chunks. A directory is a sequence of entries by name, cut into pages at
//! places that the names decide, so that a new entry changes one page; a file is the chunks it has in memory.
//! What has more than one chunk has a list of them, as a chunk of its own.

use super::inode::Meta;
use crate::store::{ChunkId, damaged};
use crate::{Device, Kind, Name, Owner, Result, Special, Timestamp};

/// What the chunk of a whole filesystem begins with.
pub(super) const MAGIC: &[u8] = b"uos-vfs saved 1\n";
/// A page is cut after one name in so many, in the mean.
const CUT: u64 = 64;
/// No page is longer, but by its last entry.
const PAGE_MAX: usize = 64 * 1024;

/// Where the chunks of something are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Nothing,
    /// All in one chunk, for a file the first.
    One(ChunkId),
    /// A chunk with a list of them: of pages, or of chunks and where in the file they are.
    List(ChunkId),
}

/// One entry as it is written down. The root has an empty name.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) ino: u64,
    pub(super) owner: Owner,
    /// Last read, last change, last change of attributes, birth.
    pub(super) times: [Timestamp; 4],
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Others may be the same node, by its number.
    pub(super) linked: bool,
    pub(super) body: Saved,
}

#[derive(Clone, Debug)]
pub(super) enum Saved {
    File(u64, Layout),
    Directory(Layout),
    Symlink(Vec<u8>),
    Special(Special),
}

impl Entry {
    pub(super) fn times_of(meta: &Meta) -> [Timestamp; 4] {
        [meta.accessed, meta.modified, meta.changed, meta.born].map(Timestamp::from)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        // Names are not longer than this, and the counts below not larger.
        out.push(self.name.len() as u8);
        out.extend_from_slice(&self.name);
        out.extend_from_slice(&self.ino.to_le_bytes());
        for number in [self.owner.mode, self.owner.uid, self.owner.gid] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for time in self.times {
            out.extend_from_slice(&time.secs.to_le_bytes());
            out.extend_from_slice(&time.nanos.to_le_bytes());
        }
        out.extend_from_slice(&(self.xattrs.len() as u32).to_le_bytes());
        for (name, value) in &self.xattrs {
            for bytes in [name, value] {
                out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
                out.extend_from_slice(bytes);
            }
        }
        out.push(u8::from(self.linked));
        match &self.body {
            Saved::File(len, layout) => {
                out.push(0);
                out.extend_from_slice(&len.to_le_bytes());
                layout.write(out);
            }
            Saved::Directory(layout) => {
                out.push(1);
                layout.write(out);
            }
            Saved::Symlink(target) => {
                out.push(2);
                out.extend_from_slice(&(target.len() as u32).to_le_bytes());
                out.extend_from_slice(target);
            }
            Saved::Special(special) => {
                out.push(match special {
                    Special::Fifo => 3,
                    Special::Socket => 4,
                    Special::CharDevice(_) => 5,
                    Special::BlockDevice(_) => 6,
                });
                out.extend_from_slice(&special.device().major.to_le_bytes());
                out.extend_from_slice(&special.device().minor.to_le_bytes());
            }
        }
    }

    /// The next of several entries; what can't be an entry is damaged.
    pub(super) fn read(input: &mut Reader<'_>) -> Result<Entry> {
        let len = input.take::<1>()?[0];
        let name = input.bytes(len.into())?.to_vec();
        if !name.is_empty() {
            Name::new(&name).map_err(|_| damaged())?;
        }
        let ino = input.u64()?;
        let [mode, uid, gid] = [input.u32()?, input.u32()?, input.u32()?];
        let mut times = [Timestamp::default(); 4];
        for time in &mut times {
            *time = Timestamp { secs: i64::from_le_bytes(input.take()?), nanos: input.u32()? };
            if time.nanos >= 1_000_000_000 {
                return Err(damaged());
            }
        }
        let mut xattrs = Vec::new();
        for _ in 0..input.u32()? {
            let len = input.u32()?;
            let name = input.bytes(len as usize)?.to_vec();
            let len = input.u32()?;
            xattrs.push((name, input.bytes(len as usize)?.to_vec()));
        }
        let linked = input.take::<1>()?[0] != 0;
        let tag = input.take::<1>()?[0];
        let (kind, body) = match tag {
            0 => (Kind::File, Saved::File(input.u64()?, Layout::read(input)?)),
            1 => (Kind::Directory, Saved::Directory(Layout::read(input)?)),
            2 => {
                let len = input.u32()?;
                (Kind::Symlink, Saved::Symlink(input.bytes(len as usize)?.to_vec()))
            }
            3..=6 => {
                let device = Device { major: input.u32()?, minor: input.u32()? };
                let special = match tag {
                    3 => Special::Fifo,
                    4 => Special::Socket,
                    5 => Special::CharDevice(device),
                    _ => Special::BlockDevice(device),
                };
                (special.kind(), Saved::Special(special))
            }
            _ => return Err(damaged()),
        };
        let owner = Owner { uid, gid, mode: mode & 0o7777, kind };
        Ok(Entry { name, ino, owner, times, xattrs, linked, body })
    }

    /// Whether a page ends after an entry of that name.
    pub(super) fn ends_page(name: &[u8], page: &[u8]) -> bool {
        // FNV-1a: where pages are cut must not differ from run to run.
        let hash = name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        // Its last bytes hardly reach the upper bits by that alone.
        let mixed = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed >> 40).is_multiple_of(CUT) || page.len() > PAGE_MAX
    }
}

impl Layout {
    fn write(self, out: &mut Vec<u8>) {
        match self {
            Layout::Nothing => out.push(0),
            Layout::One(id) => {
                out.push(1);
                out.extend_from_slice(id.as_bytes());
            }
            Layout::List(id) => {
                out.push(2);
                out.extend_from_slice(id.as_bytes());
            }
        }
    }

    fn read(input: &mut Reader<'_>) -> Result<Layout> {
        match input.take::<1>()?[0] {
            0 => Ok(Layout::Nothing),
            1 => Ok(Layout::One(ChunkId::from_bytes(input.take()?))),
            2 => Ok(Layout::List(ChunkId::from_bytes(input.take()?))),
            _ => Err(damaged()),
        }
    }
}

/// Bytes that are read piece by piece; too few are damaged.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or_else(damaged)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.bytes(N)?.try_into().map_err(|_| damaged())
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.take()?))
    }
}
