//! What a process has: children, rights, variables, guarantees, and how much of everything.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use common::{World, grants, program, shell, texts, wait, write};
use uos_proc::{FakeSpawner, Script};
use uos_proto::v1::{self, CreateProcessRequest, GuaranteeState, ProcessState, SandboxLevel};
use uos_syscall::{Caller, Cause, Errno, Limits};

fn drop_grants(pid: u64, drop: &[&str]) -> v1::DropGrants {
    v1::DropGrants { pid, drop: texts(drop), ..Default::default() }
}

fn keep_grants(pid: u64, keep: &[&str]) -> v1::DropGrants {
    v1::DropGrants { pid, keep: texts(keep), ..Default::default() }
}

async fn held(world: &World, caller: &Caller, pid: u64) -> Vec<String> {
    let mut held = world.call(caller, v1::GetGrants { pid }).await.unwrap().grants;
    held.sort();
    held
}

#[tokio::test]
async fn children_are_listed_in_parts_the_ended_among_them() {
    let world = World::start();
    let agent = world.agent(&["proc.spawn:/**"]).await;
    let mut pids = Vec::new();
    for code in 0..4 {
        let pid = world.call(&agent, shell(&format!("exit {code}"))).await.unwrap().pid;
        wait(&world, &agent, pid).await;
        pids.push((pid, ProcessState::Exited));
    }
    pids.push((world.child(&agent, &[]).await.pid().0, ProcessState::Running));
    // A grandchild is none of its own.
    let child = world.child(&agent, &["proc.spawn:/**"]).await;
    pids.push((child.pid().0, ProcessState::Running));
    world.child(&child, &[]).await;
    let mut seen = Vec::new();
    loop {
        let after_pid = seen.last().map_or(0, |(pid, _)| *pid);
        let part = world.call(&agent, v1::GetChildren { pid: 0, after_pid, limit: 4 }).await.unwrap();
        assert!(part.children.len() <= 4);
        seen.extend(part.children.iter().map(|child| (child.pid, child.state())));
        if !part.more {
            break;
        }
    }
    assert_eq!(seen, pids);
    let stranger = world.agent(&[]).await;
    let foreign = v1::GetChildren { pid: agent.pid().0, ..Default::default() };
    assert_eq!(world.errno(&stranger, foreign).await, Errno::ESRCH);
    world.set_grants(&stranger, &["proc.inspect"]);
    let all = world.call(&stranger, v1::GetChildren { pid: 1, ..Default::default() }).await.unwrap();
    assert!(all.children.iter().any(|child| child.pid == agent.pid().0));
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn dropped_rights_are_gone_from_the_next_call_on_for_all_descendants() {
    let world = World::start();
    let had = ["fs.write:/data/**", "fs.read:/data/**", "fs.read:/data/in/*", "proc.spawn:/**", "sys.info"];
    let agent = world.agent(&had).await;
    let child =
        world.child(&agent, &["fs.write:/data/deep/**", "fs.read:/data/in/*", "proc.spawn:/**"]).await;
    let grandchild = world.child(&child, &["fs.write:/data/deep/x"]).await;
    world.put("deep/x", "old");
    world.call(&grandchild, write("/data/deep/x", "new")).await.unwrap();
    let left = world.call(&agent, drop_grants(0, &["fs.write:/**", "sys.info", "sys.admin"])).await.unwrap();
    assert_eq!(left.grants, ["fs.read:/data/**", "proc.spawn:/**"], "one that was covered was never kept");
    for who in [&agent, &child, &grandchild] {
        let error = world.call(who, write("/data/deep/x", "gone")).await.unwrap_err();
        assert_eq!(error.cause.as_deref(), Some(&Cause::Right("fs.write:/data/deep/x".into())));
    }
    assert_eq!(world.seen("deep/x"), "new");
    assert_eq!(held(&world, &child, 0).await, ["fs.read:/data/in/*", "proc.spawn:/**"]);
    assert_eq!(held(&world, &agent, grandchild.pid().0).await, Vec::<String>::new());

    // Narrowed, by the parent.
    let narrow = keep_grants(child.pid().0, &["fs.read:/data/in/a"]);
    assert_eq!(world.call(&agent, narrow).await.unwrap().grants, ["fs.read:/data/in/a"]);
    for (call, errno, what) in [
        (keep_grants(0, &["fs.read:/**"]), Errno::EPERM, "more than it has"),
        (keep_grants(0, &["fs.read:/data/**", "sys.admin"]), Errno::EPERM, "more than it has"),
        (drop_grants(0, &["fs.read:/data/x"]), Errno::EINVAL, "a part of one"),
        (drop_grants(0, &["root"]), Errno::EINVAL, "malformed"),
        (drop_grants(0, &[]), Errno::EINVAL, "nothing said"),
        (
            v1::DropGrants { keep: texts(&["sys.info"]), ..drop_grants(0, &["sys.info"]) },
            Errno::EINVAL,
            "both",
        ),
        (drop_grants(0, &["sys.info"; 257]), Errno::E2BIG, "too many"),
        (drop_grants(1, &["sys.info"]), Errno::ESRCH, "foreign"),
        (drop_grants(4_000_000_000, &["sys.info"]), Errno::ESRCH, "never was"),
    ] {
        let error = world.call(&agent, call).await.unwrap_err();
        assert_eq!(error.errno, errno, "{what}: {error:?}");
        assert_eq!(held(&world, &agent, 0).await, ["fs.read:/data/**", "proc.spawn:/**"], "{what}");
    }
    let init = world.kernel.init();
    assert_eq!(world.errno(&init, drop_grants(1, &["sys.info"])).await, Errno::EPERM);
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn a_child_that_is_being_made_while_its_parent_loses_rights_has_no_more_than_it() {
    for _ in 0..50 {
        let world = World::with(Limits::default(), FakeSpawner::new(|_| Ok(Script::new())));
        let agent = world.agent(&["fs.read:/data/**", "proc.spawn:/**", "sys.info"]).await;
        let (kernel, caller) = (world.kernel.clone(), agent.clone());
        let dropper = std::thread::spawn(move || {
            kernel.invoke_blocking(&caller, drop_grants(0, &["fs.read:/data/**"]).into()).unwrap();
        });
        let request = CreateProcessRequest { inherit_grants: true, ..Default::default() };
        let made = world.kernel.create_process(&agent, request).await.unwrap();
        dropper.join().unwrap();
        let has = held(&world, &agent, made.pid).await;
        assert!(has.iter().all(|grant| !grant.starts_with("fs.read")), "{has:?}");
    }
}

#[tokio::test]
async fn variables_are_those_of_the_caller_and_bounded() {
    let world = World::start();
    let request = CreateProcessRequest {
        env_vars: texts(&["A=1 = 2", "B="]),
        sandbox_level: SandboxLevel::Minimal.into(),
        ..Default::default()
    };
    let made = world.kernel.create_process(&world.kernel.init(), request).await.unwrap();
    let (agent, other) = (world.kernel.by_token(&made.token).unwrap(), world.agent(&[]).await);
    let get = |name: &str| v1::GetEnvironmentVar { name: name.into() };
    let set = |name: &str, value: &str| v1::SetEnvironmentVar { name: name.into(), value: value.into() };
    let unset = |name: &str| v1::UnsetEnvironmentVar { name: name.into() };
    assert_eq!(world.call(&agent, get("A")).await.unwrap().value.as_deref(), Some("1 = 2"));
    assert_eq!(world.call(&agent, get("B")).await.unwrap().value.as_deref(), Some(""));
    assert_eq!(world.call(&agent, set("A", "ü")).await.unwrap().previous.as_deref(), Some("1 = 2"));
    assert_eq!(world.call(&agent, set("C", "3")).await.unwrap().previous, None);
    assert_eq!(world.call(&other, get("A")).await.unwrap().value, None, "another's own is another");
    let all = world.call(&agent, v1::ListEnvironment {}).await.unwrap().variables;
    let all: Vec<_> = all.iter().map(|it| (&*it.name, &*it.value)).collect();
    assert_eq!(all, [("A", "ü"), ("B", ""), ("C", "3")]);
    assert_eq!(world.call(&agent, unset("B")).await.unwrap().previous.as_deref(), Some(""));
    assert_eq!(world.call(&agent, unset("B")).await.unwrap().previous, None);

    for name in ["", "A=B", "=", "A\0B", "\0"] {
        assert_eq!(world.errno(&agent, get(name)).await, Errno::EINVAL, "{name:?}");
        assert_eq!(world.errno(&agent, set(name, "x")).await, Errno::EINVAL, "{name:?}");
        assert_eq!(world.errno(&agent, unset(name)).await, Errno::EINVAL, "{name:?}");
    }
    assert_eq!(world.errno(&agent, set("A", "a\0b")).await, Errno::EINVAL);
    let huge = "x".repeat(300_000);
    let error = world.call(&agent, set("A", &huge)).await.unwrap_err();
    assert_eq!(error.errno, Errno::E2BIG);
    assert!(matches!(error.cause.as_deref(), Some(Cause::Limit { max: 262_144, .. })), "{error:?}");
    assert_eq!(world.call(&agent, get("A")).await.unwrap().value.as_deref(), Some("ü"));
    // A full one can still change what is in it.
    let large = "x".repeat(200_000);
    for value in [&large, &large.replace('x', "y"), &large[..100_000].to_owned(), &large] {
        world.call(&agent, set("A", value)).await.unwrap();
        assert_eq!(world.call(&agent, get("A")).await.unwrap().value.as_ref(), Some(value));
    }
    assert!(world.kernel.in_use().environment_bytes <= 262_144);
    world.call(&world.kernel.init(), v1::KillProcess { pid: made.pid, tree: true }).await.unwrap();
    assert_eq!(world.kernel.in_use().environment_bytes, 0, "it goes with its process");

    let bounded = Limits { environment_bytes: 300_000, ..Default::default() };
    let world = World::with(bounded, FakeSpawner::new(|_| Ok(Script::new())));
    let (one, other) = (world.agent(&[]).await, world.agent(&[]).await);
    world.call(&one, set("A", &large)).await.unwrap();
    assert_eq!(world.errno(&other, set("A", &large)).await, Errno::EDQUOT);
}

#[tokio::test]
async fn a_program_begins_with_the_variables_its_process_has() {
    let world = World::start();
    let request = CreateProcessRequest {
        command: Some("/usr/bin/env".into()),
        sandbox_level: SandboxLevel::Privileged.into(),
        env_vars: texts(&["SEEN=by both"]),
        ..Default::default()
    };
    let init = world.kernel.init();
    let made = world.kernel.create_process(&init, request).await.unwrap();
    assert_eq!(common::output(&world, &init, made.pid).await, b"SEEN=by both\n");
    let refused = CreateProcessRequest { env_vars: texts(&["A\0=1"]), ..Default::default() };
    assert_eq!(world.kernel.create_process(&init, refused).await.unwrap_err().errno, Errno::EINVAL);
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn random_bytes_are_as_many_as_asked_for_and_never_the_same() {
    let world = World::start();
    let agent = world.agent(&[]).await;
    let mut seen = Vec::new();
    for length in [1, 32, 65_536, 65_536] {
        let data = world.call(&agent, v1::GetRandom { length }).await.unwrap().data;
        assert_eq!(data.len(), length as usize);
        seen.push(data);
    }
    assert_ne!(seen[2], seen[3]);
    // Of 65,536 random bytes each of 256 is missing with a chance of 1e-109.
    assert_eq!(seen[2].iter().collect::<std::collections::BTreeSet<_>>().len(), 256);
    for length in [0, 65_537, u32::MAX] {
        assert_eq!(world.errno(&agent, v1::GetRandom { length }).await, Errno::EINVAL);
    }
}

#[tokio::test]
async fn what_holds_a_program_and_what_it_holds_is_told() {
    let world = World::start();
    let agent = world.agent(&["proc.spawn:/**", "ipc.create"]).await;
    let spawn = v1::SpawnProcess {
        level: SandboxLevel::Standard.into(),
        env: texts(&["NAME=value"]),
        ..program("/usr/bin/sleep", &["1000"])
    };
    let pid = world.call(&agent, spawn).await.unwrap().pid;
    let reply = world.call(&agent, v1::GetEnforcement { pid }).await.unwrap();
    assert_eq!(reply.level(), SandboxLevel::Standard);
    assert_eq!(reply.guarantees.len(), 12);
    assert!(reply.guarantees.iter().all(|it| it.state() == GuaranteeState::Enforced && !it.how.is_empty()));
    assert_eq!(world.errno(&agent, v1::GetEnforcement { pid: 0 }).await, Errno::EINVAL);

    world.call(&agent, v1::CreatePipe { writer_pid: pid, ..Default::default() }).await.unwrap();
    let usage = world.call(&agent, v1::GetResourceUsage { pid }).await.unwrap();
    let resource = |name: &str| usage.resources.iter().find(|it| it.name == name).unwrap();
    assert_eq!((resource("handles").used, resource("handles").max), (1, Some(1_024)));
    assert_eq!(resource("environment_bytes").used, 64 + 9);
    assert_eq!(resource("memory_bytes").max, Some(256 << 20));
    assert!(resource("memory_bytes").used > 0);
    // Itself, and who looks after it.
    assert_eq!((resource("pids").used, resource("pids").max), (2, Some(64)));
    let own = world.call(&agent, v1::GetResourceUsage { pid: 0 }).await.unwrap();
    assert_eq!(own.resources.iter().find(|it| it.name == "pipe_bytes").map(|it| it.used), Some(65_536));
    assert!(own.resources.iter().all(|it| it.name != "pids"), "there is no program to count");

    // What it met is known at its end.
    let bounded = v1::Limits { pids: Some(2), ..Default::default() };
    let greedy = v1::SpawnProcess { limits: Some(bounded), ..shell("(sleep 1 & sleep 1 & sleep 1) 2>&1; :") };
    let pid = world.call(&agent, greedy).await.unwrap().pid;
    wait(&world, &agent, pid).await;
    let usage = world.call(&agent, v1::GetResourceUsage { pid }).await.unwrap();
    assert!(usage.pids_denials > 0, "{usage:?}");
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn the_machine_tells_what_it_can_enforce() {
    let world = World::start();
    let agent = world.agent(&["sys.info"]).await;
    let can = world.call(&agent, v1::GetHostCapabilities {}).await.unwrap();
    let levels: Vec<_> = can.levels.iter().map(v1::LevelSupport::level).collect();
    assert_eq!(levels, [SandboxLevel::Minimal, SandboxLevel::Standard, SandboxLevel::Privileged]);
    assert!(can.levels.iter().all(|level| level.guarantees.len() == 12));
    assert!(can.levels[2].available);
    assert_eq!(can.cpus.len(), std::thread::available_parallelism().unwrap().get());
    assert!(["control groups", "niceness"].contains(&&*can.weights));
    assert_eq!(grants(&["sys.info"]).iter().count(), 1);
    assert_eq!(world.errno(&world.agent(&[]).await, v1::GetHostCapabilities {}).await, Errno::EACCES);
}
