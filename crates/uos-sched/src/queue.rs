//! Those who wait on one CPU in one group, in the order a policy gives them.

mod eevdf;
mod fair;
mod heap;
mod levels;
mod pool;
mod radix;
mod ring;
mod rising;

pub(crate) use eevdf::Eevdf;
pub(crate) use fair::Fair;
pub(crate) use heap::{Entry, Heap};
pub(crate) use levels::Levels;
pub(crate) use ring::Ring;

use crate::Policy;
use crate::table::{Hot, Slot, State, Table};

/// Where virtual time begins: far enough from zero that nobody's lag reaches below.
pub(crate) const START: u64 = 1 << 44;

/// One queue. An entity is outside, waiting in it, or running; its state in the table says which, and is changed by
/// the caller after the queue has been told.
#[repr(u8)]
pub(crate) enum Queue {
    Turns(Ring),
    Levels(Levels, Option<u64>),
    Fair(Fair),
    Eevdf(Eevdf),
}

/// What an entity that comes in brings along. Lags are in virtual time: above zero, it is owed.
#[derive(Clone, Copy)]
pub(crate) enum Arrival {
    New,
    Woken(i64),
    /// From another queue.
    Moved(i64),
    /// From the queue that was here before: everybody comes, so nobody's coming moves virtual time.
    Switched(i64),
}

/// How an entity that ran comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Return {
    Expired,
    /// It had time left and goes before its equals.
    Preempted,
    Yielded,
}

impl Queue {
    pub(crate) fn new(policy: &Policy) -> Queue {
        match *policy {
            Policy::RoundRobin { .. } => Queue::Turns(Ring::default()),
            Policy::Priority { ageing, .. } => {
                Queue::Levels(Levels::default(), ageing.map(|step| step.length().0))
            }
            Policy::Fair { slice } => Queue::Fair(Fair::new(slice.length().0)),
            Policy::Eevdf { slice } => Queue::Eevdf(Eevdf::new(slice.length().0)),
        }
    }

    pub(crate) fn join(&mut self, table: &mut Table, slot: Slot, arrival: Arrival) {
        match self {
            Queue::Turns(ring) => ring.push_back(table, slot),
            Queue::Levels(levels, _) => levels.push(table, slot, table.at(slot).priority(), false),
            Queue::Fair(fair) => fair.join(table, slot, arrival),
            Queue::Eevdf(eevdf) => eevdf.join(table, slot, arrival),
        }
    }

    pub(crate) fn join_running(&mut self, table: &mut Table, slot: Slot, arrival: Arrival) {
        match self {
            Queue::Turns(_) | Queue::Levels(..) => {}
            Queue::Fair(fair) => fair.join_running(table, slot, arrival),
            Queue::Eevdf(eevdf) => eevdf.join_running(table, slot, arrival),
        }
    }

    /// It was waiting and runs from now on, whoever may be before it.
    pub(crate) fn take(&mut self, table: &mut Table, slot: Slot) {
        match self {
            Queue::Turns(ring) => ring.remove(table, slot),
            Queue::Levels(levels, _) => levels.remove(table, slot, table.at(slot).priority()),
            Queue::Fair(fair) => fair.take(table, slot),
            Queue::Eevdf(eevdf) => eevdf.take(table, slot),
        }
    }

    #[inline(always)]
    pub(crate) fn pop(&mut self, table: &mut Table, now: u64) -> Option<Slot> {
        match self {
            Queue::Turns(ring) => ring.pop(table),
            Queue::Levels(levels, None) => levels.pop(table),
            Queue::Levels(levels, Some(step)) => levels.pop_aged(table, now, *step),
            Queue::Fair(fair) => fair.pop(table),
            Queue::Eevdf(eevdf) => eevdf.pop(table),
        }
    }

