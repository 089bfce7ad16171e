//! Single cases, each with its rule.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use uos_vfs::lock::{LockKind, LockOwner, LockRange, Locks};
use uos_vfs::{Descriptor, Error, FileSystem, MemFs, OpenOptions};

const ONE: LockOwner = LockOwner::Given(1);
const TWO: LockOwner = LockOwner::Given(2);

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn open(locks: &Locks) -> (MemFs, Descriptor) {
    let fs = MemFs::builder().build();
    let file = again(&fs, locks, OpenOptions::read_write().create(0o644));
    (fs, file)
}

fn again(fs: &MemFs, locks: &Locks, options: OpenOptions) -> Descriptor {
    Descriptor::with_locks(fs.open("/f", &options).unwrap(), locks)
}

fn bytes(start: u64, len: u64) -> LockRange {
    LockRange::new(start, len).unwrap()
}

#[test]
fn no_range_is_made_that_no_file_has() {
    for (start, len) in [(1 << 63, 0), (u64::MAX, 1)] {
        assert!(matches!(LockRange::new(start, len), Err(Error::InvalidArgument(_))), "{start} {len}");
    }
    for (start, len) in [(1, u64::MAX), ((1 << 63) - 1, 2), (1, 1 << 63)] {
        assert_eq!(LockRange::new(start, len).unwrap_err().errno(), 75, "EOVERFLOW: {start} {len}");
    }
    assert_eq!(bytes(0, 1 << 63), LockRange::ALL);
    assert_eq!(bytes((1 << 63) - 1, 1).len(), 0, "the last byte there can be, and all after it");
}

#[test]
fn a_lock_takes_what_the_file_was_opened_for() {
    let locks = Locks::new();
    let (fs, _file) = open(&locks);
    let reads = again(&fs, &locks, OpenOptions::read_only());
    let writes = again(&fs, &locks, OpenOptions::write_only());
    assert_eq!(reads.try_lock(ONE, LockRange::ALL, LockKind::Exclusive), Err(Error::BadDescriptor));
    assert_eq!(writes.try_lock(ONE, LockRange::ALL, LockKind::Shared), Err(Error::BadDescriptor));
    assert_eq!(poll_once(reads.lock(ONE, LockRange::ALL, LockKind::Exclusive)), Err(Error::BadDescriptor));
    reads.try_lock(ONE, LockRange::ALL, LockKind::Shared).unwrap();
    reads.try_lock_whole(LockKind::Exclusive).unwrap();
    let stranger = LockOwner::OpenFile(match writes.lock_owner() {
        LockOwner::OpenFile(id) => id,
        _ => unreachable!("an open file is its own owner"),
    });
    let refused = reads.try_lock(stranger, LockRange::ALL, LockKind::Shared);
    assert!(matches!(refused, Err(Error::InvalidArgument(_))), "nobody would let go of it: {refused:?}");
    let plain = Descriptor::from(fs.open("/f", &OpenOptions::read_write()).unwrap());
    assert!(matches!(plain.try_lock_whole(LockKind::Shared), Err(Error::NotSupported(_))));
    assert!(matches!(poll_once(plain.lock_whole(LockKind::Shared)), Err(Error::NotSupported(_))));
}

#[test]
fn locks_are_on_the_file_and_not_on_a_name_of_it() {
    let locks = Locks::new();
    let (fs, file) = open(&locks);
    fs.hard_link("/f", "/g").unwrap();
    let other = Descriptor::with_locks(fs.open("/g", &OpenOptions::read_write()).unwrap(), &locks);
    file.try_lock(ONE, LockRange::ALL, LockKind::Exclusive).unwrap();
    assert_eq!(other.try_lock(TWO, bytes(7, 1), LockKind::Shared), Err(Error::WouldBlock));
    let held = other.lock_in_the_way(TWO, bytes(7, 1), LockKind::Shared).unwrap().unwrap();
    assert_eq!((held.owner, held.range, held.kind), (ONE, LockRange::ALL, LockKind::Exclusive));
}

