//! The handle of one Linux process.

use std::fs::OpenOptions;
use std::future::Future;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, setpriority_pgrp, setpriority_user};

use super::grouped;
use super::reap::Leader;
use super::sandbox::Held;
use super::thread::Queue;
use super::{pty, sys, usage};
use crate::check::{check_cpu_groups, check_limits};
use crate::child::Process;
use crate::{
    CpuGroup, Exit, ExitCause, Limits, LimitsError, OnDrop, OnLeaderExit, PtySize, Signal, SignalError, Usage,
};

pub(super) struct LinuxProcess {
    leader: Arc<Leader>,
    on_drop: OnDrop,
    /// The exit, once noticed. Held while reaping, so there is one reaper, and while using the process's number,
    /// so that the number is surely still its own.
    exit: Mutex<Option<Exit>>,
    queue: Arc<Queue>,
}

impl LinuxProcess {
    pub(super) fn new(leader: Leader, queue: Arc<Queue>, on_drop: OnDrop, deadline: Option<Instant>) -> Self {
        let leader = Arc::new(leader);
        if !leader.ends_with_thread {
            queue.end_with(&leader);
        }
        if let Some(deadline) = deadline {
            queue.end_at(deadline, &leader);
        }
        LinuxProcess { leader, on_drop, exit: Mutex::new(None), queue }
    }

    /// Notices an exit that has happened. While the guard is held, `None` in it means that the process, running
    /// or dead, still has its number.
    fn settle(&self) -> MutexGuard<'_, Option<Exit>> {
        let mut exit = self.exit.lock().unwrap_or_else(PoisonError::into_inner);
        if exit.is_none() {
            *exit = self.leader.reap();
        }
        exit
    }

    fn if_alive<T>(&self, act: impl FnOnce() -> io::Result<T>) -> Result<T, SignalError> {
        let exit = self.settle();
        if exit.is_some() {
            return Err(SignalError::NoSuchProcess);
        }
        act().map_err(|error| match error.raw_os_error() {
            Some(libc::ESRCH) => SignalError::NoSuchProcess,
            errno => SignalError::Refused { errno: errno.unwrap_or(libc::EIO) },
        })
    }

    /// Each waiter registers a copy of the pidfd with the runtime it is polled in. A shared registration would
    /// tie the process to the first waiter's runtime, which may end before the process does.
    async fn until_dead(&self) -> io::Result<()> {
        let copy = self.leader.pidfd.try_clone()?;
        let watch = sys::watch(copy)?;
        // A pidfd stays readable once its process is dead, so readiness is never cleared.
        watch.readable().await?.retain_ready();
        Ok(())
    }
}

impl Process for LinuxProcess {
    fn os_pid(&self) -> u32 {
        self.leader.pid.as_raw_nonzero().get().unsigned_abs()
    }

    fn wait(&self) -> Pin<Box<dyn Future<Output = Exit> + Send + '_>> {
        Box::pin(async move {
            loop {
                if let Some(exit) = self.try_wait() {
                    return exit;
                }
                // No descriptor left to register, most likely. The child is worth a slow look all the same.
                if self.until_dead().await.is_err() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        })
    }

    fn try_wait(&self) -> Option<Exit> {
        *self.settle()
    }

    fn signal(&self, signal: Signal) -> Result<(), SignalError> {
        self.if_alive(|| self.leader.signal(signal))
    }

    fn kill_tree(&self) -> Result<(), SignalError> {
        self.if_alive(|| {
            self.leader.ending.is_to_be(ExitCause::Killed);
            self.leader.kill_group()
        })
    }

    fn set_nice(&self, nice: i32) -> Result<(), SignalError> {
        if !(-20..=19).contains(&nice) {
            return Err(SignalError::Refused { errno: libc::EINVAL });
        }
        self.if_alive(|| match self.leader.sandbox.as_ref().and_then(Held::uid) {
            // Nobody else is this user.
            Some(uid) => Ok(setpriority_user(uid, nice)?),
            None => set_nice(self.leader.pid, nice),
        })
    }

    fn set_real_time(&self, real_time: bool) -> Result<(), SignalError> {
        let group = || self.leader.group.as_ref().map_or(Ok(()), |group| group.set_real_time(real_time));
        self.if_alive(group)
    }

    fn set_cpu_groups(&self, groups: &[CpuGroup]) -> Result<(), SignalError> {
        check_cpu_groups(groups)?;
        let group = || match &self.leader.group {
            Some(group) => group.set_cpu_groups(groups),
            None if groups.is_empty() => Ok(()),
            None => Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP)),
        };
        self.if_alive(group)
    }

    fn set_limits(&self, limits: &Limits) -> Result<(), LimitsError> {
        check_limits(limits)?;
        if self.settle().is_some() {
            return Err(LimitsError::NoSuchProcess);
        }
        let Some(group) = &self.leader.group else {
            return Err(LimitsError::Unsupported { name: grouped::first_named(limits) });
        };
        group.set(limits)
    }

    fn pause(&self) -> Result<(), SignalError> {
        self.if_alive(|| self.leader.freeze(true))
    }

    fn resume(&self) -> Result<(), SignalError> {
        self.if_alive(|| self.leader.freeze(false))
    }

    fn resize(&self, size: PtySize) -> Result<(), SignalError> {
        match &self.leader.terminal {
            Some(terminal) => self.if_alive(|| pty::resize(terminal, size)),
            None => Err(SignalError::Refused { errno: libc::ENOTTY }),
        }
    }

    fn usage(&self) -> Usage {
        let exit = self.settle();
        match *exit {
            Some(exit) => exit.usage,
            None => {
                let usage = usage::live(self.leader.pid).unwrap_or_default();
                self.leader.group.as_ref().map_or(usage, |group| group.usage(usage))
            }
        }
    }
}

/// Kills what still runs, unless it is to be let go, and leaves the reaping to the spawner thread if it takes longer than this.
impl Drop for LinuxProcess {
    fn drop(&mut self) {
        if self.settle().is_some() {
            return;
        }
        if self.on_drop == OnDrop::Detach {
            self.queue.adopt(Arc::clone(&self.leader));
            return;
        }
        let _ = match self.leader.on_exit {
            OnLeaderExit::KillGroup => self.leader.kill_group(),
            OnLeaderExit::LeaveGroup => self.leader.kill(),
        };
        if self.settle().is_none() {
            if let (Some(group), OnLeaderExit::KillGroup) = (&self.leader.group, self.leader.on_exit) {
                group.is_given_up();
            }
            self.queue.adopt(Arc::clone(&self.leader));
        }
    }
}

/// The priority of every thread in the group, and the weight of its session: where autogroup scheduling is on,
/// niceness compares only within a session, and each child has one of its own.
fn set_nice(pid: Pid, nice: i32) -> io::Result<()> {
    setpriority_pgrp(Some(pid), nice)?;
    let weight = format!("/proc/{}/autogroup", pid.as_raw_nonzero());
    match OpenOptions::new().write(true).open(weight) {
        Ok(mut weight) => weight.write_all(nice.to_string().as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
