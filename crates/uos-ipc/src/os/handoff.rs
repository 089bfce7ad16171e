//! Passing descriptors, segments and ends of rings to another process, over a SEQPACKET socket.
//!
//! A packet is its bytes and up to 16 descriptors, whole or not at all. What is passed by `send_segment` and `send_end` has
//! 32 bytes that say what the descriptors are, little-endian: `uOS1`, then the kind and the role as four bytes each (kind 1 a
//! segment, 2 bytes, 3 messages, 4 slots, 5 blocks to borrow; role 0 for none or to read, 1 producer or to write, 2
//! consumer), four bytes that number the segment of the blocks, and two numbers of eight bytes: a segment's length; a pipe's capacity; a queue's most
//! messages and bytes; a count of slots; a block's length and the count of blocks.

use super::link::{Carries, LinkEnd, Role};
use super::loan::BorrowerEnd;
use super::shm::{Access, Enforcement, Lease, Segment, ShmError};
use crate::pipe::Capacity;
use crate::queue::Limits;
use crate::quota::Quota;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair, sockopt,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The most bytes in one packet.
pub const MAX_PACKET_BYTES: usize = 64 << 10;
/// The most descriptors in one packet.
pub const MAX_PACKET_FDS: usize = 16;

const MAGIC: [u8; 4] = *b"uOS1";
const TERMS_BYTES: usize = 32;

/// One end of a socket to pass things through.
#[derive(Debug)]
pub struct Handoff {
    fd: OwnedFd,
}

/// What came in one packet.
#[derive(Debug)]
pub struct Packet {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its descriptors, all of them closed on exec.
    pub fds: Vec<OwnedFd>,
}

/// What another process has passed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Passed {
    /// A segment, with the access it was passed with.
    Segment(Segment),
    /// An end of a ring.
    End(LinkEnd),
    /// Blocks to borrow.
    Loans(BorrowerEnd),
    /// Anything else.
    Packet(Packet),
}

/// Who is at the other end, as the kernel saw it when the socket was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its process.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
}

