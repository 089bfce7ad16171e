//! The checks before a call and the moves between blocked, waiting and running, which every call is made of. Checks
//! change nothing; a move can't fail. So a refused call leaves everything as it was.

use super::{Scheduler, Why};
use crate::queue::{Arrival, Heap, Levels, Queue, Return, Ring};
use crate::table::{Kind, NONE, Slot, State, Table};
use crate::{Cpu, Nanos, Pick, SchedError, Switch, TaskId, TaskStats};
use std::cmp::Reverse;

/// One CPU.
pub(super) struct Core {
    pub(super) running: Slot,
    /// The node of the running task, if it is a normal one.
    pub(super) node: u32,
    /// When its slice is over.
    pub(super) until: u64,
    pub(super) last: Last,
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

/// Who had a CPU before; nobody is a task that never was. And whether it would have gone on.
#[derive(Clone, Copy)]
pub(super) struct Last {
    task: TaskId,
    against_its_will: bool,
}

impl Default for Core {
    fn default() -> Core {
        Core {
            running: NONE,
            node: 0,
            until: 0,
            last: Last { task: TaskId::new(NONE, 0), against_its_will: false },
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

/// Who has had its CPU until now, how long, and how it comes back.
pub(super) struct Charged {
    slot: Slot,
    ran: u64,
    how: Return,
    now: u64,
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

    /// What is wrong with a CPU that should pick; asked only when something is.
    #[cold]
    pub(super) fn why_no_pick(&self, cpu: Cpu, now: Nanos) -> SchedError {
        let checked = self.core(cpu).and_then(|core| match core.running {
            NONE => self.check_time(now),
            slot => Err(SchedError::AlreadyRunning { cpu, task: self.table.id(slot) }),
        });
        checked.expect_err("it is asked when something is wrong")
    }

    /// The same for one that should put its task back.
    #[cold]
    pub(super) fn why_no_put_back(&self, cpu: Cpu, now: Nanos) -> SchedError {
        let checked = self.running(cpu).and_then(|_| self.check_time(now));
        checked.expect_err("it is asked when something is wrong")
    }

    /// Lets time pass: what the CPUs gave out meanwhile is owed to those who could run meanwhile.
    #[inline(always)]
    pub(super) fn advance(&mut self, now: Nanos) {
        self.now = now.0;
        if self.due <= now.0 {
            self.fire();
        }
    }

    /// Does what is due by itself.
    #[cold]
    fn fire(&mut self) {
        // What would come after the end of time never comes.
        let is_due = |Reverse((at, _)): &Reverse<(u64, Timer)>, now| *at <= now && *at < u64::MAX;
        while self.timers.peek().is_some_and(|timer| is_due(timer, self.now)) {
            let Some(Reverse((_, timer))) = self.timers.pop() else { break };
            match timer {
                Timer::Refill { group, generation } => self.refill(group, generation),
                Timer::Replenish { task } => self.replenish(task),
            }
        }
        self.due = self.timers.peek().map_or(u64::MAX, |Reverse((at, _))| *at);
    }

    pub(super) fn set_timer(&mut self, at: u64, timer: Timer) {
        self.timers.push(Reverse((at, timer)));
        self.due = self.due.min(at);
    }

    #[inline(always)]
    pub(super) fn charge_running(&mut self, cpu: usize, slot: Slot) -> u64 {
        let hot = self.table.at_mut(slot);
        let ran = self.now - hot.since;
        if ran == 0 {
            return 0;
        }
        hot.since = self.now;
        hot.runtime = hot.runtime.saturating_add(ran);
        let kind = hot.kind;
        match kind {
            Kind::Normal => self.charge_tree(self.cores[cpu].node, slot, ran),
            _ => self.charge_alone(cpu, slot, ran),
        }
        ran
    }

    /// Strict and idle tasks share with nobody: what they get is what they are owed.
    #[inline(never)]
    fn charge_alone(&mut self, cpu: usize, slot: Slot, ran: u64) {
        if self.table.at(slot).kind.is_strict() {
            self.charge_strict(cpu, slot, ran);
        }
        let cold = self.table.rest_mut(slot);
        cold.owed = cold.owed.saturating_add(ran);
    }

    /// Brings virtual time on a CPU up to now, before anybody is measured by it: charges a normal task that runs.
    pub(super) fn bring_up(&mut self, cpu: usize) {
        let slot = self.cores[cpu].running;
        if slot != NONE && self.table.at(slot).kind == Kind::Normal {
            self.charge_running(cpu, slot);
        }
    }

    /// Takes the next task for this CPU out of its queue, or one of another's.
    #[inline(never)]
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
            let idle = self.cores[cpu].idle.pop(&self.table);
            chosen = idle.map(|slot| (slot, self.table.slice(slot, default)));
        }
        // The rest is not there to be kept alive.
        if chosen.is_none() && self.cores[cpu].strict > 0 {
            chosen = self.choose_capped(cpu);
        }
        if chosen.is_none() && self.cores.len() > 1 && self.pull_idle(cpu) {
            let idle = self.cores[cpu].idle.pop(&self.table);
            chosen = idle.map(|slot| (slot, self.table.slice(slot, default)));
        }
        chosen.map(|(slot, slice)| (slot, slice.min(limit.max(1))))
    }

    /// What [`choose`](Scheduler::choose) and [`start_on`](Scheduler::start_on) come to where there are no groups and
    /// nobody strict waits: most decisions, so they are kept short. Nobody is chosen where it is not as simple.
    #[inline(always)]
    pub(super) fn pick_simply(&mut self, cpu: usize) -> Option<Pick> {
        let (core, node) = (&mut self.cores[cpu], &mut self.nodes[cpu]);
        if core.strict > 0 {
            return None;
        }
        let slot = node.queue.pop(&mut self.table, self.now)?;
        node.running = slot;
        core.node = cpu as u32;
        let limit = node.queue.request_left(&self.table, slot);
        let slice = self.table.slice(slot, self.policy.slice().length()).min(limit);
        Some(self.start_on(cpu, slot, slice))
    }

    /// A chosen task runs from now on.
    #[inline(always)]
    pub(super) fn start_on(&mut self, cpu: usize, slot: Slot, slice: u64) -> Pick {
        let (now, core) = (self.now, &mut self.cores[cpu]);
        let (last, hot) = (core.last, self.table.at_mut(slot));
        debug_assert_eq!(hot.state, State::Waiting, "only those who wait are chosen");
        let task = TaskId::new(slot, hot.generation);
        let waited = now - hot.since;
        hot.waits += 1;
        hot.waited += waited;
        hot.since = now;
        hot.state = State::Running;
        core.running = slot;
        core.until = now.saturating_add(slice);
        core.waiting -= 1;
        self.totals.runtime.change(now, 1);
        match hot.kind {
            Kind::Normal => self.given.change(now, 1),
            kind if kind.is_strict() => {
                core.strict -= 1;
                self.strict -= 1;
            }
            _ => {}
        }
        self.waiting -= 1;
        self.waits.count(waited);
        if last.task != task {
            if last.against_its_will {
                self.totals.preemptions += 1;
                // It may have left since; then there is nobody left to count it for.
                if self.table.find(last.task).is_some() {
                    self.table.count_preemptions(last.task.place(), 1);
                }
            } else {
                self.totals.willing += 1;
            }
        }
        Pick { task, slice: Nanos(slice) }
    }

    /// What [`charge_running`](Scheduler::charge_running) and [`stop`](Scheduler::stop) come to for a normal task of the
    /// root that goes on waiting here. Nothing is done where it is not as simple.
    #[inline(always)]
    pub(super) fn put_back_simply(&mut self, cpu: usize, slot: Slot, why: Why) -> Option<TaskId> {
        let how = match why {
            Why::Expired => Return::Expired,
            Why::Preempted => Return::Preempted,
            Why::Yield => Return::Yielded,
            Why::Blocked | Why::Exited => return None,
        };
        let (now, core, hot) = (self.now, &mut self.cores[cpu], &mut self.table.hot[slot as usize]);
        if hot.kind != Kind::Normal || core.evict || core.node != cpu as u32 {
            return None;
        }
        let (ran, task) = (now - hot.since, TaskId::new(slot, hot.generation));
        hot.since = now;
        hot.runtime = hot.runtime.saturating_add(ran);
        core.running = NONE;
        core.waiting += 1;
        core.last = Last { task, against_its_will: how != Return::Yielded };
        self.waiting += 1;
        self.totals.runtime.change(now, -1);
        self.given.change(now, -1);
        let node = &mut self.nodes[cpu];
        node.running = NONE;
        node.queue.put_back(&mut self.table, slot, ran, how);
        self.table.at_mut(slot).state = State::Waiting;
        Some(task)
    }

    /// Both of the above for the only CPU: nobody leaves and nobody comes, so what is counted of those who wait and
    /// run stays as it is. Step by step where it is not as simple.
    ///
    /// It is compiled once for each way to choose, so that the shortest ways have nothing of the others in them. That
    /// answers who is next and what is left of its request, not asking since when the one that comes back waits; or
    /// nobody, and has changed nothing.
    #[inline(always)]
    pub(super) fn switch_simply(
        &mut self,
        (cpu, now, why): (Cpu, Nanos, Why),
        choose: impl FnOnce(&mut Queue, &mut Table, Charged) -> Option<(Slot, u64)>,
    ) -> Result<Switch, SchedError> {
        let how = match why {
            Why::Expired => Return::Expired,
            Why::Preempted => Return::Preempted,
            Why::Yield => Return::Yielded,
            Why::Blocked | Why::Exited => return self.switch_by_steps(cpu, now, why),
        };
        let ([core], [node]) = (&mut self.cores[..], &mut self.nodes[..]) else {
            return self.switch_by_steps(cpu, now, why);
        };
        let slot = core.running;
        let nothing_else =
            cpu.0 == 0 && self.now <= now.0 && now.0 < self.due && core.strict == 0 && !core.evict;
        let Some(hot) = self.table.hot.get(slot as usize).filter(|hot| nothing_else && hot.is_simple())
        else {
            return self.switch_by_steps(cpu, now, why);
        };
        let (ran, from) = (now.0 - hot.since, TaskId::new(slot, hot.generation));
        let charged = Charged { slot, ran, how, now: now.0 };
        let Some((next, limit)) = choose(&mut node.queue, &mut self.table, charged) else {
            return self.switch_by_steps(cpu, now, why);
        };
        let now = now.0;
        self.now = now;
        let all = &mut self.table.hot[..];
        let hot = &mut all[slot as usize];
        hot.runtime = hot.runtime.saturating_add(ran);
        hot.since = now;
        if next != slot {
            hot.state = State::Waiting;
            match how {
                Return::Yielded => self.totals.willing += 1,
                Return::Expired | Return::Preempted => {
                    self.totals.preemptions += 1;
                    hot.count_preemption();
                }
            }
        }
        node.running = next;
        core.running = next;
        let hot = &mut all[next as usize];
        let slice = match hot.has_own_slice() {
            true => u64::from(self.table.cold[next as usize].slice),
            false => self.policy.slice().length().0,
        };
        let slice = slice.min(limit);
        core.until = now.saturating_add(slice);
        let waited = now - hot.since;
        hot.waits += 1;
        hot.waited += waited;
        hot.since = now;
        hot.state = State::Running;
        self.waits.count(waited);
        let task = TaskId::new(next, hot.generation);
        Ok(Switch { from, to: Some(Pick { task, slice: Nanos(slice) }) })
    }

    #[inline(never)]
    pub(super) fn switch_in_turns(&mut self, cpu: Cpu, now: Nanos, why: Why) -> Result<Switch, SchedError> {
        self.switch_simply((cpu, now, why), |queue, table, Charged { slot, how, .. }| match queue {
            Queue::Turns(ring) if how != Return::Preempted => {
                Some((ring.rotate(&mut table.hot, slot), u64::MAX))
            }
            _ => None,
        })
    }

    #[inline(never)]
    pub(super) fn switch_by_level(&mut self, cpu: Cpu, now: Nanos, why: Why) -> Result<Switch, SchedError> {
        self.switch_simply((cpu, now, why), |queue, table, Charged { slot, how, .. }| match queue {
            Queue::Levels(levels, None) if how != Return::Preempted => {
                Some((levels.rotate(&mut table.hot, slot)?, u64::MAX))
            }
            _ => None,
        })
    }

    #[inline(never)]
    pub(super) fn switch_by_time(&mut self, cpu: Cpu, now: Nanos, why: Why) -> Result<Switch, SchedError> {
        self.switch_simply((cpu, now, why), |queue, table, Charged { slot, ran, how, now }| {
            let next = queue.put_back_and_pop(table, slot, ran, how, now);
            Some((next, queue.request_left(table, next)))
        })
    }

    /// The running task has been charged and is taken off its CPU. Answers which it was.
    #[inline(never)]
    pub(super) fn stop(&mut self, cpu: usize, slot: Slot, why: Why) -> TaskId {
        let task = self.table.id(slot);
        let kind = self.table.at(slot).kind;
        let core = &mut self.cores[cpu];
        core.running = NONE;
        core.last = Last { task, against_its_will: matches!(why, Why::Expired | Why::Preempted) };
        let (node, evict) = (core.node, std::mem::take(&mut core.evict));
        self.totals.runtime.change(self.now, -1);
        self.given.change(self.now, -i32::from(kind == Kind::Normal));
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
                return task;
            }
        };
        match kind {
            Kind::Normal => self.requeue_normal(node, slot, how),
            Kind::Idle if how == Return::Preempted => self.cores[cpu].idle.push_front(&mut self.table, slot),
            Kind::Idle => self.cores[cpu].idle.push_back(&mut self.table, slot),
            _ => self.requeue_strict(cpu, slot, how),
        }
        if !kind.is_strict() {
            let hot = self.table.at_mut(slot);
            hot.state = State::Waiting;
            hot.since = self.now;
            self.count_waiting(cpu, kind, 1);
        }
        if evict {
            self.evict(slot);
        }
        task
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Policy, Weight};

    #[test]
    fn a_switch_counts_preemptions_beyond_the_low_half_of_their_counter() {
        for policy in [Policy::ROUND_ROBIN, Policy::PRIORITY, Policy::FAIR, Policy::EEVDF] {
            let mut sched = Scheduler::new(policy, 1).unwrap();
            let tasks = [(); 2].map(|()| sched.add(Weight::DEFAULT, Nanos::ZERO).unwrap());
            for task in tasks {
                sched.table.count_preemptions(task.place(), u64::from(u32::MAX) - 1);
            }
            sched.pick(Cpu(0), Nanos::ZERO).unwrap();
            for turn in 1..=8 {
                let switch = sched.switch(Cpu(0), Nanos::from_millis(10 * turn), Why::Expired).unwrap();
                assert_ne!(switch.to.unwrap().task, switch.from, "{policy:?}");
            }
            let counted = tasks.map(|task| sched.task(task).unwrap().preemptions);
            assert_eq!(counted, [(1 << 32) + 2; 2], "{policy:?}");
            assert_eq!(sched.stats().preemptions, 8);
        }
    }
}
