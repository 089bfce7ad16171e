//! The names of tasks, groups and CPUs. An id of what has left never means another.

use std::fmt;

/// A CPU, counted from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cpu(pub u32);

/// A task of one scheduler: a slot and which of its tenants. No id is ever given out twice.
///
/// One word and not two halves: a processor that reads at once what was just written by halves waits until both have
/// left for its cache, and every decision hands out two of these.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(u64);

/// A group of one scheduler. No id is ever given out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl TaskId {
    #[inline(always)]
    pub(crate) const fn new(slot: u32, generation: u32) -> TaskId {
        TaskId((slot as u64) << 32 | generation as u64)
    }

    /// The slot: small, dense, and unique among the tasks there are at one time, so that one may index by it.
    pub fn slot(self) -> usize {
        self.place() as usize
    }

    pub(crate) const fn place(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(crate) const fn generation(self) -> u32 {
        self.0 as u32
    }
}

impl GroupId {
    /// The group that holds all others, and every task nobody put elsewhere.
    pub const ROOT: GroupId = GroupId { slot: 0, generation: 0 };
}

impl Default for GroupId {
    fn default() -> GroupId {
        GroupId::ROOT
    }
}

impl Cpu {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.place(), self.generation())
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (slot, generation) = (self.place(), self.generation());
        f.debug_struct("TaskId").field("slot", &slot).field("generation", &generation).finish()
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
