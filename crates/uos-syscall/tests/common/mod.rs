//! What the tests share: a kernel with a folder of the host in it, and short ways to make processes and calls.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

pub(crate) mod host;
pub(crate) mod network;

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use tempfile::TempDir;
use uos_proc::{Child, Enforcement, LinuxSpawner, SpawnError, Spawner, Spec, Support};
use uos_proto::{
    Request,
    v1::{self, CreateProcessRequest, SandboxLevel, call::Call, reply::Reply},
};
use uos_syscall::{
    Builder, Caller, Cause, Errno, Error, Event, FileChange, Kernel, Limits, Observer, audit::Memory,
    namespace, rights,
};

/// A kernel over the default namespace and a folder of the host at `/data`, whose audit can be read.
pub(crate) struct World {
    pub(crate) kernel: Kernel,
    pub(crate) audit: Memory,
    /// What `/data` shows.
    pub(crate) host: TempDir,
}

impl World {
    pub(crate) fn start() -> Self {
        Self::with(Limits::default(), LinuxSpawner::new().unwrap())
    }

    pub(crate) fn with(limits: Limits, spawner: impl Spawner + 'static) -> Self {
        Self::built(limits, spawner, |builder| builder)
    }

    /// One whose kernel has an observer.
    pub(crate) fn observed(spawner: impl Spawner + 'static, observer: impl Observer) -> Self {
        Self::built(Limits::default(), spawner, |builder| builder.observer(observer))
    }

    /// One whose kernel is put together with more than the usual.
    pub(crate) fn built(
        limits: Limits,
        spawner: impl Spawner + 'static,
        more: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let host = TempDir::new().unwrap();
        // The folder's own path must not run through a link, so that tests can compare paths.
        let folder = host.path().canonicalize().unwrap();
        let mounts =
            namespace::standard(namespace::Capacity { home_bytes: 1 << 20, tmp_bytes: 1 << 20 }).unwrap();
        namespace::mount_host(&mounts, "/data", &folder, false).unwrap();
        let audit = Memory::new(100_000);
        let builder = Kernel::builder(mounts, spawner).audit(audit.clone()).limits(limits);
        let kernel = more(builder).start().unwrap();
        Self { kernel, audit, host }
    }

    /// A child of process 1 with exactly these grants.
    pub(crate) async fn agent(&self, grants: &[&str]) -> Caller {
        self.child(&self.kernel.init(), grants).await
    }

    /// A child with exactly these grants, as its token acts.
    pub(crate) async fn child(&self, parent: &Caller, grants: &[&str]) -> Caller {
        let request = CreateProcessRequest {
            grants: texts(grants),
            // The level whose base is empty.
            sandbox_level: SandboxLevel::Minimal.into(),
            ..Default::default()
        };
        let made = within(self.kernel.create_process(parent, request)).await.unwrap();
        self.kernel.by_token(&made.token).unwrap()
    }

    /// Makes a call that is expected to come back.
    pub(crate) async fn call<R: Answered>(&self, caller: &Caller, request: R) -> Result<R::Reply, Error> {
        within(self.kernel.invoke(caller, request.into())).await.map(R::of)
    }

    /// The errno of a call that is expected to fail.
    pub(crate) async fn errno<R: Answered>(&self, caller: &Caller, request: R) -> Errno
    where
        R::Reply: std::fmt::Debug,
    {
        self.call(caller, request).await.unwrap_err().errno
    }

    /// Ends everybody but process 1, and takes away what outlives them.
    pub(crate) async fn clear(&self) {
        let init = self.kernel.init();
        let all = self.call(&init, v1::GetProcessList { after_pid: 1, limit: 0 }).await.unwrap().processes;
        for process in all {
            // It may have ended already, of itself or with its parent.
            let _ = self.call(&init, v1::KillProcess { pid: process.pid, tree: true }).await;
            // What is kept of those that have become process 1's children goes when it has looked.
            let _ = self.call(&init, v1::WaitProcess { pid: process.pid, timeout_us: None }).await;
        }
        self.call(&init, v1::TriggerGc {}).await.unwrap();
        for kept in self.call(&init, v1::ListSnapshots {}).await.unwrap().snapshots {
            self.call(&init, v1::DropSnapshot { id: kept.id }).await.unwrap();
        }
        let mounts = self.call(&init, v1::ListMounts {}).await.unwrap().mounts;
        // Those that lie in others first.
        let mut made: Vec<_> = mounts.into_iter().filter(|mount| mount.by_call).collect();
        made.sort_by_key(|mount| std::cmp::Reverse(mount.path.len()));
        for mount in made {
            let unmount = v1::Unmount { path: mount.path, path_raw: mount.path_raw, force: true };
            self.call(&init, unmount).await.unwrap();
        }
    }

