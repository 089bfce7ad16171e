//! Rings of bytes from one producer to one consumer, in memory that two processes may share.
//!
//! Each side owns one index and only reads the other's. The other side is not trusted: its index is read once, held against
//! what is known already, and one that can't be true ends this ring and nothing else. How large the ring is, each side knows
//! for itself.

#[cfg(any(loom, shuttle))]
mod bell;
mod bytes;
mod consumer;
mod fence;
mod frames;
mod layout;
mod producer;
mod shared;
mod slots;
mod wait;

pub use bytes::{RingReader, RingWriter, ring};
pub use frames::{FrameReceiver, FrameSender, frames};
pub use shared::{SharedPipe, SharedQueue};
pub use slots::{MAX_SLOTS, SLOT_BYTES, SlotReceiver, SlotSender, slots};

use consumer::Consumer;
pub(crate) use frames::size as frames_size;
pub(crate) use layout::{Held, Size, memory_bytes};
use producer::Producer;
use wait::Half;
use wait::Wait;

/// The other side's index can't be true: it has lost its mind, or is no friend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Corrupt;
