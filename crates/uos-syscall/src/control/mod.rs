//! Steering the real programs behind processes: how much they run, whether they run, what they are held to.
//!
//! A process's `steering` is taken first, then its program's `hold`, which is kept while the host is asked, so that changes
//! come one after the other and what is noted is what is in force; then the process's task, then the scheduler's books. A
//! change that the host refuses is noted nowhere.

mod groups;
mod standing;
mod strict;
mod tree;

use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, MutexGuard, RwLock};
use uos_proc::{Child, Guarantee, Level, LimitsError, SignalError};
use uos_sched::{Abilities, OsControl, Policy, Priority, SchedError, Weight};

pub(crate) use self::{
    groups::{Group, GroupHandle},
    standing::Standing,
    strict::{Place, Strict, Who},
    tree::Reins,
};
use crate::{
    Errno, Error, host,
    kernel::Inner,
    process::{Hold, Process, Program},
};

/// By what programs are steered on this machine.
pub(crate) struct Control {
    /// Whether control groups divide CPU time, found out when it is first asked.
    by_group: OnceLock<bool>,
    abilities: OnceLock<Abilities>,
    /// The CPUs that programs may run on, by the host's numbers; the books number them from 0.
    pub(crate) cpus: Vec<u32>,
    /// Classes, quanta and CPUs of single processes of the host. Held for one change; made when it is first needed.
    host: Mutex<Option<OsControl>>,
    /// The strict policy in force, if one is. Held for a look.
    strict: RwLock<Option<Arc<Strict>>>,
    /// Held by whoever changes the policy, until all programs follow.
    policy: Mutex<()>,
    /// All that are not dissolved. Held for a look or a change.
    groups: Mutex<Vec<Arc<Group>>>,
    /// Held by whoever writes the weights of all.
    balance: Mutex<()>,
}

impl Control {
    pub(crate) fn new() -> Self {
        Self {
            by_group: OnceLock::new(),
            abilities: OnceLock::new(),
            cpus: host::own_cpus(),
            host: Mutex::new(None),
            strict: RwLock::new(None),
            policy: Mutex::new(()),
            groups: Mutex::default(),
            balance: Mutex::new(()),
        }
    }
}

/// A program that lives, held so that nobody else changes it.
struct Held<'a> {
    program: &'a Program,
    child: Child,
    hold: MutexGuard<'a, Hold>,
}

impl Inner {
    /// Whether control groups divide CPU time between programs; niceness does otherwise.
    pub(crate) fn weighs_by_group(&self) -> bool {
        let ask = || self.spawner.probe().get(Level::Privileged, Guarantee::Cpu).is_enforced();
        *self.control.by_group.get_or_init(ask)
    }

    /// What scheduling can be had here.
    pub(crate) fn abilities(&self) -> Abilities {
        *self.control.abilities.get_or_init(|| OsControl::by_nice().abilities())
    }

    /// The strict policy in force, if one is.
    pub(crate) fn strict(&self) -> Option<Arc<Strict>> {
        self.control.strict.read().clone()
    }

    /// Changes how a process is scheduled, in the books and on the host: all of it, or nothing. Gives how it was.
    pub(crate) fn restand(
        &self,
        process: &Process,
        change: impl FnOnce(&Standing) -> Result<Standing, Error>,
    ) -> Result<Standing, Error> {
        let before = {
            let _mine = process.steering.lock();
            let mut held = process.program.as_ref().map(|program| held(process, program)).transpose()?;
            if !process.is_alive() {
                return Err(Error::no_process(process.pid.0));
            }
            let before = process.standing();
            let after = change(&before)?;
            self.note(process, &before, &after)?;
            if let Some(held) = &mut held
                && let Err(error) = self.enforce(process, held, &after)
            {
                // Nothing new is asked for, so that this is refused only if the program is gone.
                let _ = self.enforce(process, held, &before);
                let _ = self.note(process, &after, &before);
                return Err(error);
            }
            process.task.lock().standing = after;
            before
        };
        let now = process.standing().group;
        if let Some(group) = now.as_ref().filter(|group| group.is_dissolved()) {
            self.dissolve(group);
        }
        if before.group.is_some() || now.is_some() {
            self.rebalance();
        }
        Ok(before)
    }

