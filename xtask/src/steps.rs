//! The steps of `test`, in the order in which they tell most for the least time.

use std::process::Command;

use crate::{
    Result, desktop, edges, foreign, fuse, generate,
    shell::{self, cargo},
    test::{Campaign, Step},
    vm, workspace,
};

pub(crate) const STEPS: &[Step] = &[
    Step { name: "format", look: format },
    Step { name: "lints", look: lints },
    Step { name: "edges", look: dependency_edges },
    Step { name: "generated", look: generated_files },
    Step { name: "ui", look: desktop_alone },
    Step { name: "rust", look: rust_tests },
    Step { name: "leaves", look: leaves_alone },
    Step { name: "fuse", look: mounted },
    Step { name: "adapters", look: adapters },
    Step { name: "oci", look: containers },
    Step { name: "vm", look: small_machine },
    Step { name: "loom", look: loom_models },
    Step { name: "shuttle", look: shuttle_schedules },
    Step { name: "asan", look: address_sanitizer },
    Step { name: "miri", look: interpreter },
    Step { name: "docs", look: documentation },
    Step { name: "foreign", look: foreign_client },
    Step { name: "browser", look: in_browser },
];

/// The whole workspace but the package of heavy peers, which is built only to measure.
const WORKSPACE: [&str; 3] = ["--workspace", "--exclude", "uos-bench"];

fn format(_: Campaign) -> Result<String> {
    shell::run(&mut cargo(&["fmt", "--all", "--check"]))?;
    Ok(String::new())
}

fn lints(_: Campaign) -> Result<String> {
    let mut command = cargo(&["clippy"]);
    shell::run(command.args(WORKSPACE).args(["--all-targets", "--", "-D", "warnings"]))?;
    Ok(String::new())
}

fn dependency_edges(_: Campaign) -> Result<String> {
    Ok(format!("{} edges", edges::check()?))
}

fn generated_files(_: Campaign) -> Result<String> {
    generate::run(true)?;
    Ok(String::new())
}

fn rust_tests(campaign: Campaign) -> Result<String> {
    let mut command = cargo(&["test"]);
    command.args(WORKSPACE).envs(campaign.variables().iter().copied());
    if matches!(campaign, Campaign::Long) {
        // The figures that claims are made of are printed by tests that pass.
        command.args(["--", "--show-output"]);
    }
    count(&mut command)
}

/// The step before builds all crates together, with the features that any of them asks for. Here each leaf, its tests
/// and its examples must do with its own.
fn leaves_alone(_: Campaign) -> Result<String> {
    for leaf in edges::leaves() {
        shell::run(&mut cargo(&["check", "--package", leaf, "--all-targets"]))?;
    }
    Ok(format!("{} crates", edges::leaves().len()))
}

/// A feature that takes root and a host with FUSE.
fn mounted(campaign: Campaign) -> Result<String> {
    fuse::run(campaign)
}

/// Features of `uos-vfs` that are off for everybody else: tasks of tokio, and stores of objects.
fn adapters(_: Campaign) -> Result<String> {
    let with = ["--package", "uos-vfs", "--features", "tokio,opendal"];
    shell::run(cargo(&["doc", "--no-deps"]).args(with).env("RUSTDOCFLAGS", "-D warnings"))?;
    count(cargo(&["test"]).args(with).args(["--lib", "--test", "tokio", "--test", "objects"]))
}

/// A feature that brings along a client of HTTP, and so is off for everybody else. The engine is played by the tests.
fn containers(_: Campaign) -> Result<String> {
    let with = ["--package", "uos-proc", "--features", "oci"];
    shell::run(cargo(&["clippy"]).args(with).args(["--all-targets", "--", "-D", "warnings"]))?;
    shell::run(cargo(&["doc", "--no-deps"]).args(with).env("RUSTDOCFLAGS", "-D warnings"))?;
    let tests = ["--lib", "--test", "oci", "--test", "conformance"];
    count(cargo(&["test"]).args(with).args(tests))
}

/// Control groups of the second version, where this host may have none.
fn small_machine(campaign: Campaign) -> Result<String> {
    vm::step(campaign)
}

/// Loom replaces the primitives of the whole build, hence a target folder of its own.
fn loom_models(_: Campaign) -> Result<String> {
    let crates = workspace::manifests()?;
    if !crates.get("uos-ipc").is_some_and(|ipc| ipc.test_targets.contains("loom")) {
        return Err("uos-ipc has no test target `loom` (crates/uos-ipc/tests/loom)".into());
    }
    let models = |args: &[&str]| {
        let mut command = cargo(args);
        count(
            command.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", shell::root().join("target/loom")),
        )
    };
    let ipc = models(&["test", "--package", "uos-ipc", "--test", "loom", "--release"])?;
    // Of this crate only what waits runs under loom, and its models stand beside it.
    let vfs = models(&["test", "--package", "uos-vfs", "--lib", "--release", "models"])?;
    Ok(format!("uos-ipc: {ipc}; uos-vfs: {vfs}"))
}

