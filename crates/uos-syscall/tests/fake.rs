//! The same kernel over scripts in place of programs: it needs no more of a spawner than the trait says.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use common::{World, output, program, wait, within};
use uos_proc::{FakeSpawner, Gate, Script, Signal, SpawnError, Stage, Usage};
use uos_proto::v1::{self, CreateProcessRequest, ExitCause, OutputStream, SandboxLevel};
use uos_syscall::{Cause, Errno, Limits};

fn world(script: impl Fn(&uos_proc::Spec) -> Result<Script, SpawnError> + Send + Sync + 'static) -> World {
    World::with(Limits::default(), FakeSpawner::new(script))
}

#[tokio::test]
async fn what_a_script_says_and_how_it_ends_arrives() {
    let gate = Gate::new();
    let held = gate.clone();
    let usage = Usage { cpu_user_us: 40, cpu_system_us: 2, voluntary_switches: 7, ..Default::default() };
    let world = world(move |_| {
        Ok(Script::new().stdout("one ").stderr("oops").wait(&held).stdout("two").usage(usage).exit(3))
    });
    let agent = world.agent(&["proc.spawn:/usr/bin/*", "sched.inspect"]).await;
    let pid = world.call(&agent, program("/usr/bin/printf", &[])).await.unwrap().pid;
    let first = world.call(&agent, v1::ReadOutput { pid, ..Default::default() }).await.unwrap();
    assert_eq!((&first.data[..], first.end), (&b"one "[..], false));
    assert!(!world.call(&agent, v1::WaitProcess { pid, timeout_us: Some(0) }).await.unwrap().exited);

    let waiting = wait(&world, &agent, pid);
    let opening = async { gate.open() };
    let (end, ()) = tokio::join!(waiting, opening);
    assert_eq!((end.cause(), end.code), (ExitCause::Exited, 3));
    let used = end.usage.unwrap();
    assert_eq!((used.cpu_user_us, used.cpu_system_us, used.voluntary_switches), (40, 2, 7));
    assert_eq!(output(&world, &agent, pid).await, b"one two");
    let stderr = v1::ReadOutput { pid, stream: OutputStream::Stderr.into(), ..Default::default() };
    assert_eq!(&world.call(&agent, stderr).await.unwrap().data[..], b"oops");
    let stats = world.call(&agent, v1::GetSchedulerStats {}).await.unwrap();
    assert_eq!((stats.runtime_us, stats.active), (42, 2), "what it used was told to the scheduler");
}

#[tokio::test]
async fn a_script_is_killed_and_dies_of_signals_like_a_program() {
    let world = world(|spec| {
        let dies = spec.args.iter().any(|word| word == "die");
        Ok(if dies { Script::new().die(Signal::SEGV) } else { Script::new().forever() })
    });
    let agent = world.agent(&["proc.spawn:/usr/bin/*"]).await;
    let dying = world.call(&agent, program("/usr/bin/printf", &["die"])).await.unwrap().pid;
    let end = wait(&world, &agent, dying).await;
    assert_eq!((end.cause(), end.signal, end.code), (ExitCause::Signaled, 11, 139));
    let pid = world.call(&agent, program("/usr/bin/printf", &[])).await.unwrap().pid;
    world.call(&agent, v1::KillProcess { pid, tree: false }).await.unwrap();
    assert_eq!(wait(&world, &agent, pid).await.cause(), ExitCause::Killed);
    world.call(&agent, program("/usr/bin/printf", &[])).await.unwrap();
    within(world.kernel.shut_down()).await;
    assert_eq!(world.kernel.in_use().processes, 1);
}

#[tokio::test]
async fn a_start_that_fails_says_at_which_stage_and_leaves_nothing() {
    let world = world(|_| Err(SpawnError::Stage { stage: Stage::Exec, errno: 8 }));
    let agent = world.agent(&["proc.spawn:/usr/bin/*"]).await;
    let before = world.kernel.in_use();
    let error = world.call(&agent, program("/usr/bin/printf", &[])).await.unwrap_err();
    assert_eq!(error.errno, Errno::ENOEXEC);
    assert!(
        matches!(error.cause.as_deref(), Some(Cause::Stage(stage)) if stage.contains("exec")),
        "{error:?}"
    );
    assert_eq!(world.kernel.in_use(), before);
}

/// Only where all levels can be held does the order among them show.
#[tokio::test]
async fn a_program_starts_none_that_is_held_more_loosely_than_itself() {
    let world = world(|_| Ok(Script::new().forever()));
    let levels = [SandboxLevel::Minimal, SandboxLevel::Standard, SandboxLevel::Privileged];
    for own in levels {
        let request = CreateProcessRequest {
            command: Some("/usr/bin/printf".into()),
            sandbox_level: own.into(),
            grants: vec!["proc.spawn:/**".into()],
            ..Default::default()
        };
        let made = within(world.kernel.create_process(&world.kernel.init(), request)).await.unwrap();
        let agent = world.kernel.by_token(&made.token).unwrap();
        // Nor does a process without a program, made by it, help it out.
        let child = world.child(&agent, &["proc.spawn:/**"]).await;
        for asked in levels {
            for maker in [&agent, &child] {
                let spawn = v1::SpawnProcess { level: asked.into(), ..program("/usr/bin/printf", &[]) };
                let result = world.call(maker, spawn).await;
                assert_eq!(result.is_ok(), asked <= own, "{asked:?} by {own:?}");
                assert!(result.err().is_none_or(|error| error.errno == Errno::EPERM));
            }
        }
    }
    within(world.kernel.shut_down()).await;
}

#[tokio::test]
async fn too_many_processes_are_refused_and_the_limit_is_named() {
    let limits = Limits { processes: 4, ..Default::default() };
    let world = World::with(limits, FakeSpawner::new(|_| Ok(Script::new().forever())));
    let agent = world.agent(&["proc.spawn:/**"]).await;
    for _ in 0..2 {
        world.call(&agent, program("/usr/bin/printf", &[])).await.unwrap();
    }
    let error = world.call(&agent, program("/usr/bin/printf", &[])).await.unwrap_err();
    assert_eq!(error.errno, Errno::EAGAIN);
    assert_eq!(error.cause.as_deref(), Some(&Cause::Limit { name: "processes", used: 4, max: 4 }));
    let error = world.kernel.create_process(&agent, CreateProcessRequest::default()).await.unwrap_err();
    assert_eq!(error.errno, Errno::EAGAIN);
    within(world.kernel.shut_down()).await;
    assert_eq!(world.kernel.in_use().processes, 1);
}

/// Megabytes of this program that are resident.
fn resident_mib() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4 / 1024
}

#[tokio::test]
async fn a_kernel_that_has_gone_keeps_no_output() {
    const SAID: usize = 8 << 20;
    let before = resident_mib();
    for _ in 0..12 {
        let world = world(|_| Ok(Script::new().stdout(vec![b'x'; SAID])));
        let stdio = v1::Stdio { capture_bytes: 16 << 20, ..Default::default() };
        let spawn = v1::SpawnProcess { stdio: Some(stdio), ..program("/usr/bin/printf", &[]) };
        let init = world.kernel.init();
        let pid = world.call(&init, spawn).await.unwrap().pid;
        wait(&world, &init, pid).await;
        assert_eq!(output(&world, &init, pid).await.len(), SAID);
        within(world.kernel.shut_down()).await;
    }
    let grown = resident_mib().saturating_sub(before);
    // All of them together have kept 96.
    assert!(grown < 48, "{grown} MiB are still held");
}
