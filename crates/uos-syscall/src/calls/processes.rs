//! Looking at processes, waiting for them, ending them.

use std::sync::{Arc, atomic::Ordering};

use uos_proc::{ExitCause, Level, Signal, Usage};
use uos_proto::{Right, v1};

use super::{reply_bytes, reply_entries, within};
use crate::{
    Errno, Error,
    admit::{Absent, Cx},
    asking::Asker,
    host::OsProcesses,
    output::BeyondEnd,
    perform::{Syscall, Waiting},
    process::{End, EndCause, Phase, Pid, Process, Program},
    target::{ProcessTarget, Scope, System},
};

impl Syscall for v1::KillProcess {
    type Target = ProcessTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<ProcessTarget, Absent> {
        scope.process(self.pid, Right::ProcSignal)
    }

    fn run(&self, cx: Cx<'_, &ProcessTarget>) -> Result<v1::KillProcessReply, Error> {
        let process = &cx.target.process;
        if process.pid == Pid::INIT {
            return Err(Error::new(Errno::EPERM, "process 1 doesn't end"));
        }
        if !process.is_alive() {
            return Err(Error::no_process(process.pid.0));
        }
        cx.kernel().end(process, EndCause::Killed, self.tree);
        Ok(v1::KillProcessReply {})
    }
}

impl Waiting for v1::WaitProcess {
    type Target = ProcessTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<ProcessTarget, Absent> {
        scope.process(self.pid, Right::ProcInspect)
    }

    async fn run(&self, cx: Cx<'_, ProcessTarget>) -> Result<v1::WaitProcessReply, Error> {
        Ok(match within(self.timeout_us, cx.target.process.ended()).await {
            Some(end) => {
                cx.target.process.waited.store(true, Ordering::Relaxed);
                exit_of(end)
            }
            None => {
                v1::WaitProcessReply { usage: Some(usage(cx.target.process.usage())), ..Default::default() }
            }
        })
    }
}

impl Syscall for v1::GetProcessInfo {
    type Target = ProcessTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<ProcessTarget, Absent> {
        scope.process(self.pid, Right::ProcInspect)
    }

    /// What a program has used is read from the host.
    fn blocks(target: &ProcessTarget) -> bool {
        target.process.program.is_some()
    }

    fn run(&self, cx: Cx<'_, &ProcessTarget>) -> Result<v1::GetProcessInfoReply, Error> {
        let process = &cx.target.process;
        Ok(v1::GetProcessInfoReply { process: Some(info(process, &OsProcesses::read_for([process]))) })
    }
}

impl Syscall for v1::GetProcessList {
    type Target = Sight;

    fn target(&self, _scope: &Scope<'_>) -> Result<Sight, Absent> {
        Ok(Sight)
    }

    fn blocks(_target: &Sight) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &Sight>) -> Result<v1::GetProcessListReply, Error> {
        let caller = cx.caller();
        let sees_all = caller.grants().any(Right::ProcInspect).is_some();
        let (processes, more) =
            cx.kernel().processes.after(Pid(self.after_pid), reply_entries(self.limit), |process| {
                sees_all || caller.is_kin(process)
            });
        let host = OsProcesses::read_for(&processes);
        let processes = processes.iter().map(|process| info(process, &host)).collect();
        Ok(v1::GetProcessListReply { processes, more })
    }
}

/// Whatever the caller may see. Everybody sees something, so nobody is refused; the right widens the view.
pub(crate) struct Sight;

impl crate::admit::Target for Sight {
    fn judge(&self, right: Right, caller: Asker<'_>) -> Result<crate::audit::Decision, Error> {
        let grant = caller.grants().any(right).cloned();
        Ok(grant.map_or(crate::audit::Decision::Kin, crate::audit::Decision::Grant))
    }

    fn subject(&self) -> crate::audit::Subject {
        System.subject()
    }
}

impl Waiting for v1::ReadOutput {
    type Target = ProcessTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<ProcessTarget, Absent> {
        scope.process(self.pid, Right::ProcInspect)
    }