    /// Has the books say how a process is scheduled, or go on saying how it was.
    fn note(&self, process: &Process, before: &Standing, after: &Standing) -> Result<(), Error> {
        let task = process.task.lock();
        let Some(id) = task.id else { return Ok(()) };
        let mut books = self.scheduler.lock();
        let (cpus, now) = (&self.control.cpus, self.sched_now());
        after.write(&mut books, id, cpus, now).map_err(|error| {
            let _ = before.write(&mut books, id, cpus, now);
            match error {
                SchedError::Overload { .. } => tree::overload(),
                SchedError::EmptyAffinity | SchedError::NoAllowedCpu { .. } => Error::invalid("cpus", error),
                error => Error::new(Errno::EINVAL, error.to_string()),
            }
        })
    }

    /// Has the host treat a program as `to` says.
    fn enforce(&self, process: &Process, held: &mut Held<'_>, to: &Standing) -> Result<(), Error> {
        let weight = groups::effective(&self.competitors(Some((process, to))), to);
        if held.hold.reins.weight != weight {
            self.weigh(process, held, weight)?;
        }
        match self.strict() {
            Some(strict) => {
                self.free_tree(held);
                self.hold_in_line(process, held, to, &strict)
            }
            None => {
                if let Some(place) = held.hold.reins.place.take() {
                    place.leave();
                }
                self.hold_tree(process, held, to)
            }
        }
    }

    /// Changes what a program weighs beside others.
    fn weigh(&self, process: &Process, held: &mut Held<'_>, weight: Weight) -> Result<(), Error> {
        if self.weighs_by_group() {
            let limits = uos_proc::Limits { cpu_weight: Some(group_weight(weight)), ..held.hold.limits };
            held.child.set_limits(&limits).map_err(|error| limits_refused(&error, process))?;
        } else {
            held.child.set_nice(nearest(weight).nice()).map_err(|error| match error {
                SignalError::Refused { errno: 1 | 13 } => {
                    Error::new(Errno::EPERM, "the host doesn't let this system raise a priority")
                        .hint("run the server with CAP_SYS_NICE, or where it may make control groups")
                }
                error => refused(error, process),
            })?;
        }
        held.hold.reins.weight = weight;
        Ok(())
    }

    /// Has a program that has just started follow what is in force for all.
    pub(crate) fn settle(&self, process: &Process) {
        let has_group = process.standing().group.is_some();
        if process.program.is_some() && (has_group || self.strict().is_some()) {
            // It runs as it is if the host refuses: it was not asked for by whoever started it.
            let _ = self.restand(process, |standing| Ok(standing.clone()));
        }
    }

    /// Lets go of a program that has ended. Off this thread, if there is anything to do.
    pub(crate) fn let_go(self: &Arc<Self>, process: &Arc<Process>) {
        let Some(program) = &process.program else { return };
        let has_group = process.standing().group.is_some();
        // Held by somebody, it is being changed, so there may be something to do.
        if !has_group && program.hold.try_lock().is_some_and(|hold| hold.reins.is_slack()) {
            return;
        }
        let (kernel, process) = (Arc::clone(self), Arc::clone(process));
        self.runtime.spawn_blocking(move || {
            if let Some(program) = &process.program {
                let mut hold = program.hold.lock();
                kernel.forget_tree(&mut hold.reins);
                if let Some(place) = hold.reins.place.take() {
                    place.leave();
                }
            }
            if has_group {
                kernel.rebalance();
            }
        });
    }

    /// Changes the policy, and has all programs follow. Answers how many processes it was changed for.
    pub(crate) fn set_policy(&self, policy: Policy) -> Result<u64, Error> {
        let _one_at_a_time = self.control.policy.lock();
        let is_strict = matches!(policy, Policy::RoundRobin { .. } | Policy::Priority { .. });
        let strict = is_strict.then(|| Strict::start(policy, &self.control.cpus)).transpose()?;
        self.scheduler
            .lock()
            .set_policy(policy, self.sched_now())
            .map_err(|error| Error::new(Errno::EINVAL, error.to_string()))?;
        // Those who start from now on see it, and those who are there are told one by one.
        let before = std::mem::replace(&mut *self.control.strict.write(), strict);
        let living = self.processes.living();
        for process in living.iter().filter(|process| process.program.is_some()) {
            // One that can't follow, or has ended, runs freely.
            let _ = self.restand(process, |standing| Ok(standing.clone()));
        }
        drop(before);
        Ok(living.len() as u64)
    }

    /// Holds a program still, or lets it go on. Nothing happens to one that is so already.
    pub(crate) fn set_paused(&self, process: &Process, paused: bool) -> Result<(), Error> {
        let _mine = process.steering.lock();
        let Held { program, child, hold } = held(process, program_of(process)?)?;
        if program.is_paused() == paused {
            return Ok(());
        }
        let done = if paused { child.pause() } else { child.resume() };
        done.map_err(|error| refused(error, process))?;
        program.set_paused(paused);
        if paused {
            // While it still has a part in what is owed.
            self.tell_scheduler(process, child.usage());
        }
        let task = process.task.lock();
        if let Some(id) = task.id {
            let mut scheduler = self.scheduler.lock();
            let now = self.sched_now();
            let _ = if paused { scheduler.block(id, now) } else { scheduler.wake(id, now) };
        }
        drop((task, hold, _mine));
        if process.standing().group.is_some() {
            // Its part is for the others meanwhile.
            self.rebalance();
        }
        Ok(())
    }

