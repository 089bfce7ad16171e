//! Steering the real programs behind processes: how much they run, whether they run, what they are held to.
//!
//! A process's `steering` is taken first, then its program's `hold`, which is kept while the host is asked, so that changes
//! come one after the other and what is noted is what is in force; then the process's task, then the scheduler's books. A
//! change that the host refuses is noted nowhere.

mod groups;
mod lanes;
mod program;
mod standing;
mod strict;
mod tree;

use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use uos_proc::{Guarantee, Level};
use uos_sched::{Abilities, OsControl, Policy, SchedError};

use self::program::{Held, held};
pub(crate) use self::{
    groups::{Group, GroupHandle},
    program::{group_weight, program_of, refused},
    standing::Standing,
    strict::{Place, Strict, Who},
    tree::Reins,
};
use crate::{Errno, Error, host, kernel::Inner, process::Process};

/// By what programs are steered on this machine.
pub(crate) struct Control {
    /// Whether control groups divide CPU time, found out when it is first asked.
    by_group: OnceLock<bool>,
    /// Whether those of several programs can be around them, likewise.
    nests: OnceLock<bool>,
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
            nests: OnceLock::new(),
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

impl Inner {
    /// Whether control groups divide CPU time between programs; niceness does otherwise.
    pub(crate) fn weighs_by_group(&self) -> bool {
        let ask = || self.spawner.probe().get(Level::Privileged, Guarantee::Cpu).is_enforced();
        *self.control.by_group.get_or_init(ask)
    }

    /// Whether a group of several programs is one to the host; else each of them weighs its part.
    pub(crate) fn nests(&self) -> bool {
        let ask = || self.weighs_by_group() && self.spawner.nesting().is_enforced();
        *self.control.nests.get_or_init(ask)
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
            self.rebalance();
        } else if before.group.is_some() || now.is_some() {
            self.rebalance_flat();
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
        let weight = self.weight_on_host(Some((process, to)), to);
        self.nest(process, held, to)?;
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
                kernel.rebalance_flat();
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
}
