//! The steps that every child takes, whatever holds it.

use std::ffi::{CString, c_int, c_long};
use std::os::fd::{AsRawFd, OwnedFd};

use super::cgroup::Joining;
use super::life::{Arg, Life, Then};
use crate::{Limits, Stage};

/// A path, or an open descriptor numbered 3 or higher.
pub(super) enum Place {
    Path(CString),
    Fd(OwnedFd),
}

impl Life {
    /// Joins control groups, each by writing "myself" into one of these files. The first is not needed if it is made in
    /// its birthplace.
    pub(super) fn join(&mut self, Joining { birthplace, files }: Joining) {
        self.stage(Stage::Group);
        self.birthplace = birthplace.filter(|_| self.ops.is_empty());
        for procs in files {
            let procs = self.early_fd(procs);
            self.call(libc::SYS_write, [procs, Life::fixed(c"0"), 1.into()]);
        }
    }

    /// Has the kernel kill this process when the spawner thread ends, and looks whether it already has.
    pub(super) fn tie_to_spawner(&mut self) {
        self.tie();
        let spawner = c_long::from(std::process::id());
        self.push(libc::SYS_getppid, [], Then::MustBe(spawner));
    }

    /// The same, for a process that does not know its parent's number, because it has process ids of its own.
    pub(super) fn tie(&mut self) {
        self.stage(Stage::ParentDeath);
        self.call(libc::SYS_prctl, [libc::PR_SET_PDEATHSIG.into(), libc::SIGKILL.into()]);
    }

    pub(super) fn new_session(&mut self) {
        self.stage(Stage::Session);
        self.call(libc::SYS_setsid, []);
    }

    /// Makes one of the streams the terminal of the session, which has none yet. Only its leader can.
    pub(super) fn take_terminal(&mut self, stream: i32) {
        self.stage(Stage::Session);
        self.call(libc::SYS_ioctl, [stream.into(), Arg::Is(libc::TIOCSCTTY as c_long), 0.into()]);
    }

    /// Sources are 3 or higher, so no target overwrites a source still needed, and each copy loses close-on-exec.
    /// `nothing` is for those that lead nowhere.
    pub(super) fn place_streams(&mut self, stdio: [Option<OwnedFd>; 3], nothing: Option<OwnedFd>) {
        self.stage(Stage::Fds);
        let nothing = nothing.map(|fd| self.quiet_fd(fd));
        for (target, fd) in (0..).zip(stdio) {
            let fd = fd.map(|fd| self.fd(fd)).or(nothing).expect("there is one if any stream lacks its own");
            self.call(libc::SYS_dup3, [fd, Arg::Is(target), 0.into()]);
        }
    }

    /// Everything but the streams is closed by the execution, whichever way the parent had opened it.
    pub(super) fn hide_descriptors(&mut self) {
        self.stage(Stage::Fds);
        let (first, last) = (3.into(), Arg::Is(u32::MAX.into()));
        self.call(libc::SYS_close_range, [first, last, Arg::Is(libc::CLOSE_RANGE_CLOEXEC.into())]);
    }

    /// Gives descriptors under numbers that no step from here on uses for its own.
    pub(super) fn give_descriptors(&mut self, fds: Vec<(i32, OwnedFd)>) {
        self.stage(Stage::Fds);
        for (target, fd) in fds {
            let fd = self.fd(fd);
            self.given.push(target);
            self.call(libc::SYS_dup3, [fd, target.into(), 0.into()]);
        }
    }

    /// Leaves a descriptor open under its number.
    pub(super) fn show_descriptor(&mut self, fd: Arg) {
        self.stage(Stage::Fds);
        self.call(libc::SYS_fcntl, [fd, libc::F_SETFD.into(), 0.into()]);
    }

    pub(super) fn change_directory(&mut self, cwd: Place) {
        self.stage(Stage::Cwd);
        match cwd {
            Place::Path(path) => {
                let path = self.text(path);
                self.call(libc::SYS_chdir, [path]);
            }
            Place::Fd(fd) => {
                let fd = self.fd(fd);
                self.call(libc::SYS_fchdir, [fd]);
            }
        }
        self.call(libc::SYS_umask, [0o022.into()]);
    }

    /// Sets the priority and, where the kernel weighs sessions against each other, that of the session just made.
    pub(super) fn set_nice(&mut self, nice: i32, as_text: CString) {
        self.stage(Stage::Nice);
        self.call(libc::SYS_setpriority, [libc::PRIO_PROCESS.cast_signed().into(), 0.into(), nice.into()]);
        let path = Life::fixed(c"/proc/self/autogroup");
        let flags = libc::O_WRONLY | libc::O_CLOEXEC;
        // Without the file, the write that follows is left out.
        let len = c_long::try_from(as_text.count_bytes()).unwrap_or(0);
        let text = self.text(as_text);
        let fd =
            self.keep_unless(libc::ENOENT, 1, libc::SYS_openat, [libc::AT_FDCWD.into(), path, flags.into()]);
        self.call(libc::SYS_write, [fd, text, len.into()]);
    }

