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
mod sandbox;
mod steps;
mod sys;
mod thread;
mod usage;

use std::io;
use std::sync::{Arc, OnceLock};

use crate::check::judge;
use crate::{Child, Enforcement, Guarantee, Init, Level, Means, SpawnError, Spawner, Spec, Stage, Support};
use prepare::prepare;
use process::LinuxProcess;
use reap::Leader;
use sandbox::Sandboxes;
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
    sandboxes: Sandboxes,
    support: OnceLock<Support>,
}

impl LinuxSpawner {
    /// A spawner with its thread.
    pub fn new() -> io::Result<Self> {
        Ok(LinuxSpawner {
            queue: thread::start()?,
            sandboxes: Sandboxes::default(),
            support: OnceLock::new(),
        })
    }

    fn support(&self) -> &Support {
        self.support.get_or_init(|| {
            let lacking = self.sandboxes.lacking().or_else(|| self.try_out().err());
            Support::by_level(|level, guarantee| means(level, guarantee, lacking.as_deref()))
        })
    }

    /// Goes all the way into a sandbox, up to a program that can't be executed. A kernel, a container around this
    /// program or a security module may refuse any step of it; nothing but doing it tells.
    fn try_out(&self) -> Result<(), String> {
        let spec = Spec::new("/").level(Level::Standard).init(Init::Program);
        let prepared = prepare(spec, &self.sandboxes, &self.queue);
        match prepared.and_then(|(launch, _)| self.queue.launch(launch)) {
            Err(SpawnError::Stage { stage: Stage::Exec, .. }) => Ok(()),
            Err(error) => Err(error.to_string()),
            Ok(_) => Err("a directory was executed".to_owned()),
        }
    }

    /// Starts what was prepared, and waits until the program itself has begun.
    fn launch(&self, launch: prepare::Launch) -> Result<Leader, SpawnError> {
        let leader = self.queue.launch(launch)?;
        let begun = leader
            .sandbox
            .as_ref()
            .and_then(sandbox::Held::reports)
            .map_or(Ok(()), |reports| reports.begun());
        if let Err(error) = begun {
            let _ = leader.kill_group();
            self.queue.adopt(Arc::new(leader));
            return Err(error);
        }
        Ok(leader)
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
        let (launch, streams) = prepare(spec, &self.sandboxes, &self.queue)?;
        let leader = self.launch(launch)?;
        let process = LinuxProcess::new(leader, Arc::clone(&self.queue));
        Ok(Child::new(process, streams, enforcement))
    }
}

