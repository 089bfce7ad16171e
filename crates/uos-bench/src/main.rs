//! Side-by-side measurements: ours and a peer in one run, interleaved, best and median.
//!
//! `cargo xtask bench [NAME] [--json]` runs them; without `--json` each group is also written to its page in
//! `docs/benchmarks`.
#![deny(unsafe_code)]

mod calm;
mod channels;
mod echo;
mod invoke;
mod ipc;
mod proc;
mod report;
mod sched;
mod vfs;
mod waiting;
mod windows;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use report::Measurement;

/// Measure uOS beside its peers.
#[derive(Parser)]
struct Arguments {
    /// Which group; all if left out.
    #[arg(value_parser = GROUPS.map(|(name, _)| name))]
    name: Option<String>,
    /// One JSON object a measurement, and nothing else.
    #[arg(long)]
    json: bool,
    /// Where to write the pages.
    #[arg(long, default_value = "docs/benchmarks")]
    out: PathBuf,
    /// What a measurement runs itself for, in a process that has done nothing yet.
    #[arg(long, hide = true)]
    one_round_of: Option<String>,
}

/// Measures all of a group.
type Measure = fn() -> Result<Vec<Measurement>>;

/// What is measured together, by what it is about.
const GROUPS: [(&str, Measure); 6] = [
    ("ipc", ipc::measure),
    ("proc", proc::measure),
    ("sched", sched::measure),
    ("syscall", syscall),
    ("server", windows::measure),
    ("vfs", vfs::measure),
];

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(which) = &arguments.one_round_of {
        let round = match which.split_once(':') {
            Some(("sched-memory", policy)) => sched::memory_of(policy),
            Some(("sched-holder", pids)) => sched::hold(pids),
            Some(("proc-parent", size)) => proc::be_a_parent(size),
            _ if which == "ipc" => ipc::be_the_peer(),
            _ if which == "waiting" => waiting::one_round(),
            _ => vfs::one_round_of(which),
        };
        return match round {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("uos-bench: {error}");
                ExitCode::from(2)
            }
        };
    }
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
    let mut holds = true;
    for (name, measure) in GROUPS {
        if arguments.name.as_deref().is_some_and(|wanted| wanted != name) {
            continue;
        }
        let all = measure()?;
        for measurement in &all {
            if arguments.json {
                println!("{}", serde_json::to_string(measurement)?);
            } else {
                println!("{measurement}");
            }
        }
        if !arguments.json {
            let page = arguments.out.join(format!("{name}.md"));
            std::fs::create_dir_all(&arguments.out)?;
            std::fs::write(&page, report::document(name, &all))?;
            println!("written to {}", page.display());
        }
        holds &= all.iter().all(|measurement| measurement.holds);
    }
    Ok(holds)
}

fn syscall() -> Result<Vec<Measurement>> {
    let mut all = invoke::measure()?;
    all.extend(echo::measure()?);
    all.extend(channels::measure()?);
    all.extend(waiting::measure()?);
    Ok(all)
}
