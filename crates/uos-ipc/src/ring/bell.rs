//! The bells between the two sides of a ring as the model checkers see them: an eventfd each, and the thread that waits for it.
//!
//! That thread may come late: what it would have told of may have been hushed by then. The line between the sides never breaks
//! here, so that nobody is woken by that who would have slept on otherwise.

use crate::sync::Arc;
#[cfg(loom)]
use loom::{
    sync::{Condvar, Mutex, MutexGuard},
    thread,
};
#[cfg(shuttle)]
use shuttle::{
    sync::{Condvar, Mutex, MutexGuard},
    thread,
};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// One side's part of it.
pub(crate) struct Line {
    kernel: Arc<Kernel>,
    own: usize,
    other: usize,
}

/// Two bells, and a line that only seems to be one.
const LIFE: usize = 2;

struct Kernel {
    state: Mutex<State>,
    asked: Condvar,
}

#[derive(Default)]
struct State {
    bells: [Bell; 3],
    next: u64,
    ended: bool,
}

#[derive(Default)]
struct Bell {
    rings: bool,
    waiters: Vec<(u64, Waker)>,
}

/// Waits at a bell; ready once it was told.
pub(crate) struct Waiting {
    kernel: Arc<Kernel>,
    bell: usize,
    id: Option<u64>,
}

impl Line {
    pub(super) fn pair() -> (Line, Line) {
        let kernel = Arc::new(Kernel { state: Mutex::new(State::default()), asked: Condvar::new() });
        let tells = kernel.clone();
        thread::spawn(move || tells.run());
        (Line { kernel: kernel.clone(), own: 0, other: 1 }, Line { kernel, own: 1, other: 0 })
    }

    pub(crate) fn ring(&self) {
        self.kernel.lock().bells[self.other].rings = true;
        self.kernel.asked.notify_one();
    }

    pub(crate) fn hush(&self) {
        self.kernel.lock().bells[self.own].rings = false;
        // As the real one does: they look again.
        let waiters = std::mem::take(&mut self.kernel.lock().bells[self.own].waiters);
        waiters.into_iter().for_each(|(_, waker)| waker.wake());
    }

    pub(crate) fn listen(&self) -> (Waiting, Waiting) {
        let at = |bell| Waiting { kernel: self.kernel.clone(), bell, id: None };
        (at(self.own), at(LIFE))
    }

    pub(crate) fn is_dead(&self) -> bool {
        false
    }

    pub(crate) fn is_dead_after(&self, _asked: u32) -> bool {
        false
    }

    pub(crate) fn probe(&self) -> bool {
        false
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.kernel.lock().ended = true;
        self.kernel.asked.notify_one();
    }
}

impl Kernel {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a model that panicked has already failed")
    }

    fn run(&self) {
        let mut state = self.lock();
        while !state.ended {
            let due = state.bells.iter_mut().filter(|bell| bell.rings);
            let woken: Vec<_> = due.flat_map(|bell| std::mem::take(&mut bell.waiters)).collect();
            if woken.is_empty() {
                state = self.asked.wait(state).expect("a model that panicked has already failed");
            } else {
                drop(state);
                woken.into_iter().for_each(|(_, waker)| waker.wake());
                state = self.lock();
            }
        }
    }
}

impl Future for Waiting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut waker = cx.waker().clone();
        let Waiting { kernel, bell, id } = &mut *self;
        let mut state = kernel.lock();
        let waiters = &mut state.bells[*bell].waiters;
        let at = id.map(|id| waiters.iter().position(|(other, _)| *other == id));
        match at {
            None => {
                state.next += 1;
                *id = Some(state.next);
                let entry = (state.next, waker);
                state.bells[*bell].waiters.push(entry);
                drop(state);
                kernel.asked.notify_one();
                Poll::Pending
            }
            Some(Some(at)) => {
                std::mem::swap(&mut waiters[at].1, &mut waker);
                drop(state);
                Poll::Pending
            }
            Some(None) => {
                *id = None;
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.kernel.lock();
        let waiters = &mut state.bells[self.bell].waiters;
        let at = waiters.iter().position(|(other, _)| Some(*other) == self.id);
        let _dropped_after_the_lock = at.map(|at| waiters.swap_remove(at));
        drop(state);
    }
}
