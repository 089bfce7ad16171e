//! Waiting for the other side of a ring, which may be in another process, and waking it.
//!
//! Whoever waits says so in a flag of its own, looks once more, and sleeps. Whoever has changed an index looks at the other's
//! flag afterwards. Between the two steps of each stands a full fence, or what is as good (`fence.rs`), so one of the two sees
//! the other: no wake-up is lost, and when nobody waits, nobody makes a call.

use super::fence::Fences;
use crate::memory::RingMemory;
use crate::sync::{AtomicU32, Ordering, fence};
use std::time::{Duration, Instant};

/// In the flag: a thread sleeps at it.
const SLEEPS: u32 = 1;
/// In the flag: the bell is to be rung.
const ARMED: u32 = 2;
/// In the flag: its owner can't have the other side's fences made by the kernel, so the other side makes them.
const FENCE: u32 = 4;
/// In the flag: its owner has slept not long ago. The other side makes its fences itself, so that nobody who sleeps again and
/// again has the kernel interrupt other processors each time. It takes this back when nobody has slept for long.
const OFTEN: u32 = 8;
/// So many changes of an index are long.
const LONG: u32 = 4096;
/// A flag that says so for the first time has reached the other side after this, and what that had written before has got here.
const SETTLES: Duration = Duration::from_millis(1);

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
    fences: Fences,
    /// How many changes in a row found nobody asleep who has slept not long ago. Nothing depends on it but speed.
    unslept: std::sync::atomic::AtomicU32,
}

/// What a look shows of the other side's progress.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// There is nothing to go on with.
    Nothing,
    /// Something, or a reason not to wait.
    Steps(u64),
}

/// What one call puts in or takes out, and how much of it the ring holds.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub(super) bytes: u64,
    pub(super) most: u64,
}

impl Step {
    /// Of who can't tell one from several.
    pub(super) const UNCOUNTED: Step = Step { bytes: u64::MAX, most: 0 };

    /// A look found so many bytes.
    pub(super) fn found(self, bytes: u64) -> Found {
        Found::Steps(bytes / self.bytes)
    }
}

/// How long to let the other side get ahead before the first look.
///
/// Who looks takes the cache line of an index from who is to change it, and who goes on at once takes the next ones from it,
/// too. In a stream of single steps each side pays then for the way of those lines between two cores. Where a longer pause
/// shows that many steps were made meanwhile, it pays to pause; where it shows one, somebody waits for an answer to it, and it
/// does not.
#[derive(Default)]
struct Pace {
    /// The length of the pause. None, or a power of two between the shortest and the longest.
    spins: u32,
    /// Waits in a row, without a pause, that ended with a single step.
    single: u32,
}

impl Pace {
    /// After so many single steps a pause is tried: it is then a small part of them if it was in vain.
    const TRIAL: u32 = 256;
    /// No more steps than this may be an answer and what comes with it.
    const SINGLE: u64 = 2;
    /// So many that have come without a pause are a stream.
    const STREAM: u64 = 16;
    /// One to two microseconds.
    const SHORTEST: u32 = 64;
    /// Ten to fifteen.
    const LONGEST: u32 = 512;

    fn wait(&self) {
        (0..self.spins).for_each(|_| std::hint::spin_loop());
    }

    /// So many steps were found, of the most there could be.
    fn learn(&mut self, steps: u64, most: u64) {
        let spins = u64::from(self.spins);
        if steps <= Pace::SINGLE {
            if self.spins > 0 {
                *self = Pace::default();
                return;
            }
            self.single += 1;
            if self.single >= Pace::TRIAL {
                self.spins = Pace::SHORTEST;
            }
            return;
        }
        self.single = 0;
        if self.spins == 0 {
            if steps >= Pace::STREAM {
                self.spins = Pace::SHORTEST;
            }
        } else if steps > most / 2 || steps < spins / 8 {
            // The other side runs into the end of the ring, or is not so quick that anything waits for it.
            self.spins = (self.spins / 2).max(Pace::SHORTEST);
        } else if steps < most / 4 && steps >= spins / 4 {
            self.spins = (self.spins * 2).min(Pace::LONGEST);
        }
    }
}

#[cfg(any(loom, shuttle))]
pub(crate) use super::bell::Line;
#[cfg(not(any(loom, shuttle)))]
pub(crate) use crate::os::line::Line;

