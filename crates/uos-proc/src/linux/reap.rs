//! The end of a child: noticing it, ending its group, collecting it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{OnceLock, Weak};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::grouped::Grouped;
use super::sandbox::{Held, Reports};
use super::sys;
use crate::{Exit, ExitCause, LimitEvents, OnLeaderExit, Signal, Usage};

/// A child process that leads a session and process group of its own.
///
/// Whoever reaps it must be alone in doing so, and must not signal its group afterwards: only while the leader is
/// alive or a zombie is its number surely not somebody else's.
#[derive(Debug)]
pub(super) struct Leader {
    pub(super) pid: Pid,
    pub(super) pidfd: OwnedFd,
    pub(super) on_exit: OnLeaderExit,
    /// What is kept of its sandbox, if it is in one.
    pub(super) sandbox: Option<Held>,
    /// Its control group, if it has one.
    pub(super) group: Option<Grouped>,
    /// Whether it was killed from here, and not by the kernel for want of memory.
    pub(super) killed: AtomicBool,
    /// Our side of its terminal, if it has one, for as long as somebody holds it.
    pub(super) terminal: Option<Weak<OwnedFd>>,
    pub(super) ending: Ending,
    /// Whether the kernel ends it with the spawner's thread, which it comes from.
    pub(super) ends_with_thread: bool,
    /// What the spawning program's peak memory was when the child executed, in KiB.
    pub(super) spawner_peak_kib: i64,
}

