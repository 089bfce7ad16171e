//! A call that waits for an answer.

use std::sync::Arc;

use bytes::Bytes;
use uos_proto::{CallInfo, Request};

use super::{Answer, Once, RightRequest, Settled};
use crate::{
    Cause, Error,
    audit::{Decision, Subject, Trail},
    kernel::Inner,
    pending::Pending,
    process::Process,
    rights::Grant,
    target::Scope,
};

/// How many rights one call may ask for, one after the other: more than any call needs.
const MOST: usize = 16;

/// A call that was refused, by a right that its caller may ask for. It has done nothing. Dropped, it is given up.
pub(crate) struct Asked {
    record: Pending,
    refusal: Error,
    wanted: Arc<Grant>,
    call: &'static CallInfo,
    arguments: Bytes,
}

/// Takes a request out again when nobody waits for its answer any more.
struct Waiting<'a> {
    kernel: &'a Inner,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // Not there any more if it was answered.
        drop(self.kernel.settle_request(self.id, Settled::GivenUp));
    }
}

impl Asked {
    /// A refusal as something to ask about, which takes the record with it; or the refusal again, if it is not of that
    /// kind.
    pub(crate) fn about<R: Request>(
        scope: &Scope<'_>,
        request: &R,
        trail: &mut Trail<'_>,
        refusal: Error,
    ) -> Result<Box<Self>, Error> {
        let Some(wanted) = wanted(scope, trail, &refusal) else { return Err(refusal) };
        Ok(Box::new(Self {
            record: Pending::new(scope.kernel, trail),
            refusal,
            wanted: Arc::new(wanted),
            call: R::INFO,
            arguments: request.encode_to_vec().into(),
        }))
    }

    /// The refusal, where nobody can be waited for.
    pub(crate) fn refuse(mut self) -> Error {
        let refusal = self.refusal.clone();
        self.record.finish::<()>(Err(self.refusal)).err().unwrap_or(refusal)
    }

    /// Waits for the answer. What was allowed is added to what the call has been allowed before.
    ///
    /// # Errors
    /// The refusal, if that was the answer, if none came in time, or if too many wait for theirs; ESRCH once the caller has
    /// ended. Then the call is recorded.
    pub(crate) async fn settle(
        mut self,
        kernel: &Arc<Inner>,
        caller: &Arc<Process>,
        mut once: Once,
    ) -> Result<Once, Error> {
        if once.is_new() {
            once.begin(caller.held().losses(), self.record.started());
        }
        match self.wait(kernel, caller).await {
            Ok(by) => {
                once.add(Arc::clone(&self.wanted), by);
                self.record.hand_over();
                Ok(once)
            }
            Err(error) => self.record.finish(Err(error)),
        }
    }

    async fn wait(&self, kernel: &Arc<Inner>, caller: &Arc<Process>) -> Result<crate::Pid, Error> {
        let id = kernel.new_object();
        let request = RightRequest {
            id,
            pid: caller.pid,
            name: caller.name.clone(),
            call: self.call,
            arguments: self.arguments.clone(),
            wanted: Arc::clone(&self.wanted),
            at: kernel.since_start(self.record.started()),
        };
        let refused = |why: String, hint: &'static str| {
            let refusal = self.refusal.clone();
            Error { message: format!("{}; {why}", refusal.message).into(), hint: hint.into(), ..refusal }
        };
        let answered = kernel.park(caller, request).map_err(|full| {
            let why = format!(
                "it can't be asked for now: {} of {} requests {} wait",
                full.used, full.max, full.whose
            );
            refused(why, "try again once some have been answered")
        })?;
        let waiting = Waiting { kernel, id };
        let patience = kernel.limits.right_request_patience;
        tokio::select! {
            biased;
            () = caller.dying() => Err(Error::no_process(caller.pid.0)),
            answered = answered => match answered {
                Ok((Answer::Once | Answer::Always, by)) => Ok(by),
                Ok((Answer::Deny, by)) => Err(refused(format!("it was asked for, and process {by} denied it"), "")),
                // The kernel answers what it takes out.
                Err(_) => Err(self.refusal.clone()),
            },
            () = tokio::time::sleep(patience) => {
                drop(kernel.settle_request(waiting.id, Settled::TimedOut));
                let why = format!("it was asked for, and nobody answered for {} s", patience.as_secs_f64());
                Err(refused(why, "try again when somebody is there to answer"))
            }
        }
    }
}

/// What a refusal says is wanted, if the caller may ask for that.
fn wanted(scope: &Scope<'_>, trail: &Trail<'_>, refusal: &Error) -> Option<Grant> {
    let Some(Cause::Right(wanted)) = refusal.cause.as_deref() else { return None };
    // What was refused in the midst of its work has done something already.
    if *trail.decision() != Decision::Refused || !scope.caller.grants().lets_ask() || !is_exact(wanted, trail)
    {
        return None;
    }
    let wanted = Grant::parse(wanted).ok()?;
    let may_ask = scope.caller.grants().may_ask_for(&wanted);
    (may_ask && scope.once.len() < MOST && !scope.once.has(&wanted)).then_some(wanted)
}

/// Whether text that is read as a pattern says just what was meant: no name on the way is taken for a pattern, and none
/// is one that text can't show.
fn is_exact(wanted: &str, trail: &Trail<'_>) -> bool {
    let plain = |text: &str| !text.contains(['*', char::REPLACEMENT_CHARACTER]);
    let named = |path: &uos_vfs::VPath| plain(&path.to_string());
    let subject = match trail.subject() {
        Subject::Path(path) => named(path),
        Subject::Paths(from, to) => named(from) && named(to),
        _ => true,
    };
    // Everything below a directory may be wanted, or all names with a beginning.
    let stem = wanted.strip_suffix("/**").or_else(|| wanted.strip_suffix('*')).unwrap_or(wanted);
    subject && plain(stem)
}
