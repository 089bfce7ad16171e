//! The tree of queues on each CPU: tasks and groups wait side by side, and a group's own tasks wait inside it.
//!
//! A group has a node on every CPU where one of its tasks was, and an entity that stands for that node in the queue
//! of its parent there. The entity waits while any member waits, and runs while one of them runs.

use super::Scheduler;
use super::moves::Timer;
use crate::queue::{Arrival, Queue, Return};
use crate::table::{Kind, NONE, Slot, State};
use crate::{Policy, Weight};

/// The queue of one group on one CPU.
pub(super) struct Node {
    pub(super) queue: Queue,
    pub(super) cpu: u16,
    pub(super) group: u32,
    /// What stands for it in its parent's queue; nothing for the root.
    pub(super) entity: Slot,
    /// Who of it runs.
    pub(super) running: Slot,
    /// How many members wait or run, and their weights together.
    pub(super) members: u32,
    pub(super) load: u64,
}

impl Node {
    pub(super) fn new(policy: &Policy, cpu: u16, group: u32, entity: Slot) -> Node {
        Node { queue: Queue::new(policy), cpu, group, entity, running: NONE, members: 0, load: 0 }
    }
}

impl Scheduler {
    /// Where a normal task waits or would wait.
    pub(super) fn node_of(&mut self, slot: Slot) -> u32 {
        let group = self.table.rest(slot).group;
        let cpu = self.table.at(slot).cpu;
        self.node_at(group, cpu)
    }

