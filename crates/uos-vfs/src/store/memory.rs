//! A store in memory.

use super::{ChunkId, ChunkStore};
use crate::{Error, Name, Result};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;

/// Keeps chunks as long as it lives.
#[derive(Debug, Default)]
pub struct MemStore {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    chunks: HashMap<ChunkId, Bytes>,
    roots: HashMap<String, ChunkId>,
}

impl MemStore {
    /// How many chunks there are, and how many bytes they have.
    pub fn size(&self) -> (usize, u64) {
        let kept = self.kept.lock();
        (kept.chunks.len(), kept.chunks.values().map(|chunk| chunk.len() as u64).sum())
    }
}

impl ChunkStore for MemStore {
    fn put(&self, id: ChunkId, data: &[u8]) -> Result<()> {
        self.kept.lock().chunks.entry(id).or_insert_with(|| Bytes::copy_from_slice(data));
        Ok(())
    }

    fn get(&self, id: ChunkId) -> Result<Bytes> {
        self.kept.lock().chunks.get(&id).cloned().ok_or(Error::NotFound)
    }

    fn root(&self, name: &str) -> Result<Option<ChunkId>> {
        Ok(self.kept.lock().roots.get(name).copied())
    }

    fn set_root(&self, name: &str, id: ChunkId) -> Result<()> {
        Name::new(name.as_bytes())?;
        self.kept.lock().roots.insert(name.to_owned(), id);
        Ok(())
    }
}
