//! The project's own chores, run as `cargo xtask …`.
//!
//! Everything a person or a machine does with this repository beyond plain cargo is a chore here, so that there is one
//! spelling of it and it is the same everywhere.
#![forbid(unsafe_code)]

mod bench;
mod coverage;
mod desktop;
mod edges;
mod foreign;
mod fuse;
mod generate;
mod manual;
mod package;
mod shell;
mod steps;
mod test;
mod up;
mod vm;
mod workspace;

use std::{env, process::ExitCode};

const USAGE: &str = "\
Usage: cargo xtask CHORE

  up [--dev] [-- ARGS]    build the desktop and the server and run it; ARGS and UOS_* variables reach it
  test [--long] [STEP]    everything that must pass, or one step of it: format, lints, edges, generated, ui, rust,
                          leaves, fuse, adapters, oci, vm, loom, shuttle, asan, miri, docs, foreign, browser;
                          --long runs the campaigns at their full counts
  gen [--check]           write the generated files, or only say which is stale
  bench [NAME] [--json]   measure beside the peers
  coverage                say whether the tests of rights take every branch of their code; takes llvm-tools
  package                 make the package of every published crate and look at what it holds
  vm-test [--long] [SUITE]
                          run what takes control groups of version 2 in a small machine that has them
  help                    this text
";

/// What comes of a chore. An error is shown to a person as it is, so it is a whole sentence.
type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A chore as the command line asks for it.
#[derive(Debug, PartialEq)]
enum Chore {
    Up { dev: bool, server_args: Vec<String> },
    Test { long: bool, step: Option<String> },
    Gen { check: bool },
    Bench { args: Vec<String> },
    Coverage,
    Package,
    VmTest { long: bool, suite: Option<String> },
    Help,
}

fn main() -> ExitCode {
    let chore = match parse(env::args().skip(1).collect()) {
        Ok(chore) => chore,
        Err(complaint) => {
            eprintln!("{complaint}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let outcome = match chore {
        Chore::Up { dev, server_args } => up::run(dev, &server_args),
        Chore::Test { long, step } => test::run(long, step.as_deref()),
        Chore::Gen { check } => generate::run(check),
        Chore::Bench { args } => bench::run(&args),
        Chore::Coverage => coverage::run(),
        Chore::Package => package::run(),
        Chore::VmTest { long, suite } => vm::chore(long, suite.as_deref()),
        Chore::Help => {
            print!("{USAGE}");
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the command line. Whatever it doesn't know is refused, never ignored.
fn parse(mut args: Vec<String>) -> std::result::Result<Chore, String> {
    if args.is_empty() {
        return Ok(Chore::Help);
    }
    let name = args.remove(0);
    // What stands behind `--` is for the server and is not looked at.
    let rest = match args.iter().position(|arg| arg == "--") {
        Some(at) if name == "up" => {
            let rest = args.split_off(at + 1);
            args.truncate(at);
            rest
        }
        _ => Vec::new(),
    };
    let mut flag = |flag: &str| {
        let found = args.iter().position(|arg| arg == flag);
        found.map(|at| args.remove(at)).is_some()
    };
    let chore = match name.as_str() {
        "up" => Chore::Up { dev: flag("--dev"), server_args: rest },
        "test" => {
            let long = flag("--long");
            let named = args.first().is_some_and(|arg| steps::STEPS.iter().any(|step| step.name == *arg));
            Chore::Test { long, step: named.then(|| args.remove(0)) }
        }
        "gen" => Chore::Gen { check: flag("--check") },
        "bench" => {
            let json = flag("--json").then(|| "--json".to_owned());
            let measured = (!args.is_empty() && !args[0].starts_with('-')).then(|| args.remove(0));
            Chore::Bench { args: measured.into_iter().chain(json).collect() }
        }
        "coverage" => Chore::Coverage,
        "package" => Chore::Package,
        "vm-test" => {
            let long = flag("--long");
            let named = args.first().is_some_and(|arg| vm::has(arg));
            Chore::VmTest { long, suite: named.then(|| args.remove(0)) }
        }
        "help" | "--help" | "-h" => Chore::Help,
        _ => return Err(format!("there is no chore `{name}`")),
    };
    match args.first() {
        Some(extra) => Err(format!("`{name}` doesn't know `{extra}`")),
        None => Ok(chore),
    }
}

#[cfg(test)]
mod tests {
    use super::{Chore, parse};

    fn check(line: &str, expected: Result<Chore, &str>) {
        let args = line.split_whitespace().map(str::to_owned).collect();
        assert_eq!(parse(args), expected.map_err(str::to_owned), "{line}");
    }

    #[test]
    fn the_command_line_is_read_whole_or_refused() {
        let server_args = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
        check("", Ok(Chore::Help));
        check("up", Ok(Chore::Up { dev: false, server_args: vec![] }));
        check(
            "up --dev -- --log json --dev",
            Ok(Chore::Up { dev: true, server_args: server_args(&["--log", "json", "--dev"]) }),
        );
        check("test --long", Ok(Chore::Test { long: true, step: None }));
        check("test loom", Ok(Chore::Test { long: false, step: Some("loom".to_owned()) }));
        check("vm-test --long", Ok(Chore::VmTest { long: true, suite: None }));
        check("vm-test limits", Ok(Chore::VmTest { long: false, suite: Some("limits".to_owned()) }));
        check("vm-test limit", Err("`vm-test` doesn't know `limit`"));
        check("test moon", Err("`test` doesn't know `moon`"));
        check("coverage", Ok(Chore::Coverage));
        check("gen --check", Ok(Chore::Gen { check: true }));
        check("bench --json syscall", Ok(Chore::Bench { args: server_args(&["syscall", "--json"]) }));
        check("up --listen 1", Err("`up` doesn't know `--listen`"));
        check("test --lnog", Err("`test` doesn't know `--lnog`"));
        check("bench syscall vfs", Err("`bench` doesn't know `vfs`"));
        check("fly", Err("there is no chore `fly`"));
    }
}
