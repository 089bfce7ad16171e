//! Why a call failed: an errno, and what a person and a program need to act on it.

use std::{borrow::Cow, fmt};

use uos_ipc::{Rights, ShmError};
use uos_proto::v1;

use crate::Errno;

/// A call's failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The POSIX error.
    pub errno: Errno,
    /// One sentence that says what went wrong.
    pub message: Cow<'static, str>,
    /// What stopped it, for a program.
    pub cause: Option<Box<Cause>>,
    /// What the caller may do about it; may be empty.
    pub hint: Cow<'static, str>,
}

/// What stopped a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A right was missing, as a grant would give it: `fs.write:/data/x`.
    Right(String),
    /// A limit was reached.
    Limit {
        /// Which.
        name: &'static str,
        /// How much was in use.
        used: u64,
        /// How much there may be.
        max: u64,
    },
    /// The stage at which a longer operation stopped.
    Stage(String),
    /// What the call had found was changed before it could be used; the call starts anew, and nobody outside sees this.
    Race,
}

impl Error {
    /// An error that says no more than its errno and a sentence.
    pub fn new(errno: Errno, message: impl Into<Cow<'static, str>>) -> Self {
        Self { errno, message: message.into(), cause: None, hint: Cow::Borrowed("") }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = hint.into();
        self
    }

    fn cause(mut self, cause: Cause) -> Self {
        self.cause = Some(Box::new(cause));
        self
    }

    /// The caller lacks a right; `wanted` is how a grant would give it.
    #[cold]
    pub fn denied(wanted: String) -> Self {
        let hint = format!("grant `{wanted}`");
        Self::new(Errno::EACCES, format!("the right {wanted} is missing"))
            .hint(hint)
            .cause(Cause::Right(wanted))
    }

    /// The same, where it doesn't go without saying why that right is asked for.
    pub(crate) fn denied_because(wanted: String, why: impl fmt::Display) -> Self {
        let error = Self::denied(wanted);
        Self { message: format!("{why}: {}", error.message).into(), ..error }
    }

    /// A grant was asked for that the giver doesn't hold.
    pub(crate) fn beyond(grant: &crate::rights::Grant) -> Self {
        Self::new(Errno::EPERM, format!("the caller can't give {grant}, which it doesn't hold"))
            .hint("a child gets at most its parent's grants")
            .cause(Cause::Right(grant.to_string()))
    }

    /// A limit is reached.
    pub fn limit(errno: Errno, name: &'static str, used: u64, max: u64) -> Self {
        Self::new(errno, format!("the limit {name} is reached: {used} of {max} in use")).cause(Cause::Limit {
            name,
            used,
            max,
        })
    }

    /// A longer operation stopped at a stage.
    pub fn at_stage(errno: Errno, stage: String, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(errno, message).cause(Cause::Stage(stage))
    }

    /// There is no such process, or none the caller may see: one answer for both, so that nobody learns which.
    #[cold]
    pub fn no_process(pid: u64) -> Self {
        Self::new(Errno::ESRCH, format!("there is no process {pid} that the caller may act on"))
    }

    /// There is no such handle in the caller's table, whether or not somebody else holds one.
    pub fn no_handle(id: u64) -> Self {
        Self::new(Errno::EBADF, format!("there is no handle {id} in the caller's table"))
    }

    /// There is such a handle, and the call is not for its kind.
    pub(crate) fn other_handle(id: u64, noun: &str) -> Self {
        Self::new(Errno::EBADF, format!("handle {id} is {noun}, which this call is not for"))
    }

    /// The handle does not allow it. As with files, what it is not open for reads as no handle at all.
    pub(crate) fn handle_lacks(id: u64, lacks: Rights) -> Self {
        let io = Rights::READ | Rights::WRITE;
        let errno = if lacks.without(io) == Rights::NONE { Errno::EBADF } else { Errno::EACCES };
        Self::new(errno, format!("handle {id} lacks the right to {lacks}"))
            .hint("rights of a handle are only ever taken away; ask who passed it for one with more")
            .cause(Cause::Right(format!("handle.{lacks}")))
    }

