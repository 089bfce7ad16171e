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

    /// The search stopped because it was not to wait for a disk.
    fn stopped_at_disk(&self) -> bool {
        false
    }
}

/// There is nothing to judge: the target is absent, for this caller.
pub(crate) struct Absent {
    pub(crate) error: Error,
    pub(crate) subject: Subject,
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

/// Lets a call through, or refuses it.
#[inline(always)]
pub(crate) fn admit<'a, T: Target>(
    scope: &Scope<'a>,
    right: Right,
    found: Result<T, Absent>,
    trail: &mut Trail<'_>,
) -> Result<Cx<'a, T>, Error> {
    let &Scope { kernel, caller, once, .. } = scope;
    let (found, subject) = match found {
        Ok(target) => {
            let subject = target.subject();
            (Ok(target), subject)
        }
        Err(Absent { error, subject }) => (Err(error), subject),
    };
    trail.aimed_at(subject);
    // A process that has ended makes no calls, whatever it may have held; this goes before what it doesn't hold any more.
    if !caller.is_alive() {
        return Err(Error::no_process(caller.pid.0));
    }
    let target = found?;
    trail.let_through_by(once.told(target.judge(right, Asker::new(caller, once))?));
    Ok(Cx { kernel, caller, once, started: trail.started(), target })
}