    /// How long the one that was just chosen runs at the most: to the end of its request, where there are such.
    #[inline(always)]
    pub(crate) fn request_left(&self, table: &Table, slot: Slot) -> u64 {
        match self {
            Queue::Eevdf(eevdf) => eevdf.request_left(table, slot),
            _ => u64::MAX,
        }
    }

    #[inline(always)]
    pub(crate) fn requeue(&mut self, table: &mut Table, slot: Slot, how: Return) {
        let front = how == Return::Preempted;
        match self {
            Queue::Turns(ring) if front => ring.push_front(table, slot),
            Queue::Turns(ring) => ring.push_back(table, slot),
            Queue::Levels(levels, _) => levels.push(table, slot, table.at(slot).priority(), front),
            Queue::Fair(fair) => fair.requeue(table, slot, how == Return::Yielded),
            Queue::Eevdf(eevdf) => eevdf.requeue(table, slot, how == Return::Yielded),
        }
    }

    /// The running one is charged and comes back.
    #[inline(always)]
    pub(crate) fn put_back(&mut self, table: &mut Table, slot: Slot, ran: u64, how: Return) {
        match self {
            Queue::Turns(_) | Queue::Levels(..) => {}
            Queue::Fair(fair) if ran > 0 => fair.charge(table, slot, ran),
            Queue::Eevdf(eevdf) if ran > 0 => eevdf.charge(table, slot, ran),
            Queue::Fair(_) | Queue::Eevdf(_) => {}
        }
        self.requeue(table, slot, how);
    }

    /// The same, and then the first is chosen: maybe the one that came back.
    #[inline(always)]
    pub(crate) fn put_back_and_pop(
        &mut self,
        table: &mut Table,
        slot: Slot,
        ran: u64,
        how: Return,
        now: u64,
    ) -> Slot {
        match self {
            Queue::Fair(fair) if how != Return::Yielded => fair.rotate(table, slot, ran),
            queue => queue.put_back_then_pop(table, slot, ran, how, now),
        }
    }

    #[inline(never)]
    fn put_back_then_pop(&mut self, table: &mut Table, slot: Slot, ran: u64, how: Return, now: u64) -> Slot {
        self.put_back(table, slot, ran, how);
        self.pop(table, now).expect("one has just come")
    }

    /// It was waiting or running and is neither from now on.
    pub(crate) fn leave(&mut self, table: &mut Table, slot: Slot) {
        match (self, table.at(slot).state) {
            (Queue::Turns(ring), State::Waiting) => ring.remove(table, slot),
            (Queue::Levels(levels, _), State::Waiting) => {
                levels.remove(table, slot, table.at(slot).priority());
            }
            (Queue::Turns(_) | Queue::Levels(..), _) => {}
            (Queue::Fair(fair), _) => fair.leave(table, slot),
            (Queue::Eevdf(eevdf), _) => eevdf.leave(table, slot),
        }
    }

    #[inline(always)]
    pub(crate) fn charge(&mut self, table: &mut Table, slot: Slot, ran: u64) {
        match self {
            Queue::Turns(_) | Queue::Levels(..) => {}
            Queue::Fair(fair) => fair.charge(table, slot, ran),
            Queue::Eevdf(eevdf) => eevdf.charge(table, slot, ran),
        }
    }

    pub(crate) fn reweigh(&mut self, table: &mut Table, slot: Slot, weight: u32) {
        match self {
            Queue::Turns(_) | Queue::Levels(..) => table.at_mut(slot).set_weight(weight),
            Queue::Fair(fair) => fair.reweigh(table, slot, weight),
            Queue::Eevdf(eevdf) => eevdf.reweigh(table, slot, weight),
        }
    }

    /// Where it waits by priority, it goes behind its new equals.
    pub(crate) fn prioritise(&mut self, table: &mut Table, slot: Slot, priority: u8) {
        match (self, table.at(slot).state) {
            (Queue::Levels(levels, _), State::Waiting) => {
                levels.remove(table, slot, table.at(slot).priority());
                table.at_mut(slot).set_priority(priority);
                levels.push(table, slot, priority, false);
            }
            _ => table.at_mut(slot).set_priority(priority),
        }
    }

