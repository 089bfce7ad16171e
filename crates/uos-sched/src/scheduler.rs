//! Tasks, CPUs and time around a policy.

use crate::ledger::{Account, Ledger};
use crate::task::Slots;
use crate::{
    Arrival, Cpu, Nanos, Observed, Pick, Policy, SchedError, Stats, TaskId, TaskState, TaskStats, Weight,
};

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

struct Task {
    weight: Weight,
    state: TaskState,
    /// Since when it is in that state; while it runs, until when it has been charged.
    since: Nanos,
    runtime: Nanos,
    waits: u64,
    waited: Nanos,
    preemptions: u64,
    account: Account,
}

#[derive(Clone, Copy, Default)]
struct Core {
    running: Option<TaskId>,
    last: Option<(TaskId, Why)>,
}

#[derive(Default)]
struct Totals {
    scheduled: u64,
    context_switches: u64,
    preemptions: u64,
    active: usize,
    running: u32,
    runtime: Nanos,
}

impl<P: Policy> Scheduler<P> {
    /// A scheduler for this many CPUs, without tasks.
    pub fn new(policy: P, cpus: u32) -> Result<Scheduler<P>, SchedError> {
        if cpus == 0 {
            return Err(SchedError::NoCpus);
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

    /// One task's numbers, up to the last time that was told.
    pub fn task(&self, task: TaskId) -> Result<TaskStats, SchedError> {
        let entry = self.get(task)?;
        let in_state = self.now.since(entry.since);
        let runnable = entry.state != TaskState::Blocked;
        Ok(TaskStats {
            state: entry.state,
            weight: entry.weight,
            runtime: match entry.state {
                TaskState::Running(_) => entry.runtime + in_state,
                _ => entry.runtime,
            },
            entitled: self.ledger.entitled(&entry.account, runnable.then_some(entry.weight)),
            waits: entry.waits,
            waited: match entry.state {
                TaskState::Waiting => entry.waited + in_state,
                _ => entry.waited,
            },
            preemptions: entry.preemptions,
        })
    }

    /// The tasks there are.
    pub fn tasks(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.tasks.ids()
    }

    /// The totals, up to the last time that was told.
    pub fn stats(&self) -> Stats {
        let running = self.cores.iter().filter_map(|core| core.running);
        let uncharged = running.map(|task| self.now.since(self.known(task).since));
        Stats {
            policy: self.policy.name(),
            scheduled: self.totals.scheduled,
            context_switches: self.totals.context_switches,
            preemptions: self.totals.preemptions,
            active: self.totals.active,
            running: self.totals.running as usize,
            runtime: uncharged.fold(self.totals.runtime, |sum, more| sum + more),
        }
    }

    fn get(&self, task: TaskId) -> Result<&Task, SchedError> {
        self.tasks.get(task).ok_or(SchedError::UnknownTask { task })
    }

    fn known(&self, task: TaskId) -> &Task {
        self.tasks.get(task).expect("the caller has checked it")
    }

    fn check_idle(&self, task: TaskId) -> Result<(), SchedError> {
        match self.get(task)?.state {
            TaskState::Running(cpu) => Err(SchedError::TaskRunning { task, cpu }),
            _ => Ok(()),
        }
    }

    fn core(&self, cpu: Cpu) -> Result<Core, SchedError> {
        let cpus = self.cores.len() as u32;
        self.cores.get(cpu.0 as usize).copied().ok_or(SchedError::NoSuchCpu { cpu, cpus })
    }

    fn running(&self, cpu: Cpu) -> Result<TaskId, SchedError> {
        self.core(cpu)?.running.ok_or(SchedError::NotRunning { cpu })
    }

    fn check_time(&self, now: Nanos) -> Result<(), SchedError> {
        if now < self.now {
            return Err(SchedError::TimeWentBack { from: self.now, to: now });
        }
        Ok(())
    }

    /// Lets time pass: what the CPUs gave out meanwhile is owed to those who could run meanwhile.
    fn advance(&mut self, now: Nanos) {
        self.ledger.give_out(now.since(self.now) * u64::from(self.totals.running));
        self.now = now;
    }

    fn charge_task(&mut self, task: TaskId) -> Nanos {
        let entry = self.tasks.get_mut(task).expect("what runs is known");
        let ran = self.now.since(entry.since);
        entry.since = self.now;
        entry.runtime = entry.runtime + ran;
        self.totals.runtime = self.totals.runtime + ran;
        self.policy.charge(task, ran);
        ran
    }

    fn make_runnable(&mut self, task: TaskId, arrival: Arrival) {
        let entry = self.tasks.get_mut(task).expect("the caller has checked it");
        self.ledger.open(&mut entry.account, entry.weight);
        self.requeue(task, arrival);
    }

    fn requeue(&mut self, task: TaskId, arrival: Arrival) {
        let entry = self.tasks.get_mut(task).expect("the caller has checked it");
        entry.state = TaskState::Waiting;
        entry.since = self.now;
        self.policy.enqueue(task, arrival, self.now);
    }

    fn make_blocked(&mut self, task: TaskId) -> bool {
        let entry = self.tasks.get_mut(task).expect("the caller has checked it");
        match entry.state {
            TaskState::Blocked => return false,
            TaskState::Waiting => entry.waited = entry.waited + self.now.since(entry.since),
            TaskState::Running(_) => {}
        }
        self.ledger.close(&mut entry.account, entry.weight);
        entry.state = TaskState::Blocked;
        entry.since = self.now;
        self.policy.dequeue(task);
        true
    }

    fn forget(&mut self, task: TaskId) -> TaskStats {
        let stats = self.task(task).expect("the caller has checked it");
        self.policy.leave(task);
        self.tasks.remove(task);
        self.totals.active -= 1;
        stats
    }

    fn count_switch(&mut self, last: Option<(TaskId, Why)>, next: TaskId) {
        if last.is_some_and(|(task, _)| task == next) {
            return;
        }
        self.totals.context_switches += 1;
        if let Some((task, Why::Expired)) = last {
            self.totals.preemptions += 1;
            // It may have left since; then there is nobody left to count it for.
            if let Some(entry) = self.tasks.get_mut(task) {
                entry.preemptions += 1;
            }
        }
    }
}

impl Task {
    fn new(weight: Weight) -> Task {
        let (runtime, waited, since) = (Nanos::ZERO, Nanos::ZERO, Nanos::ZERO);
        let (state, account) = (TaskState::Blocked, Account::default());
        Task { weight, state, since, runtime, waits: 0, waited, preemptions: 0, account }
    }
}
