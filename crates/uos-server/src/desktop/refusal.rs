//! Why the desktop does not do what it is asked.

use std::sync::Arc;

use super::{App, app::Invalid};
use crate::store::Unwritten;

/// Why not.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// There is no such thing: what kind, and which.
    Absent(&'static str, String),
    /// A field makes no sense.
    Invalid(Invalid),
    /// Somebody else changed it since: this is what it is now.
    Stale(Arc<App>),
    /// The name is taken by the session of this id.
    Duplicate(String),
    /// It belongs to the program or is kept by the server: what it is.
    Fixed(&'static str),
    /// There is room for no more of these: what, and how many.
    Limit(&'static str, u64),
    /// The kernel said no.
    Kernel(uos_syscall::Error),
    /// The disk has no room.
    DiskFull,
    /// The disk failed; nothing was changed.
    Storage(String),
    /// The disk failed as the change was committed: it was not made, but may be there after a crash.
    Unknown(String),
    /// What is kept can't be read now.
    Unreadable(String),
    /// The server is stopping.
    Stopping,
}

impl From<uos_syscall::Error> for Refusal {
    fn from(error: uos_syscall::Error) -> Self {
        Self::Kernel(error)
    }
}

impl From<Unwritten> for Refusal {
    fn from(unwritten: Unwritten) -> Self {
        match unwritten {
            Unwritten::Full => Self::DiskFull,
            Unwritten::Failed(why) => Self::Storage(why),
            Unwritten::Unknown(why) => Self::Unknown(why),
        }
    }
}
