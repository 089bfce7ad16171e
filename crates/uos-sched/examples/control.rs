//! Runs busy real processes on one CPU under a policy and prints what each got, as JSON.
//!
//! `cargo run --release -p uos-sched --example control -- --policy P --weights 1,2,4,8 --cpu 0 --seconds 5`
//!
//! `fair` and `eevdf` share by weight: the kernel's by the best means there are, or by the one that `--backend` names:
//! `v2`, `v1`, `nice` or `gate`. `round-robin` and `priority` are strict and always at a gate; under `priority` the
//! weights are priorities, and all is the highest one's. `--quota PERCENT` keeps each to so much of a CPU at the most.
//! `--fail-above PERCENT` makes it a check: it fails if any share, or any quota, is off by more than that.

use std::error::Error;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use uos_sched::{
    Controller, Cpu, CpuSet, Gate, Means, Nanos, OsControl, Policy, Priority, Quota, Wanted, Weight,
};

const USAGE: &str = "control [--policy fair|eevdf|round-robin|priority] [--backend v2|v1|nice|gate] [--weights 1,2,4,8] \
    [--quota PERCENT] [--cpu 0] [--seconds 5] [--fail-above PERCENT]";

fn main() -> Result<(), Box<dyn Error>> {
    let (mut policy, mut weights) = ("fair".to_owned(), vec![1, 2, 4, 8]);
    let (mut cpu, mut seconds, mut backend) = (0, 5, None);
    let (mut quota, mut most) = (None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--burn" => burn(),
            // As it was called before there were others.
            "--gate" => {
                backend = Some("gate".to_owned());
                continue;
            }
            _ => {}
        }
        let value = arguments.next().ok_or(USAGE)?;
        match argument.as_str() {
            "--policy" => policy = value,
            "--weights" => weights = value.split(',').map(str::parse).collect::<Result<Vec<u32>, _>>()?,
            "--cpu" => cpu = value.parse()?,
            "--seconds" => seconds = value.parse()?,
            "--backend" => backend = Some(value),
            "--quota" => quota = Some(value.parse::<u64>()?),
            "--fail-above" => most = Some(value.parse::<f64>()? / 100.0),
            _ => return Err(USAGE.into()),
        }
    }
    let policy = Policy::named(&policy).ok_or(USAGE)?;
    let strict = matches!(policy, Policy::RoundRobin { .. } | Policy::Priority { .. });
    let mut control = match (backend.as_deref(), strict) {
        (None | Some("gate"), true) | (Some("gate"), false) => Control::Gate(Gate::start(policy, Cpu(cpu))?),
        (None, false) => Control::Weights(OsControl::probe()),
        (Some("v2"), false) => Control::Weights(OsControl::by(Means::CgroupV2)?),
        (Some("v1"), false) => Control::Weights(OsControl::by(Means::CgroupV1)?),
        (Some("nice"), false) => Control::Weights(OsControl::by(Means::Nice)?),
        _ => return Err(USAGE.into()),
    };
    let part = quota.map(percent_of_a_cpu).transpose()?;
    let mut burners = Vec::new();
    let program = std::env::current_exe()?;
    for &weight in &weights {
        let burner = Burner(Command::new(&program).arg("--burn").stdin(Stdio::null()).spawn()?);
        control.take(burner.0.id(), weight, Cpu(cpu), policy, part)?;
        burners.push(burner);
    }
    // What each should have: its part, the same part, or everything if nobody is above it.
    let highest = weights.iter().max().copied().unwrap_or(0);
    for weight in &mut weights {
        *weight = match policy {
            Policy::RoundRobin { .. } => 1,
            Policy::Priority { .. } => u32::from(*weight == highest),
            _ => *weight,
        };
    }
    let used = |control: &mut Control| -> Result<Vec<Nanos>, Box<dyn Error>> {
        burners.iter().map(|burner| Ok(control.controller().used(burner.0.id())?)).collect()
    };
    // They start one after the other; counted is from when all of them run.
    std::thread::sleep(Duration::from_millis(200));
    let (before, own) = (used(&mut control)?, control.own_cpu()?);
    std::thread::sleep(Duration::from_secs(seconds));
    let (after, own) = (used(&mut control)?, control.own_cpu()?.since(own));

    let ran: Vec<u64> = before.iter().zip(&after).map(|(before, after)| after.since(*before).0).collect();
    let (all, sum) = (ran.iter().sum::<u64>() as f64, weights.iter().sum::<u32>() as f64);
    let rows = ran.iter().zip(&weights).zip(&burners).map(|((&ran, &weight), burner)| {
        let (share, entitlement) = (ran as f64 / all, f64::from(weight) / sum);
        (burner.0.id(), weight, ran as f64 / 1e9, share, entitlement)
    });
    let rows: Vec<_> = rows.collect();
    let parts: Vec<f64> = rows.iter().filter(|row| row.4 > 0.0).map(|row| row.3 / row.4).collect();
    let squares: f64 = parts.iter().map(|part| part * part).sum();
    let jain = parts.iter().sum::<f64>().powi(2) / (squares * parts.len() as f64);
    let error = parts.iter().map(|part| (part - 1.0).abs()).fold(0.0, f64::max);
    let rows = rows.iter().map(|(pid, weight, seconds, share, entitlement)| {
        format!("{{\"pid\":{pid},\"weight\":{weight},\"cpu_seconds\":{seconds:.6},\"share\":{share:.6},\"entitlement\":{entitlement:.6}}}")
    });
    let rows = rows.collect::<Vec<_>>().join(",");
    let own = own.0 as f64 / (seconds as f64 * 1e9);
    println!(
        "{{\"processes\":[{rows}],\"relative_error\":{error:.6},\"jain\":{jain:.8},\"controller_cpu\":{own:.6},\"means\":\"{}\"}}",
        control.means()
    );
    match (most, quota) {
        // Kept to a part of a CPU they may be too few to divide all of it, so that nothing follows about shares.
        (Some(most), Some(percent)) => {
            let allowed = percent as f64 / 100.0 * seconds as f64 * (1.0 + most);
            let above = ran.iter().any(|&ran| ran as f64 / 1e9 > allowed);
            if above { Err("somebody had more than its quota".into()) } else { Ok(()) }
        }
        (Some(most), None) if error > most => Err(format!("a share is off by {:.2} %", error * 100.0).into()),
        _ => Ok(()),
    }
}

