//! Several CPUs: where a task goes, who is fetched from where, and whose turn it should be instead.

use super::Scheduler;
use super::tree::Node;
use crate::queue::{Arrival, Queue};
use crate::table::{Kind, NONE, Slot, State};
use crate::{Cpu, Nanos, Policy, SchedError};

/// How many waiting tasks of the busiest CPU are looked at for one to move.
const LOOK_AT: usize = 32;

impl Scheduler {
    /// The CPU for a task that is about to wait: the one it had, if that is idle or not much busier than others; an
    /// idle one; the one that does the least pressing work.
    pub(super) fn place(&self, slot: Slot) -> u16 {
        if self.cores.len() == 1 {
            return 0;
        }
        let (mask, before) = (self.table.rest(slot).mask, u32::from(self.table.at(slot).cpu));
        let is_idle = |cpu: u32| {
            let core = &self.cores[cpu as usize];
            core.running == NONE && core.waiting == 0
        };
        let may_stay = self.masks.allows(mask, before);
        if may_stay && is_idle(before) {
            return before as u16;
        }
        if let Some(idle) = self.masks.iter(mask).find(|&cpu| is_idle(cpu)) {
            return idle as u16;
        }
        if self.table.at(slot).kind.is_strict() {
            let lowest = self.masks.iter(mask).min_by_key(|&cpu| (self.pressing(cpu), cpu != before));
            return lowest.unwrap_or(before) as u16;
        }
        let load = |cpu: u32| self.nodes[cpu as usize].load;
        let least = self.masks.iter(mask).min_by_key(|&cpu| load(cpu)).unwrap_or(before);
        match may_stay && load(before) <= load(least) + load(least) / 4 {
            true => before as u16,
            false => least as u16,
        }
    }

    /// How pressing the work of a CPU is: its strict tasks, the one that runs first of all.
    fn pressing(&self, cpu: u32) -> (u64, u32) {
        let core = &self.cores[cpu as usize];
        let running = match core.running {
            NONE => 0,
            slot => self.urgency(slot).max(1),
        };
        (running, core.strict)
    }

    /// Strict tasks in order: the earlier deadline, then the higher priority. 0 for all others.
    fn urgency(&self, slot: Slot) -> u64 {
        match self.table.at(slot).kind {
            Kind::Deadline => u64::MAX - (self.table.rest(slot).deadline >> 1),
            Kind::Fifo | Kind::Turns => u64::from(self.table.rest(slot).aux),
            _ => 0,
        }
    }

    fn may_run_on(&self, slot: Slot, cpu: usize) -> bool {
        self.masks.allows(self.table.rest(slot).mask, cpu as u32)
    }

    /// Before an idle CPU chooses: fetches what goes before all that it has itself.
    #[inline(never)]
    pub(super) fn pull(&mut self, cpu: usize) {
        if self.strict > 0 {
            self.pull_strict(cpu);
        }
        if self.now >= self.next_balance {
            self.next_balance = self.now + 4 * self.policy.slice().length().0;
            self.balance();
        }
        if self.cores[cpu].strict == 0 && matches!(self.policy, Policy::Priority { .. }) {
            self.pull_priority(cpu);
        }
    }

    fn pull_strict(&mut self, cpu: usize) {
        let capped = self.rt_left(cpu).0 == 0;
        let mut best =
            self.first_deadline(cpu).map(|entry| entry.slot).or_else(|| self.cores[cpu].rt.first());
        let mut found = None;
        for other in (0..self.cores.len()).filter(|&other| other != cpu) {
            let core = &self.cores[other];
            if core.strict == 0 {
                continue;
            }
            let live = core.deadlines.entries().iter().filter(|entry| entry.is_live(&self.table));
            let live = live.map(|entry| entry.slot).filter(|&slot| self.may_run_on(slot, cpu));
            let deadline = live.max_by_key(|&slot| (self.urgency(slot), std::cmp::Reverse(slot)));
            let mut by_priority = core.rt.iter(&self.table).filter(|&slot| self.may_run_on(slot, cpu));
            let slot = deadline.or_else(|| if capped { None } else { by_priority.next() });
            let urgency = |slot: Option<Slot>| slot.map_or(0, |slot| self.urgency(slot));
            if urgency(slot) > urgency(best) {
                (best, found) = (slot, slot);
            }
        }
        if let Some(slot) = found {
            self.migrate(slot, cpu as u16);
        }
    }

