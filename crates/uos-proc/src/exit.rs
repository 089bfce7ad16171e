//! How a program ended, and what it used.

use std::fmt;

use crate::Signal;

/// The end of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Exit {
    /// Why it ended.
    pub cause: ExitCause,
    /// What it used in its whole life, descendants it waited for included.
    pub usage: Usage,
    /// How often its tree met its limits.
    pub events: LimitEvents,
}

/// How often a program and its descendants met their limits in a way that they noticed. Zeroes where that is not
/// counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LimitEvents {
    /// Processes killed because the tree was out of memory. The program itself may have been spared.
    pub oom_kills: u64,
    /// Processes and threads that could not be made.
    pub pids_denials: u64,
}

/// Why a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExitCause {
    /// It exited with this code, 0 to 255.
    Exited(i32),
    /// A signal ended it.
    Signaled {
        /// Which one.
        signal: Signal,
        /// Whether it left a core dump.
        core: bool,
    },
    /// The kernel killed it because its tree had used up its memory.
    OomKilled,
    /// [`kill_tree`](crate::Child::kill_tree) or [`stop`](crate::Child::stop) killed it.
    Killed,
    /// It was still running at its [deadline](crate::Spec::deadline), and was killed.
    TimedOut,
    /// It ended, and somebody else in this program collected its status: a `waitpid(-1)`, or `SIGCHLD` set to be
    /// ignored. Its process group is then left alone, since its number may be somebody else's by now.
    Lost,
}

impl ExitCause {
    /// Whether it exited with code 0.
    #[must_use]
    pub fn success(self) -> bool {
        self == ExitCause::Exited(0)
    }
}

impl fmt::Display for ExitCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitCause::Exited(code) => write!(f, "exited with {code}"),
            ExitCause::Signaled { signal, core: false } => write!(f, "ended by {signal}"),
            ExitCause::Signaled { signal, core: true } => write!(f, "ended by {signal}, core dumped"),
            ExitCause::OomKilled => f.write_str("out of memory"),
            ExitCause::Killed => f.write_str("killed"),
            ExitCause::TimedOut => f.write_str("killed at its deadline"),
            ExitCause::Lost => f.write_str("ended, status lost"),
        }
    }
}

/// What a program has used so far, or in its whole life once it has exited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Usage {
    /// Processor time in user mode.
    pub cpu_user_us: u64,
    /// Processor time in the kernel on its behalf.
    pub cpu_system_us: u64,
    /// Memory resident now; zero after exit.
    pub rss_bytes: u64,
    /// The most memory that was ever resident, where the kernel can tell. After exit it cannot for a program
    /// that stayed smaller than the one that spawned it: both shared one memory until the program executed, and
    /// the kernel keeps the larger number.
    pub peak_rss_bytes: Option<u64>,
    /// Memory of the whole tree now, page cache and kernel memory on its behalf included; zero after exit. `None`, like
    /// the three that follow, where its tree is not accounted for.
    pub memory_bytes: Option<u64>,
    /// The most that ever was.
    pub peak_memory_bytes: Option<u64>,
    /// Processes and threads of the whole tree now; zero after exit.
    pub pids: Option<u64>,
    /// The most there ever were, where the kernel can tell.
    pub peak_pids: Option<u64>,
    /// Times it gave up the processor to wait. While it runs, those of its first thread only.
    pub voluntary_switches: u64,
    /// Times the processor was taken from it. While it runs, those of its first thread only.
    pub involuntary_switches: u64,
}
