//! What every spawner promises, asked of each: real programs and scripts alike.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

#[cfg(feature = "oci")]
#[path = "common/engine.rs"]
mod engine;

use std::fs::File;
use std::io::{Read, Seek};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::task::yield_now;
use uos_proc::{
    Child, Cwd, ExitCause, FakeSpawner, Guarantee, Level, Limits, Means, Script, Signal, SignalError,
    SpawnError, Spawner, Spec, Stdio, Support,
};

/// What a program of this suite does. Those that go on say "ready" first.
#[derive(Clone, Copy, Debug)]
enum Act {
    Exit(u8),
    Die(Signal),
    Say,
    Echo,
    GoOn,
    GoOnWithoutTerm,
}

/// A spawner, and how to make it run an act.
struct World {
    spawner: Box<dyn Spawner>,
    spec: fn(Act) -> Spec,
}

impl World {
    fn spawn(&self, act: Act, adjust: impl FnOnce(Spec) -> Spec) -> Child {
        let spec = adjust((self.spec)(act));
        let planned = self.spawner.plan(&spec).unwrap();
        let child = self.spawner.spawn(spec).unwrap();
        assert_eq!(*child.enforcement(), planned);
        child
    }

    /// A child that is known to have begun.
    async fn ready(&self, act: Act) -> Child {
        let child = self.spawn(act, |spec| spec.stdout(Stdio::Pipe));
        let mut said = [0; 6];
        within(child.take_stdout().unwrap().read_exact(&mut said)).await.unwrap();
        assert_eq!(&said, b"ready\n");
        child
    }
}

#[cfg(target_os = "linux")]
fn linux() -> World {
    let spec = |act| {
        let script = match act {
            Act::Exit(code) => format!("exit {code}"),
            Act::Die(signal) => format!("kill -{} $$", signal.number()),
            Act::Say => "echo out; echo err >&2".into(),
            Act::Echo => "exec cat".into(),
            Act::GoOn => "echo ready; exec sleep 1000".into(),
            Act::GoOnWithoutTerm => "trap '' TERM; echo ready; exec sleep 1000".into(),
        };
        Spec::new("/bin/sh").arg("-c").arg(script).env("PATH", "/usr/bin:/bin").level(Level::Privileged)
    };
    World { spawner: Box::new(uos_proc::LinuxSpawner::new().unwrap()), spec }
}

/// The same programs, each in a sandbox. What cgroups would hold is left to the tests of cgroups.
#[cfg(target_os = "linux")]
fn sandbox() -> World {
    let spec =
        |act| (linux().spec)(act).level(Level::Standard).accept(Guarantee::Memory).accept(Guarantee::Cpu);
    World { spawner: Box::new(uos_proc::LinuxSpawner::new().unwrap()), spec }
}

fn portable() -> World {
    let spec = |act| {
        let spec = (linux().spec)(act);
        [Guarantee::NoNewPrivileges, Guarantee::FdHygiene, Guarantee::Environment]
            .into_iter()
            .fold(spec, Spec::accept)
    };
    World { spawner: Box::new(uos_proc::PortableSpawner::new()), spec }
}

fn fake() -> World {
    let spec = |act| {
        let words: Vec<String> = match act {
            Act::Exit(code) => vec!["exit".into(), code.to_string()],
            Act::Die(signal) => vec!["die".into(), signal.to_string()],
            act => vec![format!("{act:?}")],
        };
        Spec::new("/play").args(words).level(Level::Privileged)
    };
    let script = |spec: &Spec| {
        let word = |place: usize| spec.args[place].to_str().unwrap();
        Ok(match word(1) {
            "exit" => Script::new().exit(word(2).parse().unwrap()),
            "die" => Script::new().die(word(2).parse().unwrap()),
            "Say" => Script::new().stdout("out\n").stderr("err\n"),
            "Echo" => Script::new().echo_stdin(),
            "GoOn" => Script::new().stdout("ready\n").forever(),
            "GoOnWithoutTerm" => Script::new().stdout("ready\n").ignore(Signal::TERM).forever(),
            other => panic!("no act is called {other}"),
        })
    };
    World { spawner: Box::new(FakeSpawner::new(script)), spec }
}

/// A machine, played, that can do no more than the least level needs.
fn bare_fake() -> World {
    let fake = fake();
    let support = Support::new(|guarantee| {
        if Level::Privileged.requires().contains(&guarantee) {
            Means::Enforced { by: "a script".into() }
        } else {
            Means::Absent { why: "left out".into() }
        }
    });
    let script = |_: &Spec| Ok(Script::new());
    World { spawner: Box::new(FakeSpawner::new(script).with_support(support)), spec: fake.spec }
}

