//! Waiting a moment for the next request instead of going to sleep at once. Who works on files asks again and again, and waking
//! a thread on another core takes longer than most answers do: without it untarring small files takes a third longer.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::hint::spin_loop;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// So long after the last answer.
const MOMENT: Duration = Duration::from_micros(50);
/// Requests further apart than this are none that follow on each other.
const APART: Duration = Duration::from_micros(200);
/// So often in vain at a stretch, and nobody waits for a while.
const VAIN: u32 = 4;
const REST: Duration = Duration::from_millis(1);
/// Who waits looks again well within this, unless somebody else has got the core. Then it is not idle, and waiting asleep
/// costs no more.
const TAKEN: Duration = Duration::from_micros(100);
const LONG_REST: Duration = Duration::from_millis(5);

/// Who waits so, and when that is worth it.
#[derive(Debug)]
pub(super) struct Linger {
    /// Where requests come from; none where waiting would keep whoever asks from the only core.
    device: OnceLock<OwnedFd>,
    start: Instant,
    /// When a request was answered last, and until when nobody waits, in nanoseconds from the start.
    answered: AtomicU64,
    rests: AtomicU64,
    vain: AtomicU32,
}

/// Whose turn it is to wait awake: one thread's of the process, whatever number of mounts it serves. A second one would keep
/// a second core busy.
#[derive(Debug, Default)]
struct Turn(AtomicBool);

static TURN: Turn = Turn(AtomicBool::new(false));

/// It is the turn of whoever has this.
struct Awake<'a>(&'a Turn);

impl Turn {
    fn take(&self) -> Option<Awake<'_>> {
        (!self.0.swap(true, Ordering::Relaxed)).then(|| Awake(self))
    }
}

impl Drop for Awake<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Relaxed);
    }
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waited {
    /// It was not worth it, or somebody else does.
    Not,
    InVain,
    /// Others want the core.
    Taken,
    Comes,
}

impl Linger {
    pub(super) fn new() -> Self {
        Linger {
            device: OnceLock::new(),
            start: Instant::now(),
            answered: AtomicU64::new(0),
            rests: AtomicU64::new(0),
            vain: AtomicU32::new(0),
        }
    }

    /// Requests come from here.
    pub(super) fn on(&self, device: OwnedFd) {
        // It is told once, before any thread serves.
        let _ = self.device.set(device);
    }

    /// This thread has answered a request: returns when there is another one, or when it had better sleep until then.
    pub(super) fn answered(&self) {
        let Some(device) = self.device.get() else { return };
        let now = || u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.wait(&TURN, now, || {
            let mut asked = [PollFd::new(device, PollFlags::IN)];
            // What is wrong with it, if something is, whoever reads finds out.
            !matches!(poll(&mut asked, Some(&Timespec::default())), Ok(0))
        });
    }

    fn wait(&self, turn: &Turn, now: impl Fn() -> u64, mut comes: impl FnMut() -> bool) -> Waited {
        let mut looked = now();
        let before = self.answered.swap(looked, Ordering::Relaxed);
        if is_longer(before, looked, APART) || looked < self.rests.load(Ordering::Relaxed) {
            return Waited::Not;
        }
        let Some(_awake) = turn.take() else { return Waited::Not };
        let waited = loop {
            if comes() {
                break Waited::Comes;
            }
            let at = now();
            if is_longer(looked, at, TAKEN) {
                break Waited::Taken;
            }
            // Others answer too, of whom one may have been woken for what this one waits for.
            if is_longer(self.answered.load(Ordering::Relaxed), at, MOMENT) {
                break Waited::InVain;
            }
            looked = at;
            (0..20).for_each(|_| spin_loop());
        };
        match waited {
            Waited::Taken => self.rest(now(), LONG_REST),
            Waited::InVain if self.vain.fetch_add(1, Ordering::Relaxed) + 1 >= VAIN => self.rest(now(), REST),
            Waited::InVain => {}
            Waited::Comes | Waited::Not => self.vain.store(0, Ordering::Relaxed),
        }
        waited
    }

    fn rest(&self, from: u64, rest: Duration) {
        self.vain.store(0, Ordering::Relaxed);
        self.rests.store(from.saturating_add(nanos(rest)), Ordering::Relaxed);
    }
}

