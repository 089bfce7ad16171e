//! Locks on ranges that processes of the host take by fcntl(2), among our own.

use super::shared::Shared;
use crate::lock::{HeldLock, LockKind, LockOwner, LockRange, LockWait, Locks, Space};
use crate::{Error, NodeId, NodeRef, Result};
use fuser::{Errno, INodeNo, ReplyEmpty, Request};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

/// So often somebody who waits is asked whether a signal has come for it. The host would tell that, but not through `fuser`.
const LOOKS: Duration = Duration::from_millis(50);

/// The locks that a mount takes part in.
#[derive(Debug)]
pub(super) struct Bridge {
    locks: Locks,
    mount: u64,
}

/// What is asked for, in the host's terms.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) owner: u64,
    pub(super) start: u64,
    /// The last one.
    pub(super) end: u64,
    pub(super) kind: i32,
}

impl Asked {
    fn range(self) -> Result<LockRange> {
        if self.end >= i64::MAX as u64 {
            return LockRange::new(self.start, 0);
        }
        let len = self
            .end
            .checked_sub(self.start)
            .ok_or(Error::InvalidArgument("a range that ends before it begins"))?;
        LockRange::new(self.start, len + 1)
    }

    /// None for letting go.
    fn kind(self) -> Result<Option<LockKind>> {
        match self.kind {
            libc::F_RDLCK => Ok(Some(LockKind::Shared)),
            libc::F_WRLCK => Ok(Some(LockKind::Exclusive)),
            libc::F_UNLCK => Ok(None),
            _ => Err(Error::InvalidArgument("no such kind of lock")),
        }
    }
}

impl Bridge {
    pub(super) fn new(locks: &Locks) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Bridge { locks: locks.clone(), mount: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    fn owner(&self, owner: u64) -> LockOwner {
        LockOwner::Host { mount: self.mount, owner }
    }

    fn wish(&self, asked: Asked) -> Result<Option<HeldLock>> {
        let (owner, range) = (self.owner(asked.owner), asked.range()?);
        Ok(asked.kind()?.map(|kind| HeldLock { owner, range, kind }))
    }

    /// A process of the host has closed a descriptor of a file.
    pub(super) fn closed(&self, node: NodeId, owner: u64) {
        self.locks.release(self.owner(owner), node);
    }

    /// Nobody on the host has a file open any more. Those who own a lock by an open file (`F_OFD_SETLK`) the host
    /// doesn't tell of otherwise.
    pub(super) fn closed_by_all(&self, node: NodeId) {
        let is_ours =
            |owner: LockOwner| matches!(owner, LockOwner::Host { mount, .. } if mount == self.mount);
        self.locks.release_some(node, is_ours);
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let is_ours =
            |owner: LockOwner| matches!(owner, LockOwner::Host { mount, .. } if mount == self.mount);
        self.locks.release_all_of(is_ours);
    }
}

impl Shared {
    pub(super) fn bridge(&self) -> Result<&Bridge> {
        self.bridge.as_ref().ok_or(Error::NotSupported("locks that this mount has no part in"))
    }

    /// What is in the way of a lock, as the host says it: its start, its last byte and its kind.
    pub(super) fn lock_in_the_way(&self, ino: INodeNo, asked: Asked) -> Result<Option<(u64, u64, i32)>> {
        let (bridge, here) = (self.bridge()?, self.node(ino)?);
        let Some(wish) = bridge.wish(asked)? else {
            return Err(Error::InvalidArgument("letting go is never in the way"));
        };
        let found = bridge.locks.in_the_way(Space::Ranges, &here.node, wish);
        Ok(found.map(|held| {
            let end = match held.range.len() {
                0 => i64::MAX as u64,
                len => held.range.start() + len - 1,
            };
            let kind = match held.kind {
                LockKind::Shared => libc::F_RDLCK,
                LockKind::Exclusive => libc::F_WRLCK,
            };
            (held.range.start(), end, kind)
        }))
    }

