//! Rounds of which only the calmer half counts.
//!
//! A core is shared with whoever has its other hardware thread, often another machine's guest, for spells of
//! milliseconds to seconds. So the rounds of a row are spread over the whole measurement, each row having one in turn;
//! and around both sides of a round a fixed loop of integer operations is timed. Those half of a row's rounds count in
//! which that loop was fastest, for both sides and whatever these took. The medians of all rounds are said too.

use std::hint::black_box;

use crate::{
    report::{Whole, summary},
    sched::cpu_ns,
};

/// What both sides took in one.
#[derive(Clone, Copy)]
pub(crate) struct Round {
    pub(crate) ours: f64,
    pub(crate) peer: f64,
    /// The slowest of the fixed loops around them.
    pub(crate) disturbed: f64,
}

/// What the rounds of a row come to.
pub(crate) struct Calm {
    /// Best and median of those that count, where less is better.
    pub(crate) ours: (f64, f64),
    pub(crate) peer: (f64, f64),
    /// So many count.
    pub(crate) n: usize,
    pub(crate) whole: Whole,
}

/// What they come to, by the calmer half.
pub(crate) fn summed_up(rounds: Vec<Round>) -> Calm {
    let both = |rounds: &[Round]| {
        let of = |side: fn(&Round) -> f64| summary(rounds.iter().map(side).collect(), true);
        (of(|round| round.ours), of(|round| round.peer))
    };
    let ((_, ours), (_, peer)) = both(&rounds);
    let whole = Whole { n: rounds.len(), ours, peer };
    let calm = calmer(rounds);
    let (ours, peer) = both(&calm);
    Calm { ours, peer, n: calm.len(), whole }
}

/// The half of them that was disturbed least.
fn calmer(mut rounds: Vec<Round>) -> Vec<Round> {
    rounds.sort_by(|one, other| one.disturbed.total_cmp(&other.disturbed));
    rounds.truncate(rounds.len().div_ceil(2));
    rounds
}

/// How long a twentieth of a million turns of eight chains of integer operations take, in nanoseconds of CPU time: the
/// same always, unless the core is shared. They fill its units as a decision does, so that a neighbour shows.
pub(crate) fn fixed_loop() -> f64 {
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
    use super::{Round, calmer, summed_up};

    const ROUNDS: usize = 30;

    #[test]
    fn what_counts_is_chosen_by_the_fixed_loop_alone() {
        // Every second is disturbed; of the others, ours takes longer each time and the peer less.
        let disturbed = |at: usize| if at.is_multiple_of(2) { 100.0 } else { 50.0 };
        let round =
            |at: usize| Round { ours: at as f64, peer: (ROUNDS - at) as f64, disturbed: disturbed(at) };
        let rounds: Vec<Round> = (0..ROUNDS).map(round).collect();
        let (ours, peer): (Vec<f64>, Vec<f64>) =
            calmer(rounds.clone()).iter().map(|round| (round.ours, round.peer)).unzip();
        let odd = || (0..ROUNDS).filter(|at| at % 2 == 1);
        assert_eq!(ours, odd().map(|at| at as f64).collect::<Vec<_>>());
        assert_eq!(peer, odd().map(|at| (ROUNDS - at) as f64).collect::<Vec<_>>());
        let calm = summed_up(rounds);
        assert_eq!((calm.ours, calm.peer, calm.n), ((1.0, 15.0), (1.0, 15.0), ROUNDS / 2));
        assert_eq!((calm.whole.ours, calm.whole.peer, calm.whole.n), (15.0, 16.0, ROUNDS));
    }
}
