//! Control of the processes of this machine, by the best means it offers.

use super::attr::Attr;
use super::cgroup::{Group, Root, Version};
use super::process::{Process, bind, refused};
use super::{ControlError, Controller, Wanted};
use crate::{Class, Cpu, CpuSet, Nanos, Quantum, RtPriority, Weight};
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::thread::{self, sched_getaffinity};
use std::collections::BTreeMap;
use std::io;

/// Weights and quotas by control groups of version 2 or 1; without them, weights by nice values. CPUs by affinity,
/// classes by scheduling policies, slices by the attribute newer kernels have for that: of all threads, those born
/// later included.
///
/// Quotas can't be had by nice values, and are refused then. One nice step is a factor of 1.25, so weights between
/// steps are off by up to an eighth. Version 2 knows weights from a hundredth to a hundredfold of the default,
/// version 1 from 2 to 262144; what is beyond counts as the nearest of them.
///
/// Without the privilege to do so a nice value that was raised stays, and real-time classes are refused.
#[derive(Debug)]
pub struct OsControl {
    // In this order: the groups of processes go before what they are in is switched off.
    adopted: BTreeMap<u32, Adopted>,
    root: Option<Root>,
    abilities: Abilities,
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

/// What can be had here, found out by trying it on a thread that ends thereafter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Abilities {
    /// What enforces weights.
    pub weights: Means,
    /// Whether there are quotas.
    pub quotas: bool,
    /// Whether a process can have a slice of its own.
    pub slices: bool,
    /// Whether this process may make others real-time, FIFO or round-robin.
    pub real_time: bool,
    /// Whether it may reserve CPU time for them.
    pub deadlines: bool,
}

/// A process under control, and what it was before.
#[derive(Debug)]
struct Adopted {
    process: Process,
    wanted: Wanted,
    group: Option<Group>,
    idle_group: bool,
    /// By thread: what it was. Threads that came later are put back to what the first one was.
    before: BTreeMap<i32, (Attr, thread::CpuSet)>,
}

/// The kernel keeps slices within these.
const SLICES: [Nanos; 2] = [Nanos::from_micros(100), Nanos::from_millis(100)];

impl OsControl {
    /// Looks what this machine offers, by trying. Groups left behind by one who was killed are removed.
    pub fn probe() -> OsControl {
        OsControl::with(Root::probe(None))
    }

    /// By these means, whatever else there is.
    pub fn by(means: Means) -> Result<OsControl, ControlError> {
        let absent = |means| ControlError::NotEnforceable { what: "a weight", means };
        let root = match means {
            Means::Nice => None,
            Means::CgroupV2 => {
                Some(Root::probe(Some(Version::V2)).ok_or(absent("version 2 of control groups here"))?)
            }
            Means::CgroupV1 => {
                Some(Root::probe(Some(Version::V1)).ok_or(absent("version 1 of control groups here"))?)
            }
        };
        Ok(OsControl::with(root))
    }

    /// Nice values alone, whatever else there is.
    pub fn by_nice() -> OsControl {
        OsControl::with(None)
    }

    fn with(root: Option<Root>) -> OsControl {
        let weights = match root.as_ref().map(|root| root.version) {
            Some(Version::V2) => Means::CgroupV2,
            Some(Version::V1) => Means::CgroupV1,
            None => Means::Nice,
        };
        let none = [false; 3];
        // A thread that can't even be started can't do any of it.
        let trial = std::thread::Builder::new().name("uos-sched-trial".into()).spawn(try_classes);
        let [slices, real_time, deadlines] = trial.map_or(none, |trial| trial.join().unwrap_or(none));
        let abilities = Abilities { weights, quotas: root.is_some(), slices, real_time, deadlines };
        OsControl { root, abilities, adopted: BTreeMap::new() }
    }

    /// What enforces weights here.
    pub fn means(&self) -> Means {
        self.abilities.weights
    }

