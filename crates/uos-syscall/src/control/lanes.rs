//! Groups at a gate: those of ours that somebody in its line is in, as the gate knows them.

use std::{collections::BTreeMap, sync::Arc};

use uos_sched::{ControlError, Controller, Gate, GroupId};

use super::Group;

/// What a gate knows of our groups.
#[derive(Default)]
pub(super) struct Lanes {
    /// By our number: the gate's, and that of the group it is in there.
    known: BTreeMap<u64, (GroupId, GroupId)>,
    /// By the host's number of who is in line: the groups around it, from the outside in. None who is in none.
    lines: BTreeMap<u32, Vec<u64>>,
}

impl Lanes {
    /// Has the gate know the group that somebody is to be in, and those around it, where they are now.
    pub(super) fn enter(
        &mut self,
        gate: &mut Gate,
        os_pid: u32,
        group: Option<&Arc<Group>>,
    ) -> Result<GroupId, ControlError> {
        let mut at = GroupId::ROOT;
        let mut line = Vec::new();
        // From the outside in: what was inside out before is outside already when the inner one moves into it.
        for group in group.map(Group::chain).unwrap_or_default().into_iter().rev() {
            let there = match self.known.get(&group.id) {
                Some(&(there, parent)) if parent == at => there,
                Some(&(there, _)) => {
                    gate.move_group(there, at)?;
                    there
                }
                None => gate.create_group(at, group.spec())?,
            };
            self.known.insert(group.id, (there, at));
            line.push(group.id);
            at = there;
        }
        match line.is_empty() {
            true => drop(self.lines.remove(&os_pid)),
            false => drop(self.lines.insert(os_pid, line)),
        }
        Ok(at)
    }

    /// Somebody is in the line no more.
    pub(super) fn leave(&mut self, gate: &mut Gate, os_pid: u32) {
        if self.lines.remove(&os_pid).is_some() {
            self.tidy(gate);
        }
    }

    /// Has the gate forget the groups that nobody in line is in.
    pub(super) fn tidy(&mut self, gate: &mut Gate) {
        let is_used = |id: &u64| self.lines.values().any(|line| line.contains(id));
        let mut idle: Vec<u64> = self.known.keys().copied().filter(|id| !is_used(id)).collect();
        // The inner ones first: it keeps what somebody or something is in. One round takes away a level at least.
        for _ in 0..idle.len() {
            idle.retain(|id| {
                let gone = self.known.get(id).is_none_or(|(there, _)| gate.destroy_group(*there).is_ok());
                if gone {
                    self.known.remove(id);
                }
                !gone
            });
        }
    }
}
