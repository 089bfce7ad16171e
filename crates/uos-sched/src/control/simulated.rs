//! A controller over processes that exist only in a scheduler, on a clock that moves when it is told to.

use super::{ControlError, Controller, Wanted, has_quota, refused_by_core};
use crate::{Cpu, GroupId, GroupSpec, Nanos, Policy, SchedError, Scheduler, Spec, TaskId, Weight, Why};
use std::collections::BTreeMap;

/// Busy processes on simulated CPUs.
pub struct SimulatedControl {
    sched: Scheduler,
    now: Nanos,
    /// Those that live, under control or not. One that has a quota is in a group of its own.
    living: BTreeMap<u32, (TaskId, Option<GroupId>)>,
    adopted: BTreeMap<u32, Wanted>,
}

impl SimulatedControl {
    /// So many CPUs, and nobody on them.
    pub fn new(cpus: u32) -> Result<SimulatedControl, SchedError> {
        let (living, adopted) = (BTreeMap::new(), BTreeMap::new());
        Ok(SimulatedControl { sched: Scheduler::new(Policy::FAIR, cpus)?, now: Nanos::ZERO, living, adopted })
    }

    /// A process that never stops wanting.
    pub fn start(&mut self, pid: u32) -> Result<(), SchedError> {
        let task = self.sched.add(Spec::default(), self.now)?;
        self.living.insert(pid, (task, None));
        Ok(())
    }

    /// A process ends.
    pub fn end(&mut self, pid: u32) -> Result<(), SchedError> {
        if let Some((task, own)) = self.living.remove(&pid) {
            self.sched.remove(task, self.now)?;
            own.map_or(Ok(()), |own| self.sched.destroy_group(own))?;
        }
        Ok(())
    }

    /// Time passes.
    pub fn pass(&mut self, time: Nanos) -> Result<(), SchedError> {
        let end = self.now + time;
        while self.now < end {
            let mut next = end;
            for cpu in (0..self.sched.cpus()).map(Cpu) {
                if let Some(pick) = self.sched.pick(cpu, self.now)? {
                    next = next.min(self.now + pick.slice);
                }
            }
            let event = self.sched.next_event().filter(|&at| at > self.now);
            next = event.map_or(next, |at| next.min(at));
            for cpu in (0..self.sched.cpus()).map(Cpu) {
                if self.sched.current(cpu)?.is_some() {
                    self.sched.put_back(cpu, next, Why::Expired)?;
                }
            }
            self.now = next;
        }
        Ok(())
    }

    fn find(&mut self, pid: u32) -> Result<TaskId, ControlError> {
        if !self.adopted.contains_key(&pid) {
            return Err(ControlError::NotAdopted { pid });
        }
        let found = self.living.get(&pid).map(|&(task, _)| task);
        if found.is_none() {
            self.adopted.remove(&pid);
        }
        found.ok_or(ControlError::Gone { pid })
    }

    fn enforce(&mut self, pid: u32, wanted: &Wanted) -> Result<(), ControlError> {
        let &(task, own) = self.living.get(&pid).ok_or(ControlError::Gone { pid })?;
        self.possible(wanted)?;
        let before = self.sched.affinity(task).map_err(|_| ControlError::Gone { pid })?;
        // First what can be refused: too deep a group, no such CPU, an overload.
        let spec = GroupSpec { weight: wanted.weight, quota: wanted.quota, ..GroupSpec::default() };
        let outer = own.and_then(|own| self.sched.group_stats(own).ok()?.parent);
        let around = match (own, wanted.quota) {
            (_, None) => None,
            (None, Some(_)) => Some(self.sched.create_group(wanted.group, spec)?),
            (Some(own), Some(_)) => {
                self.sched.move_group(own, wanted.group, self.now)?;
                Some(own)
            }
        };
        let set = self.sched.set_affinity(task, &wanted.affinity, self.now);
        if let Err(error) = set.and_then(|()| self.sched.set_class(task, wanted.class, self.now)) {
            let _ = self.sched.set_affinity(task, &before, self.now);
            let _ = match (around, outer) {
                (Some(own), Some(outer)) => self.sched.move_group(own, outer, self.now),
                (Some(new), None) => self.sched.destroy_group(new),
                (None, _) => Ok(()),
            };
            return Err(refused_by_core(pid, error));
        }
        self.sched.set_slice(task, wanted.slice).map_err(|error| refused_by_core(pid, error))?;
        let (group, weight) = match around {
            Some(around) => {
                self.sched.set_group_spec(around, spec, self.now)?;
                (around, Weight::DEFAULT)
            }
            None => (wanted.group, wanted.weight),
        };
        self.sched.set_group(task, group, self.now)?;
        self.sched.set_weight(task, weight, self.now)?;
        if let Some(left) = own.filter(|_| around.is_none()) {
            self.sched.destroy_group(left)?;
        }
        self.living.insert(pid, (task, around));
        Ok(())
    }

