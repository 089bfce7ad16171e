//! The bytes in a pipe: storage that grows when it is used and is given away when it is read.

use bytes::Bytes;
use std::collections::VecDeque;

/// How much is copied at a time. From a little more on the C library copies by `rep movsb` where the processor calls it quick,
/// which took a quarter longer at 64 KiB, and at 4 KiB up to twice as long, by where the bytes lay.
const PIECE: usize = 2048;

/// A queue of bytes. It holds no memory until the first byte comes.
#[derive(Default)]
pub(crate) struct Ring {
    bytes: VecDeque<u8>,
}

impl Ring {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends. Room doubles from what is needed now and stops at `capacity`, which the caller keeps.
    pub(crate) fn push(&mut self, bytes: &[u8], capacity: usize) {
        let needed = self.len() + bytes.len();
        debug_assert!(needed <= capacity, "{needed} bytes in a ring of {capacity}");
        if needed > self.bytes.capacity() {
            let room = needed.next_power_of_two().min(capacity);
            self.bytes.reserve_exact(room - self.len());
        }
        bytes.chunks(PIECE).for_each(|piece| self.bytes.extend(piece));
    }

    /// Takes the oldest bytes, at most `max`.
    ///
    /// A read that empties a well-filled ring gets the storage itself: one copy less, and an idle pipe
    /// is small again. A badly filled one is copied, so that ten bytes never pin a large block.
    pub(crate) fn pop(&mut self, max: usize) -> Bytes {
        let taken = max.min(self.len());
        if taken == self.len() && taken * 2 >= self.bytes.capacity() {
            return Vec::from(std::mem::take(&mut self.bytes)).into();
        }
        let mut out = Vec::with_capacity(taken);
        let (front, back) = self.bytes.as_slices();
        let split = taken.min(front.len());
        out.extend_from_slice(&front[..split]);
        out.extend_from_slice(&back[..taken - split]);
        self.bytes.drain(..taken);
        out.into()
    }

    /// Copies the oldest bytes out, as many as there is room for.
    pub(crate) fn pop_into(&mut self, buffer: &mut [u8]) -> usize {
        let taken = buffer.len().min(self.len());
        let (front, back) = self.bytes.as_slices();
        let split = taken.min(front.len());
        copy(&front[..split], &mut buffer[..split]);
        copy(&back[..taken - split], &mut buffer[split..taken]);
        if taken == self.len() {
            // The next write begins at the begin, and is in one piece.
            self.bytes.clear();
        } else {
            self.bytes.drain(..taken);
        }
        taken
    }

    /// Forgets all bytes and frees the storage.
    pub(crate) fn clear(&mut self) {
        self.bytes = VecDeque::new();
    }

    #[cfg(test)]
    pub(crate) fn room_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

/// Fills `to` from as many bytes.
#[inline(always)]
fn copy(from: &[u8], to: &mut [u8]) {
    from.chunks(PIECE).zip(to.chunks_mut(PIECE)).for_each(|(from, to)| to.copy_from_slice(from));
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn storage_follows_use_and_never_passes_the_capacity() {
        let mut ring = Ring::default();
        assert_eq!(ring.bytes.capacity(), 0);
        ring.push(&[1; 10], 100);
        assert_eq!(ring.bytes.capacity(), 16);
        ring.push(&[2; 90], 100);
        assert_eq!(ring.bytes.capacity(), 100);
        assert_eq!(&ring.pop(12)[..], [[1; 10].as_slice(), &[2; 2]].concat());
        assert_eq!(ring.pop(usize::MAX).len(), 88);
        assert_eq!((ring.len(), ring.bytes.capacity()), (0, 0));
    }

    #[test]
    fn a_wrapped_ring_reads_in_order() {
        let mut ring = Ring::default();
        ring.push(&[0; 12], 16);
        ring.pop(10);
        ring.push(&[1, 2, 3, 4, 5, 6, 7, 8], 16);
        assert_eq!(&ring.pop(9)[..], [0, 0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(&ring.pop(9)[..], [8]);
        ring.push(&[0; 12], 16);
        ring.pop(10);
        ring.push(&[1, 2, 3, 4, 5, 6, 7, 8], 16);
        let mut buffer = [9; 12];
        assert_eq!((ring.pop_into(&mut buffer[..9]), ring.pop_into(&mut [0; 4]), ring.len()), (9, 1, 0));
        assert_eq!(buffer, [0, 0, 1, 2, 3, 4, 5, 6, 7, 9, 9, 9]);
    }
}