    /// The highest priority that waits anywhere, if it is higher than any here.
    fn pull_priority(&mut self, cpu: usize) {
        let own = self.nodes[cpu].queue.first(&self.table, self.now);
        let mut highest = own.map_or(-1, |slot| i16::from(self.table.at(slot).priority()));
        let mut found = None;
        for other in (0..self.cores.len()).filter(|&other| other != cpu) {
            let higher = |slot: Slot| i16::from(self.table.at(slot).priority()) > highest;
            let Queue::Levels(levels, _) = &self.nodes[other].queue else { continue };
            let waiting = levels.iter(&self.table).take_while(|&slot| higher(slot));
            let tasks = waiting.filter(|&slot| self.table.at(slot).kind != Kind::Group);
            if let Some(slot) = tasks.into_iter().find(|&slot| self.may_run_on(slot, cpu)) {
                highest = i16::from(self.table.at(slot).priority());
                found = Some(slot);
            }
        }
        if let Some(slot) = found {
            self.migrate(slot, cpu as u16);
        }
    }

    /// Fetches a normal task for a CPU that has none: from the one with the most to do, or from whoever has one.
    pub(super) fn pull_normal(&mut self, cpu: usize) -> bool {
        let busiest = (0..self.cores.len()).max_by_key(|&other| (self.nodes[other].members, other));
        let mut others = busiest.into_iter().chain(0..self.cores.len()).filter(|&other| other != cpu);
        let found = others.find_map(|other| self.movable(other as u32, cpu));
        if let Some(slot) = found {
            self.migrate(slot, cpu as u16);
        }
        found.is_some()
    }

    /// A task that waits in this node, or in one below it, and may run on that CPU.
    fn movable(&self, node: u32, cpu: usize) -> Option<Slot> {
        let mut inside = None;
        let found = self.nodes[node as usize].queue.find(&self.table, |slot| {
            if self.table.at(slot).kind != Kind::Group {
                return self.may_run_on(slot, cpu);
            }
            let child = self.table.rest(slot).group;
            if !self.group_ref(self.nodes[child as usize].group).throttled {
                inside = self.movable(child, cpu);
            }
            inside.is_some()
        });
        // A group that runs has no entity waiting, but may have tasks that do.
        let running = self.nodes[node as usize].running;
        inside.or(found).or_else(|| {
            let below = running != NONE && self.table.at(running).kind == Kind::Group;
            below.then(|| self.movable(self.table.rest(running).group, cpu)).flatten()
        })
    }

    pub(super) fn pull_idle(&mut self, cpu: usize) -> bool {
        let others = (0..self.cores.len()).filter(|&other| other != cpu);
        let mut all = others.flat_map(|other| self.cores[other].idle.iter(&self.table));
        let found = all.find(|&slot| self.may_run_on(slot, cpu));
        drop(all);
        if let Some(slot) = found {
            self.migrate(slot, cpu as u16);
        }
        found.is_some()
    }

    /// Moves a task that waits, with its lag. To its waiting nothing happens.
    pub(super) fn migrate(&mut self, slot: Slot, cpu: u16) {
        self.withdraw(slot);
        let lag = self.lag_away(slot);
        self.table.at_mut(slot).cpu = cpu;
        self.enqueue(slot, Arrival::Moved(lag));
        self.totals.migrations += 1;
    }

    /// The running task has been put back where it may not stay.
    pub(super) fn evict(&mut self, slot: Slot) {
        let cpu = self.place(slot);
        match self.table.at(slot).state {
            State::Waiting => self.migrate(slot, cpu),
            _ => self.table.at_mut(slot).cpu = cpu,
        }
    }

