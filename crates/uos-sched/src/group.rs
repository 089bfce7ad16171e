//! Groups: what several tasks have together beside others, and how much of it at the most.

use crate::ledger::Ledger;
use crate::{GroupId, Nanos, Priority, SchedError, Weight};

/// No more CPU time than `budget` in every `period`, over all CPUs; what is left over is saved up to `burst`.
///
/// What was used beyond it, because a slice was running, is taken from the next period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    pub(crate) period: Nanos,
    pub(crate) budget: Nanos,
    pub(crate) burst: Nanos,
}

/// What a group is to its siblings. Of default weight, without a quota, unless it says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupSpec {
    pub(crate) weight: Weight,
    pub(crate) priority: Priority,
    pub(crate) quota: Option<Quota>,
}

/// A group's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupStats {
    /// The group it is in; none for the root.
    pub parent: Option<GroupId>,
    /// Its weight beside its siblings.
    pub weight: Weight,
    /// Its quota, if it has one.
    pub quota: Option<Quota>,
    /// How many tasks are in it, not counting those in groups inside.
    pub tasks: u32,
    /// The CPU time of all that is in it.
    pub runtime: Nanos,
    /// Until when it has used up its budget.
    pub throttled_until: Option<Nanos>,
    /// How often it has used it up.
    pub throttles: u64,
}

impl Quota {
    /// The shortest period.
    pub const MIN_PERIOD: Nanos = Nanos::from_millis(1);
    /// The longest period.
    pub const MAX_PERIOD: Nanos = Nanos::from_secs(3600);

    /// A period of 1 ms to an hour, a budget of 100 µs or more, and no burst. The budget may be above the period:
    /// there may be several CPUs.
    pub fn new(period: Nanos, budget: Nanos) -> Result<Quota, SchedError> {
        let period_fits = (Self::MIN_PERIOD..=Self::MAX_PERIOD).contains(&period);
        // More CPUs than there can be would be needed to use up more.
        if period_fits && Nanos::from_micros(100) <= budget && budget.0 <= period.0 * 8192 {
            Ok(Quota { period, budget, burst: Nanos::ZERO })
        } else {
            Err(SchedError::BadQuota { period, budget })
        }
    }

    /// With this much saved up at the most; more than a budget is not.
    pub fn burst(self, burst: Nanos) -> Quota {
        Quota { burst: burst.min(self.budget), ..self }
    }
}

impl GroupSpec {
    /// With this weight.
    pub fn weight(self, weight: Weight) -> GroupSpec {
        GroupSpec { weight, ..self }
    }

    /// With this priority and the weight that stands for it.
    pub fn priority(self, priority: Priority) -> GroupSpec {
        GroupSpec { priority, weight: priority.weight(), ..self }
    }

    /// With this quota.
    pub fn quota(self, quota: Quota) -> GroupSpec {
        GroupSpec { quota: Some(quota), ..self }
    }
}

pub(crate) struct Group {
    pub(crate) parent: u32,
    pub(crate) depth: u8,
    pub(crate) spec: GroupSpec,
    /// By CPU: the node it has there.
    pub(crate) nodes: Vec<u32>,
    /// The sum over its nodes.
    pub(crate) load: u64,
    pub(crate) tasks: u32,
    pub(crate) children: u32,
    pub(crate) runtime: u64,
    pub(crate) ledger: Ledger,
    /// Where its parent's ledger stood when its part was last handed on, and how many of its members can run.
    pub(crate) mark: u64,
    pub(crate) open: u32,
    /// What is left of the budget of the period that began at `since`.
    pub(crate) left: i64,
    pub(crate) since: u64,
    pub(crate) throttled: bool,
    pub(crate) throttles: u64,
}

impl Group {
    pub(crate) fn new(parent: u32, depth: u8, spec: GroupSpec, cpus: usize, now: u64) -> Group {
        let left = spec.quota.map_or(0, |quota| quota.budget.0 as i64);
        Group {
            parent,
            depth,
            spec,
            nodes: vec![u32::MAX; cpus],
            load: 0,
            tasks: 0,
            children: 0,
            runtime: 0,
            ledger: Ledger::default(),
            mark: 0,
            open: 0,
            left,
            since: now,
            throttled: false,
            throttles: 0,
        }
    }

    /// Refills the budget for the periods that have begun since.
    pub(crate) fn roll(&mut self, now: u64) {
        let Some(quota) = self.spec.quota else { return };
        let periods = (now - self.since) / quota.period.0;
        if periods > 0 {
            self.since += periods * quota.period.0;
            let refill = i64::try_from(u128::from(quota.budget.0) * u128::from(periods)).unwrap_or(i64::MAX);
            self.left = self.left.saturating_add(refill).min((quota.budget.0 + quota.burst.0) as i64);
        }
    }

    /// When its budget is refilled next.
    pub(crate) fn refill_at(&self) -> u64 {
        self.spec.quota.map_or(u64::MAX, |quota| self.since.saturating_add(quota.period.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_refilled_saved_and_owed() {
        let ms = Nanos::from_millis;
        let quota = Quota::new(ms(100), ms(20)).unwrap().burst(ms(5));
        let mut group = Group::new(0, 1, GroupSpec::default().quota(quota), 1, 0);
        group.roll(ms(250).0);
        assert_eq!((group.left, group.since), (ms(25).0 as i64, ms(200).0));
        group.left = -(ms(45).0 as i64);
        group.roll(ms(399).0);
        assert_eq!(group.left, -(ms(25).0 as i64));
        group.roll(ms(500).0);
        assert_eq!(group.left, ms(15).0 as i64);
    }

    #[test]
    fn quotas_have_edges() {
        let (ms, us) = (Nanos::from_millis, Nanos::from_micros);
        assert!(Quota::new(us(999), ms(1)).is_err());
        assert!(Quota::new(ms(1), us(99)).is_err());
        assert!(Quota::new(ms(1), us(100)).is_ok());
        assert!(Quota::new(ms(1), Nanos(ms(1).0 * 8192)).is_ok());
        assert!(Quota::new(ms(1), Nanos(ms(1).0 * 8192 + 1)).is_err());
        assert!(Quota::new(Nanos(Quota::MAX_PERIOD.0 + 1), ms(1)).is_err());
    }
}
