//! When to look at a turn again.

use crate::Nanos;

/// How often it is looked whether the one let through still wants to run, within its turn.
const LOOK: Nanos = Nanos::from_millis(10);
/// What is left of a turn is given up below this: a look costs as much.
pub(super) const CRUMB: Nanos = Nanos::from_micros(100);
/// By so much, or a fifth of it, a turn may be longer where others leave whoever has it only a part of the CPU: to look
/// whenever it could be over at the earliest would halve what is left of it each time.
const LATE: Nanos = Nanos::from_millis(2);

/// How long what is left of a turn will take at the pace of the last look, of which `late` at the most is waited in vain if
/// it has the CPU for itself again.
pub(super) fn until_over(left: Nanos, (used, passed): (Nanos, Nanos), late: Nanos) -> Nanos {
    let at_that_pace = (u128::from(left.0) * u128::from(passed.0)).checked_div(u128::from(used.0));
    let at_that_pace = at_that_pace.and_then(|ns| u64::try_from(ns).ok()).map_or(Nanos(u64::MAX), Nanos);
    at_that_pace.clamp(left, left + late).min(LOOK).max(CRUMB)
}

/// How late a turn of this length may end.
pub(super) fn late(turn: Nanos) -> Nanos {
    Nanos(turn.0 / 5).min(LATE)
}

/// By how many nanoseconds somebody's turns were longer than they should be, all in all: those to come are shorter, so that
/// they are alike in the end though each is too long or too short.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Debt(i64);

impl Debt {
    /// What is paid of it in one turn.
    fn part(self, turn: Nanos) -> i64 {
        let half = i64::try_from(turn.0 / 2).unwrap_or(i64::MAX);
        self.0.clamp(-half, half)
    }

    /// When a turn is over that would be so `until` then.
    pub(super) fn end(self, until: Nanos, turn: Nanos) -> Nanos {
        Nanos(until.0.saturating_add_signed(-self.part(turn)))
    }

    /// A turn has ended, so much after that.
    pub(super) fn settle(&mut self, too_late: i64, turn: Nanos) {
        self.0 = self.bounded(self.0 - self.part(turn) + too_late, turn);
    }

    /// It has used so much that was counted nowhere.
    pub(super) fn add(&mut self, used: u64, turn: Nanos) {
        let used = i64::try_from(used).unwrap_or(i64::MAX);
        self.0 = self.bounded(self.0.saturating_add(used), turn);
    }

    /// No more than a turn: where all end late, none is to be any shorter for long.
    fn bounded(self, debt: i64, turn: Nanos) -> i64 {
        let turn = i64::try_from(turn.0).unwrap_or(i64::MAX);
        debt.clamp(-turn, turn)
    }
}

#[cfg(test)]
mod tests {
    use super::{CRUMB, Debt, LATE, LOOK, late, until_over};
    use crate::Nanos;

    const fn us(micros: u64) -> Nanos {
        Nanos::from_micros(micros)
    }

    #[test]
    fn looks_are_as_far_apart_as_what_is_left_takes() {
        assert_eq!(until_over(us(4_000), (us(1_000), us(1_000)), LATE), us(4_000), "alone");
        assert_eq!(until_over(us(4_000), (us(9_000), us(10_000)), LATE), Nanos(4_444_444), "nearly so");
        assert_eq!(until_over(us(4_000), (us(5_000), us(10_000)), LATE), us(6_000), "and not too late");
        assert_eq!(until_over(us(4_000), (us(0), us(10_000)), LATE), us(6_000));
        assert_eq!(until_over(us(4_000), (us(10), us(0)), LATE), us(4_000));
        assert_eq!(until_over(us(10), (us(10), us(10)), LATE), CRUMB);
        for pace in [(us(0), us(0)), (us(1), us(1)), (us(1), Nanos(u64::MAX))] {
            assert_eq!(until_over(us(4_000_000), pace, LATE), LOOK, "it may sleep at any moment");
        }
    }

    /// Looks at a turn of 10 ms of which others leave one part in `parts`, and how much longer it was.
    fn turn(parts: u64) -> (u32, Nanos) {
        let (mut looks, mut left, mut pace) = (0, us(10_000), (us(1), us(1)));
        loop {
            let wait = until_over(left, pace, LATE);
            let used = Nanos(wait.0 / parts);
            (looks, pace) = (looks + 1, (used, wait));
            if left <= used + CRUMB {
                return (looks, used.since(left));
            }
            left = left.since(used);
        }
    }

    #[test]
    fn a_turn_beside_others_takes_few_looks() {
        assert_eq!(turn(1), (1, us(0)));
        for (parts, most) in [(2, 3), (3, 5), (4, 7)] {
            let (looks, longer) = turn(parts);
            assert!(looks <= most && longer <= LATE, "one of {parts}: {looks} looks, {longer} longer");
        }
    }

    #[test]
    fn turns_that_end_late_or_early_are_alike_in_the_end() {
        let turn = us(10_000);
        let mut seed = 1u64;
        let mut late_by = |most: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % most
        };
        let (mut debt, mut used) = (Debt::default(), 0);
        for round in 1..=2_000 {
            // Up to a fifth too late or a crumb too early; and some until it is told.
            let end = debt.end(turn, turn);
            let at = Nanos(end.0 - CRUMB.0 + late_by(CRUMB.0 + LATE.0));
            debt.settle(at.0 as i64 - end.0 as i64, turn);
            let told = late_by(50_000);
            debt.add(told, turn);
            used += at.0 + told;
            let off = (used as i64 - round * turn.0 as i64).unsigned_abs();
            assert!(off <= LATE.0 + CRUMB.0 + 50_000, "{off} ns after {round} turns");
        }
    }

    #[test]
    fn what_is_owed_is_bounded_and_paid_in_parts() {
        let turn = us(10_000);
        let mut debt = Debt::default();
        debt.add(u64::MAX, turn);
        let mut ends = Vec::new();
        for _ in 0..4 {
            ends.push(debt.end(turn, turn));
            debt.settle(0, turn);
        }
        assert_eq!(ends, [us(5_000), us(5_000), turn, turn]);
        debt.settle(i64::MIN / 2, turn);
        assert_eq!((debt.end(turn, turn), debt.end(Nanos(u64::MAX), turn)), (us(15_000), Nanos(u64::MAX)));
        assert_eq!((late(us(1_000)), late(us(100_000))), (us(200), LATE));
        debt.settle(0, Nanos::ZERO);
        assert_eq!(debt.end(turn, Nanos::ZERO), turn);
    }
}
