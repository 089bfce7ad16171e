//! The handle of a program that was started.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::{
    CpuGroup, Enforcement, Exit, Input, Limits, LimitsError, Output, Pty, PtySize, Signal, SignalError, Usage,
};

/// A started program. Cheap to clone; all clones are the same program.
///
/// When the last clone is dropped and the program has not exited, it is killed, with its process group unless the
/// spec says [`LeaveGroup`](crate::OnLeaderExit::LeaveGroup), and reaped in the background. It never stays behind,
/// running or as a zombie, unless the spec says [`Detach`](crate::OnDrop::Detach): then it runs on to its end.
#[derive(Clone)]
pub struct Child(Arc<Shared>);

struct Shared {
    process: Box<dyn Process>,
    enforcement: Enforcement,
    /// Protects the ends not yet taken. Held only to take one.
    streams: Mutex<Streams>,
}

/// The ends of a child's pipes, as far as they exist and are not yet taken.
#[derive(Debug, Default)]
pub struct Streams {
    /// Leads to descriptor 0.
    pub stdin: Option<Input>,
    /// Comes from descriptor 1.
    pub stdout: Option<Output>,
    /// Comes from descriptor 2.
    pub stderr: Option<Output>,
    /// Our side of its terminal.
    pub pty: Option<Pty>,
}

/// What a [`Spawner`](crate::Spawner) supplies to make a [`Child`]; the methods promise what the child's do.
///
/// Dropping it ends the program, or lets it run on, as the spec says.
pub trait Process: Send + Sync {
    /// See [`Child::os_pid`].
    fn os_pid(&self) -> u32;
    /// See [`Child::wait`].
    fn wait(&self) -> Pin<Box<dyn Future<Output = Exit> + Send + '_>>;
    /// See [`Child::try_wait`].
    fn try_wait(&self) -> Option<Exit>;
    /// See [`Child::signal`].
    fn signal(&self, signal: Signal) -> Result<(), SignalError>;
    /// See [`Child::kill_tree`].
    fn kill_tree(&self) -> Result<(), SignalError>;
    /// See [`Child::set_nice`].
    fn set_nice(&self, nice: i32) -> Result<(), SignalError>;
    /// See [`Child::set_real_time`]. Where groups don't divide real time there is nothing to do.
    fn set_real_time(&self, _real_time: bool) -> Result<(), SignalError> {
        Ok(())
    }
    /// See [`Child::set_cpu_groups`]. Where there are none, any are refused with `ENOTSUP`.
    fn set_cpu_groups(&self, groups: &[CpuGroup]) -> Result<(), SignalError> {
        let refused = Err(SignalError::Refused { errno: libc::EOPNOTSUPP });
        if groups.is_empty() { Ok(()) } else { refused }
    }
    /// See [`Child::set_limits`].
    fn set_limits(&self, limits: &Limits) -> Result<(), LimitsError>;
    /// See [`Child::pause`].
    fn pause(&self) -> Result<(), SignalError>;
    /// See [`Child::resume`].
    fn resume(&self) -> Result<(), SignalError>;
    /// See [`Child::resize`].
    fn resize(&self, size: PtySize) -> Result<(), SignalError>;
    /// See [`Child::usage`].
    fn usage(&self) -> Usage;
}

impl Child {
    /// The handle of `process`, which is held as `enforcement` says.
    pub fn new(process: impl Process + 'static, streams: Streams, enforcement: Enforcement) -> Self {
        Child(Arc::new(Shared { process: Box::new(process), enforcement, streams: Mutex::new(streams) }))
    }

    /// The operating system's process id. After the exit it may belong to somebody else: show it, never use it.
    #[must_use]
    pub fn os_pid(&self) -> u32 {
        self.0.process.os_pid()
    }

    /// Waits for the exit. May be called again, by many at once, and dropped at any point; all get the same
    /// answer.
    ///
    /// # Panics
    ///
    /// For a real process, outside a tokio runtime with its I/O and time drivers on.
    pub async fn wait(&self) -> Exit {
        self.0.process.wait().await
    }

    /// The exit, if it has happened.
    #[must_use]
    pub fn try_wait(&self) -> Option<Exit> {
        self.0.process.try_wait()
    }

    /// Sends `signal` to the program. After its exit this is [`SignalError::NoSuchProcess`], whoever has its
    /// process id by then.
    pub fn signal(&self, signal: Signal) -> Result<(), SignalError> {
        self.0.process.signal(signal)
    }

    /// Kills the program and everything that descends from it, without giving them a say; how thoroughly is what
    /// [`Guarantee::KillTree`](crate::Guarantee::KillTree) says in its [enforcement](Child::enforcement). What is paused
    /// dies too. After its exit has been noticed this is [`SignalError::NoSuchProcess`].
    pub fn kill_tree(&self) -> Result<(), SignalError> {
        self.0.process.kill_tree()
    }

