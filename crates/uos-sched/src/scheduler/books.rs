//! What the scheduler writes down, and how it is read.

use super::Scheduler;
use crate::ledger::{fixed, whole};
use crate::stats::Histogram;
use crate::table::{Kind, NONE, Slot, State};
use crate::{GroupId, Nanos, Priority, Reading, SchedError, Stats, TaskId, TaskStats, Weight};
use std::fmt;

#[derive(Default)]
pub(super) struct Totals {
    /// How often others than this scheduler gave a task a CPU.
    pub(super) observed: u64,
    /// Context switches from one who let others go first or could not go on, and all others.
    pub(super) willing: u64,
    pub(super) preemptions: u64,
    pub(super) migrations: u64,
    pub(super) active: usize,
    pub(super) runtime: Given,
}

/// CPU time that those who run are given: reckoned when it is asked for, so that time passes without a look at it.
#[derive(Default)]
pub(super) struct Given {
    before: u64,
    /// How many run, and since when that many do.
    running: u32,
    since: u64,
}

impl Given {
    #[inline(always)]
    pub(super) fn until(&self, now: u64) -> u64 {
        self.before.saturating_add((now - self.since).saturating_mul(u64::from(self.running)))
    }

    /// Somebody was given that much without having run here.
    pub(super) fn add(&mut self, ns: u64) {
        self.before = self.before.saturating_add(ns);
    }

    pub(super) fn take(&mut self, now: u64) -> u64 {
        let given = self.until(now);
        (self.before, self.since) = (0, now);
        given
    }

    /// So many more run from now on.
    #[inline(always)]
    pub(super) fn change(&mut self, now: u64, more: i32) {
        (self.before, self.since) = (self.until(now), now);
        debug_assert!(self.running.checked_add_signed(more).is_some(), "nobody stops who does not run");
        self.running = self.running.wrapping_add_signed(more);
    }
}

impl Scheduler {
    /// One task's numbers, up to the last time that was told.
    pub fn task(&self, task: TaskId) -> Result<TaskStats, SchedError> {
        Ok(self.books(self.find(task)?))
    }

    pub(super) fn books(&self, slot: Slot) -> TaskStats {
        let hot = self.table.at(slot);
        let in_state = self.now - hot.since;
        let running = if hot.state == State::Running { in_state } else { 0 };
        // Strict and idle tasks share with nobody: what they get is what they are owed.
        let unshared = if hot.kind == Kind::Normal { 0 } else { running };
        TaskStats {
            state: self.state_of(slot),
            weight: Weight::new(hot.weight()).expect("it was one when it came"),
            priority: Priority(hot.priority()),
            class: self.class_of(slot),
            group: self.group_id(self.table.rest(slot).group),
            cpu: self.table.cpu(slot),
            runtime: Nanos(hot.runtime.saturating_add(running)),
            entitled: Nanos(self.entitled(slot).saturating_add(unshared)),
            waits: hot.waits,
            waited: match hot.state {
                State::Waiting | State::Throttled => Nanos(hot.waited + in_state),
                _ => Nanos(hot.waited),
            },
            preemptions: self.table.preemptions(slot),
        }
    }

