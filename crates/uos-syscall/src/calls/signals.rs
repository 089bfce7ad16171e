//! Signals: sending them, and what becomes of one's own.

use std::sync::Arc;

use uos_proc::{Signal, SignalError};
use uos_proto::{Right, v1};

use super::within;
use crate::{
    Errno, Error,
    admit::{Absent, Cx},
    kernel::Inner,
    perform::{Syscall, Waiting},
    process::{EndCause, Pid, Process},
    signals::{Action, Ends, SignalSet, one},
    target::{ProcessTarget, Scope, System},
};

impl Inner {
    /// Has a signal arrive at a process that has no program.
    pub(crate) fn post_signal(&self, to: &Arc<Process>, signal: Signal, from: Pid) -> Result<(), Error> {
        let room = || to.share.signals.take(1);
        let ends = to.signals.post(signal, from, room).map_err(|full| {
            Error::limit(Errno::EAGAIN, full.name, full.used, full.limit)
                .hint("take some with WaitSignal, or ignore the signal")
        })?;
        self.end_by(to, ends)
    }

    /// Ends a process by a signal, if there is one that does.
    fn end_by(&self, process: &Arc<Process>, ends: Option<Ends>) -> Result<(), Error> {
        match ends {
            Some(_) if process.pid == Pid::INIT => Err(Error::new(Errno::EPERM, "process 1 doesn't end")),
            Some(Ends(signal)) => {
                self.end(process, EndCause::Signal(signal), true);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Syscall for v1::SendSignal {
    type Target = ProcessTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<ProcessTarget, Absent> {
        scope.process(self.pid, Right::ProcSignal)
    }

    fn run(&self, cx: Cx<'_, &ProcessTarget>) -> Result<v1::SendSignalReply, Error> {
        let process = &cx.target.process;
        if !process.is_alive() {
            return Err(Error::no_process(process.pid.0));
        }
        if self.signal == 0 {
            return Ok(v1::SendSignalReply {});
        }
        let signal = i32::try_from(self.signal).ok().and_then(Signal::new);
        let signal = signal.ok_or_else(|| {
            Error::invalid("signal", format_args!("0 to {}, not {}", Signal::MAX, self.signal))
        })?;
        match &process.program {
            Some(program) => {
                let sent =
                    program.child().map_or(Err(SignalError::NoSuchProcess), |child| child.signal(signal));
                sent.map_err(|error| match error {
                    SignalError::NoSuchProcess => Error::no_process(process.pid.0),
                    SignalError::Refused { errno } => Errno::from_number(errno).into(),
                })?;
            }
            None if signal == Signal::STOP => {
                return Err(Error::new(Errno::ENOTSUP, "the process runs no program that could be stopped"));
            }
            None => cx.kernel().post_signal(process, signal, cx.caller().pid)?,
        }
        Ok(v1::SendSignalReply {})
    }
}

/// Whether the caller's signals are the kernel's to keep.
fn has_no_program(caller: &Process) -> Result<(), Error> {
    match caller.program {
        None => Ok(()),
        Some(_) => Err(Error::new(Errno::ENOTSUP, "signals to a program go to the program")
            .hint("let the program set its own handlers and mask")),
    }
}

/// Ends the caller by a signal that its own call has let through.
fn let_through(cx: &Cx<'_, &System>, ends: Option<Ends>) -> Result<(), Error> {
    let is_end = ends.is_some();
    cx.kernel().end_by(cx.caller(), ends)?;
    if is_end { Err(Error::no_process(cx.caller().pid.0)) } else { Ok(()) }
}

impl Syscall for v1::SetSignalAction {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::SetSignalActionReply, Error> {
        has_no_program(cx.caller())?;
        let signal = one(self.signal).map_err(|why| Error::invalid("signal", why))?;
        let action = match v1::SignalAction::try_from(self.action) {
            Ok(v1::SignalAction::Unspecified | v1::SignalAction::Default) => Action::Default,
            Ok(v1::SignalAction::Ignore) => Action::Ignore,
            Ok(v1::SignalAction::Catch) => Action::Catch,
            Err(_) => {
                return Err(Error::invalid("action", format_args!("{} is not a SignalAction", self.action)));
            }
        };
        let (before, ends) = cx.caller().signals.set_action(signal, action);
        let_through(&cx, ends)?;
        let previous = match before {
            Action::Default => v1::SignalAction::Default,
            Action::Ignore => v1::SignalAction::Ignore,
            Action::Catch => v1::SignalAction::Catch,
        };
        Ok(v1::SetSignalActionReply { previous: previous.into() })
    }
}

impl Syscall for v1::MaskSignals {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::MaskSignalsReply, Error> {
        has_no_program(cx.caller())?;
        let these = SignalSet::parse(&self.signals)?;
        let change: fn(SignalSet, SignalSet) -> SignalSet = match v1::MaskChange::try_from(self.change) {
            Ok(v1::MaskChange::Unspecified | v1::MaskChange::Block) => SignalSet::with,
            Ok(v1::MaskChange::Unblock) => SignalSet::without,
            Ok(v1::MaskChange::Set) => |_, these| these,
            Err(_) => {
                return Err(Error::invalid("change", format_args!("{} is not a MaskChange", self.change)));
            }
        };
        let (before, ends) = cx.caller().signals.set_blocked(|blocked| change(blocked, these));
        let_through(&cx, ends)?;
        Ok(v1::MaskSignalsReply { previous: numbers(before) })
    }
}

impl Syscall for v1::PendingSignals {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::PendingSignalsReply, Error> {
        has_no_program(cx.caller())?;
        let (pending, blocked) = cx.caller().signals.pending();
        let pending = pending
            .iter()
            .map(|one| v1::PendingSignal { signal: one.signal.number() as u32, count: one.count })
            .collect();
        Ok(v1::PendingSignalsReply { pending, blocked: numbers(blocked) })
    }
}

impl Waiting for v1::WaitSignal {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    async fn run(&self, cx: Cx<'_, System>) -> Result<v1::WaitSignalReply, Error> {
        let (kernel, caller) = (cx.kernel(), cx.caller());
        has_no_program(caller)?;
        let these = match self.signals.is_empty() {
            true => SignalSet::ALL,
            false => SignalSet::parse(&self.signals)?,
        };
        caller.signals.want(these);
        let _wanted = Wanted { kernel, caller, these };
        match within(self.timeout_us, caller.signals.take(these)).await {
            Some(taken) => {
                Ok(v1::WaitSignalReply { signal: taken.signal.number() as u32, sender_pid: taken.from.0 })
            }
            None => Err(Error::new(Errno::ETIMEDOUT, "no signal came in time")),
        }
    }
}

/// Somebody waits. When nobody does any more, what came meanwhile for whoever waited ends the process after all.
struct Wanted<'a> {
    kernel: &'a Inner,
    caller: &'a Arc<Process>,
    these: SignalSet,
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        let ends = self.caller.signals.unwant(self.these);
        // Process 1 goes on.
        let _ = self.kernel.end_by(self.caller, ends);
    }
}

fn numbers(signals: SignalSet) -> Vec<u32> {
    signals.iter().map(|signal| signal.number() as u32).collect()
}
