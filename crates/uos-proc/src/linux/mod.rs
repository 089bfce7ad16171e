//! Programs as processes of this Linux machine.
//!
//! `prepare` makes everything a child will need, `thread` runs the one thread that starts children, `clone` makes
//! the process, `exec` is the child's short life before the program, `process` is the handle, `reap` its end.

mod clone;
mod exec;
mod pipe;
mod prepare;
mod process;
mod reap;
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
    use super::*;
    use crate::Level;

    #[test]
    fn a_closed_queue_says_gone() {
        let spawner = LinuxSpawner::new().unwrap();
        spawner.queue.close();
        let spec = Spec::new("/bin/true").level(Level::Privileged);
        assert_eq!(spawner.spawn(spec).unwrap_err(), SpawnError::Gone);
    }
}
