//! What the kernel tells its observers: every process that starts and ends, every file that a call changes.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use common::{Log, World, program, until, within, write};
use proptest::prelude::*;
use uos_proc::{FakeSpawner, Script};
use uos_proto::v1::{self, CreateProcessRequest, ProcessState};
use uos_syscall::{Caller, Errno, Event, FileChange, Kernel, Observer, Pid};
use uos_vfs::VPath;

/// The processes that there are by what was told. Panics if one starts twice, or ends twice or before it starts.
fn replay(log: &Log) -> BTreeMap<u64, String> {
    let mut living = BTreeMap::new();
    let mut started = BTreeMap::new();
    for event in log.0.lock().unwrap().iter() {
        match event {
            Event::ProcessStarted { pid, name, .. } => {
                assert!(started.insert(pid.0, ()).is_none(), "{pid} starts twice");
                living.insert(pid.0, name.clone());
            }
            Event::ProcessEnded { pid, name, .. } => {
                assert_eq!(living.remove(&pid.0).as_ref(), Some(name), "{pid} ends without living");
            }
            Event::FileChanged { .. }
            | Event::Pressure { .. }
            | Event::RightRequested(_)
            | Event::RightSettled { .. } => {}
        }
    }
    living
}

fn spawner() -> FakeSpawner {
    FakeSpawner::new(|spec| {
        let ends = spec.args.iter().any(|word| word == "ends");
        Ok(if ends { Script::new() } else { Script::new().forever() })
    })
}

/// The processes that there are by the list.
fn listed(kernel: &Kernel) -> BTreeMap<u64, String> {
    let reply = kernel.invoke_blocking(&kernel.init(), v1::GetProcessList::default().into()).unwrap();
    let uos_proto::v1::reply::Reply::GetProcessList(list) = reply else { panic!("{reply:?}") };
    let running = list.processes.into_iter().filter(|process| process.state() == ProcessState::Running);
    running.map(|process| (process.pid, process.name)).collect()
}