    /// Changes what a program is held to, to what `change` makes of what it is held to now; answers that.
    pub(crate) fn set_limits(
        &self,
        process: &Process,
        change: impl FnOnce(&uos_proc::Limits) -> Result<uos_proc::Limits, Error>,
    ) -> Result<uos_proc::Limits, Error> {
        let _mine = process.steering.lock();
        let Held { child, mut hold, .. } = held(process, program_of(process)?)?;
        let limits = change(&hold.limits)?;
        if limits.cpu_percent.is_some() && process.standing().is_strict() {
            return Err(Error::at_stage(
                Errno::ENOTSUP,
                "limits.cpu_percent".to_owned(),
                "no real-time program is held to a limit of its CPU time",
            )
            .hint("make it ordinary with SetRealtime first"));
        }
        let weight = self.weighs_by_group().then(|| group_weight(hold.reins.weight));
        let all = uos_proc::Limits { cpu_weight: weight, ..limits };
        child.set_limits(&all).map_err(|error| limits_refused(&error, process))?;
        hold.limits = limits;
        Ok(limits)
    }
}

/// The program of a process, if it has one.
pub(crate) fn program_of(process: &Process) -> Result<&Program, Error> {
    let none = || Error::invalid("pid", format_args!("process {} has no program", process.pid));
    process.program.as_ref().ok_or_else(none)
}

fn held<'a>(process: &Process, program: &'a Program) -> Result<Held<'a>, Error> {
    let hold = program.hold.lock();
    match program.child().filter(|_| process.is_alive()) {
        Some(child) => Ok(Held { program, child, hold }),
        None => Err(Error::no_process(process.pid.0)),
    }
}

/// A weight in the unit of control groups, of which the usual is 100.
pub(crate) fn group_weight(weight: Weight) -> u32 {
    let hundredths = (u64::from(weight.get()) * 100 + 512) / 1_024;
    u32::try_from(hundredths).unwrap_or(u32::MAX).clamp(1, 10_000)
}

/// The priority whose weight is nearest, by ratio.
fn nearest(weight: Weight) -> Priority {
    let distance = |priority: &u8| {
        let other = Priority(*priority).weight();
        u64::from(other.max(weight).get()) * 1_000_000 / u64::from(other.min(weight).get())
    };
    Priority((0..=255).min_by_key(distance).unwrap_or(128))
}

/// What the host refuses, in the words of a call on this process.
pub(crate) fn refused(error: SignalError, process: &Process) -> Error {
    match error {
        SignalError::NoSuchProcess => Error::no_process(process.pid.0),
        SignalError::Refused { .. } => Error::new(Errno::EIO, format!("the host: {error}")),
    }
}

fn limits_refused(error: &LimitsError, process: &Process) -> Error {
    let message = error.to_string();
    match error {
        LimitsError::Invalid { .. } => Error::new(Errno::EINVAL, message),
        LimitsError::Unsupported { name } => {
            Error::at_stage(Errno::ENOTSUP, format!("limits.{name}"), message)
                .hint("GetHostCapabilities tells what this machine can hold")
        }
        LimitsError::Refused { name, errno: 16 } => {
            Error::at_stage(Errno::EBUSY, format!("limits.{name}"), message).hint("more is in use")
        }
        LimitsError::Refused { name, .. } => Error::at_stage(Errno::EIO, format!("limits.{name}"), message),
        LimitsError::NoSuchProcess => Error::no_process(process.pid.0),
    }
}

#[cfg(test)]
mod tests {
    use uos_sched::{Priority, Weight};

    use super::group_weight;

    #[test]
    fn weights_keep_their_ratios_in_the_unit_of_groups() {
        let of = |weight| group_weight(Weight::new(weight).unwrap());
        assert_eq!((of(1_024), of(2_048), of(512), of(1)), (100, 200, 50, 1));
        let of = |priority| group_weight(Priority(priority).weight());
        assert_eq!(of(128), 100);
        assert_eq!(of(136), 125, "eight steps are a factor of 1.25");
        assert!(of(0) >= 2 && of(255) <= 10_000 && of(0) < of(255));
    }
}
