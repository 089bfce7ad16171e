//! Those who wait at a gate, and the thread that lets one after the other through.
//!
//! The scheduler's clock here is the CPU time of whoever is let through; while nobody is, it is the wall's.

use super::held::Held;
use super::pace::{CRUMB, Debt, late, until_over};
use super::watchdog::Watchdog;
use super::{Explained, Order, Turn, obey};
use crate::control::process::refused;
use crate::control::{ControlError, refused_by_core};
use crate::{
    Cpu, Nanos, Observed, Policy, Priority, Scheduler, Spec, TaskId, TaskStats, Wanted, Weight, Why,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::mpsc::Receiver;
use std::time::Instant;
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};

/// How often it is looked whether a sleeper wants to run again.
const LOOK_AT_SLEEPERS: Nanos = Nanos::from_millis(5);
/// So many sleepers are looked at each time, so that many cost no more than these.
const SLEEPERS: usize = 32;
/// So many that have ended are remembered.
const UNTOLD: usize = 1024;
/// The scheduler's only CPU.
const HERE: Cpu = Cpu(0);

pub(super) struct Line {
    pub(super) sched: Scheduler,
    cpu: Cpu,
    pub(super) held: BTreeMap<u32, Held>,
    pids: BTreeMap<TaskId, u32>,
    sleepers: VecDeque<u32>,
    /// Who has ended by itself and whose holder has not been told yet; of many only the last.
    ended: VecDeque<u32>,
    /// Whose turn it is, and who is let through: the same but for a moment between two turns.
    pub(super) running: Option<u32>,
    through: Option<u32>,
    pub(super) now: Nanos,
    looked: Instant,
    /// What was used of the time that passed between the last two looks within a turn.
    pace: (Nanos, Nanos),
    /// How long the turn that is on is by the policy.
    turn: Nanos,
    watchdog: Watchdog,
}

/// Asks for the lowest real-time priority: above all ordinary processes. Answers whether it was given.
pub(super) fn become_realtime() -> bool {
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin);
    set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy).is_ok()
}

/// Has the calling thread stay where those it holds run: to signal to another CPU, and to be woken on one that has gone to
/// sleep, takes several times as long.
pub(super) fn stay_at(cpu: Cpu) {
    let mut only = rustix::thread::CpuSet::new();
    only.set(cpu.0 as usize);
    // Elsewhere it does the same for more.
    let _ = rustix::thread::sched_setaffinity(None, &only);
}

impl Line {
    pub(super) fn new(policy: Policy, cpu: Cpu) -> Result<Line, ControlError> {
        let here = rustix::thread::sched_getaffinity(None);
        let here = here.map_err(|error| refused("affinity", 0, error.into()))?;
        if cpu.0 as usize >= rustix::thread::CpuSet::MAX_CPU || !here.is_set(cpu.0 as usize) {
            return Err(ControlError::NoSuchCpu);
        }
        Ok(Line {
            sched: Scheduler::new(policy, 1)?,
            cpu,
            held: BTreeMap::new(),
            pids: BTreeMap::new(),
            sleepers: VecDeque::new(),
            ended: VecDeque::new(),
            running: None,
            through: None,
            now: Nanos::ZERO,
            looked: Instant::now(),
            pace: (Nanos::ZERO, Nanos::ZERO),
            turn: Nanos::ZERO,
            watchdog: Watchdog::start()?,
        })
    }

    pub(super) fn run(mut self, orders: &Receiver<Order>, bell: &OwnedFd) {
        let mut ended = false;
        while obey(&mut self, orders) {
            let again = self.step(ended);
            ended = self.sleep(bell, again);
        }
    }

    /// Charges, takes off and lets through. Answers when to look again, if anything is to be expected by itself.
    pub(super) fn step(&mut self, ended: bool) -> Option<Nanos> {
        let passed = Nanos(self.looked.elapsed().as_nanos() as u64);
        self.looked = Instant::now();
        match self.running {
            // An order may have given the turn to another since it was seen.
            Some(pid) if ended && self.held.get(&pid).is_some_and(Held::has_ended) => self.bury(pid),
            Some(pid) => self.judge(pid, passed),
            None => self.now = self.now + passed,
        }
        self.look_at_sleepers();
        // Somebody who goes first may have woken, come or been raised.
        if self.running.is_some() && self.sched.preempts(HERE, self.now).unwrap_or(false) {
            self.take_off(Why::Preempted);
        }
        while self.running.is_none() && self.let_one_through() {}
        let left = self.until().map(|until| until.since(self.now));
        let event = self.sched.next_event().filter(|_| self.running.is_none());
        let sleepers = (!self.sleepers.is_empty()).then_some(LOOK_AT_SLEEPERS);
        let waits = [
            left.map(|left| until_over(left, self.pace, late(self.turn))),
            event.map(|at| at.since(self.now)),
            sleepers,
        ];
        waits.into_iter().flatten().min()
    }

