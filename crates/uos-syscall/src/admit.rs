//! The gate: nothing runs but through [`admit`].
//!
//! A [`Cx`] is what a call runs with, and only this module can make one. So a call that runs without having been judged
//! cannot be written.

use uos_proto::Right;

use crate::{
    Error,
    asking::{Asker, Once},
    audit::{Decision, Subject, Trail},
    kernel::Inner,
    moment::Moment,
    process::Process,
    target::Scope,
};

use std::sync::Arc;

/// What a call is aimed at, found before the call is judged and used by it afterwards without being looked for again.
pub(crate) trait Target {
    /// Says what lets the caller do this, or why nothing does.
    fn judge(&self, right: Right, caller: Asker<'_>) -> Result<Decision, Error>;

    /// What the audit names.
    fn subject(&self) -> Subject;

    /// The same of what is not needed any more.
    fn into_subject(self) -> Subject
    where
        Self: Sized,
    {
        self.subject()
    }

    /// The search stopped because it was not to wait for a disk.
    fn stopped_at_disk(&self) -> bool {
        false
    }
}

/// What stays where it was found, and is only lent.
impl<T: Target> Target for &T {
    #[inline]
    fn judge(&self, right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        T::judge(self, right, caller)
    }

    fn subject(&self) -> Subject {
        T::subject(self)
    }

    fn stopped_at_disk(&self) -> bool {
        T::stopped_at_disk(self)
    }
}

/// There is nothing to judge: the target is absent, for this caller.
pub(crate) struct Absent {
    pub(crate) error: Error,
    pub(crate) subject: Subject,
}

impl Absent {
    /// Why the caller is refused what isn't there, put down in its trail.
    #[cold]
    pub(crate) fn refuse(self, caller: &Process, trail: &mut Trail<'_>) -> Error {
        trail.aimed_at(self.subject);
        caller.lives().err().unwrap_or(self.error)
    }
}

/// What an admitted call runs with.
pub(crate) struct Cx<'a, T> {
    kernel: &'a Arc<Inner>,
    caller: &'a Arc<Process>,
    once: &'a Once,
    started: Moment,
    pub(crate) target: T,
}

impl<'a, T> Cx<'a, T> {
    pub(crate) fn kernel(&self) -> &'a Arc<Inner> {
        self.kernel
    }

    pub(crate) fn caller(&self) -> &'a Arc<Process> {
        self.caller
    }

    /// As whom the caller asks the filesystems.
    pub(crate) fn hand(&self) -> &'a uos_vfs::Caller {
        &self.caller.hand
    }

    /// The caller with what it was allowed for this call.
    pub(crate) fn asker(&self) -> Asker<'a> {
        Asker::new(self.caller, self.once)
    }

    /// When the call began.
    pub(crate) fn started(&self) -> Moment {
        self.started
    }
}

/// Lets a call through, or refuses it. What it is aimed at, the trail is told by whoever has that.
#[inline(always)]
pub(crate) fn admit<'a, T: Target>(
    scope: &Scope<'a>,
    right: Right,
    target: T,
    trail: &mut Trail<'_>,
) -> Result<Cx<'a, T>, Error> {
    let &Scope { kernel, caller, once, .. } = scope;
    // A process that has ended makes no calls, whatever it may have held; this goes before what it doesn't hold any more.
    caller.lives()?;
    trail.let_through_by(once.told(target.judge(right, Asker::new(caller, once))?));
    Ok(Cx { kernel, caller, once, started: trail.started(), target })
}