impl Wait {
    /// Of a side that waits with that flag, on which nobody has slept yet.
    pub(super) fn new(line: Option<Line>, own: &AtomicU32) -> Wait {
        Wait::with(line, own, Fences::of_this_process())
    }

    fn with(line: Option<Line>, own: &AtomicU32, fences: Fences) -> Wait {
        if fences == Fences::Own {
            own.fetch_or(FENCE, Ordering::SeqCst);
            // In this process, and in the models, both sides are made before either is used.
            if line.is_some() && !cfg!(any(loom, shuttle)) {
                std::thread::sleep(SETTLES);
            }
        }
        let looks = if cfg!(any(loom, shuttle)) { 0 } else { LOOKS };
        Wait { line, looks, pace: Pace::default(), fences, unslept: Default::default() }
    }

    /// Wakes the other side if it waits, by its flag. To be called after every change of an index.
    #[inline(always)]
    pub(super) fn wake(&self, memory: &RingMemory, theirs: &AtomicU32) {
        self.fences.after_a_change();
        if theirs.load(Ordering::Relaxed) != 0 {
            self.wake_now(memory, theirs);
        }
    }

    #[cold]
    fn wake_now(&self, memory: &RingMemory, theirs: &AtomicU32) {
        fence(Ordering::SeqCst);
        let said = theirs.load(Ordering::Relaxed);
        if said & (SLEEPS | ARMED) == 0 {
            return self.found_nobody(theirs, said);
        }
        self.unslept.store(0, Ordering::Relaxed);
        let how = theirs.fetch_and(FENCE | OFTEN, Ordering::AcqRel);
        if how & SLEEPS != 0 {
            memory.wake(theirs);
        }
        if how & ARMED != 0
            && let Some(line) = &self.line
        {
            line.ring();
        }
    }

    /// Nobody sleeps, but the flag asks for fences. If it does so for a sleep long ago, it need not any more: unless its owner
    /// has said something else meanwhile, it will have the kernel make them before the next.
    fn found_nobody(&self, theirs: &AtomicU32, said: u32) {
        let unslept = self.unslept.load(Ordering::Relaxed) + 1;
        self.unslept.store(unslept % LONG, Ordering::Relaxed);
        if said == OFTEN && unslept >= LONG {
            let _ = theirs.compare_exchange(OFTEN, 0, Ordering::SeqCst, Ordering::Relaxed);
        }
    }

