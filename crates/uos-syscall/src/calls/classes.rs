//! What single programs may have: a quantum of their own, some CPUs, a class before others.

use std::sync::Arc;

use uos_proto::v1;
use uos_sched::{Class, Nanos, RtPriority};

use super::scheduling::{Steered, no_cpu, quantum};
use crate::{
    Error,
    admit::{Absent, Cx},
    control::Standing,
    perform::Syscall,
    target::Scope,
};

impl Syscall for v1::SetQuantum {
    type Target = Steered;

    fn target(&self, scope: &Scope<'_>) -> Result<Steered, Absent> {
        Ok(Steered::of(scope, self.pid))
    }

    fn blocks(_target: &Steered) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &Steered>) -> Result<v1::SetQuantumReply, Error> {
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

    fn run(&self, cx: Cx<'_, &Steered>) -> Result<v1::SetAffinityReply, Error> {
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

impl Syscall for v1::SetRealtime {
    type Target = Steered;

    fn target(&self, scope: &Scope<'_>) -> Result<Steered, Absent> {
        Ok(Steered::of(scope, self.pid))
    }

    fn blocks(_target: &Steered) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &Steered>) -> Result<v1::SetRealtimeReply, Error> {
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

    fn run(&self, cx: Cx<'_, &Steered>) -> Result<v1::SetDeadlineReply, Error> {
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

fn set_class(cx: &Cx<'_, &Steered>, class: Class) -> Result<(), Error> {
    // A class where slices count for nothing has none.
    let change = |standing: &Standing| {
        let quantum = standing.quantum.filter(|_| class == Class::Normal);
        Ok(Standing { class, quantum, ..standing.clone() })
    };
    cx.kernel().restand(cx.target.program()?, change).map(drop)
}
