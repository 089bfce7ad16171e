//! Why a task runs or waits, as data.

use super::Scheduler;
use crate::queue::Queue;
use crate::table::{Kind, NONE, Slot, State};
use crate::{Cpu, GroupId, Nanos, Priority, SchedError, TaskId};

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// It does not want to run.
    Blocked {
        /// Since when.
        since: Nanos,
    },
    /// It runs.
    Running {
        /// Where.
        cpu: Cpu,
        /// Until when at the most.
        until: Nanos,
        /// Who would be next of its like: of those it shares the CPU with, in its class.
        next: Option<TaskId>,
        /// What it was owed, in nanoseconds of CPU time, when it was last charged; below zero if it has had too much.
        lag_ns: i64,
    },
    /// It wants to run.
    Waiting {
        /// Where.
        cpu: Cpu,
        /// Since when.
        since: Nanos,
        /// Who has the CPU, and until when at the most.
        behind: Option<(TaskId, Nanos)>,
        /// What decides, among those who wait, that it is not next.
        ahead: Ahead,
        /// What it is owed, in nanoseconds of CPU time; below zero if it has had too much. As with
        /// [`lag_ns`](Scheduler::lag_ns), 0 where the policy counts no such thing.
        lag_ns: i64,
    },
}

/// What puts another before a task that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ahead {
    /// Nothing: it is next when the CPU is free.
    Nothing,
    /// It, or the group it is in, has used up its runtime or budget.
    Throttled {
        /// The group; none if it is the task's own reservation.
        group: Option<GroupId>,
        /// When that is filled again.
        until: Nanos,
    },
    /// Strict tasks have used up their part of this second, and others want the CPU.
    Capped {
        /// When the second is over.
        until: Nanos,
    },
    /// Somebody of a higher class waits.
    Class {
        /// Who.
        task: TaskId,
    },
    /// Somebody's deadline is earlier.
    Deadline {
        /// Whose.
        task: TaskId,
        /// By how much.
        by: Nanos,
    },
    /// Somebody's priority, or real-time priority, is higher, its age counted.
    Priority {
        /// Whose.
        task: TaskId,
        /// The other's.
        theirs: u8,
        /// Its own.
        own: u8,
    },
    /// It is not its turn yet.
    Turn {
        /// Who is first.
        task: TaskId,
        /// How many are before it.
        before: u32,
    },
    /// Somebody has had less for its weight.
    Share {
        /// Who.
        task: TaskId,
        /// By how much less, as CPU time of the task asked about.
        by: Nanos,
    },
    /// It has had more than its part, so that others are eligible first.
    NotEligible {
        /// Who is first.
        task: TaskId,
        /// How much too much, as its CPU time.
        by: Nanos,
    },
    /// Somebody's request ends earlier in virtual time.
    VirtualDeadline {
        /// Whose.
        task: TaskId,
        /// By how much, as CPU time of the task asked about.
        by: Nanos,
    },
}

impl Scheduler {
    /// Why a task runs or waits: who is before it, by how much, until when. Of groups side by side it says which
    /// one's next task it is.
    pub fn explain(&mut self, task: TaskId) -> Result<Standing, SchedError> {
        let slot = self.find(task)?;
        let hot = self.table.at(slot);
        let (cpu, since) = (self.table.cpu(slot), Nanos(hot.since));
        Ok(match hot.state {
            State::Blocked | State::Free => Standing::Blocked { since },
            State::Running => {
                let (until, next) =
                    (Nanos(self.cores[cpu.index()].until), self.next_after(cpu.index(), slot));
                Standing::Running { cpu, until, next, lag_ns: self.lag_as_charged(slot) }
            }
            State::Waiting | State::Throttled => {
                let behind = self.current(cpu)?;
                let (ahead, lag_ns) = (self.ahead(cpu.index(), slot), self.lag_as_charged(slot));
                Standing::Waiting { cpu, since, behind, ahead, lag_ns }
            }
        })
    }