/// A process that is ended with whoever started it.
struct Burner(Child);

impl Drop for Burner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// So much of a CPU in every tenth of a second.
fn percent_of_a_cpu(percent: u64) -> Result<Quota, Box<dyn Error>> {
    Ok(Quota::new(Nanos::from_millis(100), Nanos::from_millis(percent))?)
}

/// Uses up all it gets, for as long as its parent lives.
fn burn() -> ! {
    let parent = std::os::unix::process::parent_id();
    let mut sum = 0u64;
    loop {
        for step in 0..50_000_000u64 {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(step));
        }
        if std::os::unix::process::parent_id() != parent {
            std::process::exit(0);
        }
    }
}

/// Who lets them run.
enum Control {
    Weights(OsControl),
    Gate(Gate),
}

impl Control {
    fn take(
        &mut self,
        pid: u32,
        weight: u32,
        cpu: Cpu,
        policy: Policy,
        quota: Option<Quota>,
    ) -> Result<(), Box<dyn Error>> {
        let affinity = CpuSet::only(cpu);
        let heavy = || Weight::new(weight.saturating_mul(1024));
        match (self, policy) {
            (Control::Gate(gate), Policy::Priority { .. }) => {
                gate.hold(pid, Priority(u8::try_from(weight)?))?;
            }
            (control, _) => {
                let wanted = Wanted { weight: heavy()?, quota, affinity, ..Wanted::default() };
                control.controller().adopt(pid, &wanted)?;
            }
        }
        Ok(())
    }

    fn controller(&mut self) -> &mut dyn Controller {
        match self {
            Control::Weights(control) => control,
            Control::Gate(gate) => gate,
        }
    }

    fn means(&self) -> String {
        match self {
            Control::Weights(control) => format!("{:?}", control.means()),
            Control::Gate(gate) if gate.is_realtime() => "Gate".into(),
            Control::Gate(_) => "Gate, not real-time".into(),
        }
    }

    /// What controlling took. A gate has a thread of its own; weights need nobody once they are set.
    fn own_cpu(&self) -> Result<Nanos, Box<dyn Error>> {
        if let Control::Gate(gate) = self {
            return Ok(gate.own_cpu_time()?);
        }
        let text = std::fs::read_to_string("/proc/self/schedstat")?;
        Ok(Nanos(text.split(' ').next().ok_or("schedstat has fields")?.parse()?))
    }
}
