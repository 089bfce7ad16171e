//! Sockets between parties of one process, with the meaning of unix(7): streams, datagrams, sequences of packets, all of which
//! carry handles along.

mod error;
mod futures;
mod lane;
mod names;

pub use error::SocketError;
pub use futures::{RecvParcel, SendParcel, SocketReady};
pub use names::{Accept, Endpoint, Listener, ListenerReady, Names};

use crate::object::Object;
use crate::quota::{Quota, QuotaError};
use crate::sync::Arc;
use crate::waiting::{End, Id, Object as _, Shared, blocking};
use bytes::Bytes;
use lane::Lane;
use std::fmt;

/// What a socket promises about what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SocketKind {
    /// Bytes in order, without borders; a long send may be partial.
    Stream,
    /// Messages that come whole. The other side's end is not seen by who receives.
    Datagram,
    /// Messages that come whole and in order, and an end.
    SeqPacket,
}

/// How much a socket holds for each direction, unless it is said otherwise: what Linux gives.
pub const SOCKET_BYTES: usize = 208 << 10;
/// The most one may be made to hold.
pub const MAX_SOCKET_BYTES: usize = 16 << 20;
/// The most handles one send carries.
pub const MAX_HANDLES: usize = 16;

/// One end of a connection. Clones are the same end: it is closed when the last of them is.
pub struct Socket {
    kind: SocketKind,
    inbox: Arc<Shared<Lane>>,
    outbox: Arc<Shared<Lane>>,
    reader: Id,
    writer: Id,
}

/// What was received.
#[derive(Debug, Default)]
pub struct Parcel {
    /// The bytes, as many as were asked for.
    pub bytes: Bytes,
    /// The handles that came with them, in order.
    pub handles: Vec<Object>,
    /// How many bytes of the message were too many and are lost. Never for a stream.
    pub truncated: usize,
    /// Nothing is there and nothing will come. Not a message of nothing, which there may be too.
    pub end: bool,
    /// The name of who sent a datagram, if it has one.
    pub from: Option<Bytes>,
}

/// A socket's numbers at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketStats {
    /// How much each direction holds.
    pub capacity_bytes: usize,
    /// What can be received now.
    pub inbox_bytes: usize,
    /// What the other side has not received yet.
    pub outbox_bytes: usize,
    /// All bytes ever sent by this side.
    pub sent_bytes: u64,
    /// All bytes ever received by it.
    pub received_bytes: u64,
}

impl Socket {
    /// Two ends that are connected. Each direction holds `capacity` bytes, which are charged to `quota` as for a pipe.
    ///
    /// # Panics
    ///
    /// If the capacity is 0 or more than [`MAX_SOCKET_BYTES`].
    pub fn pair(kind: SocketKind, capacity: usize, quota: &Quota) -> Result<(Socket, Socket), QuotaError> {
        Socket::pair_charged(kind, capacity, quota, quota)
    }

    /// The same with an inbox that each side pays for itself.
    pub(crate) fn pair_charged(
        kind: SocketKind,
        capacity: usize,
        first: &Quota,
        second: &Quota,
    ) -> Result<(Socket, Socket), QuotaError> {
        assert!((1..=MAX_SOCKET_BYTES).contains(&capacity), "a socket of {capacity} bytes");
        let lane = |quota: &Quota| {
            let charge = quota.take(capacity as u64)?;
            let lane = Arc::new(Shared::new(Lane::new(kind, capacity, charge)));
            let (reader, writer) =
                lane.step(|lane| (lane.side(End::Read).open(), lane.side(End::Write).open()));
            Ok((lane, reader, writer))
        };
        let (to_first, first_reads, second_writes) = lane(first)?;
        let (to_second, second_reads, first_writes) = lane(second)?;
        Ok((
            Socket {
                kind,
                inbox: to_first.clone(),
                outbox: to_second.clone(),
                reader: first_reads,
                writer: first_writes,
            },
            Socket { kind, inbox: to_second, outbox: to_first, reader: second_reads, writer: second_writes },
        ))
    }

    /// What it promises.
    pub fn kind(&self) -> SocketKind {
        self.kind
    }

    /// Sends what there is room for, and the handles along with the first byte of it; says how many bytes.
    ///
    /// Messages are sent whole or not at all. If nothing was sent, the handles are still in `handles`.
    pub fn try_send(&self, bytes: &[u8], handles: &mut Vec<Object>) -> Result<usize, SocketError> {
        lane::send(&self.outbox, self.writer, bytes, handles, None)
    }

    /// Waits for room, then sends as [`try_send`](Self::try_send) does. A future that is dropped drops the handles.
    pub fn send(&self, bytes: Bytes, handles: Vec<Object>) -> SendParcel {
        SendParcel::new(&self.outbox, self.writer, bytes, handles)
    }

    /// [`send`](Self::send) for a thread: it sleeps until there is an answer.
    pub fn send_blocking(&self, bytes: Bytes, handles: Vec<Object>) -> Result<usize, SocketError> {
        blocking::block_on(self.send(bytes, handles))
    }

    /// Takes up to `max` bytes of what is there: of a stream, of as many sends as it takes, but never past one that carries
    /// handles; otherwise of one message, the rest of which is lost.
    pub fn try_recv(&self, max: usize) -> Result<Parcel, SocketError> {
        lane::receive(&self.inbox, self.reader, max)
    }

    /// Waits for something or the end, then receives as [`try_recv`](Self::try_recv) does.
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

    /// Waits until a send of that many bytes would not be refused for now.
    pub fn writable(&self, len: usize) -> SocketReady {
        let need = self.outbox.peek(|lane| lane.send_need(len));
        SocketReady::new(&self.outbox, End::Write, self.writer, need)
    }

    /// This end sends nothing more; the other receives what is left, and then the end.
    pub fn shutdown_send(&self) {
        self.outbox.close(End::Write, self.writer);
    }

    /// This end receives nothing more, and what was not received is lost.
    pub fn shutdown_recv(&self) {
        self.inbox.close(End::Read, self.reader);
    }

    /// Both, as dropping the last clone does.
    pub fn close(&self) {
        self.shutdown_send();
        self.shutdown_recv();
    }

    /// The numbers at this moment.
    pub fn stats(&self) -> SocketStats {
        let (capacity_bytes, inbox_bytes, received_bytes) =
            self.inbox.peek(|lane| (lane.capacity(), lane.bytes(), lane.received()));
        let (outbox_bytes, sent_bytes) = self.outbox.peek(|lane| (lane.bytes(), lane.sent()));
        SocketStats { capacity_bytes, inbox_bytes, outbox_bytes, sent_bytes, received_bytes }
    }

    fn inbox(&self) -> &Arc<Shared<Lane>> {
        &self.inbox
    }
}

impl Clone for Socket {
    fn clone(&self) -> Socket {
        let reader = self.inbox.step(|lane| lane.side(End::Read).duplicate(self.reader));
        let writer = self.outbox.step(|lane| lane.side(End::Write).duplicate(self.writer));
        Socket { kind: self.kind, inbox: self.inbox.clone(), outbox: self.outbox.clone(), reader, writer }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({:?}, {:?})", self.kind, self.stats())
    }
}
