//! Runs busy real processes on one CPU under a policy and prints what each got, as JSON.
//!
//! `cargo run --release -p uos-sched --example control -- --policy P --weights 1,2,4,8 --cpu 0 --seconds 5`
//!
//! `fair` and `eevdf` share by weight, `round-robin` alike. `priority` is refused: no weight is strict.

use std::error::Error;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use uos_sched::{Controller, Cpu, CpuSet, Nanos, OsControl, Wanted, Weight};

const USAGE: &str = "control [--policy fair|eevdf|round-robin] [--weights 1,2,4,8] [--cpu 0] [--seconds 5]";

fn main() -> Result<(), Box<dyn Error>> {
    let (mut policy, mut weights) = ("fair".to_owned(), vec![1, 2, 4, 8]);
    let (mut cpu, mut seconds) = (0, 5);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--burn" {
            burn();
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
    match policy.as_str() {
        "fair" | "eevdf" => {}
        "round-robin" => weights.fill(1),
        "priority" => {
            return Err("strict priorities can't be had from weights, which is what there is".into());
        }
        _ => return Err(USAGE.into()),
    }

    let mut control = OsControl::probe();
    let mut burners = Vec::new();
    let program = std::env::current_exe()?;
    for weight in &weights {
        let child = Command::new(&program).arg("--burn").stdin(Stdio::null()).spawn()?;
        let burner = Burner(child);
        let weight = Weight::new(weight.checked_mul(1024).ok_or(USAGE)?)?;
        control.adopt(burner.0.id(), &Wanted { weight, quota: None, affinity: CpuSet::only(Cpu(cpu)) })?;
        burners.push(burner);
    }
    let used = |control: &mut OsControl| -> Result<Vec<Nanos>, Box<dyn Error>> {
        burners.iter().map(|burner| Ok(control.used(burner.0.id())?)).collect()
    };
    // They start one after the other; counted is from when all of them run.
    std::thread::sleep(Duration::from_millis(200));
    let (before, own) = (used(&mut control)?, control_cpu()?);
    std::thread::sleep(Duration::from_secs(seconds));
    let (after, own) = (used(&mut control)?, control_cpu()?.since(own));

    let ran: Vec<u64> = before.iter().zip(&after).map(|(before, after)| after.since(*before).0).collect();
    let (all, sum) = (ran.iter().sum::<u64>() as f64, weights.iter().sum::<u32>() as f64);
    let rows = ran.iter().zip(&weights).zip(&burners).map(|((&ran, &weight), burner)| {
        let (share, entitlement) = (ran as f64 / all, f64::from(weight) / sum);
        (burner.0.id(), weight, ran as f64 / 1e9, share, entitlement)
    });
    let rows: Vec<_> = rows.collect();
    let parts: Vec<f64> = rows.iter().map(|row| row.3 / row.4).collect();
    let squares: f64 = parts.iter().map(|part| part * part).sum();
    let jain = parts.iter().sum::<f64>().powi(2) / (squares * parts.len() as f64);
    let error = parts.iter().map(|part| (part - 1.0).abs()).fold(0.0, f64::max);
    let rows = rows.iter().map(|(pid, weight, seconds, share, entitlement)| {
        format!("{{\"pid\":{pid},\"weight\":{weight},\"cpu_seconds\":{seconds:.6},\"share\":{share:.6},\"entitlement\":{entitlement:.6}}}")
    });
    let rows = rows.collect::<Vec<_>>().join(",");
    let own = own.0 as f64 / (seconds as f64 * 1e9);
    println!(
        "{{\"processes\":[{rows}],\"relative_error\":{error:.6},\"jain\":{jain:.8},\"controller_cpu\":{own:.6},\"means\":\"{:?}\"}}",
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

/// What this process has had itself.
fn control_cpu() -> Result<Nanos, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    Ok(Nanos(text.split(' ').next().ok_or("schedstat has fields")?.parse()?))
}
