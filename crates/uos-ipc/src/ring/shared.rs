//! Rings in shared memory behind the common traits, with waiting that holds no thread.

use super::{FrameReceiver, FrameSender, Half, RingReader, RingWriter};
use crate::channel::Channel;
use crate::pipe::{Capacity, PipeError, PipeStats};
use crate::queue::{Limits, Message, QueueError, QueueStats};
use crate::stream::ByteStream;
use crate::sync::{Arc, Mutex};
use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
#[cfg(any(loom, shuttle))]
use {
    super::bell::{Line, Waiting},
    super::{Size, frames_size, layout::Held},
    crate::quota::{Quota, QuotaError},
};
#[cfg(not(any(loom, shuttle)))]
use {
    crate::os::link::{Carries, Input, LinkEnd, Output, Role, link},
    crate::os::reactor::Waiting,
    crate::os::shm::{Segments, ShmError},
};

/// A ring of bytes, as far as its ends are here. What is asked of an end that is not answers `Closed`.
pub struct SharedPipe {
    capacity: Capacity,
    writer: Option<Arc<Mutex<RingWriter>>>,
    reader: Option<Arc<Mutex<RingReader>>>,
}

/// A ring of messages, as far as its ends are here. What is asked of an end that is not answers `Closed`.
pub struct SharedQueue {
    limits: Limits,
    sender: Option<Arc<Mutex<FrameSender>>>,
    receiver: Option<Arc<Mutex<FrameReceiver>>>,
}

#[cfg(not(any(loom, shuttle)))]
impl SharedPipe {
    /// A new ring with both ends here.
    pub fn new(capacity: Capacity, segments: &Segments) -> Result<SharedPipe, ShmError> {
        let (producer, consumer) = link(Carries::Bytes(capacity), segments)?;
        let (producer, consumer) = (SharedPipe::of(producer)?, SharedPipe::of(consumer)?);
        Ok(SharedPipe { capacity, writer: producer.writer, reader: consumer.reader })
    }

    /// One end of a ring of bytes whose other end is elsewhere.
    pub fn of(end: LinkEnd) -> Result<SharedPipe, ShmError> {
        let Carries::Bytes(capacity) = end.carries() else { return Err(ShmError::Role) };
        let mut pipe = SharedPipe { capacity, writer: None, reader: None };
        match Ends::of(end)? {
            Ends::Input(Input::Bytes(writer)) => pipe.writer = Some(Arc::new(Mutex::new(writer))),
            Ends::Output(Output::Bytes(reader)) => pipe.reader = Some(Arc::new(Mutex::new(reader))),
            _ => return Err(ShmError::Role),
        }
        Ok(pipe)
    }
}

#[cfg(not(any(loom, shuttle)))]
impl SharedQueue {
    /// A new ring with both ends here.
    pub fn new(limits: Limits, segments: &Segments) -> Result<SharedQueue, ShmError> {
        let (producer, consumer) = link(Carries::Messages(limits), segments)?;
        let (producer, consumer) = (SharedQueue::of(producer)?, SharedQueue::of(consumer)?);
        Ok(SharedQueue { limits, sender: producer.sender, receiver: consumer.receiver })
    }

    /// One end of a ring of messages whose other end is elsewhere.
    pub fn of(end: LinkEnd) -> Result<SharedQueue, ShmError> {
        let Carries::Messages(limits) = end.carries() else { return Err(ShmError::Role) };
        let mut queue = SharedQueue { limits, sender: None, receiver: None };
        match Ends::of(end)? {
            Ends::Input(Input::Messages(sender)) => queue.sender = Some(Arc::new(Mutex::new(sender))),
            Ends::Output(Output::Messages(receiver)) => queue.receiver = Some(Arc::new(Mutex::new(receiver))),
            _ => return Err(ShmError::Role),
        }
        Ok(queue)
    }
}

#[cfg(not(any(loom, shuttle)))]
enum Ends {
    Input(Input),
    Output(Output),
}

#[cfg(not(any(loom, shuttle)))]
impl Ends {
    fn of(end: LinkEnd) -> Result<Ends, ShmError> {
        match end.role() {
            Role::Producer => end.into_input().map(Ends::Input),
            Role::Consumer => end.into_output().map(Ends::Output),
        }
    }
}

/// For the model checkers, which know no kernel: in memory of their own, with bells that they know.
#[cfg(any(loom, shuttle))]
impl SharedPipe {
    pub fn new(capacity: Capacity, quota: &Quota) -> Result<SharedPipe, QuotaError> {
        let held = Held::local(Size::of(capacity.bytes()), quota)?;
        let (one, two) = Line::pair();
        let writer = RingWriter::of(held.clone(), capacity, Some(one));
        let reader = RingReader::of(held, capacity, Some(two));
        let (writer, reader) = (Some(Arc::new(Mutex::new(writer))), Some(Arc::new(Mutex::new(reader))));
        Ok(SharedPipe { capacity, writer, reader })
    }
}

#[cfg(any(loom, shuttle))]
impl SharedQueue {
    pub fn new(limits: Limits, quota: &Quota) -> Result<SharedQueue, QuotaError> {
        let held = Held::local(frames_size(limits), quota)?;
        let (one, two) = Line::pair();
        let sender = FrameSender::of(held.clone(), limits, Some(one));
        let receiver = FrameReceiver::of(held, limits, Some(two));
        let (sender, receiver) = (Some(Arc::new(Mutex::new(sender))), Some(Arc::new(Mutex::new(receiver))));
        Ok(SharedQueue { limits, sender, receiver })
    }
}

