//! What can go wrong.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use crate::errno::Errno;
use crate::{Guarantee, Level};

/// Why a program was not started. In every case nothing of it is left behind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpawnError {
    /// The spec makes no sense, whatever the machine.
    #[error("{field}: {why}")]
    Invalid {
        /// The field of the spec.
        field: &'static str,
        /// What is wrong with it.
        why: Cow<'static, str>,
    },
    /// The level needs guarantees that cannot be enforced here.
    #[error("{level:?} cannot be enforced here: {}", Missing(missing))]
    NotEnforceable {
        /// The level asked for.
        level: Level,
        /// What is missing, and why.
        missing: Vec<(Guarantee, String)>,
    },
    /// The limit needs something that this spawner or machine does not have.
    #[error("limits.{name}: cannot be enforced here")]
    UnsupportedLimit {
        /// The field of [`Limits`](crate::Limits).
        name: &'static str,
    },
    /// The operating system refused one step of starting the program.
    #[error("{stage}: {}", Errno(*errno))]
    Stage {
        /// Which step.
        stage: Stage,
        /// The system's error number.
        errno: i32,
    },
    /// The spawner has shut down.
    #[error("the spawner has shut down")]
    Gone,
}

/// A step on the way from a spec to a running program, in the order they are taken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Opening pipes and `/dev/null`, in the spawning program.
    Stdio,
    /// Making its control group, or joining it.
    Group,
    /// Having its control group hold to the named field of [`Limits`](crate::Limits).
    Limit(&'static str),
    /// Making the process.
    Clone,
    /// Tying its life to the spawner's.
    ParentDeath,
    /// Giving it a session and process group of its own.
    Session,
    /// Putting it into the named namespace.
    Namespace(&'static str),
    /// Making the named part of its private root.
    Root(&'static str),
    /// Mounting one of the spec's mounts, counted from 1 in their order, or one of the system's, which come first in
    /// their own count.
    Mount {
        /// Which one.
        number: usize,
        /// Where it is to be seen.
        at: PathBuf,
        /// What was being done: "source", "tree", "owner", "read-only", "target" or "attach".
        step: &'static str,
    },
    /// Taking the named rights away.
    Privileges(&'static str),
    /// Restricting it by Landlock.
    Landlock,
    /// Loading the filter of system calls.
    Seccomp,
    /// Starting the process that looks after it.
    Init,
    /// Putting descriptors 0, 1 and 2 in place and hiding all others.
    Fds,
    /// Entering the working directory.
    Cwd,
    /// Setting the named resource limit.
    Rlimit(&'static str),
    /// Setting the niceness.
    Nice,
    /// Giving up the right to gain privileges.
    NoNewPrivs,
    /// Resetting signal dispositions and mask.
    Signals,
    /// Executing the program.
    Exec,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Stdio => "stdio",
            Stage::Group => "group",
            Stage::Limit(field) => return write!(f, "limit {field}"),
            Stage::Clone => "clone",
            Stage::ParentDeath => "parent_death",
            Stage::Session => "session",
            Stage::Namespace(name) => return write!(f, "namespace {name}"),
            Stage::Root(part) => return write!(f, "root {part}"),
            Stage::Mount { number, at, step } => {
                return write!(f, "mount #{number} {} {step}", at.display());
            }
            Stage::Privileges(which) => return write!(f, "privileges {which}"),
            Stage::Landlock => "landlock",
            Stage::Seccomp => "seccomp",
            Stage::Init => "init",
            Stage::Fds => "fds",
            Stage::Cwd => "cwd",
            Stage::Rlimit(name) => return write!(f, "rlimit {name}"),
            Stage::Nice => "nice",
            Stage::NoNewPrivs => "no_new_privs",
            Stage::Signals => "signals",
            Stage::Exec => "exec",
        })
    }
}

/// Why the limits of a running program were not changed. All are as they were.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitsError {
    /// They make no sense, or not on this machine.
    #[error("{field}: {why}")]
    Invalid {
        /// The field of the spec.
        field: &'static str,
        /// What is wrong with it.
        why: Cow<'static, str>,
    },
    /// The program was started in a way that does not allow it: without a group, or on a machine that lacks it.
    #[error("limits.{name}: cannot be enforced for it")]
    Unsupported {
        /// The field of [`Limits`](crate::Limits).
        name: &'static str,
    },
    /// The operating system refused, because more is in use, for instance.
    #[error("limits.{name}: {}", Errno(*errno))]
    Refused {
        /// The field of [`Limits`](crate::Limits).
        name: &'static str,
        /// The system's error number.
        errno: i32,
    },
    /// It has exited.
    #[error("no such process")]
    NoSuchProcess,
}

impl From<LimitsError> for SpawnError {
    fn from(error: LimitsError) -> Self {
        match error {
            LimitsError::Invalid { field, why } => SpawnError::Invalid { field, why },
            LimitsError::Unsupported { name } => SpawnError::UnsupportedLimit { name },
            LimitsError::Refused { name, errno } => SpawnError::Stage { stage: Stage::Limit(name), errno },
            LimitsError::NoSuchProcess => SpawnError::Gone,
        }
    }
}

/// Why a process was not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignalError {
    /// It has exited. Never is another process reached in its stead.
    #[error("no such process")]
    NoSuchProcess,
    /// The operating system refused.
    #[error("refused: {}", Errno(*errno))]
    Refused {
        /// The system's error number.
        errno: i32,
    },
}

struct Missing<'a>(&'a [(Guarantee, String)]);

impl fmt::Display for Missing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (guarantee, why)) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{guarantee} ({why})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_field_stage_or_guarantee() {
        let check = |error: SpawnError, text: &str| assert_eq!(error.to_string(), text);
        check(SpawnError::Stage { stage: Stage::Exec, errno: libc::ENOENT }, "exec: ENOENT");
        check(SpawnError::Stage { stage: Stage::Rlimit("cpu"), errno: 4095 }, "rlimit cpu: errno 4095");
        check(SpawnError::Invalid { field: "args", why: "empty".into() }, "args: empty");
        check(SpawnError::UnsupportedLimit { name: "pids" }, "limits.pids: cannot be enforced here");
        let missing = vec![(Guarantee::Network, "a".into()), (Guarantee::Ipc, "b".into())];
        let error = SpawnError::NotEnforceable { level: Level::Minimal, missing };
        check(error, "Minimal cannot be enforced here: network (a), ipc (b)");
    }
}
