//! How a process begins and ends.
//!
//! A process owns its handles, its children and its program. However it ends, what it owns goes with it: handles close
//! at once, children end too, and the program is killed and waited for by the task that watches it, which then gives the
//! process's place back. There is no list of things to clean up that an entry could be missing from.

use std::{sync::Arc, time::Duration};

use uos_proc::{Child, Exit, Signal, Usage};
use uos_sched::{GroupId, Nanos, Observed, Spec};
use uos_vfs::lock::LockOwner;

use crate::{
    Error,
    kernel::Inner,
    moment::Moment,
    output::Output,
    process::{EndCause, Origin, Process, Program},
};

/// A program that has just been started.
pub(crate) struct Started {
    pub(crate) taken: Taken,
    pub(crate) deadline: Option<Duration>,
}

/// Streams that are to be taken in, each with where it is kept.
pub(crate) struct Taken {
    pub(crate) stdout: Option<(uos_proc::Output, Arc<Output>)>,
    pub(crate) stderr: Option<(uos_proc::Output, Arc<Output>)>,
}

impl Inner {
    /// Makes a process. If its parent has ended meanwhile there is none, and a program started for it is killed.
    pub(crate) fn begin(
        self: &Arc<Self>,
        parent: &Arc<Process>,
        origin: Origin,
        started: Option<Started>,
    ) -> Result<Arc<Process>, Error> {
        let process = self.processes.add(Some(parent), origin)?;
        // What its parent lost after it was judged and before it was among the parent's children is taken from it here.
        process.held().cap(&parent.grants());
        self.join_scheduler(&process);
        self.tell_start(&process);
        self.settle(&process);
        if process.program.is_none() && !process.is_alive() {
            // Somebody ended it before it had joined, and so could not take it out again.
            self.leave_scheduler(&process);
        }
        if let (Some(child), Some(started)) = (process.program.as_ref().and_then(Program::child), started) {
            for (source, kept) in [started.taken.stdout, started.taken.stderr].into_iter().flatten() {
                let process = Arc::clone(&process);
                self.runtime.spawn(async move {
                    let ended = async {
                        process.ended().await;
                    };
                    kept.take_in(source, ended).await;
                });
            }
            let (kernel, process) = (Arc::clone(self), Arc::clone(&process));
            self.runtime.spawn(async move { kernel.watch(process, child, started.deadline).await });
        }
        Ok(process)
    }

    /// Sees a program to its end.
    async fn watch(self: Arc<Self>, process: Arc<Process>, child: Child, deadline: Option<Duration>) {
        let exit = match deadline {
            None => child.wait().await,
            Some(deadline) => match tokio::time::timeout(deadline, child.wait()).await {
                Ok(exit) => exit,
                Err(_) => {
                    self.end(&process, EndCause::Deadline, true);
                    child.wait().await
                }
            },
        };
        self.end(&process, EndCause::Itself, true);
        self.tell_scheduler(&process, exit.usage);
        self.leave_scheduler(&process);
        self.let_go(&process);
        // From here on its usage is in the record.
        let ended = self.processes.retire(&process, self.since_start(Moment::now()), Some(exit));
        if let Some(program) = &process.program {
            program.release();
        }
        if ended {
            self.gone(&process);
        }
    }

    /// Ends a process: it makes no more calls, its handles close, its program is killed. With `tree` its children end
    /// with it; otherwise they become children of its parent.
    pub(crate) fn end(&self, process: &Arc<Process>, cause: EndCause, tree: bool) {
        // A list and not a recursion: families may be deeper than a stack.
        let mut ending = vec![(Arc::clone(process), cause, tree)];
        while let Some((process, cause, tree)) = ending.pop() {
            let Some(orphans) = self.processes.stop(&process, cause) else { continue };
            for child in orphans.children {
                let heir = orphans.parent.as_ref().filter(|_| !tree);
                if !heir.is_some_and(|heir| self.processes.adopt(&child, heir)) {
                    ending.push((child, EndCause::Killed, true));
                }
            }
            process.handles.close();
            if let Some(parent) = &orphans.parent {
                // What it has made outlives it: whoever made the process pays from now on, and makes no more of them once that
                // is over a limit.
                process.files.pass_on_to(&parent.files);
            }
            process.signals.close();
            self.locks.release_all(LockOwner::Given(process.pid.0));
            process.environment.close();
            match &process.program {
                Some(program) if cause != EndCause::Itself => {
                    // It may have exited on its own just now; the watcher learns of either.
                    if let Some(child) = program.child() {
                        let _ = child.kill_tree();
                    }
                }
                Some(_) => {}
                None => {
                    self.leave_scheduler(&process);
                    if self.processes.retire(&process, self.since_start(Moment::now()), None::<Exit>) {
                        self.gone(&process);
                    }
                }
            }
        }
    }

    /// What follows from the end of a process.
    fn gone(&self, process: &Process) {
        self.tell_end(process);
        if let Some(parent) = process.parent().filter(|parent| parent.program.is_none()) {
            // It comes without room of its own, and ends nobody.
            let _ = self.post_signal(&parent, Signal::CHLD, process.pid);
        }
    }

    pub(crate) fn join_scheduler(&self, process: &Process) {
        // The books refuse only tasks they can't number, and a process runs without being in them. The time is taken
        // under the lock, so that it never goes back.
        let mut task = process.task.lock();
        let mut scheduler = self.scheduler.lock();
        // A group that has dissolved meanwhile is the root.
        let group = task.standing.group.as_ref().map_or(GroupId::ROOT, |group| group.in_books);
        let spec = Spec::from(task.standing.priority);
        let added = scheduler.add(spec.clone().group(group), self.sched_now());
        task.id = added.or_else(|_| scheduler.add(spec, self.sched_now())).ok();
    }

    fn leave_scheduler(&self, process: &Process) {
        let task = process.task.lock().id.take();
        if let Some(task) = task {
            let mut scheduler = self.scheduler.lock();
            let _ = scheduler.remove(task, self.sched_now());
        }
    }

    /// Tells the scheduler what the host's kernel let a program do since the last time.
    pub(crate) fn tell_scheduler(&self, process: &Process, usage: Usage) {
        let mut task = process.task.lock();
        let Some(id) = task.id else { return };
        let cpu = |usage: &Usage| usage.cpu_user_us + usage.cpu_system_us;
        let switches = |usage: &Usage| usage.voluntary_switches + usage.involuntary_switches;
        let observed = Observed {
            runtime: Nanos::from_micros(cpu(&usage).saturating_sub(cpu(&task.told))),
            switches: switches(&usage).saturating_sub(switches(&task.told)),
            preemptions: usage.involuntary_switches.saturating_sub(task.told.involuntary_switches),
        };
        // Live counts and final ones are taken in different ways; what was told once is never taken back.
        if self.scheduler.lock().account(id, observed).is_ok() {
            task.told = Usage {
                cpu_user_us: usage.cpu_user_us.max(task.told.cpu_user_us),
                cpu_system_us: usage.cpu_system_us.max(task.told.cpu_system_us),
                voluntary_switches: usage.voluntary_switches.max(task.told.voluntary_switches),
                involuntary_switches: usage.involuntary_switches.max(task.told.involuntary_switches),
                ..usage
            };
        }
    }
}
