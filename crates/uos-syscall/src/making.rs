//! A call that is being made: over when it is first polled, if it can be carried out at once, and waited for on the heap
//! otherwise.
//!
//! Written out, and not left to `async`, because most calls are over at once: nothing is kept of those but the call
//! itself, which is taken from where it was put.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use uos_proto::v1::{call::Call, reply::Reply};

use crate::{
    Caller, Error, Kernel,
    asking::UNASKED,
    perform::{Invocation, Outcome},
};

/// A call on its way. Nothing is done before it is polled; dropped while it waits, it is given up.
pub(crate) struct Making<'a> {
    kernel: &'a Kernel,
    caller: &'a Caller,
    stage: Stage<'a>,
}

enum Stage<'a> {
    Fresh(Call),
    Waits(Waits<'a>),
    Over,
}

/// For itself, for a disk, for an answer or for the audit.
type Waits<'a> = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send + 'a>>;

impl<'a> Making<'a> {
    #[inline]
    pub(crate) fn new(kernel: &'a Kernel, caller: &'a Caller, call: Call) -> Self {
        Self { kernel, caller, stage: Stage::Fresh(call) }
    }
}

impl Future for Making<'_> {
    type Output = Result<Reply, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (kernel, caller) = (self.kernel, self.caller);
        let mut waits = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Fresh(call) if kernel.0.log.is_full() => when_there_is_room(kernel, caller, call),
            Stage::Fresh(call) => match make(kernel, caller, call) {
                Ok(result) => return Poll::Ready(result),
                Err(waits) => waits,
            },
            Stage::Waits(waits) => waits,
            Stage::Over => panic!("a call that is over was polled again"),
        };
        let polled = waits.as_mut().poll(cx);
        if polled.is_pending() {
            self.stage = Stage::Waits(waits);
        }
        polled
    }
}

/// Carries it out, or says what is to be waited for.
#[inline(always)]
fn make<'a>(kernel: &'a Kernel, caller: &'a Caller, call: Call) -> Result<Result<Reply, Error>, Waits<'a>> {
    let invocation = Invocation { kernel: &kernel.0, caller: &caller.0, once: &UNASKED, may_block: false };
    match uos_proto::dispatch(call, invocation) {
        Outcome::Done(result) => Ok(result),
        Outcome::Pending(waits) => Err(waits),
        Outcome::NeedsPool(call) => Err(Box::pin(kernel.invoke_in_pool(caller, call))),
        Outcome::Asks(call, asked) => Err(Box::pin(kernel.invoke_asking(caller, call, asked))),
    }
}

#[cold]
fn when_there_is_room<'a>(kernel: &'a Kernel, caller: &'a Caller, call: Call) -> Waits<'a> {
    Box::pin(async move {
        kernel.0.log.room().await;
        match make(kernel, caller, call) {
            Ok(result) => result,
            Err(waits) => waits.await,
        }
    })
}
