//! What a kernel and each of its processes may hold: every bound in one place.

use std::time::Duration;

use uos_ipc::{Quota, Segments};

use crate::environment::{MOST_BYTES, OWN_BOUND};

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
    /// What all queues and subscriptions may hold together.
    pub queue_bytes: u64,
    /// What the queues and topics made by one process may hold together.
    pub queue_bytes_per_process: u64,
    /// Shared memory in all.
    pub shm_bytes: u64,
    /// Shared memory of the segments made by one process.
    pub shm_bytes_per_process: u64,
    /// What one segment may have.
    pub shm_segment_bytes: u64,
    /// What is kept of all programs' output together.
    pub output_bytes: u64,
    /// What is kept of the output of one process's children together.
    pub output_bytes_per_process: u64,
    /// What the environments of all processes may take together.
    pub environment_bytes: u64,
    /// What files, links and extended attributes take in memory that one process has made; process 1 is bound by the
    /// filesystems alone.
    pub file_bytes_per_process: u64,
    /// Files, directories and links in memory that one process has made; process 1 is bound by the filesystems alone.
    pub file_nodes_per_process: u64,
    /// Requests to the network under way in all; each may hold 1 MiB of what it is answered.
    pub network_requests: u64,
    /// Requests to the network under way of one process.
    pub network_requests_per_process: u64,
    /// What the buffers of all sockets may hold together.
    pub socket_bytes: u64,
    /// What the buffers of one process's sockets may hold together.
    pub socket_bytes_per_process: u64,
    /// Signals pending in all, of the numbers that queue.
    pub pending_signals: u64,
    /// Signals pending for one process, of the numbers that queue.
    pub pending_signals_per_process: u64,
    /// Calls that wait for a right they have asked for, in all.
    pub right_requests: u64,
    /// Calls of one process that wait for a right they have asked for.
    pub right_requests_per_process: u64,
    /// How long a call waits for a right that it has asked for.
    pub right_request_patience: Duration,
    /// Mounts made by calls.
    pub mounts: u64,
    /// What all filesystems in memory may hold together that calls have mounted.
    pub mounted_bytes: u64,
    /// Snapshots kept by calls.
    pub snapshots: u64,
    /// Records kept of ended children, for their parent to look at. The oldest go first, those already waited for before others.
    pub ended_children: usize,
    /// Calls that may wait for a disk or a new program at the same time.
    pub pool_threads: usize,
}

impl Limits {
    /// What a process may have made in memory.
    pub(crate) fn files(&self) -> uos_vfs::Limit {
        uos_vfs::Limit { bytes: self.file_bytes_per_process, nodes: self.file_nodes_per_process }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            processes: 32_768,
            handles_per_process: 1_024,
            pipe_bytes: 50 << 20,
            pipe_bytes_per_process: 16 << 20,
            queue_bytes: 50 << 20,
            queue_bytes_per_process: 16 << 20,
            shm_bytes: Segments::MAX_TOTAL_BYTES,
            shm_bytes_per_process: 200 << 20,
            shm_segment_bytes: Segments::MAX_SEGMENT_BYTES,
            output_bytes: 256 << 20,
            output_bytes_per_process: 64 << 20,
            environment_bytes: 64 << 20,
            file_bytes_per_process: 512 << 20,
            file_nodes_per_process: 1 << 18,
            network_requests: 512,
            network_requests_per_process: 64,
            socket_bytes: 1 << 30,
            socket_bytes_per_process: 64 << 20,
            pending_signals: 1 << 20,
            pending_signals_per_process: 1_024,
            right_requests: 1_024,
            right_requests_per_process: 16,
            right_request_patience: Duration::from_secs(300),
            mounts: 256,
            mounted_bytes: 1 << 30,
            snapshots: 256,
            ended_children: 1_024,
            pool_threads: 32,
        }
    }
}

/// What may be held of each kind: by all together, or by one process.
#[derive(Clone)]
pub(crate) struct Shares {
    pub(crate) handles: Quota,
    pub(crate) pipe_bytes: Quota,
    pub(crate) queue_bytes: Quota,
    pub(crate) shm_bytes: Quota,
    pub(crate) output_bytes: Quota,
    pub(crate) environment_bytes: Quota,
    pub(crate) network_requests: Quota,
    pub(crate) socket_bytes: Quota,
    pub(crate) signals: Quota,
}

