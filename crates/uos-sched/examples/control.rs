//! Runs busy real processes on one CPU under a policy and prints what each got, as JSON.
//!
//! `cargo run --release -p uos-sched --example control -- --policy P --weights 1,2,4,8 --cpu 0 --seconds 5`
//!
//! `fair` and `eevdf` share by weight: the kernel's, unless a gate is asked for by `--gate`. `round-robin` and `priority`
//! are strict and always at a gate; under `priority` the weights are priorities, and all is the highest one's.

use std::error::Error;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use uos_sched::{Controller, Cpu, CpuSet, Gate, Nanos, OsControl, Policy, Priority, Wanted, Weight};

const USAGE: &str =
    "control [--policy fair|eevdf|round-robin|priority] [--gate] [--weights 1,2,4,8] [--cpu 0] [--seconds 5]";

fn main() -> Result<(), Box<dyn Error>> {
    let (mut policy, mut weights) = ("fair".to_owned(), vec![1, 2, 4, 8]);
    let (mut cpu, mut seconds, mut gated) = (0, 5, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--burn" => burn(),
            "--gate" => {
                gated = true;
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
            _ => return Err(USAGE.into()),
        }
    }
    let policy = Policy::named(&policy).ok_or(USAGE)?;
    let strict = matches!(policy, Policy::RoundRobin { .. } | Policy::Priority { .. });
    let mut control = match gated || strict {
        true => Control::Gate(Gate::start(policy, Cpu(cpu))?),
        false => Control::Weights(OsControl::probe()),
    };
    let mut burners = Vec::new();
    let program = std::env::current_exe()?;
    for &weight in &weights {
        let burner = Burner(Command::new(&program).arg("--burn").stdin(Stdio::null()).spawn()?);
        control.take(burner.0.id(), weight, Cpu(cpu), policy)?;
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
    Ok(())
}

/// A process that is ended with whoever started it.
struct Burner(Child);

impl Drop for Burner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
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
    fn take(&mut self, pid: u32, weight: u32, cpu: Cpu, policy: Policy) -> Result<(), Box<dyn Error>> {
        let affinity = CpuSet::only(cpu);
        let heavy = || Weight::new(weight.saturating_mul(1024));
        match (self, policy) {
            (Control::Gate(gate), Policy::Priority { .. }) => {
                gate.hold(pid, Priority(u8::try_from(weight)?))?;
            }
            (control, _) => {
                let wanted = Wanted { weight: heavy()?, quota: None, affinity };
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
