//! Waiting for the other side of a ring, which may be in another process, and waking it.
//!
//! Whoever waits says so in a flag of its own, looks once more, and sleeps. Whoever has changed an index looks at the other's
//! flag afterwards. Between the two steps of each stands a full fence, so one of the two sees the other: no wake-up is lost,
//! and when nobody waits, nobody makes a call.

use crate::memory::RingMemory;
use crate::sync::{AtomicU32, Ordering, fence};
use std::time::{Duration, Instant};

/// In the flag: a thread sleeps at it.
const SLEEPS: u32 = 1;
/// In the flag: the bell is to be rung.
const ARMED: u32 = 2;

/// How long a sleeper trusts the other side to be alive. A process that is killed wakes nobody.
const HEARTBEAT: Duration = Duration::from_millis(50);

/// The most looks before a sleep. The first two are a pause apart, and then the processor is left to others in between: one of
/// them may be who is waited for.
const LOOKS: u32 = 32;
const PAUSES: u32 = 2;

/// A sleep that was shorter than this would have been better spent looking.
const SHORT: Duration = Duration::from_micros(40);

/// One side's way to wait and to wake.
pub(crate) struct Wait {
    /// Whether the other side is in another process, and how to reach it.
    line: Option<Line>,
    /// How often to look before sleeping: as long as it helps.
    looks: u32,
    pace: Pace,
}

/// What a look shows of the other side's progress.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// There is nothing to go on with.
    Nothing,
    /// As much as one waits for, or a reason not to wait.
    Enough,
    /// The steps of several calls, of which one would have been enough.
    Plenty,
}

/// The step of who can't tell one from several.
pub(super) const UNCOUNTED: u64 = u64::MAX;

/// Whether to let the other side get ahead before the first look.
///
/// Who looks takes the cache line of an index from who is to change it. In a stream of single steps two sides that are equally
/// fast meet at each of them, and each pays for the way of that line between two cores. Where a longer pause shows that many
/// steps were made meanwhile, it pays to pause; where it shows one, somebody waits for an answer to it, and it does not.
#[derive(Default)]
struct Pace {
    ahead: bool,
    /// Waits in a row, without a pause, that ended with a single step.
    single: u32,
}

impl Pace {
    /// After so many single steps a pause is tried: it is then a small part of them if it was in vain.
    const TRIAL: u32 = 256;
    /// One to two microseconds.
    const SPINS: u32 = 64;

    fn wait(&self) {
        if self.ahead {
            (0..Self::SPINS).for_each(|_| std::hint::spin_loop());
        }
    }

    fn learn(&mut self, found: Found) {
        if found == Found::Plenty {
            self.single = 0;
        } else if self.ahead {
            *self = Pace::default();
        } else {
            self.single += 1;
            self.ahead = self.single >= Self::TRIAL;
        }
    }
}

#[cfg(any(loom, shuttle))]
pub(crate) use super::bell::Line;
#[cfg(not(any(loom, shuttle)))]
pub(crate) use crate::os::line::Line;

impl Wait {
    pub(super) fn new(line: Option<Line>) -> Wait {
        Wait { line, looks: if cfg!(any(loom, shuttle)) { 0 } else { LOOKS }, pace: Pace::default() }
    }

    /// Wakes the other side if it waits, by its flag. To be called after every change of an index.
    #[inline(always)]
    pub(super) fn wake(&self, memory: &RingMemory, theirs: &AtomicU32) {
        fence(Ordering::SeqCst);
        if theirs.load(Ordering::Relaxed) != 0 {
            self.wake_now(memory, theirs);
        }
    }

    #[cold]
    fn wake_now(&self, memory: &RingMemory, theirs: &AtomicU32) {
        let how = theirs.swap(0, Ordering::AcqRel);
        if how & SLEEPS != 0 {
            memory.wake(theirs);
        }
        if how & ARMED != 0
            && let Some(line) = &self.line
        {
            line.ring();
        }
    }

    /// Sleeps until `look` finds something, the deadline, or the other side's death. Answers whether it did or there is nobody
    /// left to wait for.
    pub(super) fn sleep(
        &mut self,
        memory: &RingMemory,
        own: &AtomicU32,
        mut look: impl FnMut() -> Found,
        deadline: Option<Instant>,
    ) -> bool {
        self.pace.wait();
        for round in 0..self.looks {
            let found = look();
            if found != Found::Nothing {
                self.looks = (self.looks * 2).min(LOOKS);
                self.pace.learn(found);
                return true;
            }
            if round < PAUSES {
                (0..8).for_each(|_| std::hint::spin_loop());
            } else {
                std::thread::yield_now();
            }
        }
        // It did not help: look less often the next time.
        self.looks /= 2;
        self.pace = Pace::default();
        let mut slept = false;
        loop {
            let flag = own.fetch_or(SLEEPS, Ordering::AcqRel) | SLEEPS;
            fence(Ordering::SeqCst);
            // The kernel is asked about the other side only after a sleep: the call would delay every first one.
            if look() != Found::Nothing || (slept && self.line.as_ref().is_some_and(Line::probe)) {
                return true;
            }
            let left = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                Some(left) if left.is_zero() => return false,
                Some(left) => Some(left.min(HEARTBEAT)),
                None if self.line.is_some() => Some(HEARTBEAT),
                None => None,
            };
            let begun = if cfg!(any(loom, shuttle)) { None } else { Some(Instant::now()) };
            memory.sleep(own, flag, left);
            if begun.is_some_and(|begun| begun.elapsed() < SHORT) {
                self.looks = (self.looks * 4).clamp(4, LOOKS);
            }
            slept = true;
        }
    }

    /// Has the bell rung at the next change. The caller looks once more afterwards, and listens only then.
    pub(super) fn arm(&self, own: &AtomicU32) {
        own.fetch_or(ARMED, Ordering::AcqRel);
        fence(Ordering::SeqCst);
    }

    /// The process of the other side has ended, however it ended.
    #[inline(always)]
    pub(super) fn is_dead(&self) -> bool {
        self.line.as_ref().is_some_and(Line::is_dead)
    }

    pub(crate) fn line(&self) -> Option<&Line> {
        self.line.as_ref()
    }
}

/// One side of a ring, as somebody sees it who waits for it without a thread.
pub(crate) trait Half {
    /// Going on would not be refused for now.
    fn is_ready(&mut self, need: usize) -> bool;

    /// Has the bell rung at the other side's next change. Look once more afterwards.
    fn arm(&self);

    /// Where the bell hangs.
    fn line(&self) -> Option<&Line>;
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::{Found, Pace};

    #[test]
    fn a_pause_is_tried_after_many_single_steps_and_kept_only_while_it_shows_several() {
        let mut pace = Pace::default();
        for _ in 0..3 {
            (1..Pace::TRIAL).for_each(|_| pace.learn(Found::Enough));
            assert!(!pace.ahead);
            pace.learn(Found::Enough);
            assert!(pace.ahead);
            (0..1_000).for_each(|_| pace.learn(Found::Plenty));
            assert!(pace.ahead);
            pace.learn(Found::Enough);
            assert!(!pace.ahead, "it was in vain");
        }
        (1..Pace::TRIAL).for_each(|_| pace.learn(Found::Enough));
        pace.learn(Found::Plenty);
        pace.learn(Found::Enough);
        assert!(!pace.ahead, "they were not in a row");
    }
}
