//! Groups: made, changed, moved and destroyed while their tasks go on.

use super::Scheduler;
use crate::group::{Group, GroupSpec, GroupStats};
use crate::queue::Arrival;
use crate::table::{NONE, State};
use crate::{Cpu, GroupId, Nanos, SchedError};

impl Scheduler {
    /// How deep groups may nest below the root.
    pub const MAX_DEPTH: u8 = 8;

    /// A new group in another.
    pub fn create_group(&mut self, parent: GroupId, spec: GroupSpec) -> Result<GroupId, SchedError> {
        let above = self.group(parent)?;
        let depth = self.group_ref(above).depth + 1;
        if depth > Self::MAX_DEPTH {
            return Err(SchedError::GroupTooDeep { max: Self::MAX_DEPTH });
        }
        let group = Group::new(above, depth, spec, self.cores.len(), self.now);
        let slot = match self.free_groups.pop() {
            Some(slot) => {
                self.groups[slot as usize] = Some(group);
                slot
            }
            None => {
                self.groups.push(Some(group));
                self.group_generations.push(0);
                (self.groups.len() - 1) as u32
            }
        };
        self.group_mut(above).children += 1;
        Ok(self.group_id(slot))
    }

    /// Changes what a group is to its siblings, from now on. A new quota begins a new period.
    pub fn set_group_spec(&mut self, group: GroupId, spec: GroupSpec, now: Nanos) -> Result<(), SchedError> {
        let at = self.group_but_root(group)?;
        self.check_time(now)?;
        self.advance(now);
        self.charge_all();
        let open = self.group_ref(at).open > 0;
        if open {
            self.close_group(at);
        }
        let before = std::mem::replace(&mut self.group_mut(at).spec, spec);
        if open {
            self.open_group(at);
        }
        for cpu in 0..self.cores.len() {
            let node = self.group_ref(at).nodes[cpu];
            if node != u32::MAX {
                self.share_weight(node);
                let (parent, entity) = (self.parent_of(node), self.nodes[node as usize].entity);
                self.nodes[parent as usize].queue.prioritise(&mut self.table, entity, spec.priority.0);
            }
        }
        if before.quota != spec.quota {
            let group = self.group_mut(at);
            group.since = now.0;
            group.left = spec.quota.map_or(0, |quota| quota.budget.0 as i64);
            self.unthrottle(at);
        }
        Ok(())
    }

    /// Moves a group, with all that is in it, into another. Nothing in it may be running.
    pub fn move_group(&mut self, group: GroupId, parent: GroupId, now: Nanos) -> Result<(), SchedError> {
        let (at, above) = (self.group_but_root(group)?, self.group(parent)?);
        if self.is_inside(above, at) {
            return Err(SchedError::GroupCycle { group, parent });
        }
        let (depth, height) = (self.group_ref(above).depth + 1, self.height(at));
        if depth + height > Self::MAX_DEPTH {
            return Err(SchedError::GroupTooDeep { max: Self::MAX_DEPTH });
        }
        let runs_inside = |core: usize| {
            let slot = self.cores[core].running;
            slot != NONE && self.is_inside(self.table.rest(slot).group, at)
        };
        if let Some(cpu) = (0..self.cores.len()).find(|&cpu| runs_inside(cpu)) {
            return Err(SchedError::GroupRunning { group, cpu: Cpu(cpu as u32) });
        }
        self.check_time(now)?;
        self.advance(now);
        let open = self.group_ref(at).open > 0;
        if open {
            self.close_group(at);
        }
        let nodes: Vec<u32> =
            self.group_ref(at).nodes.iter().copied().filter(|&node| node != u32::MAX).collect();
        for &node in &nodes {
            let entity = self.nodes[node as usize].entity;
            if self.table.at(entity).state == State::Waiting {
                let parent = self.parent_of(node);
                self.leave_waiting(parent, entity);
            }
            self.table.at_mut(entity).state = State::Blocked;
        }
        let before = std::mem::replace(&mut self.group_mut(at).parent, above);
        self.group_mut(before).children -= 1;
        self.group_mut(above).children += 1;
        self.set_depth(at, depth);
        if open {
            self.open_group(at);
        }
        for node in nodes {
            let (entity, members) = (self.nodes[node as usize].entity, self.nodes[node as usize].members);
            let parent = self.parent_of(node);
            self.nodes[parent as usize].queue.keep_lag(&mut self.table, entity, 0);
            match (members, self.group_ref(at).throttled) {
                (0, _) => {}
                (_, true) => self.table.at_mut(entity).state = State::Throttled,
                (_, false) => {
                    self.table.at_mut(entity).since = now.0;
                    self.share_weight(node);
                    self.join_waiting(parent, entity, Arrival::New);
                }
            }
        }
        Ok(())
    }

