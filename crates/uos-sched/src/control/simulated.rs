//! A controller over processes that exist only in a scheduler, on a clock that moves when it is told to.

use super::{ControlError, Controller, Wanted, refused_by_core};
use crate::{Cpu, GroupId, GroupSpec, Nanos, Policy, SchedError, Scheduler, Spec, TaskId, Why};
use std::collections::BTreeMap;

/// Busy processes on simulated CPUs.
pub struct SimulatedControl {
    sched: Scheduler,
    now: Nanos,
    /// Those that live, under control or not, each in a group of its own.
    living: BTreeMap<u32, (TaskId, GroupId)>,
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
        let group = self.sched.create_group(GroupId::ROOT, GroupSpec::default())?;
        let task = self.sched.add(Spec::default().group(group), self.now)?;
        self.living.insert(pid, (task, group));
        Ok(())
    }

    /// A process ends.
    pub fn end(&mut self, pid: u32) -> Result<(), SchedError> {
        if let Some((task, group)) = self.living.remove(&pid) {
            self.sched.remove(task, self.now)?;
            self.sched.destroy_group(group)?;
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

    fn find(&mut self, pid: u32) -> Result<(TaskId, GroupId), ControlError> {
        if !self.adopted.contains_key(&pid) {
            return Err(ControlError::NotAdopted { pid });
        }
        let found = self.living.get(&pid).copied();
        if found.is_none() {
            self.adopted.remove(&pid);
        }
        found.ok_or(ControlError::Gone { pid })
    }

    fn enforce(&mut self, pid: u32, wanted: &Wanted) -> Result<(), ControlError> {
        let (task, group) = self.living.get(&pid).copied().ok_or(ControlError::Gone { pid })?;
        let spec = GroupSpec::default().weight(wanted.weight);
        let spec = wanted.quota.map_or(spec, |quota| spec.quota(quota));
        if wanted.quota.is_some() && wanted.class.is_strict() {
            return Err(ControlError::NotEnforceable { what: "a quota", means: "a real-time class" });
        }
        if wanted.slice.is_some() && wanted.class.is_strict() {
            return Err(ControlError::NotEnforceable { what: "a slice", means: "a real-time class" });
        }
        let before = self.sched.affinity(task).map_err(|_| ControlError::Gone { pid })?;
        let set = self.sched.set_affinity(task, &wanted.affinity, self.now);
        set.map_err(|error| refused_by_core(pid, error))?;
        if let Err(error) = self.sched.set_class(task, wanted.class, self.now) {
            let _ = self.sched.set_affinity(task, &before, self.now);
            return Err(refused_by_core(pid, error));
        }
        self.sched.set_slice(task, wanted.slice).map_err(|error| refused_by_core(pid, error))?;
        self.sched.set_group_spec(group, spec, self.now).map_err(|_| ControlError::Gone { pid })
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
        ];
        let changed = differs.into_iter().filter(|&differs| differs).count();
        if changed > 0 {
            self.enforce(pid, wanted)?;
            self.adopted.insert(pid, wanted.clone());
        }
        Ok(changed)
    }

    fn used(&mut self, pid: u32) -> Result<Nanos, ControlError> {
        let (task, _) = self.find(pid)?;
        self.sched.task(task).map(|books| books.runtime).map_err(|_| ControlError::Gone { pid })
    }

    fn release(&mut self, pid: u32) -> Result<(), ControlError> {
        self.find(pid)?;
        self.adopted.remove(&pid);
        self.enforce(pid, &Wanted::default())
    }
}
