//! What busy real processes get of one CPU for five seconds, beside what they should: by their own CPU time, so that
//! others on the machine make it longer and not different.

use std::{thread::sleep, time::Duration};

use uos_sched::{Controller, Cpu, CpuSet, Gate, Nanos, OsControl, Policy, Wanted, Weight};

use super::gate::Busy;
use crate::{
    Result,
    report::{Measurement, summary},
};

const ROUNDS: usize = 3;
const CPU: Cpu = Cpu(0);
const LENGTH: Duration = Duration::from_secs(5);

/// The largest error of a share, and Jain's index of what each got for its weight.
fn run(control: &mut dyn Controller, weights: [u32; 4]) -> Result<(f64, f64)> {
    let mut busy = Vec::new();
    for weight in weights {
        let one = Busy::start()?;
        let weight = Weight::new(weight * 1024)?;
        let wanted = Wanted { weight, affinity: CpuSet::only(CPU), ..Wanted::default() };
        control.adopt(one.pid(), &wanted)?;
        busy.push(one);
    }
    let mut used = || busy.iter().map(|one| Ok(control.used(one.pid())?)).collect::<Result<Vec<Nanos>>>();
    // They start one after the other; counted is from when all of them run.
    sleep(Duration::from_millis(200));
    let before = used()?;
    sleep(LENGTH);
    let after = used()?;
    for one in &busy {
        control.release(one.pid())?;
    }
    let ran: Vec<f64> =
        before.iter().zip(&after).map(|(before, after)| after.since(*before).0 as f64).collect();
    let (all, sum) = (ran.iter().sum::<f64>(), f64::from(weights.iter().sum::<u32>()));
    let parts: Vec<f64> =
        ran.iter().zip(weights).map(|(ran, weight)| ran / all / (f64::from(weight) / sum)).collect();
    let squares: f64 = parts.iter().map(|part| part * part).sum();
    let jain = parts.iter().sum::<f64>().powi(2) / (squares * parts.len() as f64);
    Ok((parts.iter().map(|part| (part - 1.0).abs()).fold(0.0, f64::max), jain))
}

/// By the best means there are, beside nice values.
pub(super) fn by_weight() -> Result<Vec<Measurement>> {
    const WEIGHTS: [u32; 4] = [1, 2, 4, 8];
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(run(&mut OsControl::probe(), WEIGHTS)?);
        theirs.push(run(&mut OsControl::by_nice(), WEIGHTS)?);
    }
    let errors = |of: &[(f64, f64)]| summary(of.iter().map(|(error, _)| error * 1e6).collect(), true);
    // What is missing to 1: a ten-thousandth is 100 ppm.
    let unlike = |of: &[(f64, f64)]| summary(of.iter().map(|(_, jain)| (1.0 - jain) * 1e6).collect(), true);
    let measured = |name, (ours_best, ours): (f64, f64), (peer_best, peer): (f64, f64), most: f64| {
        Measurement::new(
            name,
            "ppm",
            (ours_best, ours),
            ("nice values", (peer_best, peer)),
            peer / ours,
            (format!("≤ {most} ppm"), ours <= most),
            ROUNDS,
        )
    };
    Ok(vec![
        measured("real shares 1:2:4:8 for 5 s, largest error", errors(&ours), errors(&theirs), 10_000.0),
        measured("the same, Jain's index below 1 by", unlike(&ours), unlike(&theirs), 100.0),
    ])
}

/// In turns of 10 ms at a gate: how far from alike, and what the gate itself takes of the CPU.
pub(super) fn by_turns() -> Result<Vec<Measurement>> {
    let (mut errors, mut own) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut gate = Gate::start(Policy::ROUND_ROBIN, CPU)?;
        errors.push(run(&mut gate, [1; 4])?.0 * 1e6);
        let whole = LENGTH + Duration::from_millis(200);
        own.push(gate.own_cpu_time()?.0 as f64 / whole.as_nanos() as f64 * 1e6);
    }
    // A turn among four in five seconds.
    let turn = 4.0 * 0.010 / LENGTH.as_secs_f64() * 1e6;
    let measured = |name, rounds: Vec<f64>, most: f64, peer_name| {
        let (ours_best, ours) = summary(rounds, true);
        Measurement::new(
            name,
            "ppm",
            (ours_best, ours),
            (peer_name, (most, most)),
            most / ours,
            (format!("≤ {most} ppm"), ours <= most),
            ROUNDS,
        )
    };
    Ok(vec![
        measured("gate of 10 ms for 5 s, largest error of a share", errors, turn, "one turn"),
        measured("gate of 10 ms, its own CPU time", own, 10_000.0, "a hundredth"),
    ])
}
