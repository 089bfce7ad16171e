//! Places that tests mount at. They go when their test ends, and what a killed test has left goes with the next one.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use rustix::{
    io::Errno,
    mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_remount, unmount},
    process::{Pid, Signal, kill_process, test_kill_process},
};

use crate::server::DEADLINE;

/// All places lie in memory under such a name, with the process id of the test behind it.
const PREFIX: &str = "uos-durability-";
const MEMORY: &str = "/dev/shm";

/// A folder in memory with a directory `root` to mount at. Dropped, both go, and with them the loop device of `image`.
pub(crate) struct Place {
    folder: PathBuf,
}

impl Place {
    /// Makes one. Mounting takes root: without it this fails, and says so.
    pub(crate) fn make() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        assert!(
            rustix::process::geteuid().is_root(),
            "nothing can be mounted here: it takes root, and this test does not pass without having shown what it is for"
        );
        remove_leftovers();
        let nth = MADE.fetch_add(1, Ordering::Relaxed);
        let place = Self { folder: Path::new(MEMORY).join(format!("{PREFIX}{}-{nth}", std::process::id())) };
        fs::create_dir_all(place.root()).expect("there is room in memory");
        place
    }

    /// Where to mount.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// The image of a disk, if there is one.
    pub(crate) fn image(&self) -> PathBuf {
        self.folder.join("image")
    }

    /// Mounts memory that holds no more than so many bytes.
    pub(crate) fn mount_memory(&self, bytes: u64) {
        let size = std::ffi::CString::new(format!("size={bytes}")).expect("a number holds no zero byte");
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        mount("tmpfs", self.root(), "tmpfs", flags, Some(&*size)).expect("memory can be mounted");
    }

    /// Nothing in it can be changed any more, by root neither.
    pub(crate) fn make_read_only(&self) {
        mount_remount(self.root(), MountFlags::RDONLY, "").expect("it can be mounted anew");
    }

    /// Puts a file over itself in such a way that it can't be written, by root neither.
    pub(crate) fn make_file_read_only(&self, file: &Path) -> ReadOnly {
        mount_bind(file, file).expect("a file can be mounted over itself");
        let mounted = ReadOnly(file.to_owned());
        mount_remount(file, MountFlags::BIND | MountFlags::RDONLY, "").expect("it can be mounted anew");
        mounted
    }

    /// Takes away what is mounted, once nobody uses it any more.
    pub(crate) fn unmount(&self) {
        unmount_from(&self.root());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

/// A file that can't be written while this lives.
pub(crate) struct ReadOnly(PathBuf);

impl Drop for ReadOnly {
    fn drop(&mut self) {
        unmount_from(&self.0);
    }
}

/// Removes a place, in whatever state it was left.
fn remove(folder: &Path) {
    unmount_from(&folder.join("root"));
    let mut list = Command::new("losetup");
    list.args(["--noheadings", "--output", "NAME", "--associated"]).arg(folder.join("image"));
    let list = list.output().map(|output| output.stdout).unwrap_or_default();
    for device in String::from_utf8_lossy(&list).split_whitespace() {
        let _ = Command::new("losetup").args(["--detach", device]).status();
    }
    if let Err(error) = fs::remove_dir_all(folder) {
        println!("{} stays behind: {error}", folder.display());
    }
}

fn unmount_from(root: &Path) {
    let begun = Instant::now();
    // Who was killed may still be letting go of its files.
    while unmount(root, UnmountFlags::empty()) == Err(Errno::BUSY) && begun.elapsed() < DEADLINE {
        std::thread::yield_now();
    }
}

/// A test that was killed could not clean up: the next one does, and ends the processes that still hold the old places.
fn remove_leftovers() {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock();
    let names = fs::read_dir(MEMORY).expect("there is a filesystem in memory").flatten();
    for left in names.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        let name = left.file_name().to_string_lossy().into_owned();
        let owner = name[PREFIX.len()..].split('-').next().and_then(|pid| pid.parse().ok());
        if owner.and_then(Pid::from_raw).is_some_and(|owner| test_kill_process(owner).is_ok()) {
            continue;
        }
        println!("{name} was left behind by a test that was killed, and is removed");
        for holder in holders(&left.path()) {
            let _ = kill_process(holder, Signal::KILL);
        }
        // Mounts on single files lie on top.
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let below = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(Path::new);
        for mounted in below.filter(|at| at.starts_with(left.path())).collect::<Vec<_>>().into_iter().rev() {
            unmount_from(mounted);
        }
        remove(&left.path());
    }
}

/// Who has files open below a folder.
fn holders(folder: &Path) -> Vec<Pid> {
    let holds = |process: &fs::DirEntry| {
        let descriptors = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        let mut files = descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
        files.any(|file| file.starts_with(folder))
    };
    let pid = |process: fs::DirEntry| Pid::from_raw(process.file_name().to_str()?.parse().ok()?);
    let processes = fs::read_dir("/proc").expect("there is a /proc").flatten();
    processes.filter(holds).filter_map(pid).collect()
}
