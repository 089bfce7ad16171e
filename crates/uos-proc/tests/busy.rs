//! A program whose file is open for writing is not executed (`ETXTBSY`). Mostly somebody has just written it, and a child
//! that was made meanwhile has a copy of the descriptor until it executes: that passes, and nobody is to hear of it.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::fs::{self, File, OpenOptions};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use uos_proc::{
    Child, ExitCause, Guarantee, Init, Isolation, Level, LinuxSpawner, Mount, PortableSpawner, Program,
    SpawnError, Spawner, Spec, Stage,
};

/// A spawner, and what a spec needs to be for it.
type Way = (&'static str, Box<dyn Spawner>, fn(Spec) -> Spec);

/// Every way in which a program comes to be executed.
fn ways() -> Vec<Way> {
    let usual = || Box::new(LinuxSpawner::new().unwrap());
    let bare = Box::new(LinuxSpawner::with_isolation(Isolation::NoNamespaces).unwrap());
    vec![
        ("privileged", usual(), |spec| spec),
        ("minimal", usual(), |spec| spec.level(Level::Minimal)),
        ("standard", usual(), |spec| spec.level(Level::Standard)),
        ("standard without an init", usual(), |spec| spec.level(Level::Standard).init(Init::Program)),
        ("without namespaces", bare, |spec| spec.level(Level::Standard)),
        ("portable", Box::new(PortableSpawner::new()), |spec| spec),
    ]
}

/// A program of one's own in `folder`.
fn program(folder: &Path) -> PathBuf {
    let path = folder.join("program");
    fs::copy("/bin/true", &path).unwrap();
    path
}

fn spec(program: impl Into<Program>, folder: &Path) -> Spec {
    let spec = Spec::new(program).argv(["true"]).level(Level::Privileged).mount(Mount::read_only(folder));
    Guarantee::ALL.into_iter().fold(spec, Spec::accept)
}

fn writer(path: &Path) -> File {
    OpenOptions::new().write(true).open(path).unwrap()
}

async fn succeeds(child: Result<Child, SpawnError>, way: &str) {
    let cause = child.unwrap_or_else(|error| panic!("{way}: {error}")).wait().await.cause;
    assert_eq!(cause, ExitCause::Exited(0), "{way}");
}

/// Whether a child or grandchild of this program pauses. It is to be seen within milliseconds, so nobody else's are looked at.
fn one_pauses() -> bool {
    let children = |pid: &str| -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
    };
    let sleeps = |pid: &str| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()) == Some("S")
    };
    // Who may not be asked in which call it is may sleep in any.
    let pauses = |pid: &str| match fs::read_to_string(format!("/proc/{pid}/syscall")) {
        Ok(call) => call.split(' ').next() == Some(&libc::SYS_nanosleep.to_string()),
        Err(error) => error.kind() == std::io::ErrorKind::PermissionDenied,
    };
    let own = children("self");
    let below = own.iter().flat_map(|child| children(child)).collect::<Vec<_>>();
    own.iter().chain(&below).any(|pid| sleeps(pid) && pauses(pid))
}

/// Faults of this program's children that have ended and been collected.
fn of_the_dead() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    stat.rsplit(')').next().unwrap().split_whitespace().nth(8).unwrap().parse().unwrap()
}

/// Tests look at all children of this program: one at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn a_file_that_is_written_is_not_executed() {
    let _alone = ALONE.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let path = program(folder.path());
    for (way, spawner, adjust) in ways() {
        let busy = writer(&path);
        let error = spawner.spawn(adjust(spec(&path, folder.path()))).expect_err(way);
        assert_eq!(error, SpawnError::Stage { stage: Stage::Exec, errno: libc::ETXTBSY }, "{way}");
        drop(busy);
        succeeds(spawner.spawn(adjust(spec(&path, folder.path()))), way).await;
    }
}

/// The file is let go of when a child has seen it busy and waits. It does not wait for long, so one try of many has to
/// succeed.
#[tokio::test]
async fn a_file_that_was_written_a_moment_ago_is_executed() {
    let _alone = ALONE.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let path = program(folder.path());
    for (way, spawner, adjust) in ways() {
        let is_portable = way == "portable";
        for by_fd in if is_portable { &[false][..] } else { &[false, true] } {
            let spec = || {
                let opened = || OwnedFd::from(File::open(&path).unwrap());
                let program = if *by_fd { opened().into() } else { Program::from(&path) };
                adjust(spec(program, folder.path()))
            };
            let (begun, mut is_done) = (Instant::now(), false);
            while begun.elapsed() < Duration::from_secs(60) {
                let dead = of_the_dead();
                // Either it waits itself, or the child was collected and another will be made.
                let has_seen = || if is_portable { of_the_dead() != dead } else { one_pauses() };
                let busy = writer(&path);
                let (child, has_waited) = std::thread::scope(|scope| {
                    let starting = scope.spawn(|| spawner.spawn(spec()));
                    while !starting.is_finished() && !has_seen() {
                        std::thread::yield_now();
                    }
                    let has_waited = !starting.is_finished();
                    drop(busy);
                    (starting.join().unwrap(), has_waited)
                });
                if let Ok(child) = child {
                    succeeds(Ok(child), way).await;
                    is_done = has_waited;
                }
                if is_done {
                    break;
                }
            }
            assert!(is_done, "{way}, by descriptor: {by_fd}");
        }
    }
}
