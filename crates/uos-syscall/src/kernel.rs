//! The kernel: what composes the four leaves, and the one door to all calls.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use subtle::ConstantTimeEq;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use uos_ipc::Segments;
use uos_proc::{Level, Spawner};
use uos_proto::{
    CallInfo,
    v1::{CreateProcessRequest, CreateProcessResponse, call::Call, reply::Reply},
};
use uos_sched::{Nanos, Policy, Priority, Scheduler};
use uos_vfs::{Mounts, VPath, lock::Locks};

use crate::{
    Errno, Error, InUse, Limits, Observer, Pid,
    asking::{Asked, Asking, Once, UNASKED},
    audit::{self, Log, Overflow, Sink, Trail},
    control::{Control, Standing},
    environment::Environment,
    limits::Quotas,
    making::Making,
    moment::Moment,
    mounted::Mounted,
    net::{Dialer, HostDialer, HostResolver, Network, Resolver, Tls},
    perform::{Course, Invocation, Outcome, at_once},
    pressure,
    process::{EndCause, Origin, Process},
    replay::Replay,
    rights::Grants,
    table::Table,
    target::Scope,
    watches::Watches,
};

/// A running kernel. Cheap to clone; all clones are the same kernel.
#[derive(Clone)]
pub struct Kernel(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) mounts: Mounts,
    pub(crate) segments: Segments,
    /// Of all processes: only locks of one place know of each other.
    pub(crate) locks: Locks,
    pub(crate) spawner: Arc<dyn Spawner>,
    /// Protects the scheduler's books; held for one step.
    pub(crate) scheduler: Mutex<Scheduler>,
    pub(crate) control: Control,
    pub(crate) processes: Table,
    pub(crate) quotas: Quotas,
    pub(crate) limits: Limits,
    pub(crate) log: Log,
    pub(crate) replay: Replay,
    pub(crate) observers: Vec<Box<dyn Observer>>,
    pub(crate) watches: Arc<Watches>,
    pub(crate) asking: Asking,
    pub(crate) network: Network,
    pub(crate) mounted: Mounted,
    /// What sockets within this system are found by.
    pub(crate) socket_names: uos_ipc::Names,
    pub(crate) runtime: Handle,
    next_object: AtomicU64,
    pool: Arc<Semaphore>,
    init: Arc<Process>,
}

/// Somebody who makes calls: a process, as whom the holder of this value acts. Who that is was settled when the channel
/// was, and is never an argument of a call.
#[derive(Clone, Debug)]
pub struct Caller(pub(crate) Arc<Process>);

/// What a kernel is made of.
pub struct Builder {
    mounts: Mounts,
    spawner: Arc<dyn Spawner>,
    log: Log,
    limits: Limits,
    observers: Vec<Box<dyn Observer>>,
    network: Network,
}

impl Kernel {
    /// A kernel over a namespace and a spawner, with default limits, keeping the newest 4,096 audit records in memory.
    pub fn builder(mounts: Mounts, spawner: impl Spawner + 'static) -> Builder {
        Builder {
            mounts,
            spawner: Arc::new(spawner),
            log: Log::new(audit::Memory::new(4_096), Overflow::Wait),
            limits: Limits::default(),
            observers: Vec::new(),
            network: Network {
                resolver: Box::new(HostResolver::default()),
                dialer: Box::new(HostDialer),
                tls: Tls::default(),
            },
        }
    }

