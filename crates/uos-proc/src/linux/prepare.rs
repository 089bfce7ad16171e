//! Everything a child will need, made before there is a child.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::{fcntl_dupfd_cloexec, pread};

use super::life::Life;
use super::pipe;
use super::steps::{Place, Rlimit};
use crate::check::invalid;
use crate::{Cwd, Input, OnLeaderExit, Output, Program, SpawnError, Spec, Stage, Stdio, Streams};

/// A child to be: owned, and good on any thread, so that it can travel to the spawner's.
pub(super) struct Launch {
    pub(super) life: Life,
    pub(super) on_exit: OnLeaderExit,
    /// A call that is not made, and the errno it fails with instead.
    #[cfg(test)]
    pub(super) fault: Option<(usize, i32)>,
}

/// Makes the pipes, strings and lists of `spec`, which has been judged.
pub(super) fn prepare(spec: Spec) -> Result<(Launch, Streams), SpawnError> {
    let (stdio, streams) = connect(spec.stdin, spec.stdout, spec.stderr).map_err(stdio_failed)?;
    let program = match spec.program {
        Program::Path(path) => Place::Path(text("program", path.as_os_str())?),
        Program::Fd(fd) => Place::Fd(above_stdio(fd).map_err(stdio_failed)?),
    };
    let cwd = match spec.cwd {
        None => Place::Path(c"/".to_owned()),
        Some(Cwd::Path(path)) => Place::Path(text("cwd", path.as_os_str())?),
        Some(Cwd::Fd(fd)) => Place::Fd(above_stdio(fd).map_err(stdio_failed)?),
    };
    let nice = match spec.nice {
        0 => None,
        nice => Some((nice, text("nice", OsStr::new(&nice.to_string()))?)),
    };
    let argv = spec.args.iter().map(|arg| text("args", arg)).collect::<Result<_, _>>()?;
    let envp = spec.env.iter().map(|(name, value)| variable(name, value)).collect::<Result<_, _>>()?;

    let mut life = Life::default();
    life.tie_to_spawner();
    life.new_session();
    life.place_descriptors(stdio);
    life.change_directory(cwd);
    // Before the limits, one of which may forbid opening the file this opens.
    if let Some((nice, as_text)) = nice {
        life.set_nice(nice, as_text);
    }
    life.set_rlimits(&Rlimit::all(&spec.limits));
    life.no_new_privileges();
    life.reset_signals();
    life.execute(program, argv, envp);
    let launch = Launch {
        life,
        on_exit: spec.on_leader_exit,
        #[cfg(test)]
        fault: None,
    };
    Ok((launch, streams))
}

/// A script run by descriptor fails with a puzzling ENOENT: its interpreter is told to open `/dev/fd/N`, and N is
/// closed by then. So the first two bytes are read here, where they can be.
pub(super) fn check_not_a_script(program: &Program) -> Result<(), SpawnError> {
    let Program::Fd(fd) = program else { return Ok(()) };
    // Only a regular file can be read without waiting or disturbing anyone.
    if fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile) {
        return invalid("program", "not a regular file");
    }
    let mut start = [0; 2];
    let is_script = match pread(fd, &mut start, 0) {
        Ok(read) => read == 2 && start == *b"#!",
        Err(_) => reopen(fd).is_ok_and(|fd| pread(fd, &mut start, 0) == Ok(2) && start == *b"#!"),
    };
    if is_script { invalid("program", "a script needs a path") } else { Ok(()) }
}

/// An `O_PATH` descriptor opened again for reading; the same file, whatever its path now leads to.
fn reopen(fd: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    open(link, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())
}

fn connect(stdin: Stdio, stdout: Stdio, stderr: Stdio) -> io::Result<([OwnedFd; 3], Streams)> {
    let mut streams = Streams::default();
    let stdin = match stdin {
        Stdio::Null => null()?,
        Stdio::Fd(fd) => fd,
        Stdio::Pipe => {
            let (ours, theirs) = pipe::inward()?;
            streams.stdin = Some(Input::new(ours));
            theirs
        }
    };
    let output = |stdio: Stdio, stream: &mut Option<Output>| match stdio {
        Stdio::Null => null(),
        Stdio::Fd(fd) => Ok(fd),
        Stdio::Pipe => {
            let (ours, theirs) = pipe::outward()?;
            *stream = Some(Output::new(ours));
            Ok(theirs)
        }
    };
    let stdout = output(stdout, &mut streams.stdout)?;
    let stderr = output(stderr, &mut streams.stderr)?;
    Ok(([above_stdio(stdin)?, above_stdio(stdout)?, above_stdio(stderr)?], streams))
}

/// Opened anew for each child: a shared description would let children set flags on each other.
fn null() -> io::Result<OwnedFd> {
    Ok(open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?)
}

fn above_stdio(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() > 2 { Ok(fd) } else { Ok(fcntl_dupfd_cloexec(fd.as_fd(), 3)?) }
}

fn variable(name: &OsStr, value: &OsStr) -> Result<CString, SpawnError> {
    let pair = [name.as_bytes(), b"=", value.as_bytes()].concat();
    text("env", OsStr::from_bytes(&pair))
}

fn text(field: &'static str, text: &OsStr) -> Result<CString, SpawnError> {
    CString::new(text.as_bytes()).or_else(|_| invalid(field, "a NUL byte"))
}

#[expect(clippy::needless_pass_by_value, reason = "the shape map_err wants")]
fn stdio_failed(error: io::Error) -> SpawnError {
    SpawnError::Stage { stage: Stage::Stdio, errno: error.raw_os_error().unwrap_or(libc::EIO) }
}