    /// What a task is owed *as the policy sees it*, in nanoseconds of CPU time: by how far it is behind the average
    /// of its siblings (EEVDF) or ahead of their lowest (fair), by weight. 0 under other policies.
    pub fn lag_ns(&mut self, task: TaskId) -> Result<i64, SchedError> {
        let slot = self.find(task)?;
        let lag = i128::from(self.lag_away(slot)) * i128::from(self.table.at(slot).weight()) / 1024;
        Ok(lag.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
    }

    /// The tasks there are.
    pub fn tasks(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.table.tasks().map(|slot| self.table.id(slot))
    }

    /// The totals, up to the last time that was told.
    pub fn stats(&self) -> Stats {
        let running = self.cores.iter().filter(|core| core.running != NONE).count();
        Stats {
            policy: self.policy.name(),
            scheduled: self.totals.observed + self.waits.total(),
            context_switches: self.totals.willing + self.totals.preemptions,
            preemptions: self.totals.preemptions,
            migrations: self.totals.migrations,
            active: self.totals.active,
            running,
            runtime: Nanos(self.totals.runtime.until(self.now)),
        }
    }

    /// Everybody's numbers now: two of them make a window.
    pub fn reading(&self) -> Reading {
        let tasks = self.table.tasks().map(|slot| (self.table.id(slot), self.books(slot)));
        Reading::new(Nanos(self.now), self.stats().runtime, tasks)
    }

    /// How long those waited who got a CPU.
    pub fn wait_times(&self) -> &Histogram {
        &self.waits
    }

    /// Whether a task has a part in what is owed.
    pub(super) fn has_account(&self, slot: Slot) -> bool {
        self.table.at(slot).kind == Kind::Normal && self.table.at(slot).is_runnable()
    }

    /// A normal task can run from now on, and so has a part in what its group gets.
    pub(super) fn open_account(&mut self, slot: Slot) {
        let at = self.table.rest(slot).group;
        let weight = self.policy.counted(self.table.at(slot).weight());
        self.settle(at);
        if self.group_ref(at).open == 0 && at != 0 {
            self.open_group(at);
        }
        let group = self.group_mut(at);
        group.open += 1;
        group.ledger.open(weight);
        let mark = group.ledger.mark();
        self.table.rest_mut(slot).mark = mark;
    }

    /// It can't run from now on.
    pub(super) fn close_account(&mut self, slot: Slot) {
        let at = self.table.rest(slot).group;
        let weight = self.policy.counted(self.table.at(slot).weight());
        self.settle(at);
        let mark = self.table.rest(slot).mark;
        let group = self.group_mut(at);
        let more = whole(group.ledger.since(mark, weight));
        group.open -= 1;
        group.ledger.close(weight);
        let nobody_left = group.open == 0;
        let cold = self.table.rest_mut(slot);
        cold.owed = cold.owed.saturating_add(more);
        if nobody_left && at != 0 {
            self.close_group(at);
        }
    }

    /// A group has a part in what its parent gets while anybody in it can run.
    pub(super) fn open_group(&mut self, at: u32) {
        let (parent, weight) = self.part_of(at);
        self.settle(parent);
        if self.group_ref(parent).open == 0 && parent != 0 {
            self.open_group(parent);
        }
        let above = self.group_mut(parent);
        above.open += 1;
        above.ledger.open(weight);
        let mark = above.ledger.mark();
        self.group_mut(at).mark = mark;
    }

    pub(super) fn close_group(&mut self, at: u32) {
        self.settle(at);
        let (parent, weight) = self.part_of(at);
        let above = self.group_mut(parent);
        above.open -= 1;
        above.ledger.close(weight);
        if above.open == 0 && parent != 0 {
            self.close_group(parent);
        }
    }

    fn part_of(&self, at: u32) -> (u32, u32) {
        let group = self.group_ref(at);
        (group.parent, self.policy.counted(group.spec.weight.get()))
    }

    /// Hands what was given out down to this group and divides it.
    fn settle(&mut self, at: u32) {
        if at != 0 {
            let (parent, weight) = self.part_of(at);
            self.settle(parent);
            let mark = self.group_ref(parent).ledger.mark();
            let fixed = self.group_ref(parent).ledger.since(self.group_ref(at).mark, weight);
            let group = self.group_mut(at);
            // Its part is open while anybody's in it is.
            if group.open > 0 {
                group.ledger.hand_on(fixed);
            }
            group.mark = mark;
        }
        let given = if at == 0 { self.given.take(self.now) } else { 0 };
        let group = self.group_mut(at);
        group.ledger.give_out(given);
        group.ledger.settle();
        if group.ledger.needs_sweep() {
            self.sweep(at);
        }
    }

    /// Brings all open accounts of a settled group up to date.
    fn sweep(&mut self, at: u32) {
        let open = |slot: &Slot| self.has_account(*slot) && self.table.rest(*slot).group == at;
        for slot in self.table.tasks().filter(open).collect::<Vec<_>>() {
            let weight = self.policy.counted(self.table.at(slot).weight());
            let ledger = &self.group_ref(at).ledger;
            let (more, mark) = (whole(ledger.since(self.table.rest(slot).mark, weight)), ledger.mark());
            let cold = self.table.rest_mut(slot);
            (cold.owed, cold.mark) = (cold.owed.saturating_add(more), mark);
        }
        for group in 1..self.groups.len() as u32 {
            if self.groups[group as usize].as_ref().is_some_and(|group| group.parent == at && group.open > 0)
            {
                let (_, weight) = self.part_of(group);
                let ledger = &self.group_ref(at).ledger;
                let (fixed, mark) = (ledger.since(self.group_ref(group).mark, weight), ledger.mark());
                let group = self.group_mut(group);
                group.ledger.hand_on(fixed);
                group.mark = mark;
            }
        }
    }

    /// What a task is owed by now.
    pub(super) fn entitled(&self, slot: Slot) -> u64 {
        let cold = self.table.rest(slot);
        if !self.has_account(slot) {
            return cold.owed;
        }
        let weight = self.policy.counted(self.table.at(slot).weight());
        let more = self.unsettled(cold.group);
        let since = self.group_ref(cold.group).ledger.would_be_since(cold.mark, weight, more);
        cold.owed.saturating_add(whole(since))
    }

    /// What a group would be handed on if it were settled.
    fn unsettled(&self, at: u32) -> u128 {
        let group = self.group_ref(at);
        if at == 0 {
            return fixed(self.given.until(self.now));
        }
        if group.open == 0 {
            return 0;
        }
        let (parent, weight) = self.part_of(at);
        self.group_ref(parent).ledger.would_be_since(group.mark, weight, self.unsettled(parent))
    }

    /// The group a task is in.
    pub fn group_of(&self, task: TaskId) -> Result<GroupId, SchedError> {
        Ok(self.group_id(self.table.rest(self.find(task)?).group))
    }
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stats().fmt(f)
    }
}
