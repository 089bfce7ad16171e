//! The checks before a call and the moves between blocked, waiting and running, which every call is made of. Checks
//! change nothing; a move can't fail. So a refused call leaves everything as it was.

use super::{Scheduler, Why};
use crate::queue::{Arrival, Heap, Levels, Return, Ring};
use crate::table::{Kind, NONE, Slot, State};
use crate::{Cpu, Nanos, Pick, SchedError, TaskId, TaskStats};
use std::cmp::Reverse;

/// One CPU.
pub(super) struct Core {
    pub(super) running: Slot,
    /// The node of the running task, if it is a normal one.
    pub(super) node: u32,
    /// When its slice is over.
    pub(super) until: u64,
    pub(super) last: Option<(TaskId, Why)>,
    /// The running task may not stay here when it is put back.
    pub(super) evict: bool,
    /// Tasks that wait here, and those of them that are strict.
    pub(super) waiting: u32,
    pub(super) strict: u32,
    pub(super) deadlines: Heap,
    pub(super) rt: Levels,
    pub(super) idle: Ring,
    /// What strict tasks have had since the second began.
    pub(super) rt_used: u64,
    pub(super) rt_since: u64,
}

impl Default for Core {
    fn default() -> Core {
        Core {
            running: NONE,
            node: 0,
            until: 0,
            last: None,
            evict: false,
            waiting: 0,
            strict: 0,
            deadlines: Heap::default(),
            rt: Levels::default(),
            idle: Ring::default(),
            rt_used: 0,
            rt_since: 0,
        }
    }
}

/// What happens by itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A group's budget is filled again.
    Refill { group: u32, generation: u32 },
    /// A deadline task's runtime is filled again.
    Replenish { task: TaskId },
}

impl Scheduler {
    pub(super) fn find(&self, task: TaskId) -> Result<Slot, SchedError> {
        self.table.find(task).ok_or(SchedError::UnknownTask { task })
    }

    /// A task that is on no CPU.
    pub(super) fn idle(&self, task: TaskId) -> Result<Slot, SchedError> {
        let slot = self.find(task)?;
        match self.table.at(slot).state {
            State::Running => Err(SchedError::TaskRunning { task, cpu: self.table.cpu(slot) }),
            _ => Ok(slot),
        }
    }

    #[inline]
    pub(super) fn core(&self, cpu: Cpu) -> Result<&Core, SchedError> {
        let cpus = self.cores.len() as u32;
        self.cores.get(cpu.index()).ok_or(SchedError::NoSuchCpu { cpu, cpus })
    }

    #[inline]
    pub(super) fn running(&self, cpu: Cpu) -> Result<Slot, SchedError> {
        match self.core(cpu)?.running {
            NONE => Err(SchedError::NotRunning { cpu }),
            slot => Ok(slot),
        }
    }

    #[inline]
    pub(super) fn check_time(&self, now: Nanos) -> Result<(), SchedError> {
        if now.0 < self.now {
            return Err(SchedError::TimeWentBack { from: Nanos(self.now), to: now });
        }
        Ok(())
    }

    /// Lets time pass: what the CPUs gave out meanwhile is owed to those who could run meanwhile.
    #[inline]
    pub(super) fn advance(&mut self, now: Nanos) {
        let passed = now.0 - self.now;
        self.given = self.given.saturating_add(passed.saturating_mul(u64::from(self.running_normal)));
        self.now = now.0;
        if self.due <= now.0 {
            self.fire();
        }
    }

    /// Does what is due by itself.
    #[cold]
    fn fire(&mut self) {
        while self.due <= self.now {
            if let Some(Reverse((_, timer))) = self.timers.pop() {
                match timer {
                    Timer::Refill { group, generation } => self.refill(group, generation),
                    Timer::Replenish { task } => self.replenish(task),
                }
            }
            self.due = self.timers.peek().map_or(u64::MAX, |Reverse((at, _))| *at);
        }
    }

    pub(super) fn set_timer(&mut self, at: u64, timer: Timer) {
        self.timers.push(Reverse((at, timer)));
        self.due = self.due.min(at);
    }

    #[inline]
    pub(super) fn charge_running(&mut self, cpu: usize, slot: Slot) -> u64 {
        let hot = self.table.at_mut(slot);
        let ran = self.now - hot.since;
        if ran == 0 {
            return 0;
        }
        hot.since = self.now;
        hot.runtime = hot.runtime.saturating_add(ran);
        let kind = hot.kind;
        self.totals.runtime = self.totals.runtime.saturating_add(ran);
        match kind {
            Kind::Normal => self.charge_tree(self.cores[cpu].node, slot, ran),
            Kind::Fifo | Kind::Turns | Kind::Deadline => self.charge_strict(cpu, slot, ran),
            Kind::Idle | Kind::Group => {}
        }
        if kind != Kind::Normal {
            // They share with nobody: what they get is what they are owed.
            let cold = self.table.rest_mut(slot);
            cold.owed = cold.owed.saturating_add(ran);
        }
        ran
    }