    /// Whether the one whose turn it is goes on.
    fn judge(&mut self, pid: u32, passed: Nanos) {
        let Some(held) = self.held.get_mut(&pid) else { return };
        let used = held.used_since();
        self.now = self.now + Nanos(used);
        self.pace = (Nanos(used), passed);
        let until = self.until();
        let Some(held) = self.held.get_mut(&pid) else { return };
        if used < passed.0 / 2 && !held.wants_cpu() {
            held.debt = Debt::default();
            self.take_off(Why::Blocked);
            // It is not stopped: what wakes it is to reach it.
            self.through = None;
            self.sleepers.push_back(pid);
        } else if until.is_none_or(|until| until <= self.now + CRUMB) {
            held.debt.settle(until.map_or(0, |until| self.now.0 as i64 - until.0 as i64), self.turn);
            self.take_off(Why::Expired);
        }
    }

    /// When the turn that is on is over, by what the one before was too long or too short.
    fn until(&self) -> Option<Nanos> {
        let (_, until) = self.sched.current(HERE).ok().flatten()?;
        let held = self.running.and_then(|pid| self.held.get(&pid));
        Some(held.map_or(until, |held| held.debt.end(until, self.turn)))
    }

    pub(super) fn take_off(&mut self, why: Why) {
        if self.running.take().is_some() {
            let _ = self.sched.put_back(HERE, self.now, why);
        }
    }

    /// Whoever wakes waits for its turn; what it used meanwhile counts.
    fn look_at_sleepers(&mut self) {
        for _ in 0..self.sleepers.len().min(SLEEPERS) {
            let Some(pid) = self.sleepers.pop_front() else { return };
            let Some(held) = self.held.get_mut(&pid) else { continue };
            if held.has_ended() {
                self.bury(pid);
                continue;
            }
            let observed = Observed { runtime: Nanos(held.used_since()), ..Observed::default() };
            let _ = self.sched.account(held.task, observed);
            if held.wants_cpu() && held.stop().is_ok() {
                let _ = self.sched.wake(held.task, self.now);
            } else {
                self.sleepers.push_back(pid);
            }
        }
    }

    /// Gives the turn to the next. Answers whether it is worth trying again, as that one was gone.
    pub(super) fn let_one_through(&mut self) -> bool {
        let picked = self.sched.pick(HERE, self.now).ok().flatten();
        self.turn = picked.map_or(Nanos::ZERO, |pick| pick.slice);
        let next = picked.as_ref().and_then(|pick| self.pids.get(&pick.task).copied());
        if self.through != next
            && let Some(held) = self.through.take().and_then(|pid| self.held.get_mut(&pid))
        {
            // If it is gone, that shows when its turn comes.
            let _ = held.stop();
        }
        let Some(pid) = next else { return false };
        self.running = Some(pid);
        let Some(held) = self.held.get_mut(&pid) else { return false };
        if held.has_ended() || held.go().is_err() {
            self.bury(pid);
            return true;
        }
        // It was let run until it was on a CPU to be told.
        let used = held.used_since();
        held.debt.add(used, self.turn);
        self.through = Some(pid);
        false
    }

    /// Until then, or until the bell rings or the one whose turn it is has ended. Answers whether it has.
    fn sleep(&self, bell: &OwnedFd, at_most: Option<Nanos>) -> bool {
        let timeout = at_most.map(|Nanos(ns)| Timespec {
            tv_sec: (ns / 1_000_000_000) as i64,
            tv_nsec: (ns % 1_000_000_000) as i64,
        });
        let running = self.running.and_then(|pid| self.held.get(&pid));
        let watched = running.map_or(bell, |held| &held.process.handle);
        let mut waits = [PollFd::new(bell, PollFlags::IN), PollFd::new(watched, PollFlags::IN)];
        // Interrupted or not, everything is looked at afterwards.
        let _ = poll(&mut waits, timeout.as_ref());
        let [rang, ended] = waits.map(|wait| !wait.revents().is_empty());
        if rang {
            let _ = rustix::io::read(bell, &mut [0; 8]);
        }
        ended && running.is_some()
    }

    /// Takes somebody out of the line, who runs freely from then on if it has not ended.
    fn forget(&mut self, pid: u32) {
        if self.running == Some(pid) {
            self.take_off(Why::Preempted);
        }
        if self.through == Some(pid) {
            self.through = None;
        }
        self.sleepers.retain(|&other| other != pid);
        if let Some(held) = self.held.remove(&pid) {
            let _ = self.sched.remove(held.task, self.now);
            self.pids.remove(&held.task);
            drop(held);
            self.watchdog.forget(pid);
        }
    }

    /// Forgets one that has ended, and remembers to say so once.
    fn bury(&mut self, pid: u32) {
        self.forget(pid);
        self.ended.push_back(pid);
        if self.ended.len() > UNTOLD {
            self.ended.pop_front();
        }
    }

    fn find(&mut self, pid: u32) -> Result<&mut Held, ControlError> {
        if let Some(at) = self.ended.iter().position(|&ended| ended == pid) {
            self.ended.remove(at);
            return Err(ControlError::Gone { pid });
        }
        let known = self.held.get(&pid).ok_or(ControlError::NotAdopted { pid })?;
        if known.has_ended() {
            self.forget(pid);
            return Err(ControlError::Gone { pid });
        }
        self.held.get_mut(&pid).ok_or(ControlError::Gone { pid })
    }

