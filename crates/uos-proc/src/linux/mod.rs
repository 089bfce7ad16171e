//! Programs as processes of this Linux machine.
//!
//! `prepare` makes everything a child will need and writes down its `life` before the program, a list of system
//! calls made of `steps`; `thread` runs the one thread that starts children, `clone` makes the process, `child` is
//! the process making those calls, `process` is the handle, `reap` its end.

mod child;
mod clone;
mod life;
mod pipe;
mod prepare;
mod process;
mod reap;
mod steps;
mod sys;
mod thread;
mod usage;

use std::io;
use std::sync::{Arc, OnceLock};

use crate::check::judge;
use crate::{Child, Enforcement, Guarantee, Means, SpawnError, Spawner, Spec, Support};
use prepare::prepare;
use process::LinuxProcess;
use thread::Queue;

/// Starts programs on this machine, so far at [`Level::Privileged`](crate::Level::Privileged) only.
///
/// Owns one thread, because the kernel ties the life of a child to the thread that made it. **When the spawner is
/// dropped, or the program around it dies in whatever way, the programs it started are killed.** Their handles
/// stay good and report that.
///
/// Descriptors: a child's pidfd and pipe ends are kept until its handle is dropped; everything is close-on-exec.
/// Between its making and its execution a child has copies of all of them, as any child of this program does, so
/// an end of file may come that moment later where several spawners work at once. One is enough for a program.
///
/// Children are reaped one by one, never with `waitpid(-1)`; a program that reaps so itself, or ignores
/// `SIGCHLD`, makes their exits [`ExitCause::Lost`](crate::ExitCause::Lost).
#[derive(Debug)]
pub struct LinuxSpawner {
    queue: Arc<Queue>,
    support: OnceLock<Support>,
}

impl LinuxSpawner {
    /// A spawner with its thread.
    pub fn new() -> io::Result<Self> {
        Ok(LinuxSpawner { queue: thread::start()?, support: OnceLock::new() })
    }

    fn support(&self) -> &Support {
        self.support.get_or_init(|| Support::new(means))
    }
}

impl Spawner for LinuxSpawner {
    fn probe(&self) -> Support {
        self.support().clone()
    }

    fn plan(&self, spec: &Spec) -> Result<Enforcement, SpawnError> {
        let enforcement = judge(self.support(), spec)?;
        prepare::check_not_a_script(&spec.program)?;
        Ok(enforcement)
    }

    fn spawn(&self, spec: Spec) -> Result<Child, SpawnError> {
        let enforcement = self.plan(&spec)?;
        let (launch, streams) = prepare(spec)?;
        let leader = self.queue.launch(launch)?;
        let process = LinuxProcess::new(leader, Arc::clone(&self.queue));
        Ok(Child::new(process, streams, enforcement))
    }
}

impl Drop for LinuxSpawner {
    fn drop(&mut self) {
        self.queue.close();
    }
}