    /// What was found has changed since: the call is to look again.
    pub(crate) fn race() -> Self {
        Self::new(Errno::EAGAIN, "it changed in the meantime").cause(Cause::Race)
    }

    pub(crate) fn is_race(&self) -> bool {
        self.cause.as_deref() == Some(&Cause::Race)
    }

    /// An argument is malformed.
    pub fn invalid(field: &str, why: impl fmt::Display) -> Self {
        Self::new(Errno::EINVAL, format!("{field}: {why}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.errno.name(), self.message)
    }
}

impl std::error::Error for Error {}

impl From<Error> for v1::Error {
    fn from(error: Error) -> Self {
        let mut wire = v1::Error {
            errno: error.errno as i32,
            name: error.errno.name().to_owned(),
            message: error.message.into_owned(),
            hint: error.hint.into_owned(),
            ..Default::default()
        };
        match error.cause.map(|cause| *cause) {
            Some(Cause::Right(right)) => wire.right = Some(right),
            Some(Cause::Limit { name, used, max }) => {
                wire.limit = Some(v1::LimitReached { name: name.to_owned(), used, max });
            }
            Some(Cause::Stage(stage)) => wire.stage = Some(stage),
            Some(Cause::Race) | None => {}
        }
        wire
    }
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        Self::new(errno, errno.text())
    }
}

impl From<uos_proc::SpawnError> for Error {
    fn from(error: uos_proc::SpawnError) -> Self {
        let message = error.to_string();
        match error {
            uos_proc::SpawnError::Invalid { .. } => Self::new(Errno::EINVAL, message),
            uos_proc::SpawnError::NotEnforceable { .. } => Self::at_stage(
                Errno::ENOTSUP,
                "level".to_owned(),
                message,
            )
            .hint("SANDBOX_LEVEL_PRIVILEGED runs the program with the host's view, without these guarantees"),
            uos_proc::SpawnError::UnsupportedLimit { name } => {
                Self::at_stage(Errno::ENOTSUP, format!("limits.{name}"), message)
            }
            uos_proc::SpawnError::Stage { stage, errno } => {
                Self::at_stage(Errno::from_number(errno), stage.to_string(), message)
            }
            uos_proc::SpawnError::Gone => Self::new(Errno::EIO, message),
        }
    }
}

impl From<uos_vfs::Error> for Error {
    fn from(error: uos_vfs::Error) -> Self {
        let message = error.to_string();
        match error {
            uos_vfs::Error::NoSpace { capacity, used, .. } => Self::new(Errno::ENOSPC, message)
                .cause(Cause::Limit { name: "filesystem_bytes", used, max: capacity }),
            uos_vfs::Error::QuotaExceeded { limit, used, .. } => Self::new(Errno::EDQUOT, message)
                .hint("GetProcessMemoryStats tells what a process has made in memory; a mount may limit it, too")
                .cause(Cause::Limit { name: "filesystem_quota", used, max: limit }),
            other => Self::new(Errno::from_number(other.errno()), message),
        }
    }
}

impl From<uos_ipc::QuotaError> for Error {
    fn from(error: uos_ipc::QuotaError) -> Self {
        Self::limit(Errno::EDQUOT, error.name, error.used, error.limit)
    }
}

impl From<ShmError> for Error {
    fn from(error: ShmError) -> Self {
        let message = error.to_string();
        match error {
            ShmError::Quota(full) => full.into(),
            ShmError::Range { .. } => Self::new(Errno::ERANGE, message),
            ShmError::ReadOnly => Self::new(Errno::EACCES, message),
            ShmError::Os { errno, .. } => Self::new(Errno::from_number(errno), message),
            _ => Self::new(Errno::EINVAL, message),
        }
    }
}