    pub(super) fn hold(&mut self, pid: u32, spec: Spec, wanted: Wanted) -> Result<(), ControlError> {
        if pid == std::process::id() {
            return Err(ControlError::NotEnforceable { what: "stopping oneself", means: "a gate" });
        }
        if self.find(pid).is_ok() {
            return Err(ControlError::AlreadyAdopted { pid });
        }
        self.possible(&wanted)?;
        let added = self.sched.add(spec.affinity(crate::CpuSet::ALL), self.now);
        let task = added.map_err(|error| refused_by_core(pid, error))?;
        let held = self.watchdog.watch(pid).and_then(|()| Held::new(pid, task, wanted, self.cpu));
        match held {
            Ok((held, wants)) => {
                if !wants {
                    let _ = self.sched.block(task, self.now);
                    self.sleepers.push_back(pid);
                }
                self.pids.insert(task, pid);
                self.held.insert(pid, held);
                Ok(())
            }
            Err(error) => {
                let _ = self.sched.remove(task, self.now);
                self.watchdog.forget(pid);
                Err(error)
            }
        }
    }

    pub(super) fn release(&mut self, pid: u32) -> Result<(), ControlError> {
        self.find(pid)?;
        self.forget(pid);
        Ok(())
    }

    pub(super) fn apply(&mut self, pid: u32, wanted: &Wanted) -> Result<usize, ControlError> {
        self.find(pid)?;
        self.possible(wanted)?;
        let held = self.find(pid)?;
        let (task, before) = (held.task, held.wanted.clone());
        let differing = [
            wanted.class != before.class,
            wanted.weight != before.weight,
            wanted.slice != before.slice,
            wanted.affinity != before.affinity,
            wanted.group != before.group,
        ];
        // First what can be refused: an overload.
        if differing[0] {
            let set = self.sched.set_class(task, wanted.class, self.now);
            set.map_err(|error| refused_by_core(pid, error))?;
        }
        if differing[1] {
            self.sched.set_weight(task, wanted.weight, self.now)?;
        }
        if differing[2] {
            self.sched.set_slice(task, wanted.slice)?;
        }
        if differing[4] {
            self.between_turns(|line| Ok(line.sched.set_group(task, wanted.group, line.now)?))?;
        }
        self.find(pid)?.wanted = wanted.clone();
        Ok(differing.into_iter().filter(|&differs| differs).count())
    }

    pub(super) fn used(&mut self, pid: u32) -> Result<Nanos, ControlError> {
        let used = self.find(pid)?.used();
        used.map(Nanos).ok_or(ControlError::Gone { pid })
    }

    pub(super) fn set_weight(&mut self, pid: u32, weight: Weight) -> Result<(), ControlError> {
        let held = self.find(pid)?;
        held.wanted.weight = weight;
        let task = held.task;
        Ok(self.sched.set_weight(task, weight, self.now)?)
    }

    pub(super) fn set_priority(&mut self, pid: u32, priority: Priority) -> Result<(), ControlError> {
        let task = self.find(pid)?.task;
        Ok(self.sched.set_priority(task, priority, self.now)?)
    }

    pub(super) fn set_policy(&mut self, policy: Policy) -> Result<usize, ControlError> {
        Ok(self.sched.set_policy(policy, self.now)?)
    }

    pub(super) fn current(&self) -> Option<Turn> {
        let pid = self.running?;
        Some(Turn { pid, left: self.until()?.since(self.now) })
    }

    pub(super) fn next(&mut self) -> Option<Turn> {
        self.end_turn(Why::Expired);
        self.current()
    }

    pub(super) fn give_way(&mut self, pid: u32) -> Result<Option<Turn>, ControlError> {
        self.find(pid)?;
        if self.running == Some(pid) {
            self.end_turn(Why::Yield);
        }
        Ok(self.current())
    }

    /// What it has used of its turn is charged first.
    fn end_turn(&mut self, why: Why) {
        self.charge();
        self.take_off(why);
        self.look_at_sleepers();
        while self.running.is_none() && self.let_one_through() {}
    }

    /// Has the time be what has been used of the turn that is on.
    pub(super) fn charge(&mut self) {
        if let Some(held) = self.running.and_then(|pid| self.held.get_mut(&pid)) {
            self.now = self.now + Nanos(held.used_since());
            self.looked = Instant::now();
        }
    }

    pub(super) fn explain(&mut self, pid: u32) -> Result<Explained, ControlError> {
        let task = self.find(pid)?.task;
        let standing = self.sched.explain(task)?;
        Ok(Explained { standing, now: self.now, pids: self.pids.clone() })
    }

    pub(super) fn stats(&mut self) -> Vec<(u32, TaskStats)> {
        let stats = |(&pid, held): (&u32, &Held)| Some((pid, self.sched.task(held.task).ok()?));
        self.held.iter().filter_map(stats).collect()
    }
}