    fn possible(&self, wanted: &Wanted) -> Result<(), ControlError> {
        self.sched.group_stats(wanted.group)?;
        let what = match (wanted.quota, wanted.slice) {
            (Some(_), _) => "a quota",
            (_, Some(_)) => "a slice",
            _ if has_quota(&self.sched, wanted.group) => "the quota of a group",
            _ => return Ok(()),
        };
        match wanted.class.is_strict() {
            true => Err(ControlError::NotEnforceable { what, means: "a real-time class" }),
            false => Ok(()),
        }
    }

    /// Whether what is in a group can be held to a quota.
    fn possible_of(&self, group: GroupId, quota: bool) -> Result<(), ControlError> {
        let up = |group: &GroupId| self.sched.group_stats(*group).ok()?.parent;
        let is_in = |inner: GroupId| std::iter::successors(Some(inner), up).any(|outer| outer == group);
        let mut strict = self.adopted.values().filter(|wanted| wanted.class.is_strict());
        match quota && strict.any(|wanted| is_in(wanted.group)) {
            true => {
                Err(ControlError::NotEnforceable { what: "the quota of a group", means: "a real-time class" })
            }
            false => Ok(()),
        }
    }
}

impl Controller for SimulatedControl {
    fn adopt(&mut self, pid: u32, wanted: &Wanted) -> Result<(), ControlError> {
        if self.adopted.contains_key(&pid) {
            return Err(ControlError::AlreadyAdopted { pid });
        }
        self.enforce(pid, wanted)?;
        self.adopted.insert(pid, wanted.clone());
        Ok(())
    }

    fn apply(&mut self, pid: u32, wanted: &Wanted) -> Result<usize, ControlError> {
        self.find(pid)?;
        let before = self.adopted[&pid].clone();
        let differs = [
            before.weight != wanted.weight,
            before.quota != wanted.quota,
            before.affinity != wanted.affinity,
            before.class != wanted.class,
            before.slice != wanted.slice,
            before.group != wanted.group,
        ];
        let changed = differs.into_iter().filter(|&differs| differs).count();
        if changed > 0 {
            self.enforce(pid, wanted)?;
            self.adopted.insert(pid, wanted.clone());
        }
        Ok(changed)
    }

    fn used(&mut self, pid: u32) -> Result<Nanos, ControlError> {
        let task = self.find(pid)?;
        self.sched.task(task).map(|books| books.runtime).map_err(|_| ControlError::Gone { pid })
    }

    fn release(&mut self, pid: u32) -> Result<(), ControlError> {
        self.find(pid)?;
        self.adopted.remove(&pid);
        self.enforce(pid, &Wanted::default())
    }

    fn create_group(&mut self, parent: GroupId, spec: GroupSpec) -> Result<GroupId, ControlError> {
        Ok(self.sched.create_group(parent, spec)?)
    }

    fn set_group(&mut self, group: GroupId, spec: GroupSpec) -> Result<usize, ControlError> {
        let before = self.sched.group_stats(group)?;
        self.possible_of(group, spec.quota.is_some())?;
        let differs = [before.weight != spec.weight, before.quota != spec.quota];
        self.sched.set_group_spec(group, spec, self.now)?;
        Ok(differs.into_iter().filter(|&differs| differs).count())
    }

    fn move_group(&mut self, group: GroupId, parent: GroupId) -> Result<(), ControlError> {
        self.possible_of(group, has_quota(&self.sched, parent))?;
        Ok(self.sched.move_group(group, parent, self.now)?)
    }

    fn destroy_group(&mut self, group: GroupId) -> Result<(), ControlError> {
        Ok(self.sched.destroy_group(group)?)
    }
}
