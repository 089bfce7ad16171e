//! The scheduler: policies and turns.

use std::sync::Arc;

use uos_proto::{Right, v1};
use uos_sched::{Nanos, Policy, Quantum};

use crate::{
    Errno, Error,
    admit::{Absent, Cx, Target},
    asking::Asker,
    audit::{Decision, Subject},
    control::{Strict, Who, program_of},
    kernel::Inner,
    perform::Syscall,
    process::{Pid, Process},
    target::{Scope, System, held},
};

/// A process to be steered. It takes the right even for one's own: who may go before all others is not for each to say.
pub(crate) struct Steered {
    pid: u64,
    process: Option<Arc<Process>>,
    /// Letting others go first is free.
    is_free: bool,
}

impl Steered {
    pub(super) fn of(scope: &Scope<'_>, pid: u64) -> Self {
        let is_own = pid == 0 || pid == scope.caller.pid.0;
        let process =
            if is_own { Some(Arc::clone(scope.caller)) } else { scope.kernel.processes.get(Pid(pid)) };
        Self { pid: if is_own { scope.caller.pid.0 } else { pid }, process, is_free: false }
    }

    fn process(&self) -> Result<&Arc<Process>, Error> {
        self.process.as_ref().ok_or_else(|| Error::no_process(self.pid))
    }

    /// The process, which must have a program.
    pub(super) fn program(&self) -> Result<&Arc<Process>, Error> {
        let process = self.process()?;
        if process.is_alive() {
            program_of(process)?;
        }
        Ok(process)
    }
}

impl Target for Steered {
    fn judge(&self, right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        if self.is_free && self.pid == caller.pid.0 {
            return Ok(Decision::Kin);
        }
        held(&caller.grants(), right)
    }

    fn subject(&self) -> Subject {
        Subject::Process(self.pid)
    }
}

fn by_weights() -> Error {
    Error::new(Errno::ENOTSUP, "the host's kernel decides by weights who runs")
        .hint("SetPolicy to SCHEDULING_POLICY_ROUND_ROBIN or SCHEDULING_POLICY_PRIORITY first")
}

fn strict(kernel: &Inner) -> Result<Arc<Strict>, Error> {
    kernel.strict().ok_or_else(by_weights)
}

impl Syscall for v1::ScheduleNext {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    /// Somebody is stopped, and somebody else let go.
    fn blocks(_target: &System) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::ScheduleNextReply, Error> {
        if let Some(cpu) = self.cpu.filter(|cpu| !cx.kernel().control.cpus.contains(cpu)) {
            return Err(no_cpu(cpu));
        }
        let strict = strict(cx.kernel())?;
        let Who { cpu, pid, left } = strict.entrance(self.cpu).ok_or_else(by_weights)?.next()?;
        Ok(v1::ScheduleNextReply { cpu, pid: pid.map_or(0, |pid| pid.0), slice_us: left.as_micros() })
    }
}

impl Syscall for v1::YieldProcess {
    type Target = Steered;

    fn target(&self, scope: &Scope<'_>) -> Result<Steered, Absent> {
        Ok(Steered { is_free: true, ..Steered::of(scope, self.pid) })
    }

    fn blocks(_target: &Steered) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &Steered>) -> Result<v1::YieldProcessReply, Error> {
        let process = cx.target.program()?;
        if !process.is_alive() {
            return Err(Error::no_process(process.pid.0));
        }
        strict(cx.kernel())?;
        let hold = program_of(process)?.hold.lock();
        let place = hold.reins.place().ok_or_else(by_weights)?;
        let Who { cpu, pid, left } = place.give_way()?;
        Ok(v1::YieldProcessReply { cpu, pid: pid.map_or(0, |pid| pid.0), slice_us: left.as_micros() })
    }
}

impl Syscall for v1::SetPolicy {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    /// All programs are told.
    fn blocks(_target: &System) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::SetPolicyReply, Error> {
        let policy = match v1::SchedulingPolicy::try_from(self.policy) {
            Ok(v1::SchedulingPolicy::Fair) => Policy::FAIR,
            Ok(v1::SchedulingPolicy::Eevdf) => Policy::EEVDF,
            Ok(v1::SchedulingPolicy::RoundRobin) => Policy::ROUND_ROBIN,
            Ok(v1::SchedulingPolicy::Priority) => Policy::PRIORITY,
            Ok(v1::SchedulingPolicy::Unspecified) | Err(_) => {
                return Err(Error::invalid("policy", format_args!("{} is no policy", self.policy)));
            }
        };
        let is_strict = matches!(policy, Policy::RoundRobin { .. } | Policy::Priority { .. });
        let policy = match self.quantum_us {
            0 => policy,
            quantum_us => policy.with_slice(quantum(quantum_us, is_strict)?),
        };
        Ok(v1::SetPolicyReply { processes: cx.kernel().set_policy(policy)? })
    }
}

/// A quantum that programs can be held to: at a gate, turns below a millisecond would cost more than they give.
pub(super) fn quantum(quantum_us: u64, is_strict: bool) -> Result<Quantum, Error> {
    let wrong = |error: &dyn std::fmt::Display| Error::invalid("quantum_us", error);
    if is_strict && quantum_us < 1_000 {
        return Err(wrong(&"turns are 1,000 to 4,000,000"));
    }
    Quantum::new(Nanos::from_micros(quantum_us)).map_err(|error| wrong(&error))
}

impl Syscall for v1::GetPolicy {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    /// What the host can do may have to be tried.
    fn blocks(_target: &System) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::GetPolicyReply, Error> {
        let kernel = cx.kernel();
        let policy = kernel.scheduler.lock().policy();
        let means = match kernel.strict() {
            Some(_) => "gates",
            None if kernel.weighs_by_group() => "control groups",
            None => "niceness",
        };
        let named = match policy {
            Policy::Eevdf { .. } => v1::SchedulingPolicy::Eevdf,
            Policy::RoundRobin { .. } => v1::SchedulingPolicy::RoundRobin,
            Policy::Priority { .. } => v1::SchedulingPolicy::Priority,
            _ => v1::SchedulingPolicy::Fair,
        };
        Ok(v1::GetPolicyReply {
            policy: named.into(),
            quantum_us: policy.slice().length().as_micros(),
            means: means.to_owned(),
        })
    }
}

pub(super) fn no_cpu(cpu: u32) -> Error {
    Error::invalid("cpu", format_args!("programs run on no CPU {cpu}"))
        .hint("GetHostCapabilities tells which there are")
}
