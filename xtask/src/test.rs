//! `test`: everything that must pass, one step after the other.

use std::time::{Duration, Instant};

use crate::{Result, steps};

/// One thing that must hold.
pub(crate) struct Step {
    /// What it is called in headings and in the table.
    pub(crate) name: &'static str,
    /// Looks, and gives a remark for the table: how much it looked at.
    pub(crate) look: fn(Campaign) -> Result<String>,
}

/// How far the campaigns go: kills, random histories, races. Their code is the same in both.
#[derive(Clone, Copy)]
pub(crate) enum Campaign {
    /// Small counts, so that a run stays within minutes.
    Plain,
    /// The counts at which the claims are made.
    Long,
}

impl Campaign {
    /// The variables that the campaign tests read.
    pub(crate) fn variables(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Plain => &[
                ("UOS_CAMPAIGN_KILLS", "20"),
                ("UOS_CAMPAIGN_CALLER_KILLS", "20"),
                ("UOS_CAMPAIGN_OPENS", "2000"),
                ("UOS_CAMPAIGN_OPERATIONS", "10000"),
                ("UOS_CAMPAIGN_HAMMER", "8000"),
                ("UOS_CAMPAIGN_SEEDS", "200"),
                ("UOS_CAMPAIGN_SERVER_KILLS", "5"),
                ("UOS_CAMPAIGN_POWER_CUTS", "3"),
                ("UOS_CAMPAIGN_FAULTS", "7"),
                ("UOS_CAMPAIGN_DAMAGES", "40"),
                ("UOS_CAMPAIGN_FULL_DISKS", "3"),
                ("UOS_CAMPAIGN_EVENTS", "2000"),
                ("UOS_CAMPAIGN_EXAMPLES", "5"),
                ("UOS_CAMPAIGN_RACES", "300"),
                ("UOS_CAMPAIGN_TREES", "100"),
                ("UOS_CAMPAIGN_HOSTS", "20"),
                ("UOS_CAMPAIGN_HOST_KILLS", "6"),
                ("UOS_CAMPAIGN_BOMBS", "6"),
                ("UOS_CAMPAIGN_SHELLS", "24"),
                ("UOS_CAMPAIGN_FLOOD_MIB", "256"),
                ("UOS_CAMPAIGN_PEER_KILLS", "20"),
                ("UOS_CAMPAIGN_SCRIBBLES", "200"),
                ("UOS_CAMPAIGN_HOSTILE_RINGS", "200"),
                ("UOS_CAMPAIGN_SCHEDULES", "2000"),
                ("UOS_CAMPAIGN_GUESSES", "20000"),
                ("UOS_CAMPAIGN_CYCLES", "4000"),
                ("UOS_CAMPAIGN_STEPS", "5000"),
                ("UOS_CAMPAIGN_SWAPS", "4000"),
            ],
            Self::Long => &[
                ("UOS_CAMPAIGN_KILLS", "200"),
                ("UOS_CAMPAIGN_CALLER_KILLS", "1000"),
                ("UOS_CAMPAIGN_OPENS", "100000"),
                ("UOS_CAMPAIGN_OPERATIONS", "100000"),
                // By each of eight threads; about a minute.
                ("UOS_CAMPAIGN_HAMMER", "3000000"),
                ("UOS_CAMPAIGN_SEEDS", "10000"),
                ("UOS_CAMPAIGN_SERVER_KILLS", "100"),
                ("UOS_CAMPAIGN_POWER_CUTS", "20"),
                // More than there are calls: each has its turn.
                ("UOS_CAMPAIGN_FAULTS", "10000"),
                ("UOS_CAMPAIGN_DAMAGES", "1000"),
                ("UOS_CAMPAIGN_FULL_DISKS", "50"),
                ("UOS_CAMPAIGN_EVENTS", "10000"),
                ("UOS_CAMPAIGN_EXAMPLES", "200"),
                ("UOS_CAMPAIGN_RACES", "3000"),
                ("UOS_CAMPAIGN_TREES", "1000"),
                ("UOS_CAMPAIGN_HOSTS", "100"),
                ("UOS_CAMPAIGN_HOST_KILLS", "100"),
                ("UOS_CAMPAIGN_BOMBS", "100"),
                ("UOS_CAMPAIGN_SHELLS", "200"),
                ("UOS_CAMPAIGN_FLOOD_MIB", "10240"),
                ("UOS_CAMPAIGN_PEER_KILLS", "1000"),
                // Rings; about a minute.
                ("UOS_CAMPAIGN_SCRIBBLES", "200000"),
                // Rings, too, and another minute.
                ("UOS_CAMPAIGN_HOSTILE_RINGS", "20000"),
                ("UOS_CAMPAIGN_SCHEDULES", "100000"),
                ("UOS_CAMPAIGN_GUESSES", "1000000"),
                ("UOS_CAMPAIGN_CYCLES", "200000"),
                ("UOS_CAMPAIGN_STEPS", "100000"),
                ("UOS_CAMPAIGN_SWAPS", "100000"),
                ("PROPTEST_CASES", "2048"),
            ],
        }
    }
}

