//! What a system monitor shows: what a process uses, what the machine is.

use uos_proto::{Right, v1};

use super::{processes::state, system::now_us};
use crate::{
    Error,
    admit::{Absent, Cx},
    host::{self, OsProcesses},
    kernel::cpus,
    perform::Syscall,
    process::Phase,
    target::{ProcessTarget, Scope, System},
};

impl Syscall for v1::GetProcessStats {
    type Target = ProcessTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<ProcessTarget, Absent> {
        scope.process(self.pid, Right::ProcInspect)
    }

    /// What a program has used is read from the host.
    fn blocks(target: &ProcessTarget) -> bool {
        target.process.program.is_some()
    }

    fn run(&self, cx: Cx<'_, &ProcessTarget>) -> Result<v1::GetProcessStatsReply, Error> {
        let process = &cx.target.process;
        let taken = OsProcesses::read_for([process]).footprint(process);
        let usage = process.usage();
        let (ended, children) = {
            let family = process.family.lock();
            let ended = if let Phase::Ended(end) = family.phase { Some(end.at) } else { None };
            (ended, family.children.len() as u64)
        };
        let until = ended.unwrap_or_else(|| cx.kernel().since_start(cx.started()));
        Ok(v1::GetProcessStatsReply {
            pid: process.pid.0,
            state: state(process).into(),
            age_us: until.saturating_sub(process.created).as_micros() as u64,
            cpu_us: taken.cpu_us,
            memory_bytes: taken.memory_bytes,
            peak_memory_bytes: usage.peak_rss_bytes.unwrap_or(0),
            os_processes: taken.os_processes,
            threads: taken.threads,
            voluntary_switches: usage.voluntary_switches,
            involuntary_switches: usage.involuntary_switches,
            handles: process.handles.len(),
            children,
        })
    }
}

impl Syscall for v1::GetSystemInfo {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    /// It is read from the host.
    fn blocks(_target: &System) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::GetSystemInfoReply, Error> {
        let kernel = cx.kernel();
        let host = host::look();
        let uptime_us = kernel.log.started().elapsed().as_micros() as u64;
        let processes = &kernel.quotas.processes;
        let [load_1, load_5, load_15] = host.load;
        Ok(v1::GetSystemInfoReply {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            os_name: host.os_name,
            kernel: host.kernel,
            host_name: host.name,
            architecture: std::env::consts::ARCH.to_owned(),
            cpus: cpus(),
            load_1,
            load_5,
            load_15,
            cpu_busy_us: host.cpu_busy_us,
            cpu_total_us: host.cpu_total_us,
            boot_time_us: host.boot_time_us,
            started_us: now_us().saturating_sub_unsigned(uptime_us),
            uptime_us,
            processes: processes.used(),
            processes_max: processes.limit(),
        })
    }
}
