//! What goes through a queue: some bytes with a priority.

use bytes::Bytes;
use std::fmt;
use std::ops::Deref;

const INLINE_BYTES: usize = Message::INLINE_BYTES;

/// Some bytes, never changed on the way, and how urgent they are.
///
/// Short ones are copied, long ones are shared: sending [`Bytes`] or a `Vec` of more than 64 bytes copies nothing.
#[derive(Clone)]
pub struct Message {
    priority: u8,
    payload: Payload,
}

#[derive(Clone)]
enum Payload {
    Inline(u8, [u8; INLINE_BYTES]),
    Shared(Bytes),
}

impl Message {
    /// Up to this many bytes a message is kept where it is queued, and costs no allocation.
    pub(crate) const INLINE_BYTES: usize = 64;

    /// The first `len` of these bytes.
    #[cfg(any(target_os = "linux", loom, shuttle))]
    pub(crate) fn inline(bytes: [u8; INLINE_BYTES], len: usize) -> Message {
        debug_assert!(len <= INLINE_BYTES);
        Message { priority: 0, payload: Payload::Inline(len as u8, bytes) }
    }

    /// The same with this priority; higher goes first in a queue by priority, and no queue else looks at it.
    #[must_use]
    pub fn with_priority(self, priority: u8) -> Message {
        Message { priority, ..self }
    }

    /// 0 unless it was given another.
    pub fn priority(&self) -> u8 {
        self.priority
    }

    /// The bytes, without a copy if there are more than 64.
    pub fn into_bytes(self) -> Bytes {
        match self.payload {
            Payload::Shared(bytes) => bytes,
            Payload::Inline(..) => Bytes::copy_from_slice(&self),
        }
    }
}

impl Deref for Message {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.payload {
            Payload::Inline(len, bytes) => &bytes[..usize::from(*len)],
            Payload::Shared(bytes) => bytes,
        }
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Message {
        let payload = match bytes.len() {
            len @ 0..=INLINE_BYTES => {
                let mut inline = [0; INLINE_BYTES];
                inline[..len].copy_from_slice(&bytes);
                Payload::Inline(len as u8, inline)
            }
            _ => Payload::Shared(bytes),
        };
        Message { priority: 0, payload }
    }
}

impl From<&[u8]> for Message {
    #[inline]
    fn from(bytes: &[u8]) -> Message {
        match bytes.len() {
            len @ 0..=INLINE_BYTES => {
                let mut inline = [0; INLINE_BYTES];
                inline[..len].copy_from_slice(bytes);
                Message { priority: 0, payload: Payload::Inline(len as u8, inline) }
            }
            _ => Message { priority: 0, payload: Payload::Shared(Bytes::copy_from_slice(bytes)) },
        }
    }
}

impl<const N: usize> From<&[u8; N]> for Message {
    fn from(bytes: &[u8; N]) -> Message {
        Message::from(&bytes[..])
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Message {
        Message::from(Bytes::from(bytes))
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Message) -> bool {
        self.priority == other.priority && **self == **other
    }
}

impl Eq for Message {}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({} bytes, priority {})", self.len(), self.priority)
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
    fn long_ones_are_not_copied() {
        let bytes = Bytes::from(vec![7; 100]);
        let message = Message::from(bytes.clone()).with_priority(9);
        assert_eq!((message.as_ptr(), message.priority()), (bytes.as_ptr(), 9));
        assert_eq!(message.into_bytes().as_ptr(), bytes.as_ptr());
    }
}
