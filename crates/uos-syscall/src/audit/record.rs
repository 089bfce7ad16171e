//! What is written down of a call, and the guard that sees to it that it is written down once.

use std::{sync::Arc, time::Duration};

use uos_proto::{CREATE_PROCESS, CallInfo};
use uos_vfs::VPath;

use super::Log;
use crate::{Errno, Error, Pid, moment::Moment, rights::Grant};

/// One call, after the fact. Payloads and secrets are never in it.
// Two cache lines and no more, with a time in each: see `Record::claim`.
#[derive(Clone, Debug)]
#[repr(C, align(128))]
pub struct Record {
    /// When it began, since the kernel started.
    pub at: Duration,
    /// Who called.
    pub caller: Pid,
    /// Which call.
    pub call: &'static CallInfo,
    /// What it was aimed at.
    pub subject: Subject,
    /// What let it through, or nothing if it was refused before that was settled.
    pub decision: Decision,
    /// How it ended.
    pub outcome: Result<(), Errno>,
    /// How long it took, waiting included.
    pub latency: Duration,
}

impl Record {
    /// A place for one.
    pub(super) const BLANK: Self = Self {
        at: Duration::ZERO,
        caller: Pid(0),
        call: &CREATE_PROCESS,
        subject: Subject::None,
        decision: Decision::Refused,
        outcome: Ok(()),
        latency: Duration::ZERO,
    };

    /// Has a place where an old one is be written to by this core from now on: both cache lines are this core's again after it,
    /// which the writer's core had.
    #[inline]
    pub(super) fn claim(&mut self) {
        (self.at, self.latency) = (Duration::ZERO, Duration::ZERO);
    }
}

const _: () = assert!(size_of::<Record>() == 128 && std::mem::offset_of!(Record, latency) >= 64);

/// What a call was aimed at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Nothing in particular.
    None,
    /// A canonical path.
    Path(VPath),
    /// Two canonical paths: from the first to the second.
    Paths(VPath, VPath),
    /// A process.
    Process(u64),
    /// A handle.
    Handle(u64),
    /// A host and port, or the name of a socket.
    Address(Box<str>),
}

/// What let a call through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing did: the call was refused.
    Refused,
    /// The call needs no right.
    Free,
    /// The target is the caller itself or a descendant.
    Kin,
    /// The caller holds the handle.
    Held,
    /// A grant of the caller.
    Grant(Arc<Grant>),
    /// A grant for this call alone, which the caller asked for.
    Answered {
        /// What was allowed.
        grant: Arc<Grant>,
        /// Who allowed it.
        by: Pid,
    },
}

/// A record in the making. Dropped unfinished, it records that the call was given up.
pub(crate) struct Trail<'a> {
    log: &'a Log,
    caller: Pid,
    call: &'static CallInfo,
    subject: Subject,
    decision: Decision,
    started: Moment,
    open: bool,
}

impl<'a> Trail<'a> {
    #[inline]
    pub(crate) fn begin(log: &'a Log, caller: Pid, call: &'static CallInfo) -> Self {
        Self::begin_at(log, caller, call, Moment::now())
    }

    /// Begins the record of a call that goes on, and began then.
    #[inline]
    pub(crate) fn begin_at(log: &'a Log, caller: Pid, call: &'static CallInfo, started: Moment) -> Self {
        let (subject, decision) = (Subject::None, Decision::Refused);
        Self { log, caller, call, subject, decision, started, open: true }
    }

    /// When the call began.
    pub(crate) fn started(&self) -> Moment {
        self.started
    }

    #[inline]
    pub(crate) fn aimed_at(&mut self, subject: Subject) {
        self.subject = subject;
    }

    #[inline]
    pub(crate) fn let_through_by(&mut self, decision: Decision) {
        self.decision = decision;
    }

    pub(crate) fn subject(&self) -> &Subject {
        &self.subject
    }

    pub(crate) fn decision(&self) -> &Decision {
        &self.decision
    }

    /// Writes it down.
    #[inline]
    pub(crate) fn finish<T>(&mut self, result: &Result<T, Error>) {
        self.write(result.as_ref().map(|_| ()).map_err(|error| error.errno));
    }

    /// The call goes on after this, as nothing but what is known of it; whoever carries it on writes it down in the end.
    pub(crate) fn suspend(&mut self) -> Suspended {
        self.open = false;
        let (subject, decision) = (
            std::mem::replace(&mut self.subject, Subject::None),
            std::mem::replace(&mut self.decision, Decision::Refused),
        );
        Suspended { caller: self.caller, call: self.call, subject, decision, started: self.started }
    }

    /// The call goes on elsewhere, under a trail of its own.
    pub(crate) fn hand_over(&mut self) {
        self.open = false;
    }

    fn write(&mut self, outcome: Result<(), Errno>) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        self.log.record(|record| {
            record.at = self.log.since_start(self.started);
            record.caller = self.caller;
            record.call = self.call;
            // What was there goes with the trail, when the log is free again.
            std::mem::swap(&mut record.subject, &mut self.subject);
            std::mem::swap(&mut record.decision, &mut self.decision);
            record.outcome = outcome;
            // Last: what was written goes to memory that the writer had, and is under way while the clock is read. And so
            // records stand in the order in which calls ended.
            record.latency = Moment::now().since(self.started);
        });
    }
}

/// A call that goes on for longer than a log is borrowed.
pub(crate) struct Suspended {
    caller: Pid,
    call: &'static CallInfo,
    subject: Subject,
    decision: Decision,
    started: Moment,
}

impl Suspended {
    pub(crate) fn resume(self, log: &Log) -> Trail<'_> {
        let Self { caller, call, subject, decision, started } = self;
        Trail { log, caller, call, subject, decision, started, open: true }
    }
}

impl Drop for Trail<'_> {
    fn drop(&mut self) {
        self.write(Err(Errno::ECANCELED));
    }
}
