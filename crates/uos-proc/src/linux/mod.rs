//! Programs as processes of this Linux machine.
//!
//! `prepare` makes everything a child will need and writes down its `life` before the program, a list of system
//! calls made of `steps`; `thread` runs the one thread that starts children, `clone` makes the process, `child` is
//! the process making those calls, `process` is the handle, `reap` its end.

mod cgroup;
mod child;
mod clone;
mod clone3;
mod grouped;
mod key;
mod life;
mod means;
mod prepare;
mod process;
mod pty;
mod reap;
mod sandbox;
mod steps;
mod sys;
mod thread;
mod usage;

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::check::judge;
use crate::{Child, Enforcement, Init, Level, Means, SpawnError, Spawner, Spec, Stage, Streams, Support};
use cgroup::Groups;
#[cfg(feature = "oci")]
pub(crate) use cgroup::ServerName;
use prepare::prepare;
use process::LinuxProcess;
use reap::Leader;
pub use sandbox::Isolation;
use sandbox::Sandboxes;
use thread::Queue;

/// Starts programs on this machine.
///
/// Owns one thread, because the kernel ties the life of a child to the thread that made it. What is in no sandbox comes
/// right from the program's first thread where that is the one that asks: it is expected to last as long as the program,
/// and should not be ended alone. **When the spawner is
/// dropped, or the program around it dies in whatever way, the programs it started are killed.** Their handles
/// stay good and report that.
///
/// Descriptors: a child's pidfd and pipe ends are kept until its handle is dropped; everything is close-on-exec.
/// Between its making and its execution a child has them, or copies of most, as any child of this program does, so
/// an end of file may come that moment later where several spawners work at once. One is enough for a program. A
/// program's file that has just been written may be busy for as long; it is tried again for 13 ms at least before that is an error.
///
/// Children are reaped one by one, never with `waitpid(-1)`; a program that reaps so itself, or ignores
/// `SIGCHLD`, makes their exits [`ExitCause::Lost`](crate::ExitCause::Lost).
///
/// A sandbox of a spawner with the rights of root runs as a user id of its own, from 1,879,048,192 upwards; a spawner
/// has 4,096 of them, and so at most as many sandboxes at once.
#[derive(Debug)]
pub struct LinuxSpawner {
    queue: Arc<Queue>,
    wanted: Option<Isolation>,
    /// Whether roots of sandboxes are copied where the machine can do that, as is faster.
    copies_roots: bool,
    sandboxes: OnceLock<Result<Sandboxes, String>>,
    groups: Groups,
    support: OnceLock<Support>,
}

impl LinuxSpawner {
    /// A spawner with its thread. How sandboxes are made is found out when it is first asked: the best way that works.
    pub fn new() -> io::Result<Self> {
        Self::start(None)
    }

    /// One that makes sandboxes in this way or not at all.
    pub fn with_isolation(isolation: Isolation) -> io::Result<Self> {
        Self::start(Some(isolation))
    }

    /// In which way it makes sandboxes, or why in none.
    pub fn isolation(&self) -> Result<Isolation, &str> {
        self.sandboxes().as_ref().map(|sandboxes| sandboxes.isolation).map_err(String::as_str)
    }

    fn start(wanted: Option<Isolation>) -> io::Result<Self> {
        Ok(LinuxSpawner {
            queue: thread::start()?,
            wanted,
            copies_roots: true,
            sandboxes: OnceLock::new(),
            groups: Groups::of_this_program(),
            support: OnceLock::new(),
        })
    }

    fn support(&self) -> &Support {
        self.support.get_or_init(|| {
            let isolation = self.isolation();
            let can = self.groups.abilities();
            Support::by_level(|level, guarantee| means::means(level, guarantee, isolation, can))
        })
    }

    fn sandboxes(&self) -> &Result<Sandboxes, String> {
        self.sandboxes.get_or_init(|| {
            let mut lacking = Vec::new();
            for isolation in Sandboxes::WAYS {
                if self.wanted.is_some_and(|wanted| wanted != isolation) {
                    continue;
                }
                let tried = Sandboxes::new(isolation, self.copies_roots)
                    .and_then(|sandboxes| self.try_out(&sandboxes).map(|()| sandboxes));
                match tried {
                    Ok(sandboxes) => return Ok(sandboxes),
                    Err(why) => lacking.push(format!("{isolation:?}: {why}")),
                }
            }
            Err(lacking.join("; "))
        })
    }

    /// Goes all the way into a sandbox, up to a program that can't be executed. A kernel, a container around this
    /// program or a security module may refuse any step of it; nothing but doing it tells.
    fn try_out(&self, sandboxes: &Sandboxes) -> Result<(), String> {
        let spec = Spec::new("/").level(Level::Standard).init(Init::Program);
        let prepared = prepare(spec, Ok(sandboxes), None, &self.queue);
        match prepared.and_then(|(launch, _)| self.queue_of(&launch).launch(launch)) {
            Err(SpawnError::Stage { stage: Stage::Exec, .. }) => Ok(()),
            Err(error) => Err(error.to_string()),
            Ok(_) => Err("a directory was executed".to_owned()),
        }
    }