    /// Makes a call. Waiting calls wait without holding a thread, as do calls that ask for a right; calls that need a disk
    /// are moved off this one. Dropping the future gives a waiting call up.
    pub fn invoke<'a>(
        &'a self,
        caller: &'a Caller,
        call: Call,
    ) -> impl Future<Output = Result<Reply, Error>> + Send + 'a {
        Making::new(self, caller, call)
    }

    pub(crate) async fn invoke_in_pool(&self, caller: &Caller, call: Call) -> Result<Reply, Error> {
        match self.step_in_pool(caller, call, Once::default()).await?.0 {
            Step::Done(reply) => Ok(reply),
            Step::Asks(call, asked) => self.invoke_asking(caller, call, asked).await,
            Step::NeedsPool(_) => Err(Errno::EIO.into()),
        }
    }

    /// Waits until the call was allowed what it lacks, and makes it again; as often as it lacks something.
    pub(crate) async fn invoke_asking(
        &self,
        caller: &Caller,
        call: Call,
        asked: Box<Asked>,
    ) -> Result<Reply, Error> {
        let (mut call, mut asked, mut once) = (call, asked, Once::default());
        loop {
            once = asked.settle(&self.0, &caller.0, once).await?;
            let mut step = self.0.step(&caller.0, &once, false, call)?;
            if let Step::NeedsPool(again) = step {
                (step, once) = self.step_in_pool(caller, again, once).await?;
            }
            match step {
                Step::Done(reply) => return Ok(reply),
                Step::Asks(again, about) => (call, asked) = (again, about),
                Step::NeedsPool(_) => return Err(Errno::EIO.into()),
            }
        }
    }

    async fn step_in_pool(&self, caller: &Caller, call: Call, once: Once) -> Result<(Step, Once), Error> {
        self.in_pool(caller, call.info(), move |kernel, caller| {
            let step = kernel.step(caller, &once, true, call)?;
            Ok((step, once))
        })
        .await
    }

    /// Carries a call out where it may wait for a disk. Given up before its turn comes, it is recorded so; from then on
    /// `work` records it.
    pub(crate) async fn in_pool<T: Send + 'static>(
        &self,
        caller: &Caller,
        call: &'static CallInfo,
        work: impl FnOnce(&Arc<Inner>, &Arc<Process>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.0.log.room().await;
        let mut trail = Trail::begin(&self.0.log, caller.0.pid, call);
        let turn = self.0.turn().await;
        trail.hand_over();
        let (kernel, caller) = (Arc::clone(&self.0), Arc::clone(&caller.0));
        self.0.blocking(turn, move || work(&kernel, &caller)).await
    }

    /// Makes a call that doesn't wait, on this thread, which it may block while a disk or a new program is waited for.
    /// Calls that wait need [`Kernel::invoke`]; here they answer `ENOTSUP`, and what may be asked for is refused.
    pub fn invoke_blocking(&self, caller: &Caller, call: Call) -> Result<Reply, Error> {
        let invocation = Invocation { kernel: &self.0, caller: &caller.0, once: &UNASKED, may_block: true };
        match uos_proto::dispatch(call, invocation) {
            Outcome::Done(result) => result,
            Outcome::NeedsPool(_) => Err(Errno::EIO.into()),
            Outcome::Asks(_, asked) => Err(asked.refuse()),
            Outcome::Pending(_) => Err(Error::new(Errno::ENOTSUP, "this call waits; make it with `invoke`")),
        }
    }

    /// Makes a process as a child of the caller, with a token of its own. Admitted and audited like a call.
    pub async fn create_process(
        &self,
        caller: &Caller,
        request: CreateProcessRequest,
    ) -> Result<CreateProcessResponse, Error> {
        let (mut request, mut once) = (request, Once::default());
        loop {
            let (course, had) = self
                .in_pool(caller, &uos_proto::CREATE_PROCESS, move |kernel, caller| {
                    let scope = Scope { kernel, caller, once: &once, memory_only: false };
                    let course = at_once(&scope, request);
                    Ok((course, once))
                })
                .await?;
            match course {
                Course::Done(result) => return result,
                Course::Disk(_) => return Err(Errno::EIO.into()),
                Course::Asks(again, asked) => {
                    once = Box::pin(asked.settle(&self.0, &caller.0, had)).await?;
                    request = again;
                }
            }
        }
    }

    /// Process 1, the operator's.
    pub fn init(&self) -> Caller {
        Caller(Arc::clone(&self.0.init))
    }

    /// Acts as another process. Only for those who hold the operator's authority: who may ask this is the rim's business.
    pub fn act_as(&self, pid: Pid) -> Result<Caller, Error> {
        match self.0.processes.get(pid) {
            Some(process) if process.is_alive() => Ok(Caller(process)),
            _ => Err(Error::no_process(pid.0)),
        }
    }

    /// The process that a token acts as, while it lives.
    pub fn by_token(&self, token: &str) -> Option<Caller> {
        let (pid, secret) = token.strip_prefix("uos-")?.split_once('-')?;
        let process = self.0.processes.get(Pid(pid.parse().ok()?))?;
        let real = hex(process.token.get()?);
        let same: bool = real.as_bytes().ct_eq(secret.as_bytes()).into();
        (same && process.is_alive()).then_some(Caller(process))
    }

    /// Replaces the rights of a process. Holds from its next call on.
    pub fn set_grants(&self, pid: Pid, grants: Grants) -> Result<(), Error> {
        self.act_as(pid)?.0.held().lessen(|_| Ok(grants)).map(|_| ())
    }

    /// Writes down a call that the rim refused because it had no caller to make it as.
    pub fn record_refusal(&self, by: Pid, call: &'static CallInfo, error: &Error) {
        Trail::begin(&self.0.log, by, call).finish::<()>(&Err(error.clone()));
    }

    /// The audit log.
    pub fn audit(&self) -> &Log {
        &self.0.log
    }

    /// How much of what is limited is in use.
    pub fn in_use(&self) -> InUse {
        self.0.mounted.settle();
        InUse { right_requests: self.0.asking.len(), ..self.0.quotas.in_use() }
    }

    /// The namespace.
    pub fn mounts(&self) -> &Mounts {
        &self.0.mounts
    }

    /// Ends every process and waits until their programs are gone. No calls are taken from then on.
    pub async fn shut_down(&self) {
        // Process 1 stops first: it makes no more children, and what it waits for is given up.
        self.0.processes.stop(&self.0.init, EndCause::Killed);
        loop {
            // Those that are being killed already are waited for too.
            let (others, _) = self.0.processes.after(Pid::INIT, usize::MAX, |process| !process.has_ended());
            if others.is_empty() {
                break;
            }
            for process in &others {
                self.0.end(process, EndCause::Killed, true);
            }
            for process in &others {
                process.ended().await;
            }
        }
    }

    /// Makes a call with a request id: the same id from the same process within ten minutes gives the first answer
    /// again, so that a client may repeat what it has not heard the answer of.
    pub async fn invoke_once(&self, caller: &Caller, call: Call, request_id: &str) -> Result<Reply, Error> {
        self.0.replay.once(caller.pid(), request_id, self.invoke(caller, call)).await
    }
}

