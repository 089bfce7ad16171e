//! Where snapshots are kept: chunks named by what they hold, and a few names for those that stand for a whole
//! filesystem.

mod dir;
mod memory;

pub use dir::DirStore;
pub use memory::MemStore;

use crate::{Error, Result};
use bytes::Bytes;
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// Names a chunk by what it holds: its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId([u8; 32]);

impl ChunkId {
    /// The id of these bytes.
    pub fn of(data: &[u8]) -> Self {
        ChunkId(Sha256::digest(data).into())
    }

    /// The id as it was written down.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        ChunkId(bytes)
    }

    /// The 32 bytes to write down.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ChunkId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::InvalidArgument("an id is 64 hexadecimal digits"));
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digit = |ascii: u8| char::from(ascii).to_digit(16).unwrap_or(0) as u8;
            *byte = digit(digits[0]) << 4 | digit(digits[1]);
        }
        Ok(ChunkId(bytes))
    }
}

/// Keeps chunks. A chunk never changes, so putting one that is there already is nothing to do; and a store
/// may serve many filesystems, which share what they have in common.
pub trait ChunkStore: Send + Sync {
    /// Keeps a chunk, whose id is `id`. It need not be durable before a root is set that it belongs to.
    fn put(&self, id: ChunkId, data: &[u8]) -> Result<()>;

    /// A chunk: [`Error::NotFound`] if there is none, and `EBADMSG` as [`Error::Io`] if what there is is not
    /// what was put.
    fn get(&self, id: ChunkId) -> Result<Bytes>;

    /// What a name stands for, if it stands for anything.
    fn root(&self, name: &str) -> Result<Option<ChunkId>>;

    /// Lets a name stand for a chunk, in one step: whoever is interrupted leaves what it stood for before.
    /// When this returns, the name and all that was put before it are as durable as the store makes it.
    fn set_root(&self, name: &str, id: ChunkId) -> Result<()>;
}

/// Something was stored that we have not written.
pub(crate) fn damaged() -> Error {
    Errno::BADMSG.into()
}

#[cfg(test)]
mod tests {
    use super::{ChunkId, ChunkStore, DirStore, MemStore};
    use crate::Error;

    fn check(store: &dyn ChunkStore) {
        let id = ChunkId::of(b"data");
        assert_eq!(store.get(id), Err(Error::NotFound));
        store.put(id, b"data").unwrap();
        store.put(id, b"data").unwrap();
        assert_eq!(store.get(id).unwrap(), &b"data"[..]);
        assert_eq!(store.root("home").unwrap(), None);
        store.set_root("home", id).unwrap();
        store.set_root("home", id).unwrap();
        assert_eq!(store.root("home").unwrap(), Some(id));
        for name in ["", ".", "..", "a/b", "a\0", &"x".repeat(256)] {
            assert!(store.set_root(name, id).is_err(), "{name:?}");
        }
    }

    #[test]
    fn stores_keep_what_is_put() {
        check(&MemStore::default());
        let dir = tempfile::tempdir().unwrap();
        check(&DirStore::open(dir.path()).unwrap());
        // And after it was opened anew.
        let again = DirStore::open(dir.path()).unwrap();
        let id = again.root("home").unwrap().unwrap();
        assert_eq!(again.get(id).unwrap(), &b"data"[..]);
    }

    #[test]
    fn a_damaged_chunk_is_not_given_out() {
        let dir = tempfile::tempdir().unwrap();
        let store = DirStore::open(dir.path()).unwrap();
        let id = ChunkId::of(b"data");
        store.put(id, b"data").unwrap();
        let text = id.to_string();
        std::fs::write(dir.path().join("chunks").join(&text[..2]).join(&text[2..]), "dat").unwrap();
        assert_eq!(store.get(id), Err(Error::Io(74)));
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = ChunkId::of(b"x");
        assert_eq!(id.to_string().parse::<ChunkId>().unwrap(), id);
        for bad in ["", "00", &"g".repeat(64), &"0".repeat(65)] {
            assert!(bad.parse::<ChunkId>().is_err());
        }
    }
}
