//! Trials of the spawning side: races for what it mounts, and several sandboxes beside each other.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use uos_proc::{
    Child, ExitCause, Guarantee, Level, LinuxSpawner, Mount, SpawnError, Spawner, Spec, Stage, Stdio,
};

use crate::run::boxed;
use crate::world::{World, kernel_is_at_least};

fn shell(script: &str) -> Spec {
    let spec = Spec::new("/bin/sh").args(["-c", script]).env("PATH", "/usr/bin:/bin");
    spec.accept(Guarantee::Memory).accept(Guarantee::Cpu)
}

async fn said(child: &Child) -> String {
    let mut said = String::new();
    let mut stdout = child.take_stdout().expect("a pipe");
    let read = stdout.read_to_string(&mut said);
    tokio::time::timeout(Duration::from_secs(60), read).await.expect("it ends").expect("text");
    said
}

/// How often something random is tried: short every day, long before a claim is made.
fn rounds() -> usize {
    std::env::var("UOS_CAMPAIGN_RACES").ok().and_then(|count| count.parse().ok()).unwrap_or(300)
}

/// Somebody swaps the granted folder for a link to a secret one as fast as they can. Whatever the spawner finds, it is
/// the folder or an error.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_race_for_the_source_of_a_mount_is_never_won() {
    let place = tempfile::tempdir_in("/tmp").expect("a directory");
    let at = |name: &str| place.path().join(name);
    for (directory, text) in [("granted", "harmless"), ("secret", "canary")] {
        fs::create_dir(at(directory)).expect("a directory");
        fs::write(at(directory).join("file"), text).expect("a file");
    }
    symlink(at("secret"), at("link")).expect("a link");
    let (granted, link) = (at("granted"), at("link"));
    let is_over = AtomicBool::new(false);
    let exchange = || {
        let (cwd, exchange) = (rustix::fs::CWD, rustix::fs::RenameFlags::EXCHANGE);
        rustix::fs::renameat_with(cwd, &granted, cwd, &link, exchange).expect("both are there");
    };
    // Long enough the folder for a spawn to begin with, and then a link for a moment.
    let swap = || {
        for pause in (0..8).cycle().take_while(|_| !is_over.load(Ordering::Relaxed)) {
            exchange();
            exchange();
            std::thread::sleep(Duration::from_micros(pause * 100));
        }
    };
    let spawner = LinuxSpawner::new().expect("a spawner");
    let (mut mounted, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(swap);
        let runtime = tokio::runtime::Handle::current();
        for round in 0.. {
            if round >= rounds() && mounted > 0 && refused > 0 {
                break;
            }
            assert!(round < rounds() + 100_000, "the race is not run: {mounted} mounted, {refused} refused");
            let spec = shell("cat /given/file").mount(Mount::read_only(at("granted")).seen_at("/given"));
            match spawner.spawn(spec.stdout(Stdio::Pipe)) {
                Ok(child) => {
                    let said = tokio::task::block_in_place(|| runtime.block_on(said(&child)));
                    if said != "harmless" {
                        is_over.store(true, Ordering::Relaxed);
                        panic!("the sandbox saw {said:?}");
                    }
                    mounted += 1;
                }
                Err(SpawnError::Stage { stage: Stage::Mount { .. }, .. }) => refused += 1,
                Err(error) => {
                    is_over.store(true, Ordering::Relaxed);
                    panic!("another error: {error}");
                }
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    println!("{mounted} saw the folder, {refused} were refused, 0 saw the secret");
}

#[tokio::test]
async fn a_target_that_leads_out_is_refused() {
    let spawner = LinuxSpawner::new().expect("a spawner");
    let place = tempfile::tempdir_in("/tmp").expect("a directory");
    for target in ["/../x", "/a/../../x", "/a/./b", "/", "", "relative", "//x", "/proc/x", "/dev/shm"] {
        let spec = shell("true").mount(Mount::writable(place.path()).seen_at(target));
        let error = spawner.spawn(spec).expect_err(target);
        assert!(matches!(error, SpawnError::Invalid { field: "mounts.at", .. }), "{target}: {error}");
    }
    symlink("/etc", place.path().join("link")).expect("a link");
    let before = fs::metadata("/etc").expect("it is there").mtime();
    let granted = shell("true").mount(Mount::writable(place.path()).seen_at("/w"));
    let error = spawner.spawn(granted.mount(Mount::scratch("/w/link/x", 1 << 20))).expect_err("a link");
    assert!(matches!(error, SpawnError::Stage { stage: Stage::Mount { number: 2, .. }, .. }), "{error}");
    assert_eq!(fs::metadata("/etc").expect("it is there").mtime(), before);
    assert!(!Path::new("/etc/x").exists());
}

/// They share a network in which there is nothing, and not even there do they meet.
#[tokio::test]
async fn siblings_cannot_meet() {
    let spawner = LinuxSpawner::new().expect("a spawner");
    let world = World::new();
    let words = |words: &[&str]| world.words(words, "/tmp");
    let listening = words(&["listen-abstract", "meeting"]);
    let sibling = spawner.spawn(boxed(&world, Level::Standard, &listening).stdout(Stdio::Pipe)).expect("one");
    let mut first = String::new();
    let stdout = sibling.take_stdout().expect("a pipe");
    BufReader::new(stdout).read_line(&mut first).await.expect("a line");
    assert_eq!(first, "did it\n", "a sandbox can listen by itself");

    let calling = words(&["connect-abstract", "meeting"]);
    let caller =
        spawner.spawn(boxed(&world, Level::Standard, &calling).stdout(Stdio::Pipe)).expect("another");
    // Kernels before 6.12 can't refuse it, and there each has a network of its own in which nobody listens.
    let expected = if kernel_is_at_least(6, 12) { "EPERM\n" } else { "ECONNREFUSED\n" };
    assert_eq!(said(&caller).await, expected);
    let signalling = words(&["signal", &sibling.os_pid().to_string()]);
    let signaller =
        spawner.spawn(boxed(&world, Level::Standard, &signalling).stdout(Stdio::Pipe)).expect("a third");
    assert_eq!(said(&signaller).await, "ESRCH\n");
    assert_eq!(sibling.try_wait(), None);
}

/// So that limits by user and files of one are nothing to the other.
#[tokio::test]
async fn two_sandboxes_are_two_users() {
    let spawner = LinuxSpawner::new().expect("a spawner");
    let world = World::new();
    let start = |words: &[&str], pids| {
        let spec = boxed(&world, Level::Standard, &world.words(words, "/tmp"));
        let limits = uos_proc::Limits { pids: Some(pids), ..uos_proc::Limits::default() };
        spawner.spawn(spec.limits(limits).stdout(Stdio::Pipe)).expect("a sandbox")
    };
    let one = start(&["listen-abstract", "one"], 8);
    let two = start(&["listen-abstract", "two"], 8);
    let uid = |child: &Child| fs::metadata(format!("/proc/{}", child.os_pid())).expect("it runs").uid();
    assert_ne!(uid(&one), uid(&two));
    assert!(uid(&one) != 0 && uid(&two) != 0);
    // One uses up all processes it may have; the other still has its own.
    let greedy = start(&["fork-bomb", "100"], 8);
    assert_eq!(said(&greedy).await, "EAGAIN\n");
    let modest = start(&["fork-bomb", "4"], 8);
    assert_eq!(said(&modest).await, "did it\n");
}

/// The kernel ties a child to the thread that cloned it, and that is the spawner's own, whoever asked.
#[test]
fn children_outlive_the_thread_that_asked_for_them() {
    let spawner = LinuxSpawner::new().expect("a spawner");
    for level in [Level::Minimal, Level::Standard, Level::Privileged] {
        let start = || spawner.spawn(shell("exec cat").level(level).stdin(Stdio::Pipe)).expect("a child");
        let child = std::thread::scope(|scope| scope.spawn(start).join().expect("it does not panic"));
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(child.try_wait(), None, "{level:?}");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        drop(child.take_stdin());
        let exit =
            runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), child.wait()).await });
        assert_eq!(exit.expect("it ends").cause, ExitCause::Exited(0), "{level:?}");
    }
}

/// While somebody holds a descriptor of a directory of the host, no sandbox gets one.
#[tokio::test]
async fn a_directory_is_never_handed_in() {
    let spawner = LinuxSpawner::new().expect("a spawner");
    let root = || OwnedFd::from(File::open("/").expect("a directory"));
    for spec in [shell("true").fd(7, root()), shell("true").stdin(Stdio::Fd(root()))] {
        let error = spawner.spawn(spec).expect_err("a directory leads out");
        assert!(matches!(error, SpawnError::Invalid { .. }), "{error}");
    }
}
