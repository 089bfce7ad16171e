//! The bytes of one file, in chunks, so that a large file grows without being copied and holes take
//! no memory. A chunk is stored up to its last written byte; what is missing of it reads as zero.

use crate::{Error, Result};
use bytes::Bytes;
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ops::Range;

/// Bytes per chunk.
pub(super) const CHUNK: usize = 64 * 1024;
/// Longest file: what the largest host filesystems allow, and far from where offsets overflow.
pub(super) const LEN_MAX: u64 = 1 << 44;

#[derive(Default)]
pub(super) struct Content {
    len: u64,
    stored: u64,
    /// The first chunk, all there is of most files.
    head: Vec<u8>,
    /// The others by their index, from 1; none of them is empty.
    rest: BTreeMap<u64, Vec<u8>>,
}

impl Content {
    /// A copy of `data`.
    pub(super) fn new(data: &[u8]) -> Result<Self> {
        let mut content = Content::default();
        content.write_at(0, data)?;
        Ok(content)
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes that take memory.
    pub(super) fn stored(&self) -> u64 {
        self.stored
    }

    /// How much [`Content::stored`] is after writing `len` bytes at `offset`.
    pub(super) fn stored_after(&self, offset: u64, len: usize) -> u64 {
        let grown = pieces(offset, len).map(|piece| {
            let stored = self.chunk(piece.index).map_or(0, Vec::len);
            piece.within.end.saturating_sub(stored) as u64
        });
        self.stored + grown.sum::<u64>()
    }

    /// Fills `buf` as far as the content goes.
    pub(super) fn read_at(&self, offset: u64, buf: &mut [u8]) -> usize {
        let len = self.available(offset, buf.len());
        let buf = &mut buf[..len];
        for piece in pieces(offset, len) {
            let stored = self.stored_part(&piece);
            let (data, hole) = buf[piece.outside].split_at_mut(stored.len());
            data.copy_from_slice(stored);
            hole.fill(0);
        }
        len
    }

    pub(super) fn read_bytes(&self, offset: u64, max: usize) -> Result<Bytes> {
        let len = self.available(offset, max);
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| no_memory())?;
        for piece in pieces(offset, len) {
            bytes.extend_from_slice(self.stored_part(&piece));
            bytes.resize(piece.outside.end, 0);
        }
        Ok(bytes.into())
    }

    /// Writes all or, if memory runs out, nothing. The caller has checked that the end is in reach.
    pub(super) fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        let stored = self.stored_after(offset, data.len());
        for piece in pieces(offset, data.len()) {
            if !make_room(self.chunk_mut(piece.index), piece.within.end) {
                self.rest.retain(|_, chunk| !chunk.is_empty());
                return Err(no_memory());
            }
        }
        for piece in pieces(offset, data.len()) {
            let chunk = self.chunk_mut(piece.index);
            if chunk.len() < piece.within.start {
                chunk.resize(piece.within.start, 0);
            }
            let overlap = chunk.len().min(piece.within.end) - piece.within.start;
            let (over, beyond) = data[piece.outside].split_at(overlap);
            chunk[piece.within.start..][..overlap].copy_from_slice(over);
            chunk.extend_from_slice(beyond);
        }
        self.stored = stored;
        self.len = self.len.max(offset + data.len() as u64);
        Ok(())
    }

    /// Cuts or extends; extending stores nothing.
    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            let (index, within) = place(len);
            // The chunk of the new end is cut, those after it go.
            drop(self.rest.split_off(&(index + u64::from(within > 0)).max(1)));
            if within > 0 || index == 0 {
                cut(self.chunk_mut(index), within);
                self.rest.retain(|_, chunk| !chunk.is_empty());
            }
            self.stored =
                self.rest.values().map(|chunk| chunk.len() as u64).sum::<u64>() + self.head.len() as u64;
        }
        self.len = len;
    }

    fn available(&self, offset: u64, max: usize) -> usize {
        usize::try_from(self.len.saturating_sub(offset)).map_or(max, |there| there.min(max))
    }

    fn stored_part(&self, piece: &Piece) -> &[u8] {
        let chunk = self.chunk(piece.index).map_or(&[][..], Vec::as_slice);
        let end = piece.within.end.min(chunk.len());
        &chunk[piece.within.start.min(end)..end]
    }

    fn chunk(&self, index: u64) -> Option<&Vec<u8>> {
        if index == 0 { Some(&self.head) } else { self.rest.get(&index) }
    }

    fn chunk_mut(&mut self, index: u64) -> &mut Vec<u8> {
        if index == 0 { &mut self.head } else { self.rest.entry(index).or_default() }
    }
}

