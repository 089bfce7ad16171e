//! A process that is killed, whatever it is doing, leaves nothing behind: the campaign.
//!
//! `UOS_CAMPAIGN_CALLER_KILLS` says how many processes are killed, `UOS_CAMPAIGN_SEED` repeats a run.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;
#[path = "common/dice.rs"]
mod dice;

use std::sync::{Arc, Mutex};

use common::{World, copy, give_up, program, read, settled, shell, texts, until, within, write};
use dice::{Dice, campaign};
use uos_proto::v1::{self, CreateProcessRequest, InputMode, OutputMode, Stdio, call::Call, reply::Reply};
use uos_syscall::{Caller, InUse};

const GRANTS: &[&str] = &[
    "fs.read:/data/**",
    "fs.read:/home/**",
    "fs.write:/data/**",
    "fs.write:/home/**",
    "proc.spawn:/**",
    "ipc.create",
    "sched.inspect",
    "sched.control",
];
/// In the environment of every program of the campaign, so that its descendants can be told from other programs.
const MARK: &str = "UOS_CAMPAIGN_MARK=1";

/// One who is going to be killed, and what it has got hold of.
struct Victim {
    world: Arc<World>,
    caller: Caller,
    children: Mutex<Vec<u64>>,
    handles: Mutex<Vec<u64>>,
    groups: Mutex<Vec<u64>>,
}

impl Victim {
    async fn new(world: &Arc<World>) -> Arc<Self> {
        let caller = world.agent(GRANTS).await;
        Arc::new(Self {
            world: Arc::clone(world),
            caller,
            children: Mutex::default(),
            handles: Mutex::default(),
            groups: Mutex::default(),
        })
    }

    fn some_call(&self, dice: &mut Dice) -> Call {
        let pid = dice.one_of(&self.children.lock().unwrap()).unwrap_or(0);
        let id = dice.one_of(&self.handles.lock().unwrap()).unwrap_or(0);
        let timeout_us = dice.one_of(&[None, None, Some(0), Some(500)]).flatten();
        let path = dice.one_of(&["/data/a", "/data/b", "/home/a", "/home/b"]).unwrap();
        let data = || vec![0; 3_000].into();
        match dice.below(28) {
            0 => read(path).into(),
            1 => write(path, "content").into(),
            2 => v1::Sleep { duration_us: 1_000_000_000 }.into(),
            3 => v1::Sleep { duration_us: 100 }.into(),
            4 | 5 => v1::CreatePipe { reader_pid: pid, writer_pid: 0, capacity: 8_192 }.into(),
            6 => v1::ReadPipe { id, max_bytes: 0, timeout_us }.into(),
            7 => v1::WritePipe { id, data: data(), timeout_us }.into(),
            8 => v1::WaitProcess { pid, timeout_us }.into(),
            9 => v1::ReadOutput { pid, timeout_us, ..Default::default() }.into(),
            10 if pid != 0 => v1::KillProcess { pid, tree: dice.below(2) == 0 }.into(),
            11 => v1::GetProcessList::default().into(),
            12 => v1::ClosePipe { id }.into(),
            13 => v1::Watch { path: "/data".to_owned(), recursive: true, ..Default::default() }.into(),
            14 => v1::ReadWatch { id, timeout_us, ..Default::default() }.into(),
            15 => v1::AppendFile { path: path.to_owned(), data: data(), ..Default::default() }.into(),
            16 | 17 => {
                let to = dice.one_of(&["/data/copy", "/home/copy"]).unwrap();
                v1::CopyFile { recursive: true, ..copy(path, to) }.into()
            }
            18 | 19 => self.some_steering(dice, pid),
            20..=23 => self.some_object(dice, id, pid, path),
            _ => self.some_program(dice).into(),
        }
    }

