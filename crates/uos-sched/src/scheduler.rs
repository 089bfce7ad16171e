//! Tasks, CPUs and time around a policy.

mod books;
mod moves;

use crate::ledger::Ledger;
use crate::task::Slots;
use crate::{Arrival, Cpu, Nanos, Observed, Pick, Policy, SchedError, TaskId, TaskState, TaskStats, Weight};
use books::{Core, Task, Totals};

/// Runs tasks on CPUs in the order a policy gives, and keeps the books.
///
/// Every call that takes effect in time is told the time, which never goes back. A call that is refused
/// has changed nothing.
pub struct Scheduler<P> {
    policy: P,
    tasks: Slots<Task>,
    cores: Vec<Core>,
    now: Nanos,
    totals: Totals,
    ledger: Ledger,
}

/// Why a task no longer has its CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Why {
    /// Its slice is over, or somebody else should be looked at; it would have gone on.
    Expired,
    /// It lets others go first.
    Yield,
    /// It waits for something and can't run until it is woken.
    Blocked,
    /// It has ended. Its id is stale from here on.
    Exited,
}

impl<P: Policy> Scheduler<P> {
    /// More CPUs than this no Linux kernel has.
    pub const MAX_CPUS: u32 = 8192;

    /// A scheduler for this many CPUs, without tasks.
    pub fn new(policy: P, cpus: u32) -> Result<Scheduler<P>, SchedError> {
        if cpus == 0 || cpus > Self::MAX_CPUS {
            return Err(SchedError::BadCpuCount { asked: cpus, max: Self::MAX_CPUS });
        }
        let (totals, ledger) = (Totals::default(), Ledger::default());
        let cores = vec![Core::default(); cpus as usize];
        Ok(Scheduler { policy, tasks: Slots::new(), cores, now: Nanos::ZERO, totals, ledger })
    }

    /// A new task, which waits for a CPU at once.
    pub fn add(&mut self, weight: Weight, now: Nanos) -> Result<TaskId, SchedError> {
        self.check_time(now)?;
        let task = self.tasks.insert(Task::new(weight)).ok_or(SchedError::NoIdLeft)?;
        self.advance(now);
        self.totals.active += 1;
        self.policy.join(task, weight);
        self.make_runnable(task, Arrival::Joined);
        Ok(task)
    }

    /// Forgets a task that does not run, and says what it had.
    pub fn remove(&mut self, task: TaskId, now: Nanos) -> Result<TaskStats, SchedError> {
        self.check_idle(task)?;
        self.check_time(now)?;
        self.advance(now);
        self.make_blocked(task);
        Ok(self.forget(task))
    }

    /// Changes a weight, whatever the task does at the moment. It counts from now on.
    pub fn set_weight(&mut self, task: TaskId, weight: Weight, now: Nanos) -> Result<(), SchedError> {
        self.get(task)?;
        self.check_time(now)?;
        self.advance(now);
        if let TaskState::Running(_) = self.known(task).state {
            self.charge_task(task);
        }
        let entry = self.tasks.get_mut(task).expect("checked above");
        let runnable = entry.state != TaskState::Blocked;
        if runnable {
            self.ledger.close(&mut entry.account, entry.weight);
        }
        entry.weight = weight;
        if runnable {
            self.ledger.open(&mut entry.account, weight);
        }
        self.policy.set_weight(task, weight);
        Ok(())
    }

    /// A waiting task can't run for now. Answers whether that is news.
    pub fn block(&mut self, task: TaskId, now: Nanos) -> Result<bool, SchedError> {
        self.check_idle(task)?;
        self.check_time(now)?;
        self.advance(now);
        Ok(self.make_blocked(task))
    }

    /// A blocked task can run again. Answers whether that is news.
    pub fn wake(&mut self, task: TaskId, now: Nanos) -> Result<bool, SchedError> {
        let blocked = self.get(task)?.state == TaskState::Blocked;
        self.check_time(now)?;
        self.advance(now);
        if blocked {
            self.make_runnable(task, Arrival::Woken);
        }
        Ok(blocked)
    }

    /// Gives an idle CPU to the next task, or to nobody if none waits.
    pub fn pick(&mut self, cpu: Cpu, now: Nanos) -> Result<Option<Pick>, SchedError> {
        let core = self.core(cpu)?;
        if let Some(task) = core.running {
            return Err(SchedError::AlreadyRunning { cpu, task });
        }
        self.check_time(now)?;
        self.advance(now);
        let Some(pick) = self.policy.pick(cpu, now) else { return Ok(None) };
        self.count_switch(core.last, pick.task);
        self.totals.scheduled += 1;
        self.totals.running += 1;
        let entry = self.tasks.get_mut(pick.task).expect("a policy picks only what was enqueued");
        debug_assert_eq!(entry.state, TaskState::Waiting, "a policy picks each task once");
        entry.waits += 1;
        entry.waited = entry.waited + now.since(entry.since);
        entry.state = TaskState::Running(cpu);
        entry.since = now;
        self.cores[cpu.0 as usize].running = Some(pick.task);
        Ok(Some(pick))
    }

    /// Charges what the CPU's task ran since it was last charged, and lets it go on. Answers how much.
    pub fn charge(&mut self, cpu: Cpu, now: Nanos) -> Result<Nanos, SchedError> {
        let task = self.running(cpu)?;
        self.check_time(now)?;
        self.advance(now);
        Ok(self.charge_task(task))
    }

    /// Charges the CPU's task and takes it off. Answers which it was.
    pub fn put_back(&mut self, cpu: Cpu, now: Nanos, why: Why) -> Result<TaskId, SchedError> {
        let task = self.running(cpu)?;
        self.check_time(now)?;
        self.advance(now);
        self.charge_task(task);
        self.cores[cpu.0 as usize] = Core { running: None, last: Some((task, why)) };
        self.totals.running -= 1;
        match why {
            Why::Expired => self.requeue(task, Arrival::Expired),
            Why::Yield => self.requeue(task, Arrival::Yielded),
            Why::Blocked => {
                self.make_blocked(task);
            }
            Why::Exited => {
                self.make_blocked(task);
                self.forget(task);
            }
        }
        Ok(task)
    }

    /// Takes over what a kernel did with a task that this scheduler does not run itself.
    ///
    /// It counts as if it had been decided here: for the task, in the totals, and for the policy's order.
    /// Report what a task ran before saying that it blocked, while it still has a part in what is owed.
    pub fn account(&mut self, task: TaskId, observed: Observed) -> Result<(), SchedError> {
        let Observed { runtime, switches, preemptions } = observed;
        self.check_idle(task)?;
        if preemptions > switches {
            return Err(SchedError::BadObservation { switches, preemptions });
        }
        self.ledger.give_out(runtime);
        self.policy.charge(task, runtime);
        self.totals.runtime = self.totals.runtime + runtime;
        self.totals.scheduled += switches;
        self.totals.context_switches += switches;
        self.totals.preemptions += preemptions;
        let entry = self.tasks.get_mut(task).expect("checked above");
        entry.runtime = entry.runtime + runtime;
        entry.waits += switches;
        entry.preemptions += preemptions;
        Ok(())
    }
}