    async fn run(&self, cx: Cx<'_, ProcessTarget>) -> Result<v1::ReadOutputReply, Error> {
        let program = cx.target.process.program.as_ref();
        let stream = match v1::OutputStream::try_from(self.stream) {
            Ok(v1::OutputStream::Unspecified | v1::OutputStream::Stdout) => {
                program.and_then(|it| it.stdout.as_ref())
            }
            Ok(v1::OutputStream::Stderr) => program.and_then(|it| it.stderr.as_ref()),
            Err(_) => {
                return Err(Error::invalid("stream", format_args!("{} is not an OutputStream", self.stream)));
            }
        };
        let stream = stream.ok_or_else(|| Error::invalid("stream", "nothing is kept of this stream"))?;
        match within(self.timeout_us, stream.read(self.offset, reply_bytes(self.max_bytes))).await {
            Some(Ok(part)) => Ok(v1::ReadOutputReply {
                next_offset: part.offset + part.data.len() as u64,
                offset: part.offset,
                end: part.end,
                data: part.data,
            }),
            Some(Err(BeyondEnd { length })) => {
                Err(Error::invalid("offset", format_args!("the stream has ended after {length} bytes")))
            }
            None => Ok(v1::ReadOutputReply {
                next_offset: self.offset,
                offset: self.offset,
                ..Default::default()
            }),
        }
    }
}

/// Where a process is in its life.
pub(super) fn state(process: &Process) -> v1::ProcessState {
    let phase = process.family.lock().phase;
    match phase {
        Phase::Ended(_) => v1::ProcessState::Exited,
        Phase::Ending(_) => v1::ProcessState::Ending,
        Phase::Running => match process.program.as_ref().map(Program::is_paused) {
            Some(true) => v1::ProcessState::Paused,
            _ => v1::ProcessState::Running,
        },
    }
}

fn info(process: &Arc<Process>, host: &OsProcesses) -> v1::ProcessInfo {
    let taken = host.footprint(process);
    let program = process.program.as_ref();
    let enforcement = program.map(|program| program.enforcement.iter());
    v1::ProcessInfo {
        pid: process.pid.0,
        parent_pid: process.parent().map_or(0, |parent| parent.pid.0),
        name: process.name.clone(),
        state: state(process).into(),
        level: wire_level(process.level).into(),
        priority: u32::from(process.priority().0),
        os_pid: program.map(|program| program.os_pid),
        program: program.map(|program| program.path.to_string()).unwrap_or_default(),
        created_us: process.created.as_micros() as u64,
        usage: Some(usage(process.usage())),
        handles: process.handles.len(),
        enforcement: enforcement
            .map(|means| means.map(|(guarantee, means)| format!("{guarantee}: {means}")).collect())
            .unwrap_or_default(),
        cpu_us: taken.cpu_us,
        memory_bytes: taken.memory_bytes,
    }
}

pub(super) fn wire_level(level: Level) -> v1::SandboxLevel {
    match level {
        Level::Minimal => v1::SandboxLevel::Minimal,
        Level::Standard => v1::SandboxLevel::Standard,
        Level::Privileged => v1::SandboxLevel::Privileged,
    }
}

fn exit_of(end: End) -> v1::WaitProcessReply {
    let (code, signal) = match end.exit.map(|exit| exit.cause) {
        Some(ExitCause::Exited(code)) => (code, 0),
        Some(ExitCause::Signaled { signal, .. }) => (128 + signal.number(), signal.number()),
        Some(ExitCause::OomKilled) => (128 + Signal::KILL.number(), Signal::KILL.number()),
        Some(ExitCause::Killed | ExitCause::TimedOut) => (128 + Signal::KILL.number(), Signal::KILL.number()),
        Some(ExitCause::Lost) | None => match end.cause {
            EndCause::Signal(signal) => (128 + signal.number(), signal.number()),
            _ => (0, 0),
        },
    };
    let ran_out = end.exit.is_some_and(|exit| exit.cause == ExitCause::OomKilled);
    let cause = match (end.cause, signal) {
        (EndCause::Killed, _) => v1::ExitCause::Killed,
        (EndCause::Signal(_), _) => v1::ExitCause::Signaled,
        (EndCause::Deadline, _) => v1::ExitCause::Deadline,
        (EndCause::Itself, _) if ran_out => v1::ExitCause::OutOfMemory,
        (EndCause::Itself, 0) => v1::ExitCause::Exited,
        (EndCause::Itself, _) => v1::ExitCause::Signaled,
    };
    let used = end.exit.map(|exit| exit.usage).unwrap_or_default();
    v1::WaitProcessReply { exited: true, cause: cause.into(), code, signal, usage: Some(usage(used)) }
}

pub(super) fn usage(usage: Usage) -> v1::Usage {
    v1::Usage {
        cpu_user_us: usage.cpu_user_us,
        cpu_system_us: usage.cpu_system_us,
        resident_bytes: usage.peak_rss_bytes.filter(|_| usage.rss_bytes == 0).unwrap_or(usage.rss_bytes),
        voluntary_switches: usage.voluntary_switches,
        involuntary_switches: usage.involuntary_switches,
    }
}
