//! What is told.

use crate::{Kind, Name, NodeId};

/// What a watcher hears next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<T = Event> {
    /// Something has changed.
    Event(T),
    /// More has changed than there was room for. What is watched has to be looked at anew; what changes after
    /// this was heard is told.
    Overflow,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What has changed.
    pub what: What,
    /// The [tag](crate::Caller::tag) of whoever changed it: of an open file, of who opened it.
    pub tag: u64,
}

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// There is a new name: of something new, of a file with one name more, or of what came from a directory that is
    /// not told of here.
    Created {
        /// Where.
        at: Spot,
        /// What has the name.
        node: NodeId,
        /// What that is.
        kind: Kind,
    },
    /// A name is gone.
    Deleted {
        /// Where it was.
        at: Spot,
    },
    /// Content or length of a file has changed.
    Modified {
        /// A name of it.
        at: Spot,
    },
    /// Mode, owner, times or extended attributes have changed.
    Attributes {
        /// A name of what they are of; without a name, the directory's own.
        at: Spot,
    },
    /// An entry has another name, in place of what had that before. It is told once, also to who watches both directories.
    Renamed {
        /// Where it was.
        from: Spot,
        /// Where it is.
        to: Spot,
    },
    /// Two entries have each other's name.
    Exchanged {
        /// The one.
        one: Spot,
        /// And the other.
        other: Spot,
    },
    /// The directory itself has been removed, and is not watched any more.
    Removed {
        /// Which.
        dir: NodeId,
    },
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Spot {
    /// The directory.
    pub dir: NodeId,
    /// The name there; empty for the directory itself.
    pub name: Vec<u8>,
}

/// A change of names, as whoever made it tells it.
pub(crate) enum Told<'a> {
    Made { dir: NodeId, name: Name<'a>, node: NodeId, kind: Kind },
    Gone { dir: NodeId, name: Name<'a> },
    Moved { from: (NodeId, Name<'a>), to: (NodeId, Name<'a>), exchanged: bool },
}
