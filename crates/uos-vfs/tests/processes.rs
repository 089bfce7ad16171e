//! Descriptors by number: what closing, duplicating, forking and executing mean for open files and their locks.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use uos_vfs::lock::{LockKind, LockRange, Locks};
use uos_vfs::{Descriptor, Descriptors, Error, FileSystem, MemFs, OpenOptions};

/// A way to let go of what a number has locked.
type Way = (&'static str, fn(&Descriptors, u32));

const EXCLUSIVE: LockKind = LockKind::Exclusive;
const ALL: LockRange = LockRange::ALL;

struct Host {
    fs: MemFs,
    locks: Locks,
}

impl Host {
    fn new() -> Self {
        Host { fs: MemFs::builder().build(), locks: Locks::new() }
    }

    fn process(&self, owner: u64) -> Descriptors {
        Descriptors::new(owner, &self.locks, 8)
    }

    fn open(&self, process: &Descriptors, path: &str) -> u32 {
        let options = OpenOptions::read_write().create(0o644);
        process.open(false, || self.fs.open(path, &options)).unwrap()
    }
}

#[test]
fn closing_any_descriptor_of_a_file_lets_go_of_all_its_locks() {
    let host = Host::new();
    let [one, two] = [1, 2].map(|owner| host.process(owner));
    let [a, b, other] = ["/f", "/f", "/g"].map(|path| host.open(&one, path));
    let there = host.open(&two, "/f");
    one.try_lock(a, ALL, EXCLUSIVE).unwrap();
    one.close(other).unwrap();
    assert_eq!(two.try_lock(there, ALL, EXCLUSIVE), Err(Error::WouldBlock), "another file");
    one.close(b).unwrap();
    two.try_lock(there, ALL, EXCLUSIVE).unwrap();
    assert_eq!(one.close(b), Err(Error::BadDescriptor), "closed is closed");
}

#[test]
fn each_way_to_close_lets_go() {
    let ways: [Way; 5] = [
        ("close_range", |process, fd| process.close_range(fd..=u32::MAX).unwrap()),
        ("dup_to", |process, fd| assert_eq!(process.dup_to(0, fd, false), Ok(fd))),
        ("exec", |process, fd| {
            process.set_close_on_exec(fd, true).unwrap();
            process.exec();
        }),
        ("unlock", |process, fd| process.unlock(fd, ALL).unwrap()),
        ("close", |process, fd| process.close(fd).unwrap()),
    ];
    for (name, way) in ways {
        let host = Host::new();
        let [one, two] = [1, 2].map(|owner| host.process(owner));
        host.open(&one, "/other");
        let fd = host.open(&one, "/f");
        let there = host.open(&two, "/f");
        one.try_lock(fd, ALL, EXCLUSIVE).unwrap();
        assert_eq!(two.try_lock(there, ALL, EXCLUSIVE), Err(Error::WouldBlock), "{name}");
        way(&one, fd);
        assert_eq!(two.try_lock(there, ALL, EXCLUSIVE), Ok(()), "{name}");
    }
    let host = Host::new();
    let [one, two] = [1, 2].map(|owner| host.process(owner));
    let (fd, there) = (host.open(&one, "/f"), host.open(&two, "/f"));
    one.try_lock(fd, ALL, EXCLUSIVE).unwrap();
    drop(one);
    assert_eq!(two.try_lock(there, ALL, EXCLUSIVE), Ok(()), "with the process");
}

#[test]
fn a_child_shares_positions_but_no_locks() {
    let host = Host::new();
    let parent = host.process(1);
    let fd = host.open(&parent, "/f");
    parent.set_close_on_exec(fd, true).unwrap();
    parent.get(fd).unwrap().write(b"hello").unwrap();
    parent.try_lock(fd, ALL, EXCLUSIVE).unwrap();
    let child = parent.fork(2);
    assert_eq!(child.get(fd).unwrap().position(), 5);
    assert_eq!(child.try_lock(fd, ALL, EXCLUSIVE), Err(Error::WouldBlock));
    child.close(fd).unwrap();
    assert_eq!(host.locks.held(parent.get(fd).unwrap().node().id()).len(), 1, "the child closed its own");
    let child = parent.fork(3);
    assert!(child.closes_on_exec(fd).unwrap());
    child.exec();
    assert_eq!((child.numbers(), parent.numbers()), (vec![], vec![fd]));
}

#[test]
fn without_a_number_nothing_is_made() {
    let host = Host::new();
    let process = host.process(1);
    for _ in 0..8 {
        host.open(&process, "/f");
    }
    let refused = process.open(false, || host.fs.open("/new", &OpenOptions::write_only().create(0o644)));
    assert_eq!(refused, Err(Error::TooManyFiles));
    assert_eq!(host.fs.exists("/new"), Ok(false));
    process.close(3).unwrap();
    let refused = process.open(false, || host.fs.open("/missing", &OpenOptions::read_only()));
    assert_eq!(refused, Err(Error::NotFound));
    assert_eq!(host.open(&process, "/f"), 3, "the number went back");
    process.close(3).unwrap();
    let seen = process.open(false, || {
        assert_eq!(process.get(3).unwrap_err(), Error::BadDescriptor, "not before it is open");
        assert_eq!(process.dup_to(0, 3, false), Err(Error::Busy));
        assert_eq!(process.close(3), Err(Error::BadDescriptor));
        host.fs.open("/f", &OpenOptions::read_only())
    });
    assert_eq!(seen, Ok(3));
    assert!(matches!(
        process.close_range(std::ops::RangeInclusive::new(5, 4)),
        Err(Error::InvalidArgument(_))
    ));
}

#[test]
fn what_is_closed_while_it_waits_is_not_locked_in_the_end() {
    let host = Host::new();
    let [one, two] = [1, 2].map(|owner| host.process(owner));
    let (fd, there) = (host.open(&one, "/f"), host.open(&two, "/f"));
    two.try_lock(there, ALL, EXCLUSIVE).unwrap();
    let cx = &mut Context::from_waker(Waker::noop());
    let mut waits = pin!(one.lock(fd, ALL, EXCLUSIVE));
    assert_eq!(waits.as_mut().poll(cx), Poll::Pending);
    one.close(fd).unwrap();
    assert_eq!(host.open(&one, "/f"), fd, "the same number for another open file");
    two.unlock(there, ALL).unwrap();
    assert_eq!(waits.as_mut().poll(cx), Poll::Ready(Err(Error::BadDescriptor)));
    assert!(host.locks.held(two.get(there).unwrap().node().id()).is_empty());
}

#[test]
fn a_process_that_ends_waits_no_more() {
    let host = Host::new();
    let [one, two] = [1, 2].map(|owner| host.process(owner));
    let (fd, there) = (host.open(&one, "/f"), host.open(&two, "/f"));
    two.try_lock(there, ALL, EXCLUSIVE).unwrap();
    let file = one.get(fd).unwrap();
    let cx = &mut Context::from_waker(Waker::noop());
    let mut waits = pin!(file.lock(one.lock_owner(), ALL, EXCLUSIVE));
    assert_eq!(waits.as_mut().poll(cx), Poll::Pending);
    drop(one);
    assert_eq!(waits.as_mut().poll(cx), Poll::Ready(Err(Error::BadDescriptor)));
    drop(two);
    assert_eq!(format!("{:?}", host.locks), "Locks { files: 0 }");
}

#[test]
fn what_was_opened_with_other_locks_gets_no_number() {
    let host = Host::new();
    let process = host.process(1);
    let open = || host.fs.open("/f", &OpenOptions::read_write().create(0o644)).unwrap();
    let strange = Descriptor::with_locks(open(), &Locks::new());
    assert!(matches!(process.insert(strange, false), Err(Error::InvalidArgument(_))));
    let plain = process.insert(open().into(), false).unwrap();
    assert!(matches!(process.try_lock(plain, ALL, EXCLUSIVE), Err(Error::NotSupported(_))));
    let ours = process.insert(Descriptor::with_locks(open(), &host.locks), true).unwrap();
    process.try_lock(ours, ALL, EXCLUSIVE).unwrap();
    let ready = process.readiness(ours).unwrap();
    assert!(ready.read && ready.write);
    assert_eq!(process.readiness(7), Err(Error::BadDescriptor));
}

#[test]
fn whether_it_appends_is_shared_and_can_be_changed() {
    let host = Host::new();
    let process = host.process(1);
    let fd = host.open(&process, "/f");
    let same = process.dup_from(fd, 5, true).unwrap();
    assert_eq!(same, 5);
    let file = process.get(fd).unwrap();
    file.write(b"0123456789").unwrap();
    process.get(same).unwrap().set_appends(true);
    file.pwrite(0, b"x").unwrap();
    assert!(file.appends());
    file.set_appends(false);
    file.pwrite(0, b"y").unwrap();
    let mut all = [0; 20];
    let read = process.get(same).unwrap().pread(0, &mut all).unwrap();
    assert_eq!(&all[..read], b"y123456789x");
}
