//! One valid sample of every call. A call that does without arguments needs none of its own; another that is missing here
//! fails the tests, so that it brings its sample.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use uos_proto::{
    CallInfo,
    v1::{self, call::Call},
};
use uos_syscall::Caller;

use crate::common::{
    World, copy, link, mkdir, mount, move_file,
    network::{Server, at, bound, fine, get, socket},
    output, program, read, remove, shell, symlink, watch, write,
};

/// Somebody with one of everything that has handles, a file and programs, and the rights for all calls but on strangers.
pub(crate) struct Owner {
    pub(crate) caller: Caller,
    pipe: u64,
    segment: u64,
    queue: u64,
    topic: u64,
    subscription: u64,
    /// Of a folder in which something has changed.
    watch: u64,
    /// Where memory is mounted.
    mounted: String,
    /// Where memory is mounted of which there is a snapshot.
    snapped: String,
    snapshot: u64,
    /// Open to read and to write.
    file: u64,
    /// A child that has written something.
    talker: u64,
    /// A child that neither writes nor ends, nor reads what is written to it.
    sleeper: u64,
    /// A child on a terminal.
    typist: u64,
    sockets: Sockets,
    /// Somebody on the network who answers.
    server: Server,
    /// Somebody who lets everybody in and never says a word.
    mute: std::net::TcpListener,
    group: u64,
}

/// One socket of each kind of use.
struct Sockets {
    fresh: u64,
    bound: u64,
    /// Somebody waits to be accepted.
    listening: u64,
    /// Connected to each other, with something to receive at the first.
    pair: (u64, u64),
    /// For datagrams, with one to receive.
    mail: (u64, u16),
    /// Whoever waits to be accepted.
    _visitor: std::net::TcpStream,
}

impl Sockets {
    async fn new(world: &World, who: &Caller) -> Self {
        let fresh = socket(world, who, v1::SocketKind::Tcp).await;
        let (bound_only, _) = bound(world, who, v1::SocketKind::Tcp).await;
        let (listening, port) = bound(world, who, v1::SocketKind::Tcp).await;
        world.call(who, v1::Listen { id: listening, backlog: 0 }).await.unwrap();
        let _visitor = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let v1::SocketPairReply { id, peer_id } = world.call(who, v1::SocketPair { kind: 0 }).await.unwrap();
        world.call(who, v1::Send { id: peer_id, data: "x".into(), timeout_us: None }).await.unwrap();
        let mail = bound(world, who, v1::SocketKind::Udp).await;
        let itself =
            v1::SendTo { id: mail.0, address: at("127.0.0.1", mail.1), data: "x".into(), timeout_us: None };
        world.call(who, itself).await.unwrap();
        Self { fresh, bound: bound_only, listening, pair: (id, peer_id), mail, _visitor }
    }
}

const USR1: u32 = 10;
const CONT: u32 = 18;

const GRANTS: &[&str] = &[
    "fs.read:/data/**",
    "fs.write:/data/**",
    "fs.admin",
    "proc.spawn:/**",
    "ipc.create",
    "net.bind:127.0.0.1",
    "net.connect:127.0.0.1",
    "net.resolve:*",
    "sched.inspect",
    "sched.control",
    "sys.info",
    "sys.admin",
];

