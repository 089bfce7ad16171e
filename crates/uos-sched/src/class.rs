//! Which tasks go before which, whatever their policy, and everything a task is told at its start.

use crate::{CpuSet, GroupId, Nanos, Priority, Quantum, SchedError, Weight};

/// A task's class. Deadlines go before real-time priorities, these before normal tasks, those before idle ones.
///
/// FIFO and round-robin tasks together with deadline tasks get no more than 95 % of each second of a CPU while
/// others want it, so that the rest stays alive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Class {
    /// Whatever the [`Policy`](crate::Policy) says.
    #[default]
    Normal,
    /// Normal, but in no hurry: it never takes the CPU from a normal task whose slice is not over.
    Batch,
    /// Runs when nobody else wants to. Takes turns with its like.
    Idle,
    /// Runs until it blocks, yields or one of a higher real-time priority comes.
    Fifo(RtPriority),
    /// The same, but takes turns with its equals.
    RoundRobin(RtPriority),
    /// So much in every period, before its deadline. On one CPU that is a promise; on several, deadlines are met on
    /// the average: tardiness is bounded, not excluded.
    Deadline(Reservation),
}

/// 1 to 99, higher first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RtPriority(u8);

/// So much CPU time, this long after each release, once in every period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    runtime: Nanos,
    deadline: Nanos,
    period: Nanos,
}

/// What a new task is: normal, of default weight, in the root group, on any CPU, unless it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    pub(crate) weight: Weight,
    pub(crate) priority: Priority,
    pub(crate) slice: Option<Quantum>,
    pub(crate) class: Class,
    pub(crate) affinity: CpuSet,
    pub(crate) group: GroupId,
}

impl Class {
    /// Whether it goes before all that share by weight or take turns.
    pub(crate) fn is_strict(&self) -> bool {
        matches!(self, Class::Fifo(_) | Class::RoundRobin(_) | Class::Deadline(_))
    }
}

impl RtPriority {
    /// A priority from outside, checked once.
    pub fn new(priority: u8) -> Result<RtPriority, SchedError> {
        match priority {
            1..=99 => Ok(RtPriority(priority)),
            asked => Err(SchedError::BadRtPriority { asked }),
        }
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Reservation {
    /// The shortest runtime: below it, switching would cost more than running.
    pub const MIN_RUNTIME: Nanos = Nanos::from_micros(1);
    /// The longest period.
    pub const MAX_PERIOD: Nanos = Nanos::from_secs(3600);

    /// `runtime ≤ deadline ≤ period`, from 1 µs to an hour.
    pub fn new(runtime: Nanos, deadline: Nanos, period: Nanos) -> Result<Reservation, SchedError> {
        let rising = Self::MIN_RUNTIME <= runtime && runtime <= deadline && deadline <= period;
        if rising && period <= Self::MAX_PERIOD {
            Ok(Reservation { runtime, deadline, period })
        } else {
            Err(SchedError::BadReservation { runtime, deadline, period })
        }
    }

    /// How much it gets.
    pub const fn runtime(&self) -> Nanos {
        self.runtime
    }

    /// How long after each release.
    pub const fn deadline(&self) -> Nanos {
        self.deadline
    }

    /// How often.
    pub const fn period(&self) -> Nanos {
        self.period
    }

    /// What part of a CPU it can need at worst, in millionths, rounded up: runtime by deadline.
    pub(crate) fn density_ppm(&self) -> u64 {
        (self.runtime.0 * 1_000_000).div_ceil(self.deadline.0)
    }
}

impl Spec {
    /// With this weight.
    pub fn weight(self, weight: Weight) -> Spec {
        Spec { weight, ..self }
    }

    /// With this priority and the weight that stands for it.
    pub fn priority(self, priority: Priority) -> Spec {
        Spec { priority, weight: priority.weight(), ..self }
    }

    /// With a slice of its own instead of the policy's.
    pub fn slice(self, slice: Quantum) -> Spec {
        Spec { slice: Some(slice), ..self }
    }

    /// In this class.
    pub fn class(self, class: Class) -> Spec {
        Spec { class, ..self }
    }

    /// On these CPUs only.
    pub fn affinity(self, affinity: CpuSet) -> Spec {
        Spec { affinity, ..self }
    }

    /// In this group.
    pub fn group(self, group: GroupId) -> Spec {
        Spec { group, ..self }
    }
}

impl From<Weight> for Spec {
    fn from(weight: Weight) -> Spec {
        Spec::default().weight(weight)
    }
}

impl From<Priority> for Spec {
    fn from(priority: Priority) -> Spec {
        Spec::default().priority(priority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reservations_rise() {
        let ms = Nanos::from_millis;
        assert!(Reservation::new(ms(2), ms(10), ms(10)).is_ok());
        assert!(Reservation::new(ms(2), ms(2), ms(2)).is_ok());
        assert!(Reservation::new(ms(3), ms(2), ms(10)).is_err());
        assert!(Reservation::new(Nanos(999), ms(2), ms(10)).is_err());
        assert!(Reservation::new(ms(1), ms(1), Nanos(Reservation::MAX_PERIOD.0 + 1)).is_err());
        let text = Reservation::new(ms(1), ms(11), ms(10)).unwrap_err().to_string();
        assert!(text.contains("11000000 ns"), "{text}");
    }

    #[test]
    fn real_time_priorities_have_edges() {
        let ok = |priority| RtPriority::new(priority).is_ok();
        assert_eq!((ok(0), ok(1), ok(99), ok(100)), (false, true, true, false));
    }
}
