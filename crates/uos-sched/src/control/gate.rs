//! Strict order for real processes on one CPU: all but the one whose turn it is are stopped.

mod groups;
mod held;
mod line;
mod pace;
#[cfg(test)]
mod tests;
mod watchdog;

use super::{ControlError, Controller, Wanted};
use crate::{Cpu, GroupId, GroupSpec, Nanos, Policy, Priority, Spec, Standing, TaskId, TaskStats, Weight};
use line::Line;
use rustix::event::{EventfdFlags, eventfd};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

/// Lets real processes take turns on one CPU exactly as a [`Scheduler`](crate::Scheduler) says.
///
/// Kernel weights share, but no weight says "nothing while that one wants to run", and none gives turns of a length
/// that was asked for. A gate does: whoever's turn it is not is stopped by `SIGSTOP`. Turns are counted in CPU time,
/// so that load from elsewhere lengthens them and favours nobody. Whoever sleeps loses its turn within 10 ms, is looked
/// at every 5 ms, and waits for its turn again once it wants to run; until then it is not stopped, so that what wakes it
/// reaches it.
///
/// A thread of its own does the work, on the same CPU and with real-time priority where that is allowed. Where others
/// take a part of the CPU, a turn may be longer by a fifth, or 2 ms at the most; the next one is shorter for that. If the
/// thread dies, with the whole process or alone, another process lets everybody run again.
///
/// Groups are the scheduler's: each has its turns or its part as a whole. Their quotas go by the gate's own time, of which
/// less passes than by the wall while there is other load; no real-time class is held to one.
///
/// To be known: a parent that waits for stopped children sees its child stop and go on; and who is stopped by
/// somebody else counts as asleep until it is let go on.
#[derive(Debug)]
pub struct Gate {
    orders: Option<Sender<Order>>,
    bell: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
    cpu: Cpu,
    realtime: bool,
}

/// A turn at a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Whose.
    pub pid: u32,
    /// How much CPU time is left of it.
    pub left: Nanos,
}

/// Why somebody at a gate runs or waits.
#[derive(Clone, Debug)]
pub struct Explained {
    /// Where it stands.
    pub standing: Standing,
    /// What time it is for those at the gate.
    pub now: Nanos,
    /// Which process each task is.
    pub pids: BTreeMap<TaskId, u32>,
}

type Order = Box<dyn FnOnce(&mut Line) + Send>;

impl Gate {
    /// A gate before this CPU, which nobody waits at yet.
    ///
    /// Fails if this process may not use the CPU, or if the watchdog, a `/bin/sh`, can't be started.
    pub fn start(policy: Policy, cpu: Cpu) -> Result<Gate, ControlError> {
        let system = |error: rustix::io::Errno| held::own("the gate", error.into());
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(system)?);
        let (orders, taken) = mpsc::channel();
        let (ready, started) = mpsc::sync_channel(1);
        let ears = Arc::clone(&bell);
        let work = move || {
            // First, so that the watchdog inherits it.
            let realtime = line::become_realtime();
            match Line::new(policy, cpu) {
                Ok(line) => {
                    // Without priority it would have to wait there for those whose turns it is to end.
                    if realtime {
                        line::stay_at(cpu);
                    }
                    let _ = ready.send(Ok(realtime));
                    line.run(&taken, &ears);
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        };
        let thread = std::thread::Builder::new().name("uos-gate".into()).spawn(work);
        let thread = thread.map_err(|error| held::own("the gate's thread", error))?;
        let realtime = started.recv().map_err(|_| ControlError::Ended)??;
        Ok(Gate { orders: Some(orders), bell, thread: Some(thread), cpu, realtime })
    }

    /// Whether the gate itself goes before ordinary processes. Where not, turns may end late on a busy machine.
    pub fn is_realtime(&self) -> bool {
        self.realtime
    }

    /// Puts a process in line, with its weight, priority, class and slice; it is stopped until its turn comes.
    ///
    /// Its affinity is the gate's CPU from then on, whatever the specification says.
    pub fn hold(&self, pid: u32, spec: impl Into<Spec>) -> Result<(), ControlError> {
        let spec = spec.into();
        let wanted = Wanted {
            group: spec.group,
            weight: spec.weight,
            class: spec.class,
            slice: spec.slice,
            ..Wanted::default()
        };
        self.ask(move |line| line.hold(pid, spec, wanted))?
    }

    /// Changes the priority of one that is held.
    pub fn set_priority(&self, pid: u32, priority: Priority) -> Result<(), ControlError> {
        self.ask(move |line| line.set_priority(pid, priority))?
    }

    /// Changes the weight of one that is held.
    pub fn set_weight(&self, pid: u32, weight: Weight) -> Result<(), ControlError> {
        self.ask(move |line| line.set_weight(pid, weight))?
    }

    /// Changes the policy while they wait. Answers how many there are.
    pub fn set_policy(&self, policy: Policy) -> Result<usize, ControlError> {
        self.ask(move |line| line.set_policy(policy))?
    }

    /// All that are held and their numbers, as of one moment, by process id.
    pub fn held(&self) -> Result<Vec<(u32, TaskStats)>, ControlError> {
        self.ask(Line::stats)
    }

    /// Whose turn it is, and how much of it is left; nobody if all sleep.
    pub fn current(&self) -> Result<Option<Turn>, ControlError> {
        self.ask(|line| line.current())
    }

    /// Ends the turn of whoever has it, as if it were over, and lets the next one through: the same again if it is the
    /// first of all. Answers whose turn it is now.
    pub fn next(&self) -> Result<Option<Turn>, ControlError> {
        self.ask(Line::next)
    }

    /// Ends the turn of one that is held, which lets others go first; nothing happens if it is not its turn. Answers whose
    /// turn it is now.
    pub fn give_way(&self, pid: u32) -> Result<Option<Turn>, ControlError> {
        self.ask(move |line| line.give_way(pid))?
    }

    /// Why one that is held runs or waits, and which processes the tasks are that this may name. Time is the gate's own
    /// here: the CPU time of all whose turn it was.
    pub fn explain(&self, pid: u32) -> Result<Explained, ControlError> {
        self.ask(move |line| line.explain(pid))?
    }

    /// The CPU time the gate itself has used, and the watchdog not.
    pub fn own_cpu_time(&self) -> Result<Nanos, ControlError> {
        self.ask(|_| held::thread_cpu_time())
    }

    fn ask<T: Send + 'static>(
        &self,
        order: impl FnOnce(&mut Line) -> T + Send + 'static,
    ) -> Result<T, ControlError> {
        let (answer, told) = mpsc::sync_channel(1);
        let order: Order = Box::new(move |line| drop(answer.send(order(line))));
        let orders = self.orders.as_ref().ok_or(ControlError::Ended)?;
        orders.send(order).map_err(|_| ControlError::Ended)?;
        self.ring();
        told.recv().map_err(|_| ControlError::Ended)
    }

