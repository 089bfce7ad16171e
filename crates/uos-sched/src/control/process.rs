//! What both kinds of control know of a process.

use super::ControlError;
use nix::time::ClockId;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::{self, sched_getaffinity, sched_setaffinity};
use std::os::fd::OwnedFd;
use std::{fs, io};

/// A process that is meant and no other: its number may belong to another later, its handle never does.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) id: Pid,
    pub(super) handle: OwnedFd,
    clock: ClockId,
}

impl Process {
    /// One that is there and has not ended.
    pub(super) fn find(pid: u32) -> Result<Process, ControlError> {
        let gone = || ControlError::Gone { pid };
        let id = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(gone)?;
        let handle = pidfd_open(id, PidfdFlags::empty());
        let handle = handle.map_err(|error| refused("process handle", pid, error.into()))?;
        let clock = ClockId::pid_cpu_clock_id(nix::unistd::Pid::from_raw(id.as_raw_nonzero().get()));
        let clock = clock.map_err(|error| refused("CPU clock", pid, error.into()))?;
        let process = Process { id, handle, clock };
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

    /// Whether it has ended or is just about to: then the kernel already refuses things, for whatever reason.
    pub(super) fn is_leaving(&self) -> bool {
        const EXITING: u64 = 4;
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id.as_raw_nonzero())).unwrap_or_default();
        let fields = stat.rsplit_once(')').map(|(_, fields)| fields.split_whitespace());
        let flags = fields.and_then(|mut fields| fields.nth(6)?.parse::<u64>().ok());
        flags.is_none_or(|flags| flags & EXITING != 0) || self.has_ended()
    }

    /// What it has used so far, in nanoseconds, with all its threads, those that have ended too; nothing if it is gone.
    pub(super) fn used(&self) -> Option<u64> {
        let time = self.clock.now().ok()?;
        Some(time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
    }

    /// Its threads, as of one moment.
    pub(super) fn threads(&self) -> io::Result<Vec<Pid>> {
        let mut threads = Vec::new();
        for one in fs::read_dir(format!("/proc/{}/task", self.id.as_raw_nonzero())).map_err(vanished)? {
            let id = one
                .map_err(vanished)?
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
                .and_then(Pid::from_raw);
            threads.extend(id);
        }
        Ok(threads)
    }

    /// Does this to each thread: the kernel keeps nearly everything by thread, and those born later have what their
    /// parent has. It answers whether it changed anything, and is done again until there is nobody who was born in
    /// the meantime and needs it.
    pub(super) fn each_thread(&self, mut change: impl FnMut(Pid) -> io::Result<bool>) -> io::Result<()> {
        // Nobody gives birth faster than that without meaning it.
        for _ in 0..16 {
            let mut changed = false;
            for thread in self.threads()? {
                match change(thread) {
                    Ok(did) => changed |= did,
                    // It may have ended since it was listed.
                    Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {}
                    Err(error) => return Err(error),
                }
            }
            if !changed {
                break;
            }
        }
        Ok(())
    }

    /// Binds all its threads to these CPUs.
    pub(super) fn bind(&self, cpus: &thread::CpuSet) -> io::Result<()> {
        self.each_thread(|thread| bind(thread, cpus))
    }
}

/// Binds a thread to these CPUs. Answers whether it was not.
pub(super) fn bind(thread: Pid, cpus: &thread::CpuSet) -> io::Result<bool> {
    if sched_getaffinity(Some(thread))? == *cpus {
        return Ok(false);
    }
    sched_setaffinity(Some(thread), cpus)?;
    // The kernel may have less to give than was asked for; asking again would not help.
    Ok(sched_getaffinity(Some(thread))? == *cpus)
}

/// What is not there in `/proc` is a process that has gone.
pub(super) fn vanished(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotFound => Errno::SRCH.into(),
        _ => error,
    }
}

pub(super) fn refused(what: &'static str, pid: u32, source: io::Error) -> ControlError {
    match source.raw_os_error() {
        Some(code) if code == Errno::SRCH.raw_os_error() => ControlError::Gone { pid },
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

    #[test]
    fn what_is_done_to_each_thread_is_done_to_those_born_meanwhile() {
        let own = Process::find(std::process::id()).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        let mut born = Vec::new();
        let (stop, wait) = std::sync::mpsc::channel::<()>();
        let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
        own.each_thread(|thread| {
            let is_new = seen.insert(thread.as_raw_nonzero());
            if is_new && born.len() < 3 {
                let (wait, (told, tell)) = (std::sync::Arc::clone(&wait), std::sync::mpsc::channel());
                born.push(std::thread::spawn(move || {
                    told.send(rustix::thread::gettid()).unwrap();
                    let _ = wait.lock().unwrap().recv();
                }));
                assert!(!seen.contains(&tell.recv().unwrap().as_raw_nonzero()));
            }
            Ok(is_new)
        })
        .unwrap();
        assert!(seen.len() >= 4, "{seen:?}");
        drop(stop);
        for thread in born {
            thread.join().unwrap();
        }
    }
}
