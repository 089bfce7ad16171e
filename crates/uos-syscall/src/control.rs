//! Steering the real programs behind processes: how much they run, whether they run, what they are held to.
//!
//! A program's `hold` is taken first and kept while the host is asked, so that changes come one after the other and what
//! is noted is what is in force; then the process's task, then the scheduler's books. A change that the host refuses is
//! noted nowhere.

use std::sync::OnceLock;

use parking_lot::MutexGuard;
use uos_proc::{Child, Guarantee, Level, LimitsError, SignalError};
use uos_sched::{Abilities, OsControl, Priority, Weight};

use crate::{
    Errno, Error,
    kernel::Inner,
    process::{Hold, Process, Program},
};

/// By what programs are steered on this machine.
#[derive(Default)]
pub(crate) struct Control {
    /// Whether control groups divide CPU time, found out when it is first asked.
    by_group: OnceLock<bool>,
    abilities: OnceLock<Abilities>,
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

    /// Changes a priority, of the program too if there is one. Gives the one before.
    pub(crate) fn set_priority(&self, process: &Process, priority: Priority) -> Result<Priority, Error> {
        let held = process.program.as_ref().map(|program| held(process, program)).transpose()?;
        if let Some(Held { child, hold, .. }) = &held {
            self.weigh(process, child, hold, priority)?;
        }
        let mut task = process.task.lock();
        if !process.is_alive() {
            return Err(Error::no_process(process.pid.0));
        }
        let before = std::mem::replace(&mut task.priority, priority);
        if let Some(id) = task.id {
            // Refused only for a task that is not there, and this one is taken out with its id.
            let _ = self.scheduler.lock().set_priority(id, priority, self.sched_now());
        }
        Ok(before)
    }

    fn weigh(&self, process: &Process, child: &Child, hold: &Hold, priority: Priority) -> Result<(), Error> {
        if self.weighs_by_group() {
            let weight = Some(group_weight(priority.weight()));
            let limits = uos_proc::Limits { cpu_weight: weight, ..hold.limits };
            return child.set_limits(&limits).map_err(|error| limits_refused(&error, process));
        }
        child.set_nice(priority.nice()).map_err(|error| match error {
            SignalError::Refused { errno: 1 | 13 } => {
                Error::new(Errno::EPERM, "the host doesn't let this system raise a priority")
                    .hint("run the server with CAP_SYS_NICE, or where it may make control groups")
            }
            error => refused(error, process),
        })
    }

    /// Holds a program still, or lets it go on. Nothing happens to one that is so already.
    pub(crate) fn set_paused(&self, process: &Process, paused: bool) -> Result<(), Error> {
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
        drop(hold);
        Ok(())
    }

    /// Changes what a program is held to, to what `change` makes of what it is held to now; answers that.
    pub(crate) fn set_limits(
        &self,
        process: &Process,
        change: impl FnOnce(&uos_proc::Limits) -> Result<uos_proc::Limits, Error>,
    ) -> Result<uos_proc::Limits, Error> {
        let Held { child, mut hold, .. } = held(process, program_of(process)?)?;
        let limits = change(&hold.limits)?;
        let weight = self.weighs_by_group().then(|| group_weight(process.priority().weight()));
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
