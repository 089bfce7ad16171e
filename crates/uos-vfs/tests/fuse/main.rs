//! Filesystems at real mount points. It takes FUSE and the right to mount; a machine without fails.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod locks;
mod stale;

use rustix::fs::{CWD, Mode, OFlags, RenameFlags, XattrFlags};
use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;
use uos_vfs::fuse::{Mount, View};
use uos_vfs::{FileSystem, LocalFs, MemFs, Mounts, Name};

/// A filesystem at a mount point of its own.
struct Mounted {
    fs: MemFs,
    // Unmounted before the directory is removed.
    mount: Mount,
    dir: tempfile::TempDir,
}

impl Mounted {
    fn new() -> Self {
        let (fs, dir) = (MemFs::builder().build(), tempfile::tempdir().unwrap());
        let options = Mount::options().whole(View::of(fs.root())).ttl(Duration::from_secs(600));
        let mount = options.start(dir.path()).expect("FUSE, and the right to mount, are there");
        Mounted { fs, mount, dir }
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.dir.path().join(path)
    }
}

/// A process that is just being made has copies of all that this program has open, and lets go of them a moment after it was
/// said to have been started: until then it is as if somebody were inside a mount. So while one is made nothing is unmounted
/// that is to be left by all.
static MAKING: RwLock<()> = RwLock::new(());

/// Starts a process. To be held until it has done something of its own, or has ended.
fn start(command: &mut Command) -> (Child, RwLockWriteGuard<'static, ()>) {
    let making = MAKING.write().unwrap_or_else(PoisonError::into_inner);
    (command.spawn().unwrap(), making)
}

/// Unmounts. Whether nobody was inside any more.
fn unmount(mount: Mount) -> bool {
    let _nobody_is_made = MAKING.read().unwrap_or_else(PoisonError::into_inner);
    mount.unmount().unwrap()
}

fn is_mounted(at: &Path) -> bool {
    let at = at.canonicalize().unwrap_or_else(|_| at.to_owned());
    let table = fs::read_to_string("/proc/self/mounts").unwrap();
    table.lines().any(|line| line.split(' ').nth(1) == at.to_str())
}

#[test]
fn what_one_side_does_the_other_sees() {
    let there = Mounted::new();
    fs::create_dir_all(there.at("a/b")).unwrap();
    fs::write(there.at("a/b/f"), "by the host").unwrap();
    symlink("b/f", there.at("a/l")).unwrap();
    fs::hard_link(there.at("a/b/f"), there.at("a/h")).unwrap();
    assert_eq!(there.fs.read("/a/l").unwrap(), b"by the host");
    assert_eq!(there.fs.metadata("/a/h").unwrap().nlink, 2);
    let host = fs::metadata(there.at("a/h")).unwrap();
    let ours = there.fs.metadata("/a/h").unwrap();
    assert_eq!((host.mode() & 0o7777, host.uid(), host.len(), host.nlink()), (ours.mode, ours.uid, 11, 2));
    assert_eq!((host.mtime(), host.mtime_nsec()), (ours.modified.secs, ours.modified.nanos.into()));
    // The host keeps what it has read, for ten minutes here, until it is told.
    assert_eq!(fs::read(there.at("a/h")).unwrap(), b"by the host");
    there.fs.write("/a/h", "by ourselves").unwrap();
    there.mount.changed(&there.fs.root().lookup(&uos_vfs::Caller::ROOT, named("a")).unwrap());
    let node = there.fs.resolve_node("/a/h");
    there.mount.changed(&node);
    assert_eq!(fs::read(there.at("a/h")).unwrap(), b"by ourselves");
    let dir = there.fs.resolve_node("/a");
    there.fs.rename("/a/h", "/a/i").unwrap();
    there.mount.entry_changed(&dir, named("h"));
    there.mount.changed(&dir);
    assert_eq!(fs::metadata(there.at("a/h")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fs::read(there.at("a/i")).unwrap(), b"by ourselves");
}

fn named(name: &str) -> Name<'_> {
    Name::new(name.as_bytes()).unwrap()
}

