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

const INIT: &str = include_str!("init.sh");

/// The root, as a machine without a service manager has it.
const ROOT: &str = "/";
/// As a service manager starts a server: in a group of its own.
const SERVICE: &str = "/server.service";

/// What is run in there: under which name, in which group, and by which words.
const PLAN: &[(&str, &str, &str)] = &[
    ("doctor", ROOT, "doctor"),
    ("cgroups", ROOT, "uos_proc cgroup"),
    ("limits", ROOT, "limits"),
    ("conformance", ROOT, "conformance"),
    ("isolation", ROOT, "isolation"),
    ("sandbox", ROOT, "sandbox"),
    ("attacks", ROOT, "attacks"),
    ("processes", ROOT, "processes"),
    ("weights", ROOT, "control --backend v2 --weights 1,2,4,8 --seconds 5 --fail-above 1"),
    ("quota", ROOT, "control --backend v2 --quota 10 --seconds 5 --fail-above 5"),
];

/// The chore alone.
pub(crate) fn chore() -> Result {
    println!("{}", run(Campaign::Plain)?);
    Ok(())
}

pub(crate) fn run(campaign: Campaign) -> Result<String> {
    let folder = shell::root().join("target/vm");
    let kernel = parts::emulator().and_then(|()| parts::kernel(&folder.join("kernel")));
    let kernel = match kernel {
        Ok(kernel) => kernel,
        Err(missing) => {
            println!("SKIPPED, no machine was started: {missing}");
            return Ok(format!("SKIPPED: {missing}"));
        }
    };
    let begun = Instant::now();
    let programs = build(&folder.join("build"))?;
    let image = folder.join("image.cpio");
    fs::write(&image, pack(&programs, campaign)?)?;
    println!("built and packed in {:.1} s", begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    let mut said = Said::default();
    let ended = machine::run(&kernel, &image, Duration::from_secs(600), |line| said.hear(line));
    println!("{said:?} {ended:?} {:?}", begun.elapsed());
    ended?;
    Ok(String::new())
}

/// Builds what is run in there, linked statically, and says where it lies.
fn build(target: &Path) -> Result<Vec<PathBuf>> {
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
            programs.extend(message["executable"].as_str().map(PathBuf::from));
        }
    }
    Ok(programs)
}

fn pack(programs: &[PathBuf], campaign: Campaign) -> Result<Vec<u8>> {
    let mut image = Image::of_this_host()?;
    for path in programs {
        let name = path.file_name().ok_or("a program has a name")?.to_string_lossy();
        // Tests have a hash behind their name.
        let name = match name.rsplit_once('-') {
            Some((name, hash)) if hash.len() == 16 => name,
            _ => &name,
        };
        image.file(&format!("/suite/{name}"), 0o755, fs::read(path)?);
    }
    image.file("/init", 0o755, INIT.into());
    // Tests compare with these, where they were built.
    let crates = shell::root().join("crates/uos-proc/tests");
    image.tree(&crates, &|_| true)?;
    let page = shell::root().join("docs/attacks.md");
    image.file(&page.display().to_string(), 0o644, fs::read(&page)?);
    let variables: Vec<String> = campaign.variables().iter().map(|(name, value)| format!("{name}={value}")).collect();
    let plan: Vec<String> = PLAN
        .iter()
        .map(|(name, group, command)| {
            format!("{name} {group} env UOS_ATTACK_PROGRAM=/suite/uos-attack {} /suite/{command}\n", variables.join(" "))
        })
        .collect();
    image.file("/plan", 0o644, plan.concat().into());
    Ok(image.pack())
}