    /// What it is owed in virtual time, wherever it is; 0 where a policy does not count.
    pub(crate) fn lag(&mut self, table: &mut Table, slot: Slot) -> i64 {
        match self {
            Queue::Turns(_) | Queue::Levels(..) => 0,
            Queue::Fair(fair) => fair.lag(table, slot),
            Queue::Eevdf(eevdf) => eevdf.lag(table, slot),
        }
    }

    /// It is outside, and this is the lag it has while it is.
    pub(crate) fn keep_lag(&mut self, table: &mut Table, slot: Slot, lag: i64) {
        match self {
            Queue::Turns(_) | Queue::Levels(..) => {}
            Queue::Fair(fair) => fair.keep_lag(table, slot, lag),
            Queue::Eevdf(eevdf) => eevdf.keep_lag(table, slot, lag),
        }
    }

    /// Who would be next.
    pub(crate) fn first(&mut self, table: &Table, now: u64) -> Option<Slot> {
        match self {
            Queue::Turns(ring) => ring.first(),
            Queue::Levels(levels, None) => levels.first(),
            Queue::Levels(levels, Some(step)) => levels.first_aged(table, now, *step).map(|(slot, _)| slot),
            Queue::Fair(fair) => fair.first(table),
            Queue::Eevdf(eevdf) => eevdf.first(table),
        }
    }

    /// Whether the waiting one should have the CPU before the running one's slice is over.
    pub(crate) fn preempts(&self, table: &Table, waiting: Slot, running: Slot) -> bool {
        match self {
            Queue::Turns(_) => false,
            Queue::Levels(..) => table.at(waiting).priority() > table.at(running).priority(),
            Queue::Fair(fair) => {
                let margin = fair.margin(table, waiting);
                table.at(waiting).vruntime.saturating_add(margin) < table.at(running).vruntime
            }
            Queue::Eevdf(_) => table.rest(waiting).deadline < table.rest(running).deadline,
        }
    }

    /// Those who wait, in order.
    pub(crate) fn order(&self, table: &Table) -> Vec<Slot> {
        match self {
            Queue::Turns(ring) => ring.iter(table).collect(),
            Queue::Levels(levels, _) => levels.iter(table).collect(),
            Queue::Fair(fair) => fair.order(table),
            Queue::Eevdf(eevdf) => eevdf.order(table),
        }
    }

    /// The first that is wanted: in order where that is cheap to have, otherwise in some order that is the same
    /// every time.
    pub(crate) fn find(&self, table: &Table, mut wanted: impl FnMut(Slot) -> bool) -> Option<Slot> {
        match self {
            Queue::Turns(ring) => ring.iter(table).find(|&slot| wanted(slot)),
            Queue::Levels(levels, _) => levels.iter(table).find(|&slot| wanted(slot)),
            Queue::Fair(fair) => fair.iter(table).find(|&slot| wanted(slot)),
            Queue::Eevdf(eevdf) => eevdf.iter(table).find(|&slot| wanted(slot)),
        }
    }
}

/// Virtual time is CPU time at weight 1024.
pub(crate) fn virtual_time(ran: u64, weight: u32) -> u64 {
    ran.saturating_mul(1024) / u64::from(weight)
}

/// Moves its virtual runtime on; what is less than a unit is carried to the next time, so that nothing gets lost
/// however often it is charged.
fn advance(hot: &mut Hot, ran: u64) {
    let weight = u64::from(hot.weight());
    let whole = ran.saturating_mul(1024).saturating_add(u64::from(hot.link[1]));
    hot.vruntime = hot.vruntime.saturating_add(whole / weight);
    hot.link[1] = (whole % weight) as u32;
}