    /// Evens out the loads, as far as that is worth it: a quarter more than another is. And lets those take turns on
    /// a crowded CPU whom no division of the tasks could serve alike: three on two CPUs.
    fn balance(&mut self) {
        if matches!(self.policy, Policy::Priority { .. }) {
            return;
        }
        let mut moved = Vec::new();
        for _ in 0..self.cores.len() {
            let load = |cpu: &usize| self.nodes[*cpu].load;
            let (Some(busiest), Some(idlest)) =
                ((0..self.cores.len()).max_by_key(load), (0..self.cores.len()).min_by_key(load))
            else {
                return;
            };
            let (most, difference) = (load(&busiest), load(&busiest) - load(&idlest));
            let movable = |crowded: usize| {
                let mut candidates = self.candidates(crowded, idlest);
                candidates.retain(|(slot, weight)| *weight <= difference && !moved.contains(slot));
                candidates
            };
            let best = match difference * 4 > most {
                true => self.best_fit(&movable(busiest), difference),
                false => None,
            };
            let turn = |crowded: usize| self.whose_turn(crowded, &movable(crowded), difference);
            let (slot, to) = match best {
                Some(slot) => (slot, idlest),
                None => {
                    let crowded = (0..self.cores.len()).filter(|cpu| load(cpu) == most);
                    let Some(slot) = { crowded }.find_map(turn) else { return };
                    (slot, self.best_served(slot, idlest))
                }
            };
            self.migrate(slot, to as u16);
            moved.push(slot);
        }
    }

    /// The one that leaves the least difference; among equals the one that is owed the most.
    fn best_fit(&self, candidates: &[(Slot, u64)], difference: u64) -> Option<Slot> {
        let fitting = candidates.iter().filter(|&&(_, weight)| weight < difference);
        let best = fitting.min_by_key(|&&(slot, weight)| (difference.abs_diff(2 * weight), -self.owed(slot)));
        best.map(|&(slot, _)| slot)
    }

    /// To move one whose weight is the whole difference only changes which CPU is the crowded one. That is for the
    /// good of those who stay, if one of them has waited for it long enough; who has had the most goes.
    fn whose_turn(&self, crowded: usize, candidates: &[(Slot, u64)], difference: u64) -> Option<Slot> {
        let patience = 2 * i128::from(self.policy.slice().length().0);
        let running = self.cores[crowded].running;
        let running = (running != NONE && self.table.at(running).kind == Kind::Normal).then_some(running);
        let there: Vec<(Slot, i128)> = candidates
            .iter()
            .map(|&(slot, _)| slot)
            .chain(running)
            .map(|slot| (slot, self.owed(slot)))
            .collect();
        let same = candidates.iter().filter(|&&(_, weight)| weight == difference).map(|&(slot, _)| slot);
        let least = same.min_by_key(|&slot| (self.owed(slot), slot))?;
        let own = self.owed(least);
        let waits = |&(slot, owed): &(Slot, i128)| slot != least && owed > patience && owed >= own;
        there.iter().any(waits).then_some(least)
    }

    /// Of the CPUs with as little to do as this one, that whose task has had the most beyond its part.
    fn best_served(&self, slot: Slot, idlest: usize) -> usize {
        let load = self.nodes[idlest].load;
        let alike =
            (0..self.cores.len()).filter(|&cpu| self.nodes[cpu].load == load && self.may_run_on(slot, cpu));
        let served = |cpu: &usize| {
            let node = &self.nodes[*cpu];
            let anybody = node.queue.find(&self.table, |_| true);
            let there = (node.running != NONE).then_some(node.running).or(anybody);
            there.filter(|&slot| self.table.at(slot).kind == Kind::Normal).map_or(0, |slot| self.owed(slot))
        };
        alike.min_by_key(served).unwrap_or(idlest)
    }

