//! `coverage`: whether the tests of the code of rights take every branch of it, both ways.
//!
//! The compiler counts branches only when told that unstable options may be used, so that is said of the one crate. What
//! the counts mean is read by the compiler's own `llvm-tools`, since a profile has the format of its LLVM.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::Value;

use crate::{
    Result,
    shell::{self, cargo, program},
};

/// What is looked at: a folder of one crate, by the crate's unit tests alone.
const CRATE: &str = "uos-syscall";
const FOLDER: &str = "crates/uos-syscall/src/rights";

/// A place in a file, and how often the condition there held and did not.
type Branches = BTreeMap<(String, u64, u64), (u64, u64)>;

/// Measures, prints the figures, and complains of every branch that no test takes.
pub(crate) fn run() -> Result {
    let tools = tools()?;
    let tests = instrumented()?;
    let out = shell::root().join("target/coverage");
    fs::create_dir_all(&out)?;
    let (raw, profile) = (out.join("rights.profraw"), out.join("rights.profdata"));
    shell::run(program(&tests).env("LLVM_PROFILE_FILE", &raw).arg("--quiet"))?;
    shell::run(program(tools.join("llvm-profdata")).arg("merge").arg(&raw).arg("-o").arg(&profile))?;
    let mut export = program(tools.join("llvm-cov"));
    export.arg("export").arg(&tests).arg("--instr-profile").arg(&profile).arg(shell::root().join(FOLDER));
    let branches = branches(&serde_json::from_str(&shell::capture(&mut export)?)?)?;

    let missed: Vec<String> =
        branches.iter().filter_map(|(place, counts)| complaint(place, *counts)).collect();
    println!("{FOLDER}: {} conditions, {} ways not taken", branches.len(), missed.len());
    if missed.is_empty() { Ok(()) } else { Err(missed.join("\n").into()) }
}

/// Where the compiler keeps what reads its profiles.
fn tools() -> Result<PathBuf> {
    let sysroot = shell::capture(program("rustc").args(["--print", "sysroot"]))?;
    let version = shell::capture(program("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc names no host")?;
    let folder = PathBuf::from(sysroot.trim()).join("lib/rustlib").join(host).join("bin");
    if folder.join("llvm-cov").exists() {
        return Ok(folder);
    }
    Err("the compiler's llvm-tools are needed: `rustup component add llvm-tools`".into())
}

/// Builds the unit tests so that they count, and says where they are.
fn instrumented() -> Result<PathBuf> {
    let mut build = cargo(&["rustc", "--package", CRATE, "--lib", "--profile", "test"]);
    build.args(["--target-dir", "target/coverage", "--message-format", "json-render-diagnostics"]);
    build.args(["--", "-Cinstrument-coverage", "-Zcoverage-options=branch"]);
    build.env("RUSTC_BOOTSTRAP", CRATE.replace('-', "_"));
    let messages = shell::capture(&mut build)?;
    let built = messages.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let tests = built.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next();
    tests.ok_or_else(|| "cargo built no tests".into())
}

/// What an export says of all branches. Code that is there several times over, as generic code is, counts as one.
fn branches(export: &Value) -> Result<Branches> {
    let mut all = Branches::new();
    for file in export["data"][0]["files"].as_array().ok_or("the export names no files")? {
        let name = file["filename"].as_str().ok_or("a file has no name")?;
        for branch in file["branches"].as_array().into_iter().flatten() {
            let at = |place: usize| branch[place].as_u64().ok_or("a branch lacks a number");
            let (yes, no) = all.entry((name.to_owned(), at(0)?, at(1)?)).or_default();
            *yes += at(4)?;
            *no += at(5)?;
        }
    }
    if all.is_empty() { Err("the export holds no branches".into()) } else { Ok(all) }
}

fn complaint((file, line, column): &(String, u64, u64), (yes, no): (u64, u64)) -> Option<String> {
    let what = match (yes, no) {
        (0, 0) => "is never looked at",
        (0, _) => "never holds",
        (_, 0) => "always holds",
        _ => return None,
    };
    Some(format!("{file}:{line}:{column}: the condition {what}"))
}

#[cfg(test)]
mod tests {
    use super::{branches, complaint};
    use serde_json::json;

    #[test]
    fn a_way_that_is_not_taken_is_named_and_copies_are_one() {
        let export = json!({ "data": [{ "files": [{
            "filename": "a.rs",
            "branches": [
                [1, 5, 1, 9, 3, 0, 0, 0, 4],
                [1, 5, 1, 9, 0, 2, 0, 0, 4],
                [7, 5, 7, 9, 4, 0, 0, 0, 4],
            ],
        }] }] });
        let all = branches(&export).unwrap();
        let said: Vec<_> = all.iter().filter_map(|(place, counts)| complaint(place, *counts)).collect();
        assert_eq!((all.len(), said), (2, vec!["a.rs:7:5: the condition always holds".to_owned()]));
        assert!(branches(&json!({ "data": [{ "files": [] }] })).is_err());
    }
}