    /// Brings virtual time on a CPU up to now, before anybody is measured by it: charges a normal task that runs.
    pub(super) fn bring_up(&mut self, cpu: usize) {
        let slot = self.cores[cpu].running;
        if slot != NONE && self.table.at(slot).kind == Kind::Normal {
            self.charge_running(cpu, slot);
        }
    }

    /// Takes the next task for this CPU out of its queue.
    #[inline]
    pub(super) fn choose(&mut self, cpu: usize) -> Option<(Slot, u64)> {
        let mut limit = u64::MAX;
        if self.cores[cpu].strict > 0 {
            match self.choose_strict(cpu) {
                Ok(chosen) => return Some(chosen),
                Err(until) => limit = until.saturating_sub(self.now),
            }
        }
        let mut chosen = self.choose_normal(cpu);
        if chosen.is_none() && self.cores.len() > 1 && self.pull_normal(cpu) {
            chosen = self.choose_normal(cpu);
        }
        let default = self.policy.slice().length();
        if chosen.is_none() {
            let idle = self.cores[cpu].idle.pop(&mut self.table);
            chosen = idle.map(|slot| (slot, self.table.slice(slot, default)));
        }
        // The rest is not there to be kept alive.
        if chosen.is_none() && self.cores[cpu].strict > 0 {
            chosen = self.choose_capped(cpu);
        }
        if chosen.is_none() && self.cores.len() > 1 && self.pull_idle(cpu) {
            let idle = self.cores[cpu].idle.pop(&mut self.table);
            chosen = idle.map(|slot| (slot, self.table.slice(slot, default)));
        }
        chosen.map(|(slot, slice)| (slot, slice.min(limit.max(1))))
    }

    /// A chosen task runs from now on.
    #[inline]
    pub(super) fn start(&mut self, cpu: Cpu, slot: Slot, slice: u64) -> Pick {
        let now = self.now;
        let hot = self.table.at_mut(slot);
        debug_assert_eq!(hot.state, State::Waiting, "only those who wait are chosen");
        let waited = now - hot.since;
        hot.waits += 1;
        hot.waited += waited;
        hot.since = now;
        hot.state = State::Running;
        let kind = hot.kind;
        self.waits.count(waited);
        self.running_normal += u32::from(kind == Kind::Normal);
        self.waiting -= 1;
        let core = &mut self.cores[cpu.index()];
        core.waiting -= 1;
        if kind.is_strict() {
            core.strict -= 1;
            self.strict -= 1;
        }
        core.running = slot;
        core.until = now.saturating_add(slice);
        let last = core.last;
        let task = self.table.id(slot);
        self.totals.scheduled += 1;
        self.totals.running += 1;
        self.count_switch(last, task);
        Pick { task, slice: Nanos(slice) }
    }

    /// The running task has been charged and is taken off its CPU.
    #[inline]
    pub(super) fn stop(&mut self, cpu: usize, slot: Slot, why: Why) {
        let kind = self.table.at(slot).kind;
        let core = &mut self.cores[cpu];
        core.running = NONE;
        core.last = Some((self.table.id(slot), why));
        let (node, evict) = (core.node, std::mem::take(&mut core.evict));
        self.totals.running -= 1;
        self.running_normal -= u32::from(kind == Kind::Normal);
        let how = match why {
            Why::Expired => Return::Expired,
            Why::Preempted => Return::Preempted,
            Why::Yield => Return::Yielded,
            Why::Blocked | Why::Exited => {
                self.leave(slot);
                self.table.at_mut(slot).since = self.now;
                if why == Why::Exited {
                    self.forget(slot);
                }
                return;
            }
        };
        match kind {
            Kind::Normal => self.requeue_normal(node, slot, how),
            Kind::Idle if how == Return::Preempted => self.cores[cpu].idle.push_front(&mut self.table, slot),
            Kind::Idle => self.cores[cpu].idle.push_back(&mut self.table, slot),
            _ => {
                self.requeue_strict(cpu, slot, how);
                if evict {
                    self.evict(slot);
                }
                return;
            }
        }
        let hot = self.table.at_mut(slot);
        hot.state = State::Waiting;
        hot.since = self.now;
        self.cores[cpu].waiting += 1;
        self.waiting += 1;
        if evict {
            self.evict(slot);
        }
    }

