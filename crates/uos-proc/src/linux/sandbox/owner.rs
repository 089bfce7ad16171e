//! Who a file's owner on the host is inside a sandbox.
//!
//! A sandbox runs as a user that owns nothing. So that a granted directory is of use to it, the mount of it translates
//! ids: whoever owns the directory on the host is the sandbox's user there, and what the sandbox makes there is that
//! owner's on the host. The kernel takes the translation from a user namespace, and that from a process; one is
//! made for a moment.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::pipe::{PipeFlags, pipe_with};

use super::super::life::{Arg, Life};
use super::super::prepare::Launch;
use super::super::thread::Queue;
use super::plan::Owner;
use crate::{SpawnError, Stage};

/// Translations made so far. Each takes a descriptor; uids come again soon, and so do owners.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// Protects the translations. Held only to look one up or put one in.
    known: Mutex<HashMap<(Owner, u32), Arc<OwnedFd>>>,
}

const MOST: usize = 64;

impl Owners {
    /// The user namespace in which `owner` is `uid`.
    pub(super) fn translation(
        &self,
        queue: &Queue,
        init: &OwnedFd,
        owner: Owner,
        uid: u32,
    ) -> Result<Arc<OwnedFd>, SpawnError> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known().get(&(owner, uid)) {
            return Ok(Arc::clone(found));
        }
        let made = Arc::new(make(queue, init, owner, uid)?);
        let mut known = known();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert((owner, uid), Arc::clone(&made));
        Ok(made)
    }
}

fn make(queue: &Queue, init: &OwnedFd, owner: Owner, uid: u32) -> Result<OwnedFd, SpawnError> {
    #[expect(clippy::needless_pass_by_value, reason = "the shape map_err wants")]
    fn failed(error: io::Error) -> SpawnError {
        SpawnError::Stage {
            stage: Stage::Namespace("owner"),
            errno: error.raw_os_error().unwrap_or(libc::EIO),
        }
    }
    let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC).map_err(|errno| failed(errno.into()))?;
    let mut life = Life::default();
    life.tie_to_spawner();
    life.hide_descriptors();
    let number = theirs.as_raw_fd();
    let held = life.fd(theirs);
    life.call(libc::SYS_fcntl, [held, libc::F_SETFD.into(), Arg::Is(0)]);
    life.reset_signals();
    let argv = [c"uos-init".to_owned(), c"hold".to_owned(), super::init::number(number)];
    let init = init.try_clone().map_err(failed)?;
    life.execute_on_the_way(Stage::Exec, super::super::steps::Place::Fd(init), argv.into(), Vec::new());
    let holder = queue.launch(Launch::of(life).with_flags(libc::CLONE_NEWUSER))?;

    let pid = holder.pid.as_raw_nonzero();
    let map =
        |file: &str, inside: u32| fs::write(format!("/proc/{pid}/{file}"), format!("{inside} {uid} 1\n"));
    let namespace = map("uid_map", owner.uid)
        .and_then(|()| map("gid_map", owner.gid))
        .and_then(|()| File::open(format!("/proc/{pid}/ns/user")));
    // It reads the end of the pipe, and exits.
    drop(ours);
    holder.block_until_exit();
    let _ = holder.reap();
    namespace.map(OwnedFd::from).map_err(failed)
}
