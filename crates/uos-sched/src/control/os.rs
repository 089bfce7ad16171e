//! Control of the processes of this machine, by the best means it offers.

mod adopted;
mod groups;
#[cfg(test)]
mod tests;
mod tree;

use super::attr::Attr;
use super::cgroup::{Root, Version};
use super::{ControlError, Controller, Wanted};
use crate::{Class, GroupId, GroupSpec, Nanos, RtPriority};
use adopted::Adopted;
use std::collections::BTreeMap;
use tree::Tree;

/// Weights and quotas by control groups of version 2 or 1; without them, weights by nice values. CPUs by affinity,
/// classes by scheduling policies, slices by the attribute newer kernels have for that: of all threads, those born
/// later included.
///
/// Groups are control groups around those of their members, so that what a group weighs and may have at the most is its
/// own, whoever in it wants to run. By nice values a member weighs its part of what its group does, whether the others
/// want theirs or not: [`Abilities::groups`] says which it is. A control group that somebody else has made within a member's
/// is theirs: the member is not moved to another group then, and what was made for it stays when it is let go.
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
    tree: Tree,
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

/// What a group of several processes is to whoever enforces weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Groups {
    /// One among its siblings, with a weight and a quota of its own.
    Nested,
    /// Nothing: each member is given its part of the group's weight, as if all of them wanted to run, and there are no
    /// quotas. What one leaves goes to everybody, and not to the others of its group first.
    Flattened,
}

/// What can be had here, found out by trying it on a thread that ends thereafter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Abilities {
    /// What enforces weights.
    pub weights: Means,
    /// Whether there are quotas.
    pub quotas: bool,
    /// What becomes of groups.
    pub groups: Groups,
    /// Whether a process can have a slice of its own.
    pub slices: bool,
    /// Whether this process may make others real-time, FIFO or round-robin.
    pub real_time: bool,
    /// Whether it may reserve CPU time for them.
    pub deadlines: bool,
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
        let quotas = root.is_some();
        let groups = if quotas { Groups::Nested } else { Groups::Flattened };
        let abilities = Abilities { weights, quotas, groups, slices, real_time, deadlines };
        OsControl { tree: Tree::new(root), abilities, adopted: BTreeMap::new() }
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
            self.let_go(pid);
            return Err(ControlError::Gone { pid });
        }
        self.adopted.get_mut(&pid).ok_or(ControlError::Gone { pid })
    }

    fn let_go(&mut self, pid: u32) {
        self.leave(pid);
        self.adopted.remove(&pid);
    }

    /// What nothing here can do is said before anything is done.
    fn possible(&self, wanted: &Wanted) -> Result<(), ControlError> {
        self.tree.find(wanted.group)?;
        let refused = |what, means| Err(ControlError::NotEnforceable { what, means });
        if wanted.class.is_strict() && self.tree.has_quota(wanted.group) {
            return refused("the quota of a group", "a real-time class");
        }
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

impl Drop for OsControl {
    fn drop(&mut self) {
        while let Some(&pid) = self.adopted.keys().next() {
            self.let_go(pid);
        }
    }
}

impl Controller for OsControl {
    fn adopt(&mut self, pid: u32, wanted: &Wanted) -> Result<(), ControlError> {
        if self.find(pid).is_ok() {
            return Err(ControlError::AlreadyAdopted { pid });
        }
        self.possible(wanted)?;
        // What it is to the kernel now; the drop of this puts it back if anything below fails.
        let mut adopted = Adopted::new(pid)?;
        let place = self.tree.place(wanted.group, self.flat(pid, wanted));
        let written = adopted.write(wanted, &place, true);
        written.map_err(|error| adopted.explain(error))?;
        self.adopted.insert(pid, adopted);
        self.rebalance();
        Ok(())
    }

    fn apply(&mut self, pid: u32, wanted: &Wanted) -> Result<usize, ControlError> {
        self.find(pid)?;
        self.possible(wanted)?;
        let moves = self.adopted.get(&pid).is_some_and(|one| one.wanted.group != wanted.group);
        let (flat, from) = (self.flat(pid, wanted), if moves { self.path_of(pid) } else { None });
        let adopted = self.adopted.get_mut(&pid).ok_or(ControlError::Gone { pid })?;
        let before = self.tree.place(adopted.wanted.group, adopted.flat());
        let changed = adopted.change(wanted, &self.tree.place(wanted.group, flat), &before);
        if matches!(changed, Err(ControlError::Gone { .. })) {
            self.let_go(pid);
        }
        self.follow(pid, from);
        self.rebalance();
        changed
    }

    fn used(&mut self, pid: u32) -> Result<Nanos, ControlError> {
        self.find(pid)?.process.used().map(Nanos).ok_or(ControlError::Gone { pid })
    }

    fn release(&mut self, pid: u32) -> Result<(), ControlError> {
        self.find(pid)?;
        self.let_go(pid);
        self.rebalance();
        Ok(())
    }

    fn create_group(&mut self, parent: GroupId, spec: GroupSpec) -> Result<GroupId, ControlError> {
        self.make_group(parent, spec)
    }

    fn set_group(&mut self, group: GroupId, spec: GroupSpec) -> Result<usize, ControlError> {
        self.change_group(group, spec)
    }

    fn move_group(&mut self, group: GroupId, parent: GroupId) -> Result<(), ControlError> {
        self.relocate_group(group, parent)
    }

    fn destroy_group(&mut self, group: GroupId) -> Result<(), ControlError> {
        self.remove_group(group)
    }
}
