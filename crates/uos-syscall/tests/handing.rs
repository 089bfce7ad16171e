//! Handles as real descriptors of real programs.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use common::{World, output, shell, until, wait, within};
use uos_proto::v1::{self, HandleRight, SandboxLevel, SpawnHandle};
use uos_syscall::{Caller, Cause, Errno};

const GRANTS: &[&str] = &["ipc.create", "proc.spawn:/**", "fs.read:/**", "fs.write:/data/**"];

/// One end of a pipe of the caller's.
async fn end(world: &World, who: &Caller, pipe: u64, right: HandleRight) -> u64 {
    let id = world.call(who, v1::Dup { id: pipe }).await.unwrap().id;
    let rights = vec![right.into(), HandleRight::Transfer.into()];
    world.call(who, v1::RestrictHandle { id, rights }).await.unwrap();
    id
}

fn with(script: &str, level: SandboxLevel, handles: &[(u64, u32)]) -> v1::SpawnProcess {
    let handles = handles.iter().map(|&(id, fd)| SpawnHandle { id, fd }).collect();
    v1::SpawnProcess { handles, level: level.into(), ..shell(script) }
}

const LEVELS: [SandboxLevel; 2] = [SandboxLevel::Privileged, SandboxLevel::Standard];

#[tokio::test]
async fn a_pipe_leads_from_one_program_to_another_and_ends_with_its_writer() {
    let world = World::start();
    let agent = world.agent(GRANTS).await;
    for level in LEVELS {
        let pipe = world.call(&agent, v1::CreatePipe::default()).await.unwrap().id;
        let reading = end(&world, &agent, pipe, HandleRight::Read).await;
        let writing = end(&world, &agent, pipe, HandleRight::Write).await;
        world.call(&agent, v1::ClosePipe { id: pipe }).await.unwrap();
        let reader = with("cat <&7; echo end", level, &[(reading, 7)]);
        let reader = world.call(&agent, reader).await.unwrap().pid;
        let writer = with("head -c 300000 /dev/zero | tr '\\0' x >&5", level, &[(writing, 5)]);
        let writer = world.call(&agent, writer).await.unwrap().pid;
        for id in [reading, writing] {
            world.call(&agent, v1::Close { id }).await.unwrap();
        }
        assert_eq!(wait(&world, &agent, writer).await.code, 0);
        let seen = output(&world, &agent, reader).await;
        assert_eq!((seen.len(), &seen[300_000..]), (300_004, &b"end\n"[..]), "at {level:?}");
    }
    world.kernel.shut_down().await;
    assert_eq!(world.kernel.in_use().pipe_bytes, 0);
}

