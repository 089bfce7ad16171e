//! Programs by what every Unix has: the standard library and process groups.

use std::future::Future;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::pin::Pin;
use std::process::{Command, ExitStatus, Stdio as Given};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use rustix::process::{
    Pid, WaitId, WaitIdOptions, kill_process, kill_process_group, setpriority_pgrp, waitid,
};
use tokio::sync::watch;

use crate::check::{check_limits, invalid, judge};
use crate::child::{Process, Streams};
use crate::pipe;
use crate::{
    Child, Cwd, Enforcement, Exit, ExitCause, Guarantee, Input, LimitEvents, Limits, LimitsError, Means,
    OnDrop, OnLeaderExit, Output, Program, PtySize, Signal, SignalError, SpawnError, Spawner, Spec, Stage,
    Stdio, Support, Usage,
};

/// Starts programs with what every Unix offers, for machines that have no better. It enforces next to nothing and says
/// so: even [`Level::Privileged`](crate::Level::Privileged) takes that [`accept`](Spec::accept) names what is missing.
///
/// Refused are limits, terminals, further descriptors, programs and directories by descriptor, and real-time signals. The umask is that of
/// the spawning program, and so are the signals that it ignores; core dumps are not kept from it, usage is not told, and **children outlive a spawning program
/// that is killed**. Each child takes a thread that waits for it, and one more if it has a deadline.
#[derive(Clone, Copy, Debug, Default)]
pub struct PortableSpawner;

impl PortableSpawner {
    /// A spawner. It holds nothing.
    #[must_use]
    pub fn new() -> Self {
        PortableSpawner
    }
}

impl Spawner for PortableSpawner {
    fn probe(&self) -> Support {
        Support::new(means)
    }

    fn plan(&self, spec: &Spec) -> Result<Enforcement, SpawnError> {
        let enforcement = judge(&self.probe(), spec)?;
        if matches!(spec.program, Program::Fd(_)) {
            return invalid("program", "a descriptor can't be executed by this spawner");
        }
        if matches!(spec.cwd, Some(Cwd::Fd(_))) {
            return invalid("cwd", "a descriptor can't be entered by this spawner");
        }
        if !spec.fds.is_empty() {
            return invalid("fds", "no further descriptors can be given by this spawner");
        }
        if [&spec.stdin, &spec.stdout, &spec.stderr].iter().any(|stdio| matches!(stdio, Stdio::Pty)) {
            return invalid("stdio", "this spawner has no terminals");
        }
        let limits = spec.limits;
        let asked = [
            ("open_files", limits.open_files.is_some()),
            ("file_size_bytes", limits.file_size_bytes.is_some()),
            ("cpu_seconds", limits.cpu_seconds.is_some()),
        ];
        match asked.into_iter().find(|(_, is_asked)| *is_asked) {
            Some((name, _)) => Err(SpawnError::UnsupportedLimit { name }),
            None => Ok(enforcement),
        }
    }

    fn spawn(&self, spec: Spec) -> Result<Child, SpawnError> {
        let enforcement = self.plan(&spec)?;
        let (on_drop, nice) = (spec.on_drop, spec.nice);
        let (life, deadline) = (spec.on_leader_exit, spec.deadline);
        let (mut command, streams) = command(spec)?;
        let child = start_when_free(&mut command).map_err(|error| failed(Stage::Exec, &error))?;
        // The child has its ends; ours of them would keep its output from ending.
        drop(command);
        let pid = Pid::from_child(&child);
        let course = Arc::new(Course {
            pid,
            on_exit: life,
            state: Mutex::new(State { ending: None, has_ended: false }),
            exit: watch::Sender::new(None),
        });
        if nice != 0 {
            // It may have exited.
            let _ = setpriority_pgrp(Some(pid), nice);
        }
        let (ended, is_ended) = mpsc::channel::<()>();
        let watched = Arc::clone(&course);
        start("uos-wait", move || {
            watched.see_through(child);
            drop(ended);
        })
        .inspect_err(|_| course.kill(ExitCause::Killed))?;
        if let Some(deadline) = deadline {
            let timed = Arc::clone(&course);
            start("uos-deadline", move || timed.time_out(&is_ended, deadline))
                .inspect_err(|_| course.kill(ExitCause::Killed))?;
        }
        Ok(Child::new(PortableProcess { course, on_drop }, streams, enforcement))
    }
}

