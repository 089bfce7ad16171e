//! Running other programs, with their failures as sentences.

use std::{
    env,
    ffi::OsStr,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::OnceLock,
};

use serde_json::Value;

use crate::Result;

/// The root of the repository that this run is for: asked of `cargo run`, not of the build, since two checkouts may
/// share one build folder and the chores of one must never pass for those of the other.
pub(crate) fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let xtask = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        Path::new(&xtask).parent().expect("xtask lies in a folder of the root").to_owned()
    })
}

/// A program, to be run in the root.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root());
    command
}

/// The cargo that runs this chore, so that one toolchain does everything.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = program(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    command
}

/// Runs a program to its end with the terminal as it is.
pub(crate) fn run(command: &mut Command) -> Result {
    let status = command.status().map_err(|error| unstarted(command, &error))?;
    succeeded(command, status)
}

/// Runs a program to its end and gives what it printed; its complaints go to the terminal.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| unstarted(command, &error))?;
    succeeded(command, output.status)?;
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs a program to its end, shows what it prints as it comes and gives each line to `see`.
pub(crate) fn follow(command: &mut Command, mut see: impl FnMut(&str)) -> Result {
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| unstarted(command, &error))?;
    let stdout = child.stdout.take().expect("stdout was asked for as a pipe");
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        println!("{line}");
        see(&line);
    }
    succeeded(command, child.wait()?)
}

/// Whether a program can be started and ends well; nothing of it is shown.
pub(crate) fn works(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Builds the one binary of a package and says where it lies. Cargo is asked, because the place depends on its settings.
pub(crate) fn build(package: &str, release: bool) -> Result<PathBuf> {
    let mut command = cargo(&["build", "--package", package, "--message-format=json-render-diagnostics"]);
    if release {
        command.arg("--release");
    }
    let mut found = None;
    for line in capture(&mut command)?.lines() {
        let message: Value = serde_json::from_str(line)?;
        if message["target"]["name"] == package
            && let Some(path) = message["executable"].as_str()
        {
            found = Some(PathBuf::from(path));
        }
    }
    found.ok_or_else(|| format!("package {package} builds no binary called {package}").into())
}

fn succeeded(command: &Command, status: ExitStatus) -> Result {
    if status.success() { Ok(()) } else { Err(format!("`{}` ended with {status}", spelled(command)).into()) }
}

fn unstarted(command: &Command, error: &std::io::Error) -> String {
    format!("`{}` could not be started: {error}", spelled(command))
}

/// The command as a person would type it; cargo by its name instead of its place.
fn spelled(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(name).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{capture, follow, program, run, works};

    #[test]
    fn a_failure_names_the_command() {
        let error = run(program("sh").args(["-c", "exit 3"])).unwrap_err().to_string();
        assert_eq!(error, "`sh -c exit 3` ended with exit status: 3");
        let error = capture(&mut program("/nowhere/such")).unwrap_err().to_string();
        assert!(error.starts_with("`such` could not be started: "), "{error}");
        assert!(!works(&mut program("/nowhere/such")));
    }

    #[test]
    fn following_sees_every_line_and_the_end() {
        let mut lines = Vec::new();
        let result =
            follow(program("sh").args(["-c", "echo a; echo b; exit 1"]), |line| lines.push(line.to_owned()));
        assert!(result.is_err());
        assert_eq!(lines, ["a", "b"]);
    }
}
