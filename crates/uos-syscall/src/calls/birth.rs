//! SpawnProcess and CreateProcess: how a process, with or without a program, comes to be.

use std::{
    ffi::OsString,
    os::{fd::AsFd, unix::ffi::OsStringExt},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use uos_ipc::Quota;
use uos_proc::{Cwd, Level, Spec};
use uos_proto::{Right, v1};
use uos_sched::Priority;
use uos_vfs::{Access, Account, Kind, NodeRef};

use super::{
    LONGEST,
    handing::{self, Handing},
    stdio::Wiring,
    view,
};
use crate::{
    Errno, Error,
    admit::{Absent, Cx, Target},
    asking::Asker,
    audit::{Decision, Subject},
    control::{Standing, group_weight},
    environment::{Environment, Name},
    kernel::{Inner, hex},
    life::Started,
    perform::Syscall,
    process::{Origin, Process, Program},
    rights::{Grant, Grants},
    target::{KERNEL, PathTarget, Scope, held},
};

/// How many generations there may be: each look at kinship walks them.
const DEEPEST: u32 = 64;
/// How many grants one process may be given by name: each check walks them.
const MOST_GRANTS: usize = 256;
/// How long arguments and environment of a program may be together: what hosts take as a rule. Looked at before any of it
/// is copied; a host that takes less says so itself.
const ARGUMENT_BYTES: u64 = 2 << 20;
/// How long a name for people may be.
const NAME_BYTES: usize = 256;

/// What a new process is aimed at: its program, the directory it starts in, and the handles it is given, if any.
pub(crate) struct NewProcess {
    program: Option<PathTarget>,
    cwd: Option<PathTarget>,
    handles: Vec<Handing>,
}

impl Target for NewProcess {
    fn judge(&self, right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        let grants = caller.grants();
        if let Some(cwd) = &self.cwd {
            cwd.judge_path(Right::FsRead, &grants)?;
        }
        let decision = match &self.program {
            Some(program) => program.judge_path(right, &grants),
            None => held(&grants, right),
        }?;
        self.handles.iter().try_for_each(|handing| handing.check(caller))?;
        Ok(decision)
    }

    fn subject(&self) -> Subject {
        self.program.as_ref().map_or(Subject::None, Target::subject)
    }

    fn stopped_at_disk(&self) -> bool {
        [&self.program, &self.cwd].into_iter().flatten().any(Target::stopped_at_disk)
    }
}

impl Syscall for v1::SpawnProcess {
    type Target = NewProcess;

    fn target(&self, scope: &Scope<'_>) -> Result<NewProcess, Absent> {
        let cwd = (!self.cwd.is_empty()).then(|| scope.path(&self.cwd, b"", true)).transpose()?;
        let program = Some(scope.path(&self.program, &self.program_raw, true)?);
        Ok(NewProcess { program, cwd, handles: handing::find(scope, &self.handles)? })
    }

    fn blocks(_target: &NewProcess) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &NewProcess>) -> Result<v1::SpawnProcessReply, Error> {
        let args = self.args.iter().map(String::len).chain(self.args_raw.iter().map(Bytes::len));
        arguments_fit(args.chain(self.env.iter().map(String::len)))?;
        let as_given = if self.program_raw.is_empty() { self.program.as_bytes() } else { &self.program_raw };
        let mut argv = vec![OsString::from_vec(as_given.to_vec())];
        if self.args_raw.is_empty() {
            argv.extend(self.args.iter().map(OsString::from));
        } else {
            argv.extend(self.args_raw.iter().map(|arg| OsString::from_vec(arg.to_vec())));
        }
        let wish = Wish {
            name: &self.name,
            priority: self.priority,
            level: self.level,
            grants: &self.grants,
            inherit_grants: self.inherit_grants,
            deadline_us: self.deadline_us,
            env: &self.env,
            program: Some(WishedProgram {
                argv,
                env: &self.env,
                limits: self.limits.unwrap_or_default(),
                stdio: self.stdio.unwrap_or_default(),
            }),
        };
        let process = wish.fulfil(&cx)?;
        let os_pid = process.program.as_ref().map_or(0, |program| program.os_pid);
        Ok(v1::SpawnProcessReply { pid: process.pid.0, os_pid })
    }
}

impl Syscall for v1::CreateProcessRequest {
    type Target = NewProcess;