    /// Locks or lets go at once; or, if somebody is in the way and `waits`, gives what there is to wait for.
    pub(super) fn lock(&self, ino: INodeNo, asked: Asked, waits: bool) -> Result<Option<LockWait>> {
        let (bridge, here) = (self.bridge()?, self.node(ino)?);
        let Some(wish) = bridge.wish(asked)? else {
            let (owner, range) = (bridge.owner(asked.owner), asked.range()?);
            return bridge.locks.unlock(Space::Ranges, &here.node, owner, range).map(|()| None);
        };
        match bridge.locks.ask(Space::Ranges, &here.node, wish) {
            Err(Error::WouldBlock) if waits => Ok(Some(wait(bridge, &here.node, wish))),
            done => done.map(|()| None),
        }
    }
}

fn wait(bridge: &Bridge, node: &NodeRef, wish: HeldLock) -> LockWait {
    bridge.locks.wait(Space::Ranges, node, wish)
}

/// Answers once the lock is held, on a thread of its own: as many are there as processes of the host wait. Those who serve
/// must not wait, or nobody could let go.
pub(super) fn answer_later(wait: LockWait, req: &Request, reply: ReplyEmpty) {
    let caller = req.pid();
    if caller == 0 {
        // Nobody could tell when it has been killed, and it would wait for good.
        return reply.error(Errno::ENOTSUP);
    }
    let thread = std::thread::Builder::new().name("fuse-lock".to_owned());
    let started = thread.spawn(move || match block_on(wait, || is_signalled(caller)) {
        Some(Ok(())) => reply.ok(),
        Some(Err(error)) => reply.error(super::answers::errno(&error)),
        None => reply.error(Errno::EINTR),
    });
    // The answer went with it: an answer that is dropped is an error too.
    drop(started);
}

/// None if it was given up.
fn block_on(wait: LockWait, given_up: impl Fn() -> bool) -> Option<Result<()>> {
    let mut wait = pin!(wait);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        if let Poll::Ready(done) = wait.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(done);
        }
        if given_up() {
            return None;
        }
        std::thread::park_timeout(LOOKS);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Whether a thread of the host has a signal to attend to, or is no more.
fn is_signalled(thread: u32) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{thread}/status")) else { return true };
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        u64::from_str_radix(line.trim(), 16).ok()
    };
    let masks = ["SigPnd:", "ShdPnd:", "SigBlk:", "SigIgn:"].map(|name| mask(name).unwrap_or(0));
    let [own, shared, blocked, ignored] = masks;
    (own | shared) & !blocked & !ignored != 0
}

#[cfg(test)]
mod tests {
    use super::{Asked, Bridge};
    use crate::lock::{Locks, Space};
    use crate::{FileSystem, MemFs};

    #[test]
    fn a_mount_lets_go_of_its_own_locks_alone() {
        let fs = MemFs::builder().build();
        fs.write("/f", "").unwrap();
        let (node, locks) = (fs.node("/f").unwrap(), Locks::new());
        let (one, two) = (Bridge::new(&locks), Bridge::new(&locks));
        for (bridge, owner, start) in [(&one, 7, 0), (&one, 8, 10), (&two, 7, 20)] {
            let wish = bridge.wish(Asked { owner, start, end: start + 9, kind: libc::F_WRLCK }).unwrap();
            bridge.locks.ask(Space::Ranges, &node, wish.unwrap()).unwrap();
        }
        assert_eq!(locks.held(node.id()).len(), 3);
        one.closed(node.id(), 8);
        assert_eq!(locks.held(node.id()).len(), 2);
        // As when the last one closes it whose lock was an open file's, which the host tells in no other way.
        one.closed_by_all(node.id());
        assert_eq!(locks.held(node.id()).iter().map(|held| held.range.start()).collect::<Vec<_>>(), [20]);
        drop(two);
        assert_eq!(locks.held(node.id()), []);
    }

    #[test]
    fn the_host_counts_to_the_last_byte() {
        let ask = |start, end, kind| Asked { owner: 1, start, end, kind };
        let range = |asked: Asked| asked.range().map(|range| (range.start(), range.len()));
        assert_eq!(range(ask(5, 5, libc::F_RDLCK)), Ok((5, 1)));
        assert_eq!(range(ask(5, i64::MAX as u64, libc::F_RDLCK)), Ok((5, 0)));
        assert_eq!(range(ask(0, u64::MAX, libc::F_RDLCK)), Ok((0, 0)));
        assert!(range(ask(5, 4, libc::F_RDLCK)).is_err() && range(ask(u64::MAX, u64::MAX, 0)).is_err());
        assert!(ask(0, 0, 99).kind().is_err() && ask(0, 0, libc::F_UNLCK).kind().unwrap().is_none());
    }
}
