//! Where memory is, of the whole and of one process, and giving up what nobody needs.

use std::{sync::Arc, time::Instant};

use uos_ipc::Quota;
use uos_proto::{Right, v1};
use uos_vfs::How;

use super::standing::bound;
use crate::{
    Error,
    admit::{Absent, Cx},
    host::{self, OsProcesses},
    kernel::Inner,
    limits::Shares,
    perform::Syscall,
    process::Process,
    target::{KERNEL, ProcessTarget, Scope, System},
};

impl Syscall for v1::GetMemoryStats {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    /// It is read from the host.
    fn blocks(_target: &System) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::GetMemoryStatsReply, Error> {
        let kernel = cx.kernel();
        let memory = host::memory();
        let mut areas = filesystems(kernel);
        let all = &kernel.quotas.all;
        areas.extend(held(all));
        Ok(v1::GetMemoryStatsReply {
            host_total_bytes: memory.total,
            host_available_bytes: memory.available,
            server_bytes: memory.own,
            areas,
        })
    }
}

/// The filesystems in memory, by where they are mounted.
fn filesystems(kernel: &Arc<Inner>) -> Vec<v1::MemoryArea> {
    let how = How { memory_only: true, ..How::new(KERNEL) };
    let seen = |mount: uos_vfs::MountInfo| {
        let node = kernel.mounts.resolve(mount.path.as_bytes(), &how).ok()?.node?;
        // What may wait for a disk is not in memory, and something else may stand at that path by now.
        let is_it = node.id().fs == mount.fs && !node.blocks();
        let held = is_it.then(|| node.stat_fs().ok()).flatten()?;
        Some(v1::MemoryArea {
            name: mount.path.to_string(),
            used_bytes: held.bytes_total.saturating_sub(held.bytes_free),
            capacity_bytes: held.bytes_total,
        })
    };
    kernel.mounts.list().into_iter().filter_map(seen).collect()
}

fn area(name: &str, quota: &Quota) -> v1::MemoryArea {
    v1::MemoryArea { name: name.to_owned(), used_bytes: quota.used(), capacity_bytes: quota.limit() }
}

/// What is held of each kind that takes memory.
fn held(shares: &Shares) -> [v1::MemoryArea; 4] {
    [
        area("pipes", &shares.pipe_bytes),
        area("queues", &shares.queue_bytes),
        area("segments", &shares.shm_bytes),
        area("output", &shares.output_bytes),
    ]
}

impl Syscall for v1::GetProcessMemoryStats {
    type Target = ProcessTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<ProcessTarget, Absent> {
        scope.process(self.pid, Right::ProcInspect)
    }

    /// What a program has is read from the host.
    fn blocks(target: &ProcessTarget) -> bool {
        target.process.program.is_some()
    }

    fn run(&self, cx: Cx<'_, &ProcessTarget>) -> Result<v1::GetProcessMemoryStatsReply, Error> {
        let process = &cx.target.process;
        let usage = process.usage();
        let mut areas = held(&process.share).to_vec();
        let (files, most) = (process.files.used(), process.files.limit());
        areas.push(v1::MemoryArea {
            name: "files".to_owned(),
            used_bytes: files.bytes,
            capacity_bytes: most.bytes,
        });
        areas.push(area("handles", &process.share.handles));
        Ok(v1::GetProcessMemoryStatsReply {
            pid: process.pid.0,
            resident_bytes: OsProcesses::read_for([process]).footprint(process).memory_bytes,
            peak_bytes: usage.peak_memory_bytes.or(usage.peak_rss_bytes).unwrap_or(0),
            areas,
            file_nodes: files.nodes,
            file_nodes_max: bound(most.nodes),
        })
    }
}

impl Syscall for v1::TriggerGc {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::TriggerGcReply, Error> {
        let kernel = cx.kernel();
        let (answers, answer_bytes) = kernel.replay.sweep(Instant::now());
        let records = kernel.processes.sweep();
        let record_bytes = records.iter().map(|record| weight(record)).sum();
        let segment_bytes = kernel.segments.purge();
        let freed = |area: &str, count, bytes| v1::FreedMemory { area: area.to_owned(), count, bytes };
        Ok(v1::TriggerGcReply {
            freed: vec![
                freed("answers", answers, answer_bytes),
                freed("ended_processes", records.len() as u64, record_bytes),
                freed("segments", u64::from(segment_bytes > 0), segment_bytes),
            ],
            freed_bytes: answer_bytes + record_bytes + segment_bytes,
        })
    }
}

/// What goes with the record of an ended process: the record, and what was kept of its program's output.
fn weight(record: &Process) -> u64 {
    let outputs = record.program.iter().flat_map(|program| [&program.stdout, &program.stderr]);
    let kept: u64 = outputs.flatten().map(|output| output.kept_bytes()).sum();
    kept + size_of::<Process>() as u64
}
