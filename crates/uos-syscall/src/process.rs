//! A process: a principal with rights and handles, and possibly a real program behind it.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::sync::{Notify, Semaphore};
use uos_ipc::{Lease, Permit};
use uos_proc::{Child, Enforcement, Level};
use uos_sched::{Priority, TaskId, Weight};
use uos_vfs::{Account, Caller, Limit, VPath};

use crate::{
    Error,
    asking::Held,
    calls::Handed,
    control::{Reins, Standing},
    environment::Environment,
    events::Told,
    handles::Handles,
    input::Input,
    limits::Shares,
    net::LOOKUPS,
    output::Output,
    rights::Grants,
    signals::Signals,
    sockets::Leash,
    target::KERNEL,
};

/// The number of a process. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(pub u64);

impl Pid {
    /// Process 1, the operator's.
    pub const INIT: Pid = Pid(1);
}

impl fmt::Display for Pid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// One process. Its record outlives it for a while, so that its parent can see how it ended.
pub(crate) struct Process {
    pub(crate) pid: Pid,
    /// Who made it; 0 for process 1. Its parent may become another.
    pub(crate) maker: Pid,
    pub(crate) name: String,
    pub(crate) level: Level,
    /// The loosest level its programs and those of its descendants may run at.
    pub(crate) ceiling: Level,
    /// How many ancestors it was born under.
    pub(crate) depth: u32,
    pub(crate) created: Duration,
    pub(crate) program: Option<Program>,
    pub(crate) handles: Handles,
    /// What it may hold of each kind.
    pub(crate) share: Shares,
    /// As whom it asks the filesystems: as the kernel, on the process's account.
    pub(crate) hand: Caller,
    /// What it has made there that takes memory.
    pub(crate) files: Account,
    /// Names it may have looked up at the same time.
    pub(crate) lookups: Arc<Semaphore>,
    pub(crate) signals: Signals,
    pub(crate) environment: Environment,
    /// Taken first by whoever changes how it is scheduled, and kept until that is done.
    pub(crate) steering: Mutex<()>,
    /// Taken after a program's `hold`, and before the scheduler's books.
    pub(crate) task: Mutex<Task>,
    grants: Arc<Held>,
    cwd: RwLock<VPath>,
    /// Where it stands among its kin, and in its life. Held briefly, and never while another process's is taken, but by
    /// `Table::add` and `Table::retire`, which take a parent's before the table's.
    pub(crate) family: Mutex<Family>,
    /// The same as `family.phase` being `Running`, to be read without the lock.
    alive: AtomicBool,
    /// The phase has changed.
    pub(crate) changed: Notify,
    /// Somebody has been told how it ended.
    pub(crate) waited: AtomicBool,
    pub(crate) token: OnceLock<[u8; 32]>,
    pub(crate) told: Told,
}

/// The real program behind a process.
pub(crate) struct Program {
    /// Until it has ended: the handle holds descriptors of the host, and a record that is kept holds none. Held to look.
    child: Mutex<Option<Child>>,
    pub(crate) os_pid: u32,
    pub(crate) enforcement: Enforcement,
    pub(crate) path: VPath,
    pub(crate) stdout: Option<Arc<Output>>,
    pub(crate) stderr: Option<Arc<Output>>,
    pub(crate) stdin: Option<Input>,
    /// What it was handed of shared memory stays charged until it has ended.
    leases: Mutex<Vec<Lease>>,
    /// Of connections that it was handed, which end with it.
    leashes: Mutex<Vec<Leash>>,
    /// Held while it is changed, which may take the host a while: what is noted here is what is in force.
    pub(crate) hold: Mutex<Hold>,
    /// Changed with `hold` taken; to be looked at without.
    paused: AtomicBool,
}

/// How a program is held.
pub(crate) struct Hold {
    /// Its limits, but for the weight, which is its priority's.
    pub(crate) limits: uos_proc::Limits,
    pub(crate) reins: Reins,
}

/// Its place in the scheduler, and how much of what its program used was told to it.
pub(crate) struct Task {
    pub(crate) id: Option<TaskId>,
    pub(crate) told: uos_proc::Usage,
    pub(crate) standing: Standing,
}

/// A program's streams, as far as they are kept.
#[derive(Default)]
pub(crate) struct Streams {
    pub(crate) stdin: Option<Input>,
    pub(crate) stdout: Option<Arc<Output>>,
    pub(crate) stderr: Option<Arc<Output>>,
}

pub(crate) struct Family {
    pub(crate) parent: Option<Arc<Process>>,
    pub(crate) children: BTreeSet<Pid>,
    /// Ended children whose records are kept, oldest first.
    pub(crate) ended: VecDeque<Arc<Process>>,
    pub(crate) phase: Phase,
    /// Its place among the living; given back when it has ended altogether.
    pub(crate) place: Option<Permit>,
}

/// Where a process is in its life.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Phase {
    Running,
    /// It takes no more calls; its program is being killed.
    Ending(EndCause),
    Ended(End),
}

/// How a process ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    /// When, since the kernel started.
    pub(crate) at: Duration,
    pub(crate) cause: EndCause,
    pub(crate) exit: Option<uos_proc::Exit>,
}

/// Why a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndCause {
    /// By itself: its program returned or was killed by a signal that is not ours.
    Itself,
    /// It was killed, or its parent ended.
    Killed,
    /// By a signal of ours. Only without a program: one that is signalled ends by itself.
    Signal(uos_proc::Signal),
    /// Its deadline passed.
    Deadline,
}