impl Drop for LinuxSpawner {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// How far a guarantee is met; `lacking` says why there are no sandboxes, if there are none.
fn means(level: Level, guarantee: Guarantee, lacking: Option<&str>) -> Means {
    let absent = |why: &str| Means::Absent { why: why.to_owned().into() };
    let enforced = |by: &'static str| Means::Enforced { by: by.into() };
    match guarantee {
        Guarantee::NoNewPrivileges => return enforced("PR_SET_NO_NEW_PRIVS"),
        Guarantee::FdHygiene if sys::can_hide_descriptors() => return enforced("close_range"),
        Guarantee::FdHygiene => return absent("close_range with CLOSE_RANGE_CLOEXEC needs Linux 5.11"),
        Guarantee::Environment => return enforced("execve"),
        Guarantee::Memory => return absent("unbounded: no memory cgroup is made"),
        Guarantee::Cpu => return absent("unbounded: no cpu cgroup is made"),
        _ => {}
    }
    if level != Level::Privileged {
        if let Some(lacking) = lacking {
            return absent(lacking);
        }
        return match guarantee {
            Guarantee::FsView => enforced("mount namespace and pivot_root; Landlock"),
            Guarantee::Network => enforced("network namespace; seccomp on socket families"),
            Guarantee::Syscalls => enforced("seccomp"),
            Guarantee::Pids => enforced("pid namespace; RLIMIT_NPROC of a user of its own"),
            Guarantee::KillTree => enforced("pid namespace"),
            Guarantee::Ipc => enforced("ipc namespace"),
            Guarantee::Devices => enforced("a private /dev, and no device anywhere else"),
            _ => absent("nothing"),
        };
    }
    match guarantee {
        Guarantee::KillTree => Means::Weakened {
            why: "process group only: a descendant that makes its own group or session escapes".into(),
        },
        Guarantee::FsView => absent("the host's files: this level has no mount namespace"),
        Guarantee::Network => absent("the host's network: this level has no network namespace"),
        Guarantee::Syscalls => absent("all calls: this level has no seccomp filter"),
        Guarantee::Pids => absent("the host's processes: this level has no pid namespace"),
        Guarantee::Ipc => absent("the host's: this level has no ipc namespace"),
        Guarantee::Devices => absent("the host's /dev"),
        _ => absent("nothing"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::fd::OwnedFd;

    use super::*;
    use crate::{Cwd, Limits, Mount, Network, Program, Stdio};

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

    /// One that is held as tightly as can be, with one mount of each kind.
    fn sandboxed(granted: &std::path::Path) -> Spec {
        let folder = OwnedFd::from(std::fs::File::open(granted).unwrap());
        spec(false)
            .level(Level::Standard)
            .mount(Mount::writable(granted).seen_at("/granted"))
            .mount(Mount::of_fd(folder, "/granted/deep"))
            .mount(Mount::scratch("/scratch/deep", 1 << 20))
            .network(Network::Loopback)
            .fd(9, OwnedFd::from(std::fs::File::open("/dev/null").unwrap()))
    }

    /// As above, in a sandbox: nothing of it is left, and nothing of it ever shows outside.
    #[test]
    fn every_call_of_a_sandbox_fails_once() {
        let spawner = LinuxSpawner::new().unwrap();
        let granted = tempfile::tempdir().unwrap();
        std::fs::create_dir(granted.path().join("deep")).unwrap();
        // What is made once and kept is made now.
        drop(prepared(&spawner, sandboxed(granted.path())));
        let before = residue();
        let calls = prepared(&spawner, sandboxed(granted.path())).0.life.ops.len();
        let mut seen = BTreeSet::new();
        for place in 0..calls {
            let (mut launch, streams) = prepared(&spawner, sandboxed(granted.path()));
            let stage = launch.life.stage_of(place);
            launch.fault = Some((place, libc::EXDEV));
            let error = spawner.launch(launch).expect_err("a call that fails ends the child");
            assert_eq!(error, SpawnError::Stage { stage: stage.clone(), errno: libc::EXDEV });
            seen.insert(stage.to_string());
            drop(streams);
        }
        for stage in [
            "namespace cgroup",
            "namespace loopback",
            "namespace hostname",
            "root propagation",
            "mount #1 /granted source",
            "mount #1 /granted owner",
            "mount #1 /granted read-only",
            "mount #2 /granted/deep attach",
            "mount #3 /scratch/deep target",
            "root pivot",
            "root read-only",
            "rlimit nproc",
            "privileges bounding set",
            "privileges user",
            "privileges capabilities",
            "landlock",
            "seccomp",
            "init",
        ] {
            assert!(seen.contains(stage), "no call belongs to {stage}: {seen:?}");
        }
        assert_eq!(residue(), before);
    }

    /// The mounts that the spawning program sees.
    fn residue() -> String {
        std::fs::read_to_string("/proc/self/mountinfo").unwrap()
    }

    fn prepared(spawner: &LinuxSpawner, spec: Spec) -> (prepare::Launch, crate::Streams) {
        prepare(spec, &spawner.sandboxes, &spawner.queue).unwrap()
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
            let calls = prepared(&spawner, spec(by_fd)).0.life.ops.len();
            let mut seen = BTreeSet::new();
            for place in 0..calls {
                let (mut launch, streams) = prepared(&spawner, spec(by_fd));
                let stage = launch.life.stage_of(place);
                launch.fault = Some((place, libc::EXDEV));
                let error = spawner.queue.launch(launch).expect_err("a call that fails ends the child");
                assert_eq!(error, SpawnError::Stage { stage: stage.clone(), errno: libc::EXDEV });
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
        let places = prepared(&spawner, spec(false)).0.life.ops.len();
        let survived = (0..places).filter(|place| {
            let (mut launch, _streams) = prepared(&spawner, spec(false));
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