/// What comes of taking a call that is made at once a step on.
enum Step {
    Done(Reply),
    NeedsPool(Call),
    Asks(Call, Box<Asked>),
}

impl Inner {
    fn step(
        self: &Arc<Self>,
        caller: &Arc<Process>,
        once: &Once,
        may_block: bool,
        call: Call,
    ) -> Result<Step, Error> {
        match uos_proto::dispatch(call, Invocation { kernel: self, caller, once, may_block }) {
            Outcome::Done(result) => result.map(Step::Done),
            Outcome::NeedsPool(call) => Ok(Step::NeedsPool(call)),
            Outcome::Asks(call, asked) => Ok(Step::Asks(call, asked)),
            // Those ask for themselves.
            Outcome::Pending(_) => Err(Errno::EIO.into()),
        }
    }

    /// Does a part of something that has been let through where it may wait for a disk.
    pub(crate) async fn on_pool<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let turn = self.turn().await;
        self.blocking(turn, work).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        turn: Option<OwnedSemaphorePermit>,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let done = self.runtime.spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.unwrap_or_else(|_| Err(Error::new(Errno::EIO, "the call failed inside the kernel")))
    }

    async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.pool).acquire_owned().await.ok()
    }

    /// A number for a new object, never given before.
    pub(crate) fn new_object(&self) -> u64 {
        self.next_object.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn since_start(&self, now: Moment) -> Duration {
        self.log.since_start(now)
    }

    pub(crate) fn sched_now(&self) -> Nanos {
        Nanos(self.since_start(Moment::now()).as_nanos() as u64)
    }
}

