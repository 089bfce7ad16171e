//! Where the standard streams of a new program lead.

use std::sync::Arc;

use tokio::runtime::Handle;
use uos_ipc::Quota;
use uos_proc::{Child, PtySize, Spec, Stdio};
use uos_proto::v1;

use crate::{
    Error,
    input::Input,
    life::Taken,
    output::{Output, WhenFull},
    process::Streams,
};

/// How much of a stream is kept when the caller doesn't say, and at most.
const CAPTURE: (u64, u64) = (1 << 20, 16 << 20);

/// What was asked for, as it can be had.
pub(super) struct Wiring {
    stdin: bool,
    stdout: Option<WhenFull>,
    stderr: Option<WhenFull>,
    terminal: Option<PtySize>,
    /// Of each stream that is kept.
    most: u64,
}

impl Wiring {
    pub(super) fn parse(asked: v1::Stdio) -> Result<Self, Error> {
        let most = match asked.capture_bytes {
            0 => CAPTURE.0,
            bytes if bytes <= CAPTURE.1 => bytes,
            bytes => {
                return Err(Error::invalid(
                    "stdio.capture_bytes",
                    format_args!("at most {}, not {bytes}", CAPTURE.1),
                ));
            }
        };
        let stdin = match v1::InputMode::try_from(asked.stdin) {
            Ok(v1::InputMode::Unspecified | v1::InputMode::Null) => false,
            Ok(v1::InputMode::Pipe) => true,
            Err(_) => {
                return Err(Error::invalid(
                    "stdio.stdin",
                    format_args!("{} is not an InputMode", asked.stdin),
                ));
            }
        };
        let (stdout, stderr) = (keep(asked.stdout, "stdio.stdout")?, keep(asked.stderr, "stdio.stderr")?);
        let terminal = asked.terminal.map(|size| terminal_size(size, "stdio.terminal")).transpose()?;
        if terminal.is_some() {
            for (field, is_set) in [("stdio.stdin", asked.stdin != 0), ("stdio.stderr", asked.stderr != 0)] {
                if is_set {
                    return Err(Error::invalid(field, "a program on a terminal has all its streams there"));
                }
            }
            if stdout.is_none() {
                return Err(Error::invalid("stdio.stdout", "what a terminal shows is kept"));
            }
        }
        Ok(Self { stdin, stdout, stderr, terminal, most })
    }

    pub(super) fn wire(&self, spec: Spec) -> Spec {
        if let Some(size) = self.terminal {
            return spec.on_pty(size);
        }
        let pipe = |is_one: bool| if is_one { Stdio::Pipe } else { Stdio::Null };
        spec.stdin(pipe(self.stdin)).stdout(pipe(self.stdout.is_some())).stderr(pipe(self.stderr.is_some()))
    }

    /// Takes our ends of the streams: what is kept of them, and what is to be taken in from now on. `room` is charged.
    pub(super) fn connect(self, child: &Child, runtime: &Handle, room: &Quota) -> (Streams, Taken) {
        let keep = |when_full: Option<WhenFull>| {
            when_full.map(|when_full| Arc::new(Output::new(self.most as usize, when_full, room.clone())))
        };
        let stdout = keep(self.stdout);
        let (stdin, stderr, sources) = match child.take_pty() {
            Some(pty) => {
                let (shown, typed) = tokio::io::split(pty);
                (Some((uos_proc::Input::new(typed), true)), None, [Some(uos_proc::Output::new(shown)), None])
            }
            None => {
                let stdin = child.take_stdin().map(|end| (end, false));
                (stdin, keep(self.stderr), [child.take_stdout(), child.take_stderr()])
            }
        };
        let [out, err] = sources;
        let taken = Taken { stdout: out.zip(stdout.clone()), stderr: err.zip(stderr.clone()) };
        let stdin = stdin.map(|(end, is_terminal)| Input::new(end, is_terminal, runtime));
        (Streams { stdin, stdout, stderr }, taken)
    }
}

fn keep(mode: i32, field: &str) -> Result<Option<WhenFull>, Error> {
    match v1::OutputMode::try_from(mode) {
        Ok(v1::OutputMode::Unspecified | v1::OutputMode::Capture) => Ok(Some(WhenFull::DropOldest)),
        Ok(v1::OutputMode::Pipe) => Ok(Some(WhenFull::Wait)),
        Ok(v1::OutputMode::Discard) => Ok(None),
        Err(_) => Err(Error::invalid(field, format_args!("{mode} is not an OutputMode"))),
    }
}

/// A size that a terminal can have.
pub(super) fn terminal_size(size: v1::TerminalSize, field: &str) -> Result<PtySize, Error> {
    let side = |side: u32, name: &str| {
        let fits = u16::try_from(side).ok().filter(|&side| side > 0);
        fits.ok_or_else(|| {
            Error::invalid(&format!("{field}.{name}"), format_args!("1 to 65,535, not {side}"))
        })
    };
    Ok(PtySize { rows: side(size.rows, "rows")?, columns: side(size.columns, "columns")? })
}
