//! Tells what this machine can enforce, for each guarantee at each level.
//!
//! ```text
//! cargo run -p uos-proc --example doctor -- [--json]
//! ```
//!
//! Exits with 1 if a level can't be had.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use serde_json::{Map, Value, json};
use uos_proc::{Guarantee, Level, LinuxSpawner, Means, Spawner, Support};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let as_json = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--json"] => true,
        _ => {
            eprintln!("usage: doctor [--json]");
            return Ok(ExitCode::from(2));
        }
    };
    let support = LinuxSpawner::new()?.probe();
    let text = if as_json { format!("{:#}\n", json(&support)) } else { table(&support) };
    std::io::stdout().write_all(text.as_bytes())?;
    let has_all = Level::ALL.iter().all(|level| support.missing(*level).is_empty());
    Ok(if has_all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn table(support: &Support) -> String {
    let mut lines = Vec::new();
    for level in Level::ALL {
        let missing = support.missing(level);
        let verdict = if missing.is_empty() { "can be had" } else { "can't be had" };
        lines.push(format!("{level:?}: {verdict}"));
        for (guarantee, means) in support.iter(level) {
            let lacks = missing.iter().any(|(lacking, _)| *lacking == guarantee);
            let mark = if lacks { '!' } else { ' ' };
            lines.push(format!("  {mark} {:<18} {means}", guarantee.to_string()));
        }
    }
    lines.join("\n") + "\n"
}

fn json(support: &Support) -> Value {
    let of = |level: Level| {
        let missing = support.missing(level);
        let missing: Vec<String> = missing.iter().map(|(guarantee, _)| guarantee.to_string()).collect();
        let guarantees: Map<String, Value> = support.iter(level).map(entry).collect();
        json!({ "available": missing.is_empty(), "missing": missing, "guarantees": guarantees })
    };
    Level::ALL.iter().map(|level| (format!("{level:?}").to_lowercase(), of(*level))).collect()
}

fn entry((guarantee, means): (Guarantee, &Means)) -> (String, Value) {
    let state = match means {
        Means::Enforced { .. } => "enforced",
        Means::Weakened { .. } => "weakened",
        Means::Absent { .. } => "absent",
    };
    (guarantee.to_string(), json!({ "state": state, "reason": means.reason() }))
}