fn is_longer(from: u64, to: u64, than: Duration) -> bool {
    to.saturating_sub(from) > nanos(than)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{APART, LONG_REST, Linger, MOMENT, REST, TAKEN, Turn, VAIN, Waited, nanos};
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::Duration;

    struct Fake {
        linger: Linger,
        turn: Turn,
        now: Cell<u64>,
    }

    impl Fake {
        fn new() -> Self {
            Fake {
                linger: Linger::new(),
                turn: Turn::default(),
                now: Cell::new(nanos(Duration::from_secs(1))),
            }
        }

        /// Answers so long after the last time; each look takes so long, and at one of them there is something.
        fn answer(&self, pause: Duration, look: Duration, comes_at: Option<u32>) -> (Waited, u32) {
            self.now.set(self.now.get() + nanos(pause));
            let looks = Cell::new(0);
            let waited = self.linger.wait(
                &self.turn,
                || self.now.get(),
                || {
                    self.now.set(self.now.get() + nanos(look));
                    looks.set(looks.get() + 1);
                    Some(looks.get()) == comes_at
                },
            );
            (waited, looks.get())
        }
    }

    const LOOK: Duration = Duration::from_micros(10);
    const SOON: Duration = Duration::from_micros(5);

    #[test]
    fn only_what_follows_closely_is_waited_for_and_only_a_moment() {
        let fake = Fake::new();
        assert_eq!(fake.answer(SOON, LOOK, Some(1)), (Waited::Not, 0), "nothing came before");
        assert_eq!(fake.answer(SOON, LOOK, Some(3)), (Waited::Comes, 3));
        let looks = (MOMENT.as_micros() / LOOK.as_micros()) as u32 + 1;
        assert_eq!(fake.answer(SOON, LOOK, None), (Waited::InVain, looks));
        assert_eq!(fake.answer(APART, LOOK, None), (Waited::Not, 0));
        assert_eq!(fake.answer(SOON, LOOK, Some(1)), (Waited::Comes, 1));
    }

    #[test]
    fn nobody_waits_in_vain_again_and_again() {
        let fake = Fake::new();
        fake.answer(SOON, LOOK, None);
        for _ in 1..VAIN {
            assert_eq!(fake.answer(SOON, LOOK, None).0, Waited::InVain);
        }
        assert_eq!(fake.answer(SOON, LOOK, Some(1)).0, Waited::Comes, "and it counts anew");
        for _ in 0..VAIN {
            assert_eq!(fake.answer(SOON, LOOK, None).0, Waited::InVain);
        }
        let mut rested = Duration::ZERO;
        while rested + APART / 2 < REST {
            assert_eq!(fake.answer(APART / 2, LOOK, Some(1)), (Waited::Not, 0));
            rested += APART / 2;
        }
        assert_eq!(fake.answer(APART / 2, LOOK, Some(1)).0, Waited::Comes);
    }

    #[test]
    fn a_core_that_others_want_is_left_to_them() {
        let fake = Fake::new();
        fake.answer(SOON, LOOK, None);
        assert_eq!(fake.answer(SOON, TAKEN + LOOK, None), (Waited::Taken, 1));
        assert_eq!(fake.answer(LONG_REST - APART, LOOK, Some(1)), (Waited::Not, 0));
        fake.answer(APART, LOOK, Some(1));
        assert_eq!(fake.answer(SOON, LOOK, Some(1)).0, Waited::Comes);
    }

    #[test]
    fn one_waits_and_for_as_long_as_others_answer() {
        let (linger, turn) = (Linger::new(), Turn::default());
        let now = Cell::new(1);
        let (looks, others) = (Cell::new(0), Cell::new(Vec::new()));
        let waited = linger.wait(
            &turn,
            || now.get(),
            || {
                now.set(now.get() + nanos(MOMENT));
                looks.set(looks.get() + 1);
                if looks.get() < 10 {
                    let mut seen = others.take();
                    seen.push(linger.wait(&turn, || now.get(), || true));
                    others.set(seen);
                }
                false
            },
        );
        assert_eq!((waited, looks.get()), (Waited::InVain, 11));
        assert_eq!(others.take(), [Waited::Not; 9]);
        assert_eq!(linger.wait(&turn, || now.get(), || true), Waited::Comes, "the next may again");
    }

    #[test]
    fn one_waits_of_all_mounts() {
        let (first, second, turn) = (Linger::new(), Linger::new(), Turn::default());
        let beside = Cell::new(None);
        let waited = first.wait(
            &turn,
            || 1,
            || {
                beside.set(Some(second.wait(&turn, || 1, || true)));
                true
            },
        );
        assert_eq!((waited, beside.get()), (Waited::Comes, Some(Waited::Not)));
        assert_eq!(second.wait(&turn, || 1, || true), Waited::Comes, "now it may");
    }

    #[test]
    fn who_panics_waits_no_more() {
        let (linger, turn) = (Linger::new(), Turn::default());
        let looks = || linger.wait(&turn, || 1, || panic!("as wanted"));
        assert!(catch_unwind(AssertUnwindSafe(looks)).is_err());
        assert_eq!(linger.wait(&turn, || 1, || true), Waited::Comes);
    }
}