    fn target(&self, scope: &Scope<'_>) -> Result<NewProcess, Absent> {
        let program = self.command.as_ref().map(|command| scope.path(command, b"", true)).transpose()?;
        Ok(NewProcess { program, cwd: None, handles: Vec::new() })
    }

    fn blocks(_target: &NewProcess) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &NewProcess>) -> Result<v1::CreateProcessResponse, Error> {
        arguments_fit(self.args.iter().chain(&self.env_vars).map(String::len))?;
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)
            .map_err(|error| Error::new(Errno::EIO, format!("no random bytes: {error}")))?;
        let program = self.command.as_ref().map(|command| WishedProgram {
            argv: std::iter::once(command).chain(&self.args).map(OsString::from).collect(),
            env: &self.env_vars,
            limits: self.limits.unwrap_or_default(),
            stdio: self.stdio.unwrap_or_default(),
        });
        let wish = Wish {
            name: &self.name,
            priority: self.priority,
            level: self.sandbox_level,
            grants: &self.grants,
            inherit_grants: self.inherit_grants,
            deadline_us: 0,
            env: &self.env_vars,
            program,
        };
        let process = wish.fulfil(&cx)?;
        process.token.get_or_init(|| secret);
        Ok(v1::CreateProcessResponse {
            pid: process.pid.0,
            os_pid: process.program.as_ref().map(|program| program.os_pid),
            token: format!("uos-{}-{}", process.pid, hex(&secret)),
            error: None,
        })
    }
}

/// Sees whether the host could take texts of these lengths, counted as it does: each with its end and a pointer to it.
fn arguments_fit(lengths: impl Iterator<Item = usize>) -> Result<(), Error> {
    let bytes = lengths.fold(0, |sum: u64, length| sum.saturating_add(length as u64 + 9));
    if bytes > ARGUMENT_BYTES {
        return Err(Error::limit(Errno::E2BIG, "argument_bytes", bytes, ARGUMENT_BYTES));
    }
    Ok(())
}

/// What is asked for, in the contract's own types.
struct Wish<'a> {
    name: &'a str,
    priority: Option<u32>,
    level: i32,
    grants: &'a [String],
    inherit_grants: bool,
    deadline_us: u64,
    env: &'a [String],
    program: Option<WishedProgram<'a>>,
}

struct WishedProgram<'a> {
    argv: Vec<OsString>,
    env: &'a [String],
    limits: v1::Limits,
    stdio: v1::Stdio,
}

impl Wish<'_> {
    /// Checks everything, then starts the program, then makes the process. A failure on the way leaves nothing behind.
    fn fulfil(self, cx: &Cx<'_, &NewProcess>) -> Result<Arc<Process>, Error> {
        let (kernel, caller) = (cx.kernel(), cx.caller());
        let level = level(self.level)?;
        if self.program.is_some() && level > caller.ceiling {
            return Err(Error::new(
                Errno::EPERM,
                format!("the caller's programs run at {:?} at the loosest", caller.ceiling),
            ));
        }
        room_for_files(&caller.files)?;
        let rank = match self.priority {
            None => caller.priority(),
            Some(asked) => self::rank(asked)?,
        };
        if caller.depth >= DEEPEST {
            return Err(Error::limit(Errno::EAGAIN, "process_depth", caller.depth.into(), DEEPEST.into()));
        }
        if self.grants.len() > MOST_GRANTS {
            return Err(Error::limit(Errno::E2BIG, "grants", self.grants.len() as u64, MOST_GRANTS as u64));
        }
        let grants = grants(level, self.grants, self.inherit_grants, &caller.grants())?;
        if self.name.len() > NAME_BYTES {
            return Err(Error::invalid("name", format_args!("at most {NAME_BYTES} bytes")));
        }
        if self.deadline_us > LONGEST.as_micros() as u64 {
            return Err(Error::invalid("deadline_us", "at most 366 days"));
        }
        let place = kernel
            .quotas
            .processes
            .take(1)
            .map_err(|full| Error::limit(Errno::EAGAIN, full.name, full.used, full.limit))?;

        let share = kernel.quotas.share(&kernel.limits);
        let environment = Environment::new(share.environment_bytes.clone());
        for variable in self.env {
            let (name, value) = variable_of(variable)?;
            environment.set(name, value)?;
        }
        let mut name = self.name.to_owned();
        let deadline = (self.deadline_us > 0).then(|| Duration::from_micros(self.deadline_us));
        let (program, started) = match (self.program, &cx.target.program) {
            (Some(wished), Some(found)) => {
                if name.is_empty() {
                    name = String::from_utf8_lossy(found.path().file_name().unwrap_or_default()).into_owned();
                }
                let cwd = cx.target.cwd.as_ref();
                let (program, started) = wished.start(
                    kernel,
                    caller,
                    found,
                    cwd,
                    &cx.target.handles,
                    level,
                    &grants,
                    rank,
                    deadline,
                    &share.socket_bytes,
                )?;
                (Some(program), Some(started))
            }
            _ => (None, None),
        };
        let origin = Origin {
            name,
            level,
            // A process with no program binds its descendants no more than its parent does: it is its maker's own hand.
            ceiling: if program.is_some() { level } else { caller.ceiling },
            standing: Standing::new(rank, caller.standing().group),
            depth: caller.depth + 1,
            created: kernel.since_start(cx.started()),
            program,
            grants,
            cwd: caller.cwd().clone(),
            share,
            files: kernel.limits.files(),
            environment,
            place,
        };
        kernel.begin(caller, origin, started)
    }
}

