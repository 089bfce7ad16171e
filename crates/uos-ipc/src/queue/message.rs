//! What goes through a queue: some bytes with a priority.

use bytes::Bytes;
use std::fmt;
use std::num::NonZeroU64;
use std::ops::Deref;

const INLINE_BYTES: usize = Message::INLINE_BYTES;

/// Some bytes, never changed on the way, and how urgent they are.
///
/// Short ones are copied, long ones are shared: sending [`Bytes`] or a `Vec` of more than 64 bytes copies nothing.
#[derive(Clone)]
pub struct Message(Payload);

#[derive(Clone)]
enum Payload {
    Inline(Short),
    Shared(Bytes, u8),
}

/// A short message, as it is also kept in a queue: nothing in it needs a drop.
///
/// It is moved a few times on its way, by sixteen bytes at a time. The bytes come first and the one word of marks last, so that
/// no such load has to wait for two stores to be put together; the other order costs half as much time again.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Short {
    words: Words,
    marks: Marks,
}

#[derive(Clone, Copy)]
#[repr(align(8))]
struct Words([u8; INLINE_BYTES]);

/// Length and priority of a short message, in one word that is never zero.
#[derive(Clone, Copy)]
struct Marks(NonZeroU64);

impl Marks {
    #[inline(always)]
    fn new(len: usize, priority: u8) -> Marks {
        Marks(NonZeroU64::MIN.saturating_add((len as u64) << 1 | u64::from(priority) << 16))
    }

    #[inline(always)]
    fn len(self) -> usize {
        usize::from(self.0.get() as u16 >> 1)
    }

    #[inline(always)]
    fn priority(self) -> u8 {
        (self.0.get() >> 16) as u8
    }
}

impl Message {
    /// Up to this many bytes a message is kept where it is queued, and costs no allocation.
    pub(crate) const INLINE_BYTES: usize = 64;

    /// The first `len` of these bytes.
    #[inline(always)]
    pub(crate) fn inline(bytes: [u8; INLINE_BYTES], len: usize) -> Message {
        debug_assert!(len <= INLINE_BYTES);
        Message(Payload::Inline(Short { words: Words(bytes), marks: Marks::new(len, 0) }))
    }

    /// The same with this priority; higher goes first in a queue by priority, and no queue else looks at it.
    #[must_use]
    pub fn with_priority(self, priority: u8) -> Message {
        Message(match self.0 {
            Payload::Inline(Short { words, marks }) => {
                Payload::Inline(Short { words, marks: Marks::new(marks.len(), priority) })
            }
            Payload::Shared(bytes, _) => Payload::Shared(bytes, priority),
        })
    }

    /// 0 unless it was given another.
    pub fn priority(&self) -> u8 {
        match &self.0 {
            Payload::Inline(short) => short.marks.priority(),
            Payload::Shared(_, priority) => *priority,
        }
    }

    /// How many bytes it has, without a look at them.
    #[inline(always)]
    pub(crate) fn length(&self) -> usize {
        match &self.0 {
            Payload::Inline(short) => short.marks.len(),
            Payload::Shared(bytes, _) => bytes.len(),
        }
    }

    /// All of it, if it is short.
    #[inline(always)]
    pub(crate) fn as_short(&self) -> Option<&Short> {
        match &self.0 {
            Payload::Inline(short) => Some(short),
            Payload::Shared(..) => None,
        }
    }

    /// The bytes, without a copy if there are more than 64.
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Payload::Shared(bytes, _) => bytes,
            Payload::Inline(..) => Bytes::copy_from_slice(&self),
        }
    }
}

impl Deref for Message {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Payload::Inline(short) => &short.words.0[..short.marks.len()],
            Payload::Shared(bytes, _) => bytes,
        }
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Message {
        if bytes.len() <= INLINE_BYTES {
            Message::from(&bytes[..])
        } else {
            Message(Payload::Shared(bytes, 0))
        }
    }
}

impl From<&[u8]> for Message {
    #[inline]
    fn from(bytes: &[u8]) -> Message {
        match bytes.len() {
            len @ 0..=INLINE_BYTES => {
                let mut inline = [0; INLINE_BYTES];
                inline[..len].copy_from_slice(bytes);
                Message::inline(inline, len)
            }
            _ => Message(Payload::Shared(Bytes::copy_from_slice(bytes), 0)),
        }
    }
}

impl<const N: usize> From<&[u8; N]> for Message {
    #[inline]
    fn from(bytes: &[u8; N]) -> Message {
        Message::from(&bytes[..])
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Message {
        Message::from(Bytes::from(bytes))
    }
}

impl From<Short> for Message {
    #[inline(always)]
    fn from(short: Short) -> Message {
        Message(Payload::Inline(short))
    }
}

impl Default for Message {
    /// Nothing, as a message.
    fn default() -> Message {
        Message::inline([0; INLINE_BYTES], 0)
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Message) -> bool {
        self.priority() == other.priority() && **self == **other
    }
}

impl Eq for Message {}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({} bytes, priority {})", self.len(), self.priority())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_whatever_its_length() {
        for len in [0, 1, 63, 64, 65, 1000] {
            let bytes: Vec<u8> = (0..len).map(|at| at as u8).collect();
            for message in [Message::from(&bytes[..]), Message::from(bytes.clone())] {
                assert_eq!((&*message, message.priority()), (&bytes[..], 0));
                assert_eq!(message.clone(), message);
                assert_eq!(message.into_bytes(), bytes);
            }
        }
    }

    #[test]
    fn it_is_nine_words_and_keeps_its_marks() {
        assert_eq!(size_of::<Message>(), INLINE_BYTES + 8);
        for len in [0, 1, 63, 64, 65] {
            for priority in [0, 1, 255] {
                let message = Message::from(vec![3; len]).with_priority(priority);
                assert_eq!((message.len(), message.length(), message.priority()), (len, len, priority));
            }
        }
    }

    #[test]
    fn long_ones_are_not_copied() {
        let bytes = Bytes::from(vec![7; 100]);
        let message = Message::from(bytes.clone()).with_priority(9);
        assert_eq!((message.as_ptr(), message.priority()), (bytes.as_ptr(), 9));
        assert_eq!(message.into_bytes().as_ptr(), bytes.as_ptr());
    }
}