/// Random schedules of what is too large for loom. Shuttle, too, replaces the primitives of the whole build.
fn shuttle_schedules(campaign: Campaign) -> Result<String> {
    let crates = workspace::manifests()?;
    if !crates.get("uos-ipc").is_some_and(|ipc| ipc.test_targets.contains("shuttle")) {
        return Err("uos-ipc has no test target `shuttle` (crates/uos-ipc/tests/shuttle.rs)".into());
    }
    let mut command = cargo(&["test", "--package", "uos-ipc", "--test", "shuttle", "--release"]);
    command.envs(campaign.variables().iter().copied()).env("RUSTFLAGS", "--cfg shuttle");
    count(command.env("CARGO_TARGET_DIR", shell::root().join("target/shuttle")))
}

/// Whatever a hostile peer does to shared memory, no access is out of range. It takes a compiler that has the sanitizer: a
/// nightly one.
fn address_sanitizer(campaign: Campaign) -> Result<String> {
    let Some(mut command) = nightly(&["rustc", "--version"], &["test", "--package", "uos-ipc"]) else {
        return Ok(without("a nightly toolchain"));
    };
    // With a target named, the flag is not for build scripts and macros.
    command.args([
        "--target",
        "x86_64-unknown-linux-gnu",
        "--test",
        "hostile",
        "--test",
        "rings",
        "--test",
        "segment",
        "--test",
        "shm",
    ]);
    command.envs(campaign.variables().iter().copied()).env("RUSTFLAGS", "-Zsanitizer=address");
    count(command.env("CARGO_TARGET_DIR", shell::root().join("target/asan")))
}

/// What of `uos-ipc` asks the kernel for nothing, run by an interpreter that knows what no Rust program may do.
fn interpreter(_: Campaign) -> Result<String> {
    let run = |words: &[&str]| {
        let Some(mut command) =
            nightly(&["cargo", "miri", "--version"], &["miri", "test", "--package", "uos-ipc"])
        else {
            return Ok(None);
        };
        // Interpreted, two histories are many.
        command.args(words).env("PROPTEST_CASES", "2").env("MIRIFLAGS", "-Zmiri-disable-isolation");
        count(command.env("CARGO_TARGET_DIR", shell::root().join("target/miri"))).map(Some)
    };
    let own =
        ["--lib", "--", "pipe::", "queue::", "quota::", "topic::", "socket::", "--skip", "threads_together"];
    let Some(own) = run(&own)? else { return Ok(without("miri in a nightly toolchain")) };
    let models = run(&["--test", "pipe_model", "--test", "queue_model"])?.unwrap_or_default();
    Ok(format!("{own}; models: {models}"))
}

/// A command of the nightly toolchain's cargo, if there is one that answers `probe`.
fn nightly(probe: &[&str], words: &[&str]) -> Option<Command> {
    let of = |words: &[&str]| {
        let mut command = shell::program("rustup");
        command.args(["run", "nightly"]).args(words);
        command
    };
    shell::works(&mut of(probe)).then(|| of(&[&["cargo"], words].concat()))
}

fn without(what: &str) -> String {
    println!("SKIPPED: there is no {what}");
    format!("SKIPPED: no {what}")
}

fn documentation(_: Campaign) -> Result<String> {
    let mut command = cargo(&["doc", "--no-deps"]);
    shell::run(command.args(WORKSPACE).env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(String::new())
}

/// Before the Rust tests, so that the server they build has the desktop in it.
fn desktop_alone(_: Campaign) -> Result<String> {
    desktop::test()
}

fn in_browser(_: Campaign) -> Result<String> {
    desktop::in_browser()
}

fn foreign_client(campaign: Campaign) -> Result<String> {
    foreign::run(campaign)
}

/// Runs Rust tests and counts them. None at all is a failure: a step that tested nothing has shown nothing.
fn count(command: &mut Command) -> Result<String> {
    let mut tally = Tally::default();
    shell::follow(command, |line| tally.add(line))?;
    tally.remark()
}

/// What the test harnesses of one run reported.
#[derive(Default)]
struct Tally {
    passed: u64,
    ignored: u64,
}

impl Tally {
    /// Reads `test result: ok. 12 passed; 0 failed; 1 ignored; …`; every other line is none of its business.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let words: Vec<&str> = result.split(' ').collect();
        for pair in words.windows(2) {
            let Ok(number) = pair[0].parse::<u64>() else { continue };
            match pair[1] {
                "passed;" => self.passed += number,
                "ignored;" => self.ignored += number,
                _ => {}
            }
        }
    }

    /// A remark for the table. Ignored tests are named, so that nothing is skipped in silence.
    fn remark(&self) -> Result<String> {
        match self {
            Self { passed: 0, .. } => Err("not a single test ran".into()),
            Self { passed, ignored: 0 } => Ok(format!("{passed} tests")),
            Self { passed, ignored } => Ok(format!("{passed} tests, {ignored} ignored")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    fn check(lines: &[&str], expected: Result<&str, &str>) {
        let mut tally = Tally::default();
        lines.iter().for_each(|line| tally.add(line));
        let remark = tally.remark().map_err(|error| error.to_string());
        assert_eq!(remark.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn tests_are_counted_and_none_is_a_failure() {
        let line =
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.01s";
        check(&["running 12 tests", line, line], Ok("24 tests"));
        let ignored =
            "test result: ok. 1 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        check(&[line, ignored], Ok("13 tests, 2 ignored"));
        check(&[], Err("not a single test ran"));
        check(&["test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured"], Err("not a single test ran"));
    }
}
