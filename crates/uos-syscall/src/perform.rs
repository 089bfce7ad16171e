//! The life of one call: find its target, admit it, run it, write it down.

use std::{future::Future, pin::Pin, sync::Arc};

use uos_proto::{
    AtOnce, CallInfo, Class, Later, Perform, Performer, Request,
    v1::{call::Call, reply::Reply},
};

use crate::{
    Errno, Error,
    admit::{Absent, Cx, Target, admit},
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

    /// Does it, to the target as it was found and judged.
    fn run(&self, cx: Cx<'_, Self::Target>) -> Result<Self::Reply, Error>;
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

/// Carries out a call at once. Gives it back untouched if it would have to wait for a disk and was not to.
pub(crate) fn at_once<R: Syscall>(
    kernel: &Arc<Inner>,
    caller: &Arc<Process>,
    request: R,
    memory_only: bool,
) -> Result<Result<R::Reply, Error>, R> {
    let mut trail = Trail::begin(&kernel.log, caller.pid, R::INFO);
    let scope = Scope { kernel, caller, memory_only };
    let find = || {
        let found = request.target(&scope);
        let to_pool =
            memory_only && found.as_ref().is_ok_and(|target| target.stopped_at_disk() || R::blocks(target));
        (!to_pool).then_some(found)
    };
    match carry_out(&scope, R::INFO, &mut trail, find, |cx| request.run(cx)) {
        Some(result) => {
            trail.finish(&result);
            Ok(result)
        }
        None => {
            trail.hand_over();
            Err(request)
        }
    }
}

/// Finds, admits and runs, again if what was found has changed under its hands. `None` as soon as `find` gives nothing.
pub(crate) fn carry_out<'a, T: Target, O>(
    scope: &Scope<'a>,
    info: &CallInfo,
    trail: &mut Trail<'_>,
    find: impl Fn() -> Option<Result<T, Absent>>,
    run: impl Fn(Cx<'a, T>) -> Result<O, Error>,
) -> Option<Result<O, Error>> {
    for _ in 0..RACES {
        let found = find()?;
        let result = admit(scope.kernel, scope.caller, info.right, found, trail).and_then(&run);
        if !result.as_ref().is_err_and(Error::is_race) {
            return Some(result);
        }
    }
    Some(Err(Error::new(Errno::EAGAIN, "what the call was aimed at kept changing")))
}

/// Carries out a call that waits. It ends with its caller.
pub(crate) async fn later<R: Waiting + Sync>(
    kernel: &Arc<Inner>,
    caller: &Arc<Process>,
    request: &R,
) -> Result<R::Reply, Error> {
    let mut trail = Trail::begin(&kernel.log, caller.pid, R::INFO);
    let found = request.target(&Scope { kernel, caller, memory_only: true });
    let result = match admit(kernel, caller, R::INFO.right, found, &mut trail) {
        Ok(cx) => tokio::select! {
            // The end of the caller first: what it waits for may end with it, and would answer as if it lived.
            biased;
            () = caller.dying() => Err(Error::no_process(caller.pid.0)),
            // The same again for an end that came between the two.
            result = request.run(cx) => match result {
                Err(_) if !caller.is_alive() => Err(Error::no_process(caller.pid.0)),
                result => result,
            },
        },
        Err(error) => Err(error),
    };
    trail.finish(&result);
    result
}

/// What comes of handing a call to the kernel.
pub(crate) enum Outcome<'a> {
    Done(Result<Reply, Error>),
    /// It waits for a disk: it is to be handed over again on a thread that may.
    NeedsPool(Call),
    Pending(Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send + 'a>>),
}

/// One call by one caller, as the dispatch sees it.
pub(crate) struct Invocation<'a> {
    pub(crate) kernel: &'a Arc<Inner>,
    pub(crate) caller: &'a Arc<Process>,
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
        let memory_only = !self.may_block && R::INFO.class == Class::Pool;
        match at_once(self.kernel, self.caller, request, memory_only) {
            Ok(result) => Outcome::Done(result.map(Into::into)),
            Err(request) => Outcome::NeedsPool(request.into()),
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