/// The part of a range of the file that lies in one chunk.
struct Piece {
    index: u64,
    /// Where it is in the chunk.
    within: Range<usize>,
    /// Where it is in the range.
    outside: Range<usize>,
}

fn pieces(offset: u64, len: usize) -> impl Iterator<Item = Piece> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let (index, start) = place(offset + done as u64);
        let size = (CHUNK - start).min(len - done);
        let piece = Piece { index, within: start..start + size, outside: done..done + size };
        done += size;
        Some(piece)
    })
}

fn place(offset: u64) -> (u64, usize) {
    (offset / CHUNK as u64, (offset % CHUNK as u64) as usize)
}

/// Doubles what is there, for the sake of many small appends, but never beyond a chunk. False if
/// memory runs out.
fn make_room(chunk: &mut Vec<u8>, len: usize) -> bool {
    let capacity = len.max(2 * chunk.capacity()).min(CHUNK);
    len <= chunk.capacity() || chunk.try_reserve_exact(capacity - chunk.len()).is_ok()
}

/// Gives memory back too, or a filesystem could hold far more than it counts.
fn cut(chunk: &mut Vec<u8>, len: usize) {
    chunk.truncate(len);
    chunk.shrink_to_fit();
}

fn no_memory() -> Error {
    Errno::NOMEM.into()
}

#[cfg(test)]
mod tests {
    use super::{CHUNK, Content};

    fn all(content: &Content) -> Vec<u8> {
        content.read_bytes(0, usize::MAX).unwrap().to_vec()
    }

    #[test]
    fn holes_read_as_zero_and_store_nothing() {
        let mut content = Content::default();
        let far = 3 * CHUNK as u64 + 7;
        content.write_at(far, b"end").unwrap();
        assert_eq!((content.len(), content.stored()), (far + 3, 10));
        let bytes = all(&content);
        assert!(bytes[..far as usize].iter().all(|&byte| byte == 0));
        assert_eq!(&bytes[far as usize..], b"end");
        let mut buf = [1; 12];
        assert_eq!(content.read_at(far - 9, &mut buf), 12);
        assert_eq!(&buf, b"\0\0\0\0\0\0\0\0\0end");
    }

    #[test]
    fn writes_cross_chunks_and_cuts_forget() {
        let mut content = Content::default();
        let data: Vec<u8> = (0..2 * CHUNK + 100).map(|i| (i % 251) as u8).collect();
        content.write_at(5, &data).unwrap();
        assert_eq!(content.stored(), data.len() as u64 + 5);
        assert_eq!(&all(&content)[5..], data);
        for len in [CHUNK as u64 * 2, CHUNK as u64 + 1, CHUNK as u64, 3, 0] {
            content.set_len(len);
            assert_eq!((content.len(), content.stored()), (len, len));
            assert_eq!(content.rest.len() as u64, len.div_ceil(CHUNK as u64).saturating_sub(1));
        }
        content.set_len(10);
        assert_eq!((all(&content), content.stored()), (vec![0; 10], 0));
    }

    #[test]
    fn cutting_gives_memory_back() {
        let mut content = Content::new(&[1; CHUNK]).unwrap();
        content.set_len(1);
        assert!(content.head.capacity() < 64);
    }

    #[test]
    fn a_cut_inside_a_hole_leaves_no_empty_chunk() {
        let mut content = Content::default();
        content.write_at(5 * CHUNK as u64, b"x").unwrap();
        content.set_len(2 * CHUNK as u64 + 1);
        assert_eq!((content.stored(), content.rest.len()), (0, 0));
    }
}
