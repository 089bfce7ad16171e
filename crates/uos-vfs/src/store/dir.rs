//! A store in a directory of the host: a file for each chunk, named by its id, and one for each root.

use super::{ChunkId, ChunkStore, damaged};
use crate::{Error, Name, Result};
use bytes::Bytes;
use rustix::fs::{
    AtFlags, CWD, Dir, Mode, OFlags, StatxFlags, fsync, mkdirat, openat, renameat, statx, syncfs, unlinkat,
};
use rustix::io::{Errno, read, retry_on_intr, write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Keeps chunks in a directory. It belongs to one store at a time: what another has begun is taken for left
/// over when it is opened, and removed.
///
/// A chunk is written beside its place and moved there whole, so a process that is killed leaves whole chunks
/// or none. Setting a root waits until all there is is on the disk, then writes the root in the same way.
#[derive(Debug)]
pub struct DirStore {
    chunks: OwnedFd,
    roots: OwnedFd,
    begun: OwnedFd,
    next: AtomicU64,
}

impl DirStore {
    /// The store in `dir`, which is made if it is missing.
    ///
    /// # Errors
    /// What the host says.
    pub fn open(dir: &Path) -> Result<Self> {
        match mkdirat(CWD, dir, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let top = directory(CWD, dir)?;
        let store = DirStore {
            chunks: made(&top, "chunks")?,
            roots: made(&top, "roots")?,
            begun: made(&top, "begun")?,
            next: AtomicU64::new(0),
        };
        let mut left_over = Vec::new();
        for entry in Dir::read_from(&store.begun)? {
            let entry = entry?;
            if Name::new(entry.file_name().to_bytes()).is_ok() {
                left_over.push(entry.file_name().to_owned());
            }
        }
        for name in left_over {
            unlinkat(&store.begun, &name, AtFlags::empty())?;
        }
        Ok(store)
    }

    /// Writes a file that nobody sees before it is whole.
    fn write_whole(&self, data: &[u8], sync: bool, dir: &OwnedFd, name: &str) -> Result<()> {
        let begun = format!("{}", self.next.fetch_add(1, Ordering::Relaxed));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = openat(&self.begun, &begun, flags, Mode::RUSR | Mode::WUSR)?;
        let written = || {
            let mut rest = data;
            while !rest.is_empty() {
                rest = &rest[retry_on_intr(|| write(&file, rest))?..];
            }
            if sync {
                fsync(&file)?;
            }
            renameat(&self.begun, &begun, dir, name)
        };
        written().map_err(|errno| {
            // The failure itself says more than that its beginnings can't be removed either.
            let _ = unlinkat(&self.begun, &begun, AtFlags::empty());
            errno.into()
        })
    }
}

impl ChunkStore for DirStore {
    fn put(&self, id: ChunkId, data: &[u8]) -> Result<()> {
        let text = id.to_string();
        let path = format!("{}/{}", &text[..2], &text[2..]);
        let size = statx(&self.chunks, &path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::SIZE);
        match size {
            // A power cut may have left less of it than there was.
            Ok(there) if there.stx_size == data.len() as u64 => return Ok(()),
            Ok(_) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        match self.write_whole(data, false, &self.chunks, &path) {
            Err(Error::NotFound) => {
                made(&self.chunks, &text[..2])?;
                self.write_whole(data, false, &self.chunks, &path)
            }
            done => done,
        }
    }

    fn get(&self, id: ChunkId) -> Result<Bytes> {
        let text = id.to_string();
        let data = all_of(&self.chunks, &format!("{}/{}", &text[..2], &text[2..]))?;
        if ChunkId::of(&data) == id { Ok(data.into()) } else { Err(damaged()) }
    }

    fn root(&self, name: &str) -> Result<Option<ChunkId>> {
        Name::new(name.as_bytes())?;
        match all_of(&self.roots, name) {
            Ok(text) => {
                let text = std::str::from_utf8(&text).map_err(|_| damaged())?;
                Ok(Some(text.trim_end().parse().map_err(|_| damaged())?))
            }
            Err(Error::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn set_root(&self, name: &str, id: ChunkId) -> Result<()> {
        Name::new(name.as_bytes())?;
        syncfs(&self.chunks)?;
        self.write_whole(format!("{id}\n").as_bytes(), true, &self.roots, name)?;
        Ok(fsync(&self.roots)?)
    }
}

fn directory(above: impl std::os::fd::AsFd, name: impl rustix::path::Arg) -> Result<OwnedFd> {
    Ok(openat(above, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// A directory that is made if it is missing.
fn made(above: &OwnedFd, name: &str) -> Result<OwnedFd> {
    match mkdirat(above, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => directory(above, name),
        Err(errno) => Err(errno.into()),
    }
}

fn all_of(dir: &OwnedFd, name: &str) -> Result<Vec<u8>> {
    let file = openat(dir, name, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())?;
    let mut data = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        match retry_on_intr(|| read(&file, &mut piece))? {
            0 => return Ok(data),
            len => data.extend_from_slice(&piece[..len]),
        }
    }
}