/// Everything a process starts out with.
pub(crate) struct Origin {
    pub(crate) name: String,
    pub(crate) level: Level,
    pub(crate) ceiling: Level,
    pub(crate) standing: Standing,
    pub(crate) depth: u32,
    pub(crate) created: Duration,
    pub(crate) program: Option<Program>,
    pub(crate) grants: Grants,
    pub(crate) cwd: VPath,
    pub(crate) share: Shares,
    pub(crate) files: Limit,
    pub(crate) environment: Environment,
    pub(crate) place: Permit,
}

impl Program {
    pub(crate) fn new(
        child: Child,
        path: VPath,
        streams: Streams,
        limits: uos_proc::Limits,
        handed: Handed,
        weight: Weight,
    ) -> Self {
        let reins = Reins::new(weight);
        let (os_pid, enforcement) = (child.os_pid(), child.enforcement().clone());
        let Streams { stdin, stdout, stderr } = streams;
        let (hold, paused) = (Mutex::new(Hold { limits, reins }), AtomicBool::new(false));
        Self {
            child: Mutex::new(Some(child)),
            os_pid,
            enforcement,
            path,
            stdout,
            stderr,
            stdin,
            leases: Mutex::new(handed.leases),
            leashes: Mutex::new(handed.leashes),
            hold,
            paused,
        }
    }

    /// The program itself, until it has ended.
    pub(crate) fn child(&self) -> Option<Child> {
        self.child.lock().clone()
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    /// Called with `hold` taken.
    pub(crate) fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::Release);
    }

    /// Lets go of the host's process, which has ended.
    pub(crate) fn release(&self) {
        let child = self.child.lock().take();
        let leases = std::mem::take(&mut *self.leases.lock());
        let leashes = std::mem::take(&mut *self.leashes.lock());
        drop((child, leases, leashes));
        if let Some(stdin) = &self.stdin {
            stdin.close();
        }
    }
}

impl Process {
    pub(crate) fn new(pid: Pid, parent: Option<Arc<Process>>, origin: Origin) -> Self {
        let files = Account::new(origin.files);
        Self {
            pid,
            maker: parent.as_ref().map_or(Pid(0), |parent| parent.pid),
            name: origin.name,
            level: origin.level,
            ceiling: origin.ceiling,
            depth: origin.depth,
            created: origin.created,
            program: origin.program,
            handles: Handles::new(origin.share.handles.clone()),
            share: origin.share,
            hand: KERNEL.clone().paid_by(Some(files.clone())),
            files,
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
            signals: Signals::default(),
            environment: origin.environment,
            steering: Mutex::new(()),
            task: Mutex::new(Task { id: None, told: uos_proc::Usage::default(), standing: origin.standing }),
            grants: Arc::new(Held::new(origin.grants)),
            cwd: RwLock::new(origin.cwd),
            family: Mutex::new(Family {
                parent,
                children: BTreeSet::new(),
                ended: VecDeque::new(),
                phase: Phase::Running,
                place: Some(origin.place),
            }),
            alive: AtomicBool::new(true),
            changed: Notify::new(),
            waited: AtomicBool::new(false),
            token: OnceLock::new(),
            told: Told::default(),
        }
    }

    #[inline]
    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }

    /// An error once it has ended: for what takes long in its name, to stop there.
    pub(crate) fn lives(&self) -> Result<(), Error> {
        if self.is_alive() { Ok(()) } else { Err(Error::no_process(self.pid.0)) }
    }

    /// Whether it has ended altogether, its program included.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.family.lock().phase, Phase::Ended(_))
    }

    /// Called with the family locked, when the phase leaves `Running`.
    pub(crate) fn no_more_calls(&self) {
        self.alive.store(false, Ordering::Release);
    }

    pub(crate) fn grants(&self) -> RwLockReadGuard<'_, Grants> {
        self.grants.read()
    }

    /// Its grants as they change.
    pub(crate) fn held(&self) -> &Arc<Held> {
        &self.grants
    }

    pub(crate) fn priority(&self) -> Priority {
        self.task.lock().standing.priority
    }

    /// How it is to be scheduled.
    pub(crate) fn standing(&self) -> Standing {
        self.task.lock().standing.clone()
    }

    pub(crate) fn cwd(&self) -> RwLockReadGuard<'_, VPath> {
        self.cwd.read()
    }

    pub(crate) fn set_cwd(&self, path: VPath) {
        *self.cwd.write() = path;
    }

    pub(crate) fn parent(&self) -> Option<Arc<Process>> {
        self.family.lock().parent.clone()
    }

    /// Whether `other` is this process or a descendant of it.
    pub(crate) fn is_kin(&self, other: &Arc<Process>) -> bool {
        let mut at = Some(Arc::clone(other));
        while let Some(process) = at {
            if process.pid == self.pid {
                return true;
            }
            at = process.parent();
        }
        false
    }

    /// Waits until it takes no more calls.
    pub(crate) async fn dying(&self) {
        self.until(|phase| (!matches!(phase, Phase::Running)).then_some(())).await;
    }

    /// Waits until it has ended altogether.
    pub(crate) async fn ended(&self) -> End {
        self.until(|phase| if let Phase::Ended(end) = phase { Some(end) } else { None }).await
    }

    async fn until<T>(&self, look: impl Fn(Phase) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(answer) = look(self.family.lock().phase) {
                return answer;
            }
            changed.await;
        }
    }

    /// What its program has used so far, or in all.
    pub(crate) fn usage(&self) -> uos_proc::Usage {
        // Asked in this order: the child is let go of only when the record has what it used.
        if let Some(child) = self.program.as_ref().and_then(Program::child) {
            return child.usage();
        }
        match self.family.lock().phase {
            Phase::Ended(End { exit: Some(exit), .. }) => exit.usage,
            _ => uos_proc::Usage::default(),
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Process").field("pid", &self.pid).field("name", &self.name).finish_non_exhaustive()
    }
}