impl ByteStream for SharedPipe {
    fn try_read(&self, max: usize) -> Result<Bytes, PipeError> {
        self.reader.as_ref().map_or(Err(PipeError::Closed), |reader| reader.lock().try_read(max))
    }

    fn try_write(&self, bytes: &[u8]) -> Result<usize, PipeError> {
        self.writer.as_ref().map_or(Err(PipeError::Closed), |writer| writer.lock().try_write(bytes))
    }

    fn readable(&self) -> impl Future<Output = ()> + Send + 'static {
        HalfReady::new(self.reader.as_ref(), 1)
    }

    fn writable(&self, len: usize) -> impl Future<Output = ()> + Send + 'static {
        HalfReady::new(self.writer.as_ref(), len)
    }

    fn close_read(&self) {
        self.reader.iter().for_each(|reader| reader.lock().close());
    }

    fn close_write(&self) {
        self.writer.iter().for_each(|writer| writer.lock().close());
    }

    fn stats(&self) -> PipeStats {
        let (written, unread) = self.writer.as_ref().map_or((0, 0), |writer| writer.lock().counts());
        let (read, discarded) = self.reader.as_ref().map_or((0, 0), |reader| reader.lock().counts());
        PipeStats {
            capacity_bytes: self.capacity.bytes(),
            buffered_bytes: (unread - discarded.min(unread)) as usize,
            written_bytes: written,
            read_bytes: read,
            discarded_bytes: discarded,
            readers: self.reader.as_ref().map_or(0, |reader| usize::from(!reader.lock().is_closed())),
            writers: self.writer.as_ref().map_or(0, |writer| usize::from(!writer.lock().is_closed())),
            waiting_readers: 0,
            waiting_writers: 0,
            destroyed: false,
        }
    }
}

impl Channel for SharedQueue {
    fn try_send(&self, message: Message) -> Result<(), QueueError> {
        self.sender.as_ref().map_or(Err(QueueError::Closed), |sender| sender.lock().try_send(&message))
    }

    fn try_recv(&self) -> Result<Message, QueueError> {
        self.receiver.as_ref().map_or(Err(QueueError::Closed), |receiver| receiver.lock().try_recv())
    }

    fn sendable(&self, len: usize) -> impl Future<Output = ()> + Send + 'static {
        HalfReady::new(self.sender.as_ref(), len)
    }

    fn receivable(&self) -> impl Future<Output = ()> + Send + 'static {
        HalfReady::new(self.receiver.as_ref(), 1)
    }

    fn close_send(&self) {
        self.sender.iter().for_each(|sender| sender.lock().close());
    }

    fn close_recv(&self) {
        self.receiver.iter().for_each(|receiver| receiver.lock().close());
    }

    fn stats(&self) -> QueueStats {
        let (sent, mut messages, mut bytes) =
            self.sender.as_ref().map_or((0, 0, 0), |sender| sender.lock().counts());
        let receiver = self.receiver.as_ref().map(|receiver| receiver.lock());
        let (received, receivers) = receiver
            .as_ref()
            .map_or((0, 0), |receiver| (receiver.received(), usize::from(!receiver.is_closed())));
        // What was in it when its receiver closed can't be received any more.
        let discarded = if receiver.is_some() && receivers == 0 { messages as u64 } else { 0 };
        if discarded > 0 {
            (messages, bytes) = (0, 0);
        }
        QueueStats {
            limits: self.limits,
            messages,
            bytes,
            sent,
            received,
            discarded,
            missed: 0,
            receivers,
            senders: self.sender.as_ref().map_or(0, |sender| usize::from(!sender.lock().is_closed())),
            waiting_receivers: 0,
            waiting_senders: 0,
            closed: false,
            destroyed: false,
        }
    }
}

/// Waits at one end of a ring until it is ready. Whoever waits is woken by every change and looks for itself.
struct HalfReady<H> {
    half: Option<Arc<Mutex<H>>>,
    need: usize,
    listening: Option<(Waiting, Waiting)>,
}

impl<H: Half> HalfReady<H> {
    fn new(half: Option<&Arc<Mutex<H>>>, need: usize) -> HalfReady<H> {
        HalfReady { half: half.cloned(), need, listening: None }
    }
}

impl<H: Half> Future for HalfReady<H> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let HalfReady { half, need, listening } = &mut *self;
        let Some(half) = half else { return Poll::Ready(()) };
        loop {
            if let Some((bell, life)) = listening {
                let (rung, broken) = (Pin::new(bell).poll(cx).is_ready(), Pin::new(life).poll(cx).is_ready());
                if !rung && !broken {
                    // Polled for another reason, it may be ready before the bell is heard.
                    return if half.lock().is_ready(*need) { Poll::Ready(()) } else { Poll::Pending };
                }
                *listening = None;
                if let Some(line) = half.lock().line() {
                    line.hush();
                    if broken {
                        line.probe();
                    }
                }
            }
            let mut half = half.lock();
            if half.is_ready(*need) {
                return Poll::Ready(());
            }
            let Some(line) = half.line() else { return Poll::Ready(()) };
            // Listening first, then arming, then looking once more: whatever rings from here on is heard.
            let (mut bell, mut life) = line.listen();
            let heard = Pin::new(&mut bell).poll(cx).is_ready() | Pin::new(&mut life).poll(cx).is_ready();
            half.arm();
            if half.is_ready(*need) {
                return Poll::Ready(());
            }
            *listening = Some((bell, life));
            if !heard {
                return Poll::Pending;
            }
        }
    }
}
