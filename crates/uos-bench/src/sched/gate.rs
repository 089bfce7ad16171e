//! How long it takes until somebody runs: once whoever went first has stopped, and once the gate's holder was killed.
//!
//! By the wall, real processes on one CPU, beside a bare `SIGCONT`; the worst of all rounds is what counts.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use uos_sched::{Cpu, Gate, Policy, Priority, Weight};

use crate::{Result, report::Measurement};

const ROUNDS: usize = 20;
const CPU: Cpu = Cpu(0);

/// A process that uses up all it gets.
pub(super) struct Busy(Child);

impl Busy {
    pub(super) fn start() -> Result<Busy> {
        let shell = Command::new("sh").args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn()?;
        Ok(Busy(shell))
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    fn send(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.0), signal)?)
    }

    fn is_stopped(&self) -> Result<bool> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        Ok(stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T')))
    }

    /// The CPU time it has had, in nanoseconds.
    fn used(&self) -> Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/schedstat", self.pid()))?;
        Ok(text.split(' ').next().ok_or("schedstat has fields")?.parse()?)
    }

    fn end(&mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// How long it takes until this holds.
fn until(what: &'static str, mut holds: impl FnMut() -> Result<bool>) -> Result<Duration> {
    let begun = Instant::now();
    while !holds()? {
        if begun.elapsed() > Duration::from_secs(30) {
            return Err(what.into());
        }
        sleep(Duration::from_micros(100));
    }
    Ok(begun.elapsed())
}

/// How long it takes until all of these have run, which are stopped.
fn all_run(stopped: &[&Busy], before: &[u64]) -> Result<Duration> {
    until("they should run", || {
        let ran = stopped.iter().zip(before).map(|(busy, &before)| Ok(busy.used()? > before));
        ran.collect::<Result<Vec<bool>>>().map(|ran| ran.into_iter().all(|ran| ran))
    })
}

fn used(of: &[&Busy]) -> Result<Vec<u64>> {
    of.iter().map(|busy| busy.used()).collect()
}

/// Strict priority: the lower one gets nothing while the higher runs, and runs when that has ended.
pub(super) fn next_in_line() -> Result<Measurement> {
    let gate = Gate::start(Policy::PRIORITY, CPU)?;
    let low = Busy::start()?;
    gate.hold(low.pid(), Priority(100))?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let mut high = Busy::start()?;
        gate.hold(high.pid(), Priority(200))?;
        until("the lower one should be stopped", || low.is_stopped())?;
        let (before, high_before) = (used(&[&low])?, high.used()?);
        until("the higher one should run", || Ok(high.used()? > high_before + 50_000_000))?;
        if used(&[&low])? != before {
            return Err("the lower priority ran while the higher wanted to".into());
        }
        let begun = Instant::now();
        high.end()?;
        all_run(&[&low], &before)?;
        rounds.push(begun.elapsed());
    }
    drop(gate);
    worst("gate: the lower priority runs after the higher has ended, worst", &rounds, 20.0, 1)
}

/// Three are held by another process, which is killed.
pub(super) fn killed() -> Result<Measurement> {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let three = [Busy::start()?, Busy::start()?, Busy::start()?];
        let pids = three.each_ref().map(|busy| busy.pid().to_string()).join(",");
        let mut holder = Command::new(std::env::current_exe()?);
        let holder = holder.args(["--one-round-of", &format!("sched-holder:{pids}")]).stdout(Stdio::piped());
        let mut holder = Busy(holder.spawn()?);
        let lines = BufReader::new(holder.0.stdout.take().ok_or("it has an output")?).lines();
        if !lines.map_while(std::result::Result::ok).any(|line| line == "holding") {
            return Err("the holder of a gate ended early".into());
        }
        until("all but one should be stopped", || {
            let stopped = three.iter().map(Busy::is_stopped).collect::<Result<Vec<bool>>>()?;
            Ok(stopped.into_iter().filter(|&is| is).count() == 2)
        })?;
        let stopped = three.each_ref();
        let before = used(&stopped)?;
        let begun = Instant::now();
        holder.end()?;
        until("nobody should be stopped", || {
            let stopped = three.iter().map(Busy::is_stopped).collect::<Result<Vec<bool>>>()?;
            Ok(stopped.into_iter().all(|is| !is))
        })?;
        rounds.push(begun.elapsed());
        all_run(&stopped, &before)?;
    }
    worst("gate: nobody is stopped after its holder was killed, worst", &rounds, 100.0, 3)
}

/// The role of the one that is killed.
pub(crate) fn hold(pids: &str) -> Result<()> {
    let gate = Gate::start(Policy::ROUND_ROBIN, CPU)?;
    for pid in pids.split(',') {
        gate.hold(pid.parse()?, Weight::DEFAULT)?;
    }
    println!("holding");
    sleep(Duration::from_secs(600));
    Ok(())
}

fn worst(name: &'static str, rounds: &[Duration], most_ms: f64, others: usize) -> Result<Measurement> {
    let ms = |time: &Duration| time.as_secs_f64() * 1e3;
    let ends = |rounds: &[Duration]| {
        let all = rounds.iter().map(ms);
        (all.clone().fold(f64::INFINITY, f64::min), all.fold(0.0, f64::max))
    };
    let ((ours_best, ours), (peer_best, peer)) = (ends(rounds), ends(&bare(others)?));
    Ok(Measurement::new(
        name,
        "ms",
        (ours_best, ours),
        ("bare SIGCONT", (peer_best, peer)),
        peer / ours,
        (format!("≤ {most_ms} ms"), ours <= most_ms),
        rounds.len(),
    ))
}

/// How long it takes from a signal until so many run.
fn bare(many: usize) -> Result<Vec<Duration>> {
    let busy: Vec<Busy> = (0..many).map(|_| Busy::start()).collect::<Result<_>>()?;
    let all: Vec<&Busy> = busy.iter().collect();
    let one = |_| {
        busy.iter().try_for_each(|busy| busy.send(Signal::STOP))?;
        until("it should be stopped", || {
            busy.iter().try_fold(true, |all, busy| Ok(all && busy.is_stopped()?))
        })?;
        let before = used(&all)?;
        let begun = Instant::now();
        busy.iter().try_for_each(|busy| busy.send(Signal::CONT))?;
        all_run(&all, &before)?;
        Ok(begun.elapsed())
    };
    (0..ROUNDS).map(one).collect()
}
