//! Who answers requests, and how.

use std::sync::Arc;

use uos_proto::{ANSWER_REQUEST, Right};

use super::{RightRequest, Settled};
use crate::{
    Errno, Error, Pid,
    audit::{Decision, Subject, Trail},
    kernel::{Caller, Inner, Kernel},
    process::Process,
    rights::Grant,
};

/// What somebody says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The call may have it, and no other.
    Once,
    /// The process may have it from now on.
    Always,
    /// The call is refused.
    Deny,
}

impl Kernel {
    /// The requests that a caller may answer, oldest first.
    pub fn right_requests(&self, caller: &Caller) -> Vec<Arc<RightRequest>> {
        let parked = self.0.asking.parked.lock();
        let mine = parked.values().filter(|parked| may_see(&caller.0, &parked.process).is_some());
        mine.map(|parked| Arc::clone(&parked.request)).collect()
    }

    /// Whether a caller may hear of the requests of a process: see [`Kernel::answer_request`].
    pub fn may_answer(&self, caller: &Caller, pid: Pid) -> bool {
        self.0.processes.get(pid).is_some_and(|process| may_see(&caller.0, &process).is_some())
    }

    /// Answers a request. Its call goes on at once. Recorded as `AnswerRequest`.
    ///
    /// An answer comes from above or from beside: from an ancestor of the process that asks, or from who has
    /// `proc.control`, but never from itself or a descendant of it; and nobody allows what they may not do themselves.
    ///
    /// # Errors
    /// ENOENT if there is no such request, or none that the caller may answer, or it is settled; ESRCH if the caller has
    /// ended. EPERM if the caller does not hold what is asked for, and, for [`Answer::Always`], if the parent of the
    /// process does not: nobody keeps more than their parent has. Then the request waits on.
    pub fn answer_request(&self, caller: &Caller, id: u64, answer: Answer) -> Result<(), Error> {
        let mut trail = Trail::begin(&self.0.log, caller.pid(), &ANSWER_REQUEST);
        let result = self.0.answer(&caller.0, id, answer, &mut trail);
        trail.finish(&result);
        result
    }
}

/// What lets a process answer requests of another, if anything does.
fn may_see(caller: &Arc<Process>, asker: &Arc<Process>) -> Option<Decision> {
    if !caller.is_alive() || asker.is_kin(caller) {
        return None;
    }
    if caller.is_kin(asker) {
        return Some(Decision::Kin);
    }
    caller.grants().any(Right::ProcControl).map(|grant| Decision::Grant(Arc::clone(grant)))
}

impl Inner {
    fn answer(
        &self,
        caller: &Arc<Process>,
        id: u64,
        answer: Answer,
        trail: &mut Trail<'_>,
    ) -> Result<(), Error> {
        caller.lives()?;
        let absent =
            || Error::new(Errno::ENOENT, format!("there is no request {id} that the caller may answer"));
        let (asker, wanted) = {
            let parked = self.asking.parked.lock();
            let parked = parked.get(&id).ok_or_else(absent)?;
            (Arc::clone(&parked.process), Arc::clone(&parked.request.wanted))
        };
        let decision = may_see(caller, &asker).ok_or_else(absent)?;
        trail.aimed_at(Subject::Process(asker.pid.0));
        trail.let_through_by(decision);
        if answer != Answer::Deny && !caller.grants().covers(&wanted) {
            return Err(Error::beyond(&wanted));
        }
        if answer == Answer::Always {
            give(&asker, &wanted)?;
        }
        let parked =
            self.settle_request(id, Settled::Answered { by: caller.pid, answer }).ok_or_else(absent)?;
        // Nobody listens any more if the call was given up just now.
        let _ = parked.tell.send((answer, caller.pid));
        Ok(())
    }
}

/// Gives a process a grant to keep, as far as its parent has it.
fn give(process: &Process, grant: &Arc<Grant>) -> Result<(), Error> {
    let Some(parent) = process.parent() else { return Err(Error::no_process(process.pid.0)) };
    let beyond = || {
        Error::new(
            Errno::EPERM,
            format!("process {} can't keep {grant}, which its parent doesn't have", process.pid),
        )
        .hint("allow it once, or give it to the parent first")
    };
    if !parent.grants().covers(grant) {
        return Err(beyond());
    }
    process.held().add(Arc::clone(grant));
    // What was taken from the parent meanwhile is not kept.
    if process.held().cap(&parent.grants()).covers(grant) { Ok(()) } else { Err(beyond()) }
}
