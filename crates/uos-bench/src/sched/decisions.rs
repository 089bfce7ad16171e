//! Speed of one decision, at many sizes.
//!
//! A core is shared with whoever has its other hardware thread, often another machine's guest, for spells of
//! milliseconds to seconds. So the rounds of a row are spread over the whole measurement, each row having one in turn;
//! and around both sides of a round a fixed loop of integer operations is timed. Those half of a row's rounds count in
//! which that loop was fastest, for both sides and whatever these took. The medians of all rounds are said too.

use std::{collections::VecDeque, hint::black_box};

use uos_sched::{Cpu, Nanos, Policy, Scheduler};

use super::{
    cpu_ns, filled, part,
    peers::{Levels, Ordered, Peer, Turns},
    priority, step,
    treap::Treap,
    weight,
};
use crate::{
    Result,
    report::{Measurement, Whole, summary},
};

/// All of them, and those that count.
const ROUNDS: usize = 30;
const COUNTED: usize = ROUNDS / 2;
const STEPS: u32 = 100_000;
/// Before each side is measured: the other rows have had the caches since.
const WARM: u32 = 10_000;

#[derive(Clone, Copy)]
enum Bar {
    Nanos(f64),
    Ratio(f64),
}

/// Ours and a peer with the same tasks, and what was measured so far.
struct Row {
    name: &'static str,
    peer_name: &'static str,
    bars: &'static [Bar],
    sched: Scheduler,
    now: Nanos,
    peer: Box<dyn Peer>,
    /// Where the chances of both are.
    random: [u64; 2],
    rounds: Vec<Round>,
}

#[derive(Clone, Copy)]
struct Round {
    ours: f64,
    peer: f64,
    /// The slowest of the fixed loops around them.
    disturbed: f64,
}

/// All policies at all sizes.
pub(super) fn measure() -> Result<Vec<Measurement>> {
    let mut rows = Vec::new();
    for (name, tasks) in [
        ("round-robin pick+charge+requeue, 10", 10),
        ("round-robin pick+charge+requeue, 1e3", 1_000),
        ("round-robin pick+charge+requeue, 1e5", 100_000),
        ("round-robin pick+charge+requeue, 1e6", 1_000_000),
    ] {
        let peer = Turns((0..tasks).collect());
        rows.push(Row::new(name, Policy::ROUND_ROBIN, tasks, (peer, "bare VecDeque"), &[Bar::Nanos(15.0)])?);
    }
    for (name, tasks) in [
        ("priority pick+charge+requeue, 10", 10),
        ("priority pick+charge+requeue, 1e3", 1_000),
        ("priority pick+charge+requeue, 1e5", 100_000),
        ("priority pick+charge+requeue, 1e6", 1_000_000),
    ] {
        let mut queues = vec![VecDeque::new(); 256];
        (0..tasks).for_each(|task| queues[usize::from(priority(task).0)].push_back(task));
        let peer = (Levels(queues), "bare VecDeques");
        rows.push(Row::new(name, Policy::PRIORITY, tasks, peer, &[Bar::Nanos(15.0)])?);
    }
    for (name, tasks, bars) in [
        ("fair pick+charge+requeue, 1e3", 1_000, &[Bar::Ratio(1.3)]),
        ("fair pick+charge+requeue, 1e5", 100_000, &[Bar::Ratio(2.5)]),
        ("fair pick+charge+requeue, 1e6", 1_000_000, &[Bar::Ratio(3.0)]),
    ] {
        let peer = (Ordered::new(tasks), "bare BTreeSet");
        rows.push(Row::new(name, Policy::FAIR, tasks, peer, bars)?);
    }
    let peer = (Treap::new((0..1_000_000).map(weight)), "bare augmented treap");
    let bars = &[Bar::Ratio(2.0), Bar::Nanos(700.0)];
    rows.push(Row::new("EEVDF pick+charge+requeue, 1e6", Policy::EEVDF, 1_000_000, peer, bars)?);
    for _ in 0..ROUNDS {
        rows.iter_mut().try_for_each(Row::round)?;
    }
    Ok(rows.into_iter().flat_map(Row::measured).collect())
}

