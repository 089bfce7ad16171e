//! What is allowed for one call, and who makes it.

use std::{ops::Deref, sync::Arc};

use uos_proto::CallInfo;

use super::{Effective, Leave};
use crate::{
    Cause, Error, Pid,
    audit::{Decision, Log, Trail},
    moment::Moment,
    process::Process,
    rights::Grant,
};

/// What a caller was allowed for the call that it is making, and nothing else.
#[derive(Default)]
pub(crate) struct Once {
    /// Each with who allowed it.
    answers: Vec<(Arc<Grant>, Pid)>,
    /// How often something had been taken from the caller when it first asked.
    pub(super) losses: u64,
    /// When the call began, if it has been waiting for answers.
    since: Option<Moment>,
}

/// What a call has that nobody was asked about.
pub(crate) static UNASKED: Once = Once { answers: Vec::new(), losses: 0, since: None };

/// A process as it makes one call.
#[derive(Clone, Copy)]
pub(crate) struct Asker<'a> {
    process: &'a Arc<Process>,
    once: &'a Once,
}

impl Once {
    pub(super) fn grants(&self) -> impl ExactSizeIterator<Item = &Arc<Grant>> {
        self.answers.iter().map(|(grant, _)| grant)
    }

    /// Whether this was allowed already, and helped nothing.
    pub(super) fn has(&self, wanted: &Grant) -> bool {
        self.grants().any(|grant| **grant == *wanted)
    }

    /// Nothing was asked yet.
    pub(super) fn is_new(&self) -> bool {
        self.since.is_none()
    }

    /// It asks for the first time.
    pub(super) fn begin(&mut self, losses: u64, since: Moment) {
        (self.losses, self.since) = (losses, Some(since));
    }

    pub(super) fn len(&self) -> usize {
        self.answers.len()
    }

    pub(super) fn add(&mut self, grant: Arc<Grant>, by: Pid) {
        self.answers.push((grant, by));
    }

    /// The decision as it is written down: a grant that was given by somebody's answer is told apart.
    #[inline]
    pub(crate) fn told(&self, decision: Decision) -> Decision {
        match decision {
            Decision::Grant(grant) => match self.answers.iter().find(|(once, _)| Arc::ptr_eq(once, &grant)) {
                Some(&(_, by)) => Decision::Answered { grant, by },
                None => Decision::Grant(grant),
            },
            other => other,
        }
    }

    /// Begins the record of a call, or of one that goes on after it was asked about.
    #[inline]
    pub(crate) fn trail<'a>(&self, log: &'a Log, caller: Pid, call: &'static CallInfo) -> Trail<'a> {
        match self.since {
            None => Trail::begin(log, caller, call),
            Some(since) => Trail::begin_at(log, caller, call, since),
        }
    }
}

impl<'a> Asker<'a> {
    pub(crate) fn new(process: &'a Arc<Process>, once: &'a Once) -> Self {
        Self { process, once }
    }

    /// What it may do in this call.
    pub(crate) fn grants(self) -> Effective<'a> {
        self.process.held().with(self.once.grants(), self.once.losses)
    }

    /// Whether what a refusal says is wanted was allowed for this call: where what refuses is judged by somebody else's
    /// grants.
    pub(crate) fn may_once(self, refusal: &Error) -> bool {
        let Some(Cause::Right(wanted)) = refusal.cause.as_deref() else { return false };
        self.once.len() > 0
            && self.process.held().losses() == self.once.losses
            && self.once.grants().any(|grant| grant.to_string() == *wanted)
    }

    /// Leave for what this call opens to go on by.
    pub(crate) fn leave(self) -> Leave {
        Leave::new(Arc::clone(self.process.held()), self.once)
    }
}

impl<'a> Deref for Asker<'a> {
    type Target = Arc<Process>;

    fn deref(&self) -> &Arc<Process> {
        self.process
    }
}
