//! One program under control: what it weighs, whether it runs, what it is held to.

use parking_lot::MutexGuard;
use uos_proc::{Child, LimitsError, SignalError};
use uos_sched::{Priority, Weight};

use crate::{
    Errno, Error,
    kernel::Inner,
    process::{Hold, Process, Program},
};

/// A program that lives, held so that nobody else changes it.
pub(super) struct Held<'a> {
    pub(super) program: &'a Program,
    pub(super) child: Child,
    pub(super) hold: MutexGuard<'a, Hold>,
}

impl Inner {
    /// Changes what a program weighs beside others.
    pub(super) fn weigh(&self, process: &Process, held: &mut Held<'_>, weight: Weight) -> Result<(), Error> {
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
            self.rebalance_flat();
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

pub(super) fn held<'a>(process: &Process, program: &'a Program) -> Result<Held<'a>, Error> {
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
pub(super) fn nearest(weight: Weight) -> Priority {
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
