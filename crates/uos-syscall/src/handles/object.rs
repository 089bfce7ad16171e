//! What handles are of.

use std::sync::Arc;

use uos_ipc::{Rights, Subscription};
use uos_proto::v1::HandleKind;

use super::{
    file::FileHandle, pipe::PipeEnds, queue::QueueEnds, segment::SharedSegment, topic::TopicEnds,
    watch::WatchHandle,
};
use crate::{control::GroupHandle, sockets::SocketHandle};

/// An object, as one holder has it.
pub(crate) enum Object {
    /// A pipe, by one end or both, or by neither: its maker keeps sight of it.
    Pipe(PipeEnds),
    /// A queue, likewise.
    Queue(QueueEnds),
    /// What is published to all who subscribe.
    Topic(TopicEnds),
    /// What one subscriber gets of a topic.
    Subscription(Arc<Subscription>),
    /// Shared memory, attached or not.
    Segment(SharedSegment),
    /// An open file.
    File(FileHandle),
    /// What has changed at a path.
    Watch(WatchHandle),
    /// A scheduling group.
    Group(GroupHandle),
    /// A socket.
    Socket(SocketHandle),
}

/// What every kind of object can do for the table it is in.
pub(crate) trait Held: Sized {
    /// The same for another holder, with no more than these rights.
    fn share(&self, rights: Rights) -> Self;

    /// Gives up what these rights have no use for. What is given up is handed out, to be dropped outside of locks.
    fn narrow(&mut self, _rights: Rights) -> Option<Self> {
        None
    }

    /// Adds what comes of the same object. What is left over is handed out, to be dropped outside of locks.
    fn join(&mut self, more: Self) -> Option<Self> {
        Some(more)
    }
}

/// Defines the functions that only pass on to the kinds.
macro_rules! kinds {
    ($($kind:ident = $named:ident, $text:literal;)+) => {
        impl Object {
            /// What it is, in the contract's words.
            pub(crate) fn kind(&self) -> HandleKind {
                match self { $(Object::$kind(_) => HandleKind::$named,)+ }
            }

            /// What it is, for people.
            pub(crate) fn noun(&self) -> &'static str {
                match self { $(Object::$kind(_) => $text,)+ }
            }

            pub(super) fn share(&self, rights: Rights) -> Self {
                match self { $(Object::$kind(held) => Object::$kind(held.share(rights)),)+ }
            }

            pub(super) fn narrow(&mut self, rights: Rights) -> Option<Self> {
                match self { $(Object::$kind(held) => held.narrow(rights).map(Object::$kind),)+ }
            }

            pub(super) fn join(&mut self, more: Self) -> Option<Self> {
                match (self, more) {
                    $((Object::$kind(held), Object::$kind(more)) => held.join(more).map(Object::$kind),)+
                    // One id is one object, and stays of its kind.
                    (_, more) => Some(more),
                }
            }
        }
    };
}

kinds! {
    Pipe = Pipe, "a pipe";
    Queue = Queue, "a queue";
    Topic = Topic, "a topic";
    Subscription = Subscription, "a subscription";
    Segment = Segment, "a segment of shared memory";
    File = File, "an open file";
    Watch = Watch, "a watch";
    Group = Group, "a scheduling group";
    Socket = Socket, "a socket";
}

impl Held for Arc<Subscription> {
    fn share(&self, _rights: Rights) -> Self {
        Arc::clone(self)
    }
}