trait ResolveNode {
    fn resolve_node(&self, path: &str) -> uos_vfs::NodeRef;
}

impl ResolveNode for MemFs {
    fn resolve_node(&self, path: &str) -> uos_vfs::NodeRef {
        use uos_vfs::{How, Tree};
        self.resolve(path.as_bytes(), &How::privileged()).unwrap().node.unwrap()
    }
}

#[test]
fn files_are_what_files_are() {
    let there = Mounted::new();
    let path = there.at("f");
    let mut file =
        fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    let large: Vec<u8> = (0..3_000_000u32).map(|at| at as u8).collect();
    file.write_all(&large).unwrap();
    fs::remove_file(&path).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    let mut back = Vec::new();
    file.read_to_end(&mut back).unwrap();
    assert!(back == large, "an unlinked file lives on");
    drop(file);
    // Freed when the host has let go of it.
    fs::write(there.at("g"), "x").unwrap();
    let mut appends = fs::OpenOptions::new().append(true).open(there.at("g")).unwrap();
    fs::OpenOptions::new().append(true).open(there.at("g")).unwrap().write_all(b"y").unwrap();
    appends.write_all(b"z").unwrap();
    assert_eq!(fs::read(there.at("g")).unwrap(), b"xyz");
    // Holes, and what is set aside.
    let sparse = fs::OpenOptions::new().write(true).create_new(true).open(there.at("s")).unwrap();
    sparse.write_all_at(b"far", 1 << 30).unwrap();
    assert!(fs::metadata(there.at("s")).unwrap().blocks() < 100);
    let data = rustix::fs::seek(&sparse, rustix::fs::SeekFrom::Data(0)).unwrap();
    assert!(data > 0 && data <= 1 << 30);
    rustix::fs::fallocate(&sparse, rustix::fs::FallocateFlags::empty(), 0, 100_000).unwrap();
    assert!(fs::metadata(there.at("s")).unwrap().blocks() >= 100_000 / 512);
    sparse.set_len(5).unwrap();
    assert_eq!(fs::read(there.at("s")).unwrap(), [0; 5]);
    sparse.sync_all().unwrap();
}

#[test]
fn names_are_what_names_are() {
    let there = Mounted::new();
    fs::create_dir(there.at("d")).unwrap();
    let expected: BTreeSet<String> = (0..3_000).map(|nth| format!("entry {nth}")).collect();
    for name in &expected {
        fs::write(there.at("d").join(name), name).unwrap();
    }
    let list = || {
        fs::read_dir(there.at("d"))
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                assert_eq!(entry.metadata().unwrap().ino(), std::os::unix::fs::DirEntryExt::ino(&entry));
                entry.file_name().into_string().unwrap()
            })
            .collect::<Vec<_>>()
    };
    let listed = list();
    assert_eq!(listed.len(), expected.len(), "each once");
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), expected);
    assert_eq!(list().len(), 3_000, "and again, from what the host has kept");
    fs::write(there.at("d/one more"), "").unwrap();
    assert_eq!(list().len(), 3_001);
    assert_eq!(fs::remove_dir(there.at("d")).unwrap_err().kind(), ErrorKind::DirectoryNotEmpty);
    fs::write(there.at("x"), "x").unwrap();
    fs::write(there.at("y"), "y").unwrap();
    let (x, y) = (there.at("x"), there.at("y"));
    rustix::fs::renameat_with(CWD, &x, CWD, &y, RenameFlags::EXCHANGE).unwrap();
    assert_eq!(fs::read(&x).unwrap(), b"y");
    let kept = rustix::fs::renameat_with(CWD, &x, CWD, &y, RenameFlags::NOREPLACE);
    assert_eq!(kept, Err(rustix::io::Errno::EXIST));
    fs::set_permissions(&x, fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(there.fs.metadata("/x").unwrap().mode, 0o640);
    rustix::fs::setxattr(&x, "user.note", b"text", XattrFlags::CREATE).unwrap();
    assert_eq!(there.fs.xattr("/x", "user.note").unwrap(), b"text");
    let mut value = [0; 16];
    assert_eq!(rustix::fs::getxattr(&x, "user.note", &mut value[..]), Ok(4));
    let mut tiny = [0; 2];
    assert_eq!(rustix::fs::getxattr(&x, "user.note", &mut tiny[..]), Err(rustix::io::Errno::RANGE));
    assert_eq!(
        fs::write(there.at(&"n".repeat(256)), "").unwrap_err().raw_os_error(),
        Some(libc::ENAMETOOLONG)
    );
    fs::remove_dir_all(there.at("d")).unwrap();
    assert!(!there.fs.exists("/d").unwrap());
}