fn means(guarantee: Guarantee) -> Means {
    let absent = |why: &'static str| Means::Absent { why: why.into() };
    let weakened = |why: &'static str| Means::Weakened { why: why.into() };
    match guarantee {
        Guarantee::KillTree => weakened("process group only, and not when the spawning program is killed"),
        Guarantee::FdHygiene => weakened("descriptors that are not close-on-exec are inherited"),
        Guarantee::Environment => weakened("the umask is inherited"),
        Guarantee::NoNewPrivileges => absent("set-user-ID programs gain rights"),
        _ => absent("the portable spawner has no means for it"),
    }
}

fn command(spec: Spec) -> Result<(Command, Streams), SpawnError> {
    let Program::Path(program) = spec.program else {
        return invalid("program", "a descriptor can't be executed by this spawner");
    };
    let mut command = Command::new(program);
    let mut args = spec.args.into_iter();
    command.arg0(args.next().unwrap_or_default()).args(args);
    command.env_clear().envs(spec.env).process_group(0);
    match spec.cwd {
        Some(Cwd::Path(path)) => command.current_dir(path),
        _ => command.current_dir("/"),
    };
    let mut streams = Streams::default();
    let stdio_failed = |error: io::Error| failed(Stage::Stdio, &error);
    command.stdin(match spec.stdin {
        Stdio::Fd(fd) => Given::from(fd),
        Stdio::Pipe => {
            let (ours, theirs) = pipe::inward().map_err(stdio_failed)?;
            streams.stdin = Some(Input::new(ours));
            Given::from(theirs)
        }
        Stdio::Null | Stdio::Pty => Given::null(),
    });
    let output = |stdio: Stdio, stream: &mut Option<Output>| match stdio {
        Stdio::Fd(fd) => Ok::<_, SpawnError>(Given::from(fd)),
        Stdio::Pipe => {
            let (ours, theirs) = pipe::outward().map_err(stdio_failed)?;
            *stream = Some(Output::new(ours));
            Ok(Given::from(theirs))
        }
        Stdio::Null | Stdio::Pty => Ok(Given::null()),
    };
    command.stdout(output(spec.stdout, &mut streams.stdout)?);
    command.stderr(output(spec.stderr, &mut streams.stderr)?);
    Ok((command, streams))
}

/// A file that is open for writing may not be for long: whoever was started beside us has a copy of all descriptors until it
/// executes. So this tries ten times more, 50 us to 26 ms apart.
fn start_when_free(command: &mut Command) -> io::Result<std::process::Child> {
    const TOO_LONG: Duration = Duration::from_millis(50);
    let mut pause = Duration::from_micros(50);
    loop {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && pause < TOO_LONG => {
                std::thread::sleep(pause);
                pause *= 2;
            }
            answer => return answer,
        }
    }
}

fn start(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), SpawnError> {
    let thread = std::thread::Builder::new().name(name.into()).spawn(body);
    thread.map(drop).map_err(|error| failed(Stage::Clone, &error))
}

fn failed(stage: Stage, error: &io::Error) -> SpawnError {
    SpawnError::Stage { stage, errno: error.raw_os_error().unwrap_or(libc::EIO) }
}

/// A child from its start to its end.
struct Course {
    pid: Pid,
    on_exit: OnLeaderExit,
    /// Held while signalling and while reaping, so that the number signalled is surely still the child's.
    state: Mutex<State>,
    exit: watch::Sender<Option<Exit>>,
}

struct State {
    /// Why we killed it, if we did.
    ending: Option<ExitCause>,
    has_ended: bool,
}