impl Owner {
    pub(crate) async fn new(world: &World) -> Self {
        world.put("file", "content");
        world.put("folder/inner", "");
        let caller = world.agent(GRANTS).await;
        // Another owner in the same world may have made it.
        let _ = std::os::unix::fs::symlink("file", world.host.path().join("link"));
        let attribute =
            v1::SetXattr { path: "/data/file".into(), name: "user.x".into(), ..Default::default() };
        world.call(&caller, attribute).await.unwrap();
        let pipe = world.call(&caller, v1::CreatePipe::default()).await.unwrap().id;
        let data = "waiting".into();
        world.call(&caller, v1::WritePipe { id: pipe, data, timeout_us: None }).await.unwrap();
        let watch = world.call(&caller, watch("/data/folder")).await.unwrap().id;
        world.call(&caller, write("/data/folder/inner", "")).await.unwrap();
        let own = |what: &str| format!("/data/{what}-{}", caller.pid());
        let (mounted, snapped) = (own("mounted"), own("snapped"));
        for path in [&mounted, &snapped] {
            world.call(&caller, mkdir(path)).await.unwrap();
            world.call(&caller, mount(path)).await.unwrap();
        }
        let keep = v1::Snapshot { path: snapped.clone(), ..Default::default() };
        let snapshot = world.call(&caller, keep).await.unwrap().id;
        let talker = world.call(&caller, shell("echo said; exec sleep 1000")).await.unwrap().pid;
        let sleep = || program("/usr/bin/sleep", &["1000"]);
        let piped = v1::Stdio { stdin: v1::InputMode::Pipe.into(), ..Default::default() };
        let sleeper = v1::SpawnProcess { stdio: Some(piped), ..sleep() };
        let sleeper = world.call(&caller, sleeper).await.unwrap().pid;
        let terminal = Some(v1::TerminalSize { rows: 24, columns: 80 });
        let typed = v1::Stdio { terminal, ..Default::default() };
        let typist = v1::SpawnProcess { stdio: Some(typed), ..sleep() };
        let typist = world.call(&caller, typist).await.unwrap().pid;
        let segment = world.call(&caller, v1::CreateShm { size_bytes: 1 }).await.unwrap().id;
        let queue = world.call(&caller, v1::CreateQueue::default()).await.unwrap().id;
        let waiting = v1::SendMessage { id: queue, data: "waiting".into(), ..Default::default() };
        world.call(&caller, waiting).await.unwrap();
        let kind = v1::QueueKind::Topic.into();
        let topic = world.call(&caller, v1::CreateQueue { kind, limits: None }).await.unwrap().id;
        let subscription = world.call(&caller, v1::Subscribe { id: topic }).await.unwrap().id;
        let open = v1::Open { path: "/data/file".into(), read: true, write: true, ..Default::default() };
        let file = world.call(&caller, open).await.unwrap().id;
        let sockets = Sockets::new(world, &caller).await;
        let server = Server::start(|_| fine("here"));
        let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let group = world.call(&caller, v1::CreateGroup::default()).await.unwrap().id;
        Self {
            caller,
            group,
            mounted,
            snapped,
            snapshot,
            watch,
            file,
            pipe,
            segment,
            queue,
            topic,
            subscription,
            talker,
            sleeper,
            typist,
            server,
            mute,
            sockets,
        }
    }

