//! Steering real programs: holding them still, typing to them, bounding them.

use uos_proto::{Right, v1};

use super::{birth, stdio::terminal_size, within};
use crate::{
    Errno, Error,
    admit::{Absent, Cx},
    control::{Standing, program_of, refused},
    input::Refused,
    perform::{Syscall, Waiting},
    process::Program,
    target::{ProcessTarget, Scope},
};

impl Syscall for v1::SetProcessPriority {
    type Target = ProcessTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<ProcessTarget, Absent> {
        scope.process(self.pid, Right::ProcControl)
    }

    /// The host is asked.
    fn blocks(target: &ProcessTarget) -> bool {
        target.process.program.is_some()
    }

    fn run(&self, cx: Cx<'_, &ProcessTarget>) -> Result<v1::SetProcessPriorityReply, Error> {
        let priority = birth::rank(self.priority)?;
        let before = cx
            .kernel()
            .restand(&cx.target.process, |standing| Ok(Standing { priority, ..standing.clone() }))?;
        Ok(v1::SetProcessPriorityReply { previous: before.priority.0.into() })
    }
}

impl Syscall for v1::PauseProcess {
    type Target = ProcessTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<ProcessTarget, Absent> {
        scope.process(self.pid, Right::ProcControl)
    }

    /// It takes the host a while.
    fn blocks(_target: &ProcessTarget) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &ProcessTarget>) -> Result<v1::PauseProcessReply, Error> {
        cx.kernel().set_paused(&cx.target.process, true)?;
        Ok(v1::PauseProcessReply {})
    }
}

impl Syscall for v1::ResumeProcess {
    type Target = ProcessTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<ProcessTarget, Absent> {
        scope.process(self.pid, Right::ProcControl)
    }

    fn blocks(_target: &ProcessTarget) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &ProcessTarget>) -> Result<v1::ResumeProcessReply, Error> {
        cx.kernel().set_paused(&cx.target.process, false)?;
        Ok(v1::ResumeProcessReply {})
    }
}

impl Waiting for v1::WriteStdin {
    type Target = ProcessTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<ProcessTarget, Absent> {
        scope.process(self.pid, Right::ProcControl)
    }

    async fn run(&self, cx: Cx<'_, ProcessTarget>) -> Result<v1::WriteStdinReply, Error> {
        let process = &cx.target.process;
        let input = process.program.as_ref().and_then(|program| program.stdin.as_ref());
        let input = input.ok_or_else(|| {
            Error::invalid("pid", format_args!("process {} has no standard input", process.pid))
                .hint("start its program with `stdio.stdin: INPUT_MODE_PIPE`, or on a terminal")
        })?;
        if self.close && input.is_terminal {
            return Err(
                Error::invalid("close", "a terminal has no end").hint("type `\\x04` at the start of a line")
            );
        }
        match within(self.timeout_us, input.write(&self.data, self.close)).await {
            Some(Ok(written)) => {
                Ok(v1::WriteStdinReply { bytes_written: written.bytes as u64, closed: written.closed })
            }
            Some(Err(Refused::Closed)) => {
                Err(Error::new(Errno::EPIPE, "the program reads no more, or its input was closed"))
            }
            Some(Err(Refused::Host(error))) => Err(Error::new(Errno::EIO, format!("the host: {error}"))),
            None => Ok(v1::WriteStdinReply::default()),
        }
    }
}

impl Syscall for v1::ResizeTerminal {
    type Target = ProcessTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<ProcessTarget, Absent> {
        scope.process(self.pid, Right::ProcControl)
    }

    fn run(&self, cx: Cx<'_, &ProcessTarget>) -> Result<v1::ResizeTerminalReply, Error> {
        let process = &cx.target.process;
        let size = terminal_size(self.size.unwrap_or_default(), "size")?;
        let program = process.program.as_ref();
        if !program.and_then(|program| program.stdin.as_ref()).is_some_and(|input| input.is_terminal) {
            return Err(Error::new(Errno::ENOTTY, format!("process {} is on no terminal", process.pid))
                .hint("start its program with `stdio.terminal`"));
        }
        let child = program.and_then(Program::child).filter(|_| process.is_alive());
        let child = child.ok_or_else(|| Error::no_process(process.pid.0))?;
        child.resize(size).map_err(|error| refused(error, process))?;
        Ok(v1::ResizeTerminalReply {})
    }
}

impl Syscall for v1::SetLimits {
    type Target = ProcessTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<ProcessTarget, Absent> {
        scope.process(self.pid, Right::ProcControl)
    }

    fn blocks(_target: &ProcessTarget) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &ProcessTarget>) -> Result<v1::SetLimitsReply, Error> {
        let process = &cx.target.process;
        let asked = self.limits.unwrap_or_default();
        let may_loosen =
            process.pid != cx.caller().pid || cx.caller().grants().any(Right::ProcControl).is_some();
        let limits = cx.kernel().set_limits(process, |now| {
            if asked.core_bytes.is_some_and(|bytes| bytes != now.core_bytes) {
                return Err(Error::invalid("limits.core_bytes", "fixed at the start"));
            }
            let wanted = birth::limits(asked);
            let wanted = uos_proc::Limits {
                // Those that are fixed stay; the spawner refuses other ones.
                open_files: wanted.open_files.or(now.open_files),
                file_size_bytes: wanted.file_size_bytes.or(now.file_size_bytes),
                cpu_seconds: wanted.cpu_seconds.or(now.cpu_seconds),
                core_bytes: now.core_bytes,
                ..wanted
            }
            .or_of(process.level);
            match looser(now, &wanted) {
                Some(field) if !may_loosen => Err(Error::new(
                    Errno::EPERM,
                    format!("limits.{field}: a process doesn't loosen its own limits"),
                )
                .hint("its parent may, or grant `proc.control`")),
                _ => Ok(wanted),
            }
        })?;
        Ok(v1::SetLimitsReply { limits: Some(wire_limits(&limits)) })
    }
}

impl Syscall for v1::GetLimits {
    type Target = ProcessTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<ProcessTarget, Absent> {
        scope.process(self.pid, Right::ProcInspect)
    }

    /// Somebody may be changing them.
    fn blocks(_target: &ProcessTarget) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &ProcessTarget>) -> Result<v1::GetLimitsReply, Error> {
        let limits = program_of(&cx.target.process)?.hold.lock().limits;
        Ok(v1::GetLimitsReply { limits: Some(wire_limits(&limits)) })
    }
}

/// The first limit that is looser than before.
fn looser(now: &uos_proc::Limits, wanted: &uos_proc::Limits) -> Option<&'static str> {
    let grows = |now: Option<u64>, wanted: Option<u64>| {
        now.is_some_and(|now| wanted.is_none_or(|wanted| wanted > now))
    };
    let percent = |limits: &uos_proc::Limits| limits.cpu_percent.map(u64::from);
    let all = [
        ("memory_bytes", grows(now.memory_bytes, wanted.memory_bytes)),
        ("pids", grows(now.pids, wanted.pids)),
        ("cpu_percent", grows(percent(now), percent(wanted))),
    ];
    all.into_iter().find(|(_, grows)| *grows).map(|(field, _)| field)
}

fn wire_limits(limits: &uos_proc::Limits) -> v1::Limits {
    v1::Limits {
        memory_bytes: limits.memory_bytes,
        cpu_percent: limits.cpu_percent,
        pids: limits.pids,
        open_files: limits.open_files,
        file_size_bytes: limits.file_size_bytes,
        core_bytes: Some(limits.core_bytes),
        cpu_seconds: limits.cpu_seconds,
    }
}
