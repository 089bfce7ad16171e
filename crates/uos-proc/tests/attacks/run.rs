//! Running one attack, outside and inside, and telling how it ended.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio as HostStdio};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use uos_proc::{
    ExitCause, Guarantee, Level, LinuxSpawner, Mount, Program, Signal, SpawnError, Spawner, Spec, Stdio,
};

use crate::table::{Outside, Row};
use crate::world::{SECRET_VARIABLE, World};

/// As whom an attack begins outside that has no rights to begin with.
const NOBODY: u32 = 65534;

/// How it ends without any sandbox, begun by root, with this program's descriptors and environment.
pub(crate) fn outside(world: &World, row: &Row) -> String {
    let scratch = world.at("scratch").display().to_string();
    let mut words = world.words(row.words, &scratch);
    if let Outside::WorksWith(word, _) = row.outside {
        words.push(word.to_owned());
    }
    let mut command = Command::new(world.at("bin/probe"));
    command.args(words).env(SECRET_VARIABLE, "in the spawner").current_dir(scratch);
    let terminal = || HostStdio::from(world.terminal.try_clone().expect("a descriptor"));
    command.stdin(if row.on_terminal { terminal() } else { HostStdio::null() });
    if row.as_nobody {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().expect("the attack begins");
    told(&output.stdout, &of_status(output.status), &output.stderr)
}

/// How it ends inside, or why it can't be begun.
pub(crate) async fn inside(
    spawner: &LinuxSpawner,
    world: &World,
    row: &Row,
    level: Level,
) -> Result<String, SpawnError> {
    let words = world.words(row.words, "/tmp");
    let stdin = if row.on_terminal {
        Stdio::Fd(world.terminal.try_clone().expect("a descriptor"))
    } else {
        Stdio::Null
    };
    let mut limits = row.limits;
    if level == Level::Minimal {
        // What the attack itself needs; the level's own is less.
        limits.file_size_bytes = limits.file_size_bytes.or(Some(1 << 30));
    }
    ended(spawner, boxed(world, level, &words).stdin(stdin).limits(limits)).await
}

/// How it ends in this sandbox, or why it can't be begun.
pub(crate) async fn ended(spawner: &LinuxSpawner, spec: Spec) -> Result<String, SpawnError> {
    let child = spawner.spawn(spec.stdout(Stdio::Pipe).stderr(Stdio::Pipe))?;
    let (mut said, mut complaints) = (Vec::new(), Vec::new());
    let (mut stdout, mut stderr) =
        (child.take_stdout().expect("a pipe"), child.take_stderr().expect("a pipe"));
    let all = async {
        tokio::join!(child.wait(), stdout.read_to_end(&mut said), stderr.read_to_end(&mut complaints)).0
    };
    let exit = tokio::time::timeout(Duration::from_secs(60), all).await.expect("the attack ends");
    Ok(told(&said, &of_cause(exit.cause), &complaints))
}

/// The attacking program with `words`, in a sandbox that was granted a folder to read, one to write, and programs.
pub(crate) fn boxed(world: &World, level: Level, words: &[String]) -> Spec {
    let program = File::open(world.at("bin/probe")).map(OwnedFd::from).expect("the program");
    let spec = Spec::new(Program::Fd(program)).arg("uos-attack").args(words).level(level);
    let spec = spec.mount(Mount::read_only(world.at("bin")));
    let spec = spec.mount(Mount::read_only(world.at("ro"))).mount(Mount::writable(world.at("rw")));
    // Rows say themselves which guarantee they try.
    spec.accept(Guarantee::Memory).accept(Guarantee::Cpu)
}

/// The same without namespaces, where so much is weakened.
pub(crate) fn boxed_barely(world: &World, level: Level, words: &[String]) -> Spec {
    let weak = [Guarantee::FsView, Guarantee::Network, Guarantee::Pids, Guarantee::KillTree];
    weak.into_iter().fold(boxed(world, level, words), Spec::accept)
}

/// Its one line, or how it ended if it came to none.
fn told(said: &[u8], ended: &str, complaints: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    match (said.trim(), ended) {
        ("", "exited with 0" | "exited with 2" | "exited with 101") => {
            panic!("an attack broke: {}", String::from_utf8_lossy(complaints))
        }
        ("", ended) => ended.to_owned(),
        (said, _) => said.to_owned(),
    }
}

fn of_status(status: ExitStatus) -> String {
    let core = if status.core_dumped() { ", core dumped" } else { "" };
    match status.signal().and_then(Signal::new) {
        Some(signal) => format!("{signal}{core}"),
        None => format!("exited with {}", status.code().unwrap_or(-1)),
    }
}

fn of_cause(cause: ExitCause) -> String {
    match cause {
        ExitCause::Signaled { signal, core } => {
            format!("{signal}{}", if core { ", core dumped" } else { "" })
        }
        cause => cause.to_string(),
    }
}
