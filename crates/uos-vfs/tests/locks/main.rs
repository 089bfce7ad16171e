//! Locks: random histories against a naive model, and what the rules of fcntl(2) and flock(2) say of single cases.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod cases;
mod naive;

use naive::{BYTES, Naive, Wish};
use proptest::prelude::*;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use uos_vfs::lock::{HeldLock, LockKind, LockOwner, LockRange, LockWait, Locks};
use uos_vfs::{Descriptor, Error, FileSystem, MemFs, OpenOptions};

const FILES: usize = 2;
/// The first ones are given, the others the open files themselves, one for each file.
const GIVEN: usize = 4;
const OWNERS: usize = GIVEN + FILES;

#[derive(Clone, Debug)]
enum Step {
    Try(Wish),
    Unlock(Wish),
    Look(Wish),
    Wait(Wish),
    GiveUp(usize),
    Release {
        file: usize,
        owner: usize,
    },
    End {
        owner: usize,
    },
    /// Lets so many of the woken look.
    Run(usize),
}

fn wish() -> impl Strategy<Value = Wish> {
    let kind = prop_oneof![Just(LockKind::Shared), Just(LockKind::Exclusive)];
    (0..FILES, 0..OWNERS, 0..BYTES, 1..=BYTES, kind).prop_map(|(file, owner, from, len, kind)| {
        let file = if owner < GIVEN { file } else { owner - GIVEN };
        Wish { file, owner, from, to: (from + len).min(BYTES), kind }
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => wish().prop_map(Step::Try),
        4 => wish().prop_map(Step::Unlock),
        1 => wish().prop_map(Step::Look),
        4 => wish().prop_map(Step::Wait),
        1 => any::<prop::sample::Index>().prop_map(|at| Step::GiveUp(at.index(8))),
        1 => (0..FILES, 0..OWNERS).prop_map(|(file, owner)| Step::Release { file, owner }),
        1 => (0..OWNERS).prop_map(|owner| Step::End { owner }),
        4 => (0..6_usize).prop_map(Step::Run),
    ]
}

/// Woken or not.
#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct Waiting {
    id: usize,
    wish: Wish,
    future: Pin<Box<LockWait>>,
    flag: Arc<Flag>,
    ended: bool,
}

struct World {
    locks: Locks,
    files: Vec<Descriptor>,
    naive: Naive,
    waiting: Vec<Waiting>,
    next: usize,
}

impl World {
    fn new() -> Self {
        let (fs, locks) = (MemFs::builder().build(), Locks::new());
        let options = OpenOptions::read_write().create(0o644);
        let files = (0..FILES).map(|at| fs.open(format!("/{at}"), &options).unwrap());
        let files = files.map(|file| Descriptor::with_locks(file, &locks)).collect();
        World { locks, files, naive: Naive::default(), waiting: Vec::new(), next: 0 }
    }