    /// A blocked task waits from now on for the CPU it was placed on.
    pub(super) fn arrive(&mut self, slot: Slot, arrival: Arrival) {
        if self.table.at(slot).kind == Kind::Normal {
            self.open_account(slot);
        }
        self.table.at_mut(slot).since = self.now;
        self.enqueue(slot, arrival);
    }

    /// Puts a task that is in no queue into the one it belongs in.
    pub(super) fn enqueue(&mut self, slot: Slot, arrival: Arrival) {
        let hot = self.table.at(slot);
        let (cpu, kind) = (usize::from(hot.cpu), hot.kind);
        match kind {
            Kind::Normal => {
                let node = self.node_of(slot);
                self.join_waiting(node, slot, arrival);
            }
            Kind::Idle => self.cores[cpu].idle.push_back(&mut self.table, slot),
            Kind::Fifo | Kind::Turns => {
                let level = self.table.rest(slot).aux as u8;
                self.cores[cpu].rt.push(&mut self.table, slot, level, false);
            }
            Kind::Deadline => {
                if !self.release_deadline(slot, matches!(arrival, Arrival::Moved(_))) {
                    self.table.at_mut(slot).state = State::Throttled;
                    return;
                }
            }
            Kind::Group => unreachable!("groups are no tasks"),
        }
        self.table.at_mut(slot).state = State::Waiting;
        self.count_waiting(cpu, kind, 1);
    }

    /// A task that can run can't from now on. Its state is blocked afterwards.
    pub(super) fn leave(&mut self, slot: Slot) {
        if self.table.at(slot).kind == Kind::Normal {
            self.close_account(slot);
        }
        self.withdraw(slot);
    }

    /// Takes a task out of wherever it is. Its state is blocked afterwards.
    pub(super) fn withdraw(&mut self, slot: Slot) {
        let hot = self.table.at(slot);
        let (cpu, kind, state) = (usize::from(hot.cpu), hot.kind, hot.state);
        match (kind, state) {
            (Kind::Normal, _) => {
                self.bring_up(cpu);
                self.leave_tree(slot);
            }
            (Kind::Idle, State::Waiting) => self.cores[cpu].idle.remove(&mut self.table, slot),
            (Kind::Fifo | Kind::Turns, State::Waiting) => {
                let level = self.table.rest(slot).aux as u8;
                self.cores[cpu].rt.remove(&mut self.table, slot, level);
            }
            (Kind::Deadline, State::Waiting) => self.withdraw_deadline(cpu, slot),
            _ => {}
        }
        if state == State::Waiting {
            self.count_waiting(cpu, kind, -1);
        }
        self.table.at_mut(slot).state = State::Blocked;
    }

    pub(super) fn count_waiting(&mut self, cpu: usize, kind: Kind, change: i32) {
        let strict = if kind.is_strict() { change } else { 0 };
        let core = &mut self.cores[cpu];
        core.waiting = core.waiting.wrapping_add_signed(change);
        core.strict = core.strict.wrapping_add_signed(strict);
        self.waiting = self.waiting.wrapping_add_signed(change);
        self.strict = self.strict.wrapping_add_signed(strict);
    }

    /// A task that does not run is blocked from now on. Answers whether it was not.
    pub(super) fn make_blocked(&mut self, slot: Slot) -> bool {
        let now = self.now;
        let hot = self.table.at_mut(slot);
        if hot.state == State::Blocked {
            return false;
        }
        hot.waited += now - hot.since;
        hot.since = now;
        self.leave(slot);
        true
    }

    /// A blocked task is no more.
    pub(super) fn forget(&mut self, slot: Slot) -> TaskStats {
        let stats = self.books(slot);
        let (mask, group) = (self.table.rest(slot).mask, self.table.rest(slot).group);
        self.give_class(slot);
        self.masks.release(mask);
        self.group_mut(group).tasks -= 1;
        self.table.remove(slot);
        self.totals.active -= 1;
        stats
    }

    #[inline]
    fn count_switch(&mut self, last: Option<(TaskId, Why)>, next: TaskId) {
        let Some((task, why)) = last else {
            self.totals.context_switches += 1;
            return;
        };
        if task == next {
            return;
        }
        self.totals.context_switches += 1;
        if matches!(why, Why::Expired | Why::Preempted) {
            self.totals.preemptions += 1;
            // It may have left since; then there is nobody left to count it for.
            if let Some(slot) = self.table.find(task) {
                self.table.at_mut(slot).preemptions += 1;
            }
        }
    }
}
