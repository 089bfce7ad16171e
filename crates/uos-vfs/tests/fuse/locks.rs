//! Ranges that processes of the host lock at a mount point, and ranges that we lock ourselves.

use super::{named, start, unmount};
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, fcntl_getlk};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use uos_vfs::fuse::{Mount, View};
use uos_vfs::lock::{LockKind, LockOwner, LockRange, Locks};
use uos_vfs::{Descriptor, Error, FileSystem, MemFs, OpenOptions};

const FILE: &str = "UOS_LOCKED_FILE";
/// Nothing here takes that long, unless it would never come.
const LONG: Duration = Duration::from_secs(60);
const ONE: LockOwner = LockOwner::Given(1);

/// Another process, which has the file open twice and does what it is told, one word a line.
struct Process {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Process {
    fn start(file: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "locks::be_a_process_of_the_host", "--nocapture"]).env(FILE, file);
        let (mut child, _making) = start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let (to, mut from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        // The harness of tests says something first.
        assert!(from.read_line(&mut String::new()).unwrap() > 0, "it has ended");
        Process { child, to, from }
    }

    fn tell(&mut self, word: &str) {
        writeln!(self.to, "{word}").unwrap();
    }

    fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.from.read_line(&mut line).unwrap() > 0, "it has ended");
            // The harness of tests says something as well.
            if let Some(answer) = line.trim_end().strip_prefix("answer: ") {
                return answer.to_owned();
            }
        }
    }

    fn ask(&mut self, word: &str) -> String {
        self.tell(word);
        self.hear()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn be_a_process_of_the_host() {
    let Some(path) = std::env::var_os(FILE) else { return };
    let open = || File::options().read(true).write(true).open(&path).unwrap();
    let (file, mut other) = (open(), Some(open()));
    let said = |done: Result<(), Errno>| match done {
        Ok(()) => "done".to_owned(),
        Err(Errno::AGAIN) => "taken".to_owned(),
        Err(errno) => errno.to_string(),
    };
    for word in std::io::stdin().lines() {
        let answer = match word.unwrap().as_str() {
            "try" => said(fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)),
            "share" => said(fcntl_lock(&file, FlockOperation::NonBlockingLockShared)),
            "wait" => said(fcntl_lock(&file, FlockOperation::LockExclusive)),
            "unlock" => said(fcntl_lock(&file, FlockOperation::Unlock)),
            "close other" => {
                other = None;
                "done".to_owned()
            }
            "who" => match fcntl_getlk(&file, &Flock::from(FlockType::WriteLock)).unwrap() {
                None => "nobody".to_owned(),
                Some(lock) => format!("{:?} {} {}", lock.typ, lock.start, lock.length),
            },
            word => panic!("{word}?"),
        };
        println!("answer: {answer}");
    }
    drop(other);
}

