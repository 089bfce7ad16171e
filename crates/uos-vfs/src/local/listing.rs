//! Listing a directory of the host. The cursor is the host's own: it stays good while entries come
//! and go, and needs no descriptor to be kept in between.

use super::attr::kind_of;
use super::node::LocalNode;
use crate::{DirEntry, Error, Kind, Name, Result};
use rustix::fs::{FileType, Mode, OFlags, RawDir, SeekFrom, openat, seek};
use rustix::io::Errno;

/// Entries are asked for in lots that fit here; the longest single one takes 280 bytes.
const BUFFER: usize = 16 * 1024;

pub(super) fn read_dir(
    node: &LocalNode,
    cursor: u64,
    sink: &mut dyn FnMut(DirEntry<'_>) -> bool,
) -> Result<()> {
    if node.kind != Kind::Directory {
        return Err(Error::NotADirectory);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = openat(node.fd(), ".", flags, Mode::empty())?;
    if cursor != 0 {
        seek(&dir, SeekFrom::Start(cursor))?;
    }
    let mut buffer = Vec::with_capacity(BUFFER);
    let mut entries = RawDir::new(&dir, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = match entry {
            Ok(entry) => entry,
            // The directory has been removed: it is empty.
            Err(Errno::NOENT) => break,
            Err(errno) => return Err(errno.into()),
        };
        // The dots are no names, nor is what a broken filesystem may bring along.
        let Ok(name) = Name::new(entry.file_name().to_bytes()) else { continue };
        let kind = match entry.file_type() {
            // Not every filesystem tells in the listing.
            FileType::Unknown => match node.find(name) {
                Ok(found) => found.kind,
                Err(Error::NotFound) => continue,
                Err(error) => return Err(error),
            },
            told => kind_of(told),
        };
        if !sink(DirEntry { name, kind, ino: entry.ino(), cursor: entry.next_entry_cookie() }) {
            break;
        }
    }
    Ok(())
}
