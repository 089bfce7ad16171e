//! What scripts promise beyond what every spawner does.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uos_proc::{
    ExitCause, FakeSpawner, Gate, Script, Signal, SpawnError, Spawner, Spec, Stage, Stdio, Usage,
};

fn spec() -> Spec {
    Spec::new("/play")
}

#[tokio::test]
async fn a_gate_holds_scripts_until_it_is_opened() {
    let gate = Gate::new();
    let held = gate.clone();
    let spawner = FakeSpawner::new(move |_| Ok(Script::new().stdout("a").wait(&held).stdout("b").exit(4)));
    let children = [(); 3].map(|()| spawner.spawn(spec().stdout(Stdio::Pipe)).unwrap());
    assert!(children.iter().all(|child| child.try_wait().is_none()));
    gate.open();
    for child in children {
        assert_eq!(child.try_wait().unwrap().cause, ExitCause::Exited(4));
        let mut said = String::new();
        child.take_stdout().unwrap().read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "ab");
    }
    // Once open it stays open.
    assert!(spawner.spawn(spec()).unwrap().try_wait().is_some());
}

#[tokio::test]
async fn a_reader_and_a_waiter_wake() {
    let gate = Gate::new();
    let held = gate.clone();
    let spawner = FakeSpawner::new(move |_| Ok(Script::new().wait(&held).stdout("late").exit(1)));
    let child = spawner.spawn(spec().stdout(Stdio::Pipe)).unwrap();
    let mut stdout = child.take_stdout().unwrap();
    let reader = tokio::spawn(async move {
        let mut said = String::new();
        stdout.read_to_string(&mut said).await.unwrap();
        said
    });
    let waiter = tokio::spawn(async move { child.wait().await });
    tokio::task::yield_now().await;
    gate.open();
    assert_eq!(reader.await.unwrap(), "late");
    assert_eq!(waiter.await.unwrap().cause, ExitCause::Exited(1));
}

#[test]
fn a_start_can_fail_by_script() {
    let error = SpawnError::Stage { stage: Stage::Exec, errno: libc::ENOENT };
    let told = error.clone();
    let spawner = FakeSpawner::new(move |_| Err(told.clone()));
    assert_eq!(spawner.spawn(spec()).unwrap_err(), error);
}

#[test]
fn its_numbers_are_nobody_elses() {
    let spawner = FakeSpawner::new(|_| Ok(Script::new()));
    let [one, two] = [(); 2].map(|()| spawner.spawn(spec()).unwrap().os_pid());
    assert_ne!(one, two);
    assert!(one.min(two) > 4_194_304);
}

#[test]
fn usage_is_as_scripted() {
    let usage = Usage { cpu_user_us: 5, rss_bytes: 4096, ..Usage::default() };
    let spawner = FakeSpawner::new(move |_| Ok(Script::new().usage(usage).forever()));
    let child = spawner.spawn(spec()).unwrap();
    assert_eq!(child.usage(), usage);
    child.kill_tree().unwrap();
    assert_eq!(child.try_wait().unwrap().usage, Usage { rss_bytes: 0, ..usage });
}

#[tokio::test]
async fn writing_without_a_reader_is_deadly() {
    let spawner = FakeSpawner::new(|_| Ok(Script::new().echo_stdin()));
    let child = spawner.spawn(spec().stdin(Stdio::Pipe).stdout(Stdio::Pipe)).unwrap();
    drop(child.take_stdout());
    child.take_stdin().unwrap().write_all(b"x").await.unwrap();
    let died = ExitCause::Signaled { signal: Signal::PIPE, core: false };
    assert_eq!(child.wait().await.cause, died);
}

#[test]
fn an_input_it_could_block_on_is_refused() {
    let spawner = FakeSpawner::new(|_| Ok(Script::new()));
    let null = std::fs::File::open("/dev/null").unwrap();
    let error = spawner.spawn(spec().stdin(Stdio::Fd(null.into()))).unwrap_err();
    assert!(matches!(error, SpawnError::Invalid { field: "stdin", .. }));
}
