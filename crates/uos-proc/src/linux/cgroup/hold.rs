//! Holding a whole group still, and killing it.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::dir::Dir;

/// What can be done to all processes of a group at once.
pub(crate) trait Hold: Debug + Send + Sync {
    /// Holds all of them still, or lets them go on. Returns when they stand still, or have had time to: one that waits
    /// for a disk does so first.
    fn freeze(&self, frozen: bool) -> io::Result<()>;

    /// Kills all of them, those that are held still and those just being made too. Whether nothing more has to be
    /// done for it: if not, [`kill_slowly`](Hold::kill_slowly) does it.
    fn kill(&self) -> io::Result<bool>;

    /// The same where it takes a while. Blocks until the group is empty or it has tried long enough.
    fn kill_slowly(&self) -> io::Result<()>;

    /// Whether a kill may be a mark that the group keeps.
    fn has_killed(&self) -> bool {
        false
    }

    /// Whether none of them is left.
    fn is_empty(&self) -> io::Result<bool>;

    /// Has a killed group die though it may be held still.
    fn let_die(&self) -> io::Result<()>;
}

/// What kills every process of a group of the second version that is written "1".
pub(super) const KILL: &str = "cgroup.kill";

/// What tells whether anybody is in such a group.
pub(super) const EVENTS: &str = "cgroup.events";

/// By the second version of control groups, also in a tree without controllers. One write does it all, and a process
/// that is being made while it happens is killed as it comes into being.
#[derive(Debug)]
pub(super) struct ByKernel {
    dir: Arc<Dir>,
    has_killed: AtomicBool,
}

impl ByKernel {
    pub(super) fn new(dir: Arc<Dir>) -> Self {
        ByKernel { dir, has_killed: AtomicBool::new(false) }
    }
}

impl Hold for ByKernel {
    fn freeze(&self, frozen: bool) -> io::Result<()> {
        self.dir.write("cgroup.freeze", if frozen { "1" } else { "0" })?;
        if frozen {
            until(|| Ok(self.dir.field(EVENTS, "frozen")? == 1))?;
        }
        Ok(())
    }

    fn kill(&self) -> io::Result<bool> {
        // Nobody can be made in there either, then.
        if !self.is_empty().unwrap_or(false) {
            self.has_killed.store(true, Ordering::Relaxed);
            self.dir.write(KILL, "1")?;
        }
        Ok(true)
    }

    fn kill_slowly(&self) -> io::Result<()> {
        self.kill().map(drop)
    }

    fn has_killed(&self) -> bool {
        self.has_killed.load(Ordering::Relaxed)
    }

    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.dir.field(EVENTS, "populated")? == 0)
    }

    /// The kernel sees to it.
    fn let_die(&self) -> io::Result<()> {
        Ok(())
    }
}

/// By the freezer of the first version. What is frozen cannot make new processes, so all that are listed then are all
/// there are.
#[derive(Debug)]
pub(super) struct ByFreezer(pub(super) Arc<Dir>);

const STATE: &str = "freezer.state";
/// How often to look whether all are frozen, and how long from one look to the next.
const LOOKS: u32 = 500;
const BETWEEN: Duration = Duration::from_micros(200);
const ROUNDS: u32 = 1000;

fn until(is_so: impl Fn() -> io::Result<bool>) -> io::Result<()> {
    for _ in 0..LOOKS {
        if is_so()? {
            break;
        }
        sleep(BETWEEN);
    }
    Ok(())
}

impl Hold for ByFreezer {
    fn freeze(&self, frozen: bool) -> io::Result<()> {
        self.0.write(STATE, if frozen { "FROZEN" } else { "THAWED" })?;
        if frozen {
            until(|| Ok(self.0.read(STATE)?.trim() == "FROZEN"))?;
        }
        Ok(())
    }

    fn kill(&self) -> io::Result<bool> {
        Ok(false)
    }

    fn kill_slowly(&self) -> io::Result<()> {
        for _ in 0..ROUNDS {
            self.freeze(true)?;
            let killed = signal_all(&self.0);
            self.freeze(false)?;
            killed?;
            if self.is_empty()? {
                return Ok(());
            }
            sleep(Duration::from_millis(1));
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.0.processes()?.is_empty())
    }

    fn let_die(&self) -> io::Result<()> {
        self.freeze(false)
    }
}

/// Kills every process listed in `dir`. A number may be given to somebody else between reading it and using it, so it
/// is bound to its process first and must then still be listed.
pub(super) fn signal_all(dir: &Dir) -> io::Result<()> {
    // A bounded number of descriptors at a time.
    for some in dir.processes()?.chunks(64) {
        let bind = |pid: &i32| Some((*pid, pidfd_open(Pid::from_raw(*pid)?, PidfdFlags::empty()).ok()?));
        let bound: Vec<_> = some.iter().filter_map(bind).collect();
        let listed = dir.processes()?;
        for (pid, pidfd) in bound {
            if listed.contains(&pid) {
                // It may have ended by itself.
                let _ = pidfd_send_signal(&pidfd, Signal::KILL);
            }
        }
    }
    Ok(())
}
