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
use machine::Said;
use parts::Parts;

const INIT: &str = include_str!("init.sh");

/// The root, as a machine without a service manager has it.
const ROOT: &str = "/";
/// As a service manager starts a server: in a group of its own.
const SERVICE: &str = "/server.service";

/// What is run in there: under which name, in which group, and by which words.
const PLAN: &[(&str, &str, &str)] = &[
    ("doctor", ROOT, "doctor"),
    ("weights", ROOT, "control --backend v2 --weights 1,2,4,8 --seconds 5 --fail-above 1"),
    ("quota", ROOT, "control --backend v2 --quota 10 --seconds 5 --fail-above 5"),
    ("cgroups", ROOT, "uos_proc-test cgroup"),
    ("limits", ROOT, "limits-test"),
    // A server that another one starts shares its group, and is refused groups.
    ("service", SERVICE, "limits-test --skip a_server_killed_at_any_moment"),
    ("conformance", ROOT, "conformance-test"),
    ("isolation", ROOT, "isolation-test"),
    ("sandbox", ROOT, "sandbox-test"),
    ("attacks", ROOT, "attacks-test"),
    ("processes", ROOT, "processes-test"),
    ("trees", ROOT, "trees-test"),
    ("residue", ROOT, "residue-test"),
    ("host", ROOT, "host-test"),
    ("exit", ROOT, "exit-test"),
    ("deadline", ROOT, "deadline-test"),
    ("job", ROOT, "job-test"),
    ("pty", ROOT, "pty-test"),
    ("flood", ROOT, "flood-test"),
    ("spawn", ROOT, "spawn-test"),
];

/// Whether one of its suites has this name.
pub(crate) fn has(suite: &str) -> bool {
    PLAN.iter().any(|(name, ..)| *name == suite)
}

/// The chore alone, or one suite of it.
pub(crate) fn chore(suite: Option<&str>) -> Result {
    println!("{}", run(Campaign::Plain, suite)?);
    Ok(())
}

pub(crate) fn run(campaign: Campaign, suite: Option<&str>) -> Result<String> {
    let folder = shell::root().join("target/vm");
    let parts = match parts::emulator().and_then(|()| parts::fetch(&folder.join("parts"))) {
        Ok(parts) => parts,
        Err(missing) => {
            println!("SKIPPED, no machine was started: {missing}");
            return Ok(format!("SKIPPED: {missing}"));
        }
    };
    let plan: Vec<_> = PLAN.iter().filter(|(name, ..)| suite.is_none_or(|suite| suite == *name)).collect();
    let begun = Instant::now();
    let programs = build(&folder.join("build"))?;
    let image = folder.join("image.cpio");
    fs::write(&image, pack(&parts, &programs, campaign, &plan)?)?;
    println!("built and packed in {:.1} s", begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    let mut said = Said::default();
    let ended = machine::run(&parts.kernel, &image, Duration::from_secs(600), |line| said.hear(line));
    for e in &said.ended { println!("{e:?}"); }
    println!("{ended:?} {:?}", begun.elapsed());
    ended?;
    Ok(String::new())
}

/// A program to be run in there, and its name there.
type Program = (String, PathBuf);

/// Builds what is run in there, linked statically.
fn build(target: &Path) -> Result<Vec<Program>> {
    let mut programs = Vec::new();
    for words in [
        &["test", "--no-run", "--package", "uos-proc", "--package", "uos-sched"][..],
        &["build", "--examples", "--bins", "--package", "uos-proc", "--package", "uos-sched", "--package", "uos-attack"],
    ] {
        let mut command = cargo(words);
        // With a target named, the flags are not for build scripts and macros, which the host runs.
        command.args(["--target", "x86_64-unknown-linux-gnu", "--message-format=json-render-diagnostics"]);
        command.env("RUSTFLAGS", "-C target-feature=+crt-static").env("CARGO_TARGET_DIR", target);
        command.env("CARGO_PROFILE_DEV_STRIP", "debuginfo");
        for line in shell::capture(&mut command)?.lines() {
            let message: Value = serde_json::from_str(line)?;
            let (Some(path), Some(name)) = (message["executable"].as_str(), message["target"]["name"].as_str()) else {
                continue;
            };
            // A test may be called as an example is.
            let kind = if message["profile"]["test"] == true { "-test" } else { "" };
            programs.push((format!("{name}{kind}"), path.into()));
        }
    }
    Ok(programs)
}

fn pack(parts: &Parts, programs: &[Program], campaign: Campaign, plan: &[&(&str, &str, &str)]) -> Result<Vec<u8>> {
    let mut image = Image::of_this_host()?;
    for (name, path) in programs {
        image.file(&format!("/suite/{name}"), 0o755, fs::read(path)?);
    }
    image.file("/init", 0o755, INIT.into());
    image.file("/busybox", 0o755, fs::read(&parts.busybox)?);
    image.file("/brd.ko", 0o644, fs::read(&parts.disk)?);
    // Tests compare with these, where they were built.
    let crates = shell::root().join("crates/uos-proc/tests");
    image.tree(&crates, &|_| true)?;
    let page = shell::root().join("docs/attacks.md");
    image.file(&page.display().to_string(), 0o644, fs::read(&page)?);
    let variables: Vec<String> = campaign.variables().iter().map(|(name, value)| format!("{name}={value}")).collect();
    let plan: Vec<String> = plan
        .iter()
        .map(|(name, group, command)| {
            format!("{name} {group} env UOS_ATTACK_PROGRAM=/suite/uos-attack {} /suite/{command}\n", variables.join(" "))
        })
        .collect();
    image.file("/plan", 0o644, plan.concat().into());
    Ok(image.pack())
}
