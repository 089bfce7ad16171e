//! One direction of a connection: what was sent and not yet received.

use super::{MAX_HANDLES, Parcel, SocketError, SocketKind};
use crate::object::Object;
use crate::quota::Permit;
use crate::sync::Arc;
use crate::waiting::{self, End, Id, Object as _, Shared, Side};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// What a message costs beside its bytes, so that messages of nothing are bounded too.
const OVERHEAD: usize = 64;

pub(crate) struct Lane {
    kind: SocketKind,
    capacity: usize,
    items: VecDeque<Item>,
    bytes: usize,
    /// Bytes, and what messages cost beside them.
    held: usize,
    readers: Side,
    writers: Side,
    sent: u64,
    received: u64,
    /// How many sockets are in what was sent.
    carries: usize,
    /// How often a socket that receives from here is itself in what was sent to another.
    carried: usize,
    charge: Option<Permit>,
}

struct Item {
    bytes: Bytes,
    handles: Vec<Object>,
    from: Option<Bytes>,
}

/// Sends through a writer of the lane. Handles that are sockets are looked at first: a socket that could hold itself, through
/// however many others, would never be closed.
pub(super) fn send(
    lane: &Arc<Shared<Lane>>,
    writer: Id,
    bytes: &[u8],
    handles: &mut Vec<Object>,
    from: Option<&Bytes>,
) -> Result<usize, SocketError> {
    let passing = passing(lane, handles)?;
    let answer = lane.step(|lane| match lane.side(End::Write).is_open(writer) {
        true => lane.send(bytes, handles, from),
        false => Err(SocketError::Closed),
    });
    if answer.is_err() {
        passing.iter().for_each(|inbox| inbox.step(Lane::arrived));
    }
    answer
}

/// Takes what there is through a reader of the lane.
pub(super) fn receive(lane: &Arc<Shared<Lane>>, reader: Id, max: usize) -> Result<Parcel, SocketError> {
    let parcel = lane.step(|lane| match lane.side(End::Read).is_open(reader) {
        true => lane.receive(max),
        false => Err(SocketError::Closed),
    })?;
    arrived(&parcel.handles);
    Ok(parcel)
}

/// Marks the inboxes of the sockets among the handles as being passed, or refuses. Depth is one: what is passed carries no
/// sockets, and what it is passed to is not being passed.
pub(super) fn passing(
    lane: &Arc<Shared<Lane>>,
    handles: &[Object],
) -> Result<Vec<Arc<Shared<Lane>>>, SocketError> {
    if !handles.iter().any(Object::is_socket) {
        return Ok(Vec::new());
    }
    // One at a time, so that two that would make a circle together see each other.
    #[cfg(not(any(loom, shuttle)))]
    static ONE: crate::sync::Mutex<()> = crate::sync::Mutex::new(());
    #[cfg(not(any(loom, shuttle)))]
    let _one = ONE.lock();
    let mut inboxes = Vec::new();
    for handle in handles {
        match handle {
            Object::Socket(socket) => inboxes.push(socket.inbox().clone()),
            Object::Endpoint(endpoint) => inboxes.push(endpoint.inbox().clone()),
            // What waits to be accepted has inboxes of its own.
            Object::Listener(_) => return Err(SocketError::Cycle),
            _ => {}
        }
    }
    let circular =
        |inbox: &Arc<Shared<Lane>>| Arc::ptr_eq(inbox, lane) || inbox.peek(|inbox| inbox.carries > 0);
    if inboxes.iter().any(circular) || lane.peek(|lane| lane.carried > 0) {
        return Err(SocketError::Cycle);
    }
    inboxes.iter().for_each(|inbox| inbox.step(|inbox| inbox.carried += 1));
    Ok(inboxes)
}

impl Lane {
    pub(super) fn new(kind: SocketKind, capacity: usize, charge: Permit) -> Lane {
        Lane {
            kind,
            capacity,
            items: VecDeque::new(),
            bytes: 0,
            held: 0,
            readers: Side::default(),
            writers: Side::default(),
            sent: 0,
            received: 0,
            carries: 0,
            carried: 0,
            charge: Some(charge),
        }
    }

    pub(super) fn send(
        &mut self,
        bytes: &[u8],
        handles: &mut Vec<Object>,
        from: Option<&Bytes>,
    ) -> Result<usize, SocketError> {
        if handles.len() > MAX_HANDLES {
            return Err(SocketError::TooManyHandles { asked: handles.len(), max: MAX_HANDLES });
        }
        if self.readers.is_closed() {
            return Err(if self.kind == SocketKind::Datagram {
                SocketError::Refused
            } else {
                SocketError::BrokenPipe
            });
        }
        let available = self.capacity - self.held;
        let len = match self.kind {
            SocketKind::Stream if bytes.is_empty() && handles.is_empty() => return Ok(0),
            SocketKind::Stream if bytes.is_empty() => return Err(SocketError::NoBytes),
            SocketKind::Stream if available == 0 => {
                return Err(SocketError::WouldBlock { asked: bytes.len(), available });
            }
            SocketKind::Stream => bytes.len().min(available),
            _ if bytes.len() > self.max() => {
                return Err(SocketError::TooLarge { asked: bytes.len(), max: self.max() });
            }
            _ if bytes.len() + self.overhead() > available => {
                let available = available.saturating_sub(self.overhead());
                return Err(SocketError::WouldBlock { asked: bytes.len(), available });
            }
            _ => bytes.len(),
        };
        let handles = std::mem::take(handles);
        self.carries += handles.iter().filter(|handle| handle.is_socket()).count();
        self.items.push_back(Item {
            bytes: Bytes::copy_from_slice(&bytes[..len]),
            handles,
            from: from.cloned(),
        });
        self.bytes += len;
        self.held += len + self.overhead();
        self.sent += len as u64;
        Ok(len)
    }