    /// A group's node on a CPU, made when first needed.
    pub(super) fn node_at(&mut self, group: u32, cpu: u16) -> u32 {
        let known = self.group_ref(group).nodes[usize::from(cpu)];
        if known != u32::MAX {
            return known;
        }
        self.bring_up(usize::from(cpu));
        let spec = self.group_ref(group).spec;
        let entity = self.table.insert(Kind::Group, spec.weight, spec.priority, false);
        let entity = entity.expect("four thousand million entities do not fit into memory");
        let node = Node::new(&self.policy, cpu, group, entity);
        let at = match self.free_nodes.pop() {
            Some(at) => {
                self.nodes[at as usize] = node;
                at
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        };
        self.table.at_mut(entity).cpu = cpu;
        self.table.rest_mut(entity).group = at;
        self.group_mut(group).nodes[usize::from(cpu)] = at;
        // What it is owed while it is away, in terms of its parent's queue, begins with nothing.
        let parent = self.parent_of(at);
        self.nodes[parent as usize].queue.keep_lag(&mut self.table, entity, 0);
        at
    }

    /// The node in whose queue this one's entity waits.
    pub(super) fn parent_of(&mut self, node: u32) -> u32 {
        let Node { group, cpu, .. } = self.nodes[node as usize];
        let parent = self.group_ref(group).parent;
        self.node_at(parent, cpu)
    }

    fn counted(&self, slot: Slot) -> u64 {
        u64::from(self.policy.counted(self.table.at(slot).weight()))
    }

    fn count_member(&mut self, node: u32, slot: Slot, comes: bool) {
        let weight = self.counted(slot);
        let node = &mut self.nodes[node as usize];
        let group = self.groups[node.group as usize].as_mut().expect("a node's group is there");
        if comes {
            node.members += 1;
            node.load += weight;
            group.load += weight;
        } else {
            node.members -= 1;
            node.load -= weight;
            group.load -= weight;
        }
    }

    /// An entity that was outside waits from now on, and with it the groups it is in. The caller sets its state.
    pub(super) fn join_waiting(&mut self, mut node: u32, mut slot: Slot, mut arrival: Arrival) {
        self.bring_up(usize::from(self.nodes[node as usize].cpu));
        loop {
            self.nodes[node as usize].queue.join(&mut self.table, slot, arrival);
            self.count_member(node, slot, true);
            let Node { entity, group, .. } = self.nodes[node as usize];
            if self.table.at(slot).kind == Kind::Group {
                self.table.at_mut(slot).state = State::Waiting;
            }
            if entity == NONE || self.table.at(entity).state != State::Blocked {
                return;
            }
            if self.group_ref(group).throttled {
                self.table.at_mut(entity).state = State::Throttled;
                return;
            }
            self.table.at_mut(entity).since = self.now;
            self.share_weight(node);
            node = self.parent_of(node);
            arrival = Arrival::Woken(self.nodes[node as usize].queue.lag(&mut self.table, entity));
            slot = entity;
        }
    }

    /// Takes a waiting entity out, and the groups that have nobody left with it.
    pub(super) fn leave_waiting(&mut self, mut node: u32, mut slot: Slot) {
        loop {
            self.nodes[node as usize].queue.leave(&mut self.table, slot);
            self.count_member(node, slot, false);
            self.table.at_mut(slot).state = State::Blocked;
            let Node { entity, members, .. } = self.nodes[node as usize];
            if entity == NONE || members > 0 {
                return;
            }
            if self.table.at(entity).state != State::Waiting {
                self.table.at_mut(entity).state = State::Blocked;
                return;
            }
            slot = entity;
            node = self.parent_of(node);
        }
    }

    /// Takes a normal task out of its queue, waiting or running.
    pub(super) fn leave_tree(&mut self, slot: Slot) {
        let node = self.node_of(slot);
        match self.table.at(slot).state {
            State::Running => {
                self.nodes[node as usize].queue.leave(&mut self.table, slot);
                self.count_member(node, slot, false);
                self.nodes[node as usize].running = NONE;
                self.settle_up(node, Return::Preempted);
            }
            _ => self.leave_waiting(node, slot),
        }
    }

    /// A running task goes back into its queue, and the groups it is in into theirs.
    #[inline(always)]
    pub(super) fn requeue_normal(&mut self, node: u32, slot: Slot, how: Return) {
        let at = &mut self.nodes[node as usize];
        at.queue.requeue(&mut self.table, slot, how);
        at.running = NONE;
        if at.entity != NONE {
            self.settle_up(node, how);
        }
    }

    /// After a member stopped running: the entities above, which ran with it, wait again or leave.
    fn settle_up(&mut self, mut node: u32, how: Return) {
        loop {
            let Node { entity, group, members, .. } = self.nodes[node as usize];
            if entity == NONE {
                return;
            }
            let throttled = self.group_ref(group).throttled;
            let parent = self.parent_of(node);
            if members > 0 && !throttled {
                self.nodes[parent as usize].queue.requeue(&mut self.table, entity, how);
                self.table.at_mut(entity).state = State::Waiting;
                self.table.at_mut(entity).since = self.now;
                self.share_weight(node);
            } else {
                self.nodes[parent as usize].queue.leave(&mut self.table, entity);
                self.count_member(parent, entity, false);
                self.table.at_mut(entity).state = if members > 0 { State::Throttled } else { State::Blocked };
            }
            self.nodes[parent as usize].running = NONE;
            node = parent;
        }
    }

    /// A task that is outside runs from now on without having waited, and with it the groups it is in.
    pub(super) fn join_running(&mut self, slot: Slot, arrival: Arrival) -> u32 {
        let task_node = self.node_of(slot);
        let (mut node, mut member, mut arrival) = (task_node, slot, Some(arrival));
        loop {
            match arrival {
                Some(arrival) => {
                    self.nodes[node as usize].queue.join_running(&mut self.table, member, arrival);
                    self.count_member(node, member, true);
                }
                None => self.nodes[node as usize].queue.take(&mut self.table, member),
            }
            self.table.at_mut(member).state = State::Running;
            self.nodes[node as usize].running = member;
            let entity = self.nodes[node as usize].entity;
            if entity == NONE {
                return task_node;
            }
            node = self.parent_of(node);
            arrival = match self.table.at(entity).state {
                State::Waiting => None,
                _ => Some(Arrival::Woken(self.nodes[node as usize].queue.lag(&mut self.table, entity))),
            };
            member = entity;
        }
    }

    /// Descends from the root to the task that is next. What is found throttled on the way is put aside.
    pub(super) fn choose_normal(&mut self, cpu: usize) -> Option<(Slot, u64)> {
        let (mut node, mut limit) = (cpu as u32, u64::MAX);
        loop {
            let at = &mut self.nodes[node as usize];
            let slot = at.queue.pop(&mut self.table, self.now)?;
            at.running = slot;
            limit = limit.min(at.queue.request_left(&self.table, slot));
            if self.table.at(slot).kind != Kind::Group {
                self.cores[cpu].node = node;
                let slice = self.table.slice(slot, self.policy.slice().length());
                return Some((slot, slice.min(limit)));
            }
            self.table.at_mut(slot).state = State::Running;
            let child = self.table.rest(slot).group;
            let now = self.now;
            let group = self.group_mut(self.nodes[child as usize].group);
            if group.throttled {
                self.settle_up(child, Return::Preempted);
                (node, limit) = (cpu as u32, u64::MAX);
                continue;
            }
            if group.spec.quota.is_some() {
                group.roll(now);
                limit = limit.min(group.left.max(1) as u64);
            }
            node = child;
        }
    }

    /// Time was used in a node: by a task of it, and so by the groups it is in.
    #[inline(always)]
    pub(super) fn charge_tree(&mut self, node: u32, slot: Slot, ran: u64) {
        let at = &mut self.nodes[node as usize];
        at.queue.charge(&mut self.table, slot, ran);
        if at.entity != NONE {
            self.charge_above(node, ran);
        }
    }

    #[inline(never)]
    fn charge_above(&mut self, mut node: u32, ran: u64) {
        loop {
            let Node { entity, group, .. } = self.nodes[node as usize];
            if entity == NONE {
                return;
            }
            self.charge_group(group, ran);
            node = self.parent_of(node);
            self.nodes[node as usize].queue.charge(&mut self.table, entity, ran);
        }
    }

    fn charge_group(&mut self, at: u32, ran: u64) {
        let (now, generation) = (self.now, self.group_generations[at as usize]);
        let group = self.group_mut(at);
        group.runtime = group.runtime.saturating_add(ran);
        if group.spec.quota.is_none() {
            return;
        }
        group.roll(now);
        group.left = group.left.saturating_sub_unsigned(ran);
        if group.left <= 0 && !group.throttled {
            group.throttled = true;
            group.throttles += 1;
            let refill_at = group.refill_at();
            self.set_timer(refill_at, Timer::Refill { group: at, generation });
        }
    }

    /// On several CPUs a group's weight is split by where its load is.
    pub(super) fn share_weight(&mut self, node: u32) {
        let Node { entity, group, load, .. } = self.nodes[node as usize];
        let group = self.group_ref(group);
        if self.cores.len() == 1 {
            self.reweigh(node, entity, group.spec.weight.get());
            return;
        }
        let whole = u128::from(group.spec.weight.get());
        let part = (whole * u128::from(load)).checked_div(u128::from(group.load)).unwrap_or(whole);
        let weight = (part as u32).clamp(1, Weight::MAX.get());
        self.reweigh(node, entity, weight);
    }

    /// Changes the weight of a node's entity, wherever that is.
    fn reweigh(&mut self, node: u32, entity: Slot, weight: u32) {
        if self.table.at(entity).weight() == weight {
            return;
        }
        let parent = self.parent_of(node);
        self.reweigh_in(parent, entity, weight);
    }

    /// Changes the weight of an entity of this node.
    pub(super) fn reweigh_in(&mut self, node: u32, slot: Slot, weight: u32) {
        let counts = matches!(self.table.at(slot).state, State::Waiting | State::Running);
        if counts {
            self.count_member(node, slot, false);
        }
        self.nodes[node as usize].queue.reweigh(&mut self.table, slot, weight);
        if counts {
            self.count_member(node, slot, true);
        }
    }

    /// The budget is filled again: what was put aside waits again.
    pub(super) fn unthrottle(&mut self, group: u32) {
        self.group_mut(group).throttled = false;
        for cpu in 0..self.cores.len() {
            let node = self.group_ref(group).nodes[cpu];
            if node == u32::MAX {
                continue;
            }
            let Node { entity, members, .. } = self.nodes[node as usize];
            if self.table.at(entity).state == State::Throttled {
                self.table.at_mut(entity).state = State::Blocked;
                if members > 0 {
                    self.table.at_mut(entity).since = self.now;
                    self.share_weight(node);
                    let parent = self.parent_of(node);
                    let lag = self.nodes[parent as usize].queue.lag(&mut self.table, entity);
                    self.join_waiting(parent, entity, Arrival::Woken(lag));
                }
            }
        }
    }

    /// The lag a blocked normal task keeps, in virtual time.
    pub(super) fn lag_away(&mut self, slot: Slot) -> i64 {
        if self.table.at(slot).kind != Kind::Normal {
            return 0;
        }
        self.bring_up(usize::from(self.table.at(slot).cpu));
        let node = self.node_of(slot);
        self.nodes[node as usize].queue.lag(&mut self.table, slot)
    }
}
