//! Everything a child will need, made before there is a child.

use std::ffi::{CString, OsStr, c_int};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Weak};

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::{fcntl_dupfd_cloexec, pread};

use super::cgroup::Groups;
use super::grouped::{Grouped, wants_group};
use super::life::Life;
use super::pty;
use super::sandbox::{Held, Sandbox, Sandboxes, arguments};
use super::steps::{Place, Rlimit};
use super::thread::Queue;
use crate::check::invalid;
use crate::pipe;
use crate::{
    Cwd, Input, Level, OnLeaderExit, Output, Program, Pty, PtySize, SpawnError, Spec, Stage, Stdio, Streams,
};

/// A child to be: owned, and good on any thread, so that it can travel to the spawner's.
pub(super) struct Launch {
    pub(super) life: Life,
    pub(super) on_exit: OnLeaderExit,
    /// The namespaces it is cloned into.
    pub(super) flags: c_int,
    pub(super) sandbox: Option<Held>,
    /// The thread that it has to come from, if that is not the spawner's own.
    pub(super) queue: Option<Arc<Queue>>,
    /// The control group that it joins.
    pub(super) group: Option<Grouped>,
    /// Our side of its terminal, for as long as somebody holds it.
    pub(super) terminal: Option<Weak<OwnedFd>>,
    /// A call that is not made the first time, and the errno it fails with instead.
    #[cfg(test)]
    pub(super) fault: Option<(usize, i32)>,
}

impl Launch {
    /// One whose process group goes with it.
    pub(super) fn of(life: Life) -> Self {
        Launch {
            life,
            on_exit: OnLeaderExit::KillGroup,
            flags: 0,
            sandbox: None,
            queue: None,
            group: None,
            terminal: None,
            #[cfg(test)]
            fault: None,
        }
    }

    pub(super) fn with_flags(mut self, flags: c_int) -> Self {
        self.flags = flags;
        self
    }
}