    /// To explain changes nothing, so that nobody is charged for it either.
    fn lag_as_charged(&mut self, slot: Slot) -> i64 {
        if self.table.at(slot).kind != Kind::Normal {
            return 0;
        }
        let node = self.node_of(slot);
        let lag = i128::from(self.nodes[node as usize].queue.lag(&mut self.table, slot));
        let lag = lag * i128::from(self.table.at(slot).weight()) / 1024;
        lag.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    fn next_after(&mut self, cpu: usize, slot: Slot) -> Option<TaskId> {
        let first = match self.table.at(slot).kind {
            Kind::Normal | Kind::Group => {
                let (node, now) = (self.node_of(slot), self.now);
                self.nodes[node as usize].queue.first(&self.table, now)
            }
            Kind::Idle => self.cores[cpu].idle.first(),
            Kind::Fifo | Kind::Turns => self.cores[cpu].rt.first(),
            Kind::Deadline => self.first_deadline(cpu).map(|entry| entry.slot),
        };
        first.map(|first| self.leader(first))
    }

    fn ahead(&mut self, cpu: usize, slot: Slot) -> Ahead {
        let (kind, state) = (self.table.at(slot).kind, self.table.at(slot).state);
        if state == State::Throttled {
            return Ahead::Throttled { group: None, until: self.replenished_at(slot) };
        }
        let deadline = self.first_deadline(cpu).map(|entry| entry.slot);
        if kind == Kind::Deadline {
            return match deadline.filter(|&first| first != slot) {
                None => Ahead::Nothing,
                Some(first) => {
                    let by = self.table.rest(slot).deadline - self.table.rest(first).deadline;
                    Ahead::Deadline { task: self.table.id(first), by: Nanos(by) }
                }
            };
        }
        if let Some(first) = deadline {
            return Ahead::Class { task: self.table.id(first) };
        }
        let (left, until) = self.rt_left(cpu);
        let others = self.nodes[cpu].members > 0 || !self.cores[cpu].idle.is_empty();
        let capped = left == 0 && others;
        let rt = self.cores[cpu].rt.first();
        match (kind, rt) {
            (Kind::Fifo | Kind::Turns, _) if capped => Ahead::Capped { until: Nanos(until) },
            (Kind::Fifo | Kind::Turns, Some(first)) if first != slot => {
                let (theirs, own) = (self.table.rest(first).aux as u8, self.table.rest(slot).aux as u8);
                let task = self.table.id(first);
                match theirs == own {
                    false => Ahead::Priority { task, theirs, own },
                    true => {
                        let equals = self.cores[cpu].rt.iter(&self.table);
                        Ahead::Turn { task, before: equals.take_while(|&other| other != slot).count() as u32 }
                    }
                }
            }
            (Kind::Fifo | Kind::Turns, _) => Ahead::Nothing,
            (_, Some(first)) if !capped => Ahead::Class { task: self.table.id(first) },
            (Kind::Idle, _) => self.ahead_of_idle(cpu, slot),
            _ => self.ahead_in_tree(slot),
        }
    }

    fn ahead_of_idle(&mut self, cpu: usize, slot: Slot) -> Ahead {
        let now = self.now;
        if let Some(first) = self.nodes[cpu].queue.first(&self.table, now) {
            return Ahead::Class { task: self.leader(first) };
        }
        let before = self.cores[cpu].idle.iter(&self.table).take_while(|&other| other != slot).count();
        match self.cores[cpu].idle.first().filter(|&first| first != slot) {
            None => Ahead::Nothing,
            Some(first) => Ahead::Turn { task: self.table.id(first), before: before as u32 },
        }
    }

    /// From the root down to where the task's way and the next one's part.
    fn ahead_in_tree(&mut self, slot: Slot) -> Ahead {
        let mut node = self.node_of(slot);
        let mut way = vec![(node, slot)];
        while self.nodes[node as usize].entity != NONE {
            let entity = self.nodes[node as usize].entity;
            let group = self.nodes[node as usize].group;
            if self.group_ref(group).throttled {
                let until = Nanos(self.group_ref(group).refill_at());
                return Ahead::Throttled { group: Some(self.group_id(group)), until };
            }
            node = self.parent_of(node);
            way.push((node, entity));
        }
        for (node, entity) in way.into_iter().rev() {
            let (at, now) = (&mut self.nodes[node as usize], self.now);
            if at.running == entity {
                continue;
            }
            match at.queue.first(&self.table, now) {
                Some(first) if first != entity => return self.compare(node, first, entity),
                _ => {}
            }
        }
        Ahead::Nothing
    }

    /// Why one entity of a node is before another.
    fn compare(&mut self, node: u32, first: Slot, entity: Slot) -> Ahead {
        let task = self.leader(first);
        let weight = self.table.at(entity).weight();
        let cpu_time = |units: u64| Nanos((u128::from(units) * u128::from(weight) / 1024) as u64);
        let (theirs, own) = (self.table.at(first), self.table.at(entity));
        let queue = &self.nodes[node as usize].queue;
        let turn = || {
            let order = queue.order(&self.table);
            Ahead::Turn { task, before: order.iter().take_while(|&&other| other != entity).count() as u32 }
        };
        match queue {
            Queue::Turns(_) => turn(),
            Queue::Levels(_, ageing) => {
                let aged = |hot: &crate::table::Hot| {
                    let age = ageing.map_or(0, |step| (self.now - hot.since) / step);
                    u64::from(hot.priority()) + age
                };
                match aged(theirs) > aged(own) {
                    true => Ahead::Priority { task, theirs: theirs.priority(), own: own.priority() },
                    false => turn(),
                }
            }
            Queue::Fair(_) => {
                Ahead::Share { task, by: cpu_time(own.vruntime.saturating_sub(theirs.vruntime)) }
            }
            Queue::Eevdf(eevdf) if !eevdf.is_eligible(own.vruntime) => {
                let by = own.vruntime.saturating_sub(eevdf.virtual_now());
                Ahead::NotEligible { task, by: cpu_time(by) }
            }
            Queue::Eevdf(_) => {
                let by = self.table.rest(entity).deadline.saturating_sub(self.table.rest(first).deadline);
                Ahead::VirtualDeadline { task, by: cpu_time(by) }
            }
        }
    }

    /// The task that an entity stands for: itself, or the next one in a group.
    fn leader(&mut self, mut entity: Slot) -> TaskId {
        while self.table.at(entity).kind == Kind::Group {
            let (child, now) = (self.table.rest(entity).group as usize, self.now);
            let node = &mut self.nodes[child];
            match node.queue.first(&self.table, now) {
                Some(first) => entity = first,
                None => break,
            }
        }
        self.table.id(entity)
    }

    /// A task's priority among normal tasks.
    pub fn priority(&self, task: TaskId) -> Result<Priority, SchedError> {
        Ok(Priority(self.table.at(self.find(task)?).priority()))
    }
}
