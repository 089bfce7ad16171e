//! Shared memory, from outside: limits, seals, who may write, and what is kept for the next.
#![cfg(all(target_os = "linux", not(any(loom, shuttle))))]

use rustix::fs::{FallocateFlags, MemfdFlags, fallocate, ftruncate, memfd_create};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use uos_ipc::{Access, Enforcement, Quota, QuotaError, Segment, Segments, Sharing, ShmError};

const PAGE: u64 = 4096;
/// Somebody else.
const NOBODY: u32 = 65534;

fn quota() -> Quota {
    Quota::root("shm", Segments::MAX_TOTAL_BYTES)
}

#[test]
fn sizes_and_quotas_at_their_edges() {
    let quota = Quota::root("shm", 10 * PAGE);
    let segments = Segments::with_limits(&quota, 4 * PAGE, 0);
    for asked_bytes in [0, 4 * PAGE + 1, u64::MAX] {
        let refused = segments.create(asked_bytes, Sharing::Writers).unwrap_err();
        assert_eq!(refused, ShmError::Size { asked_bytes, max_bytes: 4 * PAGE });
    }
    let small = segments.create(1, Sharing::ReadersOnly).unwrap();
    assert_eq!((small.len_bytes(), small.stats().charged_bytes), (1, PAGE), "memory comes in pages");
    let large = [(); 2].map(|()| segments.create(4 * PAGE, Sharing::Writers).unwrap());
    let full = QuotaError { name: "shm", limit: 10 * PAGE, used: 9 * PAGE, asked: 2 * PAGE };
    assert_eq!(segments.create(PAGE + 1, Sharing::Writers).unwrap_err(), ShmError::Quota(full));
    drop((small, large));
    assert_eq!(quota.used(), 0);
    let whole = Segments::new(&self::quota()).create(Segments::MAX_SEGMENT_BYTES, Sharing::Writers).unwrap();
    whole.attach(Access::ReadWrite).unwrap().write(Segments::MAX_SEGMENT_BYTES - 1, b"x").unwrap();
}

#[test]
fn rights_only_shrink() {
    let segment = Segments::new(&quota()).create(PAGE, Sharing::Writers).unwrap();
    let reader = segment.read_only();
    assert_eq!(reader.attach(Access::ReadWrite).unwrap_err(), ShmError::ReadOnly);
    assert_eq!(reader.clone().share(Access::ReadWrite, NOBODY).unwrap_err(), ShmError::ReadOnly);
    assert_eq!(reader.attach(Access::ReadOnly).unwrap().write(0, b"x"), Err(ShmError::ReadOnly));
    let sealed = Segments::new(&quota()).create(PAGE, Sharing::ReadersOnly).unwrap();
    sealed.attach(Access::ReadWrite).unwrap().write(0, b"its maker writes").unwrap();
    assert_eq!(sealed.share(Access::ReadWrite, NOBODY).unwrap_err(), ShmError::ReadOnly);
}

#[test]
fn nobody_can_pull_a_segment_away() {
    for sharing in [Sharing::Writers, Sharing::ReadersOnly] {
        let segment = Segments::new(&quota()).create(2 * PAGE, sharing).unwrap();
        let mapping = segment.attach(Access::ReadWrite).unwrap();
        let fd = match sharing {
            Sharing::Writers => segment.share(Access::ReadWrite, NOBODY).unwrap().0,
            Sharing::ReadersOnly => segment.as_fd().try_clone_to_owned().unwrap(),
        };
        for len in [0, PAGE, 3 * PAGE] {
            assert!(ftruncate(&fd, len).is_err(), "{sharing:?} resized to {len}");
        }
        let seals = rustix::fs::SealFlags::WRITE;
        assert!(rustix::fs::fcntl_add_seals(&fd, seals).is_err(), "nor can others be locked out");
        mapping.write(PAGE, b"still here").unwrap();
        // A hole is no shrinking: its bytes read as zeros, and nothing faults.
        let punched = fallocate(&fd, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, 2 * PAGE);
        assert_eq!(punched.is_ok(), sharing == Sharing::Writers);
        mapping.read_vec(PAGE, 10).unwrap();
    }
}

