//! One process under control: what it was before, what it is to be, and how it comes to be that.

use super::tree::Place;
use crate::control::attr::Attr;
use crate::control::cgroup::Member;
use crate::control::process::{Process, bind, refused};
use crate::control::{ControlError, Wanted};
use crate::{Class, Cpu, CpuSet, Quantum, Weight};
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::thread::{self, sched_getaffinity};
use std::collections::BTreeMap;
use std::io;

/// A process under control, and what it was before.
#[derive(Debug)]
pub(super) struct Adopted {
    pub(super) process: Process,
    pub(super) wanted: Wanted,
    pub(super) member: Option<Member>,
    idle_group: bool,
    /// What it weighs by its nice value, where that counts.
    flat: Weight,
    /// By thread: what it was. Threads that came later are put back to what the first one was.
    before: BTreeMap<i32, (Attr, thread::CpuSet)>,
}

impl Adopted {
    /// Nothing is changed yet.
    pub(super) fn new(pid: u32) -> Result<Adopted, ControlError> {
        let process = Process::find(pid)?;
        let mut before = BTreeMap::new();
        let noted = process.each_thread(|thread| {
            let condition = (Attr::of(Some(thread))?, sched_getaffinity(Some(thread))?);
            before.insert(thread.as_raw_nonzero().get(), condition);
            Ok(false)
        });
        noted.map_err(|error| refused("scheduling attributes", pid, error))?;
        let (wanted, flat) = (Wanted::default(), Weight::DEFAULT);
        Ok(Adopted { process, wanted, member: None, idle_group: false, flat, before })
    }

    /// Writes what differs. If one thing is refused, what was written before it is taken back, to where it was `from`.
    pub(super) fn change(
        &mut self,
        wanted: &Wanted,
        place: &Place<'_>,
        from: &Place<'_>,
    ) -> Result<usize, ControlError> {
        if *wanted == self.wanted {
            return Ok(0);
        }
        let before = self.wanted.clone();
        let written = self.write(wanted, place, false);
        if written.is_err() {
            // Nothing new is asked for, so that this is refused only if the process is gone.
            let _ = self.write(&before, from, true);
        }
        written.map_err(|error| self.explain(error))
    }

    /// Whatever was refused, if it is about to end that is why.
    pub(super) fn explain(&self, error: ControlError) -> ControlError {
        let pid = self.process.number();
        if self.process.is_leaving() { ControlError::Gone { pid } } else { error }
    }

    /// Answers how many settings differed. At first, and after a failure, anything may differ, whatever is known.
    pub(super) fn write(
        &mut self,
        wanted: &Wanted,
        place: &Place<'_>,
        all: bool,
    ) -> Result<usize, ControlError> {
        let differing = [
            wanted.affinity != self.wanted.affinity,
            wanted.class != self.wanted.class,
            wanted.slice != self.wanted.slice,
            wanted.weight != self.wanted.weight,
            wanted.quota != self.wanted.quota,
            wanted.group != self.wanted.group,
        ];
        let [affinity, class, slice, weight, quota, group] = differing;
        // A reservation is only granted to those who may run on any CPU, and keeps them there.
        let reserved = matches!(self.wanted.class, Class::Deadline(_));
        if (affinity || all) && !reserved {
            self.bind(&wanted.affinity)?;
        }
        let mut blank = false;
        if class || slice || all || (place.root.is_none() && place.flat != self.flat) {
            blank = self.set_class(wanted, place)?;
        }
        if group || all {
            self.settle(wanted, place)?;
        }
        if (affinity || all) && reserved {
            self.bind(&wanted.affinity)?;
        }
        let pid = self.process.number();
        if let Some(Member { dir, .. }) = &mut self.member {
            if (weight || blank || all) && wanted.class != Class::Idle {
                dir.set_weight(wanted.weight).map_err(|error| refused("weight", pid, error))?;
            }
            if quota || group || blank || all {
                let quota = place.quota(wanted.quota);
                dir.set_quota(quota).map_err(|error| refused("quota", pid, error))?;
            }
        }
        self.flat = place.flat;
        self.wanted = wanted.clone();
        Ok(differing.into_iter().filter(|&differs| differs).count())
    }