    /// A call that succeeds for the owner, and answers at once.
    pub(crate) async fn sample(&self, row: &CallInfo) -> Call {
        let file = || "/data/file".to_owned();
        match row.name {
            "ReadFile" => read("/data/file").into(),
            "WriteFile" => write("/data/file", "new").into(),
            "CreateFile" => v1::CreateFile { path: "/data/made".into(), ..Default::default() }.into(),
            "CopyFile" => copy("/data/file", "/data/folder/copy").into(),
            "SetWorkingDirectory" => {
                v1::SetWorkingDirectory { path: "/data/folder".into(), ..Default::default() }.into()
            }
            "TruncateFile" => v1::TruncateFile { path: file(), size_bytes: 3, ..Default::default() }.into(),
            "AppendFile" => v1::AppendFile { path: file(), data: "more".into(), ..Default::default() }.into(),
            "Link" => link("/data/file", "/data/folder/name").into(),
            "Symlink" => symlink("file", "/data/folder/made").into(),
            "ReadLink" => v1::ReadLink { path: "/data/link".into(), ..Default::default() }.into(),
            "Chmod" => v1::Chmod { path: file(), mode: 0o600, ..Default::default() }.into(),
            "Chown" => v1::Chown { path: file(), uid: Some(0), ..Default::default() }.into(),
            "SetTimes" => v1::SetTimes { path: file(), ..Default::default() }.into(),
            "GetXattr" => v1::GetXattr { path: file(), name: "user.x".into(), ..Default::default() }.into(),
            "SetXattr" => v1::SetXattr { path: file(), name: "user.x".into(), ..Default::default() }.into(),
            "ListXattr" => v1::ListXattr { path: file(), ..Default::default() }.into(),
            "Statfs" => v1::Statfs { path: file(), ..Default::default() }.into(),
            "TempFile" => v1::TempFile { path: "/data/folder".into(), ..Default::default() }.into(),
            "Watch" => watch("/data/folder").into(),
            "Unwatch" => v1::Unwatch { id: self.watch }.into(),
            "ReadWatch" => v1::ReadWatch { id: self.watch, ..Default::default() }.into(),
            "Mount" => mount("/data/folder").into(),
            "Unmount" => v1::Unmount { path: self.mounted.clone(), ..Default::default() }.into(),
            "Snapshot" => v1::Snapshot { path: self.snapped.clone(), ..Default::default() }.into(),
            "RestoreSnapshot" => v1::RestoreSnapshot { id: self.snapshot }.into(),
            "DiffSnapshot" => v1::DiffSnapshot { id: self.snapshot, ..Default::default() }.into(),
            "DropSnapshot" => v1::DropSnapshot { id: self.snapshot }.into(),
            "DeleteFile" => v1::DeleteFile { path: file(), ..Default::default() }.into(),
            "ListDirectory" => v1::ListDirectory { path: "/data/folder".into(), ..Default::default() }.into(),
            "FileExists" => v1::FileExists { path: file(), ..Default::default() }.into(),
            "FileStat" => v1::FileStat { path: file(), ..Default::default() }.into(),
            "CreateDirectory" => {
                v1::CreateDirectory { path: "/data/made".into(), ..Default::default() }.into()
            }
            "MoveFile" => move_file("/data/file", "/data/folder/moved").into(),
            "RemoveDirectory" => remove("/data/folder", true).into(),
            "SpawnProcess" => program("/usr/bin/printf", &["x"]).into(),
            "KillProcess" => v1::KillProcess { pid: self.sleeper, tree: true }.into(),
            "GetProcessInfo" => v1::GetProcessInfo { pid: self.talker }.into(),
            "GetProcessList" => v1::GetProcessList { after_pid: 0, limit: 0 }.into(),
            "GetProcessStats" => v1::GetProcessStats { pid: self.talker }.into(),
            "GetProcessMemoryStats" => v1::GetProcessMemoryStats { pid: self.talker }.into(),
            "WaitProcess" => v1::WaitProcess { pid: self.talker, timeout_us: Some(0) }.into(),
            "NetworkRequest" => get(format!("http://{}/", self.server.at)).into(),
            "CreatePipe" => v1::CreatePipe::default().into(),
            "WritePipe" => v1::WritePipe { id: self.pipe, data: "more".into(), timeout_us: None }.into(),
            "ReadPipe" => v1::ReadPipe { id: self.pipe, max_bytes: 0, timeout_us: None }.into(),
            "ClosePipe" => v1::ClosePipe { id: self.pipe }.into(),
            "DestroyPipe" => v1::DestroyPipe { id: self.pipe }.into(),
            "PipeStats" => v1::PipeStats { id: self.pipe }.into(),
            "AttachShm" => v1::AttachShm { id: self.segment, read_only: false }.into(),
            "DetachShm" => v1::DetachShm { id: self.segment }.into(),
            "CreateShm" => v1::CreateShm { size_bytes: 1 }.into(),
            "WriteShm" => v1::WriteShm { id: self.segment, offset: 0, data: "x".into() }.into(),
            "ReadShm" => v1::ReadShm { id: self.segment, offset: 0, length: 1 }.into(),
            "DestroyShm" => v1::DestroyShm { id: self.segment }.into(),
            "ShmStats" => v1::ShmStats { id: self.segment }.into(),
            "PassHandle" => v1::PassHandle { pid: self.talker, id: self.pipe, rights: vec![] }.into(),
            "RestrictHandle" => v1::RestrictHandle { id: self.pipe, rights: vec![] }.into(),
            "SendMessage" => v1::SendMessage { id: self.queue, ..Default::default() }.into(),
            "ReceiveMessage" => v1::ReceiveMessage { id: self.queue, timeout_us: None }.into(),
            "Subscribe" => v1::Subscribe { id: self.topic }.into(),
            "Unsubscribe" => v1::Unsubscribe { id: self.subscription }.into(),
            "CloseQueue" => v1::CloseQueue { id: self.queue }.into(),
            "DestroyQueue" => v1::DestroyQueue { id: self.queue }.into(),
            "QueueStats" => v1::QueueStats { id: self.queue }.into(),
            "Lock" => v1::Lock { id: self.file, ..Default::default() }.into(),
            "Unlock" => v1::Unlock { id: self.file, ..Default::default() }.into(),
            "Open" => v1::Open { path: file(), ..Default::default() }.into(),
            "Close" => v1::Close { id: self.file }.into(),
            "Read" => v1::Read { id: self.file, max_bytes: 0 }.into(),
            "Write" => v1::Write { id: self.file, data: "x".into() }.into(),
            "Pread" => v1::Pread { id: self.file, ..Default::default() }.into(),
            "Pwrite" => v1::Pwrite { id: self.file, ..Default::default() }.into(),
            "Seek" => v1::Seek { id: self.file, ..Default::default() }.into(),
            "Dup" => v1::Dup { id: self.file }.into(),
            "Dup2" => v1::Dup2 { id: self.file, to_id: self.file }.into(),
            "Fsync" => v1::Fsync { id: self.file }.into(),
            "Ftruncate" => v1::Ftruncate { id: self.file, length: 1 }.into(),
            "Fstat" => v1::Fstat { id: self.file }.into(),
            "Poll" => poll_to_read(self.file).into(),
            "Bind" => v1::Bind { id: self.sockets.fresh, address: at("127.0.0.1", 0) }.into(),
            "Listen" => v1::Listen { id: self.sockets.bound, backlog: 0 }.into(),
            "Accept" => v1::Accept { id: self.sockets.listening, timeout_us: None }.into(),
            "Connect" => {
                let address = at("127.0.0.1", self.server.at.port());
                v1::Connect { id: self.sockets.fresh, address, timeout_us: None }.into()
            }
            "Send" => v1::Send { id: self.sockets.pair.0, data: "x".into(), timeout_us: None }.into(),
            "Receive" => v1::Receive { id: self.sockets.pair.0, ..Default::default() }.into(),
            "SendTo" => {
                let (id, port) = self.sockets.mail;
                v1::SendTo { id, address: at("127.0.0.1", port), ..Default::default() }.into()
            }
            "ReceiveFrom" => v1::ReceiveFrom { id: self.sockets.mail.0, ..Default::default() }.into(),
            "Shutdown" => v1::Shutdown { id: self.sockets.pair.0, direction: 0 }.into(),
            "SetSocketOption" => {
                let option = v1::SocketOption::Ttl.into();
                v1::SetSocketOption { id: self.sockets.fresh, option, value: 9 }.into()
            }
            "GetSocketOption" => {
                let option = v1::SocketOption::Ttl.into();
                v1::GetSocketOption { id: self.sockets.fresh, option }.into()
            }
            "Resolve" => v1::Resolve { name: "localhost".into(), timeout_us: None }.into(),
            "SendSignal" => v1::SendSignal { pid: self.talker, signal: CONT }.into(),
            "SetSignalAction" => v1::SetSignalAction { signal: USR1, action: 0 }.into(),
            "MaskSignals" => v1::MaskSignals { change: 0, signals: vec![USR1] }.into(),
            "GetSchedulerStats" => v1::GetSchedulerStats {}.into(),
            "SetProcessPriority" => v1::SetProcessPriority { pid: self.sleeper, priority: 100 }.into(),
            "GetProcessState" => v1::GetProcessState { pid: self.talker }.into(),
            "PauseProcess" => v1::PauseProcess { pid: self.sleeper }.into(),
            "ResumeProcess" => v1::ResumeProcess { pid: self.sleeper }.into(),
            "WriteStdin" => {
                v1::WriteStdin { pid: self.sleeper, data: "x".into(), ..Default::default() }.into()
            }
            "ResizeTerminal" => {
                let size = Some(v1::TerminalSize { rows: 25, columns: 90 });
                v1::ResizeTerminal { pid: self.typist, size }.into()
            }
            "SetLimits" => v1::SetLimits { pid: self.sleeper, limits: None }.into(),
            "GetLimits" => v1::GetLimits { pid: self.sleeper }.into(),
            "GetChildren" => v1::GetChildren { pid: self.talker, ..Default::default() }.into(),
            "GetGrants" => v1::GetGrants { pid: self.talker }.into(),
            "DropGrants" => {
                v1::DropGrants { pid: self.talker, drop: vec!["sys.admin".into()], ..Default::default() }
                    .into()
            }
            "GetResourceUsage" => v1::GetResourceUsage { pid: self.talker }.into(),
            "GetEnforcement" => v1::GetEnforcement { pid: self.talker }.into(),
            "GetEnvironmentVar" => v1::GetEnvironmentVar { name: "HOME".into() }.into(),
            "SetEnvironmentVar" => {
                v1::SetEnvironmentVar { name: "HOME".into(), value: "/home".into() }.into()
            }
            "UnsetEnvironmentVar" => v1::UnsetEnvironmentVar { name: "HOME".into() }.into(),
            "GetRandom" => v1::GetRandom { length: 16 }.into(),
            "YieldProcess" => v1::YieldProcess { pid: self.sleeper }.into(),
            "SetPolicy" => v1::SetPolicy { policy: v1::SchedulingPolicy::Eevdf.into(), quantum_us: 0 }.into(),
            "SetQuantum" => v1::SetQuantum { pid: self.sleeper, quantum_us: 0 }.into(),
            "GetProcessSchedule" => v1::GetProcessSchedule { pid: self.sleeper }.into(),
            "SetAffinity" => {
                let cpus = std::fs::read_to_string("/proc/self/status").unwrap();
                let allowed = cpus.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
                let first = allowed.trim().split(['-', ',']).next().unwrap().parse().unwrap();
                v1::SetAffinity { pid: self.sleeper, cpus: vec![first] }.into()
            }
            "GetAffinity" => v1::GetAffinity { pid: self.sleeper }.into(),
            "SetRealtime" => v1::SetRealtime { pid: self.sleeper, ..Default::default() }.into(),
            "SetDeadline" => v1::SetDeadline { pid: self.sleeper, reservation: None }.into(),
            "SetGroup" => v1::SetGroup { id: self.group, pid: self.sleeper, member_id: 0 }.into(),
            "DestroyGroup" => v1::DestroyGroup { id: self.group }.into(),
            "Sleep" => v1::Sleep { duration_us: 1 }.into(),
            "GetUptime" => v1::GetUptime {}.into(),
            "ReadOutput" => v1::ReadOutput { pid: self.talker, max_bytes: 3, ..Default::default() }.into(),
            _ => without_arguments(row),
        }
    }

