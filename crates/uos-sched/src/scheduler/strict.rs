//! The classes that go before normal tasks: deadlines by a constant-bandwidth server each, then real-time priorities;
//! and the cap that keeps the rest alive.

use super::Scheduler;
use super::moves::Timer;
use crate::queue::{Entry, Return};
use crate::table::{Kind, Slot, State};
use crate::{Class, Nanos, Reservation, RtPriority, SchedError, TaskId};

/// What strict tasks may have of each second of a CPU that others want too: 95 %, as Linux gives by default.
const CAP: u64 = 950_000_000;
const WINDOW: u64 = 1_000_000_000;
/// What may be reserved of each CPU, in millionths: not more than the cap, or promises could not be kept.
const ADMITTED_PPM: u64 = CAP / (WINDOW / 1_000_000);

/// A deadline task's server.
pub(super) struct Reserved {
    pub(super) reservation: Reservation,
    pub(super) density_ppm: u64,
    /// What is left of its runtime until the period that began at `release` is over.
    pub(super) left: i64,
    pub(super) release: u64,
}

impl Scheduler {
    /// Whether the deadlines of all can still be promised if this class comes, or takes the place of another's.
    pub(super) fn check_admission(
        &self,
        class: &Class,
        words: &[u64],
        instead_of: Option<Slot>,
    ) -> Result<(), SchedError> {
        let Class::Deadline(reservation) = class else { return Ok(()) };
        let asked_ppm = reservation.density_ppm();
        // On the CPUs it may use, those count that may use no others; and on all of them, everybody.
        let (mut inside, mut all) = (0, 0);
        let deadlines = self.table.tasks().filter(|&slot| self.table.at(slot).kind == Kind::Deadline);
        for slot in deadlines.filter(|&slot| Some(slot) != instead_of) {
            let density = self.reserved[self.table.rest(slot).aux as usize].density_ppm;
            all += density;
            let mask = self.table.rest(slot).mask;
            let fits = |cpu: u32| words[cpu as usize / 64] >> (cpu % 64) & 1 == 1;
            if self.masks.iter(mask).all(fits) {
                inside += density;
            }
        }
        let cpus: u64 = words.iter().map(|word| u64::from(word.count_ones())).sum();
        let free_inside = (cpus * ADMITTED_PPM).saturating_sub(inside);
        let free_ppm = free_inside.min((self.cores.len() as u64 * ADMITTED_PPM).saturating_sub(all));
        match asked_ppm <= free_ppm {
            true => Ok(()),
            false => Err(SchedError::Overload { asked_ppm, free_ppm }),
        }
    }

    /// A task is of this class from now on. It is in no queue.
    pub(super) fn take_class(&mut self, slot: Slot, class: &Class) {
        self.table.at_mut(slot).kind = Kind::of(class);
        self.table.at_mut(slot).set_batch(*class == Class::Batch);
        self.table.rest_mut(slot).aux = match class {
            Class::Normal | Class::Batch | Class::Idle => 0,
            Class::Fifo(priority) | Class::RoundRobin(priority) => u32::from(priority.get()),
            Class::Deadline(reservation) => {
                let left = reservation.runtime().0 as i64;
                let density_ppm = reservation.density_ppm();
                let reserved = Reserved { reservation: *reservation, density_ppm, left, release: self.now };
                self.table.rest_mut(slot).deadline = self.now + reservation.deadline().0;
                match self.free_reserved.pop() {
                    Some(at) => {
                        self.reserved[at as usize] = reserved;
                        at
                    }
                    None => {
                        self.reserved.push(reserved);
                        (self.reserved.len() - 1) as u32
                    }
                }
            }
        };
    }

    /// Gives back what its class holds.
    pub(super) fn give_class(&mut self, slot: Slot) {
        if self.table.at(slot).kind == Kind::Deadline {
            self.free_reserved.push(self.table.rest(slot).aux);
        }
    }

