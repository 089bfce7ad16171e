//! The desktop: installs what it is made of, builds it, and tests it alone and in a real browser.

use std::{fs, path::Path, process::Command};

use crate::{
    Result,
    shell::{self, program},
};

const FOLDER: &str = "ui";
/// The oldest Node.js that its tools run on.
const NODE: (u32, u32) = (20, 19);
/// Where Debian's Chromium is.
const CHROMIUM: &str = "/usr/bin/chromium";
/// The most bytes, compressed, that the first page may take; a person on a slow line waits for them.
const FIRST_LOAD_BYTES: u64 = 250_000;

/// Builds the desktop into `ui/dist`, from where the server's build takes it.
pub(crate) fn build() -> Result {
    install()?;
    shell::run(&mut node("vite", &["build", "--logLevel", "warn"]))
}

/// Types, lints, generated files, tests without a browser, and the size of the first page.
pub(crate) fn test() -> Result<String> {
    install()?;
    shell::run(&mut node("tsc", &["--noEmit"]))?;
    shell::run(&mut node("biome", &["check", "."]))?;
    shell::run(program("node").current_dir(folder()).args(["scripts/generate.mjs", "--check"]))?;
    let count = vitest(&["run"])?;
    build()?;
    let bytes = first_load()?;
    if bytes > FIRST_LOAD_BYTES {
        return Err(
            format!("the first page takes {bytes} bytes, compressed: more than {FIRST_LOAD_BYTES}").into()
        );
    }
    Ok(format!("{count} tests, first load {} kB gzip", bytes / 1_000))
}

/// The whole, in a real browser on the real server.
pub(crate) fn in_browser() -> Result<String> {
    build()?;
    need_chromium()?;
    let server = shell::build("uos-server", false)?;
    let mut command = node("vitest", &["run", "--config", "vitest.e2e.config.ts"]);
    command.env("UOS_SERVER", server).env("UOS_CHROMIUM", CHROMIUM);
    Ok(format!("{} tests", counted(&mut command)?))
}

/// Whether Node.js is here, and new enough.
pub(crate) fn node_fits() -> Result {
    let help = format!("Node.js {}.{} or newer is needed, with npm", NODE.0, NODE.1);
    let answer = Command::new("node").arg("--version").output().map_err(|_| help.clone())?;
    let version = String::from_utf8_lossy(&answer.stdout);
    let mut parts = version.trim().trim_start_matches('v').split('.').map(str::parse::<u32>);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= NODE => Ok(()),
        _ => Err(format!("{help}; here is {}", version.trim()).into()),
    }
}

fn folder() -> std::path::PathBuf {
    shell::root().join(FOLDER)
}

/// A tool of the desktop's own, run in its folder.
fn node(tool: &str, args: &[&str]) -> Command {
    let mut command = program(folder().join("node_modules/.bin").join(tool));
    command.current_dir(folder()).args(args).env("NO_COLOR", "1");
    command
}

/// What the lock file names, unless it is there already.
fn install() -> Result {
    node_fits()?;
    let lock = fs::read_to_string(folder().join("package-lock.json"))?;
    // Written last, so an installation that was cut short is done again.
    let stamp = folder().join("node_modules/.installed");
    if fs::read_to_string(&stamp).is_ok_and(|done| done == lock) {
        return Ok(());
    }
    println!("installing what the desktop is made of");
    shell::run(program("npm").current_dir(folder()).args([
        "ci",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
    ]))?;
    fs::write(&stamp, lock)?;
    Ok(())
}

fn vitest(args: &[&str]) -> Result<u64> {
    counted(&mut node("vitest", args))
}

/// Runs tests and reads `Tests  41 passed (41)`. Whatever else it counts, such as skipped tests, is a failure.
fn counted(command: &mut Command) -> Result<u64> {
    let mut summary = String::new();
    shell::follow(command, |line| {
        if let Some(rest) = line.trim().strip_prefix("Tests ") {
            rest.trim().clone_into(&mut summary);
        }
    })?;
    passed(&summary).ok_or_else(|| format!("the tests did not simply pass: {summary}").into())
}

fn passed(summary: &str) -> Option<u64> {
    let (count, rest) = summary.split_once(" passed (")?;
    let count = count.parse().ok().filter(|&count| count > 0)?;
    (rest == format!("{count})")).then_some(count)
}

/// The scripts and styles that the first page names, compressed.
fn first_load() -> Result<u64> {
    let dist = folder().join("dist");
    let page = fs::read_to_string(dist.join("index.html"))?;
    let named = page.split('"').filter(|part| part.starts_with("/assets/"));
    let files: Vec<_> = named.map(|name| dist.join(&name[1..])).collect();
    if !files.iter().any(|file| file.extension().is_some_and(|kind| kind == "js")) {
        return Err("ui/dist/index.html names no script: it is not a build".into());
    }
    files.iter().chain([&dist.join("index.html")]).map(|file| compressed(file)).sum()
}

fn compressed(file: &Path) -> Result<u64> {
    let output = Command::new("gzip").args(["-c", "-6"]).arg(file).output()?;
    if !output.status.success() {
        return Err(format!("gzip failed on {}", file.display()).into());
    }
    Ok(output.stdout.len() as u64)
}

/// A browser. Debian has one, which root may install.
fn need_chromium() -> Result {
    if Path::new(CHROMIUM).exists() {
        return Ok(());
    }
    let help = format!("a browser is needed at {CHROMIUM}: `apt-get install chromium`");
    if !is_root() {
        return Err(help.into());
    }
    println!("installing chromium");
    shell::run(Command::new("apt-get").args(["update", "-qq"]))?;
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core"]);
    shell::run(install.env("DEBIAN_FRONTEND", "noninteractive"))
        .map_err(|error| format!("{help}: {error}").into())
}

fn is_root() -> bool {
    // What `id -u` says needs no more of this program than a process.
    Command::new("id").arg("-u").output().is_ok_and(|answer| answer.stdout == b"0\n")
}

#[cfg(test)]
mod tests {
    use super::passed;

    #[test]
    fn only_tests_that_all_passed_count() {
        assert_eq!(passed("155 passed (155)"), Some(155));
        for bad in ["", "0 passed (0)", "3 passed | 1 skipped (4)", "1 failed | 3 passed (4)", "3 passed (4)"]
        {
            assert_eq!(passed(bad), None, "{bad}");
        }
    }
}
