//! What can be changed while tasks run. Nobody is lost and nobody gets in twice.

use super::Scheduler;
use crate::queue::{Arrival, Queue};
use crate::table::{Kind, NONE, Slot, State};
use crate::{Class, CpuSet, GroupId, Nanos, Policy, Priority, Quantum, SchedError, TaskId, Weight};

impl Scheduler {
    /// Changes a weight, whatever the task does at the moment. It counts from now on; what it was owed stays.
    pub fn set_weight(&mut self, task: TaskId, weight: Weight, now: Nanos) -> Result<(), SchedError> {
        let slot = self.charged(task, now)?;
        self.weigh(slot, weight);
        Ok(())
    }

    /// Changes a priority, and with it the weight that stands for it.
    pub fn set_priority(&mut self, task: TaskId, priority: Priority, now: Nanos) -> Result<(), SchedError> {
        let slot = self.charged(task, now)?;
        self.weigh(slot, priority.weight());
        if self.table.at(slot).kind == Kind::Normal {
            let node = self.node_of(slot);
            self.nodes[node as usize].queue.prioritise(&mut self.table, slot, priority.0);
        } else {
            self.table.at_mut(slot).set_priority(priority.0);
        }
        Ok(())
    }

    /// Gives a task a slice of its own, or the policy's again. It counts from its next turn on.
    pub fn set_slice(&mut self, task: TaskId, slice: Option<Quantum>) -> Result<(), SchedError> {
        let slot = self.find(task)?;
        self.table.set_slice(slot, slice.map(|slice| slice.length().0 as u32));
        Ok(())
    }

    /// Moves a task into another class, whatever it does at the moment.
    pub fn set_class(&mut self, task: TaskId, class: Class, now: Nanos) -> Result<(), SchedError> {
        let slot = self.find(task)?;
        let words = self.masks.check(&self.masks.set(self.table.rest(slot).mask))?;
        self.check_admission(&class, &words, Some(slot))?;
        let slot = self.charged(task, now)?;
        let state = self.table.at(slot).state;
        if state != State::Blocked {
            self.leave(slot);
        }
        let was_normal = self.table.at(slot).kind == Kind::Normal;
        self.give_class(slot);
        self.take_class(slot, &class);
        let is_normal = Kind::of(&class) == Kind::Normal;
        if is_normal && !was_normal {
            let node = self.node_of(slot);
            self.nodes[node as usize].queue.keep_lag(&mut self.table, slot, 0);
        }
        match state {
            State::Waiting | State::Throttled => {
                let (lag, since) = (self.lag_away(slot), self.table.at(slot).since);
                self.arrive(slot, Arrival::Woken(lag));
                self.table.at_mut(slot).since = since;
            }
            State::Running => {
                let cpu = usize::from(self.table.at(slot).cpu);
                if is_normal {
                    self.open_account(slot);
                    let lag = self.lag_away(slot);
                    self.cores[cpu].node = self.join_running(slot, Arrival::Woken(lag));
                }
                self.given.change(self.now, i32::from(is_normal) - i32::from(was_normal));
                self.table.at_mut(slot).state = State::Running;
            }
            State::Blocked | State::Free => {}
        }
        Ok(())
    }

    /// Changes on which CPUs a task may run. If it runs on another just now, it goes when it is put back, and
    /// [`preempts`](Scheduler::preempts) says so.
    pub fn set_affinity(&mut self, task: TaskId, cpus: &CpuSet, now: Nanos) -> Result<(), SchedError> {
        let slot = self.find(task)?;
        let words = self.masks.check(cpus)?;
        self.check_admission(&self.class_of(slot), &words, Some(slot))?;
        self.check_time(now)?;
        self.advance(now);
        let mask = self.masks.hold(words);
        let before = std::mem::replace(&mut self.table.rest_mut(slot).mask, mask);
        self.masks.release(before);
        let (cpu, state) = (usize::from(self.table.at(slot).cpu), self.table.at(slot).state);
        let may_stay = self.masks.allows(mask, cpu as u32);
        match state {
            State::Running => self.cores[cpu].evict = !may_stay,
            _ if may_stay => {}
            State::Waiting => {
                let cpu = self.place(slot);
                self.migrate(slot, cpu);
            }
            _ => {
                let (lag, cpu) = (self.lag_away(slot), self.place(slot));
                self.table.at_mut(slot).cpu = cpu;
                self.keep_lag(slot, lag);
            }
        }
        Ok(())
    }

    /// On which CPUs a task may run.
    pub fn affinity(&self, task: TaskId) -> Result<CpuSet, SchedError> {
        Ok(self.masks.set(self.table.rest(self.find(task)?).mask))
    }