    /// What can be had here.
    pub fn abilities(&self) -> Abilities {
        self.abilities
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

    /// What nothing here can do is said before anything is done.
    fn possible(&self, wanted: &Wanted) -> Result<(), ControlError> {
        let refused = |what, means| Err(ControlError::NotEnforceable { what, means });
        match (wanted.quota.is_some(), wanted.slice) {
            (true, _) if !self.abilities.quotas => refused("a quota", "nice values"),
            (true, _) if wanted.class.is_strict() => refused("a quota", "a real-time class"),
            (_, Some(_)) if wanted.class.is_strict() => refused("a slice", "a real-time class"),
            (_, Some(_)) if !self.abilities.slices => refused("a slice", "this kernel"),
            (_, Some(slice)) if !(SLICES[0]..=SLICES[1]).contains(&slice.length()) => {
                refused("a slice below 100 us or above 100 ms", "this kernel")
            }
            _ => Ok(()),
        }
    }
}

/// Slices, real-time priorities and reservations, on the calling thread.
fn try_classes() -> [bool; 3] {
    let Ok(before) = Attr::of(None) else { return [false; 3] };
    let tried = |class: Class, slice| {
        let wanted = before.in_class(&class, slice);
        wanted.set(None).is_ok() && Attr::of(None).is_ok_and(|now| now == wanted)
    };
    let slices = tried(Class::Normal, Some(Nanos::from_micros(700)));
    let real_time = RtPriority::new(1).is_ok_and(|lowest| tried(Class::Fifo(lowest), None));
    let [runtime, period] = [Nanos::from_micros(100), Nanos::from_secs(1)];
    let reservation = crate::Reservation::new(runtime, period, period);
    let deadlines = reservation.is_ok_and(|least| tried(Class::Deadline(least), None));
    [slices, real_time, deadlines]
}

impl Controller for OsControl {
    fn adopt(&mut self, pid: u32, wanted: &Wanted) -> Result<(), ControlError> {
        if self.find(pid).is_ok() {
            return Err(ControlError::AlreadyAdopted { pid });
        }
        self.possible(wanted)?;
        let process = Process::find(pid)?;
        let mut before = BTreeMap::new();
        let noted = process.each_thread(|thread| {
            let condition = (Attr::of(Some(thread))?, sched_getaffinity(Some(thread))?);
            before.insert(thread.as_raw_nonzero().get(), condition);
            Ok(false)
        });
        noted.map_err(|error| refused("scheduling attributes", pid, error))?;
        // What it is to the kernel now; the drop of this puts it back if anything below fails.
        let mut adopted =
            Adopted { process, wanted: Wanted::default(), group: None, idle_group: false, before };
        let written = adopted.write(wanted, self.root.as_ref(), true);
        written.map_err(|error| adopted.explain(error))?;
        self.adopted.insert(pid, adopted);
        Ok(())
    }

    fn apply(&mut self, pid: u32, wanted: &Wanted) -> Result<usize, ControlError> {
        self.find(pid)?;
        self.possible(wanted)?;
        let adopted = self.adopted.get_mut(&pid).ok_or(ControlError::Gone { pid })?;
        let changed = adopted.change(wanted, self.root.as_ref());
        if matches!(changed, Err(ControlError::Gone { .. })) {
            self.adopted.remove(&pid);
        }
        changed
    }

    fn used(&mut self, pid: u32) -> Result<Nanos, ControlError> {
        self.find(pid)?.process.used().map(Nanos).ok_or(ControlError::Gone { pid })
    }

    fn release(&mut self, pid: u32) -> Result<(), ControlError> {
        self.find(pid)?;
        self.adopted.remove(&pid);
        Ok(())
    }
}

impl Adopted {
    /// Writes what differs. If one thing is refused, what was written before it is taken back.
    fn change(&mut self, wanted: &Wanted, root: Option<&Root>) -> Result<usize, ControlError> {
        if *wanted == self.wanted {
            return Ok(0);
        }
        let before = self.wanted.clone();
        let written = self.write(wanted, root, false);
        if written.is_err() {
            // Nothing new is asked for, so that this is refused only if the process is gone.
            let _ = self.write(&before, root, true);
        }
        written.map_err(|error| self.explain(error))
    }

    /// Whatever was refused, if it is about to end that is why.
    fn explain(&self, error: ControlError) -> ControlError {
        let pid = self.process.number();
        if self.process.is_leaving() { ControlError::Gone { pid } } else { error }
    }

    /// Answers how many settings differed. At first, and after a failure, anything may differ, whatever is known.
    fn write(&mut self, wanted: &Wanted, root: Option<&Root>, all: bool) -> Result<usize, ControlError> {
        let differing = [
            wanted.affinity != self.wanted.affinity,
            wanted.class != self.wanted.class,
            wanted.slice != self.wanted.slice,
            wanted.weight != self.wanted.weight,
            wanted.quota != self.wanted.quota,
        ];
        let [affinity, class, slice, weight, quota] = differing;
        // A reservation is only granted to those who may run on any CPU, and keeps them there.
        let reserved = matches!(self.wanted.class, Class::Deadline(_));
        if (affinity || all) && !reserved {
            self.bind(&wanted.affinity)?;
        }
        let mut blank = false;
        if class || slice || all || (weight && root.is_none()) {
            blank = self.set_class(wanted, root)?;
        }
        if (affinity || all) && reserved {
            self.bind(&wanted.affinity)?;
        }
        let pid = self.process.number();
        if let Some(group) = &self.group {
            if (weight || blank || all) && wanted.class != Class::Idle {
                group.set_weight(wanted.weight).map_err(|error| refused("weight", pid, error))?;
            }
            if quota || (blank && wanted.quota.is_some()) {
                let before = self.wanted.quota;
                group.set_quota(wanted.quota, before).map_err(|error| refused("quota", pid, error))?;
            }
        }
        self.wanted = wanted.clone();
        Ok(differing.into_iter().filter(|&differs| differs).count())
    }