    /// A file in the host's folder, made from outside.
    pub(crate) fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.host.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// What a file in the host's folder holds, as seen from outside.
    pub(crate) fn seen(&self, name: &str) -> String {
        std::fs::read_to_string(self.host.path().join(name)).unwrap()
    }

    pub(crate) fn set_grants(&self, caller: &Caller, given: &[&str]) {
        self.kernel.set_grants(caller.pid(), grants(given)).unwrap();
    }
}

/// A spawner whose machine has no groups of several programs.
pub(crate) struct Flat(pub(crate) LinuxSpawner);

impl Spawner for Flat {
    fn probe(&self) -> Support {
        self.0.probe()
    }

    fn plan(&self, spec: &Spec) -> Result<Enforcement, SpawnError> {
        self.0.plan(spec)
    }

    fn spawn(&self, spec: Spec) -> Result<Child, SpawnError> {
        self.0.spawn(spec)
    }
}

/// Keeps what it is told.
#[derive(Clone, Default)]
pub(crate) struct Log(pub(crate) Arc<Mutex<Vec<Event>>>);

impl Observer for Log {
    fn event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl Log {
    /// What was told of files since the last look: how, where, and whether it is a directory.
    pub(crate) fn changes(&self, by: &Caller) -> Vec<(FileChange, String, bool)> {
        let file = |event| match event {
            Event::FileChanged { change, path, directory, by: who } => {
                assert_eq!(who, by.pid());
                Some((change, path.to_string(), directory))
            }
            _ => None,
        };
        self.0.lock().unwrap().drain(..).filter_map(file).collect()
    }
}

/// Calls whose answers tests look into.
pub(crate) trait Answered: Request + Into<Call> {
    fn of(reply: Reply) -> Self::Reply;
}

macro_rules! answered {
    ($($name:ident)*) => {
        $(impl Answered for v1::$name {
            fn of(reply: Reply) -> Self::Reply {
                match reply {
                    // The large ones come in a box, the others not.
                    Reply::$name(reply) => *Box::<Self::Reply>::from(reply),
                    other => panic!("{} answered {other:?}", stringify!($name)),
                }
            }
        })*
    };
}

answered! {
    ReadFile
    WriteFile
    CreateFile
    CopyFile
    TruncateFile
    GetWorkingDirectory
    SetWorkingDirectory
    AppendFile
    Link
    Symlink
    ReadLink
    Chmod
    Chown
    SetTimes
    GetXattr
    SetXattr
    ListXattr
    Statfs
    TempFile
    Watch
    Unwatch
    ReadWatch
    Mount
    Unmount
    ListMounts
    Snapshot
    ListSnapshots
    RestoreSnapshot
    DiffSnapshot
    DropSnapshot
    DeleteFile
    ListDirectory
    FileExists
    FileStat
    MoveFile
    CreateDirectory
    RemoveDirectory
    SpawnProcess
    KillProcess
    GetProcessInfo
    GetProcessList
    GetProcessStats
    WaitProcess
    GetSystemInfo
    GetCurrentTime
    NetworkRequest
    SendSignal
    SetSignalAction
    MaskSignals
    PendingSignals
    WaitSignal
    Socket
    Bind
    Listen
    Accept
    Connect
    Send
    Receive
    SendTo
    ReceiveFrom
    Shutdown
    SocketPair
    SetSocketOption
    GetSocketOption
    Resolve
    CreatePipe
    WritePipe
    ReadPipe
    ClosePipe
    DestroyPipe
    PipeStats
    CreateShm
    AttachShm
    DetachShm
    WriteShm
    ReadShm
    DestroyShm
    ShmStats
    GetSchedulerStats
    Sleep
    GetUptime
    GetMemoryStats
    GetProcessMemoryStats
    TriggerGc
    PassHandle
    RestrictHandle
    ListHandles
    Lock
    Unlock
    Open
    Close
    Read
    Write
    Pread
    Pwrite
    Seek
    Dup
    Dup2
    Fsync
    Ftruncate
    Fstat
    Poll
    CloseRange
    ReadOutput
    CreateQueue
    SendMessage
    ReceiveMessage
    Subscribe
    Unsubscribe
    CloseQueue
    DestroyQueue
    QueueStats
    SetProcessPriority
    GetProcessState
    PauseProcess
    ResumeProcess
    WriteStdin
    ResizeTerminal
    SetLimits
    GetLimits
    GetChildren
    GetGrants
    DropGrants
    GetResourceUsage
    GetEnforcement
    GetEnvironmentVar
    SetEnvironmentVar
    ListEnvironment
    UnsetEnvironmentVar
    GetRandom
    GetHostCapabilities
    ScheduleNext
    YieldProcess
    GetCurrentScheduled
    SetPolicy
    GetPolicy
    SetQuantum
    GetProcessSchedule
    ListSchedule
    SetAffinity
    GetAffinity
    SetRealtime
    SetDeadline
    CreateGroup
    SetGroup
    DestroyGroup
}

/// Only a guard against hanging for ever; no test depends on how long anything takes.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("this hangs")
}