/// Why something was not passed. In every case nothing was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandoffError {
    /// A packet can't be that large.
    #[error(
        "a packet of {bytes} bytes and {fds} descriptors, where {MAX_PACKET_BYTES} and {MAX_PACKET_FDS} are the most"
    )]
    TooLarge {
        /// How many bytes.
        bytes: usize,
        /// How many descriptors.
        fds: usize,
    },
    /// It can't be passed or taken now without waiting.
    #[error("would block")]
    WouldBlock,
    /// The other end is gone.
    #[error("the other end is closed")]
    Closed,
    /// What came can't be what it says it is. Its descriptors are closed.
    #[error("a malformed packet: {0}")]
    Malformed(&'static str),
    /// This is no SEQPACKET socket of the family UNIX.
    #[error("not a SEQPACKET socket")]
    NotSeqpacket,
    /// The segment in it could not be passed or taken.
    #[error(transparent)]
    Shm(#[from] ShmError),
    /// The kernel refused.
    #[error("{call}: {}", std::io::Error::from_raw_os_error(*errno))]
    Os {
        /// Which call.
        call: &'static str,
        /// What it answered.
        errno: i32,
    },
}

impl Handoff {
    /// Two ends that are connected.
    pub fn pair() -> Result<(Handoff, Handoff), HandoffError> {
        let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let (here, there) = pair.map_err(of("socketpair"))?;
        Ok((Handoff { fd: here }, Handoff { fd: there }))
    }

    /// An end that was inherited or passed.
    pub fn from_fd(fd: OwnedFd) -> Result<Handoff, HandoffError> {
        match (sockopt::socket_domain(&fd), sockopt::socket_type(&fd)) {
            (Ok(AddressFamily::UNIX), Ok(SocketType::SEQPACKET)) => Ok(Handoff { fd }),
            _ => Err(HandoffError::NotSeqpacket),
        }
    }

    /// The end itself, for a child to inherit.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Who is at the other end.
    pub fn peer(&self) -> Result<Peer, HandoffError> {
        let credentials = sockopt::socket_peercred(&self.fd).map_err(of("getsockopt(SO_PEERCRED)"))?;
        Ok(Peer { pid: credentials.pid.as_raw_nonzero().get(), uid: credentials.uid.as_raw() })
    }

    /// Sends one packet, waiting until there is room for it.
    pub fn send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), HandoffError> {
        if bytes.len() > MAX_PACKET_BYTES || fds.len() > MAX_PACKET_FDS {
            return Err(HandoffError::TooLarge { bytes: bytes.len(), fds: fds.len() });
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_PACKET_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(HandoffError::TooLarge { bytes: bytes.len(), fds: fds.len() });
        }
        let sent =
            retry_on_intr(|| sendmsg(&self.fd, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL));
        sent.map(drop).map_err(of("sendmsg"))
    }

    /// Waits for the next packet. `None` is the end: the other end is closed, or its process is gone.
    ///
    /// A packet of nothing at all can't be told from the end, and nobody sends one here.
    pub fn recv(&self) -> Result<Option<Packet>, HandoffError> {
        self.receive(RecvFlags::empty())
    }

    /// Takes the next packet if there is one.
    pub fn try_recv(&self) -> Result<Option<Packet>, HandoffError> {
        self.receive(RecvFlags::DONTWAIT)
    }

    /// Passes a segment to be read, or to be written too. Keep the lease until the other process has ended.
    pub fn send_segment(
        &self,
        segment: &Segment,
        access: Access,
    ) -> Result<(Enforcement, Lease), HandoffError> {
        let (fd, enforcement, lease) = segment.share(access, self.peer()?.uid)?;
        let role = if access == Access::ReadWrite { 1 } else { 0 };
        self.send(&terms(1, role, 0, segment.len_bytes(), 0), &[fd.as_fd()])?;
        Ok((enforcement, lease))
    }

    /// Passes an end of a ring. If it fails, the end is dropped, and the other end sees that.
    #[expect(clippy::needless_pass_by_value, reason = "what was passed is no longer here")]
    pub fn send_end(&self, end: LinkEnd) -> Result<Lease, HandoffError> {
        let role = if end.role() == Role::Producer { 1 } else { 2 };
        let terms = match end.carries() {
            Carries::Bytes(capacity) => terms(2, role, 0, capacity.bytes() as u64, 0),
            Carries::Messages(limits) => terms(3, role, 0, limits.messages() as u64, limits.bytes() as u64),
            Carries::Slots(count) => terms(4, role, 0, count as u64, 0),
        };
        let lease = end.segment().lease();
        self.send(&terms, &end.descriptors())?;
        Ok(lease)
    }

    /// Passes the receiving end of a lender's blocks. Keep the lease until the other process has ended.
    #[expect(clippy::needless_pass_by_value, reason = "what was passed is no longer here")]
    pub fn send_loans(&self, end: BorrowerEnd) -> Result<(Enforcement, Lease), HandoffError> {
        let (fd, enforcement, lease) = end.segment.share(Access::ReadOnly, self.peer()?.uid)?;
        let (from, back) = (end.from.descriptors(), end.back.descriptors());
        let fds: Vec<BorrowedFd<'_>> = [fd.as_fd()].into_iter().chain(from).chain(back).collect();
        self.send(&terms(5, 2, end.number, end.block_bytes, end.count), &fds)?;
        Ok((enforcement, lease))
    }

    /// Waits for the next packet and makes of it what it says it is, charged to `quota`.
    pub fn recv_passed(&self, max_segment_bytes: u64, quota: &Quota) -> Result<Option<Passed>, HandoffError> {
        let Some(packet) = self.recv()? else { return Ok(None) };
        let Some(Terms { kind, role, number, a, b }) = Terms::of(&packet.bytes) else {
            return Ok(Some(Passed::Packet(packet)));
        };
        if kind == 1 {
            let [fd] = <[OwnedFd; 1]>::try_from(packet.fds)
                .map_err(|_| malformed("a segment without its descriptor"))?;
            let segment = Segment::adopt(fd, max_segment_bytes, quota)?.shortened(a)?;
            return Ok(Some(Passed::Segment(if role == 1 { segment } else { segment.read_only() })));
        }
        if kind == 5 {
            let fds = <[OwnedFd; 9]>::try_from(packet.fds)
                .map_err(|_| malformed("loans without their descriptors"))?;
            let [memory, f0, f1, f2, f3, b0, b1, b2, b3] = fds;
            let carries = Carries::Slots(usize::try_from(b).map_err(|_| malformed("a count of blocks"))?);
            return Ok(Some(Passed::Loans(BorrowerEnd {
                segment: Segment::adopt(memory, max_segment_bytes, quota)?.read_only(),
                from: LinkEnd::adopt(Role::Consumer, carries, [f0, f1, f2, f3], quota)?,
                back: LinkEnd::adopt(Role::Producer, carries, [b0, b1, b2, b3], quota)?,
                block_bytes: a,
                count: b,
                number,
            })));
        }
        let carries = match kind {
            2 => Carries::Bytes(Capacity::new(a).map_err(|_| malformed("a capacity no pipe has"))?),
            3 => Carries::Messages(Limits::new(a, b).map_err(|_| malformed("limits no queue has"))?),
            4 => Carries::Slots(usize::try_from(a).map_err(|_| malformed("a count of slots"))?),
            _ => return Err(malformed("an unknown kind")),
        };
        let role = match role {
            1 => Role::Producer,
            2 => Role::Consumer,
            _ => return Err(malformed("an unknown role")),
        };
        let fds =
            <[OwnedFd; 4]>::try_from(packet.fds).map_err(|_| malformed("an end without its descriptors"))?;
        Ok(Some(Passed::End(LinkEnd::adopt(role, carries, fds, quota)?)))
    }

    fn receive(&self, flags: RecvFlags) -> Result<Option<Packet>, HandoffError> {
        let mut bytes = vec![0; MAX_PACKET_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_PACKET_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = flags | RecvFlags::CMSG_CLOEXEC;
        let received =
            retry_on_intr(|| recvmsg(&self.fd, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags))
                .map_err(of("recvmsg"))?;
        let mut fds = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(malformed(
                "more bytes or descriptors than a packet has, or no room for descriptors here",
            ));
        }
        if received.bytes == 0 && fds.is_empty() {
            return Ok(None);
        }
        bytes.truncate(received.bytes);
        Ok(Some(Packet { bytes, fds }))
    }
}

