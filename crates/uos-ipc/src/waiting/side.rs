//! One side of a pipe: the handles open on it, and those who wait at it, oldest first.

use std::collections::VecDeque;
use std::task::Waker;

/// Names a handle or a waiter of one side; given out in ascending order and never twice.
pub(crate) type Id = u64;

/// The reading or the writing side.
///
/// Only the waiter in front is ever woken by bytes or room, and only it may use them. It stays in
/// front until it has done so or has left, and then the next one is looked at. So there is one wake for
/// one event, nobody overtakes, and whoever was woken in vain is still where it was.
#[derive(Default)]
pub(crate) struct Side {
    handles: Vec<Id>,
    queue: VecDeque<Waiter>,
    /// Those who wait for the end and for nothing else, oldest first.
    watchers: Vec<Waiter>,
    next: Id,
}

struct Waiter {
    id: Id,
    handle: Id,
    /// How many bytes, or how much room, there must be before waking it is of use.
    need: usize,
    /// Taken out when it is woken; put back when it finds nothing and waits on.
    waker: Option<Waker>,
}

impl Side {
    /// A new open handle.
    pub(crate) fn open(&mut self) -> Id {
        let id = self.fresh();
        self.handles.push(id);
        id
    }

    /// A second handle if the first is open; the copy of a closed handle is closed.
    pub(crate) fn duplicate(&mut self, handle: Id) -> Id {
        if self.is_open(handle) { self.open() } else { self.fresh() }
    }

    /// Closes a handle. Those who wait through it leave the queue, and their wakers are handed out.
    pub(crate) fn close(&mut self, handle: Id) -> Vec<Waker> {
        let Ok(at) = self.handles.binary_search(&handle) else { return Vec::new() };
        self.handles.remove(at);
        let mut wakers = Vec::new();
        let mut stays = |waiter: &mut Waiter| {
            let leaves = waiter.handle == handle;
            wakers.extend(waiter.waker.take_if(|_| leaves));
            !leaves
        };
        self.queue.retain_mut(&mut stays);
        self.watchers.retain_mut(&mut stays);
        wakers
    }

    #[inline]
    pub(crate) fn is_open(&self, handle: Id) -> bool {
        // Ascending by construction; and mostly there is one.
        self.handles.first() == Some(&handle) || self.handles.binary_search(&handle).is_ok()
    }

    /// Nobody holds this side any more.
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.handles.is_empty()
    }

    pub(crate) fn handles(&self) -> usize {
        self.handles.len()
    }

    #[inline]
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Nobody waits here, be it for the end.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.watchers.is_empty()
    }

    /// Whether this waiter, or a newcomer, has nobody ahead of it.
    pub(crate) fn is_turn(&self, waiter: Option<Id>) -> bool {
        self.queue.front().map(|front| front.id) == waiter
    }

    /// Waits: a newcomer at the end, a known waiter where it was. Answers with its id and a waker that
    /// is no longer needed, which the caller drops outside the lock: that drop may run anything.
    pub(crate) fn wait(
        &mut self,
        waiter: Option<Id>,
        handle: Id,
        need: usize,
        waker: Waker,
    ) -> (Id, Option<Waker>) {
        match waiter.and_then(|id| self.position(id)) {
            Some(at) => (self.queue[at].id, self.queue[at].waker.replace(waker)),
            None => {
                let id = self.fresh();
                self.queue.push_back(Waiter { id, handle, need, waker: Some(waker) });
                (id, None)
            }
        }
    }

    /// Takes a waiter out of the queue, if it is in it.
    pub(crate) fn leave(&mut self, waiter: Option<Id>) -> Option<Waker> {
        let at = self.position(waiter?)?;
        self.queue.remove(at)?.waker
    }

    /// The waker of the waiter in front, if what is there is enough for it and it is not awake already.
    pub(crate) fn choose(&mut self, available: usize) -> Option<Waker> {
        self.queue.front_mut().filter(|front| front.need <= available)?.waker.take()
    }

    /// Everybody's wakers, for an event that answers all of them. They leave the queue when they look.
    pub(crate) fn choose_all(&mut self) -> impl Iterator<Item = Waker> + '_ {
        self.queue.iter_mut().chain(&mut self.watchers).filter_map(|waiter| waiter.waker.take())
    }

    /// Watches for the end. Answers as [`wait`](Self::wait) does.
    pub(crate) fn watch(&mut self, watcher: Option<Id>, handle: Id, waker: Waker) -> (Id, Option<Waker>) {
        match watcher.and_then(|id| self.watcher(id)) {
            Some(at) => (self.watchers[at].id, self.watchers[at].waker.replace(waker)),
            None => {
                let id = self.fresh();
                self.watchers.push(Waiter { id, handle, need: usize::MAX, waker: Some(waker) });
                (id, None)
            }
        }
    }

    /// Takes a watcher out, if it is in.
    pub(crate) fn unwatch(&mut self, watcher: Option<Id>) -> Option<Waker> {
        let at = self.watcher(watcher?)?;
        self.watchers.remove(at).waker
    }

    #[cfg(test)]
    pub(crate) fn heap_bytes(&self) -> usize {
        let waiters = self.queue.capacity() + self.watchers.capacity();
        self.handles.capacity() * size_of::<Id>() + waiters * size_of::<Waiter>()
    }

    fn position(&self, waiter: Id) -> Option<usize> {
        // New waiters are appended with ascending ids, so the queue is sorted.
        self.queue.binary_search_by_key(&waiter, |waiter| waiter.id).ok()
    }

    fn watcher(&self, watcher: Id) -> Option<usize> {
        self.watchers.binary_search_by_key(&watcher, |watcher| watcher.id).ok()
    }

    fn fresh(&mut self) -> Id {
        self.next += 1;
        self.next
    }
}
