//! The command line.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use uos_proc::{Cwd, Guarantee, Level, Mount, Spec};

pub(crate) const USAGE: &str = "\
usage: sandbox [OPTION]... -- PROGRAM [ARGUMENT]...
  --level minimal|standard|privileged   how tightly it is held; standard if not said
  --ro PATH          a file or directory of the host it may read, at its own path
  --rw PATH          one that it may change, too
  --env NAME=VALUE   a variable of its environment, which is empty otherwise
  --cwd DIR          the directory it starts in; / if not said
  --memory BYTES     memory of all its processes
  --pids N           processes and threads
  --cpu PERCENT      hundredths of a processor
  --timeout SECONDS  how long it may run
  --pty              a terminal of its own
  --report FILE      where to write, as JSON, what was enforced, how it ended and what it used
  --accept GUARANTEE go on although this guarantee can't be enforced here (as `doctor` names it)";

pub(crate) struct Arguments {
    pub(crate) spec: Spec,
    pub(crate) on_pty: bool,
    pub(crate) report: Option<PathBuf>,
}

/// Reads them, or says what is wrong.
pub(crate) fn read(mut words: impl Iterator<Item = OsString>) -> Result<Arguments, String> {
    let mut adjust: Vec<Box<dyn FnOnce(Spec) -> Spec>> = Vec::new();
    let (mut on_pty, mut report) = (false, None);
    loop {
        let option = words.next().ok_or("there is no program")?;
        let option = option.to_str().ok_or_else(|| format!("{}: no such option", option.display()))?;
        if option == "--" {
            break;
        }
        if option == "--pty" {
            on_pty = true;
            continue;
        }
        if !USAGE.contains(&format!("  {option} ")) || !option.starts_with("--") {
            return Err(format!("{option}: no such option"));
        }
        let value = words.next().ok_or_else(|| format!("{option} needs a value"))?;
        match option {
            "--level" => {
                let level = level(&value)?;
                adjust.push(Box::new(move |spec| spec.level(level)));
            }
            "--ro" => adjust.push(Box::new(move |spec| spec.mount(Mount::read_only(&value)))),
            "--rw" => adjust.push(Box::new(move |spec| spec.mount(Mount::writable(&value)))),
            "--env" => {
                let (name, value) = variable(&value)?;
                adjust.push(Box::new(move |spec| spec.env(name, value)));
            }
            "--cwd" => adjust.push(Box::new(move |spec| spec.cwd(Cwd::Path(value.into())))),
            "--memory" => {
                let bytes = number(option, &value)?;
                adjust.push(Box::new(move |mut spec| {
                    spec.limits.memory_bytes = Some(bytes);
                    spec
                }));
            }
            "--pids" => {
                let pids = number(option, &value)?;
                adjust.push(Box::new(move |mut spec| {
                    spec.limits.pids = Some(pids);
                    spec
                }));
            }
            "--cpu" => {
                let percent = number(option, &value)?;
                adjust.push(Box::new(move |mut spec| {
                    spec.limits.cpu_percent = Some(percent);
                    spec
                }));
            }
            "--timeout" => {
                let seconds: f64 = number(option, &value)?;
                let length =
                    Duration::try_from_secs_f64(seconds).map_err(|error| format!("{option}: {error}"))?;
                adjust.push(Box::new(move |spec| spec.deadline(length)));
            }
            "--report" => report = Some(PathBuf::from(value)),
            _ => {
                let guarantee = guarantee(&value)?;
                adjust.push(Box::new(move |spec| spec.accept(guarantee)));
            }
        }
    }
    let program = words.next().ok_or("there is no program")?;
    let spec = Spec::new(find(&program)?).argv([program]).args(words);
    let spec = adjust.into_iter().fold(spec, |spec, adjust| adjust(spec));
    Ok(Arguments { spec, on_pty, report })
}

/// A bare name is looked up where the system's programs are, here and in every sandbox.
fn find(program: &OsStr) -> Result<PathBuf, String> {
    if program.as_bytes().contains(&b'/') {
        return Ok(PathBuf::from(program));
    }
    let places = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"];
    let paths = places.map(|place| Path::new(place).join(program));
    let found = paths.into_iter().find(|path| path.is_file());
    found.ok_or_else(|| format!("{}: no such program in {}", program.display(), places.join(", ")))
}

fn level(word: &OsStr) -> Result<Level, String> {
    let named =
        |level: &Level| word.to_str().is_some_and(|word| format!("{level:?}").eq_ignore_ascii_case(word));
    Level::ALL.into_iter().find(named).ok_or_else(|| format!("{}: no such level", word.display()))
}

fn guarantee(word: &OsStr) -> Result<Guarantee, String> {
    let named = |guarantee: &Guarantee| word.to_str() == Some(&guarantee.to_string());
    Guarantee::ALL.into_iter().find(named).ok_or_else(|| format!("{}: no such guarantee", word.display()))
}

fn variable(pair: &OsStr) -> Result<(OsString, OsString), String> {
    let bytes = pair.as_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=');
    let at = at.ok_or_else(|| format!("--env {}: there is no =", pair.display()))?;
    Ok((OsStr::from_bytes(&bytes[..at]).to_owned(), OsStr::from_bytes(&bytes[at + 1..]).to_owned()))
}

fn number<T: std::str::FromStr>(option: &str, word: &OsStr) -> Result<T, String> {
    let number = word.to_str().and_then(|word| word.parse().ok());
    number.ok_or_else(|| format!("{option} {}: not a number it can be", word.display()))
}