    /// Sleeps until `look` finds something, the deadline, or the other side's death. Answers whether it did or there is nobody
    /// left to wait for.
    pub(super) fn sleep(
        &mut self,
        memory: &RingMemory,
        own: &AtomicU32,
        mut look: impl FnMut() -> Found,
        step: Step,
        deadline: Option<Instant>,
    ) -> bool {
        self.pace.wait();
        for round in 0..self.looks {
            if let Found::Steps(steps) = look() {
                self.looks = (self.looks * 2).min(LOOKS);
                self.pace.learn(steps, step.most);
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
            let flag = self.settle(own, SLEEPS);
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
        self.settle(own, ARMED);
    }

    /// Has the flag say that, too. Answers all that it says then. After this, either the other side sees it, or the next look here
    /// sees what that side has changed.
    fn settle(&self, own: &AtomicU32, how: u32) -> u32 {
        let how = if self.fences == Fences::Asked { how | OFTEN } else { how };
        let before = own.fetch_or(how, Ordering::AcqRel);
        // Whoever changes an index has seen the flag ask for fences since a sleep before this one, if it still does, and it can't
        // be taken back any more. Else both depend on the kernel.
        let fences = if before & OFTEN == 0 { self.fences } else { Fences::Own };
        if fences.before_a_sleep().is_err() && own.fetch_or(FENCE, Ordering::SeqCst) & FENCE == 0 {
            std::thread::sleep(SETTLES);
        }
        before | how
    }

    /// The process of the other side has ended, however it ended.
    #[inline(always)]
    pub(super) fn is_dead(&self) -> bool {
        self.line.as_ref().is_some_and(Line::is_dead)
    }

    /// The same for who counts for itself how often it has asked.
    #[inline(always)]
    pub(super) fn is_dead_after(&self, asked: u32) -> bool {
        self.line.as_ref().is_some_and(|line| line.is_dead_after(asked))
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
    use super::super::fence::Fences::{self, Asked, Own};
    use super::{ARMED, FENCE, Found, LONG, OFTEN, Pace, SLEEPS, Step, Wait};
    use crate::memory::{Memory, RingMemory};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    /// What the side waits with whose word that is.
    fn flag(memory: &RingMemory, word: usize) -> &AtomicU32 {
        if word == 0 { memory.flag::<128>() } else { memory.flag::<192>() }
    }

    const ONE: Step = Step { bytes: 1, most: 1 };

    /// Sleeps, without looking before, until the word is that far. Without a deadline, since with one the sleeper looks now and
    /// then whether it was woken or not.
    fn sleep_until<const WORD: usize>(wait: &mut Wait, memory: &RingMemory, own: usize, turn: u64) {
        wait.looks = 0;
        let look = || match memory.word::<WORD>().load(Ordering::Acquire) {
            seen if seen < turn => Found::Nothing,
            _ => Found::Steps(1),
        };
        assert!(wait.sleep(memory, flag(memory, own), look, ONE, None));
    }

    /// Each on a thread of its own. Who sleeps for good does so beyond the test.
    fn both_end(one: impl FnOnce() + Send + 'static, other: impl FnOnce() + Send + 'static, what: &str) {
        let (done, ended) = std::sync::mpsc::channel();
        for side in [Box::new(one) as Box<dyn FnOnce() + Send>, Box::new(other)] {
            let done = done.clone();
            std::thread::spawn(move || {
                side();
                done.send(())
            });
        }
        for _ in 0..2 {
            ended.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| panic!("asleep for good: {what}"));
        }
    }

    fn ring() -> Arc<RingMemory> {
        let memory = Arc::new(Memory::anonymous(RingMemory::BYTES + 4096).expect("memory for a ring"));
        Arc::new(RingMemory::new(memory, 4096))
    }

    /// Tells and waits in turns, each time asleep.
    fn turns<const OWN: usize, const OTHER: usize>(memory: &RingMemory, mut wait: Wait, first: bool) {
        let tell = |wait: &Wait, turn| {
            memory.word::<OWN>().store(turn, Ordering::Release);
            wait.wake(memory, flag(memory, OTHER));
        };
        for turn in 1..=5_000 {
            if first {
                tell(&wait, turn);
            }
            sleep_until::<OTHER>(&mut wait, memory, OWN, turn);
            if !first {
                tell(&wait, turn);
            }
        }
    }

    const WAYS: [(Fences, Fences); 4] = [(Asked, Asked), (Asked, Own), (Own, Asked), (Own, Own)];

    #[test]
    fn nobody_sleeps_on_whoever_makes_the_fences() {
        Fences::of_this_process();
        for (one, other) in WAYS {
            let ring = ring();
            let (there, here) = (Arc::clone(&ring), Arc::clone(&ring));
            let first = Wait::with(None, ring.flag::<128>(), one);
            let second = Wait::with(None, ring.flag::<192>(), other);
            both_end(
                move || turns::<0, 64>(&there, first, true),
                move || turns::<64, 0>(&here, second, false),
                &format!("{one:?} {other:?}"),
            );
        }
    }

    /// The length of a message. It lies in cache lines that the other side has written to, so that what is written after it, the
    /// index, reaches the other side late.
    const MESSAGE: usize = 2048;

    /// Who is told falls asleep at the moment that it is told, after a pause that differs from turn to turn.
    #[test]
    fn who_is_told_while_it_falls_asleep_wakes() {
        const TURNS: u64 = 50_000;
        Fences::of_this_process();
        for (sleeps, tells) in WAYS {
            let ring = ring();
            let (there, here) = (Arc::clone(&ring), Arc::clone(&ring));
            let messages = Arc::new(Memory::anonymous(4096).unwrap());
            let read = Arc::clone(&messages);
            let mut sleeper = Wait::with(None, ring.flag::<128>(), sleeps);
            let teller = Wait::with(None, ring.flag::<192>(), tells);
            both_end(
                move || {
                    for turn in 1..=TURNS {
                        // As if it had been woken, and the fences taken back since.
                        there.flag::<128>().fetch_and(FENCE, Ordering::SeqCst);
                        read.copy_in(0, &[0; MESSAGE]);
                        there.word::<0>().store(turn, Ordering::Release);
                        (0..turn.wrapping_mul(0x9E37_79B9) % 64).for_each(|_| std::hint::spin_loop());
                        sleep_until::<64>(&mut sleeper, &there, 0, turn);
                    }
                },
                move || {
                    for turn in 1..=TURNS {
                        while here.word::<0>().load(Ordering::Acquire) < turn {
                            std::hint::spin_loop();
                        }
                        messages.copy_in(0, &[1; MESSAGE]);
                        here.word::<64>().store(turn, Ordering::Release);
                        teller.wake(&here, here.flag::<128>());
                    }
                },
                &format!("{sleeps:?} {tells:?}"),
            );
        }
    }

    #[test]
    fn who_sleeps_again_and_again_has_the_other_side_make_the_fences() {
        assert_eq!(Fences::of_this_process(), Asked, "it takes membarrier(2)");
        let ring = ring();
        let mut sleeper = Wait::with(None, ring.flag::<128>(), Asked);
        let teller = Wait::with(None, ring.flag::<192>(), Asked);
        let said = || ring.flag::<128>().load(Ordering::Relaxed);
        ring.word::<64>().store(1, Ordering::Release);
        teller.wake(&ring, ring.flag::<128>());
        assert_eq!(said(), 0);
        sleep_until::<64>(&mut sleeper, &ring, 0, 1);
        assert_eq!(said(), SLEEPS | OFTEN, "it had set about to sleep");
        for _ in 0..3 {
            teller.wake(&ring, ring.flag::<128>());
            assert_eq!(said(), OFTEN, "nobody sleeps now");
            (1..LONG).for_each(|_| teller.wake(&ring, ring.flag::<128>()));
            assert_eq!(said(), OFTEN);
            sleeper.arm(ring.flag::<128>());
            assert_eq!(said(), ARMED | OFTEN);
        }
        teller.wake(&ring, ring.flag::<128>());
        (0..LONG).for_each(|_| teller.wake(&ring, ring.flag::<128>()));
        assert_eq!(said(), 0, "long ago");
    }

    #[test]
    fn a_pause_is_tried_after_many_single_steps_and_kept_only_while_it_shows_several() {
        let mut pace = Pace::default();
        for _ in 0..3 {
            (1..Pace::TRIAL).for_each(|_| pace.learn(1, 4096));
            assert_eq!(pace.spins, 0);
            pace.learn(1, 4096);
            assert_eq!(pace.spins, Pace::SHORTEST);
            (0..1_000).for_each(|_| pace.learn(3, 4096));
            assert_eq!(pace.spins, Pace::SHORTEST);
            pace.learn(1, 4096);
            assert_eq!(pace.spins, 0, "it was in vain");
        }
        (1..Pace::TRIAL).for_each(|_| pace.learn(1, 4096));
        pace.learn(3, 4096);
        pace.learn(1, 4096);
        assert_eq!(pace.spins, 0, "they were not in a row");
    }

    #[test]
    fn a_pause_grows_with_a_stream_and_never_until_the_ring_is_full() {
        let mut pace = Pace::default();
        pace.learn(16, 4096);
        assert_eq!(pace.spins, Pace::SHORTEST);
        // A step in 15 ns or so.
        (0..100).for_each(|_| pace.learn(2 * u64::from(pace.spins), 4096));
        assert_eq!(pace.spins, Pace::LONGEST);
        pace.learn(2049, 4096);
        assert_eq!(pace.spins, Pace::LONGEST / 2, "of a ring that is half full by then");
        pace.learn(31, 4096);
        assert_eq!(pace.spins, Pace::LONGEST / 4, "of a side that is slow");
        pace.learn(2, 4096);
        assert_eq!(pace.spins, 0, "of a side that waits for an answer");
        (0..100).for_each(|_| pace.learn(16, 16));
        assert_eq!(pace.spins, Pace::SHORTEST, "of a short ring");
        let mut pace = Pace::default();
        (0..1_000).for_each(|_| pace.learn(0, 0));
        assert!(pace.spins <= Pace::SHORTEST, "of who can't tell");
    }
}
