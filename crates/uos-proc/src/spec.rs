//! What to run: a program, its surroundings, and how tightly to hold it.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Guarantee, Init, Limits, Mount, Network, PtySize};

/// How tightly a program is held, tightest first.
///
/// A level is a list of guarantees that must all be enforced; see [`Level::requires`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// A program that is trusted with nothing.
    Minimal,
    /// A program that sees what it was granted and nothing else. The default.
    Standard,
    /// A program that runs with the host's view and the spawning program's own rights.
    Privileged,
}

impl Level {
    /// All levels, tightest first.
    pub const ALL: [Level; 3] = [Level::Minimal, Level::Standard, Level::Privileged];

    /// The guarantees without which a program is not started at this level.
    #[must_use]
    pub fn requires(self) -> &'static [Guarantee] {
        match self {
            Level::Minimal | Level::Standard => &Guarantee::ALL,
            Level::Privileged => &[Guarantee::NoNewPrivileges, Guarantee::FdHygiene, Guarantee::Environment],
        }
    }
}

/// The program to execute.
#[derive(Debug)]
pub enum Program {
    /// An absolute path on the host. There is no search along `PATH`.
    Path(PathBuf),
    /// A descriptor of the binary, readable or `O_PATH`. Nobody can swap the file between the check and the
    /// execution. A `#!` script cannot be run this way: its interpreter would find the descriptor closed.
    Fd(OwnedFd),
}

impl<P: AsRef<Path> + ?Sized> From<&P> for Program {
    fn from(path: &P) -> Self {
        Program::Path(path.as_ref().to_path_buf())
    }
}

impl From<PathBuf> for Program {
    fn from(path: PathBuf) -> Self {
        Program::Path(path)
    }
}

impl From<OwnedFd> for Program {
    fn from(fd: OwnedFd) -> Self {
        Program::Fd(fd)
    }
}

/// The directory a program starts in.
#[derive(Debug)]
pub enum Cwd {
    /// An absolute path on the host.
    Path(PathBuf),
    /// A descriptor of the directory.
    Fd(OwnedFd),
}

/// Where one of the three standard streams leads.
#[derive(Debug, Default)]
pub enum Stdio {
    /// To `/dev/null`.
    #[default]
    Null,
    /// To a pipe whose other end the [`Child`](crate::Child) hands out.
    Pipe,
    /// To this descriptor.
    Fd(OwnedFd),
    /// To a terminal of its own, whose other side the [`Child`](crate::Child) hands out. All streams that say so share
    /// one. It is the program's controlling terminal, so job control works.
    Pty,
}

/// What becomes of the rest of a program's process group when its leader exits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLeaderExit {
    /// The rest is killed when the exit is noticed: by `wait`, `try_wait` or `usage`, or because the last handle
    /// of the child is dropped.
    #[default]
    KillGroup,
    /// The rest runs on, and nothing here can reach it any more.
    LeaveGroup,
}

/// What becomes of a program when the last handle of its [`Child`](crate::Child) is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDrop {
    /// It is killed, with what is to go with it.
    #[default]
    Kill,
    /// It runs on and is collected when it ends. Its spawner still takes it along, and so does its deadline.
    Detach,
}

/// Everything a [`Spawner`](crate::Spawner) needs to start one program.
///
/// What is not said is not inherited: the environment is empty, the streams lead to `/dev/null`, the directory is
/// `/`, and the level is [`Level::Standard`].
#[derive(Debug)]
pub struct Spec {
    /// The program to execute.
    pub program: Program,
    /// The argument vector, `argv[0]` included.
    pub args: Vec<OsString>,
    /// The whole environment, as names and values.
    pub env: Vec<(OsString, OsString)>,
    /// The directory to start in; `None` is `/`.
    pub cwd: Option<Cwd>,
    /// Descriptor 0.
    pub stdin: Stdio,
    /// Descriptor 1.
    pub stdout: Stdio,
    /// Descriptor 2.
    pub stderr: Stdio,
    /// The size of its terminal, if it has one.
    pub pty_size: PtySize,
    /// How tightly the program is held.
    pub level: Level,
    /// What it may use up.
    pub limits: Limits,
    /// Whether it gets a control group of its own even if no limit takes one: then it can be paused, killed, accounted
    /// for and limited later as a tree. What is in a sandbox always does, where the machine can.
    pub grouped: bool,
    /// Its niceness, -20 to 19. Zero, the default, leaves it at the spawning program's own.
    pub nice: i32,
    /// What becomes of its process group when it exits.
    pub on_leader_exit: OnLeaderExit,
    /// What becomes of it when its last handle is dropped.
    pub on_drop: OnDrop,
    /// How long it may run, by the clock on the wall. It is then killed, with what is to go with it.
    pub deadline: Option<Duration>,
    /// Descriptors it gets beside 0, 1 and 2, under numbers from 3 to 1023. None is a directory in a sandbox.
    pub fds: Vec<(i32, OwnedFd)>,
    /// What it sees beside the system's programs, where it has a root of its own.
    pub mounts: Vec<Mount>,
    /// Whether it sees the system's programs and libraries: `/usr`, `/bin`, `/sbin`, `/lib*`, `/etc/alternatives` and
    /// `/etc/ld.so.cache`, read-only.
    pub system: bool,
    /// Its network, where it has one of its own.
    pub network: Network,
    /// Who is process 1 where it has process ids of its own. `None` is the reaper at Standard and the program itself at
    /// Minimal, where it can't start others.
    pub init: Option<Init>,
    /// Guarantees that its level requires and that may be weakened or absent for it all the same.
    pub accepted: Vec<Guarantee>,
}