#[test]
fn modes_hold_others_back() {
    assert!(rustix::process::geteuid().is_root(), "being somebody else takes root");
    let there = Mounted::new();
    assert!(there.mount.is_for_others(), "root may let others in");
    fs::set_permissions(there.dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(there.at("secret"))
        .unwrap();
    let as_nobody = |script: &str| {
        let mut command = Command::new("sh");
        std::os::unix::process::CommandExt::uid(&mut command, 65_534);
        std::os::unix::process::CommandExt::gid(&mut command, 65_534);
        command.arg("-c").arg(script).current_dir(there.dir.path()).stderr(Stdio::null());
        let (mut shell, _making) = start(&mut command);
        shell.wait().unwrap().success()
    };
    assert!(!as_nobody("cat secret"));
    assert!(as_nobody("echo mine > theirs && mkdir dir && chmod 700 dir"));
    assert!(!as_nobody("chown 0 theirs"));
    let theirs = there.fs.metadata("/theirs").unwrap();
    assert_eq!((theirs.uid, theirs.gid), (65_534, 65_534));
    // What somebody else writes to lends no rights any more.
    fs::write(there.at("program"), "x").unwrap();
    fs::set_permissions(there.at("program"), fs::Permissions::from_mode(0o6777)).unwrap();
    assert!(as_nobody("echo y >> program"));
    assert_eq!(there.fs.metadata("/program").unwrap().mode, 0o777);
}

#[test]
fn a_view_leads_to_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let mount = Mount::options().start(dir.path()).unwrap();
    let (one, two) = (MemFs::builder().build(), MemFs::builder().build());
    one.write("/f", "one").unwrap();
    two.write("/f", "two").unwrap();
    mount.add_view(named("a"), View::of(one.root())).unwrap();
    mount.add_view(named("b"), View::of(two.root())).unwrap();
    mount.add_view(named("c"), View::of(one.root())).unwrap();
    assert_eq!(mount.add_view(named("a"), View::of(two.root())), Err(uos_vfs::Error::Exists));
    let names: BTreeSet<_> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(fs::read(dir.path().join("a/f")).unwrap(), b"one");
    assert_eq!(fs::read(dir.path().join("b/f")).unwrap(), b"two");
    assert_eq!(fs::read(dir.path().join("a/../b/f")).unwrap(), b"two", "`..` is the host's own");
    let ino = |path: &str| fs::metadata(dir.path().join(path)).unwrap().ino();
    assert_eq!(BTreeSet::from([ino("a"), ino("b"), ino("c"), ino("a/f"), ino("b/f"), ino("c/f")]).len(), 6);
    let across = fs::rename(dir.path().join("a/f"), dir.path().join("c/g")).unwrap_err();
    assert_eq!(across.raw_os_error(), Some(libc::EXDEV), "one filesystem, but not for them");
    assert!(fs::hard_link(dir.path().join("a/f"), dir.path().join("c/g")).is_err());
    assert!(fs::write(dir.path().join("x"), "").is_err());
    let held = fs::File::open(dir.path().join("a/f")).unwrap();
    let inside =
        rustix::fs::open(dir.path().join("a"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
    mount.remove_view(named("a")).unwrap();
    assert_eq!(fs::metadata(dir.path().join("a")).unwrap_err().kind(), ErrorKind::NotFound);
    let stale = rustix::fs::openat(&inside, "g", OFlags::RDONLY, Mode::empty()).map(drop);
    assert_eq!(stale, Err(rustix::io::Errno::STALE));
    drop((held, inside));
    assert_eq!(fs::read(dir.path().join("c/f")).unwrap(), b"one");
    assert!(unmount(mount));
}

#[test]
fn what_is_mounted_in_a_tree_is_seen() {
    let (outer, inner) = (MemFs::builder().build(), MemFs::builder().build());
    let shown = tempfile::tempdir().unwrap();
    fs::write(shown.path().join("of the host"), "text").unwrap();
    outer.create_dir("/mnt/local").unwrap();
    inner.write("/f", "inner").unwrap();
    let mounts = Arc::new(Mounts::new(outer.root()));
    mounts.mount(b"/mnt", inner.root()).unwrap();
    inner.create_dir("/local").unwrap();
    mounts.mount(b"/mnt/local", LocalFs::open(shown.path(), true).unwrap().root()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let view = View::of(outer.root()).with_mounts(mounts);
    let mount = Mount::options().whole(view).start(dir.path()).unwrap();
    assert_eq!(fs::read(dir.path().join("mnt/f")).unwrap(), b"inner");
    assert_eq!(fs::read(dir.path().join("mnt/local/of the host")).unwrap(), b"text");
    let refused = fs::write(dir.path().join("mnt/local/x"), "").unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EROFS));
    assert_eq!(fs::remove_dir(dir.path().join("mnt")).unwrap_err().raw_os_error(), Some(libc::EBUSY));
    assert!(unmount(mount));
}

#[test]
fn dropping_unmounts_and_who_is_inside_goes_on() {
    let there = Mounted::new();
    fs::write(there.at("f"), "kept").unwrap();
    let mut held = fs::File::open(there.at("f")).unwrap();
    assert!(is_mounted(there.dir.path()));
    let Mounted { fs, mount, dir } = there;
    assert!(!unmount(mount), "somebody has a file open");
    assert!(!is_mounted(dir.path()));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "what is below is seen again");
    let mut text = String::new();
    held.read_to_string(&mut text).unwrap();
    assert_eq!(text, "kept");
    drop((held, fs));
    let again = Mounted::new();
    let Mounted { mount, dir, .. } = again;
    assert!(unmount(mount));
    assert!(!is_mounted(dir.path()));
}