#[derive(Clone, Debug)]
enum Step {
    /// A process without a program, as a child of one of those that were made.
    Make {
        parent: usize,
    },
    /// One with a program that stays or ends at once.
    Start {
        parent: usize,
        ends: bool,
    },
    Kill {
        which: usize,
        tree: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let step = prop_oneof![
        3 => any::<usize>().prop_map(|parent| Step::Make { parent }),
        3 => any::<(usize, bool)>().prop_map(|(parent, ends)| Step::Start { parent, ends }),
        2 => any::<(usize, bool)>().prop_map(|(which, tree)| Step::Kill { which, tree }),
    ];
    prop::collection::vec(prop::collection::vec(step, 1..8), 1..6)
}

/// Takes a step as one of those that were made; that it may have ended is part of it.
async fn take(kernel: Kernel, made: Vec<u64>, step: Step) -> Option<u64> {
    let actor = |place: usize| kernel.act_as(Pid(made[place % made.len()]));
    match step {
        Step::Make { parent } => {
            let request =
                CreateProcessRequest { inherit_grants: true, name: "made".into(), ..Default::default() };
            within(kernel.create_process(&actor(parent).ok()?, request)).await.ok().map(|made| made.pid)
        }
        Step::Start { parent, ends } => {
            let spawn = program("/usr/bin/printf", if ends { &["ends"] } else { &[] });
            match within(kernel.invoke(&actor(parent).ok()?, spawn.into())).await {
                Ok(uos_proto::v1::reply::Reply::SpawnProcess(reply)) => Some(reply.pid),
                _ => None,
            }
        }
        Step::Kill { which, tree } => {
            let pid = made[which % made.len()];
            let _ = within(kernel.invoke(&kernel.init(), v1::KillProcess { pid, tree }.into())).await;
            None
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever starts and ends together, what was told replays to what there is.
    #[test]
    fn the_events_replayed_give_the_process_list(groups in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let log = Log::default();
            let world = World::observed(spawner(), log.clone());
            let mut made = vec![1];
            for group in groups {
                let tasks: Vec<_> = group
                    .into_iter()
                    .map(|step| tokio::spawn(take(world.kernel.clone(), made.clone(), step)))
                    .collect();
                for task in tasks {
                    made.extend(within(task).await.unwrap());
                }
                // A program's end is seen by the list a moment before it is told.
                until("what was told is what there is", || replay(&log) == listed(&world.kernel)).await;
            }
            within(world.kernel.shut_down()).await;
            until("only process 1 is left", || replay(&log).into_keys().eq([1])).await;
        });
    }
}

/// Does what an observer must not, to show where it is called: kills each process in the very moment it hears of it.
#[derive(Clone, Default)]
struct Killer {
    log: Log,
    kernel: Arc<OnceLock<Kernel>>,
}

impl Observer for Killer {
    fn event(&self, event: &Event) {
        if let (Event::ProcessStarted { pid, .. }, Some(kernel)) = (event, self.kernel.get()) {
            let kill = v1::KillProcess { pid: pid.0, tree: true };
            kernel.invoke_blocking(&kernel.init(), kill.into()).unwrap();
        }
        if let Some(kernel) = self.kernel.get() {
            listed(kernel);
        }
        self.log.event(event);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_while_it_is_born_is_told_of_once_and_in_order_under_no_lock() {
    let killer = Killer::default();
    let world = World::observed(spawner(), killer.clone());
    killer.kernel.get_or_init(|| world.kernel.clone());
    let init = world.kernel.init();
    let made = within(world.kernel.create_process(&init, CreateProcessRequest::default())).await.unwrap();
    let started = world.call(&init, program("/usr/bin/printf", &[])).await.unwrap();
    until("both have ended", || replay(&killer.log).into_keys().eq([1])).await;
    world.call(&init, write("/home/x", "x")).await.unwrap();
    let told = killer.log.0.lock().unwrap().len();
    assert_eq!((told, made.pid, started.pid), (6, 2, 3), "process 1, two starts, two ends, one file");
}

#[tokio::test]
async fn an_end_is_told_after_it_is_one_and_names_the_parent_of_that_moment() {
    let log = Log::default();
    let world = World::observed(spawner(), log.clone());
    let init = world.kernel.init();
    let parent = world.child(&init, &["proc.spawn:/**"]).await;
    let pid = world.call(&parent, program("/usr/bin/printf", &[])).await.unwrap().pid;
    world.call(&init, v1::KillProcess { pid: parent.pid().0, tree: false }).await.unwrap();
    world.call(&init, v1::KillProcess { pid, tree: false }).await.unwrap();
    until("both have ended", || replay(&log).into_keys().eq([1])).await;
    let name = || "printf".to_owned();
    let all = log.0.lock().unwrap().clone();
    assert!(all.contains(&Event::ProcessStarted { pid: Pid(pid), parent: parent.pid(), name: name() }));
    assert!(all.contains(&Event::ProcessEnded { pid: Pid(pid), parent: Pid::INIT, name: name() }), "{all:?}");
    assert_eq!(world.kernel.in_use().processes, 1);
}

#[tokio::test]
async fn who_may_hear_of_a_process_may_hear_of_its_end() {
    let world = World::with(Default::default(), spawner());
    let kernel = &world.kernel;
    let elder = world.agent(&["proc.spawn:/**"]).await;
    let child = world.child(&elder, &["proc.spawn:/**"]).await;
    let grandchild = world.child(&child, &[]).await;
    let stranger = world.agent(&["fs.read:/**"]).await;
    let inspector = world.agent(&["proc.inspect"]).await;
    let sees = |caller: &Caller| kernel.may_inspect(caller, grandchild.pid());
    assert!(sees(&grandchild) && sees(&child) && sees(&elder) && sees(&inspector) && sees(&kernel.init()));
    assert!(!sees(&stranger) && !kernel.may_inspect(&grandchild, elder.pid()));

    world.call(&elder, v1::KillProcess { pid: child.pid().0, tree: true }).await.unwrap();
    let gone = world.errno(&kernel.init(), v1::GetProcessInfo { pid: grandchild.pid().0 }).await;
    assert_eq!(gone, Errno::ESRCH, "its record went with its parent");
    assert!(sees(&elder) && sees(&inspector) && sees(&kernel.init()));
    assert!(!sees(&stranger), "nobody learns more by the end");
    assert!(!sees(&grandchild) && !sees(&child), "the ended hear nothing");
    assert!(!kernel.may_inspect(&elder, Pid(u64::MAX)) && !kernel.may_inspect(&elder, Pid(0)));
}

#[tokio::test]
async fn a_caller_may_read_where_its_grants_reach() {
    let world = World::start();
    let agent = world.agent(&["fs.read:/data/a/**", "fs.write:/data/b/**"]).await;
    let may = |path: &str| world.kernel.may_read(&agent, &VPath::parse(path.as_bytes()).unwrap());
    assert!(may("/data/a") && may("/data/a/x/y"));
    assert!(!may("/data") && !may("/data/ab") && !may("/data/b/x"));
    world.set_grants(&agent, &[]);
    assert!(!may("/data/a"));
    world.set_grants(&agent, &["fs.read:/data/a/**"]);
    let kill = v1::KillProcess { pid: agent.pid().0, tree: true };
    world.call(&world.kernel.init(), kill).await.unwrap();
    assert!(!may("/data/a"), "the ended may nothing");
}

#[tokio::test]
async fn every_change_of_a_file_is_told_by_its_canonical_path_and_no_failure_is() {
    let log = Log::default();
    let world = World::observed(spawner(), log.clone());
    let agent = world.agent(&["fs.read:/**", "fs.write:/data/**", "fs.write:/home/**"]).await;
    std::os::unix::fs::symlink("real", world.host.path().join("link")).unwrap();
    log.changes(&agent);

    let mkdir =
        |path: &str, parents| v1::CreateDirectory { path: path.into(), parents, ..Default::default() };
    let delete = |path: &str| v1::DeleteFile { path: path.into(), ..Default::default() };
    world.call(&agent, mkdir("/data/real", false)).await.unwrap();
    world.call(&agent, mkdir("/data/link/a/./b", true)).await.unwrap();
    world.call(&agent, mkdir("/data/real/a", true)).await.unwrap();
    world.call(&agent, write("/data/link/a/../f", "new")).await.unwrap();
    world.call(&agent, write("/data/real/f", "again")).await.unwrap();
    world.call(&agent, delete("/data/link/f")).await.unwrap();
    world.call(&agent, delete("/data/link")).await.unwrap();
    assert_eq!(world.errno(&agent, delete("/data/real/f")).await, Errno::ENOENT);
    assert_eq!(world.errno(&agent, mkdir("/data/real", false)).await, Errno::EEXIST);
    assert_eq!(world.errno(&agent, write("/data/real", "")).await, Errno::EISDIR);
    assert_eq!(world.errno(&agent, write("/tmp/x", "")).await, Errno::EACCES);
    assert_eq!(world.errno(&agent, write("/home/x", vec![0; 2 << 20])).await, Errno::ENOSPC);

    let told = log.changes(&agent);
    let change = |change, path: &str, directory| (change, path.to_owned(), directory);
    assert_eq!(
        told,
        [
            change(FileChange::Created, "/data/real", true),
            change(FileChange::Created, "/data/real/a", true),
            change(FileChange::Created, "/data/real/a/b", true),
            change(FileChange::Created, "/data/real/f", false),
            change(FileChange::Written, "/data/real/f", false),
            change(FileChange::Removed, "/data/real/f", false),
            change(FileChange::Removed, "/data/link", false),
        ]
    );
}
