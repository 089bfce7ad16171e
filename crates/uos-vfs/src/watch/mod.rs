//! Watching directories: who is told what, when something changes.
//!
//! ```
//! use uos_vfs::watch::{Next, Spot, Watches, What};
//! use uos_vfs::{FileSystem, MemFs, MountOptions, Mounts};
//!
//! let watches = Watches::new();
//! let mounts = Mounts::with(MemFs::builder().build().root(), MountOptions::default().watches(&watches))?;
//! mounts.create_dir("/in")?;
//! let watcher = watches.watcher(100);
//! let dir = watcher.watch(&mounts.node("/in")?)?;
//! mounts.create("/in/part", 0o644)?;
//! mounts.rename("/in/part", "/in/whole")?;
//! let Some(Next::Event(made)) = watcher.take() else { panic!() };
//! assert!(matches!(made.what, What::Created { .. }));
//! let Some(Next::Event(moved)) = watcher.take() else { panic!() };
//! let [from, to] = ["part", "whole"].map(|name| Spot { dir, name: name.into() });
//! assert_eq!(moved.what, What::Renamed { from, to });
//! # Ok::<(), uos_vfs::Error>(())
//! ```
//!
//! **What is watched** is one directory, by its node and not by its path, and not what lies in directories below: who wants
//! to know of a tree watches each directory of it, and those that are made, when told so. A name of a file that is changed by an
//! open descriptor is one that the file has then; if it has several in what is watched, all of them.
//!
//! **What is told** is everything that is done through [`MountOptions::watches`](crate::MountOptions::watches) or
//! [`Watches::over`], whatever the filesystem beneath. What others do to a directory of the host, or what is done to a filesystem
//! otherwise, is not seen. Events of one directory come in the order in which the changes took place. Once
//! [`Watcher::watch`] has returned, nothing is missed: what changed while it was at work may be told and be
//! in a listing as well.
//!
//! **Who is slow** loses events rather than holding others up: when as many as the capacity are unheard,
//! [`Next::Overflow`] takes the place of all others until that has been heard. Whoever hears it lists what is watched
//! anew; every change after hearing it is told again.
//!
//! **What it costs**: without watchers one look at one number for each change. A watched directory is listed once, when the first one
//! begins to watch it, and its names are kept; changes of names in it are made one after the other.

mod event;
mod hears;
mod hub;
mod queue;
mod watcher;

pub use event::{Event, Next, Spot, What};
pub use watcher::Watcher;

pub(crate) use event::Told;
#[cfg(all(feature = "fuse", target_os = "linux"))]
pub(crate) use hears::Hears;
pub(crate) use queue::Queue;

use crate::through::{Claims, Via};
use crate::{NodeId, NodeRef, Result};
use hub::Hub;
use std::fmt;
use std::sync::Arc;

/// Where changes are told, and watchers hear of them. Clones are the same one.
#[derive(Clone, Default)]
pub struct Watches(Arc<Hub>);

impl Watches {
    /// Nobody watches yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A filesystem as before, but that changes made through this are told.
    pub fn over(&self, root: NodeRef) -> NodeRef {
        Via::new(Claims::new(false), None, Some(self.clone())).show(root)
    }

    /// Somebody who watches nothing yet, and of whom so many events may be unheard.
    pub fn watcher(&self, capacity: usize) -> Watcher {
        Watcher::new(&self.0, capacity)
    }

    /// Changes names in one directory or two, and tells of it.
    pub(crate) fn telling<'a, T>(
        &self,
        tag: u64,
        dirs: &[&NodeRef],
        act: impl FnOnce() -> Result<T>,
        told: impl FnOnce(&T) -> Told<'a>,
    ) -> Result<T> {
        self.0.telling(tag, dirs, act, told)
    }

    /// The content of a file has been changed.
    pub(crate) fn modified(&self, node: NodeId, tag: u64) {
        self.0.hearing.node(node, true);
        self.0.touched(node, tag, |at| What::Modified { at });
    }

    /// Attributes of a node have been changed.
    pub(crate) fn attributes(&self, node: NodeId, tag: u64) {
        self.0.hearing.node(node, false);
        self.0.touched(node, tag, |at| What::Attributes { at });
    }

    /// A node may have lost a name.
    pub(crate) fn unnamed(&self, node: NodeId) {
        self.0.hearing.node(node, false);
    }

    /// Whether somebody hears of every change.
    pub(crate) fn are_heard(&self) -> bool {
        !self.0.hearing.is_empty()
    }

    /// Has somebody hear of every change from now on, until it is dropped.
    #[cfg(all(feature = "fuse", target_os = "linux"))]
    pub(crate) fn heard_by(&self, who: &Arc<dyn Hears>) {
        self.0.hearing.add(who);
    }
}

impl fmt::Debug for Watches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watches").field("directories", &self.0.watched()).finish()
    }
}