/// Whoever has no room for files makes nobody who has: what a process leaves is its maker's.
fn room_for_files(account: &Account) -> Result<(), Error> {
    let (used, limit) = (account.used(), account.limit());
    for (name, used, limit) in
        [("file_bytes", used.bytes, limit.bytes), ("file_nodes", used.nodes, limit.nodes)]
    {
        // Where nothing is allowed at all, nothing is left either.
        if used > 0 && used >= limit {
            return Err(Error::limit(Errno::EDQUOT, name, used, limit));
        }
    }
    Ok(())
}

impl WishedProgram<'_> {
    #[allow(
        clippy::too_many_arguments,
        reason = "all of it decides how one program starts, and nothing else needs it together"
    )]
    fn start(
        self,
        kernel: &Inner,
        caller: &Process,
        found: &PathTarget,
        cwd: Option<&PathTarget>,
        handles: &[Handing],
        level: Level,
        grants: &Grants,
        priority: Priority,
        deadline: Option<Duration>,
        room: &Quota,
    ) -> Result<(Program, Started), Error> {
        let is_sandboxed = level < Level::Privileged;
        let program = executable(found, is_sandboxed)?;
        // A group even where no limit takes one: so that it can be paused, bounded and weighed as a whole later.
        let mut spec = Spec::new(program).argv(self.argv).level(level).grouped(true);
        if is_sandboxed {
            spec.mounts = view::of(kernel, grants)?;
        }
        for variable in self.env {
            let (name, value) = split(variable)?;
            spec = spec.env(name, value);
        }
        if let Some(cwd) = cwd {
            spec = spec.cwd(match is_sandboxed {
                true => Cwd::Path(view::host_path(cwd.path())),
                false => Cwd::Fd(host_directory(cwd)?),
            });
        }
        let limits = limits(self.limits);
        let weight = group_weight(priority.weight());
        // One means decides how much it runs beside others: its group, or its niceness where there is none.
        if kernel.weighs_by_group() {
            spec.limits = uos_proc::Limits { cpu_weight: (weight != 100).then_some(weight), ..limits };
        } else {
            (spec.limits, spec.nice) = (limits, priority.nice());
        }
        let wiring = Wiring::parse(self.stdio)?;
        let (spec, mut handed) = handing::hand(handles, spec, level, room, &kernel.runtime)?;
        let child = kernel.spawner.spawn(wiring.wire(spec))?;
        handed.run(&kernel.runtime);
        let (streams, taken) = wiring.connect(&child, &kernel.runtime, &caller.share.output_bytes);
        let (limits, path) = (limits.or_of(level), found.path().clone());
        let program = Program::new(child, path, streams, limits, handed, priority.weight());
        Ok((program, Started { taken, deadline }))
    }
}