struct Locked {
    locks: Locks,
    ours: Descriptor,
    // Unmounted before the directory is removed.
    _mount: Mount,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Locked {
    fn new() -> Self {
        let (fs, locks) = (MemFs::builder().build(), Locks::new());
        fs.write("/f", "text").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mount = Mount::options().whole(View::of(fs.root())).locks(&locks).start(dir.path()).unwrap();
        let ours = fs.open("/f", &OpenOptions::read_write()).unwrap();
        let ours = Descriptor::with_locks(ours, &locks);
        Locked { locks, ours, _mount: mount, path: dir.path().join("f"), _dir: dir }
    }

    fn held(&self) -> usize {
        self.locks.held(self.ours.node().id()).len()
    }

    /// What ends on the host is told to us a moment later.
    fn until_free(&self) {
        let begun = Instant::now();
        while self.held() > 0 {
            assert!(begun.elapsed() < LONG, "still {:?}", self.locks.held(self.ours.node().id()));
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn the_host_and_we_keep_each_other_out() {
    let there = Locked::new();
    let (mut one, mut two) = (Process::start(&there.path), Process::start(&there.path));
    assert_eq!(one.ask("who"), "nobody");
    assert_eq!(one.ask("try"), "done");
    assert_eq!(
        there.ours.try_lock(ONE, LockRange::new(3, 1).unwrap(), LockKind::Shared),
        Err(Error::WouldBlock)
    );
    assert_eq!(two.ask("share"), "taken");
    assert_eq!(two.ask("who"), "WriteLock 0 0");
    assert_eq!(one.ask("share"), "done", "its own lock is never in its way");
    there.ours.try_lock(ONE, LockRange::new(3, 1).unwrap(), LockKind::Shared).unwrap();
    assert_eq!(two.ask("share"), "done");
    assert_eq!((one.ask("unlock"), two.ask("unlock")), ("done".into(), "done".into()));
    assert_eq!(one.ask("who"), "ReadLock 3 1", "ours is told there");
    assert_eq!(one.ask("try"), "taken");
    there.ours.unlock(ONE, LockRange::ALL).unwrap();
    assert_eq!(one.ask("try"), "done");
    assert_eq!(there.held(), 1);
}

#[test]
fn closing_any_descriptor_lets_go_and_so_does_ending() {
    let there = Locked::new();
    let mut one = Process::start(&there.path);
    assert_eq!(one.ask("try"), "done");
    assert_eq!(one.ask("close other"), "done");
    there.until_free();
    assert_eq!(one.ask("try"), "done");
    one.child.kill().unwrap();
    one.child.wait().unwrap();
    there.until_free();
}

#[test]
fn whoever_waits_gets_it_when_it_is_free_on_either_side() {
    let there = Locked::new();
    let mut one = Process::start(&there.path);
    there.ours.try_lock(ONE, LockRange::ALL, LockKind::Exclusive).unwrap();
    one.tell("wait");
    // Mostly it waits by then; if not, it gets the lock at once.
    std::thread::sleep(Duration::from_millis(100));
    there.ours.unlock(ONE, LockRange::ALL).unwrap();
    assert_eq!(one.hear(), "done");
    // And we for them.
    let mut wait = std::pin::pin!(there.ours.lock(ONE, LockRange::ALL, LockKind::Exclusive));
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(wait.as_mut().poll(cx).is_pending());
    assert_eq!(one.ask("unlock"), "done");
    assert_eq!(wait.as_mut().poll(cx), Poll::Ready(Ok(())));
}

#[test]
fn whoever_is_killed_while_waiting_ends_and_gets_nothing() {
    let there = Locked::new();
    let mut one = Process::start(&there.path);
    assert_eq!(one.ask("who"), "nobody");
    there.ours.try_lock(ONE, LockRange::ALL, LockKind::Exclusive).unwrap();
    one.tell("wait");
    std::thread::sleep(Duration::from_millis(100));
    one.child.kill().unwrap();
    let begun = Instant::now();
    while one.child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < LONG, "it can't be killed");
        std::thread::sleep(Duration::from_millis(1));
    }
    there.ours.unlock(ONE, LockRange::ALL).unwrap();
    assert_eq!(there.held(), 0);
    let mut two = Process::start(&there.path);
    assert_eq!(two.ask("try"), "done");
}

#[test]
fn views_of_one_file_share_its_locks_and_a_mount_that_ends_lets_go() {
    let (fs, locks) = (MemFs::builder().build(), Locks::new());
    fs.write("/f", "text").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mount = Mount::options().locks(&locks).start(dir.path()).unwrap();
    for view in ["a", "b"] {
        mount.add_view(named(view), View::of(fs.root())).unwrap();
    }
    let (mut one, mut two) =
        (Process::start(&dir.path().join("a/f")), Process::start(&dir.path().join("b/f")));
    assert_eq!(one.ask("try"), "done");
    assert_eq!(two.ask("try"), "taken");
    // A view that goes takes no lock of another along, nor does it leave its own for ever.
    mount.remove_view(named("a")).unwrap();
    drop(one);
    let begun = Instant::now();
    while two.ask("try") != "done" {
        assert!(begun.elapsed() < LONG, "the lock of a view that is gone stays");
    }
    drop(two);
    assert!(unmount(mount));
    let node = fs.node("/f").unwrap();
    assert_eq!(locks.held(node.id()), []);
}