#[tokio::test]
async fn what_was_destroyed_is_handed_to_nobody() {
    let world = World::start();
    let agent = world.agent(GRANTS).await;
    let pipe = world.call(&agent, v1::CreatePipe::default()).await.unwrap().id;
    let reading = end(&world, &agent, pipe, HandleRight::Read).await;
    world.call(&agent, v1::DestroyPipe { id: pipe }).await.unwrap();
    let refused = world.errno(&agent, with("true", SandboxLevel::Standard, &[(reading, 7)])).await;
    assert_eq!(refused, Errno::EIDRM);
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn a_program_reads_and_writes_what_the_caller_keeps() {
    let world = World::start();
    let agent = world.agent(GRANTS).await;
    for level in LEVELS {
        let to = world.call(&agent, v1::CreatePipe::default()).await.unwrap().id;
        let from = world.call(&agent, v1::CreatePipe::default()).await.unwrap().id;
        let (reading, writing) = (
            end(&world, &agent, to, HandleRight::Read).await,
            end(&world, &agent, from, HandleRight::Write).await,
        );
        let script = "while read line <&3; do echo \"<$line>\" >&4; done";
        let pid = world.call(&agent, with(script, level, &[(reading, 3), (writing, 4)])).await.unwrap().pid;
        for word in ["one", "two"] {
            let data = format!("{word}\n").into_bytes().into();
            world.call(&agent, v1::WritePipe { id: to, data, timeout_us: None }).await.unwrap();
            let back = world.call(&agent, v1::ReadPipe { id: from, ..Default::default() }).await.unwrap();
            assert_eq!(String::from_utf8_lossy(&back.data), format!("<{word}>\n"));
        }
        world.call(&agent, v1::KillProcess { pid, tree: true }).await.unwrap();
        wait(&world, &agent, pid).await;
        world.call(&agent, v1::Close { id: reading }).await.unwrap();
        world
            .call(
                &agent,
                v1::RestrictHandle {
                    id: to,
                    rights: vec![HandleRight::Write.into(), HandleRight::Destroy.into()],
                },
            )
            .await
            .unwrap();
        // Nobody reads any more, now that the program has gone: whoever moved the bytes learns of it a moment later.
        let refused = async {
            loop {
                let write = v1::WritePipe { id: to, data: "x".into(), timeout_us: None };
                match world.call(&agent, write).await {
                    Ok(_) => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
                    Err(refused) => return refused,
                }
            }
        };
        assert_eq!(within(refused).await.errno, Errno::EPIPE, "at {level:?}");
    }
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn an_open_file_is_handed_over_for_what_it_was_opened_for() {
    let world = World::start();
    world.put("file", "content");
    let agent = world.agent(GRANTS).await;
    let open = |read, write, append| v1::Open {
        path: "/data/file".into(),
        read,
        write,
        append,
        ..Default::default()
    };
    let reading = world.call(&agent, open(true, false, false)).await.unwrap().id;
    let adding = world.call(&agent, open(false, false, true)).await.unwrap().id;
    for level in LEVELS {
        // It has no right on the file itself, and no view of it in its sandbox.
        let script = "cat <&3; echo more >&4; echo no >&3 || echo refused";
        let handles = [(reading, 3), (adding, 4)];
        let spawn = v1::SpawnProcess { grants: vec![], ..with(script, level, &handles) };
        let pid = world.call(&agent, spawn).await.unwrap().pid;
        let seen = String::from_utf8(output(&world, &agent, pid).await).unwrap();
        assert!(seen.starts_with("content") && seen.ends_with("refused\n"), "{level:?}: {seen}");
    }
    assert_eq!(world.seen("file"), "contentmore\nmore\n");
    // Read by the caller, it is where it was: the programs had positions of their own.
    let all = world.call(&agent, v1::Read { id: reading, max_bytes: 0 }).await.unwrap().data;
    assert_eq!(&all[..], b"contentmore\nmore\n");

    world.set_grants(&agent, &["proc.spawn:/**"]);
    let refused = world.call(&agent, with("true", SandboxLevel::Privileged, &[(reading, 3)])).await;
    let right = Cause::Right("fs.read:/data/file".into());
    assert_eq!(refused.unwrap_err().cause.as_deref(), Some(&right), "what is revoked is not handed on");
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn a_program_has_the_segments_own_memory() {
    let world = World::start();
    let agent = world.agent(GRANTS).await;
    let id = world.call(&agent, v1::CreateShm { size_bytes: 4_096 }).await.unwrap().id;
    world.call(&agent, v1::WriteShm { id, offset: 0, data: "from above".into() }).await.unwrap();
    let reading = world.call(&agent, v1::Dup { id }).await.unwrap().id;
    let rights = vec![HandleRight::Read.into(), HandleRight::Transfer.into()];
    world.call(&agent, v1::RestrictHandle { id: reading, rights }).await.unwrap();
    // By its own descriptor, and anew by the number, which would take another right than it has.
    let script = "head -c 10 <&3; printf 'from below' >&4; printf x >&3 || echo ' refused'; \
                  printf x 2>/dev/null >/proc/self/fd/3 || echo 'and refused'; exec sleep 1000";
    let spawn = with(script, SandboxLevel::Standard, &[(reading, 3), (id, 4)]);
    let pid = world.call(&agent, spawn).await.unwrap().pid;
    let seen = async || world.call(&agent, v1::ReadShm { id, offset: 0, length: 10 }).await.unwrap().data;
    let said = async |offset| {
        let read = v1::ReadOutput { pid, offset, ..Default::default() };
        String::from_utf8(world.call(&agent, read).await.unwrap().data.to_vec()).unwrap()
    };
    let mut all = String::new();
    while !all.contains("and refused") {
        all += &said(all.len() as u64).await;
    }
    assert_eq!(all, "from above refused\nand refused\n");
    assert_eq!(&seen().await[..], b"from below");

    // It is charged as long as the program has it, whoever else lets go of it.
    world.call(&agent, v1::DestroyShm { id }).await.unwrap();
    assert_eq!(world.kernel.in_use().shm_bytes, 4_096);
    world.call(&agent, v1::KillProcess { pid, tree: true }).await.unwrap();
    until("its memory is given back", || world.kernel.in_use().shm_bytes == 0).await;

    let id = world.call(&agent, v1::CreateShm { size_bytes: 1 }).await.unwrap().id;
    let rights = vec![HandleRight::Read.into(), HandleRight::Transfer.into()];
    world.call(&agent, v1::RestrictHandle { id, rights }).await.unwrap();
    let privileged = with("true", SandboxLevel::Privileged, &[(id, 3)]);
    assert_eq!(world.errno(&agent, privileged).await, Errno::ENOTSUP);
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn what_can_not_be_handed_over_starts_nothing() {
    let world = World::start();
    let agent = world.agent(&[GRANTS, &["fs.write:/home/**"]].concat()).await;
    let pipe = world.call(&agent, v1::CreatePipe::default()).await.unwrap().id;
    let queue = world.call(&agent, v1::CreateQueue::default()).await.unwrap().id;
    let open = v1::Open { path: "/home/x".into(), write: true, create: true, ..Default::default() };
    let in_memory = world.call(&agent, open).await.unwrap().id;
    let reading = end(&world, &agent, pipe, HandleRight::Read).await;
    let kept = world.call(&agent, v1::Dup { id: pipe }).await.unwrap().id;
    let rights = vec![HandleRight::Read.into()];
    world.call(&agent, v1::RestrictHandle { id: kept, rights }).await.unwrap();
    let before = world.kernel.in_use();
    for (handles, errno) in [
        (vec![(pipe, 3)], Errno::EINVAL),
        (vec![(queue, 3)], Errno::ENOTSUP),
        (vec![(in_memory, 3)], Errno::ENOTSUP),
        (vec![(kept, 3)], Errno::EACCES),
        (vec![(u64::MAX, 3)], Errno::EBADF),
        (vec![(reading, 2)], Errno::EINVAL),
        (vec![(reading, 1_024)], Errno::EINVAL),
        (vec![(reading, u32::MAX)], Errno::EINVAL),
        (vec![(reading, 3), (reading, 3)], Errno::EINVAL),
        (vec![(reading, 3); 65], Errno::E2BIG),
    ] {
        let spawn = with("true", SandboxLevel::Privileged, &handles);
        assert_eq!(world.errno(&agent, spawn).await, errno, "{handles:?}");
        assert_eq!(world.kernel.in_use(), before);
    }
    let other = world.agent(GRANTS).await;
    let foreign = with("true", SandboxLevel::Privileged, &[(reading, 3)]);
    assert_eq!(world.errno(&other, foreign).await, Errno::EBADF);
    world.kernel.shut_down().await;
}