    /// Forgets a group that is empty.
    pub fn destroy_group(&mut self, group: GroupId) -> Result<(), SchedError> {
        let at = self.group_but_root(group)?;
        let &Group { tasks, children: groups, parent, .. } = self.group_ref(at);
        if tasks > 0 || groups > 0 {
            return Err(SchedError::GroupNotEmpty { group, tasks, groups });
        }
        let nodes = std::mem::take(&mut self.group_mut(at).nodes);
        for node in nodes.into_iter().filter(|&node| node != u32::MAX) {
            self.table.remove(self.nodes[node as usize].entity);
            self.free_nodes.push(node);
        }
        self.group_mut(parent).children -= 1;
        self.groups[at as usize] = None;
        let generation = &mut self.group_generations[at as usize];
        if let Some(next) = generation.checked_add(1) {
            *generation = next;
            self.free_groups.push(at);
        }
        Ok(())
    }

    /// One group's numbers.
    pub fn group_stats(&self, group: GroupId) -> Result<GroupStats, SchedError> {
        let at = self.group(group)?;
        let Group { parent, spec, tasks, runtime, throttled, throttles, .. } = self.group_ref(at);
        let until = self.group_ref(at).refill_at();
        Ok(GroupStats {
            parent: (at != 0).then(|| self.group_id(*parent)),
            weight: spec.weight,
            quota: spec.quota,
            tasks: *tasks,
            runtime: if at == 0 { self.stats().runtime } else { Nanos(*runtime) },
            throttled_until: throttled.then_some(Nanos(until)),
            throttles: *throttles,
        })
    }

    pub(super) fn group_id(&self, slot: u32) -> GroupId {
        GroupId { slot, generation: self.group_generations[slot as usize] }
    }

    fn group_but_root(&self, group: GroupId) -> Result<u32, SchedError> {
        match self.group(group)? {
            0 => Err(SchedError::RootGroup),
            at => Ok(at),
        }
    }

    /// Whether a group is another, or in it.
    fn is_inside(&self, mut group: u32, outer: u32) -> bool {
        while group != outer && group != 0 {
            group = self.group_ref(group).parent;
        }
        group == outer
    }

    /// How many levels there are below a group.
    fn height(&self, group: u32) -> u8 {
        let below = self.children(group).into_iter().map(|child| self.height(child) + 1);
        below.max().unwrap_or(0)
    }

    fn set_depth(&mut self, group: u32, depth: u8) {
        self.group_mut(group).depth = depth;
        for child in self.children(group) {
            self.set_depth(child, depth + 1);
        }
    }

    fn children(&self, of: u32) -> Vec<u32> {
        let known = self.groups.iter().zip(0u32..).skip(1);
        let inside = known.filter(|(group, _)| group.as_ref().is_some_and(|group| group.parent == of));
        inside.map(|(_, slot)| slot).collect()
    }

    /// The timer of a used-up budget.
    pub(super) fn refill(&mut self, at: u32, generation: u32) {
        if self.group_generations[at as usize] != generation || self.groups[at as usize].is_none() {
            return;
        }
        let now = self.now;
        let group = self.group_mut(at);
        group.roll(now);
        if !group.throttled {
            return;
        }
        if group.left > 0 {
            self.unthrottle(at);
        } else {
            let next = group.refill_at();
            self.set_timer(next, super::moves::Timer::Refill { group: at, generation });
        }
    }
}