    /// Has its group be in the one it is to be in, with all that it has.
    pub(super) fn settle(&mut self, wanted: &Wanted, place: &Place<'_>) -> Result<(), ControlError> {
        let Some(member) = self.member.as_mut().filter(|member| !member.is_in(place.parent)) else {
            return Ok(());
        };
        let idle = wanted.class == Class::Idle;
        let moved = member.move_to(place.parent, |dir| {
            if idle { dir.set_idle(true) } else { dir.set_weight(wanted.weight) }?;
            dir.set_quota(place.quota(wanted.quota))
        });
        moved.map_err(|error| refused("control group", self.process.number(), error))?;
        self.idle_group = idle;
        // Before 6.2, the kernel lets whoever changes groups run on all CPUs of the new one.
        self.bind(&wanted.affinity)
    }

    /// Tells the kernel its quota, or only that it has none of its own.
    pub(super) fn tell_quota(&mut self, place: &Place<'_>, yielding: bool) -> io::Result<()> {
        let quota = place.quota(self.wanted.quota);
        match &mut self.member {
            Some(Member { dir, .. }) if !yielding || quota.is_none() => dir.set_quota(quota),
            _ => Ok(()),
        }
    }

    pub(super) fn flat(&self) -> Weight {
        self.flat
    }

    /// What it is to weigh beside all others by its nice value.
    pub(super) fn weigh(&mut self, flat: Weight) -> Result<(), ControlError> {
        if flat != self.flat {
            self.set_attrs(&self.wanted, Some(flat))?;
            self.flat = flat;
        }
        Ok(())
    }

    /// Moves it into another class, and into its group or out of that. Answers whether the group has its first
    /// weight again.
    fn set_class(&mut self, wanted: &Wanted, place: &Place<'_>) -> Result<bool, ControlError> {
        let pid = self.process.number();
        if wanted.class.is_strict() {
            // A group of its own has no part in what groups may have in real time.
            if self.member.take().is_some() {
                self.bind(&wanted.affinity)?;
            }
            self.idle_group = false;
        }
        self.set_attrs(wanted, place.root.is_none().then_some(place.flat))?;
        let mut blank = false;
        if let Some(root) = place.root
            && self.member.is_none()
            && !wanted.class.is_strict()
        {
            let put = root.put(pid, place.parent).map_err(|error| refused("control group", pid, error))?;
            // By number: if it has ended, that may be another's, who goes back.
            if self.process.has_ended() {
                return Err(ControlError::Gone { pid });
            }
            self.member = Some(put);
            // Before 6.2, the kernel lets whoever changes groups run on all CPUs of the new one.
            self.bind(&wanted.affinity)?;
            blank = true;
        }
        let idle = wanted.class == Class::Idle;
        if let Some(Member { dir, .. }) = &self.member
            && idle != self.idle_group
        {
            dir.set_idle(idle).map_err(|error| refused("control group", pid, error))?;
            self.idle_group = idle;
            blank = true;
        }
        Ok(blank)
    }

    /// Class and slice, and the weight if that is a nice value.
    fn set_attrs(&self, wanted: &Wanted, by_nice: Option<Weight>) -> Result<(), ControlError> {
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
            put(thread, &by_nice.map_or(attr, |weight| attr.with_nice(nearest_nice(weight))))
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
        self.member = None;
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
    let now = Attr::of(Some(thread))?;
    if now == *attr {
        return Ok(false);
    }
    if now.is_deadline() && !attr.is_deadline() {
        // What can't be made less is given up as it is.
        let _ = now.with_next_to_nothing().set(Some(thread));
    }
    attr.set(Some(thread)).inspect_err(|_| drop(now.set(Some(thread))))?;
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
