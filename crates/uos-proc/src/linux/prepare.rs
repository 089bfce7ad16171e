//! Everything a child will need, made before there is a child.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::{fcntl_dupfd_cloexec, pread};

use super::pipe;
use crate::check::invalid;
use crate::{Cwd, Input, Limits, OnLeaderExit, Output, Program, SpawnError, Spec, Stage, Stdio, Streams};

/// A path, or an open descriptor numbered 3 or higher.
pub(super) enum Place {
    Path(CString),
    Fd(OwnedFd),
}

/// A resource limit, soft and hard alike.
#[derive(Clone, Copy)]
pub(super) struct Rlimit {
    pub(super) name: &'static str,
    pub(super) resource: i32,
    pub(super) value: u64,
}

/// A child to be: owned, and free of pointers, so that it can travel to the spawner thread.
pub(super) struct Launch {
    pub(super) program: Place,
    pub(super) argv: Vec<CString>,
    pub(super) envp: Vec<CString>,
    pub(super) cwd: Place,
    /// What becomes 0, 1 and 2. All are numbered 3 or higher, so none is overwritten before it is used.
    pub(super) stdio: [OwnedFd; 3],
    pub(super) rlimits: Vec<Rlimit>,
    /// The niceness, as a number and as the text the kernel reads; `None` leaves it alone.
    pub(super) nice: Option<(i32, CString)>,
    pub(super) on_exit: OnLeaderExit,
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
    let rlimits = rlimits(&spec.limits);
    let on_exit = spec.on_leader_exit;
    Ok((Launch { program, argv, envp, cwd, stdio, rlimits, nice, on_exit }, streams))
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

fn rlimits(limits: &Limits) -> Vec<Rlimit> {
    let of = |name, resource, value| Rlimit { name, resource: resource as i32, value };
    let asked = [
        limits.open_files.map(|n| of("nofile", libc::RLIMIT_NOFILE, n)),
        limits.file_size_bytes.map(|n| of("fsize", libc::RLIMIT_FSIZE, n)),
        limits.cpu_seconds.map(|n| of("cpu", libc::RLIMIT_CPU, n)),
        Some(of("core", libc::RLIMIT_CORE, limits.core_bytes)),
    ];
    asked.into_iter().flatten().collect()
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
