//! `vm-test`: what control groups of the second version do, in a machine that has nothing else. Continuous integration and
//! many desks have the first version or none at all.

mod cpio;
mod image;
mod machine;
mod parts;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    Result,
    shell::{self, cargo},
    test::Campaign,
};
use image::Image;
use machine::{Ended, Said};
use parts::Parts;

const INIT: &str = include_str!("init.sh");

/// The root, as a machine without a service manager has it.
const ROOT: &str = "/";
/// As a service manager starts a server: in a group of its own.
const SERVICE: &str = "/server.service";

/// What is run in there.
struct Suite {
    name: &'static str,
    /// The group it is run in.
    group: &'static str,
    /// A program and its arguments, none of which has a space in it.
    command: &'static str,
    /// Whether it is run every day, and not only when there is time.
    daily: bool,
}

const fn daily(name: &'static str, group: &'static str, command: &'static str) -> Suite {
    Suite { name, group, command, daily: true }
}

const fn long(name: &'static str, command: &'static str) -> Suite {
    Suite { name, group: ROOT, command, daily: false }
}

const SUITES: &[Suite] = &[
    daily("doctor", ROOT, "doctor"),
    // Exact to a tenth of that: see the file `init.sh` for what takes care that the kernel does not wait for its next tick.
    daily("weights", ROOT, "control --backend v2 --weights 1,2,4,8 --seconds 5 --fail-above 1"),
    daily("quota", ROOT, "control --backend v2 --quota 10 --seconds 5 --fail-above 5"),
    daily("processes", ROOT, "processes-test"),
    daily("groups", ROOT, "groups-test"),
    daily("contained", ROOT, "contained-test"),
    daily("cgroups", ROOT, "uos_proc-test cgroup"),
    daily("limits", ROOT, "limits-test"),
    // A server that another one starts shares its group with it, and is refused groups of its own. The other one takes long.
    daily(
        "service",
        SERVICE,
        "limits-test --skip a_server_killed_at_any_moment --skip a_server_that_ends --skip what_a_sandbox_left",
    ),
    daily("births", ROOT, "births-test"),
    daily("conformance", ROOT, "conformance-test"),
    daily("isolation", ROOT, "isolation-test"),
    daily("sandbox", ROOT, "sandbox-test"),
    daily("residue", ROOT, "residue-test"),
    // Where memory would not move with a program, no program is in a group of several.
    daily("nesting", ROOT, "nesting-test"),
    daily("first-thread", ROOT, "first_thread-test"),
    long("attacks", "attacks-test"),
    long("trees", "trees-test"),
    long("host", "host-test"),
    long("exit", "exit-test"),
    long("deadline", "deadline-test"),
    long("job", "job-test"),
    long("minimal", "minimal-test"),
    long("pty", "pty-test"),
    long("flood", "flood-test"),
    long("spawn", "spawn-test"),
];

/// Whether one of its suites has this name.
pub(crate) fn has(suite: &str) -> bool {
    SUITES.iter().any(|one| one.name == suite)
}

/// The chore alone, or one suite of it.
pub(crate) fn chore(long: bool, suite: Option<&str>) -> Result {
    let wanted = |one: &Suite| suite.map_or(long || one.daily, |name| name == one.name);
    println!("\n{}", run(wanted)?);
    Ok(())
}

/// The step of `test`.
pub(crate) fn step(campaign: Campaign) -> Result<String> {
    run(|suite| suite.daily || matches!(campaign, Campaign::Long))
}

/// Runs the suites that are wanted, in one machine. Without a machine it says so, aloud.
fn run(wanted: impl Fn(&Suite) -> bool) -> Result<String> {
    let folder = shell::root().join("target/vm");
    let parts = match parts::emulator().and_then(|()| parts::fetch(&folder.join("parts"))) {
        Ok(parts) => parts,
        Err(missing) => {
            println!("SKIPPED, no machine was started: {missing}");
            return Ok(format!("SKIPPED: {missing}"));
        }
    };
    let suites: Vec<&Suite> = SUITES.iter().filter(|suite| wanted(suite)).collect();
    let programs = build(&folder.join("build"))?;
    let image = folder.join("image.cpio");
    fs::write(&image, pack(&parts, &programs, &suites)?)?;
    let begun = Instant::now();
    let mut said = Said::default();
    let mut booted = Duration::ZERO;
    let ended = machine::run(&parts.kernel, &image, longest(&suites), |line| {
        said.hear(line);
        if said.booted.is_some() && booted.is_zero() {
            booted = begun.elapsed();
        }
    });
    ended.map_err(|error| format!("{error}, {}", said.last()))?;
    let (took, booted) = (begun.elapsed().as_secs_f64(), booted.as_secs_f64());
    for Ended { name, status, passed, seconds } in &said.ended {
        let word = if *status == 0 { "ok" } else { "FAILED" };
        println!("   {name:<12} {word:<6} {passed:>4} tests {seconds:>8.1} s of its time");
    }
    let tests = judge(&said, &suites)?;
    let kernel = said.kernel.unwrap_or_default();
    Ok(format!(
        "{tests} tests in {} suites on {kernel}; booted in {booted:.1} s, all in {took:.1} s",
        suites.len()
    ))
}

/// No machine takes longer, however busy its host is. Tests that hang end themselves after a minute of its own time.
fn longest(suites: &[&Suite]) -> Duration {
    let minutes = if suites.iter().all(|suite| suite.daily) { 40 } else { 150 };
    Duration::from_secs(minutes * 60)
}