    /// Moves a task that does not run into a group.
    pub fn set_group(&mut self, task: TaskId, group: GroupId, now: Nanos) -> Result<(), SchedError> {
        let slot = self.idle(task)?;
        let group = self.group(group)?;
        self.check_time(now)?;
        self.advance(now);
        let waits = self.table.at(slot).state == State::Waiting;
        let normal = self.table.at(slot).kind == Kind::Normal;
        if waits && normal {
            self.leave(slot);
        }
        let lag = self.lag_away(slot);
        let before = std::mem::replace(&mut self.table.rest_mut(slot).group, group);
        self.group_mut(before).tasks -= 1;
        self.group_mut(group).tasks += 1;
        if waits && normal {
            self.open_account(slot);
            self.enqueue(slot, Arrival::Moved(lag));
        } else {
            self.keep_lag(slot, lag);
        }
        Ok(())
    }

    /// Changes the policy while everything goes on. Tasks come in the order they would have run in, with their lag
    /// as far as it is not more than a slice. Answers how many tasks and groups were moved: it takes time for each.
    pub fn set_policy(&mut self, policy: Policy, now: Nanos) -> Result<usize, SchedError> {
        self.check_time(now)?;
        self.advance(now);
        self.charge_all();
        let open: Vec<Slot> = self.table.tasks().filter(|&slot| self.has_account(slot)).collect();
        for &slot in &open {
            self.close_account(slot);
        }
        // Lags of those who are in no queue, while the old queues are still there to be asked.
        let mut away = Vec::new();
        for slot in 0..self.table.hot.len() as Slot {
            let hot = self.table.at(slot);
            let outside = matches!(hot.state, State::Blocked | State::Throttled);
            if outside && matches!(hot.kind, Kind::Normal | Kind::Group) {
                let node = self.home(slot);
                away.push((slot, node, self.nodes[node as usize].queue.lag(&mut self.table, slot)));
            }
        }
        self.policy = policy;
        let mut moved = 0;
        for node in 0..self.nodes.len() {
            let mut queue = std::mem::replace(&mut self.nodes[node].queue, Queue::new(&policy));
            let mut members = queue.order(&self.table);
            members.extend((self.nodes[node].running != NONE).then_some(self.nodes[node].running));
            let lags: Vec<i64> = members.iter().map(|&slot| queue.lag(&mut self.table, slot)).collect();
            let at = &mut self.nodes[node];
            for (&slot, lag) in members.iter().zip(lags) {
                match self.table.at(slot).state {
                    State::Running => at.queue.join_running(&mut self.table, slot, Arrival::Switched(lag)),
                    _ => at.queue.join(&mut self.table, slot, Arrival::Switched(lag)),
                }
            }
            moved += members.len();
        }
        for (slot, node, lag) in away {
            self.nodes[node as usize].queue.keep_lag(&mut self.table, slot, lag);
        }
        self.reload();
        for slot in open {
            self.open_account(slot);
        }
        Ok(moved)
    }

    /// A task that is there, charged for what it ran if it runs.
    fn charged(&mut self, task: TaskId, now: Nanos) -> Result<Slot, SchedError> {
        let slot = self.find(task)?;
        self.check_time(now)?;
        self.advance(now);
        if self.table.at(slot).state == State::Running {
            self.charge_running(usize::from(self.table.at(slot).cpu), slot);
        }
        Ok(slot)
    }

    /// Charges everybody who runs.
    pub(super) fn charge_all(&mut self) {
        for cpu in 0..self.cores.len() {
            let slot = self.cores[cpu].running;
            if slot != NONE {
                self.charge_running(cpu, slot);
            }
        }
    }

    fn weigh(&mut self, slot: Slot, weight: Weight) {
        if self.table.at(slot).kind != Kind::Normal {
            self.table.at_mut(slot).set_weight(weight.get());
            return;
        }
        let open = self.has_account(slot);
        if open {
            self.close_account(slot);
        }
        self.bring_up(usize::from(self.table.at(slot).cpu));
        let node = self.node_of(slot);
        self.reweigh_in(node, slot, weight.get());
        if open {
            self.open_account(slot);
        }
    }

    fn keep_lag(&mut self, slot: Slot, lag: i64) {
        if self.table.at(slot).kind == Kind::Normal {
            self.bring_up(usize::from(self.table.at(slot).cpu));
            let node = self.node_of(slot);
            self.nodes[node as usize].queue.keep_lag(&mut self.table, slot, lag);
        }
    }

    /// The node in whose queue an entity waits or would wait.
    fn home(&mut self, slot: Slot) -> u32 {
        match self.table.at(slot).kind {
            Kind::Group => self.parent_of(self.table.rest(slot).group),
            _ => self.node_of(slot),
        }
    }

    /// Adds up the loads anew: another policy counts weights differently.
    fn reload(&mut self) {
        for group in self.groups.iter_mut().flatten() {
            group.load = 0;
        }
        for node in 0..self.nodes.len() {
            let mut members = self.nodes[node].queue.order(&self.table);
            members.extend((self.nodes[node].running != NONE).then_some(self.nodes[node].running));
            let weigh = |&slot: &Slot| u64::from(self.policy.counted(self.table.at(slot).weight()));
            let load = members.iter().map(weigh).sum();
            self.nodes[node].load = load;
            if let Some(group) = &mut self.groups[self.nodes[node].group as usize] {
                group.load += load;
            }
        }
    }
}
