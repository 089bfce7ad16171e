//! Waiting for a lock.

use super::registry::{Space, WaitId};
use super::{HeldLock, Locks};
use crate::{Error, NodeRef, Result};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Is there when the lock is held, or says why it can't be. Nothing is asked before it is polled; dropped before it has
/// said so, it has taken nothing.
#[must_use = "nothing is locked before it is polled"]
pub struct LockWait {
    locks: Locks,
    space: Space,
    node: NodeRef,
    wish: HeldLock,
    state: State,
}

enum State {
    Refused(Error),
    New,
    Waits(WaitId),
    Done,
}

impl LockWait {
    pub(super) fn new(locks: Locks, space: Space, node: NodeRef, wish: HeldLock) -> Self {
        LockWait { locks, space, node, wish, state: State::New }
    }

    /// What was refused before anybody was asked.
    pub(crate) fn refused(mut self, why: Option<Error>) -> Self {
        if let Some(error) = why {
            self.state = State::Refused(error);
        }
        self
    }
}

impl Future for LockWait {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = &mut *self;
        let before = match std::mem::replace(&mut this.state, State::Done) {
            State::Refused(error) => return Poll::Ready(Err(error)),
            State::New => None,
            State::Waits(id) => Some(id),
            State::Done => panic!("polled after it had answered"),
        };
        // Cloned before and dropped after the lock: both may run anything.
        let waker = cx.waker().clone();
        let key = (this.node.id(), this.space);
        let answer = this
            .locks
            .step(|registry, after| registry.ask_or_wait(key, &this.node, this.wish, before, waker, after));
        match answer {
            Ok(None) => Poll::Ready(Ok(())),
            Ok(Some(id)) => {
                this.state = State::Waits(id);
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Drop for LockWait {
    fn drop(&mut self) {
        if let State::Waits(id) = self.state {
            let key = (self.node.id(), self.space);
            self.locks.step(|registry, after| registry.give_up(key, id, after));
        }
    }
}

impl fmt::Debug for LockWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockWait").field("wish", &self.wish).finish_non_exhaustive()
    }
}

#[cfg(all(test, loom))]
mod models {
    use crate::lock::{LockKind, LockOwner, LockRange, Locks};
    use crate::{Descriptor, FileSystem, MemFs, OpenOptions};
    use loom::thread;

    fn open() -> Descriptor {
        let fs = MemFs::builder().build();
        let file = fs.open("/f", &OpenOptions::read_write().create(0o644));
        Descriptor::with_locks(file.expect("memory has room for a file"), &Locks::new())
    }

    #[test]
    fn whoever_waits_is_woken_by_the_unlocking() {
        loom::model(|| {
            let file = open();
            let there = file.dup();
            let other = thread::spawn(move || {
                let owner = LockOwner::Given(1);
                there.try_lock(owner, LockRange::ALL, LockKind::Exclusive).ok();
                there.unlock(owner, LockRange::ALL).expect("to be unlocked");
            });
            // A wake-up that is lost leaves this waiting for ever, which loom calls a deadlock.
            let wait = file.lock(LockOwner::Given(2), LockRange::ALL, LockKind::Exclusive);
            loom::future::block_on(wait).expect("to be locked in the end");
            other.join().unwrap();
        });
    }

    #[test]
    fn a_chance_that_is_given_up_is_not_lost() {
        loom::model(|| {
            let file = open();
            file.try_lock(LockOwner::Given(1), LockRange::ALL, LockKind::Exclusive).expect("to be free");
            let there = file.dup();
            let giving_up = thread::spawn(move || {
                let mut wait = there.lock(LockOwner::Given(2), LockRange::ALL, LockKind::Exclusive);
                let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
                // It may have it, be woken for it, or neither, when it gives up.
                if std::pin::Pin::new(&mut wait).poll(cx).is_ready() {
                    there.unlock(LockOwner::Given(2), LockRange::ALL).expect("to be unlocked");
                }
            });
            let there = file.dup();
            let unlocking = thread::spawn(move || {
                there.unlock(LockOwner::Given(1), LockRange::ALL).expect("to be unlocked");
            });
            let wait = file.lock(LockOwner::Given(3), LockRange::ALL, LockKind::Exclusive);
            loom::future::block_on(wait).expect("to be locked in the end");
            giving_up.join().unwrap();
            unlocking.join().unwrap();
        });
    }
}
