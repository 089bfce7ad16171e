//! A machine that exists only as a list of what happens next.

use crate::workload::{Task, Workload};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use uos_sched::{Cpu, GroupId, GroupSpec, Nanos, SchedError, Scheduler, Spec, TaskId, TaskStats, Why};

pub(crate) struct Machine {
    pub(crate) sched: Scheduler,
    pub(crate) tasks: Vec<Simulated>,
    /// How long all CPUs together ran something.
    pub(crate) busy: Nanos,
    /// What ran when, as long as it is to be drawn.
    pub(crate) spans: Vec<Span>,
    pub(crate) drawn_until: Nanos,
    /// Which task has which slot of the scheduler.
    by_slot: Vec<usize>,
    events: BinaryHeap<Reverse<(Nanos, Event)>>,
    cpus: Vec<Running>,
    timer: Nanos,
    groups: Vec<GroupId>,
}

pub(crate) struct Simulated {
    pub(crate) task: Task,
    pub(crate) id: Option<TaskId>,
    /// Its books when it exited.
    pub(crate) last: Option<TaskStats>,
    left: Nanos,
    bursts: u64,
}

#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) cpu: u32,
    pub(crate) task: usize,
    pub(crate) from: Nanos,
    pub(crate) to: Nanos,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive(usize),
    Wake(usize),
    /// Of the turn with this number.
    TurnOver(u32, u64),
    Timer,
}

#[derive(Clone, Copy, Default)]
struct Running {
    task: Option<usize>,
    from: Nanos,
    turn: u64,
}

impl Machine {
    pub(crate) fn new(workload: &Workload, drawn_until: Nanos) -> Result<Machine, SchedError> {
        let mut sched = Scheduler::new(workload.policy, workload.cpus)?;
        sched.reserve(workload.tasks.len());
        let mut groups: Vec<GroupId> = Vec::new();
        for group in &workload.groups {
            let spec = GroupSpec::default().weight(group.weight);
            let spec = group.quota.map_or(spec, |quota| spec.quota(quota));
            groups.push(sched.create_group(group.parent.map_or(GroupId::ROOT, |at| groups[at]), spec)?);
        }
        let tasks = workload.tasks.iter().map(|task| {
            let (left, task) = (task.burst, task.clone());
            Simulated { task, id: None, last: None, left, bursts: 0 }
        });
        let tasks: Vec<Simulated> = tasks.collect();
        let arrivals =
            tasks.iter().enumerate().map(|(at, one)| Reverse((one.task.arrive, Event::Arrive(at))));
        Ok(Machine {
            events: arrivals.collect(),
            cpus: vec![Running::default(); workload.cpus as usize],
            sched,
            tasks,
            busy: Nanos::ZERO,
            spans: Vec::new(),
            drawn_until,
            by_slot: Vec::new(),
            timer: Nanos(u64::MAX),
            groups,
        })
    }

    /// Lets everything happen up to this time.
    pub(crate) fn run(&mut self, until: Nanos) -> Result<(), SchedError> {
        while let Some(&Reverse((now, event))) = self.events.peek() {
            if now > until {
                break;
            }
            self.events.pop();
            match event {
                Event::Arrive(at) => self.arrive(at, now)?,
                Event::Wake(at) => {
                    if let Some(id) = self.tasks[at].id {
                        self.sched.wake(id, now)?;
                        self.look_at(id, now)?;
                    }
                }
                Event::TurnOver(cpu, turn) if self.cpus[cpu as usize].turn == turn => {
                    self.turn_over(cpu, now, None)?;
                    self.fill(cpu, now)?;
                }
                Event::TurnOver(..) => {}
                Event::Timer => {
                    self.timer = Nanos(u64::MAX);
                    for cpu in 0..self.sched.cpus() {
                        self.fill(cpu, now)?;
                    }
                }
            }
            if let Some(next) = self.sched.next_event().filter(|&next| next < self.timer) {
                self.timer = next.max(now);
                self.events.push(Reverse((self.timer, Event::Timer)));
            }
        }
        for cpu in 0..self.sched.cpus() {
            if self.cpus[cpu as usize].task.is_some() {
                self.turn_over(cpu, until, Some(Why::Preempted))?;
            }
        }
        Ok(())
    }

