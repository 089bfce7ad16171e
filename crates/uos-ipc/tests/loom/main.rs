//! Every schedule of every wake-up, by loom. A lost wake-up shows as a deadlock of the model.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p uos-ipc --test loom --release`
#![cfg(loom)]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod bells;
mod objects;
mod pipes;
mod queues;
mod rings;

use loom::thread;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// Waits on a loom thread, so that loom sees when nobody will ever unpark it.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}
