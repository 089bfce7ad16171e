//! The time that changes get, exact or by the clock's last tick.

use crate::Timestamp;
#[cfg(target_os = "linux")]
use rustix::time::{ClockId, clock_gettime};
#[cfg(target_os = "linux")]
use std::sync::atomic::{AtomicI64, Ordering};

/// Where a filesystem takes the time from.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// The time now or a little before, but after all that [`Clock::now`] has given and all that somebody [was told](Clock::told),
    /// unless the clock was put back. For what nobody could tell apart: it may be quicker to have.
    fn about_now(&self) -> Timestamp {
        self.now()
    }

    /// Somebody has been told this time, which this clock gave as about now: what it gives from now on is later. A clock that gives
    /// about now as [`Clock::now`] has nothing to do.
    fn told(&self, _time: Timestamp) {}
}

/// The clock of the machine. About now is when it last ticked, some milliseconds ago at most; where anybody in this process has
/// got a later time already, it is exactly now.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[cfg(target_os = "linux")]
static FLOOR: Floor = Floor(AtomicI64::new(0));

impl Clock for SystemClock {
    #[cfg(target_os = "linux")]
    fn now(&self) -> Timestamp {
        let now = read(ClockId::Realtime);
        FLOOR.raise(now);
        now
    }

    #[cfg(target_os = "linux")]
    #[inline]
    fn about_now(&self) -> Timestamp {
        FLOOR.about(read(ClockId::RealtimeCoarse), || read(ClockId::Realtime))
    }

    #[cfg(target_os = "linux")]
    fn told(&self, time: Timestamp) {
        FLOOR.raise(time);
    }

    #[cfg(not(target_os = "linux"))]
    fn now(&self) -> Timestamp {
        std::time::SystemTime::now().into()
    }
}

/// The same clock as of the standard library, which makes sure of what is so on Linux: seconds and less than one.
#[cfg(target_os = "linux")]
fn read(clock: ClockId) -> Timestamp {
    let time = clock_gettime(clock);
    Timestamp { secs: time.tv_sec, nanos: time.tv_nsec as u32 }
}

/// A nanosecond after the latest time that anybody in this process was given or shown, in nanoseconds.
#[cfg(target_os = "linux")]
struct Floor(AtomicI64);

#[cfg(target_os = "linux")]
impl Floor {
    fn raise(&self, past: Timestamp) {
        self.0.fetch_max(nanos_of(past).saturating_add(1), Ordering::Relaxed);
    }

    /// The last tick, if nobody knows of it or of what came after. Otherwise the exact time is the only one that is later and yet
    /// not ahead of the clock; and the only one that goes on where the clock was put back, until it has caught up.
    #[inline]
    fn about(&self, tick: Timestamp, exact: impl FnOnce() -> Timestamp) -> Timestamp {
        if nanos_of(tick) >= self.0.load(Ordering::Relaxed) { tick } else { exact() }
    }
}

/// Good until the year 2262; what is beyond counts as of then.
#[cfg(target_os = "linux")]
fn nanos_of(time: Timestamp) -> i64 {
    time.secs.saturating_mul(1_000_000_000).saturating_add(time.nanos.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::{Clock, Floor, SystemClock, nanos_of};
    use crate::Timestamp;
    use std::collections::HashSet;
    use std::sync::atomic::AtomicI64;

    const TICK: i64 = 4_000_000;
    const MILLI: i64 = 1_000_000;
    const SECOND: i64 = 1_000 * MILLI;

    /// A machine whose clock can be put back, as its ticks are with it.
    struct Machine {
        floor: Floor,
        since_start: i64,
        start: i64,
    }

    impl Machine {
        fn new() -> Self {
            Machine { floor: Floor(AtomicI64::new(0)), since_start: 0, start: 1_700_000_000 * SECOND }
        }

        fn exact(&self) -> Timestamp {
            time(self.start + self.since_start)
        }

        fn now(&self) -> Timestamp {
            let now = self.exact();
            self.floor.raise(now);
            now
        }

        fn about_now(&self) -> Timestamp {
            let tick = self.since_start - self.since_start % TICK;
            self.floor.about(time(self.start + tick), || self.exact())
        }
    }

    fn time(nanos: i64) -> Timestamp {
        let rest = nanos.rem_euclid(SECOND) as u32;
        Timestamp { secs: nanos.div_euclid(SECOND), nanos: rest }
    }

    #[test]
    fn a_clock_that_was_put_back_gives_no_time_again_and_none_to_come() {
        for back in [1, 3 * MILLI, 15 * MILLI, 500 * MILLI, SECOND, 3_600 * SECOND].map(|back| back + 7) {
            let mut machine = Machine::new();
            let mut seen = HashSet::new();
            for step in 0..2_000 {
                machine.since_start += 50_000;
                if step == 1_000 {
                    machine.start -= back;
                }
                let about = machine.about_now();
                let (lags, within) = (nanos_of(machine.exact()) - nanos_of(about), 0..TICK);
                assert!(within.contains(&lags), "back {back}, step {step}: {lags}");
                assert!(!seen.contains(&about), "back {back}, step {step}: {about:?} again");
                match step % 7 {
                    0 => assert!(seen.insert(machine.now())),
                    3 => {
                        machine.floor.raise(about);
                        seen.insert(about);
                    }
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn where_nobody_was_told_of_the_tick_it_is_enough() {
        let mut machine = Machine::new();
        machine.since_start = 10 * TICK + 5;
        assert_eq!(machine.about_now(), time(machine.start + 10 * TICK));
        machine.floor.raise(machine.about_now());
        assert_eq!(machine.about_now(), machine.exact());
        machine.since_start += TICK;
        assert_eq!(machine.about_now(), time(machine.start + 11 * TICK));
    }

    #[test]
    fn about_now_is_between_what_was_given_and_now() {
        for _ in 0..10_000 {
            let given = SystemClock.now();
            let about = SystemClock.about_now();
            let now = SystemClock.now();
            assert!(given <= about && about <= now, "{given:?} {about:?} {now:?}");
            assert!(about.nanos < 1_000_000_000);
        }
    }
}
