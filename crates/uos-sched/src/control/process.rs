//! What both kinds of control know of a process.

use super::ControlError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::{self, sched_setaffinity};
use std::os::fd::OwnedFd;
use std::{fs, io};

/// A process that is meant and no other: its number may belong to another later, its handle never does.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) id: Pid,
    pub(super) handle: OwnedFd,
}

impl Process {
    /// One that is there and has not ended.
    pub(super) fn find(pid: u32) -> Result<Process, ControlError> {
        let gone = || ControlError::Gone { pid };
        let id = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(gone)?;
        let handle = pidfd_open(id, PidfdFlags::empty());
        let handle = handle.map_err(|error| refused("process handle", pid, error.into()))?;
        let process = Process { id, handle };
        // Only its remains may be there.
        if process.has_ended() { Err(gone()) } else { Ok(process) }
    }

    pub(super) fn number(&self) -> u32 {
        self.id.as_raw_nonzero().get().unsigned_abs()
    }

    pub(super) fn has_ended(&self) -> bool {
        let mut handle = [PollFd::new(&self.handle, PollFlags::IN)];
        matches!(poll(&mut handle, Some(&Timespec::default())), Ok(1))
    }
}

/// An affinity is each thread's own; those born later have their parent's.
pub(super) fn bind_threads(pid: Pid, cpus: &thread::CpuSet) -> io::Result<()> {
    sched_setaffinity(Some(pid), cpus)?;
    for one in fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()))? {
        let id = one?.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        match id.map(|id| sched_setaffinity(Some(id), cpus)) {
            // It may have ended since it was listed.
            None | Some(Ok(()) | Err(rustix::io::Errno::SRCH)) => {}
            Some(Err(error)) => return Err(error.into()),
        }
    }
    Ok(())
}

pub(super) fn refused(what: &'static str, pid: u32, source: io::Error) -> ControlError {
    match source.raw_os_error() {
        Some(code) if code == rustix::io::Errno::SRCH.raw_os_error() => ControlError::Gone { pid },
        _ => ControlError::System { what, pid, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_that_is_there_is_found() {
        assert!(!Process::find(std::process::id()).unwrap().has_ended());
        for nobody in [0, i32::MAX as u32, u32::MAX] {
            assert!(matches!(Process::find(nobody), Err(ControlError::Gone { .. })), "{nobody}");
        }
    }
}