impl AsFd for Handoff {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What a packet says its descriptors are.
struct Terms {
    kind: u32,
    role: u32,
    number: u32,
    a: u64,
    b: u64,
}

impl Terms {
    /// Only packets of exactly that form are taken for it.
    fn of(bytes: &[u8]) -> Option<Terms> {
        let bytes: &[u8; TERMS_BYTES] = bytes.try_into().ok()?;
        let short = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let long = |at: usize| u64::from(short(at)) | u64::from(short(at + 4)) << 32;
        (bytes[..4] == MAGIC).then(|| Terms {
            kind: short(4),
            role: short(8),
            number: short(12),
            a: long(16),
            b: long(24),
        })
    }
}

fn terms(kind: u32, role: u32, number: u32, a: u64, b: u64) -> [u8; TERMS_BYTES] {
    let mut bytes = [0; TERMS_BYTES];
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4..8].copy_from_slice(&kind.to_le_bytes());
    bytes[8..12].copy_from_slice(&role.to_le_bytes());
    bytes[12..16].copy_from_slice(&number.to_le_bytes());
    bytes[16..24].copy_from_slice(&a.to_le_bytes());
    bytes[24..].copy_from_slice(&b.to_le_bytes());
    bytes
}

fn malformed(what: &'static str) -> HandoffError {
    HandoffError::Malformed(what)
}

fn of(call: &'static str) -> impl FnOnce(Errno) -> HandoffError {
    move |errno| match errno {
        Errno::AGAIN => HandoffError::WouldBlock,
        Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN => HandoffError::Closed,
        errno => HandoffError::Os { call, errno: errno.raw_os_error() },
    }
}
