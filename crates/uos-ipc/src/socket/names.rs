//! Names that sockets are found by: listening, connecting, and datagrams to whom it may concern.

use super::lane::{self, Lane};
use super::{MAX_SOCKET_BYTES, Parcel, RecvParcel, Socket, SocketError, SocketKind, SocketReady};
use crate::object::Object;
use crate::quota::Quota;
use crate::sync::{Arc, Mutex};
use crate::waiting::{self, End, Id, Object as _, Place, Shared, Side, blocking};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The longest name, as in `sockaddr_un`.
const MAX_NAME: usize = 108;

/// A space of names. Clones are the same space; what is bound in one is unknown in all others.
#[derive(Clone, Default)]
pub struct Names {
    /// Protects who has which name; locks of sockets are taken inside, never the other way round.
    bound: Arc<Mutex<HashMap<Bytes, Bound>>>,
}

enum Bound {
    Listener(Arc<Shared<Backlog>>),
    Endpoint(Arc<Shared<Lane>>),
}

/// Has a name that others connect to. Dropping it gives up the name and refuses those who wait to be accepted.
pub struct Listener {
    shared: Arc<Shared<Backlog>>,
    handle: Id,
    name: Bytes,
    names: Names,
}

/// Receives and sends datagrams, by name. Dropping it gives up the name.
pub struct Endpoint {
    inbox: Arc<Shared<Lane>>,
    reader: Id,
    /// Keeps the inbox from ending while nobody sends.
    _writer: Id,
    name: Bytes,
    names: Names,
}

/// Connections that nobody has accepted yet.
pub(crate) struct Backlog {
    kind: SocketKind,
    capacity: usize,
    max: usize,
    quota: Quota,
    waiting: VecDeque<Socket>,
    acceptors: Side,
    connectors: Side,
}

/// A connection that is waited for. Made by [`Listener::accept`].
#[must_use = "a future does nothing until it is polled"]
pub struct Accept {
    place: Place<Backlog>,
}

/// Ready when somebody waits to be accepted, or nobody will. Made by [`Listener::readable`].
#[must_use = "a future does nothing until it is polled"]
pub struct ListenerReady {
    place: Place<Backlog>,
}

impl Names {
    /// A space without a name in it.
    pub fn new() -> Names {
        Names::default()
    }

    /// Takes the name and listens. Up to `backlog` connections wait to be accepted; what an accepted one can receive is charged
    /// to `quota`.
    ///
    /// # Panics
    ///
    /// If the capacity is 0 or more than [`MAX_SOCKET_BYTES`], or the kind is that of datagrams, which nobody connects.
    pub fn listen(
        &self,
        name: &[u8],
        kind: SocketKind,
        capacity: usize,
        backlog: usize,
        quota: &Quota,
    ) -> Result<Listener, SocketError> {
        assert!((1..=MAX_SOCKET_BYTES).contains(&capacity) && kind != SocketKind::Datagram);
        let name = checked(name)?;
        let (acceptors, connectors) = (Side::default(), Side::default());
        let (waiting, quota) = (VecDeque::new(), quota.clone());
        let backlog = Backlog { kind, capacity, max: backlog.max(1), quota, waiting, acceptors, connectors };
        let shared = Arc::new(Shared::new(backlog));
        let handle = shared.step(|backlog| {
            backlog.connectors.open();
            backlog.acceptors.open()
        });
        self.take(&name, Bound::Listener(shared.clone()))?;
        Ok(Listener { shared, handle, name, names: self.clone() })
    }

    /// Connects to who listens there. What this end can receive is charged to `quota`.
    pub fn connect(&self, name: &[u8], quota: &Quota) -> Result<Socket, SocketError> {
        let name = checked(name)?;
        let bound = self.bound.lock();
        let Some(Bound::Listener(shared)) = bound.get(&name) else { return Err(SocketError::Refused) };
        let shared = shared.clone();
        drop(bound);
        let (kind, capacity, theirs) =
            shared.peek(|backlog| (backlog.kind, backlog.capacity, backlog.quota.clone()));
        let (here, there) = Socket::pair_charged(kind, capacity, quota, &theirs)?;
        let mut there = Some(there);
        let answer = shared.step(|backlog| backlog.admit(&mut there));
        drop(there);
        answer.map(|()| here)
    }

    /// Takes the name and receives datagrams there, up to `capacity` bytes of them, charged to `quota`.
    ///
    /// # Panics
    ///
    /// If the capacity is 0 or more than [`MAX_SOCKET_BYTES`].
    pub fn bind(&self, name: &[u8], capacity: usize, quota: &Quota) -> Result<Endpoint, SocketError> {
        assert!((1..=MAX_SOCKET_BYTES).contains(&capacity), "a socket of {capacity} bytes");
        let name = checked(name)?;
        let charge = quota.take(capacity as u64)?;
        let inbox = Arc::new(Shared::new(Lane::new(SocketKind::Datagram, capacity, charge)));
        let (reader, writer) = inbox.step(|lane| (lane.side(End::Read).open(), lane.side(End::Write).open()));
        self.take(&name, Bound::Endpoint(inbox.clone()))?;
        Ok(Endpoint { inbox, reader, _writer: writer, name, names: self.clone() })
    }