    fn prepare(&self, spec: Spec) -> Result<(prepare::Launch, Streams), SpawnError> {
        let level = spec.level;
        let sandboxes = self.sandboxes().as_ref().map_err(|why| {
            let missing = level.requires().iter().map(|guarantee| (*guarantee, why.clone())).collect();
            SpawnError::NotEnforceable { level, missing }
        });
        match &sandboxes {
            _ if level == Level::Privileged && thread::is_the_first() => {}
            Ok(sandboxes) if level != Level::Privileged => {
                sandboxes.queue_of(&spec).unwrap_or(&self.queue).announce();
            }
            _ => self.queue.announce(),
        }
        prepare(spec, sandboxes, Some(&self.groups), &self.queue)
    }

    /// Starts what was prepared, and waits until the program itself has begun.
    fn launch(&self, launch: prepare::Launch) -> Result<(Leader, Arc<Queue>), SpawnError> {
        let queue = self.queue_of(&launch);
        let is_plain = launch.queue.is_none() && launch.sandbox.is_none();
        if is_plain {
            return Ok((queue.launch_plain(launch)?, queue));
        }
        let reports = launch.sandbox.as_ref().and_then(sandbox::Held::reports).cloned();
        let sent = queue.send(launch)?;
        // Whoever looks after the program tells of its beginning, or hangs up. What the thread has to say is said by then:
        // it need not wake us first.
        let begun = reports.as_ref().map_or(Ok(()), sandbox::Reports::begun);
        let leader = sent.answer()?;
        if let Err(error) = begun {
            let _ = leader.kill_group();
            queue.adopt(Arc::new(leader));
            return Err(error);
        }
        Ok((leader, queue))
    }

    /// The thread that starts it.
    fn queue_of(&self, launch: &prepare::Launch) -> Arc<Queue> {
        Arc::clone(launch.queue.as_ref().unwrap_or(&self.queue))
    }
}

impl Spawner for LinuxSpawner {
    fn probe(&self) -> Support {
        self.support().clone()
    }

    fn nesting(&self) -> Means {
        means::of_group(&self.groups.abilities().nest)
    }

    fn plan(&self, spec: &Spec) -> Result<Enforcement, SpawnError> {
        let enforcement = judge(self.support(), spec)?;
        grouped::check(&spec.limits, self.groups.abilities())?;
        prepare::check_not_a_script(&spec.program)?;
        Ok(means::of_spec(enforcement, spec, self.groups.abilities()))
    }

    fn spawn(&self, spec: Spec) -> Result<Child, SpawnError> {
        let enforcement = self.plan(&spec)?;
        // One too far to be told in time is none.
        let deadline = spec.deadline.and_then(|length| Instant::now().checked_add(length));
        let on_drop = spec.on_drop;
        let (launch, streams) = self.prepare(spec)?;
        let (leader, queue) = self.launch(launch)?;
        let process = LinuxProcess::new(leader, queue, on_drop, deadline);
        Ok(Child::new(process, streams, enforcement))
    }
}