impl Row {
    fn new(
        name: &'static str,
        policy: Policy,
        tasks: u32,
        (mut peer, peer_name): (impl Peer + 'static, &'static str),
        bars: &'static [Bar],
    ) -> Result<Row> {
        let (mut sched, _) = filled(policy, tasks)?;
        sched.pick(Cpu(0), Nanos::ZERO)?;
        let (mut now, mut random, mut same) = (Nanos::ZERO, 7, 7);
        // Until everybody has run, all would be alike.
        for _ in 0..2 * tasks.max(1_000) {
            step(&mut sched, &mut now, part(&mut random))?;
            peer.step(part(&mut same));
        }
        let (peer, random) = (Box::new(peer), [random, same]);
        Ok(Row { name, peer_name, bars, sched, now, peer, random, rounds: Vec::new() })
    }

    fn round(&mut self) -> Result<()> {
        let (sched, [random, same]) = (&mut self.sched, &mut self.random);
        let mut now = self.now;
        for _ in 0..WARM {
            step(sched, &mut now, part(random))?;
        }
        let before = fixed_loop();
        let begun = cpu_ns();
        for _ in 0..STEPS {
            step(sched, &mut now, part(random))?;
        }
        let ours = (cpu_ns() - begun) / f64::from(STEPS);
        self.now = now;
        self.peer.steps(WARM, same);
        let between = fixed_loop();
        let begun = cpu_ns();
        self.peer.steps(STEPS, same);
        let peer = (cpu_ns() - begun) / f64::from(STEPS);
        let disturbed = before.max(between).max(fixed_loop());
        self.rounds.push(Round { ours, peer, disturbed });
        Ok(())
    }

    /// What its rounds come to, once for each bar.
    fn measured(self) -> Vec<Measurement> {
        let medians = |rounds: &[Round]| {
            let of = |side: fn(&Round) -> f64| summary(rounds.iter().map(side).collect(), true);
            (of(|round| round.ours), of(|round| round.peer))
        };
        let ((_, ours), (_, peer)) = medians(&self.rounds);
        let whole = Whole { n: self.rounds.len(), ours, peer };
        let ((ours_best, ours), (peer_best, peer)) = medians(&calm(self.rounds));
        let ratio = peer / ours;
        let with = |bar: &Bar| {
            let (target, holds) = match *bar {
                Bar::Nanos(most) => (format!("≤ {most} ns"), ours <= most),
                Bar::Ratio(least) => (format!("≥ {least} ×"), ratio >= least),
            };
            Measurement {
                whole: Some(whole),
                ..Measurement::new(
                    self.name,
                    "ns",
                    (ours_best, ours),
                    (self.peer_name, (peer_best, peer)),
                    ratio,
                    (target, holds),
                    COUNTED,
                )
            }
        };
        self.bars.iter().map(with).collect()
    }
}

/// The half of them that was disturbed least.
fn calm(mut rounds: Vec<Round>) -> Vec<Round> {
    rounds.sort_by(|one, other| one.disturbed.total_cmp(&other.disturbed));
    rounds.truncate(COUNTED);
    rounds
}

/// How long a twentieth of a million turns of eight chains of integer operations take, in nanoseconds of CPU time: the
/// same always, unless the core is shared. They fill its units as a decision does, so that a neighbour shows.
fn fixed_loop() -> f64 {
    let begun = cpu_ns();
    let mut chains: [u64; 8] = black_box([1, 2, 3, 4, 5, 6, 7, 8]);
    for turn in 0..50_000u64 {
        for (chain, by) in chains.iter_mut().zip(1..) {
            *chain = (*chain ^ turn).rotate_left(by);
        }
    }
    black_box(chains);
    cpu_ns() - begun
}

#[cfg(test)]
mod tests {
    use super::{COUNTED, ROUNDS, Round, calm};

    #[test]
    fn what_counts_is_chosen_by_the_fixed_loop_alone() {
        // Every second is disturbed; of the others, ours takes longer each time and the peer less.
        let disturbed = |at: usize| if at.is_multiple_of(2) { 100.0 } else { 50.0 };
        let round =
            |at: usize| Round { ours: at as f64, peer: (ROUNDS - at) as f64, disturbed: disturbed(at) };
        let calm = calm((0..ROUNDS).map(round).collect());
        let (ours, peer): (Vec<f64>, Vec<f64>) = calm.iter().map(|round| (round.ours, round.peer)).unzip();
        let odd = || (0..ROUNDS).filter(|at| at % 2 == 1);
        assert_eq!(calm.len(), COUNTED);
        assert_eq!(ours, odd().map(|at| at as f64).collect::<Vec<_>>());
        assert_eq!(peer, odd().map(|at| (ROUNDS - at) as f64).collect::<Vec<_>>());
    }
}
