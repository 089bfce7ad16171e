//! When to look at a turn again.

use crate::Nanos;

/// How often it is looked whether the one let through still wants to run, within its turn.
const LOOK: Nanos = Nanos::from_millis(10);
/// What is left of a turn is given up below this: a look costs as much.
pub(super) const CRUMB: Nanos = Nanos::from_micros(100);
/// By so much, or a fifth of it, a turn may be longer where others leave whoever has it only a part of the CPU: to look
/// whenever it could be over at the earliest would halve what is left of it each time.
pub(super) const LATE: Nanos = Nanos::from_millis(2);

/// How long what is left of a turn will take at the pace of the last look, of which `late` at the most is waited in vain if
/// it has the CPU for itself again.
pub(super) fn until_over(left: Nanos, (used, passed): (Nanos, Nanos), late: Nanos) -> Nanos {
    let at_that_pace = (u128::from(left.0) * u128::from(passed.0)).checked_div(u128::from(used.0));
    let at_that_pace = at_that_pace.and_then(|ns| u64::try_from(ns).ok()).map_or(Nanos(u64::MAX), Nanos);
    at_that_pace.clamp(left, left + late).min(LOOK).max(CRUMB)
}

#[cfg(test)]
mod tests {
    use super::{CRUMB, LATE, LOOK, until_over};
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
}
