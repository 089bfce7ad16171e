//! A disk whose power can be cut: ext4 on a loop device over an image in memory.
//!
//! The kernel lets root shut an ext4 filesystem down without flushing its log: what was not synced is gone, as after a power
//! cut. Whoever writes must be stopped first; a sync under way would race with the shutdown.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::{
    ioctl::{Opcode, Setter, ioctl, opcode},
    mount::{MountFlags, mount},
};

use crate::place::Place;

const IMAGE_BYTES: u64 = 64 << 20;
/// `EXT4_IOC_SHUTDOWN`, in the kernel's `fs/ext4/ext4.h`: `_IOR('X', 125, __u32)`.
const SHUTDOWN: Opcode = opcode::read::<u32>(b'X', 125);
/// `EXT4_GOING_FLAGS_NOLOGFLUSH`, beside it.
const NO_LOG_FLUSH: u32 = 2;

/// A mounted disk.
pub(crate) struct Disk {
    place: Place,
    device: String,
}

impl Disk {
    /// Makes one. It takes root, loop devices and `mkfs.ext4`: where they can't be had this fails, and says so.
    pub(crate) fn make() -> Self {
        let place = Place::make();
        let image = File::create(place.image()).and_then(|file| file.set_len(IMAGE_BYTES));
        image.expect("there is room in memory");
        run("mkfs.ext4", &["-q", "-F"], &place.image());
        let device = run("losetup", &["--find", "--show"], &place.image()).trim().to_owned();
        let disk = Self { place, device };
        disk.mount();
        disk
    }

    /// Where it is mounted.
    pub(crate) fn root(&self) -> PathBuf {
        self.place.root()
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
        self.place.unmount();
        self.mount();
    }

    fn mount(&self) {
        let (root, flags) = (self.root(), MountFlags::NOSUID | MountFlags::NODEV);
        mount(&self.device, &root, "ext4", flags, None).expect("the loop device can be mounted");
    }
}

fn run(program: &str, args: &[&str], image: &Path) -> String {
    let output = Command::new(program).args(args).arg(image).output();
    let output = output.unwrap_or_else(|error| panic!("power can't be cut here: no {program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "power can't be cut here: {program} says: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
