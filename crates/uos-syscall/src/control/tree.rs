//! Classes, quanta and CPUs of a program's processes, by the host's own means.

use std::collections::BTreeSet;

use uos_proc::CpuGroup;
use uos_sched::{Class, ControlError, Controller, GroupId, OsControl, Wanted, Weight};

use super::{Held, Standing, strict::Place};
use crate::{Errno, Error, host::OsProcesses, kernel::Inner, process::Process};

/// By what a program is held beside its limits.
pub(crate) struct Reins {
    /// What it weighs beside others, as the host was told.
    pub(super) weight: Weight,
    /// The groups of several programs that it is in on the host.
    pub(super) around: Vec<CpuGroup>,
    /// The host's processes that the controller has adopted.
    adopted: BTreeSet<u32>,
    /// Whether it is where the host grants real-time classes.
    real_time: bool,
    /// Its place at a gate.
    pub(super) place: Option<Place>,
}

impl Reins {
    pub(crate) fn new(weight: Weight) -> Self {
        Self { weight, around: Vec::new(), adopted: BTreeSet::new(), real_time: false, place: None }
    }

    /// Its place at a gate, if a strict policy is in force.
    pub(crate) fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    pub(super) fn is_slack(&self) -> bool {
        self.adopted.is_empty() && self.place.is_none()
    }
}

/// How often newly made processes are looked for: nobody makes them faster than that without meaning it.
const ROUNDS: u32 = 16;

impl Inner {
    /// Has all processes of a program be as `to` says; those they make from then on are so by birth.
    pub(super) fn hold_tree(
        &self,
        process: &Process,
        held: &mut Held<'_>,
        to: &Standing,
    ) -> Result<(), Error> {
        if to.is_plain() {
            self.free_tree(held);
            return Ok(());
        }
        let is_real_time = matches!(to.class, Class::Fifo(_) | Class::RoundRobin(_));
        if to.is_strict() && held.hold.limits.cpu_percent.is_some() {
            return Err(Error::at_stage(
                Errno::ENOTSUP,
                "limits.cpu_percent".to_owned(),
                "its CPU time is limited, and no real-time program is held to that",
            )
            .hint("lift the limit with SetLimits first; levels below Privileged always have one"));
        }
        if is_real_time && !held.hold.reins.real_time {
            held.child.set_real_time(true).map_err(|error| super::refused(error, process))?;
            held.hold.reins.real_time = true;
        }
        let wanted = Wanted {
            group: GroupId::ROOT,
            // Where groups weigh, they do it for all of them together.
            weight: if self.weighs_by_group() { Weight::DEFAULT } else { held.hold.reins.weight },
            quota: None,
            affinity: to.affinity(),
            class: to.class,
            slice: to.quantum,
        };
        let mut done = BTreeSet::new();
        for _ in 0..ROUNDS {
            let members = OsProcesses::read().members(&held.child);
            if matches!(to.class, Class::Deadline(_)) && members.len() > 1 {
                return Err(Error::new(
                    Errno::ENOTSUP,
                    "what is reserved is for one process, and there are several",
                )
                .hint("reserve it before the program starts others"));
            }
            let new: Vec<u32> = members.into_iter().filter(|pid| !done.contains(pid)).collect();
            if new.is_empty() {
                break;
            }
            for pid in new {
                done.insert(pid);
                self.hold_one(process, held, pid, &wanted)?;
            }
        }
        if !is_real_time && held.hold.reins.real_time {
            held.child.set_real_time(false).map_err(|error| super::refused(error, process))?;
            held.hold.reins.real_time = false;
        }
        Ok(())
    }

    fn hold_one(
        &self,
        process: &Process,
        held: &mut Held<'_>,
        pid: u32,
        wanted: &Wanted,
    ) -> Result<(), Error> {
        let mut host = self.control.host.lock();
        let host = host.get_or_insert_with(OsControl::by_nice);
        let adopted = &mut held.hold.reins.adopted;
        let done = match adopted.contains(&pid) {
            true => host.apply(pid, wanted).map(drop),
            false => host.adopt(pid, wanted),
        };
        match done {
            Ok(()) => {
                adopted.insert(pid);
                Ok(())
            }
            // It has ended meanwhile.
            Err(ControlError::Gone { .. } | ControlError::NotAdopted { .. }) => {
                adopted.remove(&pid);
                Ok(())
            }
            Err(error) => Err(refused(&error, process)),
        }
    }

    /// Lets all processes of a program be as they were before.
    pub(super) fn free_tree(&self, held: &mut Held<'_>) {
        self.forget_tree(&mut held.hold.reins);
        if std::mem::take(&mut held.hold.reins.real_time) {
            let _ = held.child.set_real_time(false);
        }
    }

    /// Lets those go that are still there.
    pub(super) fn forget_tree(&self, reins: &mut Reins) {
        let adopted = std::mem::take(&mut reins.adopted);
        if let Some(host) = self.control.host.lock().as_mut() {
            for pid in adopted {
                // Refused only if it has ended.
                let _ = host.release(pid);
            }
        }
    }
}

/// What a controller refuses, in the words of a call on this process.
pub(super) fn refused(error: &ControlError, process: &Process) -> Error {
    let message = error.to_string();
    match error {
        ControlError::Gone { .. } | ControlError::NotAdopted { .. } => Error::no_process(process.pid.0),
        ControlError::NotEnforceable { .. } => {
            Error::new(Errno::ENOTSUP, message).hint("GetHostCapabilities tells what this machine can do")
        }
        ControlError::Overload { .. } => overload(),
        ControlError::NoSuchCpu => Error::invalid("cpus", message),
        ControlError::Refused(_) => Error::new(Errno::EINVAL, message),
        ControlError::System { source, .. } if matches!(source.raw_os_error(), Some(1 | 13)) => {
            Error::new(Errno::EPERM, message).hint("run the server with CAP_SYS_NICE")
        }
        _ => Error::new(Errno::EIO, message),
    }
}

pub(super) fn overload() -> Error {
    Error::new(Errno::EBUSY, "that much can't be promised beside what others were")
        .hint("reserve less, or for a longer period; all together may have 95 % of the CPUs")
}
