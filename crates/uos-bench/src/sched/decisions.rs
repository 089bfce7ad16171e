//! Speed of one decision, at many sizes.

use std::collections::VecDeque;

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
    calm::{Calm, Round, fixed_loop, summed_up},
    report::Measurement,
};

/// Half of them count.
const ROUNDS: usize = 30;
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
        let Calm { ours, peer, n, whole } = summed_up(self.rounds);
        let ratio = peer.1 / ours.1;
        let with = |bar: &Bar| {
            let (target, holds) = match *bar {
                Bar::Nanos(most) => (format!("≤ {most} ns"), ours.1 <= most),
                Bar::Ratio(least) => (format!("≥ {least} ×"), ratio >= least),
            };
            Measurement {
                whole: Some(whole),
                ..Measurement::new(self.name, "ns", ours, (self.peer_name, peer), ratio, (target, holds), n)
            }
        };
        self.bars.iter().map(with).collect()
    }
}
