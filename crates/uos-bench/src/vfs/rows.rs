//! How two sides of a row are measured in turn, and what a row has to reach.

use super::worlds::Done;
use crate::{
    calm::{Calm, Round, fixed_loop, summed_up},
    report::{Measurement, summary},
};

/// Half of them count.
const ROUNDS: usize = 30;

/// What a row has to reach.
#[derive(Clone, Copy)]
pub(super) enum Bar {
    /// So many times the peer's speed.
    Ratio(f64),
    /// No more than so many units.
    Most(f64),
    Compared,
}

/// Two sides to be measured in turn, where less is better, and what was measured so far.
pub(super) struct Row<'w> {
    name: &'static str,
    peer_name: &'static str,
    unit: &'static str,
    bar: Bar,
    ours: Box<dyn Fn() -> Done<f64> + 'w>,
    peer: Box<dyn Fn() -> Done<f64> + 'w>,
    rounds: Vec<Round>,
}

impl<'w> Row<'w> {
    pub(super) fn new(
        name: &'static str,
        peer_name: &'static str,
        unit: &'static str,
        bar: Bar,
        ours: impl Fn() -> Done<f64> + 'w,
        peer: impl Fn() -> Done<f64> + 'w,
    ) -> Self {
        let (ours, peer) = (Box::new(ours), Box::new(peer));
        Row { name, peer_name, unit, bar, ours, peer, rounds: Vec::new() }
    }

    fn round(&mut self) -> Done {
        let before = fixed_loop();
        let ours = (self.ours)()?;
        let between = fixed_loop();
        let peer = (self.peer)()?;
        let disturbed = before.max(between).max(fixed_loop());
        self.rounds.push(Round { ours, peer, disturbed });
        Ok(())
    }

    fn measured(self) -> Measurement {
        let Calm { ours, peer, n, whole } = summed_up(self.rounds);
        let swapped = |(best, median): (f64, f64)| (median, best);
        let measured = row(self.name, self.peer_name, self.unit, self.bar, swapped(ours), swapped(peer), n);
        Measurement { whole: Some(whole), ..measured }
    }
}

/// Their rounds, each row having one in turn.
pub(super) fn in_turns(mut rows: Vec<Row<'_>>) -> Done<Vec<Measurement>> {
    for round in 0..=ROUNDS {
        rows.iter_mut().try_for_each(Row::round)?;
        if round == 0 {
            // The first round warms all up.
            rows.iter_mut().for_each(|row| row.rounds.clear());
        }
    }
    Ok(rows.into_iter().map(Row::measured).collect())
}

/// A row without a peer.
pub(super) fn alone(name: &'static str, unit: &'static str, bar: Bar, rounds: Vec<f64>) -> Measurement {
    let n = rounds.len();
    let (best, median) = summary(rounds, true);
    let most = if let Bar::Most(most) = bar { most } else { median };
    row(name, "the most it may be", unit, bar, (median, best), (most, most), n)
}

pub(super) fn row(
    name: &'static str,
    peer_name: &'static str,
    unit: &'static str,
    bar: Bar,
    (ours, ours_best): (f64, f64),
    (peer, peer_best): (f64, f64),
    n: usize,
) -> Measurement {
    let ratio = peer / ours;
    let (target, holds) = match bar {
        Bar::Ratio(least) => (format!("≥ {least:.2} ×"), ratio >= least),
        Bar::Most(most) => (format!("≤ {most} {unit}"), ours <= most),
        Bar::Compared => ("–".to_owned(), true),
    };
    Measurement::new(name, unit, (ours_best, ours), (peer_name, (peer_best, peer)), ratio, (target, holds), n)
}
