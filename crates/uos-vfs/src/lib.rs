//! A virtual filesystem: resolve a path once to a node, then work on the node.

#![forbid(unsafe_code)]

mod attr;
mod error;
mod local;
mod mem;
mod mounts;
mod node;
mod path;

pub use attr::{Attr, Clock, FsId, Kind, New, NodeId, SetAttr, StatFs, SystemClock, Timestamp};
pub use error::{Error, Result};
pub use local::LocalFs;
pub use mem::{MemFs, MemFsBuilder};
pub use mounts::{How, MountInfo, Mounts, Place, Unresolved};
pub use node::{Access, DirEntry, Node, NodeRef, OpenFile, RenameFlags};
pub use path::VPath;
