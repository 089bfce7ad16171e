//! Groups of real processes: made, changed and moved, with whoever is in them.

use super::{Adopted, OsControl};
use crate::control::process::refused;
use crate::control::{ControlError, Wanted};
use crate::{GroupId, GroupSpec, Weight};
use std::path::{Path, PathBuf};

impl OsControl {
    /// What nothing here can do for a group.
    fn possible_of(&self, group: GroupId, quota: bool) -> Result<(), ControlError> {
        let refused = |what, means| Err(ControlError::NotEnforceable { what, means });
        if !quota {
            return Ok(());
        }
        if !self.abilities.quotas {
            return refused("a quota", "nice values");
        }
        let inside = self.tree.inside(group);
        let mut members = self.adopted.values().filter(|one| inside.contains(&one.wanted.group));
        match members.any(|one| one.wanted.class.is_strict()) {
            true => refused("the quota of a group", "a real-time class"),
            false => Ok(()),
        }
    }

    /// What one weighs beside all others if it is to be so, where that can't be divided by groups.
    pub(super) fn flat(&self, pid: u32, wanted: &Wanted) -> Weight {
        if self.tree.root.is_some() || self.tree.is_empty() {
            return wanted.weight;
        }
        let others = self.adopted.iter().filter(|&(&other, one)| other != pid && !one.process.has_ended());
        let of = |wanted: &Wanted| (wanted.class, wanted.weight, wanted.group);
        let all: Vec<_> = others.map(|(_, one)| of(&one.wanted)).chain([of(wanted)]).collect();
        self.tree.flat(&all, (wanted.weight, wanted.group))
    }

    /// Writes what those weigh who weigh something else because of what has become of others.
    pub(super) fn rebalance(&mut self) {
        if self.tree.root.is_some() || self.tree.is_empty() {
            return;
        }
        let living = self.adopted.iter().filter(|(_, one)| !one.process.has_ended());
        let flat = living.map(|(&pid, one)| (pid, self.flat(pid, &one.wanted)));
        for (pid, flat) in flat.collect::<Vec<_>>() {
            if let Some(one) = self.adopted.get_mut(&pid) {
                // It may have ended, or not be allowed to weigh more: who asked for something else is not to blame.
                let _ = one.weigh(flat);
            }
        }
    }

    /// Where somebody's own group is.
    pub(super) fn path_of(&self, pid: u32) -> Option<PathBuf> {
        Some(self.adopted.get(&pid)?.member.as_ref()?.dir.path().to_owned())
    }

    /// Somebody's own group has moved; whoever was in it before is to find it again.
    pub(super) fn follow(&mut self, pid: u32, from: Option<PathBuf>) {
        let (Some(from), Some(to)) = (from, self.path_of(pid)) else { return };
        if from != to {
            self.redirect(&from, &to);
        }
    }

    /// Takes the groups of those that have ended away, whose children go back to where these were before. That they are gone
    /// is still to be said.
    fn leave_ended(&mut self) {
        let ended = self.adopted.iter().filter(|(_, one)| one.process.has_ended());
        for pid in ended.map(|(&pid, _)| pid).collect::<Vec<_>>() {
            self.leave(pid);
        }
    }

    /// Takes somebody's own group away; whoever was in it before is to go where this one goes.
    pub(super) fn leave(&mut self, pid: u32) {
        let Some(member) = self.adopted.get_mut(&pid).and_then(|one| one.member.take()) else { return };
        let (from, to) = (member.dir.path().to_owned(), member.home().to_owned());
        drop(member);
        self.redirect(&from, &to);
    }

    fn redirect(&mut self, from: &Path, to: &Path) {
        let members = self.adopted.values_mut().filter_map(|one| one.member.as_mut());
        members.for_each(|member| member.follow(from, to));
    }

    /// Brings those along whose groups have moved.
    fn resettle(&mut self, group: GroupId) -> Result<(), ControlError> {
        self.leave_ended();
        let inside = self.tree.inside(group);
        let members = self.adopted.iter().filter(|(_, one)| inside.contains(&one.wanted.group));
        for pid in members.map(|(&pid, _)| pid).collect::<Vec<_>>() {
            let from = self.path_of(pid);
            let Some(one) = self.adopted.get_mut(&pid) else { continue };
            let wanted = one.wanted.clone();
            let settled = one.settle(&wanted, &self.tree.place(wanted.group, wanted.weight));
            match settled.map_err(|error| one.explain(error)) {
                // Its group goes with the ones that are left.
                Err(ControlError::Gone { .. }) => {}
                other => other?,
            }
            self.follow(pid, from);
        }
        Ok(())
    }

    pub(super) fn make_group(&mut self, parent: GroupId, spec: GroupSpec) -> Result<GroupId, ControlError> {
        self.tree.find(parent)?;
        if spec.quota.is_some() && !self.abilities.quotas {
            return Err(ControlError::NotEnforceable { what: "a quota", means: "nice values" });
        }
        self.tree.create(parent, spec)
    }

    pub(super) fn change_group(&mut self, group: GroupId, spec: GroupSpec) -> Result<usize, ControlError> {
        self.tree.find(group)?;
        self.possible_of(group, spec.quota.is_some())?;
        self.leave_ended();
        let before = self.tree.set(group, spec)?;
        let differing = [before.weight != spec.weight, before.quota != spec.quota];
        if differing[1]
            && let Err(error) = self.tree.tell_quotas(group, &mut self.adopted)
        {
            let _ = self.tree.set(group, before);
            let _ = self.tree.tell_quotas(group, &mut self.adopted);
            return Err(refused("quota", 0, error));
        }
        self.rebalance();
        Ok(differing.into_iter().filter(|&differs| differs).count())
    }

    pub(super) fn relocate_group(&mut self, group: GroupId, parent: GroupId) -> Result<(), ControlError> {
        self.tree.find(group)?;
        self.possible_of(group, self.tree.has_quota(parent))?;
        let mut moved = self.tree.relocate(group, parent)?;
        let settled = self.resettle(group);
        if settled.is_err() {
            self.tree.exchange(&mut moved);
            // Where they were they may be again.
            let _ = self.resettle(group);
        }
        self.tree.forget(moved);
        self.rebalance();
        settled
    }

    pub(super) fn remove_group(&mut self, group: GroupId) -> Result<(), ControlError> {
        self.tree.find(group)?;
        let is_in = |one: &&Adopted| one.wanted.group == group && !one.process.has_ended();
        let processes = self.adopted.values().filter(is_in).count();
        self.leave_ended();
        self.tree.destroy(group, u32::try_from(processes).unwrap_or(u32::MAX))?;
        self.rebalance();
        Ok(())
    }
}
