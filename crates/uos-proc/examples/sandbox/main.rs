//! Runs one program in a sandbox, passes its streams through, and exits with its code.
//!
//! ```text
//! cargo run -p uos-proc --example sandbox -- --ro /home/me/source --rw /tmp/out -- /usr/bin/python3 /home/me/source/job.py
//! ```
//!
//! Exits with the program's code, with 128 and its number on a signal, with 126 or 127 if it could not be started (127:
//! there is no such program), and with 2 if the arguments make no sense.

mod arguments;
mod report;
mod terminal;

use std::error::Error;
use std::os::fd::AsFd;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use uos_proc::{Child, Exit, ExitCause, LinuxSpawner, Signal, SpawnError, Spawner, Spec, Stage, Stdio};

use arguments::Arguments;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Arguments { spec, on_pty, report } = match arguments::read(std::env::args_os().skip(1)) {
        Ok(arguments) => arguments,
        Err(complaint) => {
            eprintln!("sandbox: {complaint}\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(spec, on_pty).await {
        Ok((child, exit)) => {
            if let Some(path) = report
                && let Err(error) = std::fs::write(&path, format!("{:#}\n", report::json(&child, &exit)))
            {
                eprintln!("sandbox: {}: {error}", path.display());
                return ExitCode::FAILURE;
            }
            ExitCode::from(code(&exit))
        }
        Err(error) => {
            eprintln!("sandbox: {error}");
            let is_missing = matches!(
                error.downcast_ref(),
                Some(SpawnError::Stage { stage: Stage::Exec, errno: libc::ENOENT })
            );
            ExitCode::from(if is_missing { 127 } else { 126 })
        }
    }
}

async fn run(spec: Spec, on_pty: bool) -> Result<(Child, Exit), Box<dyn Error>> {
    let spec = if on_pty { spec.on_pty(terminal::size()) } else { passing_through(spec)? };
    let spawner = LinuxSpawner::new()?;
    let child = spawner.spawn(spec)?;
    let exit = match child.take_pty() {
        Some(pty) => terminal::sit_before(&child, pty).await?,
        None => forward_signals(&child).await?,
    };
    Ok((child, exit))
}

/// The program gets copies of our three streams on purpose.
fn passing_through(spec: Spec) -> std::io::Result<Spec> {
    let stdin = std::io::stdin().as_fd().try_clone_to_owned()?;
    let stdout = std::io::stdout().as_fd().try_clone_to_owned()?;
    let stderr = std::io::stderr().as_fd().try_clone_to_owned()?;
    Ok(spec.stdin(Stdio::Fd(stdin)).stdout(Stdio::Fd(stdout)).stderr(Stdio::Fd(stderr)))
}

/// What is meant for the program reaches it.
async fn forward_signals(child: &Child) -> std::io::Result<Exit> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    loop {
        let heard = tokio::select! {
            exit = child.wait() => return Ok(exit),
            _ = term.recv() => Signal::TERM,
            _ = int.recv() => Signal::INT,
        };
        // Refused only if it has exited meanwhile.
        let _ = child.signal(heard);
    }
}

fn code(exit: &Exit) -> u8 {
    let code = match exit.cause {
        ExitCause::Exited(code) => code,
        ExitCause::Signaled { signal, .. } => 128 + signal.number(),
        ExitCause::Lost => 1,
        // Whatever killed it, it was by that signal.
        _ => 128 + Signal::KILL.number(),
    };
    u8::try_from(code).unwrap_or(u8::MAX)
}