    /// Moves it into another class, and into its group or out of that. Answers whether the group has its first
    /// weight again.
    fn set_class(&mut self, wanted: &Wanted, root: Option<&Root>) -> Result<bool, ControlError> {
        let pid = self.process.number();
        if wanted.class.is_strict() {
            // A group of its own has no part in what groups may have in real time.
            if self.group.take().is_some() {
                self.bind(&wanted.affinity)?;
            }
            self.idle_group = false;
        }
        self.set_attrs(wanted, root.is_none())?;
        let mut blank = false;
        if let Some(root) = root
            && self.group.is_none()
            && !wanted.class.is_strict()
        {
            self.group = Some(root.put(pid).map_err(|error| refused("control group", pid, error))?);
            // Before 6.2, the kernel lets whoever changes groups run on all CPUs of the new one.
            self.bind(&wanted.affinity)?;
            blank = true;
        }
        let idle = wanted.class == Class::Idle;
        if let Some(group) = &self.group
            && idle != self.idle_group
        {
            group.set_idle(idle).map_err(|error| refused("control group", pid, error))?;
            self.idle_group = idle;
            blank = true;
        }
        Ok(blank)
    }

    /// Class and slice, and the weight if that is a nice value.
    fn set_attrs(&self, wanted: &Wanted, by_nice: bool) -> Result<(), ControlError> {
        let pid = self.process.number();
        let reserves = matches!(wanted.class, Class::Deadline(_));
        let threads = self.process.threads().map_err(|error| refused("threads", pid, error))?.len();
        if reserves && threads > 1 {
            return Err(ControlError::NotEnforceable {
                what: "a reservation for several threads",
                means: "this kernel",
            });
        }
        let set = self.process.each_thread(|thread| {
            let (before, _) = self.before(thread);
            let attr = before.in_class(&wanted.class, wanted.slice.map(Quantum::length));
            put(thread, &if by_nice { attr.with_nice(nearest_nice(wanted.weight)) } else { attr })
        });
        set.map_err(|error| match error.raw_os_error() {
            Some(code) if reserves && code == Errno::BUSY.raw_os_error() => ControlError::Overload { pid },
            _ => refused("scheduling attributes", pid, error),
        })
    }

    /// Binds it to those of the CPUs wanted that it had before.
    fn bind(&self, wanted: &CpuSet) -> Result<(), ControlError> {
        let mut cpus = thread::CpuSet::new();
        let (_, before) = self.before(self.process.id);
        for cpu in 0..thread::CpuSet::MAX_CPU {
            if before.is_set(cpu) && wanted.contains(Cpu(cpu as u32)) {
                cpus.set(cpu);
            }
        }
        if cpus.count() == 0 {
            return Err(ControlError::NoSuchCpu);
        }
        self.process.bind(&cpus).map_err(|error| refused("affinity", self.process.number(), error))
    }

    /// What a thread was; of one that was not there yet, what it would have been without us.
    fn before(&self, thread: Pid) -> (Attr, thread::CpuSet) {
        let number = |thread: Pid| thread.as_raw_nonzero().get();
        let known = self.before.get(&number(thread)).or_else(|| self.before.get(&number(self.process.id)));
        known.or_else(|| self.before.values().next()).copied().unwrap_or((Attr::default(), every_cpu()))
    }
}

impl Drop for Adopted {
    fn drop(&mut self) {
        // Not what another process with its number now is.
        if self.process.has_ended() {
            return;
        }
        // Within its group it could not be real-time again.
        self.group = None;
        // What can't be put back is left, and the rest is put back all the same.
        let _ = self.process.each_thread(|thread| {
            let (attr, cpus) = self.before(thread);
            let first = Attr::of(Some(thread)).is_ok_and(|now| now.is_deadline()) && put(thread, &attr)?;
            let bound = bind(thread, &cpus).unwrap_or(false);
            Ok(put(thread, &attr).unwrap_or(false) | bound | first)
        });
    }
}

/// Puts attributes in force. Answers whether they were not.
fn put(thread: Pid, attr: &Attr) -> io::Result<bool> {
    if Attr::of(Some(thread))? == *attr {
        return Ok(false);
    }
    attr.set(Some(thread))?;
    Ok(true)
}

fn every_cpu() -> thread::CpuSet {
    let mut every = thread::CpuSet::new();
    (0..thread::CpuSet::MAX_CPU).for_each(|cpu| every.set(cpu));
    every
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