    pub(super) fn class_of(&self, slot: Slot) -> Class {
        let aux = self.table.rest(slot).aux;
        let priority = || RtPriority::new(aux as u8).expect("it was one when it came");
        match self.table.at(slot).kind {
            Kind::Normal if self.table.at(slot).is_batch() => Class::Batch,
            Kind::Normal | Kind::Group => Class::Normal,
            Kind::Idle => Class::Idle,
            Kind::Fifo => Class::Fifo(priority()),
            Kind::Turns => Class::RoundRobin(priority()),
            Kind::Deadline => Class::Deadline(self.reserved[aux as usize].reservation),
        }
    }

    fn server(&mut self, slot: Slot) -> &mut Reserved {
        &mut self.reserved[self.table.rest(slot).aux as usize]
    }

    /// The strict task that is next, and for how long; or, if the cap is reached, until when it is.
    pub(super) fn choose_strict(&mut self, cpu: usize) -> Result<(Slot, u64), u64> {
        if let Some(entry) = self.first_deadline(cpu) {
            self.cores[cpu].deadlines.pop();
            self.table.at_mut(entry.slot).link[0] = 0;
            let left = self.server(entry.slot).left.max(1) as u64;
            return Ok((entry.slot, left));
        }
        let (left, until) = self.rt_left(cpu);
        if left == 0 {
            return Err(until);
        }
        self.pop_rt(cpu, left).ok_or(u64::MAX)
    }

    /// The same beyond the cap, as nobody else wants the CPU; to be looked at again when the second is over.
    pub(super) fn choose_capped(&mut self, cpu: usize) -> Option<(Slot, u64)> {
        let (_, until) = self.rt_left(cpu);
        self.pop_rt(cpu, until.saturating_sub(self.now).max(1))
    }

    fn pop_rt(&mut self, cpu: usize, limit: u64) -> Option<(Slot, u64)> {
        let slot = self.cores[cpu].rt.pop(&mut self.table)?;
        let slice = match self.table.at(slot).kind {
            Kind::Turns => self.table.slice(slot, self.policy.slice().length()).min(limit),
            _ => limit,
        };
        Some((slot, slice))
    }

    /// What strict tasks may still have of this second, and when it is over.
    pub(super) fn rt_left(&mut self, cpu: usize) -> (u64, u64) {
        let core = &mut self.cores[cpu];
        let seconds = (self.now - core.rt_since) / WINDOW;
        if seconds > 0 {
            core.rt_since += seconds * WINDOW;
            core.rt_used = 0;
        }
        (CAP.saturating_sub(core.rt_used), core.rt_since + WINDOW)
    }

    pub(super) fn charge_strict(&mut self, cpu: usize, slot: Slot, ran: u64) {
        self.rt_left(cpu);
        self.cores[cpu].rt_used += ran;
        if self.table.at(slot).kind == Kind::Deadline {
            let server = self.server(slot);
            server.left = server.left.saturating_sub_unsigned(ran);
        }
    }

    /// A strict task comes back from its CPU.
    pub(super) fn requeue_strict(&mut self, cpu: usize, slot: Slot, how: Return) {
        let kind = self.table.at(slot).kind;
        self.table.at_mut(slot).since = self.now;
        if kind == Kind::Deadline {
            let server = self.server(slot);
            if how == Return::Yielded {
                server.left = server.left.min(0);
            }
            if server.left <= 0 {
                self.throttle(slot);
                return;
            }
            self.push_deadline(cpu, slot);
        } else {
            let front = match kind {
                Kind::Fifo => how != Return::Yielded,
                _ => how == Return::Preempted,
            };
            let level = self.table.rest(slot).aux as u8;
            self.cores[cpu].rt.push(&mut self.table, slot, level, front);
        }
        self.table.at_mut(slot).state = State::Waiting;
        self.count_waiting(cpu, kind, 1);
    }