    fn arrive(&mut self, at: usize, now: Nanos) -> Result<(), SchedError> {
        let task = &self.tasks[at].task;
        let spec = Spec::default().class(task.class).affinity(task.affinity.clone());
        let spec = task.priority.map_or(spec.clone(), |priority| spec.priority(priority)).weight(task.weight);
        let spec = task.group.map_or(spec.clone(), |group| spec.group(self.groups[group]));
        let spec = task.slice.map_or(spec.clone(), |slice| spec.slice(slice));
        let id = self.sched.add(spec, now)?;
        self.tasks[at].id = Some(id);
        self.by_slot.resize(self.by_slot.len().max(id.slot() + 1), at);
        self.by_slot[id.slot()] = at;
        self.look_at(id, now)
    }

    /// Somebody has come to wait for a CPU: gives it to them if it is free or should be theirs.
    fn look_at(&mut self, id: TaskId, now: Nanos) -> Result<(), SchedError> {
        let cpu = self.sched.task(id)?.cpu;
        if self.cpus[cpu.0 as usize].task.is_some() && self.sched.preempts(cpu, now)? {
            self.turn_over(cpu.0, now, Some(Why::Preempted))?;
        }
        self.fill(cpu.0, now)
    }

    fn fill(&mut self, cpu: u32, now: Nanos) -> Result<(), SchedError> {
        if self.cpus[cpu as usize].task.is_some() {
            return Ok(());
        }
        let Some(pick) = self.sched.pick(Cpu(cpu), now)? else { return Ok(()) };
        let at = self.by_slot[pick.task.slot()];
        let turn = self.cpus[cpu as usize].turn + 1;
        self.cpus[cpu as usize] = Running { task: Some(at), from: now, turn };
        let end = now + pick.slice.min(self.tasks[at].left);
        self.events.push(Reverse((end, Event::TurnOver(cpu, turn))));
        Ok(())
    }

    fn turn_over(&mut self, cpu: u32, now: Nanos, why: Option<Why>) -> Result<(), SchedError> {
        let Running { task, from, turn } = self.cpus[cpu as usize];
        let Some(at) = task else { return Ok(()) };
        self.cpus[cpu as usize] = Running { task: None, from: now, turn: turn + 1 };
        let ran = now.since(from);
        self.busy = self.busy + ran;
        if from < self.drawn_until && ran > Nanos::ZERO {
            self.spans.push(Span { cpu, task: at, from, to: now.min(self.drawn_until) });
        }
        let one = &mut self.tasks[at];
        if one.task.burst != Nanos(u64::MAX) {
            one.left = one.left.since(ran);
        }
        if one.left > Nanos::ZERO {
            self.sched.put_back(Cpu(cpu), now, why.unwrap_or(Why::Expired))?;
            return Ok(());
        }
        (one.left, one.bursts) = (one.task.burst, one.bursts + 1);
        if one.task.bursts == Some(one.bursts) {
            self.sched.charge(Cpu(cpu), now)?;
            one.last = one.id.take().map(|id| self.sched.task(id)).transpose()?;
            self.sched.put_back(Cpu(cpu), now, Why::Exited)?;
        } else if one.task.sleep == Nanos::ZERO {
            self.sched.put_back(Cpu(cpu), now, Why::Expired)?;
        } else {
            self.events.push(Reverse((now + one.task.sleep, Event::Wake(at))));
            self.sched.put_back(Cpu(cpu), now, Why::Blocked)?;
        }
        Ok(())
    }

    /// A task's books, now or when it exited; none if it never came.
    pub(crate) fn books(&self, at: usize) -> Option<TaskStats> {
        let now = self.tasks[at].id.and_then(|id| self.sched.task(id).ok());
        now.or(self.tasks[at].last)
    }
}