/// The program as something the host can execute; a sandbox has the namespace's own names for it.
fn executable(found: &PathTarget, is_sandboxed: bool) -> Result<uos_proc::Program, Error> {
    let node = found.node()?;
    match node.kind() {
        Kind::File => {}
        Kind::Directory => return Err(Errno::EISDIR.into()),
        Kind::Symlink | Kind::Fifo | Kind::Socket | Kind::CharDevice | Kind::BlockDevice => {
            return Err(Errno::EACCES.into());
        }
    }
    let Some(fd) = node.host_fd() else {
        return Err(Error::at_stage(
            Errno::ENOTSUP,
            "program".to_owned(),
            "the program lies in memory, where the host can't execute it",
        )
        .hint("put it into a host folder that is mounted in the namespace"));
    };
    let fd = fd.map_err(|error| {
        Error::new(Errno::from_number(error.raw_os_error().unwrap_or(5)), error.to_string())
    })?;
    // The host's kernel hands a script to its interpreter by name, so a script needs one; a binary is executed by
    // descriptor, and no name is resolved again. A program that can't be read can still be a binary.
    let start = NodeRef::clone(node)
        .open(KERNEL, Access::Read)
        .and_then(|file| file.read_bytes(0, 2))
        .unwrap_or_default();
    if &start[..] == b"#!" && is_sandboxed {
        return Ok(uos_proc::Program::Path(view::host_path(found.path())));
    }
    if &start[..] == b"#!" {
        let name = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd.as_fd()));
        let path = std::fs::read_link(name).map_err(|error| Error::new(Errno::EIO, error.to_string()))?;
        return Ok(uos_proc::Program::Path(path));
    }
    Ok(uos_proc::Program::Fd(fd))
}

fn host_directory(found: &PathTarget) -> Result<std::os::fd::OwnedFd, Error> {
    let node = found.node()?;
    if node.kind() != Kind::Directory {
        return Err(Error::at_stage(
            Errno::ENOTDIR,
            "cwd".to_owned(),
            "the working directory is not a directory",
        ));
    }
    match node.host_fd() {
        Some(fd) => fd.map_err(|error| Error::at_stage(Errno::EIO, "cwd".to_owned(), error.to_string())),
        None => Err(Error::at_stage(
            Errno::ENOTSUP,
            "cwd".to_owned(),
            "the directory lies in memory, where the host can't go",
        )
        .hint("start in a host folder, or leave `cwd` empty for the root")),
    }
}

/// `KEY=VALUE`.
fn split(variable: &str) -> Result<(&str, &str), Error> {
    let wrong = || {
        let shown: String = variable.chars().take(64).collect();
        Error::invalid("env", format_args!("`{shown}` is not KEY=VALUE"))
    };
    variable.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(wrong)
}

fn variable_of(variable: &str) -> Result<(Name<'_>, &str), Error> {
    let (name, value) = split(variable)?;
    Ok((Name::new(name).map_err(|error| Error::invalid("env", error.message))?, value))
}

/// A priority from the wire.
pub(super) fn rank(wire: u32) -> Result<Priority, Error> {
    let fits = u8::try_from(wire);
    fits.map(Priority).map_err(|_| Error::invalid("priority", format_args!("0 to 255, not {wire}")))
}

/// Limits from the wire; the level's where they say nothing is the spawner's business.
pub(super) fn limits(wire: v1::Limits) -> uos_proc::Limits {
    uos_proc::Limits {
        open_files: wire.open_files,
        file_size_bytes: wire.file_size_bytes,
        cpu_seconds: wire.cpu_seconds,
        core_bytes: wire.core_bytes.unwrap_or(0),
        memory_bytes: wire.memory_bytes,
        pids: wire.pids,
        cpu_percent: wire.cpu_percent,
        ..uos_proc::Limits::default()
    }
}

fn level(wire: i32) -> Result<Level, Error> {
    match v1::SandboxLevel::try_from(wire) {
        Ok(v1::SandboxLevel::Minimal) => Ok(Level::Minimal),
        Ok(v1::SandboxLevel::Unspecified | v1::SandboxLevel::Standard) => Ok(Level::Standard),
        Ok(v1::SandboxLevel::Privileged) => Ok(Level::Privileged),
        Err(_) => Err(Error::invalid("level", format_args!("{wire} is not a SandboxLevel"))),
    }
}

/// The grants of a child: the level's base as far as the parent has it, and what was asked for, which the parent must have.
fn grants(level: Level, asked: &[String], inherit: bool, parents: &Grants) -> Result<Grants, Error> {
    let mut grants = if inherit { parents.clone() } else { Grants::none() };
    if level > Level::Minimal {
        for base in [Right::SysInfo, Right::IpcCreate].into_iter().flat_map(Grant::all) {
            if parents.covers(&base) {
                grants.add(base);
            }
        }
    }
    for text in asked {
        let grant = Grant::parse(text).map_err(|error| Error::invalid("grants", error))?;
        if !parents.covers(&grant) {
            return Err(Error::beyond(&grant));
        }
        grants.add(grant);
    }
    Ok(grants)
}
