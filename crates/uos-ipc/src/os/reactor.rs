//! Waiting for descriptors without a runtime: one thread of this crate asks the kernel and wakes whoever waits.
//!
//! It starts with the first descriptor and sleeps while nothing happens. Who has a runtime with a reactor of its own can
//! register the descriptors there instead.

use crate::sync::Mutex;
use rustix::event::epoll;
use rustix::io::Errno;
use std::collections::HashMap;
use std::future::Future;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

/// What to wait for. An error or a broken line counts as both.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    Read,
    Write,
    /// Nothing but that the other end is gone.
    Broken,
}

/// A descriptor one can wait at.
pub(crate) struct Source {
    fd: Arc<OwnedFd>,
    token: u64,
}

/// Waits at a descriptor; ready once it was. Dropping it is free.
#[must_use = "a future does nothing until it is polled"]
pub(crate) struct Waiting {
    token: u64,
    interest: Interest,
    /// Names this wait, once it is in the list.
    id: Option<u64>,
}

struct Reactor {
    epoll: OwnedFd,
    next: AtomicU64,
    /// Protects who waits where. Wakers are cloned before and woken or dropped after it.
    entries: Mutex<HashMap<u64, Entry>>,
}

struct Entry {
    fd: Arc<OwnedFd>,
    waiters: Vec<Waiter>,
}

struct Waiter {
    id: u64,
    interest: Interest,
    waker: Waker,
}

impl Interest {
    fn flags(self) -> epoll::EventFlags {
        match self {
            Interest::Read => epoll::EventFlags::IN | epoll::EventFlags::RDHUP,
            Interest::Write => epoll::EventFlags::OUT,
            // Told whether it is asked for or not.
            Interest::Broken => epoll::EventFlags::empty(),
        }
    }
}

impl Source {
    pub(crate) fn new(fd: OwnedFd) -> Result<Source, Errno> {
        let reactor = Reactor::the_one()?;
        let (fd, token) = (Arc::new(fd), reactor.fresh());
        // Nothing is asked of it yet but what can't be turned off: errors and hang-ups, once.
        let data = epoll::EventData::new_u64(token);
        epoll::add(&reactor.epoll, &fd, data, epoll::EventFlags::ONESHOT)?;
        reactor.entries.lock().insert(token, Entry { fd: fd.clone(), waiters: Vec::new() });
        Ok(Source { fd, token })
    }

    /// Ready once the descriptor was. Look before, as what is there already is told too, and look again afterwards.
    pub(crate) fn wait(&self, interest: Interest) -> Waiting {
        Waiting { token: self.token, interest, id: None }
    }

    /// Wakes everybody who waits here, as if the descriptor had become ready.
    pub(crate) fn rouse(&self) {
        let Ok(reactor) = Reactor::the_one() else { return };
        let mut entries = reactor.entries.lock();
        let waiters = entries.get_mut(&self.token).map(|entry| std::mem::take(&mut entry.waiters));
        drop(entries);
        waiters.into_iter().flatten().for_each(|waiter| waiter.waker.wake());
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let Ok(reactor) = Reactor::the_one() else { return };
        let entry = reactor.entries.lock().remove(&self.token);
        let _ = epoll::delete(&reactor.epoll, &self.fd);
        // Who still waits finds that it is gone.
        entry.into_iter().flat_map(|entry| entry.waiters).for_each(|waiter| waiter.waker.wake());
    }
}

impl Future for Waiting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Ok(reactor) = Reactor::the_one() else { return Poll::Ready(()) };
        let mut waker = cx.waker().clone();
        let mut entries = reactor.entries.lock();
        let Some(entry) = entries.get_mut(&self.token) else { return Poll::Ready(()) };
        match self.id {
            None => {
                let id = reactor.fresh();
                entry.waiters.push(Waiter { id, interest: self.interest, waker });
                self.id = Some(id);
                reactor.ask(self.token, entry);
                Poll::Pending
            }
            Some(id) => match entry.waiters.iter_mut().find(|waiter| waiter.id == id) {
                Some(waiter) => {
                    std::mem::swap(&mut waiter.waker, &mut waker);
                    drop(entries);
                    Poll::Pending
                }
                None => {
                    self.id = None;
                    Poll::Ready(())
                }
            },
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let (Some(id), Ok(reactor)) = (self.id, Reactor::the_one()) else { return };
        let mut entries = reactor.entries.lock();
        let Some(entry) = entries.get_mut(&self.token) else { return };
        let at = entry.waiters.iter().position(|waiter| waiter.id == id);
        let _dropped_after_the_lock = at.map(|at| entry.waiters.swap_remove(at));
        drop(entries);
    }
}

impl Reactor {
    fn the_one() -> Result<&'static Reactor, Errno> {
        static REACTOR: OnceLock<Result<Reactor, Errno>> = OnceLock::new();
        static THREAD: OnceLock<Result<(), Errno>> = OnceLock::new();
        let reactor = REACTOR.get_or_init(|| {
            let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
            Ok(Reactor { epoll, next: AtomicU64::new(1), entries: Mutex::new(HashMap::new()) })
        });
        let reactor = reactor.as_ref().map_err(|errno| *errno)?;
        let thread = THREAD.get_or_init(|| {
            let thread = std::thread::Builder::new().name("uos-ipc".into()).spawn(|| reactor.run());
            thread.map(drop).map_err(|_| Errno::AGAIN)
        });
        (*thread).map(|()| reactor)
    }

    fn fresh(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Asks the kernel for what is waited for here, once.
    fn ask(&self, token: u64, entry: &Entry) {
        let none = epoll::EventFlags::ONESHOT;
        let flags = entry.waiters.iter().fold(none, |flags, waiter| flags | waiter.interest.flags());
        let asked = epoll::modify(&self.epoll, &entry.fd, epoll::EventData::new_u64(token), flags);
        debug_assert!(asked.is_ok(), "{asked:?}");
    }

    fn run(&self) {
        let mut events = Vec::with_capacity(64);
        let mut woken = Vec::new();
        loop {
            events.clear();
            if epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None).is_err() {
                continue;
            }
            let mut entries = self.entries.lock();
            for event in &events {
                let (flags, token) = (event.flags, event.data.u64());
                let Some(entry) = entries.get_mut(&token) else { continue };
                let broken = flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP);
                let is_due = |waiter: &mut Waiter| broken || flags.intersects(waiter.interest.flags());
                woken.extend(entry.waiters.extract_if(.., is_due).map(|waiter| waiter.waker));
                if !entry.waiters.is_empty() {
                    self.ask(token, entry);
                }
            }
            drop(entries);
            woken.drain(..).for_each(Waker::wake);
        }
    }
}
