//! A virtual filesystem: resolve a path once to a node, then work on the node.
//!
//! [`Mounts`] is a tree of filesystems and the only thing that reads paths. Resolving gives a
//! [`Place`]: a canonical path, the [`Node`] there if there is one, and the directory it is in. All
//! else is asked of nodes, by single names, so no name is ever looked up twice for one operation.
//! [`MemFs`] keeps its nodes in memory, [`LocalFs`] shows a directory of the host.
//!
//! ```
//! use uos_vfs::{Access, How, MemFs, Mounts, New, VPath};
//!
//! let new = New { mode: 0o755, uid: 0, gid: 0 };
//! let mounts = Mounts::new(MemFs::builder().capacity_bytes(1 << 20).build().root());
//! let how = How { base: &VPath::root(), follow_last: true, memory_only: false };
//! let place = mounts.resolve(b"/greeting", &how).map_err(|unresolved| unresolved.error)?;
//! let file = place.parent.create(b"greeting", &new)?.open(Access::ReadWrite)?;
//! file.append(b"hello")?;
//! place.parent.symlink(b"link", b"./greeting", &new)?;
//! let found = mounts.resolve(b"link", &how).map_err(|unresolved| unresolved.error)?;
//! assert_eq!(found.path.as_bytes(), b"/greeting");
//! assert_eq!(file.read_bytes(0, 100)?, &b"hello"[..]);
//! # Ok::<(), uos_vfs::Error>(())
//! ```
//!
//! What it does not know, on purpose: who is asking and whether they may (nodes check no permissions),
//! processes and their working directories ([`How::base`] is an argument), open file tables and
//! positions, waiting and runtimes ([`Node::blocks`] says which calls may take long; where to run
//! those is up to the caller), and how any of this travels over a wire.

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
