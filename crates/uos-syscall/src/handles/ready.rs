//! When a handle is ready, for those who wait for many.

use std::{future::Future, pin::Pin};

use super::Object;

/// Done when the handle is ready. It keeps nothing open: closing the handle ends it.
pub(crate) type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Object {
    /// Until reading or receiving would not wait; nothing of what is not read from.
    pub(crate) fn readable(&self) -> Option<Wait> {
        match self {
            Object::Pipe(pipe) => Some(Box::pin(pipe.reader.as_ref()?.readable())),
            Object::Queue(queue) => Some(Box::pin(queue.receiver.as_ref()?.ready())),
            Object::Subscription(subscription) => Some(Box::pin(subscription.ready())),
            Object::Watch(watch) => Some(Box::pin(watch.listen().ready())),
            Object::File(_) | Object::Segment(_) => Some(Box::pin(std::future::ready(()))),
            Object::Topic(_) | Object::Group(_) => None,
            Object::Socket(socket) => socket.held().readable(),
        }
    }

    /// Until writing or sending would not wait; nothing of what is not written to.
    pub(crate) fn writable(&self) -> Option<Wait> {
        match self {
            Object::Pipe(pipe) => Some(Box::pin(pipe.writer.as_ref()?.writable(1))),
            Object::Queue(queue) => Some(Box::pin(queue.sender.as_ref()?.ready(0))),
            Object::File(_) | Object::Segment(_) => Some(Box::pin(std::future::ready(()))),
            Object::Topic(_) | Object::Subscription(_) | Object::Watch(_) | Object::Group(_) => None,
            Object::Socket(socket) => socket.held().writable(),
        }
    }
}