/// How a step came out.
struct Outcome {
    name: &'static str,
    took: Duration,
    /// The remark, or why it failed.
    result: std::result::Result<String, String>,
}

/// Runs all steps, or the one that is named, and stops at the first that fails.
pub(crate) fn run(long: bool, step: Option<&str>) -> Result {
    let campaign = if long { Campaign::Long } else { Campaign::Plain };
    let set: Vec<String> =
        campaign.variables().iter().map(|(name, value)| format!("{name}={value}")).collect();
    println!("campaigns run with {}", set.join(" "));
    let chosen: Vec<&Step> =
        steps::STEPS.iter().filter(|one| step.is_none_or(|step| one.name == step)).collect();
    let outcomes = walk(&chosen, campaign);
    println!("\n{}", report(&outcomes, chosen.len()));
    match outcomes.last() {
        Some(Outcome { name, result: Err(why), .. }) => Err(format!("step `{name}` failed: {why}").into()),
        _ => Ok(()),
    }
}

fn walk(steps: &[&Step], campaign: Campaign) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        println!("\n== {}/{} {}", index + 1, steps.len(), step.name);
        let begun = Instant::now();
        let result = (step.look)(campaign).map_err(|error| error.to_string());
        let took = begun.elapsed();
        println!("-- {} took {:.1} s", step.name, took.as_secs_f64());
        let failed = result.is_err();
        outcomes.push(Outcome { name: step.name, took, result });
        if failed {
            break;
        }
    }
    outcomes
}

/// The table, and the line that counts.
fn report(outcomes: &[Outcome], planned: usize) -> String {
    let mut text = String::new();
    for Outcome { name, took, result } in outcomes {
        let (word, remark) = match result {
            Ok(remark) => ("ok", remark.as_str()),
            Err(_) => ("FAILED", ""),
        };
        let line = format!("{name:<12} {word:<6} {:>8.1} s  {remark}", took.as_secs_f64());
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let passed = outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
    text.push_str(&format!("{passed} passed, {} failed", outcomes.len() - passed));
    if outcomes.len() < planned {
        text.push_str(&format!(", {} not run", planned - outcomes.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Campaign, Step, report, walk};

    const FINE: Step = Step { name: "fine", look: |_| Ok("3 things".into()) };
    const BROKEN: Step = Step { name: "broken", look: |_| Err("it broke".into()) };

    fn check(steps: &[&Step], last_line: &str) {
        let text = report(&walk(steps, Campaign::Plain), steps.len());
        assert_eq!(text.lines().last(), Some(last_line), "{text}");
    }

    #[test]
    fn the_last_line_counts_steps() {
        check(&[&FINE, &FINE], "2 passed, 0 failed");
        check(&[&FINE, &BROKEN], "1 passed, 1 failed");
    }

    #[test]
    fn nothing_runs_after_a_failure() {
        const UNREACHABLE: Step = Step { name: "late", look: |_| panic!("must not run") };
        check(&[&BROKEN, &UNREACHABLE, &UNREACHABLE], "0 passed, 1 failed, 2 not run");
    }
}
