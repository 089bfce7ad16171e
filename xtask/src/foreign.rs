//! Runs the foreign client: Python tests that know the server only by its reflection.

use std::{fs, path::PathBuf};

use crate::{
    Result,
    shell::{self, program},
    test::Campaign,
};

const TESTS: &str = "tests/foreign";
/// Where Python and its packages are put, and what they keep.
const VENV: &str = ".venv";

/// Prepares Python, builds the server and runs the tests. Gives pytest's own count.
pub(crate) fn run(campaign: Campaign) -> Result<String> {
    let python = python()?;
    let server = shell::build("uos-server", false)?;
    let mut command = program(&python);
    // Neither bytecode nor a cache of results: a test run leaves the tree as it was.
    command.args(["-B", "-m", "pytest", TESTS, "-p", "no:cacheprovider", "--color=no", "-ra"]);
    command.env("HYPOTHESIS_STORAGE_DIRECTORY", shell::root().join(VENV).join("hypothesis"));
    command.env("UOS_SERVER_BIN", server).envs(campaign.variables().iter().copied());
    let mut last = String::new();
    shell::follow(&mut command, |line| last = line.to_owned())?;
    remark(&last)
}

/// Reads `===== 41 passed in 12.34s =====`. Whatever else it counts, such as skipped tests, is a failure.
fn remark(line: &str) -> Result<String> {
    let summary = line.trim_matches(['=', ' ']);
    match summary.split_once(" passed in ") {
        Some((number, _)) if number.parse::<u32>().is_ok_and(|number| number > 0) => {
            Ok(format!("{number} tests"))
        }
        _ => Err(format!("pytest did not simply pass: {summary}").into()),
    }
}

/// The Python of `.venv` with what requirements.txt pins, made or brought up to date if need be.
fn python() -> Result<PathBuf> {
    let folder = shell::root().join(VENV);
    let python = folder.join("bin/python");
    // Written last, so a preparation that was cut short is done again.
    let stamp = folder.join("requirements.done");
    let wanted = fs::read_to_string(shell::root().join(TESTS).join("requirements.txt"))?;
    let prepared = fs::read_to_string(&stamp).is_ok_and(|done| done == wanted);
    if prepared && shell::works(program(&python).args(["-c", "import grpc, pytest"])) {
        return Ok(python);
    }
    need_venv()?;
    println!("preparing {VENV}");
    shell::run(program("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut pip = program(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    shell::run(pip.arg(format!("{TESTS}/requirements.txt")))?;
    fs::write(&stamp, wanted)?;
    Ok(python)
}

/// Sees to it that `python3 -m venv` works. Debian has it in a package of its own, which root may install.
fn need_venv() -> Result {
    let usable = || shell::works(program("python3").args(["-c", "import venv, ensurepip"]));
    if usable() {
        return Ok(());
    }
    let root = shell::capture(program("id").arg("-u"))?.trim() == "0";
    if root && shell::works(program("apt-get").arg("--version")) {
        shell::run(program("apt-get").args(["update", "--quiet"]))?;
        let mut install = program("apt-get");
        install.args(["install", "--quiet", "--yes", "python3", "python3-venv"]);
        shell::run(install.env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    if usable() {
        return Ok(());
    }
    Err("the foreign client tests need Python 3.10 or newer with its venv module; install the packages python3 and python3-venv".into())
}

#[cfg(test)]
mod tests {
    use super::remark;

    fn check(line: &str, expected: Option<&str>) {
        assert_eq!(remark(line).ok().as_deref(), expected, "{line}");
    }

    #[test]
    fn only_a_plain_pass_counts() {
        check("============ 41 passed in 12.34s ============", Some("41 tests"));
        check("============ 1 passed in 61.20s (0:01:01) ============", Some("1 tests"));
        check("============ 40 passed, 1 skipped in 12.34s ============", None);
        check("============ 1 xfailed, 40 passed in 12.34s ============", None);
        check("============ no tests ran in 0.01s ============", None);
        check("============ 0 passed in 0.01s ============", None);
        check("", None);
    }
}