#[test]
fn an_owner_may_have_so_many_pieces_and_no_more() {
    let locks = Locks::with_limit(2);
    let (_fs, file) = open(&locks);
    file.try_lock(ONE, bytes(0, 10), LockKind::Shared).unwrap();
    file.try_lock(ONE, bytes(20, 10), LockKind::Shared).unwrap();
    let before = locks.held(file.node().id());
    assert_eq!(file.try_lock(ONE, bytes(40, 1), LockKind::Shared), Err(Error::TooManyLocks));
    assert_eq!(file.try_lock(ONE, bytes(5, 1), LockKind::Exclusive), Err(Error::TooManyLocks));
    assert_eq!(file.unlock(ONE, bytes(5, 1)), Err(Error::TooManyLocks), "cut in two it would be three");
    assert_eq!(locks.held(file.node().id()), before, "what is refused changes nothing");
    file.try_lock(ONE, bytes(10, 10), LockKind::Shared).unwrap();
    assert_eq!(locks.held(file.node().id()).len(), 1);
    file.try_lock(TWO, bytes(40, 1), LockKind::Shared).unwrap();
}

#[test]
fn whole_files_are_locked_by_open_files_until_the_last_duplicate_is_gone() {
    let locks = Locks::new();
    let (fs, one) = open(&locks);
    let two = again(&fs, &locks, OpenOptions::read_only());
    one.try_lock_whole(LockKind::Exclusive).unwrap();
    let same = one.dup();
    same.try_lock_whole(LockKind::Shared).unwrap();
    same.try_lock_whole(LockKind::Exclusive).unwrap();
    assert_eq!(two.try_lock_whole(LockKind::Shared), Err(Error::WouldBlock));
    // The two kinds know nothing of each other.
    two.try_lock(TWO, LockRange::ALL, LockKind::Shared).unwrap();
    drop(one);
    assert_eq!(two.try_lock_whole(LockKind::Shared), Err(Error::WouldBlock), "there is still a duplicate");
    drop(same);
    two.try_lock_whole(LockKind::Shared).unwrap();
    assert_eq!(locks.held_whole(two.node().id()).len(), 1);
    two.unlock_whole().unwrap();
    assert!(locks.held_whole(two.node().id()).is_empty());
}

#[test]
fn an_upgrade_is_refused_whole_or_lets_go_to_wait() {
    let locks = Locks::new();
    let (fs, one) = open(&locks);
    let two = again(&fs, &locks, OpenOptions::read_write());
    one.try_lock_whole(LockKind::Shared).unwrap();
    two.try_lock_whole(LockKind::Shared).unwrap();
    assert_eq!(one.try_lock_whole(LockKind::Exclusive), Err(Error::WouldBlock));
    assert_eq!(locks.held_whole(one.node().id()).len(), 2, "what is refused changes nothing");
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let cx = &mut Context::from_waker(&waker);
    let mut upgrade = pin!(one.lock_whole(LockKind::Exclusive));
    assert_eq!(upgrade.as_mut().poll(cx), Poll::Pending);
    let mut other = pin!(two.lock_whole(LockKind::Exclusive));
    assert_eq!(other.as_mut().poll(cx), Poll::Ready(Ok(())), "nobody waits for the other for ever");
    two.unlock_whole().unwrap();
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
    assert_eq!(upgrade.as_mut().poll(cx), Poll::Ready(Ok(())));
}

#[test]
fn two_who_share_and_want_it_alone_are_told_of_the_deadlock() {
    let locks = Locks::new();
    let (_fs, file) = open(&locks);
    for owner in [ONE, TWO] {
        file.try_lock(owner, LockRange::ALL, LockKind::Shared).unwrap();
    }
    let cx = &mut Context::from_waker(Waker::noop());
    let mut one = pin!(file.lock(ONE, LockRange::ALL, LockKind::Exclusive));
    assert_eq!(one.as_mut().poll(cx), Poll::Pending);
    let mut two = pin!(file.lock(TWO, bytes(5, 1), LockKind::Exclusive));
    assert_eq!(two.as_mut().poll(cx), Poll::Ready(Err(Error::Deadlock)));
    file.unlock(TWO, LockRange::ALL).unwrap();
    assert_eq!(one.as_mut().poll(cx), Poll::Ready(Ok(())));
}

#[test]
fn a_deadlock_that_comes_about_behind_a_waiter_is_told_to_it() {
    let locks = Locks::new();
    let (_fs, file) = open(&locks);
    let [a, b] = [bytes(0, 1), bytes(1, 1)];
    file.try_lock(TWO, a, LockKind::Exclusive).unwrap();
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let cx = &mut Context::from_waker(&waker);
    let mut one = pin!(file.lock(ONE, a, LockKind::Exclusive));
    assert_eq!(one.as_mut().poll(cx), Poll::Pending);
    let free = &mut Context::from_waker(Waker::noop());
    let three = LockOwner::Given(3);
    file.try_lock(three, b, LockKind::Shared).unwrap();
    let mut two = pin!(file.lock(TWO, b, LockKind::Exclusive));
    assert_eq!(two.as_mut().poll(free), Poll::Pending, "it waits for the third, who waits for nobody");
    // Another thread of the first takes what the second waits for.
    file.try_lock(ONE, b, LockKind::Shared).unwrap();
    assert_eq!(count.0.load(Ordering::SeqCst), 1, "it has to look again");
    assert_eq!(one.as_mut().poll(cx), Poll::Ready(Err(Error::Deadlock)));
}

