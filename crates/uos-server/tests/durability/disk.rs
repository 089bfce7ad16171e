//! A disk whose power can be cut: ext4 on a loop device over an image in memory.
//!
//! The kernel lets root shut an ext4 filesystem down without flushing its log: what was not synced is gone, as after a power
//! cut. Whoever writes must be stopped first; a sync under way would race with the shutdown.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Instant,
};

use rustix::{
    io::Errno,
    ioctl::{Opcode, Setter, ioctl, opcode},
    mount::{MountFlags, UnmountFlags, mount, unmount},
    process::{Pid, Signal, kill_process, test_kill_process},
};

use crate::server::DEADLINE;

const IMAGE_BYTES: u64 = 64 << 20;
/// All disks lie in memory below such a name, with the process id of the test behind it.
const PREFIX: &str = "uos-power-cut-";
const MEMORY: &str = "/dev/shm";
/// `EXT4_IOC_SHUTDOWN`, in the kernel's `fs/ext4/ext4.h`: `_IOR('X', 125, __u32)`.
const SHUTDOWN: Opcode = opcode::read::<u32>(b'X', 125);
/// `EXT4_GOING_FLAGS_NOLOGFLUSH`, beside it.
const NO_LOG_FLUSH: u32 = 2;

/// A mounted disk. Dropped, it is unmounted, its loop device is detached and its image is removed.
pub(crate) struct Disk {
    folder: PathBuf,
    device: String,
}

impl Disk {
    /// Makes one. It takes root and loop devices: where they can't be had this fails, and says so.
    pub(crate) fn make() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        assert!(
            rustix::process::geteuid().is_root(),
            "power can't be cut here: it takes root, and this test does not pass without having cut it"
        );
        remove_leftovers();
        let nth = MADE.fetch_add(1, Ordering::Relaxed);
        let folder = Path::new(MEMORY).join(format!("{PREFIX}{}-{nth}", std::process::id()));
        fs::create_dir(&folder).expect("there is room in memory");
        // From here on a failure cleans up.
        let mut disk = Self { folder, device: String::new() };
        let image = disk.folder.join("image");
        let sized = File::create(&image).and_then(|file| file.set_len(IMAGE_BYTES));
        sized.and_then(|()| fs::create_dir(disk.root())).expect("there is room in memory");
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image));
        disk.device = run(Command::new("losetup").args(["--find", "--show"]).arg(&image)).trim().to_owned();
        disk.mount();
        disk
    }

    /// Where it is mounted.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// What was not synced is gone; nothing can be read or written any more. Nobody may be writing.
    pub(crate) fn cut(&self) {
        let root = File::open(self.root()).expect("it is mounted");
        // SAFETY: the call reads one `u32` behind the pointer and writes nothing, which is what `Setter` gives it; it is
        // made on a filesystem that is this test's own.
        let cut = unsafe { ioctl(&root, Setter::<SHUTDOWN, u32>::new(NO_LOG_FLUSH)) };
        cut.expect("ext4 can be shut down");
        assert!(File::create(self.root().join("probe")).is_err(), "the disk goes on after its power was cut");
    }

    /// Gives it power again. Nobody may have it open any more.
    pub(crate) fn restore(&self) {
        unmount_from(&self.root());
        self.mount();
    }

    fn mount(&self) {
        let (root, flags) = (self.root(), MountFlags::NOSUID | MountFlags::NODEV);
        mount(&self.device, &root, "ext4", flags, None).expect("the loop device can be mounted");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

/// Removes a disk, in whatever state it was left.
fn remove(folder: &Path) {
    let root = folder.join("root");
    unmount_from(&root);
    let image = folder.join("image");
    let mut list = Command::new("losetup");
    list.args(["--noheadings", "--output", "NAME", "--associated"]).arg(&image);
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
    while unmount(root, UnmountFlags::empty()) == Err(Errno::BUSY) {
        assert!(begun.elapsed() < DEADLINE, "{} is in use", root.display());
        std::thread::yield_now();
    }
}

/// A test that was killed could not clean up: the next one does, and ends the processes that still hold the old disks.
fn remove_leftovers() {
    let names = fs::read_dir(MEMORY).expect("there is a filesystem in memory").flatten();
    for left in names.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        let name = left.file_name().to_string_lossy().into_owned();
        let owner =
            name[PREFIX.len()..].split('-').next().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
        if owner.is_some_and(|owner| test_kill_process(owner).is_ok()) {
            continue;
        }
        println!("{name} was left behind by a test that was killed, and is removed");
        holders(&left.path()).into_iter().for_each(|pid| drop(kill_process(pid, Signal::KILL)));
        remove(&left.path());
    }
}

/// Who has files open below a folder.
fn holders(folder: &Path) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").expect("there is a /proc").flatten();
    let holds = |process: &fs::DirEntry| {
        let descriptors = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        { descriptors }.any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.starts_with(folder)))
    };
    let pid = |process: fs::DirEntry| Pid::from_raw(process.file_name().to_str()?.parse().ok()?);
    processes.filter(holds).filter_map(pid).collect()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not run: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "power can't be cut here: {command:?} says: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
