//! The scheduler: policies, turns, and what single programs may have.

use std::sync::Arc;

use uos_proto::{Right, v1};
use uos_sched::{Class, Nanos, Policy, Quantum, RtPriority};

use crate::{
    Errno, Error,
    admit::{Absent, Cx, Target},
    audit::{Decision, Subject},
    control::{Standing, Strict, Who, program_of},
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
    fn of(scope: &Scope<'_>, pid: u64) -> Self {
        let is_own = pid == 0 || pid == scope.caller.pid.0;
        let process =
            if is_own { Some(Arc::clone(scope.caller)) } else { scope.kernel.processes.get(Pid(pid)) };
        Self { pid: if is_own { scope.caller.pid.0 } else { pid }, process, is_free: false }
    }

    fn process(&self) -> Result<&Arc<Process>, Error> {
        self.process.as_ref().ok_or_else(|| Error::no_process(self.pid))
    }

    /// The process, which must have a program.
    fn program(&self) -> Result<&Arc<Process>, Error> {
        let process = self.process()?;
        if process.is_alive() {
            program_of(process)?;
        }
        Ok(process)
    }
}

impl Target for Steered {
    fn judge(&self, right: Right, caller: &Process) -> Result<Decision, Error> {
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

    fn run(&self, cx: Cx<'_, System>) -> Result<v1::ScheduleNextReply, Error> {
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

    fn run(&self, cx: Cx<'_, Steered>) -> Result<v1::YieldProcessReply, Error> {
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

    fn run(&self, cx: Cx<'_, System>) -> Result<v1::SetPolicyReply, Error> {
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
fn quantum(quantum_us: u64, is_strict: bool) -> Result<Quantum, Error> {
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

    fn run(&self, cx: Cx<'_, System>) -> Result<v1::GetPolicyReply, Error> {
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

impl Syscall for v1::SetQuantum {
    type Target = Steered;

    fn target(&self, scope: &Scope<'_>) -> Result<Steered, Absent> {
        Ok(Steered::of(scope, self.pid))
    }

    fn blocks(_target: &Steered) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, Steered>) -> Result<v1::SetQuantumReply, Error> {
        let is_strict = cx.kernel().strict().is_some();
        let quantum = match self.quantum_us {
            0 => None,
            // What Linux keeps slices within.
            asked if !is_strict && !(100..=100_000).contains(&asked) => {
                return Err(Error::invalid("quantum_us", format_args!("100 to 100,000, not {asked}")));
            }
            asked => Some(quantum(asked, is_strict)?),
        };
        let change = |standing: &Standing| Ok(Standing { quantum, ..standing.clone() });
        let before = cx.kernel().restand(cx.target.program()?, change)?;
        let previous_us = before.quantum.map_or(0, |quantum| quantum.length().as_micros());
        Ok(v1::SetQuantumReply { previous_us })
    }
}

impl Syscall for v1::SetAffinity {
    type Target = Steered;

    fn target(&self, scope: &Scope<'_>) -> Result<Steered, Absent> {
        Ok(Steered::of(scope, self.pid))
    }

    fn blocks(_target: &Steered) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, Steered>) -> Result<v1::SetAffinityReply, Error> {
        let all = &cx.kernel().control.cpus;
        if self.cpus.is_empty() {
            return Err(Error::invalid("cpus", "name at least one"));
        }
        if let Some(cpu) = self.cpus.iter().find(|cpu| !all.contains(cpu)) {
            return Err(no_cpu(*cpu));
        }
        let cpus: Arc<[u32]> = all.iter().copied().filter(|cpu| self.cpus.contains(cpu)).collect();
        let cpus = (cpus.len() < all.len()).then_some(cpus);
        let change = |standing: &Standing| Ok(Standing { cpus: cpus.clone(), ..standing.clone() });
        cx.kernel().restand(cx.target.program()?, change)?;
        Ok(v1::SetAffinityReply {})
    }
}

fn no_cpu(cpu: u32) -> Error {
    Error::invalid("cpu", format_args!("programs run on no CPU {cpu}"))
        .hint("GetHostCapabilities tells which there are")
}

impl Syscall for v1::SetRealtime {
    type Target = Steered;

    fn target(&self, scope: &Scope<'_>) -> Result<Steered, Absent> {
        Ok(Steered::of(scope, self.pid))
    }

    fn blocks(_target: &Steered) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, Steered>) -> Result<v1::SetRealtimeReply, Error> {
        let rank = || {
            let narrow = u8::try_from(self.priority).ok().and_then(|rank| RtPriority::new(rank).ok());
            narrow.ok_or_else(|| Error::invalid("priority", format_args!("1 to 99, not {}", self.priority)))
        };
        let class = match v1::RealtimePolicy::try_from(self.policy) {
            Ok(v1::RealtimePolicy::Fifo) => Class::Fifo(rank()?),
            Ok(v1::RealtimePolicy::RoundRobin) => Class::RoundRobin(rank()?),
            Ok(v1::RealtimePolicy::Unspecified) if self.priority == 0 => Class::Normal,
            Ok(v1::RealtimePolicy::Unspecified) => {
                return Err(Error::invalid("priority", "there is none without a policy"));
            }
            Err(_) => return Err(Error::invalid("policy", format_args!("{} is no policy", self.policy))),
        };
        set_class(&cx, class)?;
        Ok(v1::SetRealtimeReply {})
    }
}

impl Syscall for v1::SetDeadline {
    type Target = Steered;

    fn target(&self, scope: &Scope<'_>) -> Result<Steered, Absent> {
        Ok(Steered::of(scope, self.pid))
    }

    fn blocks(_target: &Steered) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, Steered>) -> Result<v1::SetDeadlineReply, Error> {
        let class = match &self.reservation {
            None => Class::Normal,
            Some(wish) => {
                let us = Nanos::from_micros;
                let made = uos_sched::Reservation::new(
                    us(wish.runtime_us),
                    us(wish.deadline_us),
                    us(wish.period_us),
                );
                Class::Deadline(made.map_err(|error| Error::invalid("reservation", error))?)
            }
        };
        set_class(&cx, class)?;
        Ok(v1::SetDeadlineReply {})
    }
}

fn set_class(cx: &Cx<'_, Steered>, class: Class) -> Result<(), Error> {
    // A class where slices count for nothing has none.
    let change = |standing: &Standing| {
        let quantum = standing.quantum.filter(|_| class == Class::Normal);
        Ok(Standing { class, quantum, ..standing.clone() })
    };
    cx.kernel().restand(cx.target.program()?, change).map(drop)
}
