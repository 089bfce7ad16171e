//! Pipes, queues, topics, sockets, shared memory and a tree of quotas: how parties talk, and what it may cost them.
//!
//! A [`Pipe`] gives a [`Writer`], a [`Reader`] and a [`Control`]. Everything is known by its handles:
//! dropping the last writer is the end of file, dropping the last reader breaks the pipe, and what was
//! charged to a [`Quota`] goes back when the storage it paid for goes. Waiting costs no thread and
//! needs no particular runtime: the futures use [`std::task::Waker`] and nothing else.
//!
//! On Linux a party may be another process: [`Segments`] makes sealed memory, [`link()`] a ring in it, [`loans`] blocks that are not
//! copied, and a [`Handoff`] passes them. A [`Registry`] keeps who holds what, and returns it when its owner ends.
//!
//! What it deliberately does not know: processes and their ids, rights, names, protocols, servers,
//! clocks. A timeout is a dropped future; who may hold an end is somebody else's question.
//!
//! ```
//! use uos_ipc::{Capacity, Pipe, PipeError, Quota};
//!
//! let global = Quota::root("pipes", 50 << 20);
//! let owner = global.child("pipes of one owner", 1 << 20);
//! let Pipe { writer, reader, .. } = Pipe::new(Capacity::DEFAULT, &owner)?;
//!
//! writer.try_write(b"hello")?;
//! assert_eq!(&reader.try_read(1024)?[..], b"hello");
//! assert!(matches!(reader.try_read(1024), Err(PipeError::WouldBlock { .. })));
//! drop(writer);
//! assert!(reader.try_read(1024)?.is_empty(), "the end of file");
//! drop(reader);
//! assert_eq!(global.used(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]

mod channel;
#[cfg(any(target_os = "linux", loom, shuttle))]
#[expect(unsafe_code, reason = "mapped memory has no safe form; this module is all there is of it")]
mod memory;
mod object;
#[cfg(all(target_os = "linux", not(any(loom, shuttle))))]
mod os;
mod pipe;
mod poller;
mod queue;
mod quota;
mod registry;
#[cfg(any(target_os = "linux", loom, shuttle))]
mod ring;
#[cfg(not(any(loom, shuttle)))]
mod segment;
mod socket;
mod stream;
mod sync;
mod topic;
mod waiting;

pub use channel::Channel;
pub use object::Object;
#[cfg(all(target_os = "linux", not(any(loom, shuttle))))]
pub use os::shm::{Enforcement, Lease, Mapping, Segment, Segments};
#[cfg(all(target_os = "linux", not(any(loom, shuttle))))]
pub use os::{
    handoff::{Handoff, HandoffError, MAX_PACKET_BYTES, MAX_PACKET_FDS, Packet, Passed, Peer},
    kernel_pipe::KernelPipe,
    kernel_queue::KernelQueue,
    kernel_socket::KernelSocket,
    link::{Carries, Input, LinkEnd, Output, Role, link},
    loan::{Borrowed, Borrower, BorrowerEnd, Lender, Loan, LoanError, loans},
    pump::Pump,
};
pub use pipe::{
    Capacity, CapacityError, Control, PIPE_BUF, Pipe, PipeError, PipeStats, Read, Readable, Reader, Writable,
    Write, Writer,
};
pub use poller::Poller;
pub use queue::{
    Limits, LimitsError, Message, Order, Queue, QueueControl, QueueError, QueueStats, Ready, Receiver,
    RecvFuture, SendFuture, Sender,
};
pub use quota::{Permit, Quota, QuotaError};
pub use registry::{Allowance, HandleId, OwnerId, Quotas, Registry, RegistryError, Rights};
#[cfg(any(target_os = "linux", loom, shuttle))]
pub use ring::{
    FrameReceiver, FrameSender, MAX_SLOTS, RingReader, RingWriter, SLOT_BYTES, SharedPipe, SharedQueue,
    SlotReceiver, SlotSender, frames, ring, slots,
};
#[cfg(not(any(loom, shuttle)))]
pub use segment::{
    Access, LocalMapping, LocalSegment, MappedMemory, SegmentStats, SharedMemory, Sharing, ShmError,
};
pub use socket::{
    Accept, Endpoint, Listener, ListenerReady, MAX_HANDLES, MAX_SOCKET_BYTES, Names, Parcel, RecvParcel,
    SOCKET_BYTES, SendParcel, Socket, SocketError, SocketKind, SocketReady, SocketStats,
};
pub use stream::ByteStream;
pub use topic::{Slow, Subscription, Topic};

/// What the README shows is run, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
