//! Shared memory: segments that any process can map that was given one, and that nobody can pull away.
//!
//! A segment is a memfd, sealed against shrinking and growing before it is mapped for the first time: a peer that
//! truncates a file under a mapping would kill us by SIGBUS, and with the seal it can't.

mod mapping;
mod memfd;
mod pool;
mod segment;

pub(crate) use crate::segment::{Access, SegmentStats, Sharing, ShmError};
pub use mapping::Mapping;
pub use pool::Segments;
pub use segment::{Enforcement, Lease, Segment};
