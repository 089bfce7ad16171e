//! What is nearly used up is told, and when it is no longer.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Log, World, shell, until};
use uos_proc::LinuxSpawner;
use uos_proto::v1;
use uos_syscall::{Area, Event, Limits, Pid};

/// What was told of pressure on something, in order.
fn told(log: &Log, area: Area) -> Vec<bool> {
    let of = |event: &Event| match event {
        Event::Pressure { area: about, is_high, used, capacity } if *about == area => {
            assert!(used <= capacity && *capacity > 0);
            Some(*is_high)
        }
        _ => None,
    };
    log.0.lock().unwrap().iter().filter_map(of).collect()
}

#[tokio::test]
async fn a_quota_that_is_nearly_used_up_is_told_once_and_so_is_its_end() {
    let log = Log::default();
    let limits = Limits { pipe_bytes: 1 << 20, pipe_bytes_per_process: 128 << 10, ..Limits::default() };
    let world = World::built(limits, LinuxSpawner::new().unwrap(), |builder| builder.observer(log.clone()));
    let agent = world.agent(&["ipc.create"]).await;
    let (own, all) = (Area { pid: Some(agent.pid()), name: "pipes" }, Area { pid: None, name: "pipes" });
    let make = || v1::CreatePipe { capacity: 64 << 10, ..Default::default() };
    let first = world.call(&agent, make()).await.unwrap().id;
    world.call(&agent, make()).await.unwrap();
    until("the process hears of it", || told(&log, own) == [true]).await;
    world.call(&agent, v1::DestroyPipe { id: first }).await.unwrap();
    until("and of its end", || told(&log, own) == [true, false]).await;
    assert!(told(&log, all).is_empty(), "of all together there is enough");
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn a_program_that_comes_near_its_memory_is_told_of() {
    let log = Log::default();
    let world = World::observed(LinuxSpawner::new().unwrap(), log.clone());
    let init = world.kernel.init();
    // It keeps what it reads in a variable, and waits.
    let limits = v1::Limits { memory_bytes: Some(256 << 20), ..Default::default() };
    let script = "x=$(head -c 30000000 /dev/zero | tr '\\0' x); echo ready; sleep 600";
    let pid =
        world.call(&init, v1::SpawnProcess { limits: Some(limits), ..shell(script) }).await.unwrap().pid;
    let area = Area { pid: Some(Pid(pid)), name: "memory" };
    let ready = world.call(&init, v1::ReadOutput { pid, ..Default::default() }).await.unwrap();
    assert_eq!(ready.data, "ready\n");
    // A limit so tight that what it has is nearly all.
    let usage = world.call(&init, v1::GetResourceUsage { pid }).await.unwrap();
    let memory = usage.resources.into_iter().find(|one| one.name == "memory_bytes").unwrap();
    let tight = v1::Limits { memory_bytes: Some(memory.used + memory.used / 20), ..Default::default() };
    world.call(&init, v1::SetLimits { pid, limits: Some(tight) }).await.unwrap();
    until("that is told", || told(&log, area) == [true]).await;
    world.call(&init, v1::KillProcess { pid, tree: true }).await.unwrap();
    world.kernel.shut_down().await;
}
