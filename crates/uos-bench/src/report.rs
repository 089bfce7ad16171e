//! What a measurement says, as a line, as JSON and as a document.

use std::{fmt, process::Command};

use serde::Serialize;

/// One thing measured beside its peer.
#[derive(Debug, Serialize)]
pub(crate) struct Measurement {
    pub(crate) name: &'static str,
    /// Our median.
    pub(crate) ours: f64,
    /// Our best.
    pub(crate) ours_best: f64,
    /// The peer's median, or its one known figure.
    pub(crate) peer: f64,
    pub(crate) peer_best: f64,
    pub(crate) peer_name: &'static str,
    pub(crate) unit: &'static str,
    /// Medians, written so that larger is better for us.
    pub(crate) ratio: f64,
    pub(crate) target: String,
    pub(crate) holds: bool,
    /// How many rounds.
    pub(crate) n: usize,
    /// Where only the rounds count in which the core was calm: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) whole: Option<Whole>,
}

/// How many rounds there were, and the medians of all of them.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Whole {
    pub(crate) n: usize,
    pub(crate) ours: f64,
    pub(crate) peer: f64,
}

impl Measurement {
    /// Of all rounds alike, each side's best and median as [`summary`] gives them; with the ratio, larger for what is better
    /// for us, and the target and whether it holds.
    pub(crate) fn new(
        name: &'static str,
        unit: &'static str,
        (ours_best, ours): (f64, f64),
        (peer_name, (peer_best, peer)): (&'static str, (f64, f64)),
        ratio: f64,
        (target, holds): (String, bool),
        n: usize,
    ) -> Self {
        let whole = None;
        Measurement {
            name,
            ours,
            ours_best,
            peer,
            peer_best,
            peer_name,
            unit,
            ratio,
            target,
            holds,
            n,
            whole,
        }
    }
}

/// The best and the median of rounds, where `smaller` says which end is the best.
pub(crate) fn summary(mut rounds: Vec<f64>, smaller: bool) -> (f64, f64) {
    rounds.sort_by(f64::total_cmp);
    let best = if smaller { rounds.first() } else { rounds.last() };
    (best.copied().unwrap_or(f64::NAN), rounds.get(rounds.len() / 2).copied().unwrap_or(f64::NAN))
}

impl fmt::Display for Measurement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{:<34} {:>10.0} {unit} (best {:.0})   {}: {:.0} {unit} (best {:.0})   ratio {:.2}   target {}: {}",
            self.name,
            self.ours,
            self.ours_best,
            self.peer_name,
            self.peer,
            self.peer_best,
            self.ratio,
            self.target,
            match (self.target.as_str(), self.holds) {
                ("–", _) => "for comparison",
                (_, true) => "holds",
                (_, false) => "DOES NOT HOLD",
            },
            unit = self.unit,
        )?;
        match &self.whole {
            Some(Whole { n, ours, peer }) => {
                write!(out, " (by {} of {n} rounds; by all: {ours:.1}, {peer:.1} {})", self.n, self.unit)
            }
            None => Ok(()),
        }
    }
}

const CALM: &str = "\
Where it says n of m, the m rounds are spread over those of all such rows, and those n count, for both sides, in which a \
fixed loop of integer operations, timed around both, was fastest: whoever shares the core slows it down. Best is of these n. \
Behind the colon are the medians of all m, ours and the peer's.\n";

/// A group's measurements as a Markdown page, with where and of what they were taken.
pub(crate) fn document(name: &str, all: &[Measurement]) -> String {
    let mut page = format!(
        "<!-- Made by `cargo xtask bench {name}`. -->\n# Benchmarks: {name}\n\nMedians and best of interleaved rounds; ratios are of medians, larger is better for us.\n{}\n- machine: {}\n- date: {}\n- commit: {}\n\n\
         | what | ours (best) | peer (best) | ratio | target | holds | rounds |\n|---|---|---|---|---|---|---|\n",
        if all.iter().any(|one| one.whole.is_some()) { CALM } else { "" },
        machine(),
        said("date", &["-u", "+%Y-%m-%d"]),
        said("git", &["describe", "--always", "--dirty"]),
    );
    for one in all {
        let rounds = match one.whole {
            Some(whole) => {
                format!("{} of {}: {:.1}, {:.1} {}", one.n, whole.n, whole.ours, whole.peer, one.unit)
            }
            None => one.n.to_string(),
        };
        page += &format!(
            "| {} | {:.0} {unit} ({:.0}) | {}: {:.0} {unit} ({:.0}) | {:.2} | {} | {} | {} |\n",
            one.name,
            one.ours,
            one.ours_best,
            one.peer_name,
            one.peer,
            one.peer_best,
            one.ratio,
            one.target,
            match (one.target.as_str(), one.holds) {
                ("–", _) => "–",
                (_, true) => "yes",
                (_, false) => "**no**",
            },
            rounds,
            unit = one.unit,
        );
    }
    page
}

fn machine() -> String {
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    format!("{} × {}, load {load}", cpus, model.trim_start_matches([':', '\t', ' ']))
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_else(|_| "unknown".into())
}
