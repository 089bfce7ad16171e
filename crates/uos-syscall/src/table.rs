//! All processes by pid: joining, leaving, and what becomes of children.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::RwLock;

use crate::{
    Error,
    past::Past,
    process::{End, EndCause, Origin, Phase, Pid, Process},
};

/// Of how many forgotten processes it is known whose they were, at most.
const REMEMBERED: u64 = 1 << 16;

/// The process table.
pub(crate) struct Table {
    /// The living, and the ended whose records are kept. Taken after a family's lock, never before one.
    processes: RwLock<BTreeMap<Pid, Arc<Process>>>,
    next: AtomicU64,
    keep_ended: usize,
    past: Past,
}

/// What is left to do when a process stops taking calls.
pub(crate) struct Orphans {
    pub(crate) children: Vec<Arc<Process>>,
    pub(crate) parent: Option<Arc<Process>>,
}

impl Table {
    /// Keeps so many records of the ended for each parent, and knows the kin of as many forgotten ones as may live at once,
    /// up to a bound: all of them may end together.
    pub(crate) fn new(keep_ended: usize, most_living: u64) -> Self {
        let past = Past::new(most_living.min(REMEMBERED) as usize);
        Self { processes: RwLock::default(), next: AtomicU64::new(1), keep_ended, past }
    }

    pub(crate) fn get(&self, pid: Pid) -> Option<Arc<Process>> {
        self.processes.read().get(&pid).cloned()
    }

    /// Up to `most` processes after a pid, in order, of those that `wanted` wants; and whether there are more.
    pub(crate) fn after(
        &self,
        pid: Pid,
        most: usize,
        wanted: impl Fn(&Arc<Process>) -> bool,
    ) -> (Vec<Arc<Process>>, bool) {
        // `wanted` may take family locks, so the table's is let go before it is asked.
        let all: Vec<_> = self
            .processes
            .read()
            .range(Pid(pid.0.saturating_add(1))..)
            .map(|(_, process)| Arc::clone(process))
            .collect();
        let mut found: Vec<_> =
            all.into_iter().filter(|process| wanted(process)).take(most.saturating_add(1)).collect();
        let more = found.len() > most;
        found.truncate(most);
        (found, more)
    }

    /// Whether a pid is a process or one of its descendants, or was until just now.
    pub(crate) fn is_kin(&self, elder: &Process, pid: Pid) -> bool {
        let mut at = pid;
        // Each step goes to an older process, so there is an end to it.
        loop {
            if let Some(process) = self.get(at) {
                return elder.is_kin(&process);
            }
            match self.past.parent(at) {
                Some(parent) => at = parent,
                None => return false,
            }
        }
    }

    pub(crate) fn living(&self) -> Vec<Arc<Process>> {
        self.processes.read().values().filter(|process| process.is_alive()).cloned().collect()
    }

    /// Makes a process the child of another. Fails if the parent has ended in the meantime: then the origin, with any
    /// program in it, is dropped, which kills the program.
    pub(crate) fn add(&self, parent: Option<&Arc<Process>>, origin: Origin) -> Result<Arc<Process>, Error> {
        let pid = Pid(self.next.fetch_add(1, Ordering::Relaxed));
        let process = Arc::new(Process::new(pid, parent.cloned(), origin));
        let Some(parent) = parent else {
            self.processes.write().insert(pid, Arc::clone(&process));
            return Ok(process);
        };
        let mut family = parent.family.lock();
        if !matches!(family.phase, Phase::Running) {
            return Err(Error::no_process(parent.pid.0));
        }
        family.children.insert(pid);
        self.processes.write().insert(pid, Arc::clone(&process));
        Ok(process)
    }

    /// Stops a process from taking calls, once. `None` if somebody else has done so already.
    pub(crate) fn stop(&self, process: &Arc<Process>, cause: EndCause) -> Option<Orphans> {
        let (children, parent) = {
            let mut family = process.family.lock();
            if !matches!(family.phase, Phase::Running) {
                return None;
            }
            family.phase = Phase::Ending(cause);
            process.no_more_calls();
            (std::mem::take(&mut family.children), family.parent.clone())
        };
        process.changed.notify_waiters();
        let children = children.into_iter().filter_map(|pid| self.get(pid)).collect();
        Some(Orphans { children, parent })
    }

    /// Gives a child to another parent. `false` if that one has ended too.
    pub(crate) fn adopt(&self, child: &Arc<Process>, heir: &Arc<Process>) -> bool {
        let mut family = heir.family.lock();
        if !matches!(family.phase, Phase::Running) {
            return false;
        }
        family.children.insert(child.pid);
        drop(family);
        let mut own = child.family.lock();
        own.parent = Some(Arc::clone(heir));
        let gone = matches!(own.phase, Phase::Ended(_));
        drop(own);
        if gone {
            // It ended on its own just before; its record was kept by the parent it had.
            heir.family.lock().children.remove(&child.pid);
        }
        true
    }

    /// Marks a process as ended altogether and keeps its record with its parent, if that one lives. `false` if somebody
    /// else has done so already.
    pub(crate) fn retire(&self, process: &Arc<Process>, at: Duration, exit: Option<uos_proc::Exit>) -> bool {
        let (parent, kept) = {
            let mut family = process.family.lock();
            let cause = match family.phase {
                Phase::Ended(_) => return false,
                Phase::Ending(cause) => cause,
                Phase::Running => EndCause::Itself,
            };
            family.phase = Phase::Ended(End { at, cause, exit });
            family.place = None;
            (family.parent.clone(), std::mem::take(&mut family.ended))
        };
        process.changed.notify_waiters();
        for record in kept {
            self.forget(&record);
        }
        let Some(parent) = parent else {
            self.forget(process);
            return true;
        };
        let evicted = {
            let mut family = parent.family.lock();
            family.children.remove(&process.pid);
            if matches!(family.phase, Phase::Ended(_)) {
                Some(Arc::clone(process))
            } else {
                family.ended.push_back(Arc::clone(process));
                (family.ended.len() > self.keep_ended)
                    .then(|| {
                        let waited = |record: &Arc<Process>| record.waited.load(Ordering::Relaxed);
                        let oldest = family.ended.iter().position(waited).unwrap_or(0);
                        family.ended.remove(oldest)
                    })
                    .flatten()
            }
        };
        if let Some(record) = evicted {
            self.forget(&record);
        }
        true
    }

    /// Forgets the ended who were waited for, and hands their records out.
    pub(crate) fn sweep(&self) -> Vec<Arc<Process>> {
        let all: Vec<_> = self.processes.read().values().map(Arc::clone).collect();
        let mut swept = Vec::new();
        for parent in all {
            let waited = |record: &Arc<Process>| record.waited.load(Ordering::Relaxed);
            let mut family = parent.family.lock();
            let (gone, kept): (Vec<_>, _) = std::mem::take(&mut family.ended).into_iter().partition(waited);
            family.ended = kept.into();
            drop(family);
            swept.extend(gone);
        }
        swept.iter().for_each(|record| self.forget(record));
        swept
    }

    fn forget(&self, process: &Arc<Process>) {
        // First, so that at no moment it is known to neither.
        self.past.add(process.pid, process.parent().map_or(Pid(0), |parent| parent.pid));
        self.processes.write().remove(&process.pid);
    }
}

/// Kept records know their parent, and it keeps them: a ring that must be cut for either to go.
impl Drop for Table {
    fn drop(&mut self) {
        for process in self.processes.get_mut().values() {
            let kept = std::mem::take(&mut process.family.lock().ended);
            drop(kept);
        }
    }
}