/// Makes the pipes, strings and lists of `spec`, which has been judged. Without `sandboxes`, the levels that take
/// them fail with that error. Without `groups`, there are no limits on the tree.
pub(super) fn prepare(
    mut spec: Spec,
    sandboxes: Result<&Sandboxes, SpawnError>,
    groups: Option<&Groups>,
    queue: &Queue,
) -> Result<(Launch, Streams), SpawnError> {
    let mut sandbox = match spec.level {
        Level::Privileged => None,
        Level::Minimal | Level::Standard => Some(sandboxes?.sandbox(queue, &mut spec)?),
    };
    let init_is_one_more = sandbox.as_ref().is_some_and(|sandbox| sandbox.init.is_some());
    let group = groups.filter(|_| wants_group(&spec));
    let has_own_pids = sandbox.as_ref().is_some_and(|sandbox| sandbox.flags & libc::CLONE_NEWPID != 0);
    let lease = |groups| Grouped::lease(groups, &spec, init_is_one_more.into(), has_own_pids);
    let group = group.map(lease).transpose()?;
    // Descriptors that steps use by number stay clear of the numbers that the program wants.
    let floor = spec.fds.iter().map(|(target, _)| target + 1).max().unwrap_or(3);
    let above = |fd| above(fd, floor).map_err(stdio_failed);
    let connected = connect([spec.stdin, spec.stdout, spec.stderr], spec.pty_size).map_err(stdio_failed)?;
    let Connected { stdio, streams, terminal, master } = connected;
    let nothing = || above(null().map_err(stdio_failed)?);
    let nothing = stdio.iter().any(Option::is_none).then(nothing).transpose()?;
    let [stdin, stdout, stderr] = stdio.map(|fd| fd.map(above).transpose());
    let stdio = [stdin?, stdout?, stderr?];
    let fds = spec
        .fds
        .into_iter()
        .map(|(target, fd)| above(fd).map(|fd| (target, fd)))
        .collect::<Result<_, _>>()?;
    let program = match spec.program {
        Program::Path(path) => Place::Path(text("program", path.as_os_str())?),
        Program::Fd(fd) => Place::Fd(above(fd)?),
    };
    let cwd = match spec.cwd {
        None => Place::Path(c"/".to_owned()),
        Some(Cwd::Path(path)) => Place::Path(text("cwd", path.as_os_str())?),
        Some(Cwd::Fd(fd)) => Place::Fd(above(fd)?),
    };
    let nice = match spec.nice {
        0 => None,
        nice => Some((nice, text("nice", OsStr::new(&nice.to_string()))?)),
    };
    let argv = spec.args.iter().map(|arg| text("args", arg)).collect::<Result<_, _>>()?;
    let envp = spec.env.iter().map(|(name, value)| variable(name, value)).collect::<Result<_, _>>()?;

    let mut life = Life::default();
    if let Some(group) = &group {
        group.join(&mut life)?;
    }
    life.leave_descriptors();
    let mut rules = None;
    if let Some(sandbox) = &mut sandbox {
        life.tie();
        life.new_session();
        sandbox.enter(&mut life);
        rules = Some(sandbox.make_rules(&mut life, &program)?);
    } else {
        life.tie_to_spawner();
        life.new_session();
    }
    life.place_streams(stdio, nothing);
    life.hide_descriptors();
    // Before the limits, one of which may forbid opening the file this opens.
    if let Some((nice, as_text)) = nice {
        life.set_nice(nice, as_text);
    }
    let limits = spec.limits.or_of(spec.level);
    life.set_rlimits(&Rlimit::all(&limits));
    if let Some(sandbox) = &sandbox {
        let is_counted = group.as_ref().is_some_and(Grouped::limits_processes);
        if sandbox.counts_its_processes() && !is_counted {
            life.set_rlimits(&Rlimit::processes(limits.pids, init_is_one_more));
        }
        sandbox.lay_down_rights(&mut life);
    }
    // As whom the program will be: no directory is entered that it could not enter itself.
    life.change_directory(cwd);
    life.no_new_privileges();
    if let Some(rules) = &rules {
        life.restrict(rules);
    }
    life.give_descriptors(fds);
    let has_init = sandbox.as_ref().is_some_and(|sandbox| sandbox.init.is_some());
    if let (Some(terminal), false) = (terminal, has_init) {
        life.take_terminal(terminal);
    }
    life.reset_signals();
    let init = sandbox.as_mut().and_then(|sandbox| sandbox.init.take());
    let init =
        init.map(|(binary, socket)| Ok::<_, SpawnError>((above(binary)?, above(socket)?))).transpose()?;
    if let Some(sandbox) = &sandbox {
        if let Some((_, socket)) = &init {
            life.show_descriptor(socket.as_raw_fd().into());
        }
        if let (Some(_), Place::Fd(fd)) = (&init, &program) {
            life.show_descriptor(fd.as_raw_fd().into());
        }
        sandbox.load_filter(&mut life);
    }
    match init {
        None => {
            life.execute(program, argv, envp);
        }
        Some((binary, socket)) => {
            let (number, path) = match program {
                Place::Path(path) => (None, path),
                Place::Fd(fd) => {
                    let number = fd.as_raw_fd();
                    life.fd(fd);
                    (Some(number), c"".to_owned())
                }
            };
            let mut all = arguments(socket.as_raw_fd(), number, path, terminal);
            all.extend::<Vec<CString>>(argv);
            life.fd(socket);
            life.execute_on_the_way(Stage::Init, Place::Fd(binary), all, envp);
        }
    }
    let shared = if life.shares_descriptors() { libc::CLONE_FILES } else { 0 };
    let mut launch = Launch::of(life);
    launch.on_exit = spec.on_leader_exit;
    launch.terminal = master;
    launch.flags = shared | sandbox.as_ref().map_or(0, |sandbox| sandbox.flags);
    launch.queue = sandbox.as_mut().and_then(|sandbox| sandbox.queue.take());
    launch.sandbox = sandbox.map(Sandbox::held);
    launch.group = group;
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

/// What the streams lead to.
struct Connected {
    /// The child's ends; none where it gets nothing.
    stdio: [Option<OwnedFd>; 3],
    /// Ours.
    streams: Streams,
    /// The first of the child's streams that is its terminal.
    terminal: Option<i32>,
    master: Option<Weak<OwnedFd>>,
}

fn connect(wanted: [Stdio; 3], size: PtySize) -> io::Result<Connected> {
    let mut streams = Streams::default();
    let terminal = wanted.iter().position(|stdio| matches!(stdio, Stdio::Pty));
    let pty = terminal.map(|_| pty::open(size)).transpose()?;
    let [stdin, stdout, stderr] = wanted;
    let stdin = match stdin {
        Stdio::Null => None,
        Stdio::Fd(fd) => Some(fd),
        Stdio::Pipe => {
            let (ours, theirs) = pipe::inward()?;
            streams.stdin = Some(Input::new(ours));
            Some(theirs)
        }
        Stdio::Pty => slave(&pty)?,
    };
    let output = |stdio: Stdio, stream: &mut Option<Output>| match stdio {
        Stdio::Null => Ok::<_, io::Error>(None),
        Stdio::Fd(fd) => Ok(Some(fd)),
        Stdio::Pipe => {
            let (ours, theirs) = pipe::outward()?;
            *stream = Some(Output::new(ours));
            Ok(Some(theirs))
        }
        Stdio::Pty => slave(&pty),
    };
    let stdout = output(stdout, &mut streams.stdout)?;
    let stderr = output(stderr, &mut streams.stderr)?;
    let master = pty.map(|(master, _)| {
        let weak = Arc::downgrade(&master);
        streams.pty = Some(Pty::new(pty::Side::new(master)));
        weak
    });
    let terminal = terminal.and_then(|stream| i32::try_from(stream).ok());
    Ok(Connected { stdio: [stdin, stdout, stderr], streams, terminal, master })
}

fn slave(pty: &Option<(pty::Master, OwnedFd)>) -> io::Result<Option<OwnedFd>> {
    pty.as_ref().map(|(_, slave)| slave.try_clone()).transpose()
}

/// Opened anew for each child: a shared description would let children set flags on each other.
fn null() -> io::Result<OwnedFd> {
    Ok(open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?)
}

/// The descriptor, or a copy of it, under a number of at least `floor`.
fn above(fd: OwnedFd, floor: i32) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() >= floor { Ok(fd) } else { Ok(fcntl_dupfd_cloexec(fd.as_fd(), floor)?) }
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