/// Lets a future come as far as it can, and gives it up there.
pub(crate) async fn give_up<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(Duration::ZERO, future).await.ok()
}

/// Waits for something to become true, which nothing announces.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Waits until a number has stopped changing.
pub(crate) async fn settled(mut number: impl FnMut() -> usize) {
    let (mut last, mut same) = (number(), 0);
    while same < 20 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let now = number();
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
}

pub(crate) fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|text| (*text).to_owned()).collect()
}

pub(crate) fn grants(given: &[&str]) -> rights::Grants {
    given.iter().map(|text| rights::Grant::parse(text).unwrap()).collect()
}

/// A program of the host with its arguments, held by nothing that this machine may lack.
pub(crate) fn program(path: &str, args: &[&str]) -> v1::SpawnProcess {
    v1::SpawnProcess {
        program: path.to_owned(),
        args: texts(args),
        level: SandboxLevel::Privileged.into(),
        ..Default::default()
    }
}

/// A shell that runs a script.
pub(crate) fn shell(script: &str) -> v1::SpawnProcess {
    let mut shell = program("/bin/sh", &["-c", script]);
    shell.env = vec!["PATH=/usr/bin:/bin".to_owned()];
    shell
}

/// Everything that a program writes to its standard output.
pub(crate) async fn output(world: &World, caller: &Caller, pid: u64) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let offset = all.len() as u64;
        let part = world.call(caller, v1::ReadOutput { pid, offset, ..Default::default() }).await.unwrap();
        assert_eq!(part.offset, offset, "nothing may be missing");
        all.extend_from_slice(&part.data);
        if part.end {
            return all;
        }
    }
}

/// Waits for a process to end.
pub(crate) async fn wait(world: &World, caller: &Caller, pid: u64) -> v1::WaitProcessReply {
    world.call(caller, v1::WaitProcess { pid, timeout_us: None }).await.unwrap()
}

pub(crate) fn write(path: &str, data: impl AsRef<[u8]>) -> v1::WriteFile {
    v1::WriteFile { path: path.to_owned(), data: data.as_ref().to_vec().into(), ..Default::default() }
}

pub(crate) fn read(path: &str) -> v1::ReadFile {
    v1::ReadFile { path: path.to_owned(), ..Default::default() }
}

pub(crate) fn move_file(from: &str, to: &str) -> v1::MoveFile {
    v1::MoveFile { from: from.to_owned(), to: to.to_owned(), ..Default::default() }
}

pub(crate) fn remove(path: &str, recursive: bool) -> v1::RemoveDirectory {
    v1::RemoveDirectory { path: path.to_owned(), recursive, ..Default::default() }
}

pub(crate) fn exists(path: &str) -> v1::FileExists {
    v1::FileExists { path: path.to_owned(), ..Default::default() }
}

pub(crate) fn list(path: &str) -> v1::ListDirectory {
    v1::ListDirectory { path: path.to_owned(), ..Default::default() }
}

pub(crate) fn mkdir(path: &str) -> v1::CreateDirectory {
    v1::CreateDirectory { path: path.to_owned(), parents: true, ..Default::default() }
}

pub(crate) fn copy(from: &str, to: &str) -> v1::CopyFile {
    v1::CopyFile { from: from.to_owned(), to: to.to_owned(), ..Default::default() }
}

/// The right that a refusal names.
pub(crate) fn missing(error: &Error) -> &str {
    match error.cause.as_deref() {
        Some(Cause::Right(right)) if error.errno == Errno::EACCES => right,
        _ => panic!("this is no refusal that names a right: {error:?}"),
    }
}

pub(crate) fn link(from: &str, to: &str) -> v1::Link {
    v1::Link { from: from.to_owned(), to: to.to_owned(), ..Default::default() }
}

pub(crate) fn symlink(target: &str, path: &str) -> v1::Symlink {
    v1::Symlink { target: target.to_owned(), path: path.to_owned(), ..Default::default() }
}

pub(crate) fn stat(path: &str) -> v1::FileStat {
    v1::FileStat { path: path.to_owned(), ..Default::default() }
}

pub(crate) fn watch(path: &str) -> v1::Watch {
    v1::Watch { path: path.to_owned(), ..Default::default() }
}

/// A filesystem of its own in memory at a path, of one MiB.
pub(crate) fn mount(path: &str) -> v1::Mount {
    let (path, kind) = (path.to_owned(), v1::MountKind::Memory.into());
    v1::Mount { path, kind, capacity_bytes: 1 << 20, ..Default::default() }
}