/// The quotas that all processes share. What a process may hold hangs below them.
pub(crate) struct Quotas {
    pub(crate) processes: Quota,
    pub(crate) mounts: Quota,
    pub(crate) mounted_bytes: Quota,
    pub(crate) snapshots: Quota,
    pub(crate) all: Shares,
}

impl Quotas {
    pub(crate) fn new(limits: &Limits) -> Self {
        let all = Shares {
            handles: Quota::root("handles", limits.processes.saturating_mul(limits.handles_per_process)),
            pipe_bytes: Quota::root("pipe_bytes", limits.pipe_bytes),
            queue_bytes: Quota::root("queue_bytes", limits.queue_bytes),
            shm_bytes: Quota::root("shm_bytes", limits.shm_bytes),
            output_bytes: Quota::root("output_bytes", limits.output_bytes),
            environment_bytes: Quota::root("environment_bytes", limits.environment_bytes),
            network_requests: Quota::root("network_requests", limits.network_requests),
            socket_bytes: Quota::root("socket_bytes", limits.socket_bytes),
            signals: Quota::root("pending_signals", limits.pending_signals),
        };
        Self {
            processes: Quota::root("processes", limits.processes),
            mounts: Quota::root("mounts", limits.mounts),
            mounted_bytes: Quota::root("mounted_bytes", limits.mounted_bytes),
            snapshots: Quota::root("snapshots", limits.snapshots),
            all,
        }
    }

    /// The share of one more process.
    pub(crate) fn share(&self, limits: &Limits) -> Shares {
        let all = &self.all;
        Shares {
            handles: all.handles.child("handles_per_process", limits.handles_per_process),
            pipe_bytes: all.pipe_bytes.child("pipe_bytes_per_process", limits.pipe_bytes_per_process),
            queue_bytes: all.queue_bytes.child("queue_bytes_per_process", limits.queue_bytes_per_process),
            shm_bytes: all.shm_bytes.child("shm_bytes_per_process", limits.shm_bytes_per_process),
            output_bytes: all.output_bytes.child("output_bytes_per_process", limits.output_bytes_per_process),
            environment_bytes: all.environment_bytes.child(OWN_BOUND, MOST_BYTES),
            network_requests: all
                .network_requests
                .child("network_requests_per_process", limits.network_requests_per_process),
            socket_bytes: all.socket_bytes.child("socket_bytes_per_process", limits.socket_bytes_per_process),
            signals: all.signals.child("pending_signals_per_process", limits.pending_signals_per_process),
        }
    }

    pub(crate) fn in_use(&self) -> InUse {
        InUse {
            processes: self.processes.used(),
            handles: self.all.handles.used(),
            pipe_bytes: self.all.pipe_bytes.used(),
            queue_bytes: self.all.queue_bytes.used(),
            shm_bytes: self.all.shm_bytes.used(),
            output_bytes: self.all.output_bytes.used(),
            environment_bytes: self.all.environment_bytes.used(),
            network_requests: self.all.network_requests.used(),
            socket_bytes: self.all.socket_bytes.used(),
            pending_signals: self.all.signals.used(),
            right_requests: 0,
            mounts: self.mounts.used(),
            mounted_bytes: self.mounted_bytes.used(),
            snapshots: self.snapshots.used(),
        }
    }
}

/// How much of each quota is in use: all zero but for process 1 when nothing else lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InUse {
    /// Living processes, process 1 included.
    pub processes: u64,
    /// Handles in all tables.
    pub handles: u64,
    /// Capacity of all pipes.
    pub pipe_bytes: u64,
    /// Capacity of all queues and subscriptions.
    pub queue_bytes: u64,
    /// Shared memory.
    pub shm_bytes: u64,
    /// Output kept of programs.
    pub output_bytes: u64,
    /// Variables of all environments.
    pub environment_bytes: u64,
    /// Requests to the network under way.
    pub network_requests: u64,
    /// What the buffers of all sockets may hold.
    pub socket_bytes: u64,
    /// Signals pending, of the numbers that queue.
    pub pending_signals: u64,
    /// Calls that wait for a right they have asked for.
    pub right_requests: u64,
    /// Mounts made by calls.
    pub mounts: u64,
    /// Capacity of the filesystems in memory among them.
    pub mounted_bytes: u64,
    /// Snapshots kept by calls.
    pub snapshots: u64,
}