    fn ring(&self) {
        // The one thing that can go wrong is that it has been rung four thousand million million times unheard.
        let _ = rustix::io::write(&*self.bell, &1u64.to_ne_bytes());
    }
}

impl Controller for Gate {
    fn adopt(&mut self, pid: u32, wanted: &Wanted) -> Result<(), ControlError> {
        self.possible(wanted)?;
        let wanted = wanted.clone();
        let spec = Spec::from(wanted.weight).class(wanted.class).group(wanted.group);
        let spec = wanted.slice.map_or(spec.clone(), |slice| spec.slice(slice));
        self.ask(move |line| line.hold(pid, spec, wanted))?
    }

    fn apply(&mut self, pid: u32, wanted: &Wanted) -> Result<usize, ControlError> {
        self.possible(wanted)?;
        let wanted = wanted.clone();
        self.ask(move |line| line.apply(pid, &wanted))?
    }

    fn used(&mut self, pid: u32) -> Result<Nanos, ControlError> {
        self.ask(move |line| line.used(pid))?
    }

    fn release(&mut self, pid: u32) -> Result<(), ControlError> {
        self.ask(move |line| line.release(pid))?
    }

    fn create_group(&mut self, parent: GroupId, spec: GroupSpec) -> Result<GroupId, ControlError> {
        self.ask(move |line| line.create_group(parent, spec))?
    }

    fn set_group(&mut self, group: GroupId, spec: GroupSpec) -> Result<usize, ControlError> {
        self.ask(move |line| line.set_group(group, spec))?
    }

    fn move_group(&mut self, group: GroupId, parent: GroupId) -> Result<(), ControlError> {
        self.ask(move |line| line.move_group(group, parent))?
    }

    fn destroy_group(&mut self, group: GroupId) -> Result<(), ControlError> {
        self.ask(move |line| line.destroy_group(group))?
    }
}

impl Gate {
    fn possible(&self, wanted: &Wanted) -> Result<(), ControlError> {
        if wanted.quota.is_some() {
            return Err(ControlError::NotEnforceable { what: "a quota", means: "a gate" });
        }
        wanted.affinity.contains(self.cpu).then_some(()).ok_or(ControlError::NoSuchCpu)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.orders = None;
        self.ring();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Takes all orders there are. Answers whether there can be more.
fn obey(line: &mut Line, orders: &Receiver<Order>) -> bool {
    loop {
        match orders.try_recv() {
            Ok(order) => order(line),
            Err(mpsc::TryRecvError::Empty) => return true,
            Err(mpsc::TryRecvError::Disconnected) => return false,
        }
    }
}