    pub(super) fn receive(&mut self, max: usize) -> Result<Parcel, SocketError> {
        let Some(front) = self.items.front_mut() else {
            return match self.kind {
                _ if !self.writers.is_closed() => Err(SocketError::WouldBlock { asked: max, available: 0 }),
                SocketKind::Datagram => Err(SocketError::Refused),
                _ => Ok(Parcel { end: true, ..Parcel::default() }),
            };
        };
        let mut parcel = Parcel {
            handles: std::mem::take(&mut front.handles),
            from: front.from.take(),
            ..Parcel::default()
        };
        if self.kind != SocketKind::Stream {
            let mut bytes = std::mem::take(&mut front.bytes);
            self.items.pop_front();
            self.held -= bytes.len() + self.overhead();
            self.bytes -= bytes.len();
            parcel.truncated = bytes.len().saturating_sub(max);
            bytes.truncate(max);
            parcel.bytes = bytes;
        } else if max == 0 {
            front.handles = std::mem::take(&mut parcel.handles);
        } else {
            let with_handles = !parcel.handles.is_empty();
            let mut taken = BytesMut::new();
            while let Some(front) = self.items.front_mut() {
                if !taken.is_empty() && (with_handles || !front.handles.is_empty()) {
                    break;
                }
                let part = front.bytes.split_to(front.bytes.len().min(max - taken.len()));
                if front.bytes.is_empty() {
                    self.items.pop_front();
                }
                if taken.is_empty() && (part.len() == max || self.items.is_empty()) {
                    // All from one send: no copy.
                    parcel.bytes = part;
                    break;
                }
                taken.extend_from_slice(&part);
                if taken.len() == max {
                    break;
                }
            }
            if parcel.bytes.is_empty() {
                parcel.bytes = taken.freeze();
            }
            self.bytes -= parcel.bytes.len();
            self.held -= parcel.bytes.len();
        }
        self.received += parcel.bytes.len() as u64;
        self.carries -= parcel.handles.iter().filter(|handle| handle.is_socket()).count();
        Ok(parcel)
    }

    fn overhead(&self) -> usize {
        if self.kind == SocketKind::Stream { 0 } else { OVERHEAD }
    }

    /// The longest message.
    fn max(&self) -> usize {
        self.capacity.saturating_sub(self.overhead())
    }

    /// How much must be available before it pays to wake somebody who sends that much. What never fits does not wait.
    pub(super) fn send_need(&self, len: usize) -> usize {
        match self.kind {
            SocketKind::Stream => len.min(1),
            _ if len > self.max() => 0,
            _ => len + self.overhead(),
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// A socket that receives from here has arrived where it was passed to.
    pub(super) fn arrived(&mut self) {
        self.carried = self.carried.saturating_sub(1);
    }
}

/// Tells the inboxes of the sockets among them that they have arrived.
pub(super) fn arrived(handles: &[Object]) {
    for handle in handles {
        match handle {
            Object::Socket(socket) => socket.inbox().step(Lane::arrived),
            Object::Endpoint(endpoint) => endpoint.inbox().step(Lane::arrived),
            _ => {}
        }
    }
}

/// What is lost and what was paid for it, to be dropped after the lock.
pub(crate) struct Left {
    _items: VecDeque<Item>,
    _charge: Option<Permit>,
}

impl Drop for Item {
    /// What is lost under way has arrived, too. What was received has taken its handles along.
    fn drop(&mut self) {
        arrived(&self.handles);
    }
}

impl waiting::Object for Lane {
    type Error = SocketError;
    type Left = Option<Left>;

    fn closed(&self) -> SocketError {
        SocketError::Closed
    }

    fn side(&mut self, end: End) -> &mut Side {
        match end {
            End::Read => &mut self.readers,
            End::Write => &mut self.writers,
        }
    }

    fn available(&self, end: End) -> usize {
        match end {
            End::Read => self.items.len(),
            End::Write => self.capacity - self.held,
        }
    }

    fn is_over(&self, end: End) -> bool {
        match end {
            End::Read => self.writers.is_closed(),
            End::Write => self.readers.is_closed(),
        }
    }

    fn is_quiet(&self) -> bool {
        let open = !self.readers.is_closed() && !self.writers.is_closed();
        open && self.readers.is_idle() && self.writers.is_idle()
    }

    /// Afterwards there is something only while somebody can receive it. What is lost goes after the lock: it may be sockets.
    fn settle(&mut self) -> Option<Left> {
        let drained = self.writers.is_closed() && self.items.is_empty();
        if !self.readers.is_closed() && !drained {
            return None;
        }
        (self.bytes, self.held, self.carries) = (0, 0, 0);
        Some(Left { _items: std::mem::take(&mut self.items), _charge: self.charge.take() })
    }
}