/// Says to the process that this test starts of itself where to mount.
const MOUNT_AT: &str = "UOS_TEST_MOUNT_AT";

#[test]
fn what_a_dead_process_left_is_detached() {
    if let Some(at) = std::env::var_os(MOUNT_AT) {
        let fs = MemFs::builder().build();
        fs.write("/up", "").unwrap();
        Mount::options().whole(View::of(fs.root())).start(Path::new(&at)).unwrap().wait().unwrap();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "what_a_dead_process_left_is_detached"]).env(MOUNT_AT, dir.path());
    let (mut child, making) = start(command.stdout(Stdio::null()));
    while !dir.path().join("up").exists() {
        assert!(child.try_wait().unwrap().is_none(), "the mounting process has failed");
        std::thread::yield_now();
    }
    drop(making);
    child.kill().unwrap();
    child.wait().unwrap();
    let dead = fs::metadata(dir.path().join("not asked for yet")).unwrap_err();
    assert_eq!(dead.raw_os_error(), Some(libc::ENOTCONN));
    let fs = MemFs::builder().build();
    let mount = Mount::options().whole(View::of(fs.root())).start(dir.path()).unwrap();
    std::fs::write(dir.path().join("f"), "alive").unwrap();
    assert_eq!(fs.read("/f").unwrap(), b"alive");
    assert!(unmount(mount));
    assert!(!is_mounted(dir.path()));
}