    /// A call that waits until it is given up.
    pub(crate) async fn endless(&self, world: &World, row: &CallInfo) -> Call {
        match row.name {
            "WaitProcess" => v1::WaitProcess { pid: self.sleeper, timeout_us: None }.into(),
            "ReadOutput" => v1::ReadOutput { pid: self.sleeper, ..Default::default() }.into(),
            "NetworkRequest" => get(format!("http://{}/", self.mute.local_addr().unwrap())).into(),
            "Sleep" => v1::Sleep { duration_us: 1_000_000_000 }.into(),
            "WriteStdin" => {
                let some = v1::WriteStdin {
                    pid: self.sleeper,
                    data: vec![0; 4_096].into(),
                    timeout_us: Some(0),
                    ..Default::default()
                };
                while world.call(&self.caller, some.clone()).await.unwrap().bytes_written > 0 {}
                v1::WriteStdin { timeout_us: None, ..some }.into()
            }
            "WaitSignal" => v1::WaitSignal { signals: vec![USR1], timeout_us: None }.into(),
            "Accept" => {
                let id = bound(world, &self.caller, v1::SocketKind::Tcp).await.0;
                world.call(&self.caller, v1::Listen { id, backlog: 0 }).await.unwrap();
                v1::Accept { id, timeout_us: None }.into()
            }
            // Nobody answers for names.
            "Connect" => {
                let address = at("nobody.invalid", 1);
                v1::Connect { id: self.sockets.fresh, address, timeout_us: None }.into()
            }
            "SendTo" => {
                let address = at("nobody.invalid", 1);
                v1::SendTo { id: self.sockets.mail.0, address, ..Default::default() }.into()
            }
            "Resolve" => v1::Resolve { name: "nobody.invalid".into(), timeout_us: None }.into(),
            "Receive" => v1::Receive { id: self.sockets.pair.1, ..Default::default() }.into(),
            "ReceiveFrom" => {
                let id = bound(world, &self.caller, v1::SocketKind::Udp).await.0;
                v1::ReceiveFrom { id, ..Default::default() }.into()
            }
            "Send" => {
                let (id, data) = (self.sockets.pair.0, bytes::Bytes::from(vec![0; 1 << 20]));
                let fill = v1::Send { id, data: data.clone(), timeout_us: None };
                world.call(&self.caller, fill).await.unwrap();
                v1::Send { id, data, timeout_us: None }.into()
            }
            "ReadPipe" | "WritePipe" => {
                let id = world.call(&self.caller, v1::CreatePipe::default()).await.unwrap().id;
                if row.name == "ReadPipe" {
                    return v1::ReadPipe { id, max_bytes: 0, timeout_us: None }.into();
                }
                let data = vec![0; 1 << 20].into();
                world.call(&self.caller, v1::WritePipe { id, data, timeout_us: None }).await.unwrap();
                v1::WritePipe { id, data: "x".into(), timeout_us: None }.into()
            }
            "Poll" => {
                let id = world.call(&self.caller, v1::CreatePipe::default()).await.unwrap().id;
                poll_to_read(id).into()
            }
            "Lock" => {
                // By somebody else, who has the same file.
                let other = world.child(&self.caller, &[]).await;
                let pass = v1::PassHandle { pid: other.pid().0, id: self.file, rights: vec![] };
                world.call(&self.caller, pass).await.unwrap();
                let lock = v1::Lock { id: self.file, ..Default::default() };
                world.call(&other, lock).await.unwrap();
                lock.into()
            }
            "ReadWatch" => {
                let id = world.call(&self.caller, watch("/data/folder")).await.unwrap().id;
                v1::ReadWatch { id, ..Default::default() }.into()
            }
            "ReceiveMessage" | "SendMessage" => {
                let limits = Some(v1::QueueLimits { messages: 1, bytes: 1 });
                let queue = v1::CreateQueue { kind: 0, limits };
                let id = world.call(&self.caller, queue).await.unwrap().id;
                if row.name == "ReceiveMessage" {
                    return v1::ReceiveMessage { id, timeout_us: None }.into();
                }
                let send = v1::SendMessage { id, ..Default::default() };
                world.call(&self.caller, send.clone()).await.unwrap();
                send.into()
            }
            other => panic!("say how {other} can be made to wait"),
        }
    }

