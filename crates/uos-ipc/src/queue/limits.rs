//! How much a queue holds.

use super::Message;

/// The most messages and the most bytes in them, already known to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    messages: usize,
    bytes: usize,
}

/// Limits no queue may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a queue holds 1 to {} messages and 1 to {} bytes, not {messages} and {bytes}",
    Limits::MAX.messages,
    Limits::MAX.bytes
)]
pub struct LimitsError {
    /// How many messages were asked for.
    pub messages: u64,
    /// How many bytes.
    pub bytes: u64,
}

impl Limits {
    /// 1024 messages and 64 KiB.
    pub const DEFAULT: Limits = Limits { messages: 1024, bytes: 64 << 10 };
    /// A million messages and 64 MiB.
    pub const MAX: Limits = Limits { messages: 1 << 20, bytes: 64 << 20 };

    /// Limits from outside, as wide as they come, checked once. No message may be longer than all the bytes.
    pub fn new(messages: u64, bytes: u64) -> Result<Limits, LimitsError> {
        match (usize::try_from(messages), usize::try_from(bytes)) {
            (Ok(messages @ 1..=1_048_576), Ok(bytes @ 1..=67_108_864)) => Ok(Limits { messages, bytes }),
            _ => Err(LimitsError { messages, bytes }),
        }
    }

    /// The most messages.
    pub const fn messages(self) -> usize {
        self.messages
    }

    /// The most bytes in all messages together.
    pub const fn bytes(self) -> usize {
        self.bytes
    }

    /// What a queue of these limits is charged: its bytes, and a place for each message.
    pub const fn charge_bytes(self) -> u64 {
        (self.bytes + self.messages * size_of::<Message>()) as u64
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::DEFAULT
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_edges() {
        let ok = |messages, bytes| Limits::new(messages, bytes).is_ok();
        assert_eq!(Limits::new(1 << 20, 64 << 20), Ok(Limits::MAX));
        assert!(ok(1, 1) && !ok(0, 1) && !ok(1, 0) && !ok((1 << 20) + 1, 1) && !ok(1, (64 << 20) + 1));
        let text = Limits::new(u64::MAX, 0).unwrap_err().to_string();
        assert!(text.contains("1 to 1048576 messages and 1 to 67108864 bytes"), "{text}");
    }
}