#[test]
fn a_chance_that_is_given_up_goes_to_the_next() {
    let locks = Locks::new();
    let (_fs, file) = open(&locks);
    file.try_lock(ONE, LockRange::ALL, LockKind::Exclusive).unwrap();
    let counts = [(); 2].map(|()| Arc::new(Count::default()));
    let wakers = counts.each_ref().map(|count| Waker::from(Arc::clone(count)));
    let waits = [2, 3].map(|owner| file.lock(LockOwner::Given(owner), LockRange::ALL, LockKind::Exclusive));
    let mut waits = waits.map(Box::pin);
    for (wait, waker) in waits.iter_mut().zip(&wakers) {
        assert_eq!(wait.as_mut().poll(&mut Context::from_waker(waker)), Poll::Pending);
    }
    file.unlock(ONE, LockRange::ALL).unwrap();
    let woken = |at: usize| counts[at].0.load(Ordering::SeqCst);
    assert_eq!([woken(0), woken(1)], [1, 0], "one at a time, and in order");
    let [first, mut second] = waits;
    drop(first);
    assert_eq!(woken(1), 1);
    assert_eq!(second.as_mut().poll(&mut Context::from_waker(&wakers[1])), Poll::Ready(Ok(())));
}

#[test]
fn who_is_overtaken_holds_up_nobody_behind() {
    let locks = Locks::new();
    let (_fs, file) = open(&locks);
    file.try_lock(ONE, LockRange::ALL, LockKind::Exclusive).unwrap();
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut all = pin!(file.lock(TWO, LockRange::ALL, LockKind::Exclusive));
    let mut end = pin!(file.lock(LockOwner::Given(3), bytes(9, 1), LockKind::Shared));
    assert_eq!(all.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
    assert_eq!(end.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending);
    file.unlock(ONE, LockRange::ALL).unwrap();
    assert_eq!(count.0.load(Ordering::SeqCst), 0, "the one in front of it wants it alone");
    file.try_lock(ONE, bytes(0, 1), LockKind::Shared).unwrap();
    assert_eq!(all.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
    assert_eq!(count.0.load(Ordering::SeqCst), 1, "which it can't have for now");
    assert_eq!(end.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Ready(Ok(())));
}

#[test]
fn a_lock_keeps_the_file_from_being_taken_for_another() {
    let locks = Locks::new();
    let (fs, file) = open(&locks);
    let id = file.node().id();
    file.try_lock(ONE, LockRange::ALL, LockKind::Shared).unwrap();
    fs.delete("/f").unwrap();
    drop(file);
    assert_eq!(locks.held(id).len(), 1);
    let used = fs.stat_fs("/").unwrap().nodes_free;
    locks.release(ONE, id);
    assert!(locks.held(id).is_empty());
    assert_eq!(fs.stat_fs("/").unwrap().nodes_free, used + 1, "and lets go of it");
}

#[test]
fn threads_exclude_each_other() {
    let locks = Locks::new();
    let (_fs, file) = open(&locks);
    file.write(&[0; 8]).unwrap();
    std::thread::scope(|scope| {
        for owner in 0..4 {
            let file = file.dup();
            scope.spawn(move || {
                for _ in 0..500 {
                    block_on(file.lock(LockOwner::Given(owner), bytes(0, 8), LockKind::Exclusive)).unwrap();
                    let mut number = [0; 8];
                    file.pread(0, &mut number).unwrap();
                    std::thread::yield_now();
                    file.pwrite(0, &(u64::from_le_bytes(number) + 1).to_le_bytes()).unwrap();
                    file.unlock(LockOwner::Given(owner), bytes(0, 8)).unwrap();
                }
            });
        }
    });
    let mut number = [0; 8];
    file.pread(0, &mut number).unwrap();
    assert_eq!(u64::from_le_bytes(number), 2000);
}

fn poll_once(wait: uos_vfs::lock::LockWait) -> Result<(), Error> {
    match pin!(wait).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("it waits"),
    }
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => std::thread::park(),
        }
    }
}
