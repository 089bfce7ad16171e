//! The bells between the two sides of a ring as the model checkers see them: an eventfd each, and the thread that waits for it.
//!
//! Whoever listens is told by its waker, at once if the bell rings already: the kernel tells that, too. The line between the
//! sides never breaks here, so that nobody is woken by that who would have slept on otherwise.

use crate::sync::{Arc, Mutex};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// One side's part of it.
pub(crate) struct Line {
    own: Arc<Bell>,
    other: Arc<Bell>,
    life: Arc<Bell>,
}

#[derive(Default)]
struct Bell {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rings: bool,
    next: u64,
    waiters: Vec<(u64, Waker)>,
}

/// Waits at a bell; ready once it has rung.
pub(crate) struct Waiting {
    bell: Arc<Bell>,
    id: Option<u64>,
}

impl Line {
    pub(super) fn pair() -> (Line, Line) {
        let bell = || Arc::new(Bell::default());
        let (one, two, life) = (bell(), bell(), bell());
        (
            Line { own: one.clone(), other: two.clone(), life: life.clone() },
            Line { own: two, other: one, life },
        )
    }

    pub(crate) fn ring(&self) {
        let mut state = self.other.state.lock();
        state.rings = true;
        let waiters = std::mem::take(&mut state.waiters);
        drop(state);
        waiters.into_iter().for_each(|(_, waker)| waker.wake());
    }

    pub(crate) fn hush(&self) {
        self.own.state.lock().rings = false;
        let waiters = std::mem::take(&mut self.own.state.lock().waiters);
        waiters.into_iter().for_each(|(_, waker)| waker.wake());
    }

    pub(crate) fn listen(&self) -> (Waiting, Waiting) {
        let at = |bell: &Arc<Bell>| Waiting { bell: bell.clone(), id: None };
        (at(&self.own), at(&self.life))
    }

    pub(crate) fn is_dead(&self) -> bool {
        false
    }

    pub(crate) fn probe(&self) -> bool {
        false
    }
}

impl Future for Waiting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut waker = cx.waker().clone();
        let Waiting { bell, id } = &mut *self;
        let mut state = bell.state.lock();
        let at = id.map(|id| state.waiters.iter().position(|(other, _)| *other == id));
        match at {
            None => {
                state.next += 1;
                *id = Some(state.next);
                if state.rings {
                    drop(state);
                    waker.wake();
                } else {
                    let entry = (state.next, waker);
                    state.waiters.push(entry);
                }
                Poll::Pending
            }
            Some(Some(at)) => {
                std::mem::swap(&mut state.waiters[at].1, &mut waker);
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
        let mut state = self.bell.state.lock();
        let at = state.waiters.iter().position(|(other, _)| Some(*other) == self.id);
        let _dropped_after_the_lock = at.map(|at| state.waiters.swap_remove(at));
        drop(state);
    }
}
