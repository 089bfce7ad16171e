//! One process at a gate: how it is let through and stopped, what it used, and what it was before.

use super::pace::Debt;
use crate::control::ControlError;
use crate::control::process::{Process, refused};
use crate::{Cpu, Nanos, TaskId, Wanted};
use rustix::process::{Signal, pidfd_send_signal};
use rustix::thread::{self, sched_getaffinity};
use std::fs::{self, File};
use std::io;

#[derive(Debug)]
pub(super) struct Held {
    pub(super) task: TaskId,
    pub(super) wanted: Wanted,
    /// By how much its turns were longer than they should be.
    pub(super) debt: Debt,
    /// What it had used when it was last looked at, in nanoseconds.
    pub(super) seen: u64,
    pub(super) process: Process,
    affinity: thread::CpuSet,
    /// What the kernel says of it; kept open, as opening it takes twice as long as reading it.
    stat: File,
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
        let stat = File::open(format!("/proc/{pid}/stat")).map_err(|_| ControlError::Gone { pid })?;
        // Opened by number: it may be another's by now.
        if process.has_ended() {
            return Err(ControlError::Gone { pid });
        }
        let mut held =
            Held { task, wanted, debt: Debt::default(), seen: 0, process, affinity, stat, stopped: false };
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
        let mut line = [0; STAT_BYTES];
        let read = rustix::io::pread(&self.stat, &mut line, 0).unwrap_or(0);
        let Some((state, threads)) = state_in(&line[..read]) else { return false };
        if state == b'R' || threads <= 1 {
            return state == b'R';
        }
        let pid = self.process.number();
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return false };
        let mut lines = tasks.flatten().filter_map(|task| fs::read(task.path().join("stat")).ok());
        lines.any(|line| state_in(&line).is_some_and(|(state, _)| state == b'R'))
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

/// As long as that line can be: 52 numbers of up to 20 digits, and a name of up to 64 bytes.
const STAT_BYTES: usize = 1280;

/// The state of a thread, and how many its process has.
fn state_in(stat: &[u8]) -> Option<(u8, u32)> {
    // The name is in parentheses and may hold anything; fields are counted behind it.
    let name_ends = stat.iter().rposition(|&byte| byte == b')')?;
    let mut fields = stat[name_ends + 1..].split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let state = *fields.next()?.first()?;
    Some((state, std::str::from_utf8(fields.nth(16)?).ok()?.parse().ok()?))
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

#[cfg(test)]
mod tests {
    use super::state_in;

    #[test]
    fn a_name_may_hold_anything() {
        let numbers = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 7 18 19";
        let line = |name: &str| format!("77 ({name}) R {numbers}\n");
        for name in ["sh", "a) S 1 (b", "", "\u{fffd} )"] {
            assert_eq!(state_in(line(name).as_bytes()), Some((b'R', 7)), "{name}");
        }
        assert_eq!(state_in(b"77 (\xff\xfe) S 1 2"), None, "cut off");
        assert_eq!(state_in(b""), None);
    }
}