impl Course {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the end without reaping, and reaps when nobody is about to signal.
    fn see_through(&self, mut child: std::process::Child) {
        let dead = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(self.pid), dead) {}
        let mut state = self.state();
        if self.on_exit == OnLeaderExit::KillGroup {
            // The zombie still reserves the number.
            let _ = kill_process_group(self.pid, rustix::process::Signal::KILL);
        }
        let cause = child.wait().map_or(ExitCause::Lost, |status| cause_of(status, state.ending));
        state.has_ended = true;
        self.exit.send_replace(Some(Exit { cause, usage: Usage::default(), events: LimitEvents::default() }));
    }

    fn time_out(&self, is_ended: &mpsc::Receiver<()>, deadline: Duration) {
        if is_ended.recv_timeout(deadline) == Err(mpsc::RecvTimeoutError::Timeout) {
            self.kill(ExitCause::TimedOut);
        }
    }

    fn kill(&self, cause: ExitCause) {
        let _ = self.if_alive(|pid, ending| {
            ending.get_or_insert(cause);
            if self.on_exit == OnLeaderExit::KillGroup {
                let _ = kill_process_group(pid, rustix::process::Signal::KILL);
            }
            kill_process(pid, rustix::process::Signal::KILL)
        });
    }

    fn if_alive(
        &self,
        act: impl FnOnce(Pid, &mut Option<ExitCause>) -> rustix::io::Result<()>,
    ) -> Result<(), SignalError> {
        let mut state = self.state();
        if state.has_ended {
            return Err(SignalError::NoSuchProcess);
        }
        act(self.pid, &mut state.ending).map_err(|errno| match errno {
            rustix::io::Errno::SRCH => SignalError::NoSuchProcess,
            errno => SignalError::Refused { errno: errno.raw_os_error() },
        })
    }
}

fn cause_of(status: ExitStatus, ending: Option<ExitCause>) -> ExitCause {
    match (status.code(), status.signal().and_then(Signal::new)) {
        (Some(code), _) => ExitCause::Exited(code),
        (None, Some(Signal::KILL)) if ending.is_some() => ending.unwrap_or(ExitCause::Killed),
        (None, Some(signal)) => ExitCause::Signaled { signal, core: status.core_dumped() },
        (None, None) => ExitCause::Lost,
    }
}

struct PortableProcess {
    course: Arc<Course>,
    on_drop: OnDrop,
}

impl Process for PortableProcess {
    fn os_pid(&self) -> u32 {
        self.course.pid.as_raw_nonzero().get().unsigned_abs()
    }

    fn wait(&self) -> Pin<Box<dyn Future<Output = Exit> + Send + '_>> {
        let mut exit = self.course.exit.subscribe();
        Box::pin(async move {
            let ended = exit.wait_for(Option::is_some).await;
            // The sender lives in the course, which this handle keeps.
            ended.ok().and_then(|exit| *exit).expect("a course tells its end before it goes")
        })
    }

    fn try_wait(&self) -> Option<Exit> {
        *self.course.exit.borrow()
    }

    fn signal(&self, signal: Signal) -> Result<(), SignalError> {
        self.course.if_alive(|pid, _| match rustix::process::Signal::from_named_raw(signal.number()) {
            Some(signal) => kill_process(pid, signal),
            None => Err(rustix::io::Errno::INVAL),
        })
    }

    fn kill_tree(&self) -> Result<(), SignalError> {
        self.course.if_alive(|pid, ending| {
            ending.get_or_insert(ExitCause::Killed);
            let _ = kill_process_group(pid, rustix::process::Signal::KILL);
            kill_process(pid, rustix::process::Signal::KILL)
        })
    }

    fn set_nice(&self, nice: i32) -> Result<(), SignalError> {
        if !(-20..=19).contains(&nice) {
            return Err(SignalError::Refused { errno: libc::EINVAL });
        }
        self.course.if_alive(|pid, _| setpriority_pgrp(Some(pid), nice))
    }

    fn set_limits(&self, limits: &Limits) -> Result<(), LimitsError> {
        check_limits(limits)?;
        match self.try_wait() {
            Some(_) => Err(LimitsError::NoSuchProcess),
            None => Err(LimitsError::Unsupported { name: "memory_bytes" }),
        }
    }

    /// By a signal to its process group, which its parent and tracers see.
    fn pause(&self) -> Result<(), SignalError> {
        self.course.if_alive(|pid, _| kill_process_group(pid, rustix::process::Signal::STOP))
    }

    fn resume(&self) -> Result<(), SignalError> {
        self.course.if_alive(|pid, _| kill_process_group(pid, rustix::process::Signal::CONT))
    }

    fn resize(&self, _: PtySize) -> Result<(), SignalError> {
        Err(SignalError::Refused { errno: libc::ENOTTY })
    }

    fn usage(&self) -> Usage {
        self.try_wait().map_or_else(Usage::default, |exit| exit.usage)
    }
}

impl Drop for PortableProcess {
    fn drop(&mut self) {
        if self.on_drop == OnDrop::Kill {
            self.course.kill(ExitCause::Killed);
        }
    }
}
