//! Simulates a workload file, prints a chart and who got what beside what it was owed.
//!
//! `cargo run --release -p uos-sched --example simulate -- WORKLOAD [--policy P] [--svg FILE]`

mod chart;
mod machine;
mod workload;

use machine::Machine;
use std::error::Error;
use std::time::Instant;
use uos_sched::{Nanos, Policy};

const USAGE: &str = "simulate WORKLOAD [--policy round-robin|priority|fair|eevdf] [--svg FILE]";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (mut file, mut policy, mut svg) = (None, None, None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--policy" => policy = Some(arguments.next().ok_or(USAGE)?),
            "--svg" => svg = Some(arguments.next().ok_or(USAGE)?),
            _ => file = Some(argument),
        }
    }
    let file = file.ok_or(USAGE)?;
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    let mut workload = workload::parse(&text).map_err(|why| format!("{file}, {why}"))?;
    if let Some(name) = policy {
        let slice = workload.policy.slice();
        workload.policy = Policy::named(&name).ok_or(USAGE)?.with_slice(slice);
    }

    let begun = Instant::now();
    let mut machine = Machine::new(&workload, workload.until.min(Nanos::from_millis(200)))?;
    machine.run(workload.until)?;
    let took = begun.elapsed();
    print!("{}", chart::text(&machine));
    report(&machine);
    println!("{} s simulated in {:.2} s", workload.until.as_micros() / 1_000_000, took.as_secs_f64());
    if let Some(path) = svg {
        let title = format!("{}, {} CPU", workload.policy.name(), workload.cpus);
        std::fs::write(&path, chart::svg(&machine, &title)).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(())
}

fn report(machine: &Machine) {
    println!("\n  task               weight  ran ms      owed ms     lag ms  waits     mean wait us");
    let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
    for (at, one) in machine.tasks.iter().enumerate() {
        let Some(books) = machine.books(at) else { continue };
        let ms = |time: Nanos| time.as_micros() as f64 / 1000.0;
        if books.entitled > Nanos::ZERO {
            let part = books.runtime.0 as f64 / books.entitled.0 as f64;
            (sum, squares, count) = (sum + part, squares + part * part, count + 1.0);
        }
        if at < 40 {
            println!(
                "{} {:<18} {:>6}  {:>10.1}  {:>10.1}  {:>9.1}  {:>8}  {:>8.0}",
                chart::letter(at),
                one.task.name,
                books.weight.get(),
                ms(books.runtime),
                ms(books.entitled),
                books.lag_ns() as f64 / 1e6,
                books.waits,
                books.waited.as_micros() as f64 / books.waits.max(1) as f64,
            );
        }
    }
    if machine.tasks.len() > 40 {
        println!("  and {} more", machine.tasks.len() - 40);
    }
    let stats = machine.sched.stats();
    println!(
        "\n{}: {} decisions, {} switches, {} preemptions, {} migrations",
        stats.policy, stats.scheduled, stats.context_switches, stats.preemptions, stats.migrations
    );
    let wait = |thousandths| machine.sched.wait_times().quantile(thousandths).map_or(0, Nanos::as_micros);
    println!("waits: half up to {} us, 99 % up to {} us", wait(500), wait(990));
    println!("Jain's index of what was got over what was owed: {:.6}", sum * sum / (squares * count));
    let exact = if stats.runtime == machine.busy { "exactly" } else { "NOT" };
    println!("charged {} ns, {exact} what the CPUs were busy", stats.runtime.0);
}