    /// Ends the program: asks it to by `SIGTERM`, waits up to `grace`, then kills it with everything that still belongs
    /// to it. One that is stopped or paused is continued, so that it hears. Gives the exit, also if it had happened before. May be
    /// dropped at any point; the program may then go on.
    ///
    /// # Panics
    ///
    /// Like [`wait`](Child::wait).
    pub async fn stop(&self, grace: Duration) -> Exit {
        if self.signal(Signal::TERM).is_ok() {
            let _ = self.resume();
            let _ = self.signal(Signal::CONT);
            if let Ok(exit) = tokio::time::timeout(grace, self.wait()).await {
                return exit;
            }
        }
        // Refused only if it has exited meanwhile.
        let _ = self.kill_tree();
        self.wait().await
    }

    /// Sets the niceness, -20 to 19, of the program and everything in its process group.
    pub fn set_nice(&self, nice: i32) -> Result<(), SignalError> {
        self.0.process.set_nice(nice)
    }

    /// Has the program and its descendants be where the host grants real-time classes, before somebody gives it one; or
    /// brings them back, after the last of them has none any more.
    ///
    /// Control groups of the first version divide real time among themselves, and one of its own has none. Outside of it
    /// neither its weight nor its processor share is held to; real-time classes know neither.
    pub fn set_real_time(&self, real_time: bool) -> Result<(), SignalError> {
        self.0.process.set_real_time(real_time)
    }

    /// Has the program and its descendants be in groups of several programs, from the outside in; with none, in none. Each
    /// of them weighs beside its siblings as one program of that weight would, whoever in it wants to run, and the
    /// program within the innermost what its own limits say.
    ///
    /// A group is what all programs of a spawner have in common that name it in the same place; there is no more to it,
    /// and it is gone with the last of them. Its weight is what was said last. A program's limits, its usage and
    /// what holds it still stay as they are.
    ///
    /// This takes a program with a group of its own, as [`set_limits`](Child::set_limits) does, and a spawner that
    /// [nests](crate::Spawner::nesting): else it is refused with `ENOTSUP`. One that has made control groups of its own
    /// among those that divide CPU time can't be moved, and is refused with `EBUSY`; a weight outside of 1 to 10,000,
    /// more than 64 groups, or one within itself, with `EINVAL`. Then it is where it was.
    pub fn set_cpu_groups(&self, groups: &[CpuGroup]) -> Result<(), SignalError> {
        self.0.process.set_cpu_groups(groups)
    }

    /// Changes what the running tree is held to: all of it, or nothing. What `limits` leaves at `None` is limited no
    /// more. Those that hold for each process on its own are fixed at the start; they are left out or repeated.
    ///
    /// This takes a program that was started with a limit on its tree, in a sandbox, or
    /// [grouped](crate::Spec::grouped). Memory is never limited to less than is in use: that is refused with `EBUSY`.
    pub fn set_limits(&self, limits: &Limits) -> Result<(), LimitsError> {
        self.0.process.set_limits(limits)
    }

    /// Holds the program and its descendants still until [`resume`](Child::resume). Where the machine can, they do not
    /// notice; else the program alone is stopped by a signal, which its parents and tracers see. Being killed still
    /// works, and so does waiting. Blocks until they stand still, usually well below a millisecond, 100 ms at most.
    pub fn pause(&self) -> Result<(), SignalError> {
        self.0.process.pause()
    }

    /// Lets what was paused go on.
    pub fn resume(&self) -> Result<(), SignalError> {
        self.0.process.resume()
    }

    /// Changes the size of its terminal; its foreground job is told by `SIGWINCH`. Without a terminal, or when that was
    /// hung up, this is refused with `ENOTTY`.
    pub fn resize(&self, size: PtySize) -> Result<(), SignalError> {
        self.0.process.resize(size)
    }

    /// What the program has used so far, or in its whole life once it has exited. While a real program runs this
    /// is read from `/proc`, and all zeroes where that is not mounted.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.0.process.usage()
    }

    /// What is in force for the program.
    #[must_use]
    pub fn enforcement(&self) -> &Enforcement {
        &self.0.enforcement
    }

    /// The end that leads to its descriptor 0, once, if the spec asked for a pipe.
    #[must_use]
    pub fn take_stdin(&self) -> Option<Input> {
        self.streams(|streams| streams.stdin.take())
    }

    /// The end that comes from its descriptor 1, once, if the spec asked for a pipe.
    #[must_use]
    pub fn take_stdout(&self) -> Option<Output> {
        self.streams(|streams| streams.stdout.take())
    }

    /// The end that comes from its descriptor 2, once, if the spec asked for a pipe.
    #[must_use]
    pub fn take_stderr(&self) -> Option<Output> {
        self.streams(|streams| streams.stderr.take())
    }

    /// Our side of its terminal, once, if the spec asked for one.
    #[must_use]
    pub fn take_pty(&self) -> Option<Pty> {
        self.streams(|streams| streams.pty.take())
    }

    fn streams<T>(&self, take: impl FnOnce(&mut Streams) -> T) -> T {
        take(&mut self.0.streams.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").field("os_pid", &self.os_pid()).finish_non_exhaustive()
    }
}
