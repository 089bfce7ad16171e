//! Tasks, CPUs and time around a policy.

mod books;
mod change;
mod explain;
mod groups;
mod moves;
mod smp;
mod strict;
mod tree;

pub use explain::{Ahead, Standing};

use crate::cpus::Masks;
use crate::group::Group;
use crate::queue::Queue;
use crate::stats::Histogram;
use crate::table::{Kind, NONE, Slot, State, Table};
use crate::{
    Cpu, GroupId, GroupSpec, Nanos, Observed, Pick, Policy, SchedError, Spec, Switch, TaskId, TaskState,
    TaskStats,
};
use books::{Given, Totals};
use moves::{Core, Timer};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use strict::Reserved;
use tree::Node;

/// Decides which task runs on which CPU and for how long, and keeps the books.
///
/// Every call that takes effect in time is told the time, which never goes back. A call that is refused has changed
/// nothing.
pub struct Scheduler {
    policy: Policy,
    table: Table,
    cores: Vec<Core>,
    /// The queues: first one for each CPU, then those of groups.
    nodes: Vec<Node>,
    free_nodes: Vec<u32>,
    /// The root first.
    groups: Vec<Option<Group>>,
    group_generations: Vec<u32>,
    free_groups: Vec<u32>,
    masks: Masks,
    reserved: Vec<Reserved>,
    free_reserved: Vec<u32>,
    timers: BinaryHeap<Reverse<(u64, Timer)>>,
    /// When the first timer is due.
    due: u64,
    now: u64,
    next_balance: u64,
    /// Tasks that wait, and those of them that are strict, on all CPUs.
    waiting: u32,
    strict: u32,
    /// CPU time given to normal tasks that the root's ledger has not been told of yet.
    given: Given,
    totals: Totals,
    waits: Histogram,
}

/// Why a task no longer has its CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Why {
    /// Its slice is over; it would have gone on.
    Expired,
    /// Somebody else goes first. It has time left, and is the first of its equals, where there is such a thing.
    Preempted,
    /// It lets others go first. A deadline task is done for this period.
    Yield,
    /// It waits for something and can't run until it is woken.
    Blocked,
    /// It has ended. Its id is stale from here on.
    Exited,
}

impl Scheduler {
    /// More CPUs than this no Linux kernel has.
    pub const MAX_CPUS: u32 = 8192;

    /// A scheduler for this many CPUs, without tasks.
    pub fn new(policy: Policy, cpus: u32) -> Result<Scheduler, SchedError> {
        if cpus == 0 || cpus > Self::MAX_CPUS {
            return Err(SchedError::BadCpuCount { asked: cpus, max: Self::MAX_CPUS });
        }
        let mut root = Group::new(0, 0, GroupSpec::default(), 0, 0);
        root.nodes = (0..cpus).collect();
        Ok(Scheduler {
            policy,
            table: Table::default(),
            cores: (0..cpus).map(|_| Core::default()).collect(),
            nodes: (0..cpus).map(|cpu| Node::new(&policy, cpu as u16, 0, NONE)).collect(),
            free_nodes: Vec::new(),
            groups: vec![Some(root)],
            group_generations: vec![0],
            free_groups: Vec::new(),
            masks: Masks::new(cpus),
            reserved: Vec::new(),
            free_reserved: Vec::new(),
            timers: BinaryHeap::new(),
            due: u64::MAX,
            now: 0,
            next_balance: 0,
            waiting: 0,
            strict: 0,
            given: Given::default(),
            totals: Totals::default(),
            waits: Histogram::EMPTY,
        })
    }

    /// Room for this many more tasks, so that adding them moves nothing.
    pub fn reserve(&mut self, tasks: usize) {
        self.table.reserve(tasks);
    }