impl Caller {
    /// Who it is.
    pub fn pid(&self) -> Pid {
        self.0.pid
    }
}

impl Builder {
    /// Where audit records go. Calls wait when it can't keep up.
    #[must_use]
    pub fn audit(self, sink: impl Sink) -> Self {
        self.audit_with(sink, Overflow::Wait)
    }

    /// Where audit records go, and what becomes of those that it can't keep up with.
    #[must_use]
    pub fn audit_with(mut self, sink: impl Sink, overflow: Overflow) -> Self {
        self.log = Log::new(sink, overflow);
        self
    }

    /// What may be held.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Somebody who is told of every event from the start on, beside those named before.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// Who looks names up, in place of the host.
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolver) -> Self {
        self.network.resolver = Box::new(resolver);
        self
    }

    /// Who makes connections, in place of the host.
    #[must_use]
    pub fn dialer(mut self, dialer: impl Dialer) -> Self {
        self.network.dialer = Box::new(dialer);
        self
    }

    /// The certificates, in DER, of the authorities that vouch for servers of `https`, in place of those that the host trusts.
    #[must_use]
    pub fn authorities(mut self, certificates: Vec<Vec<u8>>) -> Self {
        self.network.tls = Tls::trusting(Some(certificates));
        self
    }

    /// Starts the kernel. Must be called within a tokio runtime with time and IO enabled, on which it runs what waits.
    pub fn start(self) -> Result<Kernel, Error> {
        let Builder { mounts, spawner, log, limits, observers, network } = self;
        let quotas = Quotas::new(&limits);
        let processes = Table::new(limits.ended_children, limits.processes);
        let scheduler = Scheduler::new(Policy::FAIR, cpus())
            .map_err(|error| Error::new(Errno::EINVAL, error.to_string()))?;
        let share = quotas.share(&limits);
        let init = processes.add(
            None,
            Origin {
                name: "init".to_owned(),
                level: Level::Privileged,
                ceiling: Level::Privileged,
                standing: Standing::new(Priority::default(), None),
                depth: 0,
                created: Duration::ZERO,
                program: None,
                grants: Grants::all(),
                cwd: VPath::root(),
                environment: Environment::new(share.environment_bytes.clone()),
                share,
                files: uos_vfs::Limit::NONE,
                place: quotas.processes.take(1)?,
            },
        )?;
        let kernel = Inner {
            mounts,
            locks: Locks::new(),
            segments: Segments::with_limits(&quotas.all.shm_bytes, limits.shm_segment_bytes, 0),
            spawner,
            scheduler: Mutex::new(scheduler),
            control: Control::new(),
            processes,
            quotas,
            pool: Arc::new(Semaphore::new(limits.pool_threads.max(1))),
            limits,
            log,
            replay: Replay::default(),
            observers,
            watches: Arc::default(),
            asking: Asking::default(),
            network,
            mounted: Mounted::default(),
            socket_names: uos_ipc::Names::new(),
            runtime: Handle::current(),
            next_object: AtomicU64::new(1),
            init: Arc::clone(&init),
        };
        kernel.join_scheduler(&init);
        kernel.tell_start(&init);
        let kernel = Arc::new(kernel);
        if !kernel.observers.is_empty() {
            kernel.runtime.spawn(pressure::watch(Arc::downgrade(&kernel)));
        }
        Ok(Kernel(kernel))
    }
}

pub(crate) fn cpus() -> u32 {
    std::thread::available_parallelism().map_or(1, |count| count.get() as u32)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl fmt::Debug for Kernel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Kernel").field("in_use", &self.in_use()).finish_non_exhaustive()
    }
}