    /// What a task is owed over all CPUs, in nanoseconds.
    fn owed(&self, slot: Slot) -> i128 {
        i128::from(self.entitled(slot)) - i128::from(self.table.at(slot).runtime)
    }

    /// Some tasks that wait on one CPU and may run on another, with what they add to the load.
    fn candidates(&self, from: usize, to: usize) -> Vec<(Slot, u64)> {
        let mut found = Vec::new();
        let mut looked = 0;
        self.look(from as u32, u64::MAX, &mut looked, &mut |slot, weight| {
            if self.may_run_on(slot, to) {
                found.push((slot, weight));
            }
        });
        found
    }

    fn look(&self, node: u32, most: u64, looked: &mut usize, see: &mut impl FnMut(Slot, u64)) {
        let Node { queue, running, .. } = &self.nodes[node as usize];
        let mut below = Vec::new();
        queue.find(&self.table, |slot| {
            *looked += 1;
            let weight = u64::from(self.policy.counted(self.table.at(slot).weight())).min(most);
            match self.table.at(slot).kind {
                Kind::Group => below.push((slot, weight)),
                _ => see(slot, weight),
            }
            *looked >= LOOK_AT
        });
        if *running != NONE && self.table.at(*running).kind == Kind::Group {
            let weight = u64::from(self.policy.counted(self.table.at(*running).weight()));
            below.push((*running, weight.min(most)));
        }
        for (slot, weight) in below {
            let child = self.table.rest(slot).group;
            let throttled = self.group_ref(self.nodes[child as usize].group).throttled;
            if *looked < LOOK_AT && !throttled {
                // A member adds no more than its group does.
                self.look_below(child, weight, looked, see);
            }
        }
    }

    fn look_below(&self, node: u32, most: u64, looked: &mut usize, see: &mut dyn FnMut(Slot, u64)) {
        self.look(node, most, looked, &mut |slot, weight| see(slot, weight));
    }

    /// Whether somebody waits for this CPU who should have it now rather than the task that runs, or that task should
    /// not run on. The running task is charged for what it has had so far.
    pub fn preempts(&mut self, cpu: Cpu, now: Nanos) -> Result<bool, SchedError> {
        self.charge(cpu, now)?;
        let core = &self.cores[cpu.index()];
        let (slot, node, evict) = (core.running, core.node, core.evict);
        let (strict, kind) = (core.strict > 0, self.table.at(slot).kind);
        if evict {
            return Ok(true);
        }
        if strict {
            let first = self.first_deadline(cpu.index()).map(|entry| entry.slot);
            let capped = self.rt_left(cpu.index()).0 == 0;
            let first = first.or_else(|| if capped { None } else { self.cores[cpu.index()].rt.first() });
            if first.is_some_and(|first| self.urgency(first) > self.urgency(slot)) {
                return Ok(true);
            }
        }
        Ok(match kind {
            Kind::Idle => self.normal_waits(cpu.index()),
            Kind::Normal => self.is_throttled(node) || self.sibling_preempts(cpu.index()),
            _ => false,
        })
    }

    fn normal_waits(&mut self, cpu: usize) -> bool {
        self.nodes[cpu].queue.first(&self.table, self.now).is_some()
    }

    fn is_throttled(&self, node: u32) -> bool {
        let mut group = self.nodes[node as usize].group;
        while group != 0 {
            let at = self.group_ref(group);
            if at.throttled {
                return true;
            }
            group = at.parent;
        }
        false
    }

    /// On the way from the root to the running task: whether another entity goes before the one that leads to it.
    fn sibling_preempts(&mut self, cpu: usize) -> bool {
        let mut node = cpu;
        loop {
            let at = &mut self.nodes[node];
            let running = at.running;
            if let Some(first) = at.queue.first(&self.table, self.now)
                && !self.table.at(first).is_batch()
                && at.queue.preempts(&self.table, first, running)
            {
                return true;
            }
            if self.table.at(running).kind != Kind::Group {
                return false;
            }
            node = self.table.rest(running).group as usize;
        }
    }
}