    /// A new task, which waits for a CPU at once. A weight or a priority will do for a normal one.
    pub fn add(&mut self, spec: impl Into<Spec>, now: Nanos) -> Result<TaskId, SchedError> {
        let spec = spec.into();
        let group = self.group(spec.group)?;
        let words = self.masks.check(&spec.affinity)?;
        self.check_admission(&spec.class, &words, None)?;
        self.check_time(now)?;
        let kind = Kind::of(&spec.class);
        let together = matches!(self.policy, Policy::Priority { .. });
        let slot = self.table.insert(kind, spec.weight, spec.priority, together);
        let slot = slot.ok_or(SchedError::NoIdLeft)?;
        self.advance(now);
        self.table.set_slice(slot, spec.slice.map(|slice| slice.length().0 as u32));
        self.table.rest_mut(slot).mask = self.masks.hold(words);
        self.table.rest_mut(slot).group = group;
        self.group_mut(group).tasks += 1;
        self.take_class(slot, &spec.class);
        self.totals.active += 1;
        let cpu = self.place(slot);
        self.table.at_mut(slot).cpu = cpu;
        self.arrive(slot, crate::queue::Arrival::New);
        Ok(self.table.id(slot))
    }

    /// Forgets a task that does not run, and says what it had.
    pub fn remove(&mut self, task: TaskId, now: Nanos) -> Result<TaskStats, SchedError> {
        let slot = self.idle(task)?;
        self.check_time(now)?;
        self.advance(now);
        self.make_blocked(slot);
        Ok(self.forget(slot))
    }

    /// A task that does not run can't for now. Answers whether that is news.
    pub fn block(&mut self, task: TaskId, now: Nanos) -> Result<bool, SchedError> {
        let slot = self.idle(task)?;
        self.check_time(now)?;
        self.advance(now);
        Ok(self.make_blocked(slot))
    }

    /// A blocked task can run again. Answers whether that is news; its statistics say which CPU it waits for, and
    /// [`preempts`](Scheduler::preempts) whether it should get that at once.
    pub fn wake(&mut self, task: TaskId, now: Nanos) -> Result<bool, SchedError> {
        let slot = self.find(task)?;
        self.check_time(now)?;
        self.advance(now);
        let blocked = self.table.at(slot).state == State::Blocked;
        if blocked {
            let lag = self.lag_away(slot);
            let cpu = self.place(slot);
            self.table.at_mut(slot).cpu = cpu;
            self.arrive(slot, crate::queue::Arrival::Woken(lag));
        }
        Ok(blocked)
    }

    /// Gives an idle CPU to the next task, or to nobody if none waits that may run there now.
    ///
    /// Nobody runs while somebody waits only if a quota or a reservation is used up; see
    /// [`next_event`](Scheduler::next_event).
    pub fn pick(&mut self, cpu: Cpu, now: Nanos) -> Result<Option<Pick>, SchedError> {
        match self.cores.get(cpu.index()) {
            Some(core) if core.running == NONE && self.now <= now.0 => {}
            _ => return Err(self.why_no_pick(cpu, now)),
        }
        self.advance(now);
        if self.waiting == 0 {
            return Ok(None);
        }
        if self.cores.len() > 1 {
            self.pull(cpu.index());
        }
        if self.nodes.len() == self.cores.len()
            && let Some(pick) = self.pick_simply(cpu.index())
        {
            return Ok(Some(pick));
        }
        let chosen = self.choose(cpu.index());
        Ok(chosen.map(|(slot, slice)| self.start_on(cpu.index(), slot, slice)))
    }

    /// Charges what the CPU's task ran since it was last charged, and lets it go on. Answers how much.
    pub fn charge(&mut self, cpu: Cpu, now: Nanos) -> Result<Nanos, SchedError> {
        let slot = self.running(cpu)?;
        self.check_time(now)?;
        self.advance(now);
        Ok(Nanos(self.charge_running(cpu.index(), slot)))
    }

    /// Charges the CPU's task and takes it off. Answers which it was.
    pub fn put_back(&mut self, cpu: Cpu, now: Nanos, why: Why) -> Result<TaskId, SchedError> {
        let slot = match self.cores.get(cpu.index()) {
            Some(core) if core.running != NONE && self.now <= now.0 => core.running,
            _ => return Err(self.why_no_put_back(cpu, now)),
        };
        self.advance(now);
        if let Some(task) = self.put_back_simply(cpu.index(), slot, why) {
            return Ok(task);
        }
        self.charge_running(cpu.index(), slot);
        Ok(self.stop(cpu.index(), slot, why))
    }

