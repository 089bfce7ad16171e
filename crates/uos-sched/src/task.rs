//! The names of tasks, groups and CPUs. An id of what has left never means another.

use std::fmt;

/// A CPU, counted from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cpu(pub u32);

/// A task of one scheduler: a slot and which of its tenants. No id is ever given out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// A group of one scheduler. No id is ever given out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl TaskId {
    /// The slot: small, dense, and unique among the tasks there are at one time, so that one may index by it.
    pub fn slot(self) -> usize {
        self.slot as usize
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
        write!(f, "{}.{}", self.slot, self.generation)
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
