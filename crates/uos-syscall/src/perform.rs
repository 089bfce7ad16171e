//! The life of one call: find its target, admit it, run it, write it down.

use std::{future::Future, pin::Pin, sync::Arc};

use uos_proto::{
    AtOnce, CallInfo, Class, Later, Perform, Performer, Request,
    v1::{call::Call, reply::Reply},
};

use crate::{
    Errno, Error,
    admit::{Absent, Cx, Target, admit},
    asking::{Asked, Once},
    audit::Trail,
    kernel::Inner,
    process::Process,
    target::Scope,
};

/// How often a call starts anew when what it found was changed under its hands.
const RACES: usize = 16;

/// A call that is carried out at once.
pub(crate) trait Syscall: Request {
    /// What it is aimed at.
    type Target: Target;

    /// Finds the target.
    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent>;

    /// Whether running it may wait for more than memory, beyond what finding the target showed.
    fn blocks(_target: &Self::Target) -> bool {
        false
    }

    /// Does it, to the target as it was found and judged. That stays where it was put then: it is too large to be handed on.
    fn run(&self, cx: Cx<'_, &Self::Target>) -> Result<Self::Reply, Error>;
}

/// A call that waits.
pub(crate) trait Waiting: Request {
    /// What it is aimed at.
    type Target: Target + Send;

    /// Finds the target.
    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent>;