impl Spec {
    /// A spec for `program`. A path also becomes `argv[0]`; a descriptor has no name, so `argv[0]` is then the
    /// first argument given.
    pub fn new(program: impl Into<Program>) -> Self {
        let program = program.into();
        let args = match &program {
            Program::Path(path) => vec![path.clone().into_os_string()],
            Program::Fd(_) => Vec::new(),
        };
        Spec {
            program,
            args,
            env: Vec::new(),
            cwd: None,
            stdin: Stdio::Null,
            stdout: Stdio::Null,
            stderr: Stdio::Null,
            pty_size: PtySize::default(),
            level: Level::Standard,
            limits: Limits::default(),
            grouped: false,
            nice: 0,
            on_leader_exit: OnLeaderExit::KillGroup,
            on_drop: OnDrop::Kill,
            deadline: None,
            fds: Vec::new(),
            mounts: Vec::new(),
            system: true,
            network: Network::Empty,
            init: None,
            accepted: Vec::new(),
        }
    }

    /// Who will be process 1 of the sandbox.
    #[must_use]
    pub fn first_process(&self) -> Init {
        self.init.unwrap_or(if self.level == Level::Minimal { Init::Program } else { Init::Reaper })
    }

    /// Appends one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Appends arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Replaces the whole argument vector, `argv[0]` included.
    #[must_use]
    pub fn argv<A: Into<OsString>>(mut self, argv: impl IntoIterator<Item = A>) -> Self {
        self.args = argv.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a variable to the environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets the directory to start in.
    #[must_use]
    pub fn cwd(mut self, cwd: Cwd) -> Self {
        self.cwd = Some(cwd);
        self
    }

    /// Sets where descriptor 0 leads.
    #[must_use]
    pub fn stdin(mut self, stdin: Stdio) -> Self {
        self.stdin = stdin;
        self
    }

    /// Sets where descriptor 1 leads.
    #[must_use]
    pub fn stdout(mut self, stdout: Stdio) -> Self {
        self.stdout = stdout;
        self
    }

    /// Sets where descriptor 2 leads.
    #[must_use]
    pub fn stderr(mut self, stderr: Stdio) -> Self {
        self.stderr = stderr;
        self
    }

    /// Has all three streams lead to a terminal of this size.
    #[must_use]
    pub fn on_pty(mut self, size: PtySize) -> Self {
        (self.stdin, self.stdout, self.stderr) = (Stdio::Pty, Stdio::Pty, Stdio::Pty);
        self.pty_size = size;
        self
    }

    /// Sets how tightly the program is held.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Sets what the program may use up.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets whether it gets a control group even if no limit takes one.
    #[must_use]
    pub fn grouped(mut self, grouped: bool) -> Self {
        self.grouped = grouped;
        self
    }

    /// Sets the niceness.
    #[must_use]
    pub fn nice(mut self, nice: i32) -> Self {
        self.nice = nice;
        self
    }

    /// Sets what becomes of the program when its last handle is dropped.
    #[must_use]
    pub fn on_drop(mut self, on_drop: OnDrop) -> Self {
        self.on_drop = on_drop;
        self
    }

    /// Sets how long the program may run.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets what becomes of the process group when the program exits.
    #[must_use]
    pub fn on_leader_exit(mut self, on_leader_exit: OnLeaderExit) -> Self {
        self.on_leader_exit = on_leader_exit;
        self
    }

    /// Gives it a descriptor under the number `target`, from 3 to 1023.
    #[must_use]
    pub fn fd(mut self, target: i32, fd: OwnedFd) -> Self {
        self.fds.push((target, fd));
        self
    }

    /// Adds to what it sees.
    #[must_use]
    pub fn mount(mut self, mount: Mount) -> Self {
        self.mounts.push(mount);
        self
    }

    /// Sets whether it sees the system's programs and libraries.
    #[must_use]
    pub fn system(mut self, system: bool) -> Self {
        self.system = system;
        self
    }

    /// Sets the network of a sandbox.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// Sets who is process 1 of a sandbox.
    #[must_use]
    pub fn init(mut self, init: Init) -> Self {
        self.init = Some(init);
        self
    }

    /// Accepts that `guarantee` is weakened or absent.
    #[must_use]
    pub fn accept(mut self, guarantee: Guarantee) -> Self {
        self.accepted.push(guarantee);
        self
    }
}
