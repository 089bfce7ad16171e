//! Making somebody follow: what a controller is, whoever obeys it.

#[cfg(feature = "os")]
mod attr;
#[cfg(feature = "os")]
mod cgroup;
#[cfg(feature = "os")]
mod gate;
#[cfg(feature = "os")]
mod os;
#[cfg(feature = "os")]
mod process;
mod simulated;

#[cfg(feature = "os")]
pub use gate::{Explained, Gate, Turn};
#[cfg(feature = "os")]
pub use os::{Abilities, Groups, Means, OsControl};
pub use simulated::SimulatedControl;

use crate::{Class, CpuSet, GroupId, GroupSpec, Nanos, Quantum, Quota, SchedError, Scheduler, Weight};

/// Lets processes have CPU time as wanted.
///
/// A controller remembers what each process was before, applies only what differs from what is in force, and puts
/// everything back when a process is released or the controller is dropped. A process may vanish at any time: then
/// the call about it says so, has no effect on others, and it is forgotten.
pub trait Controller {
    /// Takes a process under control, as it is to be. Nothing has changed if that is refused.
    fn adopt(&mut self, pid: u32, wanted: &Wanted) -> Result<(), ControlError>;

    /// Changes how a process is to be. Answers how many settings differed and were written.
    fn apply(&mut self, pid: u32, wanted: &Wanted) -> Result<usize, ControlError>;

    /// The CPU time a process has had, with all its threads, by the account of whoever runs it.
    fn used(&mut self, pid: u32) -> Result<Nanos, ControlError>;

    /// Lets a process go, as it was before.
    fn release(&mut self, pid: u32) -> Result<(), ControlError>;

    /// A new group in another, which processes may be put into: together they are to others what it says.
    fn create_group(&mut self, parent: GroupId, spec: GroupSpec) -> Result<GroupId, ControlError>;

    /// Changes what a group is to its siblings. Answers how many settings differed, of weight and quota.
    fn set_group(&mut self, group: GroupId, spec: GroupSpec) -> Result<usize, ControlError>;

    /// Moves a group into another, with all that is in it.
    fn move_group(&mut self, group: GroupId, parent: GroupId) -> Result<(), ControlError>;

    /// Forgets a group that nobody and no other group is in.
    fn destroy_group(&mut self, group: GroupId) -> Result<(), ControlError>;
}

/// How a process is to be treated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The group it is in; of the controller that made it.
    pub group: GroupId,
    /// Its share beside the others under control, of what their group has.
    pub weight: Weight,
    /// How much it may have at the most; a burst is not asked for where the kernel has none.
    pub quota: Option<Quota>,
    /// Where it may run.
    pub affinity: CpuSet,
    /// Before which others it goes; among normal ones unless it says otherwise, whatever it was before.
    pub class: Class,
    /// A slice of its own, in a class where slices count: shorter means less waiting at the same share. Without one,
    /// what it had before.
    pub slice: Option<Quantum>,
}

/// Why a process is not controlled as wanted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// It has ended, or was never there.
    #[error("process {pid} is gone")]
    Gone {
        /// Which.
        pid: u32,
    },
    /// It was not taken under control, or was released.
    #[error("process {pid} is not under control")]
    NotAdopted {
        /// Which.
        pid: u32,
    },
    /// It is under control already.
    #[error("process {pid} is under control already")]
    AlreadyAdopted {
        /// Which.
        pid: u32,
    },
    /// The means at hand can't do this.
    #[error("{what} can't be enforced by {means}")]
    NotEnforceable {
        /// What was wanted.
        what: &'static str,
        /// What there is.
        means: &'static str,
    },
    /// What it is to have in every period can't be kept beside what others were promised.
    #[error("what process {pid} is to have in every period can't be promised beside what others have")]
    Overload {
        /// Which.
        pid: u32,
    },
    /// None of the CPUs wanted is there.
    #[error("none of the CPUs wanted is there")]
    NoSuchCpu,
    /// What controls processes has ended; they run as if it had never been.
    #[error("what controls the processes has ended")]
    Ended,
    /// The scheduler refused.
    #[error(transparent)]
    Refused(#[from] SchedError),
    /// The system refused.
    #[error("{what} of process {pid}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// For which process; 0 for the controller itself.
        pid: u32,
        /// What it said.
        source: std::io::Error,
    },
}

/// What the core refuses, in the words of those who control real processes.
fn refused_by_core(pid: u32, error: SchedError) -> ControlError {
    match error {
        SchedError::EmptyAffinity | SchedError::NoAllowedCpu { .. } => ControlError::NoSuchCpu,
        SchedError::Overload { .. } => ControlError::Overload { pid },
        error => ControlError::Refused(error),
    }
}

/// Whether a group or one around it has a quota.
fn has_quota(groups: &Scheduler, group: GroupId) -> bool {
    let mut at = groups.group_stats(group).ok();
    while let Some(group) = at {
        if group.quota.is_some() {
            return true;
        }
        at = group.parent.and_then(|parent| groups.group_stats(parent).ok());
    }
    false
}
