//! Roots made once, and a place to start from where there is nothing to see.
//!
//! Putting a root together takes some hundred calls, and most of it is the same every time. Where the kernel can copy trees
//! that are mounted nowhere (Linux 6.15), a root is kept for each user and shape, read-only, and a sandbox gets a copy
//! of it with one call.
//!
//! Its children come from a thread in a mount namespace of its own that holds one empty, read-only directory. So nothing
//! of the host has to be copied for a child, nothing has to be unmounted in it, and there is nothing of the host that
//! could be found again: it has never been in the child's namespace. The thread has also laid down what is laid down for
//! good, and for all its children: the bounding set of capabilities.

use std::collections::HashMap;
use std::ffi::{CString, c_int};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::mount::{MoveMountFlags, move_mount};

use super::super::child::perform;
use super::super::key::Key;
use super::super::life::{Arg, Life};
use super::super::thread::{self, Queue};
use super::plan::{View, tree_of};
use super::root::{Entry, Kind, NO_DEVICES, NO_EXECUTION, NO_SET_ID, Tree};
use crate::{SpawnError, Stage};

pub(super) struct Workshop {
    /// The thread that children come from.
    pub(super) queue: Arc<Queue>,
    /// Protects the roots made so far. Held only to look one up or put one in.
    roots: Mutex<HashMap<Shape, Arc<OwnedFd>>>,
}

/// What makes a root one's own.
#[derive(PartialEq, Eq, Hash)]
struct Shape {
    uid: u32,
    /// With what they are now: a directory or file of the host that is replaced makes another root.
    fixed: Vec<(CString, Option<(u64, u64)>)>,
    places: Vec<(CString, bool)>,
}

/// What is empty for every child and tells nothing of who made it, so that it can be made before the child is asked for:
/// that takes as long as all a child's mounts.
const AHEAD: c_int = libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;

/// Roots take memory, and are made again in a millisecond.
const MOST: usize = 256;

impl Workshop {
    pub(super) fn open(staging: CString, last_capability: u32) -> Result<Self, SpawnError> {
        let queue = thread::start_after(AHEAD, Key::NONE, move || {
            lay_down(last_capability)?;
            let mut life = Life::default();
            life.stage(Stage::Namespace("mount"));
            life.call(libc::SYS_unshare, [libc::CLONE_NEWNS.into()]);
            life.separate_mounts();
            let root = life.new_root(NO_SET_ID | NO_DEVICES | NO_EXECUTION);
            life.show_root(root, staging);
            life.pivot();
            life.freeze_root(root);
            perform(&life, None).map(drop)
        })?;
        Ok(Workshop { queue, roots: Mutex::default() })
    }

    /// Itself, if it can be used. If not, its thread ends.
    pub(super) fn if_it_copies_roots(self) -> Option<Self> {
        let is_of_use = self.copies_roots();
        if !is_of_use {
            self.queue.close();
        }
        is_of_use.then_some(self)
    }

    /// Whether the kernel copies what is mounted nowhere, and takes mounts there: the two things that this rests on.
    fn copies_roots(&self) -> bool {
        let attempt = || {
            let mut life = Life::default();
            let root = life.new_root(NO_SET_ID);
            let root = perform(&life, Some(root)).ok()??;
            let copy = tree_of(&root).ok()?;
            move_mount(
                &copy,
                "",
                &root,
                "",
                MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH,
            )
            .ok()
        };
        attempt().is_some()
    }

    /// A copy of the root of `view`, with its places and with what is the same in every view; both are done then.
    pub(super) fn root(&self, uid: u32, view: &mut View) -> Result<OwnedFd, SpawnError> {
        let shape = Shape {
            uid,
            fixed: (view.mounts.iter().filter(|mount| mount.fixed))
                .map(|mount| (mount.at.clone(), identity(&mount.source)))
                .collect(),
            places: (view.mounts.iter().filter(|mount| mount.in_root))
                .map(|mount| (mount.at.clone(), mount.kind == Kind::Directory))
                .collect(),
        };
        let roots = || self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        let known = roots().get(&shape).map(Arc::clone);
        let root = match known {
            Some(root) => root,
            None => {
                let made = Arc::new(put_together(view)?);
                let mut roots = roots();
                if roots.len() >= MOST {
                    roots.clear();
                }
                roots.insert(shape, Arc::clone(&made));
                made
            }
        };
        view.entries.clear();
        view.mounts.retain(|mount| !mount.fixed);
        tree_of(&root)
            .map_err(|errno| SpawnError::Stage { stage: Stage::Root("copy"), errno: errno.raw_os_error() })
    }
}

fn identity(source: &Tree) -> Option<(u64, u64)> {
    let Tree::Path(path) = source else { return None };
    rustix::fs::lstat(path.as_c_str()).ok().map(|stat| (stat.st_dev, stat.st_ino))
}

/// What a thread lays down for good, and so for all its children.
pub(super) fn lay_down(last_capability: u32) -> Result<(), SpawnError> {
    let mut life = Life::default();
    life.drop_bounding_set(last_capability);
    perform(&life, None).map(drop)
}

/// By a thread of its own, which goes to a directory and back to nowhere.
fn put_together(view: &mut View) -> Result<OwnedFd, SpawnError> {
    let mut life = Life::default();
    life.stage(Stage::Root("directory"));
    life.call(libc::SYS_unshare, [libc::CLONE_FS.into()]);
    life.call(libc::SYS_umask, [0.into()]);
    let root = life.new_root(NO_SET_ID);
    life.enter_directory(root);
    let entries: Vec<Entry> = std::mem::take(&mut view.entries);
    life.furnish(entries);
    for mount in view.mounts.iter().filter(|mount| mount.in_root) {
        life.make_place(mount);
    }
    for mount in view.mounts.iter().filter(|mount| mount.fixed) {
        let tree = life.take(mount);
        life.attach(mount, tree);
    }
    let make = move || {
        let made = perform(&life, Some(root))?.ok_or(failed(libc::EBADF))?;
        freeze(&made)?;
        Ok(made)
    };
    let made = std::thread::Builder::new().name("uos-root".into()).spawn(make);
    let made = made.map_err(|error| failed(error.raw_os_error().unwrap_or(libc::EAGAIN)))?;
    made.join().unwrap_or(Err(SpawnError::Gone))
}

fn failed(errno: i32) -> SpawnError {
    SpawnError::Stage { stage: Stage::Root("thread"), errno }
}

/// Makes the new root read-only. A child that another thread is just starting has copies of all descriptors of this
/// program until it executes, also of one that was open for writing in here and is closed by now: as long as it has,
/// the kernel says "busy".
fn freeze(root: &OwnedFd) -> Result<(), SpawnError> {
    let mut life = Life::default();
    life.freeze_root(Arg::from(root.as_raw_fd()));
    for _ in 0..LOOKS {
        match perform(&life, None) {
            Err(SpawnError::Stage { errno: libc::EBUSY, .. }) => std::thread::sleep(BETWEEN),
            done => return done.map(drop),
        }
    }
    perform(&life, None).map(drop)
}

/// How often to look, and how long to wait in between: a child executes within a millisecond, on a busy machine later.
const LOOKS: u32 = 5_000;
const BETWEEN: Duration = Duration::from_micros(200);
