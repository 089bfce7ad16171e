//! The checks before a call and the moves between blocked, waiting and running, which every call is
//! made of. Checks change nothing; a move can't fail. So a refused call leaves everything as it was.

use super::{Core, Scheduler, Task, Why};
use crate::{Arrival, Cpu, Nanos, Policy, SchedError, TaskId, TaskState, TaskStats};

impl<P: Policy> Scheduler<P> {
    pub(super) fn get(&self, task: TaskId) -> Result<&Task, SchedError> {
        self.tasks.get(task).ok_or(SchedError::UnknownTask { task })
    }

    pub(super) fn known(&self, task: TaskId) -> &Task {
        self.tasks.get(task).expect("the caller has checked it")
    }

    pub(super) fn check_idle(&self, task: TaskId) -> Result<(), SchedError> {
        match self.get(task)?.state {
            TaskState::Running(cpu) => Err(SchedError::TaskRunning { task, cpu }),
            _ => Ok(()),
        }
    }

    pub(super) fn core(&self, cpu: Cpu) -> Result<Core, SchedError> {
        let cpus = self.cores.len() as u32;
        self.cores.get(cpu.0 as usize).copied().ok_or(SchedError::NoSuchCpu { cpu, cpus })
    }

    pub(super) fn running(&self, cpu: Cpu) -> Result<TaskId, SchedError> {
        self.core(cpu)?.running.ok_or(SchedError::NotRunning { cpu })
    }

    pub(super) fn check_time(&self, now: Nanos) -> Result<(), SchedError> {
        if now < self.now {
            return Err(SchedError::TimeWentBack { from: self.now, to: now });
        }
        Ok(())
    }

    /// Lets time pass: what the CPUs gave out meanwhile is owed to those who could run meanwhile.
    pub(super) fn advance(&mut self, now: Nanos) {
        self.ledger.give_out(now.since(self.now) * u64::from(self.totals.running));
        self.now = now;
    }

    pub(super) fn charge_task(&mut self, task: TaskId) -> Nanos {
        let entry = self.tasks.get_mut(task).expect("what runs is known");
        let ran = self.now.since(entry.since);
        entry.since = self.now;
        entry.runtime = entry.runtime + ran;
        self.totals.runtime = self.totals.runtime + ran;
        self.policy.charge(task, ran);
        ran
    }

    pub(super) fn make_runnable(&mut self, task: TaskId, arrival: Arrival) {
        let entry = self.tasks.get_mut(task).expect("the caller has checked it");
        self.ledger.open(&mut entry.account, entry.weight);
        self.requeue(task, arrival);
    }

    pub(super) fn requeue(&mut self, task: TaskId, arrival: Arrival) {
        let entry = self.tasks.get_mut(task).expect("the caller has checked it");
        entry.state = TaskState::Waiting;
        entry.since = self.now;
        self.policy.enqueue(task, arrival, self.now);
    }

    pub(super) fn make_blocked(&mut self, task: TaskId) -> bool {
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

    pub(super) fn forget(&mut self, task: TaskId) -> TaskStats {
        let stats = self.task(task).expect("the caller has checked it");
        self.policy.leave(task);
        self.tasks.remove(task);
        self.totals.active -= 1;
        stats
    }

    pub(super) fn count_switch(&mut self, last: Option<(TaskId, Why)>, next: TaskId) {
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