    fn take(&self, name: &Bytes, bound: Bound) -> Result<(), SocketError> {
        match self.bound.lock().entry(name.clone()) {
            std::collections::hash_map::Entry::Occupied(_) => Err(SocketError::InUse),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(bound);
                Ok(())
            }
        }
    }

    fn give_up(&self, name: &Bytes) {
        let _dropped_after_the_lock = self.bound.lock().remove(name);
    }
}

fn checked(name: &[u8]) -> Result<Bytes, SocketError> {
    match name.len() {
        1..=MAX_NAME => Ok(Bytes::copy_from_slice(name)),
        len => Err(SocketError::Name { len }),
    }
}

impl Listener {
    /// Takes the connection that has waited longest, if there is one.
    pub fn try_accept(&self) -> Result<Socket, SocketError> {
        self.shared.step(|backlog| match backlog.acceptors.is_open(self.handle) {
            true => backlog.accept(),
            false => Err(SocketError::Closed),
        })
    }

    /// Waits for a connection.
    pub fn accept(&self) -> Accept {
        Accept { place: Place::new(&self.shared, End::Read, self.handle, 1) }
    }

    /// [`accept`](Self::accept) for a thread: it sleeps until there is an answer.
    pub fn accept_blocking(&self) -> Result<Socket, SocketError> {
        blocking::block_on(self.accept())
    }

    /// Waits until an accept would not be refused for now.
    pub fn readable(&self) -> ListenerReady {
        ListenerReady { place: Place::new(&self.shared, End::Read, self.handle, 1) }
    }

    /// Gives up the name, as dropping it does.
    pub fn close(&self) {
        self.shared.close(End::Read, self.handle);
    }
}

impl Endpoint {
    /// Sends a datagram to who has that name, with the name of this one.
    pub fn try_send_to(
        &self,
        name: &[u8],
        bytes: &[u8],
        handles: &mut Vec<Object>,
    ) -> Result<(), SocketError> {
        let name = checked(name)?;
        let bound = self.names.bound.lock();
        let Some(Bound::Endpoint(lane)) = bound.get(&name) else { return Err(SocketError::Refused) };
        let lane = lane.clone();
        drop(bound);
        let writer = lane.step(|lane| lane.side(End::Write).open());
        let answer = lane::send(&lane, writer, bytes, handles, Some(&self.name));
        lane.close(End::Write, writer);
        answer.map(drop)
    }

    /// Takes the next datagram: up to `max` bytes of it.
    pub fn try_recv(&self, max: usize) -> Result<Parcel, SocketError> {
        lane::receive(&self.inbox, self.reader, max)
    }

    /// Waits for a datagram.
    pub fn recv(&self, max: usize) -> RecvParcel {
        RecvParcel::new(&self.inbox, self.reader, max)
    }

    /// [`recv`](Self::recv) for a thread: it sleeps until there is an answer.
    pub fn recv_blocking(&self, max: usize) -> Result<Parcel, SocketError> {
        blocking::block_on(self.recv(max))
    }

    /// Waits until a receive would not be refused for now.
    pub fn readable(&self) -> SocketReady {
        SocketReady::new(&self.inbox, End::Read, self.reader, 1)
    }

    /// What it is called.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Receives nothing more, as by dropping it, which gives up the name too.
    pub fn close(&self) {
        self.inbox.close(End::Read, self.reader);
    }

    pub(super) fn inbox(&self) -> &Arc<Shared<Lane>> {
        &self.inbox
    }
}

impl Backlog {
    fn admit(&mut self, socket: &mut Option<Socket>) -> Result<(), SocketError> {
        if self.acceptors.is_closed() {
            return Err(SocketError::Refused);
        }
        if self.waiting.len() == self.max {
            return Err(SocketError::Backlog { waiting: self.waiting.len(), max: self.max });
        }
        self.waiting.extend(socket.take());
        Ok(())
    }

    fn accept(&mut self) -> Result<Socket, SocketError> {
        self.waiting.pop_front().ok_or(SocketError::WouldBlock { asked: 1, available: 0 })
    }
}

impl waiting::Object for Backlog {
    type Error = SocketError;
    type Left = VecDeque<Socket>;

    fn closed(&self) -> SocketError {
        SocketError::Closed
    }

    fn side(&mut self, end: End) -> &mut Side {
        match end {
            End::Read => &mut self.acceptors,
            End::Write => &mut self.connectors,
        }
    }

    fn available(&self, end: End) -> usize {
        match end {
            End::Read => self.waiting.len(),
            End::Write => self.max - self.waiting.len(),
        }
    }

    fn is_over(&self, _end: End) -> bool {
        self.acceptors.is_closed()
    }

    fn is_quiet(&self) -> bool {
        !self.acceptors.is_closed() && self.acceptors.is_idle()
    }

    /// Nobody waits to be accepted where nobody accepts.
    fn settle(&mut self) -> VecDeque<Socket> {
        if self.acceptors.is_closed() { std::mem::take(&mut self.waiting) } else { VecDeque::new() }
    }
}

impl Future for Accept {
    type Output = Result<Socket, SocketError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.place.poll(cx, Backlog::accept)
    }
}

impl Future for ListenerReady {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.place.poll(cx, |_| Ok(())).map(drop)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.names.give_up(&self.name);
        self.close();
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.names.give_up(&self.name);
        self.close();
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({:?})", self.name)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({:?})", self.name)
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Names({} bound)", self.bound.lock().len())
    }
}
