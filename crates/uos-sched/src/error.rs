//! Why a call on the scheduler was refused. A refused call has changed nothing, not even the time.

use crate::{Cpu, GroupId, Nanos, TaskId};

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
    /// No such group, or not any more: its id will never mean another.
    #[error("group {group} is unknown or has been destroyed")]
    UnknownGroup {
        /// The id that was given.
        group: GroupId,
    },
    /// The root holds all others: it has no weight, no quota and no parent, and stays.
    #[error("the root group can't be changed")]
    RootGroup,
    /// A group can't be inside itself.
    #[error("group {group} can't be moved into {parent}, which is inside it")]
    GroupCycle {
        /// The group to move.
        group: GroupId,
        /// Where to.
        parent: GroupId,
    },
    /// Groups inside groups inside groups.
    #[error("groups nest {max} deep at the most")]
    GroupTooDeep {
        /// How deep they may nest.
        max: u8,
    },
    /// Somebody is in the group.
    #[error("group {group} still has {tasks} tasks and {groups} groups in it")]
    GroupNotEmpty {
        /// The group to destroy.
        group: GroupId,
        /// The tasks in it.
        tasks: u32,
        /// The groups in it.
        groups: u32,
    },
    /// A task in the group, or in a group inside, is on a CPU.
    #[error("group {group} has a task running on CPU {cpu}")]
    GroupRunning {
        /// The group to move.
        group: GroupId,
        /// Where one of its tasks runs.
        cpu: Cpu,
    },
    /// A set of CPUs with nothing in it.
    #[error("an affinity needs at least one CPU")]
    EmptyAffinity,
    /// None of the CPUs exists.
    #[error("an affinity needs one of the {cpus} CPUs there are")]
    NoAllowedCpu {
        /// How many there are.
        cpus: u32,
    },
    /// A real-time priority outside its bounds.
    #[error("a real-time priority is 1 to 99, not {asked}")]
    BadRtPriority {
        /// The number that was given.
        asked: u8,
    },
    /// A reservation that can't be kept by anybody.
    #[error(
        "a reservation needs 1000 ns <= runtime <= deadline <= period <= 1 h, not {runtime}, {deadline}, {period}"
    )]
    BadReservation {
        /// CPU time for each period.
        runtime: Nanos,
        /// How long after its release.
        deadline: Nanos,
        /// How often.
        period: Nanos,
    },
    /// The deadlines of those admitted already could not be promised any more.
    #[error("a reservation of {asked_ppm} millionths of a CPU, where {free_ppm} are free")]
    Overload {
        /// What it needs: its runtime by its deadline.
        asked_ppm: u64,
        /// What could be admitted, on the CPUs that it may use.
        free_ppm: u64,
    },
    /// A quota outside its bounds.
    #[error(
        "a quota has a period of 1 ms to 1 h and a budget of 100 us to 8192 periods, not {budget} in {period}"
    )]
    BadQuota {
        /// The period.
        period: Nanos,
        /// CPU time for each period.
        budget: Nanos,
    },
    /// Every id there can be was given out.
    #[error("no task id is left")]
    NoIdLeft,
}