    /// Does it. Dropping the future gives the call up, and leaves nothing behind.
    fn run(&self, cx: Cx<'_, Self::Target>) -> impl Future<Output = Result<Self::Reply, Error>> + Send;
}

/// What comes of carrying out a call at once.
pub(crate) enum Course<R: Request> {
    Done(Result<R::Reply, Error>),
    /// It would have to wait for a disk, and was not to.
    Disk(R),
    /// It lacks what it may ask for.
    Asks(R, Box<Asked>),
}

/// Carries out a call at once, as far as that goes. Whatever gives the call back has done nothing of it.
pub(crate) fn at_once<R: Syscall>(scope: &Scope<'_>, request: R) -> Course<R> {
    let mut trail = scope.once.trail(&scope.kernel.log, scope.caller.pid, R::INFO);
    let find = || request.target(scope);
    let to_pool = |target: &R::Target| scope.memory_only && (target.stopped_at_disk() || R::blocks(target));
    let result = match carry_out(scope, R::INFO, &mut trail, find, to_pool, |cx| request.run(cx)) {
        Some(Err(refusal)) => match Asked::about(scope, &request, &mut trail, refusal) {
            Ok(asked) => return Course::Asks(request, asked),
            Err(refusal) => Err(refusal),
        },
        Some(Ok(reply)) => Ok(reply),
        None => {
            trail.hand_over();
            return Course::Disk(request);
        }
    };
    trail.finish(&result);
    Course::Done(result)
}

/// Finds, admits and runs, again if what was found has changed under its hands. `None` as soon as something is found that is
/// `elsewhere`'s.
#[inline]
pub(crate) fn carry_out<T: Target, O>(
    scope: &Scope<'_>,
    info: &CallInfo,
    trail: &mut Trail<'_>,
    find: impl Fn() -> Result<T, Absent>,
    elsewhere: impl Fn(&T) -> bool,
    run: impl Fn(Cx<'_, &T>) -> Result<O, Error>,
) -> Option<Result<O, Error>> {
    for _ in 0..RACES {
        let target = match find() {
            Ok(target) if elsewhere(&target) => return None,
            Ok(target) => target,
            Err(absent) => return Some(Err(absent.refuse(scope.caller, trail))),
        };
        let aim = Aim { target: &target, trail: &mut *trail };
        let result = admit(scope, info.right, aim.target, aim.trail).and_then(&run);
        aim.forget();
        trail.aimed_at(target.into_subject());
        if !result.as_ref().is_err_and(Error::is_race) {
            return Some(result);
        }
    }
    Some(Err(Error::new(Errno::EAGAIN, "what the call was aimed at kept changing")))
}

/// What a call is aimed at, while it is judged and run: a trail that is left in the middle names it, too.
struct Aim<'a, 'b, T: Target> {
    target: &'a T,
    trail: &'a mut Trail<'b>,
}

impl<'a, 'b, T: Target> Aim<'a, 'b, T> {
    /// It was not left.
    fn forget(self) {
        std::mem::forget(self);
    }
}

impl<T: Target> Drop for Aim<'_, '_, T> {
    fn drop(&mut self) {
        self.trail.aimed_at(self.target.subject());
    }
}

/// Carries out a call that waits. It ends with its caller.
pub(crate) async fn later<R: Waiting + Sync>(
    kernel: &Arc<Inner>,
    caller: &Arc<Process>,
    request: &R,
) -> Result<R::Reply, Error> {
    let mut once = Once::default();
    loop {
        let asked = 'asked: {
            let scope = Scope { kernel, caller, once: &once, memory_only: true };
            let mut trail = once.trail(&kernel.log, caller.pid, R::INFO);
            let result = match request.target(&scope) {
                Ok(target) => {
                    trail.aimed_at(target.subject());
                    match admit(&scope, R::INFO.right, target, &mut trail) {
                        Ok(cx) => until_dying(caller, request.run(cx)).await,
                        Err(error) => Err(error),
                    }
                }
                Err(absent) => Err(absent.refuse(caller, &mut trail)),
            };
            let result = match result {
                Err(refusal) => match Asked::about(&scope, request, &mut trail, refusal) {
                    Ok(asked) => break 'asked asked,
                    Err(refusal) => Err(refusal),
                },
                reply => reply,
            };
            trail.finish(&result);
            return result;
        };
        // Seldom awaited, so boxed: what waits otherwise is small.
        once = Box::pin(asked.settle(kernel, caller, once)).await?;
    }
}

async fn until_dying<T>(caller: &Process, run: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::select! {
        // The end of the caller first: what it waits for may end with it, and would answer as if it lived.
        biased;
        () = caller.dying() => Err(Error::no_process(caller.pid.0)),
        // The same again for an end that came between the two.
        result = run => match result {
            Err(_) if !caller.is_alive() => Err(Error::no_process(caller.pid.0)),
            result => result,
        },
    }
}

/// What comes of handing a call to the kernel.
pub(crate) enum Outcome<'a> {
    Done(Result<Reply, Error>),
    /// It waits for a disk: it is to be handed over again on a thread that may.
    NeedsPool(Call),
    /// It lacks what it may ask for: it is to be handed over again once that was allowed.
    Asks(Call, Box<Asked>),
    Pending(Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send + 'a>>),
}

/// One call by one caller, as the dispatch sees it.
pub(crate) struct Invocation<'a> {
    pub(crate) kernel: &'a Arc<Inner>,
    pub(crate) caller: &'a Arc<Process>,
    pub(crate) once: &'a Once,
    pub(crate) may_block: bool,
}

impl<'a> Performer for Invocation<'a> {
    type Outcome = Outcome<'a>;
}

impl<'a, R> Perform<R, AtOnce> for Invocation<'a>
where
    R: Syscall + Into<Call>,
    R::Reply: Into<Reply>,
{
    fn perform(self, request: R) -> Outcome<'a> {
        let Invocation { kernel, caller, once, may_block } = self;
        let memory_only = !may_block && R::INFO.class == Class::Pool;
        match at_once(&Scope { kernel, caller, once, memory_only }, request) {
            Course::Done(result) => Outcome::Done(result.map(Into::into)),
            Course::Disk(request) => Outcome::NeedsPool(request.into()),
            Course::Asks(request, asked) => Outcome::Asks(request.into(), asked),
        }
    }
}

impl<'a, R> Perform<R, Later> for Invocation<'a>
where
    R: Waiting + Send + Sync + 'a,
    R::Reply: Into<Reply>,
{
    fn perform(self, request: R) -> Outcome<'a> {
        let Invocation { kernel, caller, .. } = self;
        Outcome::Pending(Box::pin(async move { later(kernel, caller, &request).await.map(Into::into) }))
    }
}
