//! Waiting for threads: the same futures, with a parked thread as the one to wake.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};
use std::time::Instant;

/// Runs one future on the calling thread and sleeps in between.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    match block_on_until(future, None) {
        Some(output) => output,
        None => unreachable!("without a deadline only an answer ends the wait"),
    }
}

/// As [`block_on`], but gives up at the deadline. The future is dropped then, which is free.
pub(crate) fn block_on_until<F: Future>(future: F, deadline: Option<Instant>) -> Option<F::Output> {
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        // An unpark that comes before the park makes the park return at once, so none is lost.
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        match deadline {
            None => thread::park(),
            Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => thread::park_timeout(left),
                _ => return None,
            },
        }
    }
}

/// A short while to wait before one looks again.
pub(crate) enum Patience {
    Pause,
    Yield,
}

impl Patience {
    pub(crate) fn wait(&self) {
        match self {
            Patience::Pause => (0..64).for_each(|_| std::hint::spin_loop()),
            Patience::Yield => thread::yield_now(),
        }
    }
}

/// How often to look before going to sleep, and what to do in between. At first long enough for the other side to do many steps
/// undisturbed: each look takes the lock, and the cache line it lies in, from who is to bring what is waited for. Then the
/// processor is left to somebody else, who may be the one.
pub(crate) fn patience() -> impl Iterator<Item = Patience> {
    let looks = if cfg!(any(loom, shuttle)) { 0 } else { 12 };
    (0..looks).map(|look| if look < 2 { Patience::Pause } else { Patience::Yield })
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
