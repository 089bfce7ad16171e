//! A virtual filesystem: resolve a path once to a node, then work on the node.
//!
//! [`Mounts`] is a tree of filesystems and the only thing that reads paths. Resolving gives a
//! [`Place`]: a canonical path, the [`Node`] there if there is one, and the directory it is in. All
//! else is asked of nodes, by single names, so no name is ever looked up twice for one operation.
//! [`MemFs`] keeps its nodes in memory, [`LocalFs`] shows a directory of the host. A [`Snapshot`] is all of
//! a `MemFs` as it was, to look at, fork, restore, compare, and write to a [`store`].
//!
//! ```
//! use uos_vfs::{Access, Caller, FileSystem, How, MemFs, Mounts, Name};
//!
//! let mounts = Mounts::new(MemFs::builder().capacity_bytes(1 << 20).build().root());
//! // By path:
//! mounts.write("/greeting", "hello")?;
//! mounts.symlink("./greeting", "/link")?;
//! // Or resolved first, looked at, and then used:
//! let by = Caller::user(1000, 1000);
//! let found = mounts.resolve(b"link", &How::new(&by)).map_err(|unresolved| unresolved.error)?;
//! assert_eq!(found.path.as_bytes(), b"/greeting");
//! let file = found.node.ok_or(uos_vfs::Error::NotFound)?.open(&by, Access::Read)?;
//! assert_eq!(file.read_bytes(0, 100)?, &b"hello"[..]);
//! assert!(found.parent.unlink(&by, Name::new(b"greeting")?).is_err());
//! # Ok::<(), uos_vfs::Error>(())
//! ```
//!
//! The layers, from below: [`Node`] and [`OpenFile`] are what a filesystem provides; [`resolve()`] is the
//! one resolver for all of them; a [`Tree`] is whatever paths can be resolved in; and every tree is a
//! [`FileSystem`], files by path. [`Caller`] says who asks, and holds the one reading of mode bits.
//!
//! What it does not know, on purpose: processes and their working directories ([`How::base`] is an
//! argument), rights that are no mode bits ([`Judged::Before`] says that they have been asked), waiting
//! and runtimes ([`Node::blocks`] says which calls may take long; where to run those is up to the
//! caller), and how any of this travels over a wire.

#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod account;
#[cfg(feature = "tokio")]
mod async_file;
mod attr;
mod caller;
mod clock;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod descriptor;
mod descriptors;
mod directory;
mod error;
mod file;
mod filesystem;
#[cfg(all(feature = "fuse", target_os = "linux"))]
pub mod fuse;
mod local;
pub mod lock;
mod mem;
mod mounts;
mod name;
mod node;
#[cfg(feature = "opendal")]
mod object;
mod overlay;
mod path;

mod resolve;
pub mod store;
mod sync;
mod through;
mod tree;
pub mod watch;

pub use account::{Account, Limit, Used};
#[cfg(feature = "tokio")]
pub use async_file::AsyncFile;
pub use attr::{Attr, Device, FsId, Kind, NodeId, SetAttr, SetTime, Special, StatFs, Timestamp};
pub use caller::{Caller, Judged, Owner, Want};
pub use clock::{Clock, SystemClock};
pub use descriptor::{Descriptor, Readiness};
pub use descriptors::{Descriptors, FdTable};
pub use error::{Error, Result};
pub use file::File;
pub use filesystem::{Entry, FileSystem, OpenOptions};
pub use local::LocalFs;
pub use mem::{Change, MemFs, MemFsBuilder, Snapshot, What};
pub use mounts::{Detached, MountInfo, MountOptions, Mounts};
pub use name::{NAME_MAX, Name};
pub use node::{Access, Allocate, DirEntry, Node, NodeRef, OpenFile, Reach, Rename, Seek, SetXattr};
#[cfg(feature = "opendal")]
pub use object::{ObjectFs, ObjectFsBuilder};
pub use overlay::OverlayFs;
pub use path::VPath;
pub use resolve::{Crossings, How, NoMounts, Passed, Place, Unresolved, resolve};
pub use through::MountId;
pub use tree::{As, Below, Tree};
