//! Real programs behind processes: what they are given, what they say, how they end.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use common::{World, output, program, shell, wait, within, write};
use uos_proto::v1::{self, ExitCause, Limits, OutputMode, OutputStream, Stdio, call::Call};
use uos_syscall::{Caller, Cause, Errno, Error};

const SPAWN: &[&str] = &["proc.spawn:/**", "fs.read:/data/**", "fs.read:/home/**", "fs.write:/home/**"];

fn read_output(pid: u64, offset: u64) -> v1::ReadOutput {
    v1::ReadOutput { pid, offset, ..Default::default() }
}

#[tokio::test]
async fn arguments_are_text_and_the_environment_is_what_was_said() {
    let world = World::start();
    let agent = world.agent(SPAWN).await;
    let spawned = world.call(&agent, program("/usr/bin/printf", &["%s; rm -rf /", "x"])).await.unwrap();
    assert_eq!(output(&world, &agent, spawned.pid).await, b"x; rm -rf /");

    let devious = ["; rm -rf /", "$(id)", "`id`", "a b", "*", "", "'", "\\", "-n"];
    let spawned =
        world.call(&agent, program("/usr/bin/printf", &[&["<%s>"], &devious[..]].concat())).await.unwrap();
    let expected: String = devious.iter().map(|text| format!("<{text}>")).collect();
    assert_eq!(output(&world, &agent, spawned.pid).await, expected.as_bytes());

    let raw = v1::SpawnProcess {
        args_raw: [&b"%s"[..], b"\xff\xfe"].map(Into::into).into(),
        ..program("/usr/bin/printf", &["ignored"])
    };
    let spawned = world.call(&agent, raw).await.unwrap();
    assert_eq!(output(&world, &agent, spawned.pid).await, b"\xff\xfe");

    let env = v1::SpawnProcess { env: vec!["A=1 = 2".into(), "B=".into()], ..program("/usr/bin/env", &[]) };
    let spawned = world.call(&agent, env).await.unwrap();
    assert_eq!(output(&world, &agent, spawned.pid).await, b"A=1 = 2\nB=\n");
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn a_program_starts_where_it_is_told_if_the_caller_may_read_there() {
    let world = World::start();
    let agent = world.agent(SPAWN).await;
    world.put("folder/inner", "seen");
    let at = |cwd: &str| v1::SpawnProcess { cwd: cwd.into(), ..program("/usr/bin/cat", &["inner"]) };
    let spawned = world.call(&agent, at("/data/folder")).await.unwrap();
    assert_eq!(output(&world, &agent, spawned.pid).await, b"seen");
    let error = world.call(&agent, at("/usr")).await.unwrap_err();
    assert_eq!(error.cause.as_deref(), Some(&Cause::Right("fs.read:/usr".into())));
    for (cwd, errno) in
        [("/home", Errno::ENOTSUP), ("/data/folder/inner", Errno::ENOTDIR), ("/data/x", Errno::ENOENT)]
    {
        assert_eq!(world.errno(&agent, at(cwd)).await, errno, "{cwd}");
    }
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn how_a_program_ended_is_told_as_often_as_asked() {
    let world = World::start();
    let agent = world.agent(SPAWN).await;
    let deadline = v1::SpawnProcess { deadline_us: 1_000, ..program("/usr/bin/sleep", &["1000"]) };
    for (spawn, cause, code, signal) in [
        (shell("exit 7"), ExitCause::Exited, 7, 0),
        (shell("kill -TERM $$"), ExitCause::Signaled, 143, 15),
        (deadline, ExitCause::Deadline, 137, 9),
    ] {
        let pid = world.call(&agent, spawn).await.unwrap().pid;
        let end = wait(&world, &agent, pid).await;
        assert_eq!((end.exited, end.cause(), end.code, end.signal), (true, cause, code, signal));
        assert_eq!(wait(&world, &agent, pid).await, end);
        assert_eq!(world.errno(&agent, v1::KillProcess { pid, tree: true }).await, Errno::ESRCH);
    }
    let pid = world.call(&agent, program("/usr/bin/sleep", &["1000"])).await.unwrap().pid;
    let now = world.call(&agent, v1::WaitProcess { pid, timeout_us: Some(0) }).await.unwrap();
    assert_eq!((now.exited, now.cause()), (false, ExitCause::Unspecified));
    world.call(&agent, v1::KillProcess { pid, tree: false }).await.unwrap();
    let end = wait(&world, &agent, pid).await;
    assert_eq!((end.cause(), end.code, end.signal), (ExitCause::Killed, 137, 9));
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn the_two_streams_are_kept_apart_and_read_by_offset() {
    let world = World::start();
    let agent = world.agent(SPAWN).await;
    let pid = world.call(&agent, shell("echo out; echo err >&2")).await.unwrap().pid;
    wait(&world, &agent, pid).await;
    assert_eq!(output(&world, &agent, pid).await, b"out\n");
    let stderr = v1::ReadOutput { stream: OutputStream::Stderr.into(), ..read_output(pid, 0) };
    assert_eq!(&world.call(&agent, stderr).await.unwrap().data[..], b"err\n");
    let part = world.call(&agent, v1::ReadOutput { max_bytes: 2, ..read_output(pid, 1) }).await.unwrap();
    assert_eq!((&part.data[..], part.offset, part.next_offset, part.end), (&b"ut"[..], 1, 3, false));
    let end = world.call(&agent, read_output(pid, 4)).await.unwrap();
    assert!(end.end && end.data.is_empty());
    assert_eq!(world.errno(&agent, read_output(pid, 5)).await, Errno::EINVAL);
    assert_eq!(world.errno(&agent, v1::ReadOutput { stream: 9, ..read_output(pid, 0) }).await, Errno::EINVAL);
    assert_eq!(world.errno(&agent, read_output(0, 0)).await, Errno::EINVAL, "the agent has no program");

    let stdio = Stdio { stdout: OutputMode::Discard.into(), ..Default::default() };
    let discarded = v1::SpawnProcess { stdio: Some(stdio), ..shell("echo out") };
    let pid = world.call(&agent, discarded).await.unwrap().pid;
    wait(&world, &agent, pid).await;
    assert_eq!(world.errno(&agent, read_output(pid, 0)).await, Errno::EINVAL);
    world.kernel.shut_down().await;
}

/// What `seq 1 100000` writes: much more than a pipe of the host and all that is kept can hold.
fn numbers() -> String {
    (1..=100_000).map(|number| format!("{number}\n")).collect()
}

fn seq(mode: OutputMode, capture_bytes: u64) -> v1::SpawnProcess {
    let stdio = Stdio { stdout: mode.into(), capture_bytes, ..Default::default() };
    v1::SpawnProcess { stdio: Some(stdio), ..program("/usr/bin/seq", &["1", "100000"]) }
}

#[tokio::test]
async fn captured_output_keeps_the_newest_and_says_where_it_begins() {
    let world = World::start();
    let agent = world.agent(SPAWN).await;
    let pid = world.call(&agent, seq(OutputMode::Capture, 100_000)).await.unwrap().pid;
    // Nobody reads, and it ends all the same.
    wait(&world, &agent, pid).await;
    let expected = numbers();
    let gone = expected.len() - 100_000;
    let mut kept = Vec::new();
    loop {
        let part = world
            .call(&agent, read_output(pid, if kept.is_empty() { 0 } else { (gone + kept.len()) as u64 }));
        let part = part.await.unwrap();
        assert_eq!(part.offset as usize, gone + kept.len(), "the gap is seen");
        kept.extend_from_slice(&part.data);
        if part.end {
            break;
        }
    }
    assert!(kept == expected.as_bytes()[gone..], "the newest is kept");
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn piped_output_makes_the_program_wait_and_loses_nothing() {
    let world = World::start();
    let agent = world.agent(SPAWN).await;
    let pid = world.call(&agent, seq(OutputMode::Pipe, 4_096)).await.unwrap().pid;
    let first = world.call(&agent, v1::ReadOutput { max_bytes: 4_096, ..read_output(pid, 0) }).await.unwrap();
    assert!(!first.data.is_empty());
    let now = world.call(&agent, v1::WaitProcess { pid, timeout_us: Some(0) }).await.unwrap();
    assert!(!now.exited, "most of it fits nowhere yet");
    assert!(output(&world, &agent, pid).await == numbers().as_bytes());
    assert_eq!(wait(&world, &agent, pid).await.code, 0);
    world.kernel.shut_down().await;
}

async fn refused(world: &World, agent: &Caller, call: v1::SpawnProcess) -> Error {
    within(world.kernel.invoke(agent, Call::from(call))).await.unwrap_err()
}

#[tokio::test]
async fn what_cannot_be_started_says_why_and_leaves_nothing() {
    let world = World::start();
    let agent = world.agent(SPAWN).await;
    let before = world.kernel.in_use();
    let printf = || program("/usr/bin/printf", &["x"]);
    let stdio = |stdio: Stdio| v1::SpawnProcess { stdio: Some(stdio), ..printf() };
    for (call, field) in [
        (v1::SpawnProcess { priority: Some(256), ..printf() }, "priority"),
        (v1::SpawnProcess { level: 9, ..printf() }, "level"),
        (v1::SpawnProcess { env: vec!["NAME".into()], ..printf() }, "env"),
        (v1::SpawnProcess { env: vec!["=value".into()], ..printf() }, "env"),
        (v1::SpawnProcess { grants: vec!["root".into()], ..printf() }, "grants"),
        (v1::SpawnProcess { name: "n".repeat(257), ..printf() }, "name"),
        (v1::SpawnProcess { deadline_us: u64::MAX, ..printf() }, "deadline_us"),
        (stdio(Stdio { capture_bytes: (16 << 20) + 1, ..Default::default() }), "stdio.capture_bytes"),
        (stdio(Stdio { stderr: 9, ..Default::default() }), "stdio.stderr"),
        (program("/usr/bin/printf", &["a\0b"]), "arg"),
    ] {
        let error = refused(&world, &agent, call).await;
        assert!(error.errno == Errno::EINVAL && error.message.contains(field), "{field}: {error:?}");
    }

    world.call(&agent, write("/home/program", "#!/bin/sh\n")).await.unwrap();
    world.put("not-a-program", "text");
    for (path, errno, stage) in [
        ("/usr/bin/no-such-program", Errno::ENOENT, None),
        ("/usr/bin", Errno::EISDIR, None),
        ("/home/program", Errno::ENOTSUP, Some("program")),
        ("/data/not-a-program", Errno::EACCES, Some("exec")),
    ] {
        let error = refused(&world, &agent, program(path, &[])).await;
        assert_eq!(error.errno, errno, "{path}: {error:?}");
        if let Some(stage) = stage {
            assert!(
                matches!(error.cause.as_deref(), Some(Cause::Stage(at)) if at.contains(stage)),
                "{error:?}"
            );
        }
    }

    let limits = Limits { memory_bytes: Some(u64::MAX), ..Default::default() };
    let error = refused(&world, &agent, v1::SpawnProcess { limits: Some(limits), ..printf() }).await;
    assert!(error.errno == Errno::EINVAL && error.message.contains("limits.memory_bytes"), "{error:?}");
    let many = v1::SpawnProcess { args: vec!["x".repeat(100_000); 100], ..printf() };
    assert_eq!(refused(&world, &agent, many).await.errno, Errno::E2BIG);
    assert_eq!(world.kernel.in_use(), before);
}
