//! Groups of those who wait at a gate, by the gate's scheduler.

use super::line::Line;
use crate::control::{ControlError, has_quota};
use crate::{GroupId, GroupSpec, Wanted, Why};

fn no_quota() -> ControlError {
    ControlError::NotEnforceable { what: "the quota of a group", means: "a real-time class" }
}

impl Line {
    /// What can't be had in the group that somebody is to be in.
    pub(super) fn possible(&self, wanted: &Wanted) -> Result<(), ControlError> {
        self.sched.group_stats(wanted.group)?;
        match wanted.class.is_strict() && has_quota(&self.sched, wanted.group) {
            true => Err(no_quota()),
            false => Ok(()),
        }
    }

    /// Whether what is in a group can be held to a quota.
    fn possible_of(&self, group: GroupId, quota: bool) -> Result<(), ControlError> {
        let up = |group: &GroupId| self.sched.group_stats(*group).ok()?.parent;
        let is_in = |inner: GroupId| std::iter::successors(Some(inner), up).any(|outer| outer == group);
        let mut strict = self.held.values().filter(|held| held.wanted.class.is_strict());
        match quota && strict.any(|held| is_in(held.wanted.group)) {
            true => Err(no_quota()),
            false => Ok(()),
        }
    }

    pub(super) fn create_group(&mut self, parent: GroupId, spec: GroupSpec) -> Result<GroupId, ControlError> {
        Ok(self.sched.create_group(parent, spec)?)
    }

    pub(super) fn set_group(&mut self, group: GroupId, spec: GroupSpec) -> Result<usize, ControlError> {
        let before = self.sched.group_stats(group)?;
        self.possible_of(group, spec.quota.is_some())?;
        self.sched.set_group_spec(group, spec, self.now)?;
        let differs = [before.weight != spec.weight, before.quota != spec.quota];
        Ok(differs.into_iter().filter(|&differs| differs).count())
    }

    pub(super) fn move_group(&mut self, group: GroupId, parent: GroupId) -> Result<(), ControlError> {
        self.possible_of(group, has_quota(&self.sched, parent))?;
        self.between_turns(|line| Ok(line.sched.move_group(group, parent, line.now)?))
    }

    pub(super) fn destroy_group(&mut self, group: GroupId) -> Result<(), ControlError> {
        Ok(self.sched.destroy_group(group)?)
    }

    /// While it is nobody's turn: whose it was may lose it for that.
    pub(super) fn between_turns<T>(
        &mut self,
        change: impl FnOnce(&mut Line) -> Result<T, ControlError>,
    ) -> Result<T, ControlError> {
        self.charge();
        self.take_off(Why::Preempted);
        let changed = change(self);
        while self.running.is_none() && self.let_one_through() {}
        changed
    }
}
