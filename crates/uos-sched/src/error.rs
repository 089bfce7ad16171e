//! Why a call on the scheduler was refused. A refused call has changed nothing, not even the time.

use crate::{Cpu, Nanos, TaskId};

/// What can be wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchedError {
    /// No such task, or not any more: its id will never mean another.
    #[error("task {task} is unknown or has left")]
    UnknownTask {
        /// The id that was given.
        task: TaskId,
    },
    /// The task is on a CPU, so this has to be said through [`put_back`](crate::Scheduler::put_back).
    #[error("task {task} is running on CPU {cpu}")]
    TaskRunning {
        /// The running task.
        task: TaskId,
        /// Where it runs.
        cpu: Cpu,
    },
    /// The CPU runs a task already.
    #[error("CPU {cpu} already runs task {task}")]
    AlreadyRunning {
        /// The busy CPU.
        cpu: Cpu,
        /// What it runs.
        task: TaskId,
    },
    /// The CPU runs nothing.
    #[error("CPU {cpu} runs no task")]
    NotRunning {
        /// The idle CPU.
        cpu: Cpu,
    },
    /// The scheduler was made with fewer CPUs.
    #[error("there is no CPU {cpu}, only {cpus}")]
    NoSuchCpu {
        /// The CPU that was given.
        cpu: Cpu,
        /// How many there are.
        cpus: u32,
    },
    /// A number of CPUs no scheduler is made for.
    #[error("a scheduler has 1 to {max} CPUs, not {asked}")]
    BadCpuCount {
        /// The number that was given.
        asked: u32,
        /// The most there can be.
        max: u32,
    },
    /// The time given is before one given already.
    #[error("time went back from {from} to {to}")]
    TimeWentBack {
        /// The latest time known.
        from: Nanos,
        /// The time given.
        to: Nanos,
    },
    /// A weight outside its bounds.
    #[error("a weight is 1 to {max}, not {asked}")]
    BadWeight {
        /// The weight that was given.
        asked: u32,
        /// The largest allowed.
        max: u32,
    },
    /// A quantum outside its bounds.
    #[error("a quantum is {min} to {max}, not {asked}")]
    BadQuantum {
        /// The length that was given.
        asked: Nanos,
        /// The shortest allowed.
        min: Nanos,
        /// The longest allowed.
        max: Nanos,
    },
    /// An observation that can't be true: every preemption is a switch.
    #[error("observed {preemptions} preemptions but only {switches} switches")]
    BadObservation {
        /// Switches reported.
        switches: u64,
        /// Preemptions reported.
        preemptions: u64,
    },
    /// Every id there can be was given out.
    #[error("no task id is left")]
    NoIdLeft,
}
