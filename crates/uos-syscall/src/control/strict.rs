//! Strict policies: programs take turns at a gate before each CPU.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use uos_sched::{ControlError, Controller, Cpu, Explained, Gate, Nanos, Policy, Spec, TaskId, Turn, Wanted};

use super::{Held, Standing, lanes::Lanes, tree::refused};
use crate::{
    Errno, Error,
    host::OsProcesses,
    kernel::Inner,
    process::{Pid, Process},
};

/// A strict policy in force. Dropped, everybody runs freely again.
pub(crate) struct Strict {
    entrances: Vec<Arc<Entrance>>,
}

/// One CPU, and who takes turns on it.
pub(crate) struct Entrance {
    pub(crate) cpu: u32,
    /// Held while the gate is asked; it answers within some microseconds.
    gate: Mutex<Gate>,
    /// By the host's numbers. Held for a look or a change, and after `gate`.
    held: Mutex<BTreeMap<u32, Pid>>,
    /// Those of our groups that somebody in line is in. Held after `gate`.
    groups: Mutex<Lanes>,
}

/// The place of a program in a line.
pub(crate) struct Place {
    strict: Weak<Strict>,
    entrance: Arc<Entrance>,
    os_pid: u32,
}

/// Whose turn it is.
pub(crate) struct Who {
    pub(crate) cpu: u32,
    pub(crate) pid: Option<Pid>,
    pub(crate) left: Nanos,
}

impl Strict {
    pub(super) fn start(policy: Policy, cpus: &[u32]) -> Result<Arc<Self>, Error> {
        let entrance = |&cpu: &u32| {
            let gate = Gate::start(policy, Cpu(cpu))?;
            Ok(Arc::new(Entrance {
                cpu,
                gate: Mutex::new(gate),
                held: Mutex::default(),
                groups: Mutex::default(),
            }))
        };
        let entrances = cpus.iter().map(entrance).collect::<Result<_, ControlError>>();
        let entrances = entrances.map_err(|error| {
            Error::new(Errno::ENOTSUP, format!("this host can't hold a strict order: {error}"))
                .hint("SCHEDULING_POLICY_FAIR needs nothing of it")
        })?;
        Ok(Arc::new(Self { entrances }))
    }

    pub(crate) fn entrance(&self, cpu: Option<u32>) -> Option<&Arc<Entrance>> {
        self.entrances.iter().find(|entrance| cpu.is_none_or(|cpu| entrance.cpu == cpu))
    }

    pub(crate) fn entrances(&self) -> &[Arc<Entrance>] {
        &self.entrances
    }

    /// The one with the fewest of those that a program may use.
    fn choose(&self, to: &Standing) -> Option<&Arc<Entrance>> {
        let allowed = self.entrances.iter().filter(|entrance| to.may_use(entrance.cpu));
        allowed.min_by_key(|entrance| entrance.held.lock().len())
    }
}

impl Entrance {
    pub(crate) fn current(&self) -> Result<Who, Error> {
        let turn = self.gate.lock().current();
        self.who(turn)
    }

    pub(crate) fn next(&self) -> Result<Who, Error> {
        let turn = self.gate.lock().next();
        self.who(turn)
    }

    fn who(&self, turn: Result<Option<Turn>, ControlError>) -> Result<Who, Error> {
        let turn = turn.map_err(|error| Error::new(Errno::EIO, error.to_string()))?;
        let pid = turn.and_then(|turn| self.held.lock().get(&turn.pid).copied());
        Ok(Who { cpu: self.cpu, pid, left: turn.map_or(Nanos::ZERO, |turn| turn.left) })
    }
}

impl Place {
    pub(crate) fn cpu(&self) -> u32 {
        self.entrance.cpu
    }

    pub(crate) fn give_way(&self) -> Result<Who, Error> {
        let turn = self.entrance.gate.lock().give_way(self.os_pid);
        self.entrance.who(turn)
    }

    /// Why it runs or waits, and whose task each is that this may name.
    pub(crate) fn explain(&self) -> Option<(Explained, BTreeMap<TaskId, Pid>)> {
        let explained = self.entrance.gate.lock().explain(self.os_pid).ok()?;
        let held = self.entrance.held.lock();
        let whose = explained.pids.iter().filter_map(|(task, os_pid)| Some((*task, *held.get(os_pid)?)));
        let whose = whose.collect();
        Some((explained, whose))
    }

    fn is_at(&self, strict: &Arc<Strict>) -> bool {
        self.strict.upgrade().is_some_and(|own| Arc::ptr_eq(&own, strict))
    }

    /// Leaves the line; the program runs freely.
    pub(super) fn leave(self) {
        self.entrance.held.lock().remove(&self.os_pid);
        let mut gate = self.entrance.gate.lock();
        // Refused only if it has ended.
        let _ = gate.release(self.os_pid);
        self.entrance.groups.lock().leave(&mut gate, self.os_pid);
    }
}

impl Inner {
    /// Has one that is in line be in its group there, which may have moved or dissolved.
    pub(super) fn regroup(
        &self,
        process: &Process,
        held: &mut Held<'_>,
        to: &Standing,
        strict: &Arc<Strict>,
    ) -> Result<(), Error> {
        match held.hold.reins.place {
            Some(_) => self.hold_in_line(process, held, to, strict),
            None => Ok(()),
        }
    }

    /// Has a program take its turns as `to` says.
    pub(super) fn hold_in_line(
        &self,
        process: &Process,
        held: &mut Held<'_>,
        to: &Standing,
        strict: &Arc<Strict>,
    ) -> Result<(), Error> {
        let stays = |place: &Place| place.is_at(strict) && to.may_use(place.entrance.cpu);
        if let Some(place) = held.hold.reins.place.take_if(|place| !stays(place)) {
            place.leave();
        }
        let weight = to.priority.weight();
        if let Some(place) = &held.hold.reins.place {
            let mut gate = place.entrance.gate.lock();
            let mut lanes = place.entrance.groups.lock();
            let put = lanes.enter(&mut gate, place.os_pid, to.group.as_ref()).and_then(|group| {
                let wanted =
                    Wanted { group, weight, class: to.class, slice: to.quantum, ..Wanted::default() };
                gate.apply(place.os_pid, &wanted)?;
                gate.set_priority(place.os_pid, to.priority)
            });
            lanes.tidy(&mut gate);
            return put.map_err(|error| refused(&error, process));
        }
        let is_looked_after = process.level == uos_proc::Level::Standard;
        let Some(os_pid) = OsProcesses::read().first(&held.child, is_looked_after) else { return Ok(()) };
        let entrance = strict.choose(to).ok_or_else(|| Error::invalid("cpus", "none of them is there"))?;
        let spec = Spec::from(to.priority).class(to.class);
        let spec = to.quantum.map_or(spec.clone(), |quantum| spec.slice(quantum));
        let mut gate = entrance.gate.lock();
        let mut lanes = entrance.groups.lock();
        let put = lanes.enter(&mut gate, os_pid, to.group.as_ref());
        let put = put.and_then(|group| gate.hold(os_pid, spec.group(group)));
        if let Err(error) = put {
            lanes.leave(&mut gate, os_pid);
            return Err(refused(&error, process));
        }
        entrance.held.lock().insert(os_pid, process.pid);
        drop((lanes, gate));
        let (strict, entrance) = (Arc::downgrade(strict), Arc::clone(entrance));
        held.hold.reins.place = Some(Place { strict, entrance, os_pid });
        Ok(())
    }
}