    /// Those of the first process, if somebody looks after the program, are the program's, too.
    pub(super) fn set_rlimits(&mut self, limits: &[Rlimit]) {
        for Rlimit { name, resource, value } in limits {
            self.stage(Stage::Rlimit(name));
            let limit = self.words([*value, *value]);
            self.call(libc::SYS_prlimit64, [0.into(), (*resource).into(), limit, 0.into()]);
        }
    }

    pub(super) fn no_new_privileges(&mut self) {
        self.stage(Stage::NoNewPrivs);
        self.call(libc::SYS_prctl, [libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0].map(Arg::from));
    }

    /// Execution resets handlers but keeps what is ignored, and a parent written in Rust ignores `SIGPIPE`. The
    /// mask is cleared last: until then no handler of the parent may run here.
    pub(super) fn reset_signals(&mut self) {
        self.stage(Stage::Signals);
        // The kernel's struct sigaction, on every architecture no longer than this; all zeroes is the default.
        let default = self.words([0; 4]);
        for signal in (1..=64).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)) {
            self.call(libc::SYS_rt_sigaction, [signal.into(), default, 0.into(), 8.into()]);
        }
        let none = self.words([0]);
        self.call(libc::SYS_rt_sigprocmask, [libc::SIG_SETMASK.into(), none, 0.into(), 8.into()]);
    }

    /// Executes the program, also one whose file is busy for a moment: open for writing, which is never executed.
    ///
    /// Whoever has just written it and closed it was not alone if something else was being started meanwhile: until that
    /// executes it has a copy of the descriptor. It may be this child itself, which closes what its program is not to have.
    pub(super) fn execute(&mut self, program: Place, argv: Vec<CString>, envp: Vec<CString>) {
        self.stage(Stage::Exec);
        let mut shown = self.given.clone();
        if let Place::Fd(fd) = &program {
            shown.push(fd.as_raw_fd());
        }
        let (number, args) = self.execution(program, argv, envp);
        self.push(number, args, Then::Tolerate(&[libc::ETXTBSY]));
        for (first, last) in all_but(shown) {
            self.call(libc::SYS_close_range, [first, last, 0].map(Arg::from));
        }
        self.push(number, args, Then::AgainIf(libc::ETXTBSY));
    }

    /// Executes what is a stage on the way to the program, and in nobody else's hands.
    pub(super) fn execute_on_the_way(
        &mut self,
        stage: Stage,
        program: Place,
        argv: Vec<CString>,
        envp: Vec<CString>,
    ) {
        self.stage(stage);
        let (number, args) = self.execution(program, argv, envp);
        self.push(number, args, Then::Forget);
    }

    fn execution(&mut self, program: Place, argv: Vec<CString>, envp: Vec<CString>) -> (c_long, [Arg; 5]) {
        let (argv, envp) = (self.list(argv), self.list(envp));
        match program {
            Place::Path(path) => {
                let path = self.text(path);
                (libc::SYS_execve, [path, argv, envp, 0.into(), 0.into()])
            }
            Place::Fd(fd) => {
                let fd = self.fd(fd);
                let (empty, flags) = (Life::fixed(c""), libc::AT_EMPTY_PATH.into());
                (libc::SYS_execveat, [fd, empty, argv, envp, flags])
            }
        }
    }
}

/// The numbers of descriptors but for the streams and these, from the first to the last of each run.
fn all_but(mut shown: Vec<c_int>) -> Vec<(c_int, c_int)> {
    shown.sort_unstable();
    let mut first = 3;
    let mut runs = Vec::with_capacity(shown.len() + 1);
    for number in shown {
        if first < number {
            runs.push((first, number - 1));
        }
        first = number.saturating_add(1);
    }
    runs.push((first, c_int::MAX));
    runs
}

/// A resource limit, soft and hard alike.
#[derive(Clone, Copy)]
pub(super) struct Rlimit {
    pub(super) name: &'static str,
    pub(super) resource: i32,
    pub(super) value: u64,
}

impl Rlimit {
    pub(super) fn all(limits: &Limits) -> Vec<Rlimit> {
        let of = |name, resource, value| Rlimit { name, resource: resource as i32, value };
        let asked = [
            limits.open_files.map(|n| of("nofile", libc::RLIMIT_NOFILE, n)),
            limits.file_size_bytes.map(|n| of("fsize", libc::RLIMIT_FSIZE, n)),
            limits.cpu_seconds.map(|n| of("cpu", libc::RLIMIT_CPU, n)),
            Some(of("core", libc::RLIMIT_CORE, limits.core_bytes)),
        ];
        asked.into_iter().flatten().collect()
    }

    /// How many processes and threads the user may have, for a user that only one sandbox is. The kernel counts those of
    /// a user in all namespaces together.
    pub(super) fn processes(limit: Option<u64>, one_more: bool) -> Vec<Rlimit> {
        let of = |value: u64| Rlimit { name: "nproc", resource: libc::RLIMIT_NPROC as i32, value };
        limit.map(|limit| of(limit.saturating_add(one_more.into()))).into_iter().collect()
    }
}
