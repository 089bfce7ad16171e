//! Waiting for any of many things at once, as poll(2) does, at a cost that goes by how many are ready and not by how many
//! there are.

use crate::sync::{Arc, Mutex};
use crate::waiting::blocking;
use std::collections::HashMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Many things to wait for, each with a key of the caller's. What is ready is told again until it is not: as with poll(2), and
/// not as with an edge.
///
/// ```
/// # use uos_ipc::{Capacity, Pipe, Poller, Quota};
/// # use std::sync::Arc;
/// let quota = Quota::root("pipes", 1 << 20);
/// let Pipe { writer, reader, .. } = Pipe::new(Capacity::DEFAULT, &quota)?;
/// let reader = Arc::new(reader);
/// let mut poller = Poller::new();
/// poller.add(7, { let reader = reader.clone(); move || reader.readable() });
/// writer.try_write(b"x")?;
/// assert_eq!(poller.wait_blocking(), [7]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct Poller {
    watched: HashMap<u64, Watched>,
    serial: u64,
    set: std::sync::Arc<Set>,
}

struct Watched {
    serial: u64,
    again: Box<dyn Fn() -> Wait + Send>,
    /// None before the first time, and after it was ready.
    wait: Option<Wait>,
    waker: Waker,
}

/// What the wakers of all that is watched have in common.
#[derive(Default)]
struct Set {
    /// Protects what was woken, and who waits for any of it. No waker is woken or dropped while it is held.
    woken: Arc<Mutex<Woken>>,
}

#[derive(Default)]
struct Woken {
    keys: Vec<(u64, u64)>,
    waker: Option<Waker>,
}

/// The waker of one thing.
struct One {
    key: u64,
    serial: u64,
    set: std::sync::Arc<Set>,
}

impl Wake for One {
    fn wake(self: std::sync::Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &std::sync::Arc<Self>) {
        let waker = {
            let mut woken = self.set.woken.lock();
            woken.keys.push((self.key, self.serial));
            woken.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

impl Poller {
    /// With nothing to wait for.
    pub fn new() -> Poller {
        Poller::default()
    }

    /// Watches one thing more: `again` makes the future that is ready when it is, such as `reader.readable()`. What was watched
    /// under that key is no longer.
    pub fn add<F>(&mut self, key: u64, again: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.serial += 1;
        let serial = self.serial;
        let waker = Waker::from(std::sync::Arc::new(One { key, serial, set: self.set.clone() }));
        waker.wake_by_ref();
        let again = Box::new(move || Box::pin(again()) as Wait);
        self.watched.insert(key, Watched { serial, again, wait: None, waker });
    }

    /// Watches it no longer. Answers whether it was watched.
    pub fn remove(&mut self, key: u64) -> bool {
        self.watched.remove(&key).is_some()
    }

    /// How many things are watched.
    pub fn len(&self) -> usize {
        self.watched.len()
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.watched.is_empty()
    }

    /// Waits until something is ready, and answers with the keys of all that is, in ascending order. With nothing to wait for
    /// it waits for ever.
    pub async fn wait(&mut self) -> Vec<u64> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// [`wait`](Self::wait) for a thread: it sleeps until something is ready.
    pub fn wait_blocking(&mut self) -> Vec<u64> {
        blocking::block_on(self.wait())
    }

    /// The same for so long at the most; then it answers with nothing.
    pub fn wait_timeout(&mut self, timeout: Duration) -> Vec<u64> {
        blocking::block_on_until(self.wait(), Instant::now().checked_add(timeout)).unwrap_or_default()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Vec<u64>> {
        let waker = cx.waker().clone();
        let (mut keys, _replaced) = {
            let mut woken = self.set.woken.lock();
            (std::mem::take(&mut woken.keys), woken.waker.replace(waker))
        };
        // Woken twice is woken.
        keys.sort_unstable();
        keys.dedup();
        let mut ready = Vec::new();
        for (key, serial) in keys {
            let Some(one) = self.watched.get_mut(&key).filter(|one| one.serial == serial) else { continue };
            let wait = one.wait.get_or_insert_with(|| (one.again)());
            if wait.as_mut().poll(&mut Context::from_waker(&one.waker)).is_ready() {
                one.wait = None;
                // Looked at again the next time, as it may still be ready then.
                self.set.woken.lock().keys.push((key, serial));
                ready.push(key);
            }
        }
        if ready.is_empty() {
            return Poll::Pending;
        }
        Poll::Ready(ready)
    }
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Poller({} watched)", self.len())
    }
}
