//! What holding a program can mean, and how far it is met.

use std::borrow::Cow;
use std::fmt;

use crate::Level;

/// One thing a spawner may promise about a program it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Guarantee {
    /// It sees only the files it was given.
    FsView,
    /// It reaches only the network it was given.
    Network,
    /// It can make only the system calls it was given.
    Syscalls,
    /// It sees no foreign process, and the number of its own is bounded.
    Pids,
    /// Its memory is bounded.
    Memory,
    /// Its processor share is bounded.
    Cpu,
    /// Killing it leaves no descendant behind.
    KillTree,
    /// It cannot gain rights by executing a set-user-ID program.
    NoNewPrivileges,
    /// It holds descriptors 0, 1 and 2 and no other.
    FdHygiene,
    /// Its environment, signal state and umask are exactly those of the spec.
    Environment,
    /// It shares no System V or POSIX message queue, semaphore or memory with others.
    Ipc,
    /// It reaches only harmless devices.
    Devices,
}

impl Guarantee {
    /// All guarantees, in the order they are declared.
    pub const ALL: [Guarantee; 12] = [
        Guarantee::FsView,
        Guarantee::Network,
        Guarantee::Syscalls,
        Guarantee::Pids,
        Guarantee::Memory,
        Guarantee::Cpu,
        Guarantee::KillTree,
        Guarantee::NoNewPrivileges,
        Guarantee::FdHygiene,
        Guarantee::Environment,
        Guarantee::Ipc,
        Guarantee::Devices,
    ];
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Guarantee::FsView => "file view",
            Guarantee::Network => "network",
            Guarantee::Syscalls => "system calls",
            Guarantee::Pids => "process ids",
            Guarantee::Memory => "memory",
            Guarantee::Cpu => "processor share",
            Guarantee::KillTree => "kill tree",
            Guarantee::NoNewPrivileges => "no new privileges",
            Guarantee::FdHygiene => "descriptors",
            Guarantee::Environment => "environment",
            Guarantee::Ipc => "ipc",
            Guarantee::Devices => "devices",
        })
    }
}

/// How far a guarantee is met.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Means {
    /// It holds.
    Enforced {
        /// What enforces it.
        by: Cow<'static, str>,
    },
    /// It holds against a well-behaved program.
    Weakened {
        /// What gets around it.
        why: Cow<'static, str>,
    },
    /// It does not hold.
    Absent {
        /// What is missing.
        why: Cow<'static, str>,
    },
}

impl Means {
    /// Whether the guarantee holds without reserve.
    #[must_use]
    pub fn is_enforced(&self) -> bool {
        matches!(self, Means::Enforced { .. })
    }

    /// What enforces it, gets around it, or is missing.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Means::Enforced { by: reason }
            | Means::Weakened { why: reason }
            | Means::Absent { why: reason } => reason,
        }
    }
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Means::Enforced { by } => write!(f, "enforced by {by}"),
            Means::Weakened { why } => write!(f, "weakened: {why}"),
            Means::Absent { why } => write!(f, "absent: {why}"),
        }
    }
}

/// What a spawner can enforce on this machine: an answer for every [`Guarantee`] at every [`Level`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Support([Holding; Level::ALL.len()]);

type Holding = [Means; Guarantee::ALL.len()];

impl Support {
    /// Asks `means` for each guarantee; the answer holds at every level.
    pub fn new(mut means: impl FnMut(Guarantee) -> Means) -> Self {
        Support::by_level(|_, guarantee| means(guarantee))
    }

    /// Asks `means` for each guarantee at each level.
    pub fn by_level(mut means: impl FnMut(Level, Guarantee) -> Means) -> Self {
        Support(Level::ALL.map(|level| Guarantee::ALL.map(|guarantee| means(level, guarantee))))
    }

    /// How far `guarantee` can be met at `level`.
    #[must_use]
    pub fn get(&self, level: Level, guarantee: Guarantee) -> &Means {
        &self.0[level as usize][guarantee as usize]
    }

    /// Every guarantee with how far it can be met at `level`.
    pub fn iter(&self, level: Level) -> impl Iterator<Item = (Guarantee, &Means)> {
        Guarantee::ALL.into_iter().zip(&self.0[level as usize])
    }

    /// What `level` requires and is not enforced, with the reason. Empty means that the level can be had.
    #[must_use]
    pub fn missing(&self, level: Level) -> Vec<(Guarantee, String)> {
        let lacking = |g: &&Guarantee| !self.get(level, **g).is_enforced();
        level
            .requires()
            .iter()
            .filter(lacking)
            .map(|g| (*g, self.get(level, *g).reason().to_owned()))
            .collect()
    }

    /// What is in force for a program at `level`.
    #[must_use]
    pub fn at(&self, level: Level) -> Enforcement {
        Enforcement { level, means: self.0[level as usize].clone() }
    }
}

/// What is in force for one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enforcement {
    /// The level it was started at.
    pub level: Level,
    /// How far each guarantee is met for it.
    means: Holding,
}

impl Enforcement {
    /// The same, but for one guarantee.
    pub(crate) fn but(mut self, guarantee: Guarantee, means: Means) -> Self {
        self.means[guarantee as usize] = means;
        self
    }

    /// How far `guarantee` is met.
    #[must_use]
    pub fn get(&self, guarantee: Guarantee) -> &Means {
        &self.means[guarantee as usize]
    }

    /// Every guarantee with how far it is met.
    pub fn iter(&self) -> impl Iterator<Item = (Guarantee, &Means)> {
        Guarantee::ALL.into_iter().zip(&self.means)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guarantee_sits_at_its_own_place() {
        for (place, guarantee) in Guarantee::ALL.into_iter().enumerate() {
            assert_eq!(place, guarantee as usize);
        }
        for (place, level) in Level::ALL.into_iter().enumerate() {
            assert_eq!(place, level as usize);
        }
    }

    #[test]
    fn a_tighter_level_requires_everything_a_looser_one_does() {
        for pair in Level::ALL.windows(2) {
            assert!(pair[0] < pair[1]);
            assert!(pair[1].requires().iter().all(|g| pair[0].requires().contains(g)));
        }
    }
}
