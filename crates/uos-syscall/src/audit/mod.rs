//! The audit: exactly one record a call, whether it was allowed, refused or given up.

mod log;
mod record;
mod sink;

pub use log::{Log, Overflow};
pub use record::{Decision, Record, Subject};
pub(crate) use record::{Suspended, Trail};
pub use sink::{Memory, Sink};