    fn owner(&self, owner: usize) -> LockOwner {
        if owner < GIVEN { LockOwner::Given(owner as u64) } else { self.files[owner - GIVEN].lock_owner() }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Try(wish) => {
                let done = self.files[wish.file].try_lock(self.owner(wish.owner), range(wish), wish.kind);
                if self.naive.in_the_way(wish).is_empty() {
                    assert_eq!(done, Ok(()), "{wish:?}");
                    self.naive.set(wish, Some(wish.kind));
                } else {
                    assert_eq!(done, Err(Error::WouldBlock), "{wish:?}");
                }
            }
            Step::Unlock(wish) => {
                self.files[wish.file].unlock(self.owner(wish.owner), range(wish)).unwrap();
                self.naive.set(wish, None);
            }
            Step::Look(wish) => {
                let file = &self.files[wish.file];
                let held = file.lock_in_the_way(self.owner(wish.owner), range(wish), wish.kind).unwrap();
                let expected = self.naive.in_the_way(wish);
                match held {
                    None => assert!(expected.is_empty(), "{wish:?}"),
                    Some(held) => assert!(expected.iter().any(|owner| self.owner(*owner) == held.owner)),
                }
            }
            Step::Wait(wish) => {
                let future = self.files[wish.file].lock(self.owner(wish.owner), range(wish), wish.kind);
                let flag = Arc::new(Flag(AtomicBool::new(true)));
                self.waiting.push(Waiting {
                    id: self.next,
                    wish,
                    future: Box::pin(future),
                    flag,
                    ended: false,
                });
                self.next += 1;
                self.poll(self.waiting.len() - 1);
            }
            Step::GiveUp(at) if at < self.waiting.len() => {
                let gone = self.waiting.remove(at);
                self.naive.waiting.retain(|(id, _)| *id != gone.id);
            }
            Step::GiveUp(_) => {}
            Step::Release { file, owner } => {
                self.locks.release(self.owner(owner), self.files[file].node().id());
                self.naive.release(file, owner);
            }
            Step::End { owner } => {
                self.locks.release_all(self.owner(owner));
                (0..FILES).for_each(|file| self.naive.release(file, owner));
                self.naive.waiting.retain(|(_, wish)| wish.owner != owner);
                for waiting in self.waiting.iter_mut().filter(|waiting| waiting.wish.owner == owner) {
                    assert!(waiting.flag.0.load(Ordering::SeqCst), "whoever is ended is woken");
                    waiting.ended = true;
                }
            }
            Step::Run(most) => self.run(most),
        }
        for file in 0..FILES {
            self.compare(file);
        }
    }

    fn run(&mut self, most: usize) {
        for _ in 0..most {
            let woken = self.waiting.iter().position(|waiting| waiting.flag.0.load(Ordering::SeqCst));
            let Some(at) = woken else { return };
            self.poll(at);
        }
    }

    fn poll(&mut self, at: usize) {
        let waiting = &mut self.waiting[at];
        waiting.flag.0.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&waiting.flag));
        let answer = waiting.future.as_mut().poll(&mut Context::from_waker(&waker));
        let (id, wish, ended) = (waiting.id, waiting.wish, waiting.ended);
        self.naive.waiting.retain(|(other, _)| *other != id);
        let expected = if ended {
            Poll::Ready(Err(Error::BadDescriptor))
        } else if self.naive.in_the_way(wish).is_empty() {
            self.naive.set(wish, Some(wish.kind));
            Poll::Ready(Ok(()))
        } else if self.naive.waits_for_itself(wish, |owner| owner < GIVEN) {
            Poll::Ready(Err(Error::Deadlock))
        } else {
            self.naive.waiting.push((id, wish));
            Poll::Pending
        };
        assert_eq!(answer, expected, "{wish:?}");
        if answer.is_ready() {
            self.waiting.remove(at);
        }
    }

    fn compare(&self, file: usize) {
        let expected = self.naive.pieces(file).into_iter().map(|(owner, from, to, kind)| HeldLock {
            owner: self.owner(owner),
            range: range(Wish { file, owner, from, to, kind }),
            kind,
        });
        assert_eq!(self.locks.held(self.files[file].node().id()), expected.collect::<Vec<_>>());
    }

    /// When all who were woken have looked, whoever still waits does so for somebody, and nobody for itself.
    fn settle(&mut self) {
        self.run(usize::MAX);
        for waiting in &self.waiting {
            assert!(!self.naive.in_the_way(waiting.wish).is_empty(), "not woken: {:?}", waiting.wish);
            assert!(!self.naive.waits_for_itself(waiting.wish, |owner| owner < GIVEN));
        }
    }
}

fn range(wish: Wish) -> LockRange {
    let len = if wish.to == BYTES { 0 } else { wish.to - wish.from };
    LockRange::new(wish.from as u64, len as u64).unwrap()
}

proptest! {
    #[test]
    fn locks_are_what_a_naive_model_says(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.settle();
        // Once everybody lets go, those who wait get it one after the other, and nothing is left.
        for _ in 0..=steps.len() {
            (0..OWNERS).for_each(|owner| (0..FILES).for_each(|file| world.step(&Step::Release { file, owner })));
            world.settle();
        }
        prop_assert!(world.waiting.is_empty());
        prop_assert_eq!(format!("{:?}", world.locks), "Locks { files: 0 }");
    }
}
