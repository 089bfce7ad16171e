//! Control of the processes of this machine, by the best means it offers.

use super::cgroup::{Group, Root, Version};
use super::process::{Process, bind_threads, refused};
use super::{ControlError, Controller, Wanted};
use crate::{Cpu, CpuSet, Nanos, Weight};
use rustix::process::{getpriority_process, setpriority_process};
use rustix::thread::{self, sched_getaffinity, sched_setaffinity};
use std::collections::BTreeMap;
use std::fs;

/// Weights and quotas by control groups of version 2 or 1; without them, weights by nice values. CPUs by affinity.
///
/// Quotas can't be had by nice values, and are refused then. One nice step is a factor of 1.25, so weights between
/// steps are off by up to an eighth.
#[derive(Debug)]
pub struct OsControl {
    root: Option<Root>,
    adopted: BTreeMap<u32, Adopted>,
}

/// What enforces weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Means {
    /// `cpu.weight` and `cpu.max`.
    CgroupV2,
    /// `cpu.shares` and `cpu.cfs_quota_us`.
    CgroupV1,
    /// Nice values.
    Nice,
}

/// A process under control, and what it was before.
#[derive(Debug)]
struct Adopted {
    process: Process,
    wanted: Wanted,
    group: Option<Group>,
    nice: i32,
    affinity: thread::CpuSet,
}

impl OsControl {
    /// Looks what this machine offers, by trying.
    pub fn probe() -> OsControl {
        OsControl { root: Root::probe(), adopted: BTreeMap::new() }
    }

    /// Nice values alone, whatever else there is.
    pub fn by_nice() -> OsControl {
        OsControl { root: None, adopted: BTreeMap::new() }
    }

    /// What enforces weights here.
    pub fn means(&self) -> Means {
        match self.root.as_ref().map(|root| root.version) {
            Some(Version::V2) => Means::CgroupV2,
            Some(Version::V1) => Means::CgroupV1,
            None => Means::Nice,
        }
    }

    /// A process under control that is still the same one.
    fn find(&mut self, pid: u32) -> Result<&mut Adopted, ControlError> {
        let known = self.adopted.get(&pid).ok_or(ControlError::NotAdopted { pid })?;
        if known.process.has_ended() {
            self.adopted.remove(&pid);
            return Err(ControlError::Gone { pid });
        }
        self.adopted.get_mut(&pid).ok_or(ControlError::Gone { pid })
    }
}

impl Controller for OsControl {
    fn adopt(&mut self, pid: u32, wanted: &Wanted) -> Result<(), ControlError> {
        if self.find(pid).is_ok() {
            return Err(ControlError::AlreadyAdopted { pid });
        }
        if wanted.quota.is_some() && self.root.is_none() {
            return Err(ControlError::NotEnforceable { what: "a quota", means: "nice values" });
        }
        let process = Process::find(pid)?;
        let id = process.id;
        let affinity = sched_getaffinity(Some(id)).map_err(|error| refused("affinity", pid, error.into()))?;
        let nice = getpriority_process(Some(id)).map_err(|error| refused("nice value", pid, error.into()))?;
        let group = self.root.as_ref().map(|root| root.put(pid)).transpose();
        let group = group.map_err(|error| refused("control group", pid, error))?;
        // What it is to the kernel now; the drop of this puts it back if anything below fails.
        let wanted_now = Wanted { weight: Weight::DEFAULT, quota: None, affinity: CpuSet::ALL };
        let mut adopted = Adopted { process, wanted: wanted_now, group, nice, affinity };
        adopted.change(wanted)?;
        self.adopted.insert(pid, adopted);
        Ok(())
    }

    fn apply(&mut self, pid: u32, wanted: &Wanted) -> Result<usize, ControlError> {
        let by_nice = self.root.is_none();
        let adopted = self.find(pid)?;
        if wanted.quota.is_some() && by_nice {
            return Err(ControlError::NotEnforceable { what: "a quota", means: "nice values" });
        }
        adopted.change(wanted)
    }

    fn used(&mut self, pid: u32) -> Result<Nanos, ControlError> {
        self.find(pid)?;
        let system = |error| refused("run time", pid, error);
        let mut sum = 0u64;
        for thread in fs::read_dir(format!("/proc/{pid}/task")).map_err(system)? {
            // One that has just ended has no file any more.
            let text =
                fs::read_to_string(thread.map_err(system)?.path().join("schedstat")).unwrap_or_default();
            sum += text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(Nanos(sum))
    }

    fn release(&mut self, pid: u32) -> Result<(), ControlError> {
        self.find(pid)?;
        self.adopted.remove(&pid);
        Ok(())
    }
}

impl Adopted {
    /// Writes what differs.
    fn change(&mut self, wanted: &Wanted) -> Result<usize, ControlError> {
        let number = self.process.number();
        let mut written = 0;
        if wanted.affinity != self.wanted.affinity {
            let cpus = self.allowed(&wanted.affinity).ok_or(ControlError::NoSuchCpu)?;
            sched_setaffinity(Some(self.process.id), &cpus)
                .map_err(|error| refused("affinity", number, error.into()))?;
            self.wanted.affinity = wanted.affinity.clone();
            written += 1;
        }
        if wanted.weight != self.wanted.weight {
            match &mut self.group {
                Some(group) => {
                    group.set_weight(wanted.weight).map_err(|error| refused("weight", number, error))?;
                }
                None => setpriority_process(Some(self.process.id), nearest_nice(wanted.weight))
                    .map_err(|error| refused("nice value", number, error.into()))?,
            }
            self.wanted.weight = wanted.weight;
            written += 1;
        }
        if wanted.quota != self.wanted.quota
            && let Some(group) = &mut self.group
        {
            group.set_quota(wanted.quota).map_err(|error| refused("quota", number, error))?;
            self.wanted.quota = wanted.quota;
            written += 1;
        }
        Ok(written)
    }

    /// Those of the CPUs wanted that it had before.
    fn allowed(&self, wanted: &CpuSet) -> Option<thread::CpuSet> {
        let mut cpus = thread::CpuSet::new();
        for cpu in 0..thread::CpuSet::MAX_CPU {
            if self.affinity.is_set(cpu) && wanted.contains(Cpu(cpu as u32)) {
                cpus.set(cpu);
            }
        }
        (cpus.count() > 0).then_some(cpus)
    }
}

impl Drop for Adopted {
    fn drop(&mut self) {
        // Not what another process with its number now is.
        if !self.process.has_ended() {
            let _ = bind_threads(self.process.id, &self.affinity);
            if self.group.is_none() {
                let _ = setpriority_process(Some(self.process.id), self.nice);
            }
        }
    }
}

/// The nice value whose weight is nearest.
fn nearest_nice(weight: Weight) -> i32 {
    let distance = |priority: &u8| {
        let other = crate::Priority(*priority).weight().get();
        // By ratio: whichever is larger over the smaller.
        u64::from(other.max(weight.get())) * 1_000_000 / u64::from(other.min(weight.get()))
    };
    (0..=255u8).min_by_key(distance).map_or(0, |priority| crate::Priority(priority).nice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nice_values_stand_for_weights() {
        let nice = |weight| nearest_nice(Weight::new(weight).unwrap());
        assert_eq!((nice(1024), nice(1280), nice(819), nice(1)), (0, -1, 1, 16));
    }
}
