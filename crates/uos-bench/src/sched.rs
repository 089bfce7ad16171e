//! Decisions of the scheduler beside the plain data structure each policy would otherwise be written with.
//!
//! Ours is the whole call, `switch`, with its checks, books and statistics; a peer is only the structure: taken out,
//! charged, put in again. Counted is the CPU time of the calling thread; how what others do on the processor's core is
//! kept out is said in `decisions`.

mod decisions;
mod gate;
mod peers;
mod shares;
mod treap;

use std::{hint::black_box, process::Command};

pub(crate) use gate::hold;
use rustix::{
    process::{Pid, setpriority_process},
    time::{ClockId, clock_gettime},
};
use uos_sched::{
    Controller, Cpu, Nanos, OsControl, Policy, Priority, SchedError, Scheduler, Spec, Switch, TaskId, Wanted,
    Weight, Why,
};

use crate::{
    Result,
    report::{Measurement, summary},
};

const ROUNDS: usize = 15;
const SLICE_US: u64 = 4_000;

/// All policies at all sizes, then what changes while tasks run.
pub(crate) fn measure() -> Result<Vec<Measurement>> {
    let mut all = decisions::measure()?;
    for (name, policy) in [
        ("round-robin memory per task, 1e6", "round-robin"),
        ("fair memory per task, 1e6", "fair"),
        ("EEVDF memory per task, 1e6", "eevdf"),
    ] {
        all.push(memory(name, policy)?);
    }
    all.extend(changes()?);
    all.push(real()?);
    all.extend(shares::by_weight()?);
    all.extend(shares::by_turns()?);
    all.push(gate::next_in_line()?);
    all.push(gate::killed()?);
    Ok(all)
}

const MANY: u32 = 1_000_000;

/// What a process has grown by, for each task, when it has made a scheduler with a million tasks and let each of
/// them run twice. A process of its own each time: one that has done something else has memory lying idle.
fn memory(name: &'static str, policy: &str) -> Result<Measurement> {
    let mut rounds = Vec::new();
    for _ in 0..3 {
        let which = format!("sched-memory:{policy}");
        let output = Command::new(std::env::current_exe()?).args(["--one-round-of", &which]).output()?;
        rounds.push(String::from_utf8(output.stdout)?.trim().parse::<f64>()?);
    }
    let (n, (ours_best, ours)) = (rounds.len(), summary(rounds, true));
    let bare = (size_of::<(u64, u32, u32)>() + size_of::<u32>()) as f64;
    Ok(Measurement::new(
        name,
        "B",
        (ours_best, ours),
        ("key, id and weight alone", (bare, bare)),
        bare / ours,
        ("≤ 128 B".into(), ours <= 128.0),
        n,
    ))
}

/// One round of that: the bytes a task.
pub(crate) fn memory_of(policy: &str) -> Result<()> {
    let policy = Policy::named(policy).ok_or("no such policy")?;
    let before = resident()?;
    let (mut sched, ids) = filled(policy, MANY)?;
    let (mut now, mut random) = (Nanos::ZERO, 7);
    sched.pick(Cpu(0), now)?;
    for _ in 0..2 * MANY {
        step(&mut sched, &mut now, part(&mut random))?;
    }
    // The list of ids is the caller's.
    let own = resident()?.saturating_sub(before + ids.capacity() * size_of::<TaskId>());
    println!("{:.1}", own as f64 / f64::from(MANY));
    drop(sched);
    Ok(())
}

/// How much memory this process has, in bytes.
pub(crate) fn resident() -> Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("a process has memory")?;
    let kib: usize = line.split_whitespace().nth(1).ok_or("which is a number")?.parse()?;
    Ok(kib * 1024)
}

/// Another weight for a real process, by the best means there are, beside the one system call that sets a nice value.
fn real() -> Result<Measurement> {
    const CALLS: u32 = 2_000;
    let mut process = Command::new("sleep").arg("600").spawn()?;
    let pid = process.id();
    let measured = (|| {
        let mut control = OsControl::probe();
        let wanted =
            |weight: u32| Ok::<_, SchedError>(Wanted { weight: Weight::new(weight)?, ..Wanted::default() });
        control.adopt(pid, &wanted(1024)?)?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let begun = cpu_ns();
            for call in 0..CALLS {
                control.apply(pid, &wanted(1024 + 512 * (1 + call % 2))?)?;
            }
            let between = cpu_ns();
            for call in 0..CALLS {
                setpriority_process(Some(Pid::from_child(&process)), (call % 2) as i32)?;
            }
            // The first round warms both up.
            if round > 0 {
                ours.push((between - begun) / f64::from(CALLS));
                theirs.push((cpu_ns() - between) / f64::from(CALLS));
            }
        }
        Ok::<_, Box<dyn std::error::Error>>((summary(ours, true), summary(theirs, true)))
    })();
    process.kill()?;
    process.wait()?;
    let ((ours_best, ours), (peer_best, peer)) = measured?;
    Ok(Measurement::new(
        "change the weight of a real process",
        "ns",
        (ours_best, ours),
        ("bare setpriority", (peer_best, peer)),
        peer / ours,
        ("≤ 2500 ns".into(), ours <= 2_500.0),
        ROUNDS,
    ))
}

