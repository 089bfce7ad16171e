//! How a process is to be scheduled, and what the scheduler's books are told of it.

use std::sync::Arc;

use uos_sched::{Class, Cpu, CpuSet, GroupId, Nanos, Priority, Quantum, SchedError, Scheduler, TaskId};

use super::groups::Group;

/// How a process is to be scheduled.
#[derive(Clone)]
pub(crate) struct Standing {
    pub(crate) priority: Priority,
    pub(crate) class: Class,
    /// None for the policy's.
    pub(crate) quantum: Option<Quantum>,
    /// By the host's numbers, rising; none for all.
    pub(crate) cpus: Option<Arc<[u32]>>,
    /// None for the root.
    pub(crate) group: Option<Arc<Group>>,
}

impl Standing {
    pub(crate) fn new(priority: Priority, group: Option<Arc<Group>>) -> Self {
        let group = group.filter(|group| !group.is_dissolved());
        Self { priority, class: Class::Normal, quantum: None, cpus: None, group }
    }

    /// Whether all of it is said by a weight.
    pub(super) fn is_plain(&self) -> bool {
        self.class == Class::Normal && self.quantum.is_none() && self.cpus.is_none()
    }

    /// Whether it goes before all that share by weight.
    pub(super) fn is_strict(&self) -> bool {
        matches!(self.class, Class::Fifo(_) | Class::RoundRobin(_) | Class::Deadline(_))
    }

    pub(super) fn may_use(&self, cpu: u32) -> bool {
        self.cpus.as_ref().is_none_or(|cpus| cpus.contains(&cpu))
    }

    pub(super) fn affinity(&self) -> CpuSet {
        self.cpus.as_ref().map_or(CpuSet::ALL, |cpus| cpus.iter().copied().map(Cpu).collect())
    }

    /// Has the books say so; what they refuse may be half done. They number `cpus` from 0.
    pub(super) fn write(
        &self,
        books: &mut Scheduler,
        task: TaskId,
        cpus: &[u32],
        now: Nanos,
    ) -> Result<(), SchedError> {
        let place = |cpu: &u32| cpus.iter().position(|known| known == cpu).map(|at| Cpu(at as u32));
        let affinity = match &self.cpus {
            Some(some) => some.iter().filter_map(place).collect(),
            None => CpuSet::ALL,
        };
        // First what needs less: a reservation that is given up may be what keeps it from another CPU.
        if !self.is_strict() {
            books.set_class(task, self.class, now)?;
        }
        books.set_affinity(task, &affinity, now)?;
        books.set_class(task, self.class, now)?;
        books.set_slice(task, self.quantum)?;
        books.set_priority(task, self.priority, now)?;
        let group = self.group.as_ref().map_or(GroupId::ROOT, |group| group.in_books);
        books.set_group(task, group, now)
    }
}
