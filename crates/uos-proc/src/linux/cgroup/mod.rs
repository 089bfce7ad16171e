//! Limits for a whole tree of processes, by control groups.
//!
//! [`Groups`] hands out a [`Lease`] of a group for each child. The child is made in the group, or writes itself into
//! the group's files before anything else, so that no moment of it is outside; everything that descends from it is inside
//! by birth.
//!
//! Two things are asked of a group, each behind a trait, because machines differ in how they can do them:
//! [`Controllers`] limit and count (`v1`, `v2`), and [`Hold`](hold::Hold) holds still and kills (by the kernel in the
//! second version, by the freezer in the first). A hybrid machine limits by the first version and kills by the second;
//! where no tree can be written to there is no group, and [`Abilities`] says why.
//!
//! `layout` finds the trees, `birth` tells whether a child can be made in a group, `home` is our directory in one, `trees` all of them together, `nest` has several groups weigh
//! as one, and `keeper` prepares groups and removes them, off everybody's way.

mod birth;
mod bounds;
mod change;
mod dir;
mod group;
mod hold;
mod home;
mod keeper;
mod layout;
mod name;
mod nest;
mod pids;
#[cfg(test)]
mod tests;
mod trees;
mod v1;
mod v2;

use std::fmt::Debug;
use std::io;

pub(crate) use birth::Birthplace;
pub(crate) use bounds::{Bounds, Machine};
pub(crate) use change::Refused;
pub(crate) use group::Joining;
pub(crate) use keeper::{Groups, Lease, Unleased};
#[cfg(feature = "oci")]
pub(crate) use name::ServerName;

/// Limiting and counting, in one group.
trait Controllers: Debug + Send + Sync {
    /// Changes what the group is held to: all of it, or nothing. `from` is what it is held to so far.
    fn apply(&self, from: &Bounds, to: &Bounds) -> Result<(), Refused>;

    /// What has been used since the group was made, or [renewed](Controllers::renew) as far as that goes. Of what is in
    /// use right now it says zero: it is asked when nobody is left.
    fn spent(&self) -> Counters;

    /// The same, with what is in use right now.
    fn usage(&self) -> Counters;

    /// How many processes and threads count, those included that have ended and were not collected yet.
    fn pids(&self) -> Option<u64>;

    /// What has happened since the group was made.
    fn events(&self) -> Events;

    /// Sets what is the same for every group that was just made.
    fn prepare(&self) -> io::Result<()>;

    /// Opens what will be read when the last of its processes has gone, and somebody waits to hear of it.
    fn get_ready(&self) {}

    /// Makes an empty group as good as new. False if only a new one is.
    fn renew(&self) -> io::Result<bool>;
}

/// What the processes of a group use and have used. `None` is not told here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Page cache and kernel memory included.
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) memory_peak_bytes: Option<u64>,
    pub(crate) cpu_user_us: Option<u64>,
    pub(crate) cpu_system_us: Option<u64>,
    /// Threads included.
    pub(crate) pids: Option<u64>,
    pub(crate) pids_peak: Option<u64>,
}

/// How often a limit was met in a way that a program notices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Events {
    /// Processes killed because memory ran out.
    pub(crate) oom_kills: u64,
    /// Processes and threads that could not be made.
    pub(crate) pids_denials: u64,
}

/// By what something can be done, or why it cannot.
pub(crate) type Ability = Result<String, String>;

/// What groups can do on this machine.
#[derive(Clone, Debug)]
pub(crate) struct Abilities {
    pub(crate) memory: Ability,
    pub(crate) swap: Ability,
    pub(crate) pids: Ability,
    pub(crate) cpu: Ability,
    /// Having several groups weigh as one.
    pub(crate) nest: Ability,
    /// Holding still and killing a whole tree.
    pub(crate) hold: Ability,
}

impl Abilities {
    fn none(why: &str) -> Self {
        let no = || Err(why.to_owned());
        Abilities { memory: no(), swap: no(), pids: no(), cpu: no(), nest: no(), hold: no() }
    }
}
