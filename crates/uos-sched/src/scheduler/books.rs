//! What the scheduler writes down, and how it is read.

use super::{Scheduler, Why};
use crate::ledger::Account;
use crate::{Nanos, Policy, SchedError, Stats, TaskId, TaskState, TaskStats, Weight};
use std::fmt;

pub(super) struct Task {
    pub(super) weight: Weight,
    pub(super) state: TaskState,
    /// Since when it is in that state; while it runs, until when it has been charged.
    pub(super) since: Nanos,
    pub(super) runtime: Nanos,
    pub(super) waits: u64,
    pub(super) waited: Nanos,
    pub(super) preemptions: u64,
    pub(super) account: Account,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Core {
    pub(super) running: Option<TaskId>,
    pub(super) last: Option<(TaskId, Why)>,
}

#[derive(Default)]
pub(super) struct Totals {
    pub(super) scheduled: u64,
    pub(super) context_switches: u64,
    pub(super) preemptions: u64,
    pub(super) active: usize,
    pub(super) running: u32,
    pub(super) runtime: Nanos,
}

impl Task {
    pub(super) fn new(weight: Weight) -> Task {
        let (runtime, waited, since) = (Nanos::ZERO, Nanos::ZERO, Nanos::ZERO);
        let (state, account) = (TaskState::Blocked, Account::default());
        Task { weight, state, since, runtime, waits: 0, waited, preemptions: 0, account }
    }
}

impl<P: Policy> Scheduler<P> {
    /// One task's numbers, up to the last time that was told.
    pub fn task(&self, task: TaskId) -> Result<TaskStats, SchedError> {
        let entry = self.get(task)?;
        let in_state = self.now.since(entry.since);
        let runnable = entry.state != TaskState::Blocked;
        Ok(TaskStats {
            state: entry.state,
            weight: entry.weight,
            runtime: match entry.state {
                TaskState::Running(_) => entry.runtime + in_state,
                _ => entry.runtime,
            },
            entitled: self.ledger.entitled(&entry.account, runnable.then_some(entry.weight)),
            waits: entry.waits,
            waited: match entry.state {
                TaskState::Waiting => entry.waited + in_state,
                _ => entry.waited,
            },
            preemptions: entry.preemptions,
        })
    }

    /// The tasks there are.
    pub fn tasks(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.tasks.ids()
    }

    /// The totals, up to the last time that was told.
    pub fn stats(&self) -> Stats {
        let running = self.cores.iter().filter_map(|core| core.running);
        let uncharged = running.map(|task| self.now.since(self.known(task).since));
        Stats {
            policy: self.policy.name(),
            scheduled: self.totals.scheduled,
            context_switches: self.totals.context_switches,
            preemptions: self.totals.preemptions,
            active: self.totals.active,
            running: self.totals.running as usize,
            runtime: uncharged.fold(self.totals.runtime, |sum, more| sum + more),
        }
    }
}

impl<P: Policy> fmt::Debug for Scheduler<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stats().fmt(f)
    }
}
