//! Runs one program with an empty environment, passes its output through, and exits with its code.
//!
//! ```text
//! cargo run -p uos-proc --example run -- /bin/echo 'hello; this is only text'
//! ```

use std::error::Error;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;

use uos_proc::{ExitCause, Level, LinuxSpawner, Spawner, Spec, Stdio};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut words = std::env::args_os().skip(1);
    let Some(program) = words.next() else {
        eprintln!("usage: run /absolute/program [argument]...");
        return Ok(ExitCode::from(2));
    };
    // The program may not share our descriptors by accident, so it is given copies of three on purpose.
    let spec = Spec::new(PathBuf::from(program))
        .args(words)
        .stdin(Stdio::Fd(std::io::stdin().as_fd().try_clone_to_owned()?))
        .stdout(Stdio::Fd(std::io::stdout().as_fd().try_clone_to_owned()?))
        .stderr(Stdio::Fd(std::io::stderr().as_fd().try_clone_to_owned()?))
        .level(Level::Privileged);

    let spawner = LinuxSpawner::new()?;
    let child = match spawner.spawn(spec) {
        Ok(child) => child,
        Err(error) => {
            eprintln!("run: {error}");
            return Ok(ExitCode::from(126));
        }
    };
    Ok(match child.wait().await.cause {
        ExitCause::Exited(code) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
        ended => {
            eprintln!("run: {ended}");
            ExitCode::FAILURE
        }
    })
}