    /// Charges the CPU's task, takes it off and gives the CPU to the next: what [`put_back`](Scheduler::put_back) and
    /// then [`pick`](Scheduler::pick) do at the same moment, in half the time where the decision is a simple one.
    ///
    /// The end of a slice is this call. The same task goes on if it is the first again.
    #[inline]
    pub fn switch(&mut self, cpu: Cpu, now: Nanos, why: Why) -> Result<Switch, SchedError> {
        match self.nodes.first().map(|node| &node.queue) {
            Some(Queue::Turns(_)) => self.switch_in_turns(cpu, now, why),
            Some(Queue::Levels(..)) => self.switch_by_level(cpu, now, why),
            _ => self.switch_by_time(cpu, now, why),
        }
    }

    #[inline(never)]
    fn switch_by_steps(&mut self, cpu: Cpu, now: Nanos, why: Why) -> Result<Switch, SchedError> {
        let from = self.put_back(cpu, now, why)?;
        Ok(Switch { from, to: self.pick(cpu, now)? })
    }

    /// Takes over what a kernel did with a task that this scheduler does not run itself.
    ///
    /// It counts as if it had been decided here: for the task, in the totals, and for the policy's order.
    /// Report what a task ran before saying that it blocked, while it still has a part in what is owed.
    pub fn account(&mut self, task: TaskId, observed: Observed) -> Result<(), SchedError> {
        let Observed { runtime, switches, preemptions } = observed;
        let slot = self.idle(task)?;
        if preemptions > switches {
            return Err(SchedError::BadObservation { switches, preemptions });
        }
        if self.table.at(slot).kind == Kind::Normal {
            self.given.add(runtime.0);
            let node = self.node_of(slot);
            self.charge_tree(node, slot, runtime.0);
        } else {
            let cold = self.table.rest_mut(slot);
            cold.owed = cold.owed.saturating_add(runtime.0);
        }
        self.totals.runtime.add(runtime.0);
        self.totals.observed += switches;
        self.totals.willing += switches - preemptions;
        self.totals.preemptions += preemptions;
        let hot = self.table.at_mut(slot);
        hot.runtime = hot.runtime.saturating_add(runtime.0);
        hot.waits += switches;
        self.table.count_preemptions(slot, preemptions);
        Ok(())
    }

    /// When something happens by itself next: a used-up quota or reservation is filled again. Whoever has an idle
    /// CPU then should ask for a task.
    pub fn next_event(&self) -> Option<Nanos> {
        (self.due != u64::MAX).then_some(Nanos(self.due))
    }

    /// The policy in force.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// How many CPUs there are.
    pub fn cpus(&self) -> u32 {
        self.cores.len() as u32
    }

    /// Who runs on a CPU, and until when at the most.
    pub fn current(&self, cpu: Cpu) -> Result<Option<(TaskId, Nanos)>, SchedError> {
        let core = self.core(cpu)?;
        Ok((core.running != NONE).then(|| (self.table.id(core.running), Nanos(core.until))))
    }

    fn group_mut(&mut self, group: u32) -> &mut Group {
        self.groups[group as usize].as_mut().expect("a group in use is there")
    }

    fn group_ref(&self, group: u32) -> &Group {
        self.groups[group as usize].as_ref().expect("a group in use is there")
    }

    /// The index of a group that is there.
    fn group(&self, group: GroupId) -> Result<u32, SchedError> {
        let there = self.group_generations.get(group.slot as usize) == Some(&group.generation);
        let known = there && self.groups[group.slot as usize].is_some();
        known.then_some(group.slot).ok_or(SchedError::UnknownGroup { group })
    }

    fn state_of(&self, slot: Slot) -> TaskState {
        match self.table.at(slot).state {
            State::Waiting => TaskState::Waiting,
            State::Running => TaskState::Running(self.table.cpu(slot)),
            State::Throttled => TaskState::Throttled,
            State::Blocked | State::Free => TaskState::Blocked,
        }
    }
}