impl Drop for LinuxSpawner {
    fn drop(&mut self) {
        self.queue.close();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use super::life::{Arg, Op};
    use super::*;
    use crate::{Cwd, Limits, Mount, Network, Program, Stdio};

    #[test]
    fn a_closed_queue_says_gone() {
        let spawner = LinuxSpawner::new().unwrap();
        spawner.queue.close();
        let spec = Spec::new("/bin/true").level(Level::Privileged);
        assert_eq!(spawner.spawn(spec).unwrap_err(), SpawnError::Gone);
    }

    #[test]
    fn what_was_announced_may_come_late_or_never() {
        let spawner = LinuxSpawner::new().unwrap();
        let start = || {
            for _ in 0..20 {
                spawner.queue.announce();
                std::thread::yield_now();
                let child = spawner.spawn(Spec::new("/bin/true").level(Level::Privileged)).unwrap();
                assert!(child.kill_tree().is_ok() || child.try_wait().is_some());
                spawner.queue.announce();
            }
        };
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(start))));
        spawner.queue.close();
        spawner.queue.announce();
        let (launch, _streams) = prepared(&spawner, spec(false));
        assert_eq!(spawner.queue.launch(launch).expect_err("it is closed"), SpawnError::Gone);
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

    /// As above, in a sandbox of each kind: nothing of it is left, and nothing of it ever shows outside.
    #[test]
    fn every_call_of_a_sandbox_fails_once() {
        let copied = LinuxSpawner::new().unwrap();
        let mut stages = fail_each_call(&copied);
        let mut put_together = LinuxSpawner::new().unwrap();
        put_together.copies_roots = false;
        stages.extend(fail_each_call(&put_together));
        let expected = [
            "namespace cgroup",
            "namespace loopback",
            "namespace hostname",
            "root propagation",
            "root filesystem",
            "root attach",
            "mount #1 /granted source",
            "mount #1 /granted owner",
            "mount #1 /granted read-only",
            "mount #2 /granted/deep attach",
            "mount #3 /scratch/deep target",
            "root pivot",
            "root read-only",
            "rlimit fsize",
            "privileges bounding set",
            "privileges user",
            "privileges capabilities",
            "landlock",
            "seccomp",
            "init",
        ];
        for stage in expected {
            assert!(stages.contains(stage), "no call belongs to {stage}: {stages:?}");
        }
    }

    /// The stages that were seen to fail.
    fn fail_each_call(spawner: &LinuxSpawner) -> BTreeSet<String> {
        let granted = tempfile::tempdir().unwrap();
        std::fs::create_dir(granted.path().join("deep")).unwrap();
        let calls = prepared(spawner, sandboxed(granted.path())).0.life.calls();
        let mut seen = BTreeSet::new();
        for place in 0..calls {
            let (mut launch, streams) = prepared(spawner, sandboxed(granted.path()));
            let stage = launch.life.stage_of(place);
            launch.fault = Some((place, libc::EXDEV));
            let error = spawner.launch(launch).map(drop).expect_err("a call that fails ends the child");
            assert_eq!(error, SpawnError::Stage { stage: stage.clone(), errno: libc::EXDEV });
            seen.insert(stage.to_string());
            drop(streams);
        }
        // Others of this machine mount and unmount as they like; of the sandboxes nothing may show.
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let granted = granted.path().to_str().unwrap();
        assert!(!mounts.contains(granted) && !mounts.contains("nr_inodes=1024"), "{mounts}");
        seen
    }

    fn prepared(spawner: &LinuxSpawner, spec: Spec) -> (prepare::Launch, crate::Streams) {
        spawner.prepare(spec).unwrap()
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
            let calls = prepared(&spawner, spec(by_fd)).0.life.calls();
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

    /// A program that is busy is tried again, by what closes all that is not the program's own.
    #[test]
    fn who_is_busy_at_first_is_executed_all_the_same() {
        let spawner = LinuxSpawner::new().unwrap();
        for (by_fd, given) in [(false, vec![]), (true, vec![]), (false, vec![4, 9]), (true, vec![3, 4, 7])] {
            let null = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
            let spec = given.iter().fold(spec(by_fd), |spec, number| spec.fd(*number, null()));
            let (mut launch, _streams) = prepared(&spawner, spec);
            let execution = launch.life.calls() - 1;
            launch.fault = Some((execution, libc::ETXTBSY));
            let program = match launch.life.ops[execution].number {
                libc::SYS_execveat => launch.life.ops[execution].args[0],
                _ => Arg::from(-1),
            };
            let again = &launch.life.ops[execution + 1..];
            let closed = |number: i64| {
                let holds = |op: &Op| match op.args {
                    [Arg::Is(first), Arg::Is(last), Arg::Is(0), ..] => (first..=last).contains(&number),
                    _ => false,
                };
                again.iter().any(|op| op.number == libc::SYS_close_range && holds(op))
            };
            for number in 0..2000 {
                let is_kept = number < 3 || given.iter().any(|it| i64::from(*it) == number);
                assert_eq!(closed(number), !is_kept && Arg::Is(number) != program, "{number} of {given:?}");
            }
            let leader = spawner.queue.launch(launch).unwrap();
            leader.block_until_exit();
            assert!(leader.reap().unwrap().cause.success());
        }
    }

    /// Those who wait for a busy program hold up each other, and nobody's end. The file is let go of when that has come, and
    /// the last of them is started.
    #[test]
    fn a_deadline_waits_for_nobody_who_is_to_be_started() {
        let spawner = LinuxSpawner::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        std::fs::copy("/bin/true", &path).unwrap();
        let busy = std::fs::File::options().write(true).open(&path).unwrap();

        let lasting = Spec::new("/bin/sleep").arg("1000").level(Level::Privileged);
        let (launch, _streams) = prepared(&spawner, lasting);
        let lasting = Arc::new(spawner.queue.launch(launch).unwrap());
        let busy_ones = (0..200).map(|_| prepared(&spawner, Spec::new(&path).level(Level::Privileged)).0);
        let busy_ones: Vec<_> = busy_ones.collect();
        let send = |launch| spawner.queue.send(launch).unwrap();
        let waiting: Vec<_> = busy_ones.into_iter().map(send).collect();
        // In the midst of them.
        spawner.queue.end_at(Instant::now() + Duration::from_millis(50), &lasting);
        lasting.block_until_exit();
        drop(busy);
        let answers: Vec<_> = waiting.into_iter().map(thread::Sent::answer).collect();
        assert!(answers.last().expect("there are some").is_ok());
        let started = answers.into_iter().flatten().map(Arc::new).chain([lasting]);
        for leader in started {
            leader.block_until_exit();
            assert!(leader.reap().is_some());
        }
    }

    /// What a step tolerates is left out, and what depended on it, and nothing else.
    #[test]
    fn a_machine_without_session_weights_is_tolerated() {
        let spawner = LinuxSpawner::new().unwrap();
        let places = prepared(&spawner, spec(false)).0.life.calls();
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