fn means(guarantee: Guarantee) -> Means {
    let absent = |why: &'static str| Means::Absent { why: why.into() };
    let enforced = |by: &'static str| Means::Enforced { by: by.into() };
    match guarantee {
        Guarantee::NoNewPrivileges => enforced("PR_SET_NO_NEW_PRIVS"),
        Guarantee::FdHygiene if sys::can_hide_descriptors() => enforced("close_range"),
        Guarantee::FdHygiene => absent("close_range with CLOSE_RANGE_CLOEXEC needs Linux 5.11"),
        Guarantee::Environment => enforced("execve"),
        Guarantee::KillTree => Means::Weakened {
            why: "process group only: a descendant that makes its own group or session escapes".into(),
        },
        Guarantee::FsView => absent("the host's files: no mount namespace is made"),
        Guarantee::Network => absent("the host's network: no network namespace is made"),
        Guarantee::Syscalls => absent("all calls: no seccomp filter is loaded"),
        Guarantee::Pids => absent("the host's processes: no pid namespace and no pids cgroup is made"),
        Guarantee::Memory => absent("unbounded: no memory cgroup is made"),
        Guarantee::Cpu => absent("unbounded: no cpu cgroup is made"),
        Guarantee::Ipc => absent("the host's: no ipc namespace is made"),
        Guarantee::Devices => absent("the host's /dev: no private one is mounted"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::fd::OwnedFd;

    use super::*;
    use crate::{Cwd, Level, Limits, Program, Stage, Stdio};

    #[test]
    fn a_closed_queue_says_gone() {
        let spawner = LinuxSpawner::new().unwrap();
        spawner.queue.close();
        let spec = Spec::new("/bin/true").level(Level::Privileged);
        assert_eq!(spawner.spawn(spec).unwrap_err(), SpawnError::Gone);
    }

    /// A spec that goes through every step: `true`, in its two ways to be named.
    fn spec(by_fd: bool) -> Spec {
        let open = |path: &str| OwnedFd::from(std::fs::File::open(path).unwrap());
        let program = if by_fd { Program::Fd(open("/bin/true")) } else { Program::from("/bin/true") };
        let cwd = if by_fd { Cwd::Fd(open("/")) } else { Cwd::Path("/".into()) };
        let limits = Limits {
            open_files: Some(64),
            file_size_bytes: Some(1 << 20),
            cpu_seconds: Some(60),
            ..Limits::default()
        };
        let spec = Spec::new(program).argv(["true"]).cwd(cwd).limits(limits).nice(1).level(Level::Privileged);
        spec.stdin(Stdio::Pipe).stdout(Stdio::Pipe).stderr(Stdio::Pipe)
    }

    /// Children of the calling thread's process, zombies included.
    fn children() -> usize {
        let own = std::process::id().to_string();
        let parent = |stat: String| stat.rsplit(')').next()?.split_whitespace().nth(1).map(str::to_owned);
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let stats = processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
        stats.filter_map(parent).filter(|parent| *parent == own).count()
    }

    /// Every call of a child's life fails once, each with an errno that no step tolerates: the failure is named
    /// after the step, and the child is gone.
    #[test]
    fn every_call_fails_once() {
        let spawner = LinuxSpawner::new().unwrap();
        for by_fd in [false, true] {
            let calls = prepare(spec(by_fd)).unwrap().0.life.ops.len();
            let mut seen = BTreeSet::new();
            for place in 0..calls {
                let (mut launch, streams) = prepare(spec(by_fd)).unwrap();
                let stage = launch.life.stage_of(place);
                launch.fault = Some((place, libc::EXDEV));
                let error = spawner.queue.launch(launch).expect_err("a call that fails ends the child");
                assert_eq!(error, SpawnError::Stage { stage, errno: libc::EXDEV });
                seen.insert(stage.to_string());
                drop(streams);
            }
            // Whoever counts here shares the process with other tests, one of which may have a child just now.
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
            while children() > 0 {
                assert!(std::time::Instant::now() < deadline, "a child that failed is left behind");
                std::thread::yield_now();
            }
            let named = [
                Stage::ParentDeath,
                Stage::Session,
                Stage::Fds,
                Stage::Cwd,
                Stage::Nice,
                Stage::Rlimit("nofile"),
                Stage::Rlimit("fsize"),
                Stage::Rlimit("cpu"),
                Stage::Rlimit("core"),
                Stage::NoNewPrivs,
                Stage::Signals,
                Stage::Exec,
            ];
            assert_eq!(seen, named.map(|stage| stage.to_string()).into());
        }
    }

    /// What a step tolerates is left out, and what depended on it, and nothing else.
    #[test]
    fn a_machine_without_session_weights_is_tolerated() {
        let spawner = LinuxSpawner::new().unwrap();
        let places = prepare(spec(false)).unwrap().0.life.ops.len();
        let survived = (0..places).filter(|place| {
            let (mut launch, _streams) = prepare(spec(false)).unwrap();
            launch.fault = Some((*place, libc::ENOENT));
            match spawner.queue.launch(launch) {
                Ok(leader) => {
                    leader.block_until_exit();
                    let exit = leader.reap().expect("it has exited");
                    assert!(exit.cause.success(), "{:?}", exit.cause);
                    true
                }
                Err(_) => false,
            }
        });
        assert_eq!(survived.count(), 1);
    }
}