impl Leader {
    /// Collects the child if it has exited, its group first if that is to go with it.
    pub(super) fn reap(&self) -> Option<Exit> {
        let peek = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::PidFd(self.pidfd.as_fd()), peek) {
            Ok(None) => return None,
            Ok(Some(_)) => {}
            // Its status is gone; so may be its number, and with it the right to touch the group.
            Err(_) => return Some(self.ended(lost())),
        }
        if self.on_exit == OnLeaderExit::KillGroup {
            // The zombie still reserves the number. No such group: nothing was left over.
            let _ = kill_process_group(self.pid, rustix::process::Signal::KILL);
        }
        match sys::reap(self.pidfd.as_fd()) {
            Ok(Some(death)) => Some(self.ended(self.ending.tell(self.exit(&death)))),
            Ok(None) | Err(_) => Some(self.ended(lost())),
        }
    }

    /// Gives its control group back, and adds what that knows.
    fn ended(&self, exit: Exit) -> Exit {
        let Some(group) = &self.group else { return exit };
        group.end(exit, self.killed.load(Ordering::Relaxed), self.on_exit == OnLeaderExit::LeaveGroup)
    }

    /// Waits until there is something to reap. For threads that have nothing else to do.
    pub(super) fn block_until_exit(&self) {
        let mut watched = [PollFd::new(&self.pidfd, PollFlags::IN)];
        while let Err(rustix::io::Errno::INTR) = poll(&mut watched, None) {}
    }

    /// Kills the whole tree, by its control group if it has one. The leader is killed by its own descriptor too, in case
    /// the group refuses.
    pub(super) fn kill_group(&self) -> io::Result<()> {
        self.killed.store(true, Ordering::Relaxed);
        if let Some(group) = &self.group {
            group.kill();
        }
        let _ = kill_process_group(self.pid, rustix::process::Signal::KILL);
        self.kill()
    }

    /// Sends a signal to the program: to the leader itself, or by way of it if it only looks after the program.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        let pidfd = self.pidfd.as_fd();
        match signal {
            Signal::KILL => self.kill(),
            Signal::STOP if self.looks_after() => sys::send_signal_meaning(pidfd, Signal::TSTP, signal),
            signal => sys::send_signal(pidfd, signal),
        }
    }

    /// Whether the leader is not the program, but who looks after it.
    pub(super) fn looks_after(&self) -> bool {
        self.sandbox.as_ref().is_some_and(|held| held.reports().is_some())
    }

    /// Kills it because its time is over. By descriptor alone, so it needs no care for numbers; what is to go with it
    /// goes when it is reaped.
    pub(super) fn time_out(&self) {
        self.ending.is_to_be(ExitCause::TimedOut);
        let _ = self.kill();
    }

    /// Kills the leader alone.
    pub(super) fn kill(&self) -> io::Result<()> {
        self.killed.store(true, Ordering::Relaxed);
        let sent = sys::send_signal(self.pidfd.as_fd(), Signal::KILL);
        if let Some(group) = &self.group {
            group.let_die();
        }
        sent
    }

    /// Holds the tree still, or lets it go on. Without a control group it is the program alone, by a signal.
    pub(super) fn freeze(&self, frozen: bool) -> io::Result<()> {
        let frozen_by_group = self.group.as_ref().and_then(|group| group.freeze(frozen));
        frozen_by_group.unwrap_or_else(|| self.signal(if frozen { Signal::STOP } else { Signal::CONT }))
    }

    fn exit(&self, death: &sys::Death) -> Exit {
        if let Some(status) = self.sandbox.as_ref().and_then(Held::reports).and_then(Reports::ended) {
            return self.exit_by(cause_of(status), death);
        }
        let signaled = |core| match Signal::new(death.status) {
            Some(signal) => ExitCause::Signaled { signal, core },
            None => ExitCause::Lost,
        };
        let cause = match death.code {
            libc::CLD_EXITED => ExitCause::Exited(death.status),
            libc::CLD_KILLED => signaled(false),
            libc::CLD_DUMPED => signaled(true),
            _ => ExitCause::Lost,
        };
        self.exit_by(cause, death)
    }

    fn exit_by(&self, cause: ExitCause, death: &sys::Death) -> Exit {
        Exit { cause, usage: self.usage(&death.rusage), events: LimitEvents::default() }
    }

    fn usage(&self, rusage: &libc::rusage) -> Usage {
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        let us = |time: libc::timeval| count(time.tv_sec) * 1_000_000 + count(time.tv_usec);
        // At execve the kernel notes the peak of the memory left behind as the child's, and that was ours.
        let is_its_own = rusage.ru_maxrss > self.spawner_peak_kib;
        Usage {
            cpu_user_us: us(rusage.ru_utime),
            cpu_system_us: us(rusage.ru_stime),
            rss_bytes: 0,
            peak_rss_bytes: is_its_own.then(|| count(rusage.ru_maxrss) * 1024),
            voluntary_switches: count(rusage.ru_nvcsw),
            involuntary_switches: count(rusage.ru_nivcsw),
            ..Usage::default()
        }
    }
}

/// Why this program has killed a child, if it has: the first reason stays.
#[derive(Debug, Default)]
pub(super) struct Ending(OnceLock<ExitCause>);

impl Ending {
    /// Notes `cause`, before the kill it is the reason of.
    pub(super) fn is_to_be(&self, cause: ExitCause) {
        let _ = self.0.set(cause);
    }

    /// The same exit, but told by its reason if it was our doing.
    fn tell(&self, exit: Exit) -> Exit {
        match (exit.cause, self.0.get()) {
            (ExitCause::Signaled { signal: Signal::KILL, .. }, Some(cause)) => Exit { cause: *cause, ..exit },
            _ => exit,
        }
    }
}

/// The cause that a wait status tells of, as whoever looked after the program saw it.
fn cause_of(status: i32) -> ExitCause {
    if libc::WIFEXITED(status) {
        return ExitCause::Exited(libc::WEXITSTATUS(status));
    }
    let core = libc::WCOREDUMP(status);
    Signal::new(libc::WTERMSIG(status)).map_or(ExitCause::Lost, |signal| ExitCause::Signaled { signal, core })
}

fn lost() -> Exit {
    Exit { cause: ExitCause::Lost, usage: Usage::default(), events: LimitEvents::default() }
}
