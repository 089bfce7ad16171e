//! Anything of this crate that one can hold: what sockets pass on and registries keep.

use crate::pipe::{Control, Reader, Writer};
use crate::queue::{QueueControl, Receiver, Sender};
use crate::socket::{Endpoint, Listener, Socket};
use crate::topic::Topic;

/// One handle of any kind.
#[derive(Debug)]
#[non_exhaustive]
pub enum Object {
    /// A pipe's reading end.
    Reader(Reader),
    /// A pipe's writing end.
    Writer(Writer),
    /// A pipe as a whole.
    Pipe(Control),
    /// A queue's sending end.
    Sender(Sender),
    /// A queue's receiving end, or a subscription to a topic.
    Receiver(Receiver),
    /// A queue as a whole.
    Queue(QueueControl),
    /// A topic.
    Topic(Topic),
    /// A connected socket.
    Socket(Socket),
    /// A socket that others connect to.
    Listener(Listener),
    /// A socket for datagrams.
    Endpoint(Endpoint),
    /// A segment of this process's memory.
    #[cfg(not(any(loom, shuttle)))]
    Local(crate::segment::LocalSegment),
    /// A segment of shared memory.
    #[cfg(all(target_os = "linux", not(any(loom, shuttle))))]
    Segment(crate::os::shm::Segment),
    /// A mapped segment.
    #[cfg(all(target_os = "linux", not(any(loom, shuttle))))]
    Mapping(crate::os::shm::Mapping),
    /// What keeps a segment charged that another process has.
    #[cfg(all(target_os = "linux", not(any(loom, shuttle))))]
    Lease(crate::os::shm::Lease),
    /// An end of a ring.
    #[cfg(all(target_os = "linux", not(any(loom, shuttle))))]
    End(crate::os::link::LinkEnd),
    /// Any other descriptor.
    #[cfg(all(target_os = "linux", not(any(loom, shuttle))))]
    Fd(std::os::fd::OwnedFd),
}

impl Object {
    /// Ends what waits through this handle, whoever else still refers to it. Dropping it does the rest.
    pub fn close(&self) {
        match self {
            Object::Reader(reader) => reader.close(),
            Object::Writer(writer) => writer.close(),
            Object::Sender(sender) => sender.close(),
            Object::Receiver(receiver) => receiver.close(),
            Object::Socket(socket) => socket.close(),
            Object::Listener(listener) => listener.close(),
            Object::Endpoint(endpoint) => endpoint.close(),
            // These hold no side open, or nobody waits at them.
            Object::Pipe(_) | Object::Queue(_) | Object::Topic(_) => {}
            #[cfg(not(any(loom, shuttle)))]
            Object::Local(_) => {}
            #[cfg(all(target_os = "linux", not(any(loom, shuttle))))]
            Object::Segment(_) | Object::Mapping(_) | Object::Lease(_) | Object::End(_) | Object::Fd(_) => {}
        }
    }

    /// It may hold other objects in what was sent to it.
    pub(crate) fn is_socket(&self) -> bool {
        matches!(self, Object::Socket(_) | Object::Listener(_) | Object::Endpoint(_))
    }
}
