//! Programs at the levels Standard and Minimal: what they see of the namespace, and what they run into.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use common::{World, output, program, shell, wait};
use uos_proto::v1::{self, ExitCause, Limits, SandboxLevel};
use uos_syscall::{Caller, Errno};

const SPAWN: &[&str] = &["proc.spawn:/**", "fs.read:/data/**", "fs.write:/data/out/**", "fs.read:/home/**"];

fn standard(script: &str, grants: &[&str]) -> v1::SpawnProcess {
    let grants = grants.iter().map(|grant| (*grant).to_owned()).collect();
    v1::SpawnProcess { level: SandboxLevel::Standard.into(), grants, ..shell(script) }
}

async fn said(world: &World, agent: &Caller, spawn: v1::SpawnProcess) -> String {
    let pid = world.call(agent, spawn).await.unwrap().pid;
    wait(world, agent, pid).await;
    String::from_utf8(output(world, agent, pid).await).unwrap()
}

#[tokio::test]
async fn a_program_sees_what_its_grants_let_it_read_at_the_same_place() {
    let world = World::start();
    let agent = world.agent(SPAWN).await;
    world.put("in/number", "42");
    world.put("out/old", "");
    world.put("secret", "not for it");
    let script = "cat /data/in/number; echo 43 > /data/out/new; ls /data; cat /data/secret || echo no";
    let granted = ["fs.read:/data/in/**", "fs.read:/data/out/**", "fs.write:/data/out/**"];
    assert_eq!(said(&world, &agent, standard(script, &granted)).await, "42in\nout\nno\n");
    assert_eq!(world.seen("out/new"), "43\n");

    // What it may read and not write it can't write; a single file can be granted alone.
    let script =
        "echo x > /data/in/x || echo read-only; echo x > /data/out/x || echo read-only; cat /data/secret";
    let granted = ["fs.read:/data/in/**", "fs.read:/data/out/**", "fs.read:/data/secret"];
    let seen = said(&world, &agent, standard(script, &granted)).await;
    assert_eq!(seen, "read-only\nread-only\nnot for it");

    // Without grants there is nothing of it, and a pattern that leaves open which path shows none.
    for granted in [&[][..], &["fs.read:/data/i*/**"]] {
        assert_eq!(said(&world, &agent, standard("ls /data /home 2>&1 | wc -l", granted)).await, "2\n");
    }
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn a_sandboxed_program_starts_where_its_caller_may_read_and_it_may_too() {
    let world = World::start();
    let agent = world.agent(SPAWN).await;
    world.put("in/inner", "seen");
    let at = |grants| v1::SpawnProcess { cwd: "/data/in".into(), ..standard("cat inner; pwd", grants) };
    assert_eq!(said(&world, &agent, at(&["fs.read:/data/**"])).await, "seen/data/in\n");
    assert_eq!(world.errno(&agent, at(&[])).await, Errno::ENOENT);
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn the_level_is_standard_unless_told_otherwise_and_says_what_holds() {
    let world = World::start();
    let agent = world.agent(&["proc.spawn:/**"]).await;
    let spawn =
        v1::SpawnProcess { level: 0, ..shell("id -u; cat /etc/shadow; echo > /usr/x; exec sleep 1000") };
    let pid = world.call(&agent, spawn).await.unwrap().pid;
    let info = world.call(&agent, v1::GetProcessInfo { pid }).await.unwrap().process.unwrap();
    assert_eq!(info.level(), SandboxLevel::Standard);
    assert_eq!(info.enforcement.len(), 12);
    assert!(info.enforcement.iter().all(|line| line.contains("enforced by")), "{:?}", info.enforcement);
    // It waits until the program has said something.
    let read = v1::ReadOutput { pid, ..Default::default() };
    let said = world.call(&agent, read).await.unwrap().data;
    let uid: u32 = String::from_utf8(said.to_vec()).unwrap().trim().parse().unwrap();
    world.call(&agent, v1::KillProcess { pid, tree: true }).await.unwrap();
    wait(&world, &agent, pid).await;
    assert!(uid >= 0x7000_0000, "{uid}");
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn running_out_of_memory_is_a_cause_of_its_own() {
    let world = World::start();
    let agent = world.agent(&["proc.spawn:/**"]).await;
    for level in [SandboxLevel::Minimal, SandboxLevel::Standard, SandboxLevel::Privileged] {
        let limits = Limits { memory_bytes: Some(24 << 20), ..Default::default() };
        let bomb = program("/usr/bin/tail", &["/dev/zero"]);
        let spawn = v1::SpawnProcess { level: level.into(), limits: Some(limits), ..bomb };
        let pid = world.call(&agent, spawn).await.unwrap().pid;
        let end = wait(&world, &agent, pid).await;
        assert_eq!((end.cause(), end.code, end.signal), (ExitCause::OutOfMemory, 137, 9), "{level:?}");
    }
    world.kernel.shut_down().await;
}
