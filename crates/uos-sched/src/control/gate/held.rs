//! One process at a gate: how it is let through and stopped, what it used, and what it was before.

use crate::control::ControlError;
use crate::control::process::{Process, refused};
use crate::{Cpu, Nanos, TaskId, Wanted};
use rustix::process::{Signal, pidfd_send_signal};
use rustix::thread::{self, sched_getaffinity};
use std::{fs, io};

#[derive(Debug)]
pub(super) struct Held {
    pub(super) task: TaskId,
    pub(super) wanted: Wanted,
    /// What it had used when it was last looked at, in nanoseconds.
    pub(super) seen: u64,
    pub(super) process: Process,
    affinity: thread::CpuSet,
    /// By us; what others do is their business.
    stopped: bool,
}

impl Held {
    /// Binds a process to the CPU and stops it, unless it sleeps: then it answers `false` beside it.
    pub(super) fn new(
        pid: u32,
        task: TaskId,
        wanted: Wanted,
        cpu: Cpu,
    ) -> Result<(Held, bool), ControlError> {
        let process = Process::find(pid)?;
        let id = process.id;
        let affinity = sched_getaffinity(Some(id)).map_err(|error| refused("affinity", pid, error.into()))?;
        let mut held = Held { task, wanted, seen: 0, process, affinity, stopped: false };
        held.seen = held.used().ok_or(ControlError::Gone { pid })?;
        let mut only = thread::CpuSet::new();
        only.set(cpu.0 as usize);
        held.process.bind(&only).map_err(|error| refused("affinity", pid, error))?;
        let wants = held.wants_cpu();
        if wants {
            held.stop()?;
        }
        Ok((held, wants))
    }

    /// What it has used so far, in nanoseconds, with all its threads; nothing if it is gone.
    pub(super) fn used(&self) -> Option<u64> {
        self.process.used()
    }

    /// What it has used since this was last asked.
    pub(super) fn used_since(&mut self) -> u64 {
        let used = self.used().unwrap_or(self.seen).max(self.seen);
        used - std::mem::replace(&mut self.seen, used)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.process.has_ended()
    }

    pub(super) fn stop(&mut self) -> Result<(), ControlError> {
        self.signal(Signal::STOP)?;
        self.stopped = true;
        Ok(())
    }

    /// Lets it run, if it is we who keep it from that.
    pub(super) fn go(&mut self) -> Result<(), ControlError> {
        if std::mem::take(&mut self.stopped) {
            self.signal(Signal::CONT)?;
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<(), ControlError> {
        let sent = pidfd_send_signal(&self.process.handle, signal);
        sent.map_err(|error| refused("signal", self.process.number(), error.into()))
    }

    /// Whether any of its threads runs or waits for a CPU.
    pub(super) fn wants_cpu(&self) -> bool {
        let pid = self.process.number();
        let Some((state, threads)) = state_of(&format!("/proc/{pid}/stat")) else { return false };
        if state == b'R' || threads <= 1 {
            return state == b'R';
        }
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return false };
        let mut paths = tasks.flatten().map(|task| task.path().join("stat"));
        paths.any(|path| path.to_str().and_then(state_of).is_some_and(|(state, _)| state == b'R'))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to put back, and its number may mean another.
        if !self.has_ended() {
            let _ = self.process.bind(&self.affinity);
            let _ = self.go();
        }
    }
}

/// The state of a thread, and how many its process has.
fn state_of(path: &str) -> Option<(u8, u32)> {
    let stat = fs::read_to_string(path).ok()?;
    // The name is in parentheses and may hold anything; fields are counted behind it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    Some((state, fields.nth(16)?.parse().ok()?))
}

/// What the calling thread has used.
pub(super) fn thread_cpu_time() -> Nanos {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// An error about the gate itself.
pub(super) fn own(what: &'static str, source: io::Error) -> ControlError {
    ControlError::System { what, pid: 0, source }
}