    /// Waits until the sample of ReadOutput has something to read, and has turns be ours to end for the calls that do.
    pub(crate) async fn settle(&self, world: &World, row: &CallInfo) {
        if matches!(row.name, "ScheduleNext" | "YieldProcess") {
            let policy = v1::SchedulingPolicy::RoundRobin.into();
            world.call(&self.caller, v1::SetPolicy { policy, quantum_us: 0 }).await.unwrap();
        }
        let said = v1::ReadOutput { pid: self.talker, ..Default::default() };
        assert_eq!(&world.call(&self.caller, said).await.unwrap().data[..], b"said\n");
    }
}

fn poll_to_read(id: u64) -> v1::Poll {
    v1::Poll { handles: vec![v1::PollHandle { id, read: true, write: false }], timeout_us: None }
}

/// Sees to what must be so for anybody, whatever they hold, for a call to answer at once.
pub(crate) async fn prepare(world: &World, caller: &Caller, row: &CallInfo) {
    if row.name == "WaitSignal" {
        world.call(caller, v1::MaskSignals { change: 0, signals: vec![USR1] }).await.unwrap();
        world.call(caller, v1::SendSignal { pid: 0, signal: USR1 }).await.unwrap();
    }
}

/// The call with nothing set. If that is no valid call, the tests fail and name it: then give it a sample above.
fn without_arguments(row: &CallInfo) -> Call {
    // On the wire that is the call's number as a field, and a message of no bytes.
    let mut wire = Vec::new();
    let mut key = row.number << 3 | 2;
    while key >= 0x80 {
        wire.push(key as u8 | 0x80);
        key >>= 7;
    }
    wire.extend([key as u8, 0]);
    let call = <v1::Call as prost::Message>::decode(wire.as_slice()).unwrap();
    call.call.expect("the number is in the contract")
}

/// What the owner's own program of the sample wrote, so that the sample of SpawnProcess is known to run.
pub(crate) async fn spawned(world: &World, owner: &Owner, pid: u64) -> Vec<u8> {
    output(world, &owner.caller, pid).await
}