/// The same programs in containers, of an engine that is played.
#[cfg(feature = "oci")]
fn container() -> World {
    /// The spawner, and the engine for as long as that is there.
    struct WithEngine(uos_proc::OciSpawner, #[expect(dead_code, reason = "it is there")] engine::Engine);
    impl Spawner for WithEngine {
        fn probe(&self) -> Support {
            self.0.probe()
        }
        fn plan(&self, spec: &Spec) -> Result<uos_proc::Enforcement, SpawnError> {
            self.0.plan(spec)
        }
        fn spawn(&self, spec: Spec) -> Result<Child, SpawnError> {
            self.0.spawn(spec)
        }
    }
    let engine = engine::Engine::start();
    let spawner = uos_proc::OciSpawner::connect(&engine.socket, "test").unwrap();
    World {
        spawner: Box::new(WithEngine(spawner, engine)),
        spec: |act| (linux().spec)(act).accept(Guarantee::Environment),
    }
}

/// All but what no engine offers: descriptors given to a program, and niceness.
#[cfg(feature = "oci")]
mod in_a_container {
    macro_rules! container {
        ($($name:ident)*) => {
            $(#[tokio::test] async fn $name() { super::$name(super::container()).await; })*
        };
    }
    container! {
        programs_exit_and_die
        what_is_written_is_read
        input_comes_back_until_its_end
        ends_are_taken_once_and_only_of_pipes
        waits_agree
        a_wait_may_be_given_up
        signals_end_what_does_not_ignore_them
        stop_gives_a_grace_and_then_kills
        dropping_the_last_handle_ends_it
        nonsense_is_refused_by_field
        levels_and_limits_need_support
    }
}

macro_rules! conformance {
    ($($name:ident)*) => {
        #[cfg(target_os = "linux")]
        mod linux_spawner {
            $(#[tokio::test] async fn $name() { super::$name(super::linux()).await; })*
        }
        #[cfg(target_os = "linux")]
        mod in_a_sandbox {
            $(#[tokio::test] async fn $name() { super::$name(super::sandbox()).await; })*
        }
        mod portable_spawner {
            $(#[tokio::test] async fn $name() { super::$name(super::portable()).await; })*
        }
        mod fake_spawner {
            $(#[tokio::test] async fn $name() { super::$name(super::fake()).await; })*
        }
    };
}

conformance! {
    programs_exit_and_die
    what_is_written_is_read
    input_comes_back_until_its_end
    a_given_file_is_written
    ends_are_taken_once_and_only_of_pipes
    waits_agree
    a_wait_may_be_given_up
    signals_end_what_does_not_ignore_them
    nobody_is_reached_after_the_exit
    stop_gives_a_grace_and_then_kills
    dropping_the_last_handle_ends_it
    niceness_has_a_range
    nonsense_is_refused_by_field
    levels_and_limits_need_support
}

async fn programs_exit_and_die(world: World) {
    for code in [0, 3, 255] {
        let child = world.spawn(Act::Exit(code), |spec| spec);
        assert_eq!(within(child.wait()).await.cause, ExitCause::Exited(code.into()));
    }
    for signal in [Signal::TERM, Signal::KILL, Signal::new(40).unwrap()] {
        let child = world.spawn(Act::Die(signal), |spec| spec);
        assert_eq!(within(child.wait()).await.cause, ExitCause::Signaled { signal, core: false });
    }
}

async fn what_is_written_is_read(world: World) {
    let child = world.spawn(Act::Say, |spec| spec.stdout(Stdio::Pipe).stderr(Stdio::Pipe));
    // What was written stays to be read after the exit.
    assert!(within(child.wait()).await.cause.success());
    assert_eq!(rest(child.take_stdout().unwrap()).await, b"out\n");
    assert_eq!(rest(child.take_stderr().unwrap()).await, b"err\n");
}

async fn input_comes_back_until_its_end(world: World) {
    let child = world.spawn(Act::Echo, |spec| spec.stdin(Stdio::Pipe).stdout(Stdio::Pipe));
    let (mut stdin, mut stdout) = (child.take_stdin().unwrap(), child.take_stdout().unwrap());
    for word in [&b"one"[..], b"three"] {
        stdin.write_all(word).await.unwrap();
        let mut back = vec![0; word.len()];
        within(stdout.read_exact(&mut back)).await.unwrap();
        assert_eq!(back, word);
    }
    assert_eq!(child.try_wait(), None);
    stdin.shutdown().await.unwrap();
    assert!(stdin.write_all(b"more").await.is_err());
    assert_eq!(rest(stdout).await, b"");
    assert!(within(child.wait()).await.cause.success());

    let unread = world.spawn(Act::Echo, |spec| spec.stdin(Stdio::Pipe));
    child.kill_tree().unwrap_err();
    unread.kill_tree().unwrap();
    within(unread.wait()).await;
    let mut stdin = unread.take_stdin().unwrap();
    // Not at once: a child that another spawner is just making has a copy of this pipe until it executes.
    within(async { while stdin.write_all(b"more").await.is_ok() {} }).await;
}

async fn a_given_file_is_written(world: World) {
    let mut file = tempfile::tempfile().unwrap();
    let copy = |file: &File| Stdio::Fd(file.try_clone().unwrap().into());
    let child = world.spawn(Act::Say, |spec| spec.stdout(copy(&file)).stderr(copy(&file)));
    within(child.wait()).await;
    file.rewind().unwrap();
    let mut said = String::new();
    file.read_to_string(&mut said).unwrap();
    assert_eq!(said, "out\nerr\n");
}

async fn ends_are_taken_once_and_only_of_pipes(world: World) {
    let child = world.spawn(Act::Say, |spec| spec.stdout(Stdio::Pipe));
    assert!(child.take_stdin().is_none());
    assert!(child.take_stderr().is_none());
    assert!(child.clone().take_stdout().is_some());
    assert!(child.take_stdout().is_none());
    within(child.wait()).await;
}

async fn waits_agree(world: World) {
    let child = world.ready(Act::GoOn).await;
    assert!(child.os_pid() > 0);
    assert_eq!(child.try_wait(), None);
    let waiters: Vec<_> = (0..20)
        .map(|_| {
            let child = child.clone();
            tokio::spawn(async move { child.wait().await })
        })
        .collect();
    yield_now().await;
    child.signal(Signal::KILL).unwrap();
    let exit = within(child.wait()).await;
    assert_eq!(exit.cause, ExitCause::Signaled { signal: Signal::KILL, core: false });
    for waiter in waiters {
        assert_eq!(within(waiter).await.unwrap(), exit);
    }
    assert_eq!(within(child.wait()).await, exit);
    assert_eq!(child.try_wait(), Some(exit));
    assert_eq!(child.usage(), exit.usage);
}

async fn a_wait_may_be_given_up(world: World) {
    let child = world.ready(Act::GoOn).await;
    for _ in 0..10 {
        tokio::select! { biased; _ = child.wait() => panic!("it goes on"), () = yield_now() => {} }
    }
    child.kill_tree().unwrap();
    assert_eq!(within(child.wait()).await.cause, ExitCause::Killed);
}

async fn signals_end_what_does_not_ignore_them(world: World) {
    let child = world.ready(Act::GoOn).await;
    for harmless in [Signal::WINCH, Signal::CONT, Signal::URG, Signal::CHLD] {
        child.signal(harmless).unwrap();
    }
    child.signal(Signal::TERM).unwrap();
    let ended_by = |signal| ExitCause::Signaled { signal, core: false };
    assert_eq!(within(child.wait()).await.cause, ended_by(Signal::TERM));

    let child = world.ready(Act::GoOnWithoutTerm).await;
    child.signal(Signal::TERM).unwrap();
    yield_now().await;
    assert_eq!(child.try_wait(), None);
    // Not INT: whoever runs the tests in a shell's background has it ignored, and a portable spawner passes that on.
    child.signal(Signal::USR1).unwrap();
    assert_eq!(within(child.wait()).await.cause, ended_by(Signal::USR1));
}

async fn nobody_is_reached_after_the_exit(world: World) {
    let child = world.spawn(Act::Exit(0), |spec| spec);
    within(child.wait()).await;
    assert_eq!(child.signal(Signal::TERM), Err(SignalError::NoSuchProcess));
    assert_eq!(child.kill_tree(), Err(SignalError::NoSuchProcess));
    assert_eq!(child.set_nice(5), Err(SignalError::NoSuchProcess));
}

async fn stop_gives_a_grace_and_then_kills(world: World) {
    let polite = world.ready(Act::GoOn).await;
    let by_term = ExitCause::Signaled { signal: Signal::TERM, core: false };
    assert_eq!(within(polite.stop(Duration::from_secs(1000))).await.cause, by_term);
    assert_eq!(within(polite.stop(Duration::ZERO)).await.cause, by_term);

    let deaf = world.ready(Act::GoOnWithoutTerm).await;
    assert_eq!(within(deaf.stop(Duration::from_millis(50))).await.cause, ExitCause::Killed);

    let ended = world.spawn(Act::Exit(4), |spec| spec);
    within(ended.wait()).await;
    assert_eq!(within(ended.stop(Duration::from_secs(1000))).await.cause, ExitCause::Exited(4));

    // Killed by a signal that somebody chose to send is told as that.
    let other = world.ready(Act::GoOn).await;
    other.signal(Signal::KILL).unwrap();
    let by_kill = ExitCause::Signaled { signal: Signal::KILL, core: false };
    assert_eq!(within(other.wait()).await.cause, by_kill);
}

async fn dropping_the_last_handle_ends_it(world: World) {
    let child = world.spawn(Act::GoOn, |spec| spec.stdout(Stdio::Pipe));
    let mut stdout = child.take_stdout().unwrap();
    let mut said = [0; 6];
    within(stdout.read_exact(&mut said)).await.unwrap();
    let other = child.clone();
    drop(child);
    assert_eq!(other.try_wait(), None);
    drop(other);
    assert_eq!(rest(stdout).await, b"");
}

async fn niceness_has_a_range(world: World) {
    let child = world.ready(Act::GoOn).await;
    child.set_nice(19).unwrap();
    for nice in [-21, 20] {
        assert_eq!(child.set_nice(nice), Err(SignalError::Refused { errno: libc::EINVAL }));
    }
}

async fn nonsense_is_refused_by_field(world: World) {
    let check = |field: &str, adjust: &dyn Fn(Spec) -> Spec| {
        let spec = || adjust((world.spec)(Act::Exit(0)));
        let planned = world.spawner.plan(&spec()).unwrap_err();
        assert!(matches!(&planned, SpawnError::Invalid { field: named, .. } if *named == field), "{planned}");
        assert_eq!(world.spawner.spawn(spec()).unwrap_err(), planned);
    };
    check("program", &|spec| Spec { program: "sh".into(), ..spec });
    check("program", &|spec| Spec { program: "".into(), ..spec });
    check("program", &|spec| Spec { program: "/bin/s\0h".into(), ..spec });
    check("args", &|spec| spec.argv::<&str>([]));
    check("args", &|spec| spec.arg("a\0b"));
    check("env", &|spec| spec.env("", "x"));
    check("env", &|spec| spec.env("A=B", "x"));
    check("env", &|spec| spec.env("A\0", "x"));
    check("env", &|spec| spec.env("A", "\0x"));
    check("cwd", &|spec| spec.cwd(Cwd::Path("tmp".into())));
    check("cwd", &|spec| spec.cwd(Cwd::Path("/tmp\0".into())));
    check("deadline", &|spec| spec.deadline(Duration::ZERO));
    check("nice", &|spec| spec.nice(20));
    check("nice", &|spec| spec.nice(-21));
    let none = Limits::default();
    check("limits.open_files", &|spec| spec.limits(Limits { open_files: Some(0), ..none }));
    check("limits.cpu_seconds", &|spec| spec.limits(Limits { cpu_seconds: Some(0), ..none }));
    check("limits.memory_bytes", &|spec| spec.limits(Limits { memory_bytes: Some(0), ..none }));
    check("limits.pids", &|spec| spec.limits(Limits { pids: Some(0), ..none }));
    check("limits.cpu_percent", &|spec| spec.limits(Limits { cpu_percent: Some(0), ..none }));
}

async fn levels_and_limits_need_support(world: World) {
    for world in [world, bare_fake()] {
        let support = world.spawner.probe();
        for level in Level::ALL {
            let missing = support.missing(level);
            let mut spec = (world.spec)(Act::Exit(0)).level(level);
            spec.accepted.clear();
            let planned = world.spawner.plan(&spec);
            if missing.is_empty() {
                assert_eq!(planned.unwrap().level, level);
            } else {
                assert_eq!(planned, Err(SpawnError::NotEnforceable { level, missing }));
            }
        }
        let none = Limits::default();
        let limits = [
            ("memory_bytes", Guarantee::Memory, Limits { memory_bytes: Some(1 << 30), ..none }),
            ("pids", Guarantee::Pids, Limits { pids: Some(100), ..none }),
            ("cpu_percent", Guarantee::Cpu, Limits { cpu_percent: Some(100), ..none }),
        ];
        for (name, guarantee, limits) in limits {
            let planned =
                world.spawner.plan(&(world.spec)(Act::Exit(0)).level(Level::Privileged).limits(limits));
            if !matches!(support.get(Level::Privileged, guarantee), Means::Absent { .. }) {
                planned.unwrap();
            } else {
                assert_eq!(planned, Err(SpawnError::UnsupportedLimit { name }));
            }
        }
    }
}

/// Only a guard against hanging for ever.
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("this hangs")
}

async fn rest(mut from: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    within(from.read_to_end(&mut bytes)).await.unwrap();
    bytes
}