/// Whether each suite was run to its end and found nothing. Answers how many tests passed.
fn judge(said: &Said, suites: &[&Suite]) -> Result<u64> {
    let mut failed = Vec::new();
    for suite in suites {
        let is_of_tests = suite.command.contains("-test");
        match said.ended.iter().find(|ended| ended.name == suite.name) {
            None => failed.push(format!("{} did not end", suite.name)),
            Some(Ended { status: 0, passed: 0, .. }) if is_of_tests => {
                failed.push(format!("{} ran no test", suite.name));
            }
            Some(Ended { status: 0, .. }) => {}
            Some(Ended { status, .. }) => failed.push(format!("{} ended with {status}", suite.name)),
        }
    }
    if !said.done {
        failed.push("the machine did not come to its end".to_owned());
    }
    if failed.is_empty() {
        Ok(said.ended.iter().map(|ended| ended.passed).sum())
    } else {
        Err(failed.join(", ").into())
    }
}

/// A program to be run in there, and its name there.
type Program = (String, PathBuf);

/// Builds what is run in there, linked statically.
fn build(target: &Path) -> Result<Vec<Program>> {
    let mut programs = Vec::new();
    for words in [
        &["test", "--no-run", "--package", "uos-proc", "--package", "uos-sched"][..],
        &[
            "build",
            "--examples",
            "--bins",
            "--package",
            "uos-proc",
            "--package",
            "uos-sched",
            "--package",
            "uos-attack",
        ],
    ] {
        let mut command = cargo(words);
        // With a target named, the flags are not for build scripts and macros, which the host runs.
        command.args(["--target", "x86_64-unknown-linux-gnu", "--message-format=json-render-diagnostics"]);
        command.env("RUSTFLAGS", "-C target-feature=+crt-static").env("CARGO_TARGET_DIR", target);
        command.env("CARGO_PROFILE_DEV_STRIP", "debuginfo");
        for line in shell::capture(&mut command)?.lines() {
            let message: Value = serde_json::from_str(line)?;
            let (Some(path), Some(name)) =
                (message["executable"].as_str(), message["target"]["name"].as_str())
            else {
                continue;
            };
            // A test may be called as an example is.
            let kind = if message["profile"]["test"] == true { "-test" } else { "" };
            programs.push((format!("{name}{kind}"), path.into()));
        }
    }
    Ok(programs)
}

/// The root of the machine, with what the suites take and the list of them.
fn pack(parts: &Parts, programs: &[Program], suites: &[&Suite]) -> Result<Vec<u8>> {
    let mut image = Image::of_this_host()?;
    let used = |name: &str| {
        name == ATTACKER || suites.iter().any(|suite| suite.command.split(' ').next() == Some(name))
    };
    for (name, path) in programs.iter().filter(|(name, _)| used(name)) {
        image.file(&format!("/suite/{name}"), 0o755, fs::read(path)?);
    }
    image.file("/init", 0o755, INIT.into());
    image.file("/busybox", 0o755, fs::read(&parts.busybox)?);
    image.file("/brd.ko", 0o644, fs::read(&parts.disk)?);
    // Tests compare with these, where they were built.
    image.tree(&shell::root().join("crates/uos-proc/tests"), &|_| true)?;
    let page = shell::root().join("docs/attacks.md");
    image.file(&page.display().to_string(), 0o644, fs::read(&page)?);
    // Emulated, the plain counts are many.
    let variables = Campaign::Plain.variables().iter().map(|(name, value)| format!("{name}={value}"));
    let variables = variables.collect::<Vec<_>>().join(" ");
    let line = |suite: &&Suite| {
        let Suite { name, group, command, .. } = suite;
        format!("{name} {group} env UOS_ATTACK_PROGRAM=/suite/{ATTACKER} {variables} /suite/{command}\n")
    };
    image.file("/plan", 0o644, suites.iter().map(line).collect::<String>().into());
    Ok(image.pack())
}

const ATTACKER: &str = "uos-attack";

#[cfg(test)]
mod tests {
    use super::{Said, Suite, daily, judge};

    const LIMITS: Suite = daily("limits", "/", "limits-test");
    const QUOTA: Suite = daily("quota", "/", "control");

    fn check(lines: &[&str], expected: Result<u64, &str>) {
        let mut said = Said::default();
        lines.iter().for_each(|line| said.hear(line));
        let judged = judge(&said, &[&LIMITS, &QUOTA]).map_err(|error| error.to_string());
        assert_eq!(judged, expected.map_err(str::to_owned), "{lines:?}");
    }

    #[test]
    fn every_suite_has_to_end_well_and_to_have_tested_something() {
        let (begin, passed) = ("== begin limits 1.0", "test result: ok. 7 passed; 0 failed; 1 ignored");
        let (end, done) = ("== ended limits 0 2.0", "== done 4.0");
        let quota = ["== begin quota 2.0", "== ended quota 0 3.0"];
        check(&[begin, passed, end, quota[0], quota[1], done], Ok(7));
        check(&[begin, end, quota[0], quota[1], done], Err("limits ran no test"));
        check(&[begin, passed, end, quota[0], done], Err("quota did not end"));
        check(
            &[begin, passed, "== ended limits 101 2.0", quota[0], quota[1]],
            Err("limits ended with 101, the machine did not come to its end"),
        );
    }
}