    /// A deadline task wants to run. Whether it may now, and so is queued; otherwise a timer is set.
    ///
    /// It continues with what it has if that can't exceed what it reserved; otherwise a new period begins now.
    pub(super) fn release_deadline(&mut self, slot: Slot, moved: bool) -> bool {
        let (now, deadline, cpu) =
            (self.now, self.table.rest(slot).deadline, usize::from(self.table.at(slot).cpu));
        let server = self.server(slot);
        let (runtime, within) = (server.reservation.runtime().0, server.reservation.deadline().0);
        let over = now >= server.release.saturating_add(server.reservation.period().0);
        let left = u128::from(server.left.max(0) as u64);
        let too_much =
            left * u128::from(within) > u128::from(deadline.saturating_sub(now)) * u128::from(runtime);
        let implicit = server.reservation.deadline() == server.reservation.period();
        if !moved && (over || (too_much && implicit && server.left > 0)) {
            server.left = server.left.min(0).saturating_add_unsigned(runtime);
            server.release = now;
            self.table.rest_mut(slot).deadline = now + within;
        } else if !moved && too_much {
            // Its deadline is before its period's end: it gets what still fits before that.
            let fits = u128::from(deadline.saturating_sub(now)) * u128::from(runtime) / u128::from(within);
            server.left = server.left.min(fits as i64);
        }
        if self.server(slot).left <= 0 {
            self.throttle(slot);
            return false;
        }
        self.push_deadline(cpu, slot);
        true
    }

    /// It has used up what it reserved, and waits for the next period.
    fn throttle(&mut self, slot: Slot) {
        self.table.at_mut(slot).state = State::Throttled;
        let task = self.table.id(slot);
        let at = self.replenished_at(slot);
        self.set_timer(at.0, Timer::Replenish { task });
    }

    pub(super) fn replenished_at(&self, slot: Slot) -> Nanos {
        let server = &self.reserved[self.table.rest(slot).aux as usize];
        Nanos(server.release.saturating_add(server.reservation.period().0))
    }

    pub(super) fn replenish(&mut self, task: TaskId) {
        let Some(slot) = self.table.find(task) else { return };
        let hot = self.table.at(slot);
        // The timer may be of a period it did not wait for in the end.
        let waits = hot.kind == Kind::Deadline && hot.state == State::Throttled;
        if !waits || self.replenished_at(slot).0 > self.now {
            return;
        }
        let (now, cpu) = (self.now, usize::from(hot.cpu));
        let server = self.server(slot);
        let (runtime, period) = (server.reservation.runtime().0 as i64, server.reservation.period().0);
        let periods = (now - server.release) / period;
        server.release += periods * period;
        server.left = server.left.saturating_add(runtime.saturating_mul(periods as i64)).min(runtime);
        let deadline = server.release + server.reservation.deadline().0;
        let left = server.left;
        self.table.rest_mut(slot).deadline = deadline;
        if left <= 0 {
            self.throttle(slot);
            return;
        }
        self.push_deadline(cpu, slot);
        let hot = self.table.at_mut(slot);
        hot.state = State::Waiting;
        hot.since = now;
        self.count_waiting(cpu, Kind::Deadline, 1);
    }

    fn push_deadline(&mut self, cpu: usize, slot: Slot) {
        let stamp = self.table.next_stamp();
        self.table.at_mut(slot).link = [stamp, 0];
        let core = &mut self.cores[cpu];
        core.deadlines.push(Entry { key: self.table.rest(slot).deadline, slot, stamp });
        if core.deadlines.len() > 2 * core.strict as usize + 64 {
            core.deadlines.sweep(&self.table);
        }
    }

    pub(super) fn withdraw_deadline(&mut self, _: usize, slot: Slot) {
        self.table.at_mut(slot).link[0] = 0;
    }

    pub(super) fn first_deadline(&mut self, cpu: usize) -> Option<Entry> {
        let core = &mut self.cores[cpu];
        while let Some(entry) = core.deadlines.first() {
            if entry.is_live(&self.table) {
                return Some(entry);
            }
            core.deadlines.pop();
        }
        None
    }
}
