//! Side-by-side measurements: ours and a peer in one run, interleaved, best and median.
//!
//! `cargo xtask bench [NAME] [--json]` runs them; without `--json` they are also written to `docs/benchmarks.md`.
#![forbid(unsafe_code)]

mod echo;
mod invoke;
mod report;
mod sched;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use report::Measurement;

/// Measure uOS beside its peers.
#[derive(Parser)]
struct Arguments {
    /// Which group; all if left out.
    #[arg(value_parser = ["sched", "syscall"])]
    name: Option<String>,
    /// One JSON object a measurement, and nothing else.
    #[arg(long)]
    json: bool,
    /// Where to write the document: `docs/benchmarks.md`, or for the scheduler alone `docs/benchmarks-sched.md`.
    #[arg(long)]
    out: Option<PathBuf>,
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match measure(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("at least one target does not hold");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("uos-bench: {error}");
            ExitCode::from(2)
        }
    }
}

fn measure(arguments: &Arguments) -> Result<bool> {
    let wants = |group: &str| arguments.name.as_deref().is_none_or(|name| name == group);
    let mut all: Vec<Measurement> = Vec::new();
    if wants("sched") {
        all.extend(sched::measure()?);
    }
    if wants("syscall") {
        all.extend(invoke::measure()?);
        all.extend(echo::measure()?);
    }
    for measurement in &all {
        if arguments.json {
            println!("{}", serde_json::to_string(measurement)?);
        } else {
            println!("{measurement}");
        }
    }
    if !arguments.json {
        let usual = if arguments.name.as_deref() == Some("sched") {
            "docs/benchmarks-sched.md"
        } else {
            "docs/benchmarks.md"
        };
        let out = arguments.out.clone().unwrap_or_else(|| usual.into());
        std::fs::write(&out, report::document(&all))?;
        println!("written to {}", out.display());
    }
    Ok(all.iter().all(|measurement| measurement.holds))
}