    fn some_object(&self, dice: &mut Dice, id: u64, pid: u64, path: &str) -> Call {
        let timeout_us = dice.one_of(&[None, Some(0), Some(500)]).flatten();
        match dice.below(14) {
            0 => v1::CreateQueue { kind: dice.below(5) as i32, limits: None }.into(),
            1 => v1::SendMessage { id, data: "message".into(), timeout_us, ..Default::default() }.into(),
            2 => v1::ReceiveMessage { id, timeout_us }.into(),
            3 => v1::Subscribe { id }.into(),
            4 => v1::CreateShm { size_bytes: 20_000 }.into(),
            5 => v1::WriteShm { id, offset: 5_000, data: "bytes".into() }.into(),
            6 | 7 => {
                let path = path.to_owned();
                v1::Open { path, read: true, write: true, create: true, ..Default::default() }.into()
            }
            8 => v1::Lock { id, timeout_us, ..Default::default() }.into(),
            9 => v1::PassHandle { pid, id, rights: vec![] }.into(),
            10 => v1::Dup { id }.into(),
            11 => {
                let handles = vec![v1::PollHandle { id, read: true, write: false }];
                v1::Poll { handles, timeout_us }.into()
            }
            12 => v1::RestrictHandle { id, rights: vec![v1::HandleRight::Read.into()] }.into(),
            _ => v1::Close { id }.into(),
        }
    }

    fn some_steering(&self, dice: &mut Dice, pid: u64) -> Call {
        match dice.below(8) {
            0 => v1::PauseProcess { pid }.into(),
            1 => v1::ResumeProcess { pid }.into(),
            2 => v1::WriteStdin { pid, data: vec![0; 100_000].into(), ..Default::default() }.into(),
            3 => v1::SetProcessPriority { pid, priority: dice.below(256) as u32 }.into(),
            4 => v1::SetRealtime { pid, policy: dice.below(2) as i32, priority: dice.below(2) as u32 }.into(),
            5 => v1::SetEnvironmentVar { name: "NAME".into(), value: "value".into() }.into(),
            6 => v1::CreateGroup::default().into(),
            _ => {
                let id = dice.one_of(&self.groups.lock().unwrap()).unwrap_or(0);
                v1::SetGroup { id, pid, member_id: 0 }.into()
            }
        }
    }

    fn some_program(&self, dice: &mut Dice) -> v1::SpawnProcess {
        let spawn = match dice.below(6) {
            0 => program("/usr/bin/printf", &["some output"]),
            1 => program("/usr/bin/cat", &["/proc/self/status"]),
            2 => program("/usr/bin/seq", &["1", "100000"]),
            3 => shell("sleep 1000 & sleep 1000 & wait"),
            4 => v1::SpawnProcess { deadline_us: 2_000, ..program("/usr/bin/sleep", &["1000"]) },
            _ => program("/usr/bin/sleep", &["1000"]),
        };
        let stdout = dice.one_of(&[OutputMode::Capture, OutputMode::Pipe, OutputMode::Discard]).unwrap();
        let stdin = dice.one_of(&[InputMode::Null, InputMode::Pipe]).unwrap().into();
        let stdio = Stdio { stdout: stdout.into(), capture_bytes: 4_096, stdin, ..Default::default() };
        v1::SpawnProcess { stdio: Some(stdio), env: texts(&[MARK, "PATH=/usr/bin:/bin"]), ..spawn }
    }

    /// Makes some call, and remembers what it gave. Refusals are part of it.
    async fn act(&self, mut dice: Dice) {
        if dice.below(8) == 0 {
            return self.beget(dice).await;
        }
        let call = self.some_call(&mut dice);
        let made = self.world.kernel.invoke(&self.caller, call);
        let reply = if dice.below(4) == 0 { give_up(made).await } else { Some(within(made).await) };
        match reply {
            Some(Ok(Reply::SpawnProcess(reply))) => self.children.lock().unwrap().push(reply.pid),
            Some(Ok(Reply::CreateGroup(reply))) => self.groups.lock().unwrap().push(reply.id),
            Some(Ok(Reply::CreatePipe(reply))) => self.handles.lock().unwrap().push(reply.id),
            Some(Ok(Reply::Watch(reply))) => self.handles.lock().unwrap().push(reply.id),
            Some(Ok(Reply::CreateQueue(reply))) => self.handles.lock().unwrap().push(reply.id),
            Some(Ok(Reply::Subscribe(reply))) => self.handles.lock().unwrap().push(reply.id),
            Some(Ok(Reply::CreateShm(reply))) => self.handles.lock().unwrap().push(reply.id),
            Some(Ok(Reply::Open(reply))) => self.handles.lock().unwrap().push(reply.id),
            Some(Ok(Reply::Dup(reply))) => self.handles.lock().unwrap().push(reply.id),
            _ => {}
        }
    }