#[test]
fn foreign_descriptors_are_looked_at_first() {
    let quota = quota();
    let adopt = |fd: OwnedFd| Segment::adopt(fd, 4 * PAGE, &quota);
    let plain: OwnedFd = File::open("/proc/self/exe").unwrap().into();
    assert_eq!(adopt(plain).unwrap_err(), ShmError::Unsealed);
    let memfd = || memfd_create(c"foreign", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    let unsealed = memfd();
    ftruncate(&unsealed, PAGE).unwrap();
    assert_eq!(adopt(unsealed).unwrap_err(), ShmError::Unsealed);
    let (reader, _writer) = rustix::pipe::pipe().unwrap();
    assert!(adopt(reader).is_err());
    for (len, fine) in [(0, false), (4 * PAGE, true), (5 * PAGE, false)] {
        let sealed = memfd();
        ftruncate(&sealed, len).unwrap();
        rustix::fs::fcntl_add_seals(&sealed, rustix::fs::SealFlags::SHRINK | rustix::fs::SealFlags::GROW)
            .unwrap();
        assert_eq!(adopt(sealed).is_ok(), fine, "{len}");
    }
    assert_eq!(quota.used(), 0);

    let segment = Segments::new(&quota).create(PAGE, Sharing::Writers).unwrap();
    let writer = adopt(segment.share(Access::ReadWrite, NOBODY).unwrap().0).unwrap();
    let reader = adopt(segment.share(Access::ReadOnly, NOBODY).unwrap().0).unwrap();
    writer.attach(Access::ReadWrite).unwrap().write(0, b"seen by all").unwrap();
    assert_eq!(reader.attach(Access::ReadWrite).unwrap_err(), ShmError::ReadOnly);
    assert_eq!(reader.attach(Access::ReadOnly).unwrap().read_vec(0, 11).unwrap(), b"seen by all");
}

/// Tries to write one byte by opening descriptor 0 anew, as that user, in a program that knows nothing of us.
fn reopened_and_written(fd: OwnedFd, uid: u32) -> bool {
    let mut shell = Command::new("sh");
    shell.args(["-c", "printf x 1<>/proc/self/fd/0"]).uid(uid).stdin(Stdio::from(fd)).stderr(Stdio::null());
    shell.status().expect("sh starts; this test takes root to be somebody else").success()
}

#[test]
fn read_only_is_the_kernels_word_or_said_to_be_weak() {
    let me = rustix::process::geteuid().as_raw();
    assert_eq!(me, 0, "takes root, to be two users");
    for (sharing, to, expected, written) in [
        (Sharing::Writers, NOBODY, Enforcement::Kernel, false),
        (Sharing::Writers, me, Enforcement::Weakened, true),
        (Sharing::ReadersOnly, NOBODY, Enforcement::Kernel, false),
        (Sharing::ReadersOnly, me, Enforcement::Kernel, false),
    ] {
        let segment = Segments::new(&quota()).create(PAGE, sharing).unwrap();
        let (fd, enforcement, _lease) = segment.share(Access::ReadOnly, to).unwrap();
        assert_eq!(enforcement, expected, "{sharing:?} to {to}");
        assert!(
            File::from(fd.try_clone().unwrap()).write(b"x").is_err(),
            "the descriptor itself is for reading"
        );
        assert_eq!(reopened_and_written(fd, to), written, "{sharing:?} to {to}");
        let byte = segment.attach(Access::ReadOnly).unwrap().read_vec(0, 1).unwrap();
        assert_eq!(byte != [0], written, "{sharing:?} to {to}");
    }
}

#[test]
fn a_reopened_descriptor_of_a_sealed_segment_maps_for_reading_only() {
    let segment = Segments::new(&quota()).create(PAGE, Sharing::ReadersOnly).unwrap();
    let (fd, _, _lease) = segment.share(Access::ReadOnly, 0).unwrap();
    let again = OpenOptions::new().read(true).write(true).open(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    let adopted = Segment::adopt(again.unwrap().into(), PAGE, &quota()).unwrap();
    assert_eq!(adopted.access(), Access::ReadOnly);
    assert_eq!(adopted.attach(Access::ReadWrite).unwrap_err(), ShmError::ReadOnly);
}

#[test]
fn a_lease_keeps_the_charge_until_the_receiver_has_ended() {
    let quota = quota();
    let segment = Segments::new(&quota).create(PAGE, Sharing::Writers).unwrap();
    let (fd, _, lease) = segment.share(Access::ReadWrite, NOBODY).unwrap();
    drop((segment, fd));
    assert_eq!(quota.used(), PAGE);
    drop(lease);
    assert_eq!(quota.used(), 0);
}

#[test]
fn kept_memory_is_cleared_charged_and_gives_way() {
    let quota = Quota::root("shm", 8 * PAGE);
    let (a, b) = (quota.child("a", 8 * PAGE), quota.child("b", 8 * PAGE));
    let segments = Segments::with_limits(&quota, 8 * PAGE, 4 * PAGE);
    let of_a = segments.for_owner(&a);
    let secret = of_a.create(4 * PAGE, Sharing::Writers).unwrap();
    secret.attach(Access::ReadWrite).unwrap().write(5, b"secret").unwrap();
    drop(secret);
    assert_eq!((a.used(), quota.used(), segments.kept_bytes()), (0, 4 * PAGE, 4 * PAGE));
    let next = segments.for_owner(&b).create(4 * PAGE, Sharing::Writers).unwrap();
    assert_eq!((b.used(), quota.used(), segments.kept_bytes()), (4 * PAGE, 4 * PAGE, 0), "served again");
    let seen = next.attach(Access::ReadWrite).unwrap().read_vec(0, 4 * PAGE as usize).unwrap();
    assert!(seen.iter().all(|byte| *byte == 0));
    drop(next);
    let large = of_a.create(5 * PAGE, Sharing::Writers).expect("what is kept gives way");
    assert_eq!((quota.used(), segments.kept_bytes()), (5 * PAGE, 0));
    drop(large);
    let shared = of_a.create(PAGE, Sharing::Writers).unwrap();
    shared.attach(Access::ReadWrite).unwrap();
    let (_, _, lease) = shared.share(Access::ReadOnly, NOBODY).unwrap();
    drop((shared, lease));
    assert_eq!(segments.kept_bytes(), 0, "somebody outside may still see it");
    assert_eq!(quota.used(), 0);
}
