//! Rings between processes: what an end is made of, before it is used here or passed on.

use super::line::Line;
use super::shm::{Access, Mapping, Segment, Segments, Sharing, ShmError};
use crate::pipe::Capacity;
use crate::queue::Limits;
use crate::quota::Quota;
use crate::ring::{
    FrameReceiver, FrameSender, Held, MAX_SLOTS, RingReader, RingWriter, SLOT_BYTES, Size, SlotReceiver,
    SlotSender, frames_size, memory_bytes,
};
use rustix::event::{EventfdFlags, eventfd};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// What goes through a ring, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// A stream of bytes.
    Bytes(Capacity),
    /// Messages of any length.
    Messages(Limits),
    /// That many slots of 64 bytes, 1 to [`MAX_SLOTS`].
    Slots(usize),
}

/// Which end it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Where things go in.
    Producer,
    /// Where they come out.
    Consumer,
}

/// One end of a ring in shared memory that nobody has used yet. Open it here, or pass it to another process with
/// [`Handoff::send_end`](crate::Handoff::send_end).
///
/// The other end notices when this one is dropped, and when the process that has it is killed.
#[derive(Debug)]
pub struct LinkEnd {
    role: Role,
    carries: Carries,
    segment: Segment,
    own: OwnedFd,
    other: OwnedFd,
    life: OwnedFd,
}

/// A producer that was opened.
pub enum Input {
    /// For bytes.
    Bytes(RingWriter),
    /// For messages.
    Messages(FrameSender),
    /// For slots.
    Slots(SlotSender),
}

/// A consumer that was opened.
pub enum Output {
    /// For bytes.
    Bytes(RingReader),
    /// For messages.
    Messages(FrameReceiver),
    /// For slots.
    Slots(SlotReceiver),
}

/// A ring in a segment of its own, as its two ends: the producer's and the consumer's.
pub fn link(carries: Carries, segments: &Segments) -> Result<(LinkEnd, LinkEnd), ShmError> {
    let segment = segments.create(memory_bytes(carries.size()?) as u64, Sharing::Writers)?;
    let bell = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(ShmError::of("eventfd"));
    let (for_producer, for_consumer) = (bell()?, bell()?);
    let clone =
        |fd: &OwnedFd| rustix::io::fcntl_dupfd_cloexec(fd, 0).map_err(ShmError::of("fcntl(F_DUPFD_CLOEXEC)"));
    let (producer_bell, consumer_bell) = (clone(&for_producer)?, clone(&for_consumer)?);
    let (here, there) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .map_err(ShmError::of("socketpair"))?;
    let producer = LinkEnd {
        role: Role::Producer,
        carries,
        segment: segment.clone(),
        own: for_producer,
        other: consumer_bell,
        life: here,
    };
    let consumer = LinkEnd {
        role: Role::Consumer,
        carries,
        segment,
        own: for_consumer,
        other: producer_bell,
        life: there,
    };
    Ok((producer, consumer))
}

impl Carries {
    fn size(self) -> Result<Size, ShmError> {
        match self {
            Carries::Bytes(capacity) => Ok(Size::of(capacity.bytes())),
            Carries::Messages(limits) => Ok(frames_size(limits)),
            Carries::Slots(count) if (1..=MAX_SLOTS).contains(&count) => Ok(Size::of(count * SLOT_BYTES)),
            Carries::Slots(count) => Err(ShmError::Size {
                asked_bytes: (count as u64).saturating_mul(SLOT_BYTES as u64),
                max_bytes: (MAX_SLOTS * SLOT_BYTES) as u64,
            }),
        }
    }
}

impl LinkEnd {
    /// Which end it is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// What goes through.
    pub fn carries(&self) -> Carries {
        self.carries
    }

    /// The memory of the ring, as the other side sees and can change it: for tools that look at a ring, and for tests that lie.
    pub fn map_for_peer(&self) -> Result<Mapping, ShmError> {
        self.segment.attach(Access::ReadWrite)
    }

    /// Opens a producer here. A consumer is refused, and dropped.
    pub fn into_input(self) -> Result<Input, ShmError> {
        let carries = self.carries;
        if self.role != Role::Producer {
            return Err(ShmError::Role);
        }
        let (held, line) = self.open()?;
        Ok(match carries {
            Carries::Bytes(capacity) => Input::Bytes(RingWriter::of(held, capacity, Some(line))),
            Carries::Messages(limits) => Input::Messages(FrameSender::of(held, limits, Some(line))),
            Carries::Slots(count) => Input::Slots(SlotSender::of(held, count, Some(line))),
        })
    }

    /// Opens a consumer here. A producer is refused, and dropped.
    pub fn into_output(self) -> Result<Output, ShmError> {
        let carries = self.carries;
        if self.role != Role::Consumer {
            return Err(ShmError::Role);
        }
        let (held, line) = self.open()?;
        Ok(match carries {
            Carries::Bytes(capacity) => Output::Bytes(RingReader::of(held, capacity, Some(line))),
            Carries::Messages(limits) => Output::Messages(FrameReceiver::of(held, limits, Some(line))),
            Carries::Slots(count) => Output::Slots(SlotReceiver::of(held, count, Some(line))),
        })
    }

    fn open(self) -> Result<(Held, Line), ShmError> {
        let mapping = self.segment.attach(Access::ReadWrite)?;
        let line = Line::new(self.own, self.other, self.life).map_err(ShmError::of("epoll_ctl"))?;
        Ok((Held::shared(Arc::new(mapping)), line))
    }

    /// The four descriptors of an end, in the order in which they are passed.
    pub(super) fn descriptors(&self) -> [BorrowedFd<'_>; 4] {
        [self.segment.as_fd(), self.own.as_fd(), self.other.as_fd(), self.life.as_fd()]
    }

    pub(super) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// An end that came from another process, which is believed nothing: the memory must be large enough, and stay it.
    pub(super) fn adopt(
        role: Role,
        carries: Carries,
        [memory, own, other, life]: [OwnedFd; 4],
        quota: &Quota,
    ) -> Result<LinkEnd, ShmError> {
        let needed = memory_bytes(carries.size()?) as u64;
        let segment =
            Segment::adopt(memory, needed.next_multiple_of(rustix::param::page_size() as u64), quota)?;
        if segment.len_bytes() < needed {
            return Err(ShmError::Size { asked_bytes: segment.len_bytes(), max_bytes: needed });
        }
        Ok(LinkEnd { role, carries, segment, own, other, life })
    }
}
