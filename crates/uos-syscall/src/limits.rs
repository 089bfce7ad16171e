//! What a kernel and each of its processes may hold: every bound in one place.

use uos_ipc::Quota;

/// The limits of one kernel.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Living processes in all.
    pub processes: u64,
    /// Handles of one process.
    pub handles_per_process: u64,
    /// What all pipes may hold together.
    pub pipe_bytes: u64,
    /// What the pipes made by one process may hold together.
    pub pipe_bytes_per_process: u64,
    /// What is kept of all programs' output together.
    pub output_bytes: u64,
    /// What is kept of the output of one process's children together.
    pub output_bytes_per_process: u64,
    /// Records kept of ended children, for their parent to look at. The oldest go first, those already waited for before others.
    pub ended_children: usize,
    /// Calls that may wait for a disk or a new program at the same time.
    pub pool_threads: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            processes: 32_768,
            handles_per_process: 1_024,
            pipe_bytes: 50 << 20,
            pipe_bytes_per_process: 16 << 20,
            output_bytes: 256 << 20,
            output_bytes_per_process: 64 << 20,
            ended_children: 1_024,
            pool_threads: 32,
        }
    }
}

/// The quotas that all processes share. What a process may hold hangs below them.
pub(crate) struct Quotas {
    pub(crate) processes: Quota,
    pub(crate) handles: Quota,
    pub(crate) pipe_bytes: Quota,
    pub(crate) output_bytes: Quota,
}

impl Quotas {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            processes: Quota::root("processes", limits.processes),
            handles: Quota::root("handles", limits.processes.saturating_mul(limits.handles_per_process)),
            pipe_bytes: Quota::root("pipe_bytes", limits.pipe_bytes),
            output_bytes: Quota::root("output_bytes", limits.output_bytes),
        }
    }
}

/// How much of each quota is in use: all zero but for process 1 when nothing else lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InUse {
    /// Living processes, process 1 included.
    pub processes: u64,
    /// Handles in all tables.
    pub handles: u64,
    /// Capacity of all pipes.
    pub pipe_bytes: u64,
    /// Output kept of programs.
    pub output_bytes: u64,
}

impl Quotas {
    pub(crate) fn in_use(&self) -> InUse {
        InUse {
            processes: self.processes.used(),
            handles: self.handles.used(),
            pipe_bytes: self.pipe_bytes.used(),
            output_bytes: self.output_bytes.used(),
        }
    }
}