/// Weights of random nice values, the same every time.
fn weight(task: u32) -> u32 {
    let mut random = u64::from(task).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    random ^= random >> 29;
    let nice = random.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32 & 31;
    Priority((nice * 8) as u8).weight().get()
}

fn priority(task: u32) -> Priority {
    Priority((task.wrapping_mul(2_654_435_761) >> 24) as u8)
}

fn filled(policy: Policy, tasks: u32) -> Result<(Scheduler, Vec<TaskId>)> {
    let mut sched = Scheduler::new(policy, 1)?;
    sched.reserve(tasks as usize);
    let ids = (0..tasks).map(|task| {
        let spec = Spec::default().priority(priority(task)).weight(Weight::new(weight(task))?);
        sched.add(spec, Nanos::ZERO)
    });
    let ids = ids.collect::<std::result::Result<_, _>>()?;
    Ok((sched, ids))
}

/// Any part of a slice, at random: who shares a CPU seldom uses up what it is given. The same for both sides.
fn part(random: &mut u64) -> u64 {
    *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*random >> 33) % SLICE_US + 1
}

/// Somebody runs already.
fn step(sched: &mut Scheduler, now: &mut Nanos, ran_us: u64) -> Result<()> {
    *now = *now + Nanos::from_micros(ran_us);
    let Switch { from, to } = sched.switch(Cpu(0), *now, Why::Expired)?;
    let next = to.ok_or("somebody always waits")?;
    black_box((from, next.task, next.slice));
    Ok(())
}

/// Joining, leaving and reweighing among a hundred thousand. The peer's figure is of the nearest existing system,
/// measured apart on a machine of this kind.
fn changes() -> Result<Vec<Measurement>> {
    const TASKS: u32 = 100_000;
    const NEAREST_NS: f64 = 2_700_000.0;
    let mut all = Vec::new();
    for (policy, names) in [
        (Policy::FAIR, ["fair add+remove, 1e5", "fair change weight, 1e5"]),
        (Policy::EEVDF, ["EEVDF add+remove, 1e5", "EEVDF change weight, 1e5"]),
        (Policy::PRIORITY, ["priority add+remove, 1e5", "priority change priority, 1e5"]),
    ] {
        let (mut sched, mut ids) = filled(policy, TASKS)?;
        let mut now = Nanos::ZERO;
        sched.pick(Cpu(0), now)?;
        for _ in 0..2 * TASKS {
            step(&mut sched, &mut now, SLICE_US)?;
        }
        sched.put_back(Cpu(0), now, Why::Expired)?;
        let (mut replace, mut reweigh) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS as u32 {
            let begun = cpu_ns();
            for at in 0..TASKS / 4 {
                let at = (at.wrapping_mul(7_919).wrapping_add(round) % TASKS) as usize;
                sched.remove(ids[at], now)?;
                ids[at] = sched.add(Weight::new(weight(at as u32))?, now)?;
            }
            let between = cpu_ns();
            for at in 0..TASKS / 4 {
                let at = (at.wrapping_mul(104_729).wrapping_add(round) % TASKS) as usize;
                match policy {
                    Policy::Priority { .. } => {
                        sched.set_priority(ids[at], priority(round + at as u32), now)?;
                    }
                    _ => sched.set_weight(ids[at], Weight::new(weight(round + at as u32))?, now)?,
                }
            }
            replace.push((between - begun) / f64::from(TASKS / 4));
            reweigh.push((cpu_ns() - between) / f64::from(TASKS / 4));
        }
        for (name, rounds) in names.into_iter().zip([replace, reweigh]) {
            let (ours_best, ours) = summary(rounds, true);
            all.push(Measurement::new(
                name,
                "ns",
                (ours_best, ours),
                ("nearest system, measured apart", (NEAREST_NS, NEAREST_NS)),
                NEAREST_NS / ours,
                ("≤ 2000 ns".into(), ours <= 2_000.0),
                ROUNDS,
            ));
        }
    }
    Ok(all)
}

/// What this thread has had of its CPU.
pub(crate) fn cpu_ns() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

#[cfg(test)]
mod tests {
    use super::{Nanos, Policy, SLICE_US};
    use uos_sched::Quantum;

    #[test]
    fn both_sides_run_the_same_slices() {
        let slice = Quantum::new(Nanos::from_micros(SLICE_US)).unwrap();
        assert_eq!((Policy::FAIR.slice(), Policy::EEVDF.slice()), (slice, slice));
    }
}