    /// Makes a child without a program, which then starts one itself and sleeps.
    async fn beget(&self, mut dice: Dice) {
        let kernel = &self.world.kernel;
        let request = CreateProcessRequest { inherit_grants: true, ..Default::default() };
        let Some(Ok(made)) = give_up_or_not(&mut dice, kernel.create_process(&self.caller, request)).await
        else {
            return;
        };
        self.children.lock().unwrap().push(made.pid);
        let Some(child) = kernel.by_token(&made.token) else { return };
        let _ = within(kernel.invoke(&child, self.some_program(&mut dice).into())).await;
        let _ = within(kernel.invoke(&child, v1::Sleep { duration_us: 1_000_000_000 }.into())).await;
    }
}

async fn give_up_or_not<T>(dice: &mut Dice, future: impl Future<Output = T>) -> Option<T> {
    if dice.below(4) == 0 { give_up(future).await } else { Some(within(future).await) }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// Children of this program, dead ones included, and whatever carries the mark.
fn programs() -> usize {
    let own = std::process::id().to_string();
    let pids =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    pids.filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            parent == Some(&*own)
                || environ.split(|&byte| byte == 0).any(|variable| variable == MARK.as_bytes())
        })
        .count()
}

async fn round(world: &Arc<World>, dice: &mut Dice) {
    let victim = Victim::new(world).await;
    let steps = dice.below(40);
    let last = dice.below(steps + 1);
    let mut tasks = Vec::new();
    for step in 0..=steps {
        if step == last {
            let kill = v1::KillProcess { pid: victim.caller.pid().0, tree: true };
            world.call(&world.kernel.init(), kill).await.unwrap();
        }
        let (actor, own) = (Arc::clone(&victim), Dice(dice.below(u64::MAX - 1) + 1));
        tasks.push(tokio::spawn(async move { actor.act(own).await }));
        for _ in 0..dice.below(4) {
            tokio::task::yield_now().await;
        }
        if dice.below(6) == 0 {
            // So that some of the calls get further than others.
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
    for task in tasks {
        within(task).await.unwrap();
    }
}

// Alone in its file: other tests beside it would have descriptors, threads and programs of their own.
#[test]
fn killed_at_random_points_nothing_is_left() {
    let kills = campaign("CALLER_KILLS", 20);
    let (mut dice, seed) = Dice::cast();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let world = Arc::new(World::start());
        let empty = InUse { processes: 1, ..InUse::default() };
        assert_eq!(world.kernel.in_use(), empty);
        // What the spawner keeps for good it makes at the first starts: of control groups, several.
        let init = world.kernel.init();
        let mut first = Vec::new();
        for _ in 0..16 {
            let spawn = common::program("/usr/bin/sleep", &["1000"]);
            first.push(world.call(&init, spawn).await.unwrap().pid);
        }
        for pid in first {
            world.call(&init, v1::KillProcess { pid, tree: true }).await.unwrap();
            common::wait(&world, &init, pid).await;
        }
        until("the first programs' records are kept and no more", || world.kernel.in_use() == empty).await;
        settled(descriptors).await;
        let (fds, few) = (descriptors(), threads());
        for kill in 0..kills {
            round(&world, &mut dice).await;
            let what = |what: &str| format!("{what}, after kill {kill} of seed {seed}");
            until(&what("all quotas are back"), || world.kernel.in_use() == empty).await;
            until(&what("no program is left"), || programs() == 0).await;
            // The first program's own may have been there still when they were counted.
            until(&what("all descriptors are back"), || descriptors() <= fds).await;
            let parts = || std::fs::read_dir(world.host.path()).unwrap().map(|it| it.unwrap().file_name());
            until(&what("no part of a copy is left"), || {
                !parts().any(|name| name.as_encoded_bytes().starts_with(b".uos-"))
            })
            .await;
            let stats = world.call(&world.kernel.init(), v1::GetSchedulerStats {}).await.unwrap();
            assert_eq!(stats.active, 1, "{}", what("the scheduler counts process 1 alone"));
            // The pool's threads stay for a while, but are never more than the pool may have.
            assert!(threads() <= few + 32, "{}", what("the pool is bounded"));
        }
        println!("{kills} kills: descriptors {fds}, threads {few} before and {} after", threads());
    });
}
