//! The kernel's sockets for packets in sequence behind the common trait: what a program gets that knows nothing of us and
//! talks in messages.

use super::kernel_end::{KernelEnd, copied, sized_pair, unread};
use super::reactor::{Interest, Source};
use crate::channel::Channel;
use crate::queue::{Limits, Message, QueueError, QueueStats};
use crate::sync::Mutex;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    RecvAncillaryBuffer, RecvFlags, ReturnFlags, SendFlags, Shutdown, SocketType, recvmsg, send, shutdown,
    sockopt,
};
use std::future::Future;
use std::io::IoSliceMut;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What the kernel keeps beside each message, at the most.
const OVERHEAD: usize = 1 << 10;

/// A pair of connected unix(7) SEQPACKET sockets, used in one direction, as far as its ends are here. What is asked of an end
/// that is not here answers `Closed`.
///
/// Messages come out whole and as they were sent; their priority stays here. The limits are what surely fits: the kernel counts
/// what messages cost it, so more of them may. No message is longer than the limit of bytes. A sender that waits is woken
/// once three quarters are free.
///
/// A foreign program that has the sending end is believed nothing: a message that is too long answers
/// [`QueueError::PeerCorrupt`] and ends the queue, and descriptors in a message are closed by the kernel before they are here.
/// It closes them on the thread that receives, though, and closing can take as long as the sender has arranged (a connection
/// with `SO_LINGER` whose peer takes nothing). So have a thread of its own receive from a program that is not trusted, or have
/// it use a ring in shared memory, which carries no descriptors.
pub struct KernelQueue {
    receiver: KernelEnd,
    sender: KernelEnd,
    limits: Limits,
    sent: AtomicU64,
    received: AtomicU64,
    corrupt: AtomicBool,
    /// An end was copied for somebody else, so what is not received here may be received there.
    copied: AtomicBool,
    /// Where the next message goes first, of the longest that may come. Held for one call to the kernel that does not wait.
    room: Mutex<Vec<u8>>,
}

/// What one call to the kernel has brought.
enum Taken {
    Message(Message),
    TooLong,
    End,
}

impl KernelQueue {
    /// A new pair of at least those limits with both ends here. More than `net.core.wmem_max` allows, which is 208 KiB on most
    /// machines, for the bytes and half a KiB for each message, answers `ENOBUFS`.
    pub fn new(limits: Limits) -> Result<KernelQueue, QueueError> {
        // Bytes cost up to twice their number.
        let wanted = 2 * limits.bytes() + OVERHEAD * limits.messages();
        let (receiver, sender, granted) = sized_pair(SocketType::SEQPACKET, wanted).map_err(os)?;
        if granted < wanted {
            return Err(os(Errno::NOBUFS));
        }
        // Every message says from whom it is, though nobody looks: by that one of no bytes is told from the end.
        sockopt::set_socket_passcred(&receiver, true).map_err(os)?;
        Ok(KernelQueue {
            receiver: KernelEnd::new(receiver).map_err(os)?,
            sender: KernelEnd::new(sender).map_err(os)?,
            limits,
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            corrupt: AtomicBool::new(false),
            copied: AtomicBool::new(false),
            room: Mutex::new(Vec::new()),
        })
    }

    /// A descriptor of the receiving end for a child, which blocks as a program expects it. It is a copy: close the one here
    /// with [`close_recv`](Channel::close_recv) once the child has started.
    pub fn receiver_for_child(&self) -> Result<OwnedFd, QueueError> {
        self.copied.store(true, Ordering::Relaxed);
        copied(&*self.receiver.get().ok_or(QueueError::Closed)?).map_err(os)
    }

    /// The same of the sending end.
    pub fn sender_for_child(&self) -> Result<OwnedFd, QueueError> {
        self.copied.store(true, Ordering::Relaxed);
        copied(&*self.sender.get().ok_or(QueueError::Closed)?).map_err(os)
    }

    fn take(&self, receiver: &Source) -> Result<Taken, Errno> {
        let mut room = self.room.lock();
        room.resize(self.limits.bytes(), 0);
        let message = retry_on_intr(|| {
            let flags = RecvFlags::DONTWAIT;
            recvmsg(receiver, &mut [IoSliceMut::new(&mut room)], &mut RecvAncillaryBuffer::default(), flags)
        })?;
        if message.flags.contains(ReturnFlags::TRUNC) {
            return Ok(Taken::TooLong);
        }
        if message.bytes == 0 && !message.flags.contains(ReturnFlags::CTRUNC) {
            // From nobody: there was no message.
            return Ok(Taken::End);
        }
        Ok(Taken::Message(Message::from(&room[..message.bytes])))
    }

    /// How many messages are under way, and how many were when the receiver closed; if nobody else has a part in it.
    fn unreceived(&self) -> (usize, u64) {
        if self.copied.load(Ordering::Relaxed) {
            return (0, 0);
        }
        // One that was just received may not yet be counted as sent.
        let received = self.received.load(Ordering::Relaxed);
        let unreceived = self.sent.load(Ordering::Relaxed).saturating_sub(received);
        if self.receiver.is_open() { (unreceived as usize, 0) } else { (0, unreceived) }
    }

    fn full(&self, asked: usize) -> QueueError {
        QueueError::Full {
            asked,
            messages: self.unreceived().0,
            max_messages: self.limits.messages(),
            bytes: self.receiver.get().map_or(0, |receiver| unread(&receiver)),
            max_bytes: self.limits.bytes(),
        }
    }
}

impl Channel for KernelQueue {
    fn try_send(&self, message: Message) -> Result<(), QueueError> {
        let sender = self.sender.get().ok_or(QueueError::Closed)?;
        if self.corrupt.load(Ordering::Relaxed) {
            return Err(QueueError::PeerCorrupt);
        }
        if message.len() > self.limits.bytes() {
            return Err(QueueError::TooLarge { asked: message.len(), max: self.limits.bytes() });
        }
        match retry_on_intr(|| send(&sender, &message, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)) {
            Ok(_) => {
                self.sent.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(Errno::AGAIN) => Err(self.full(message.len())),
            Err(Errno::PIPE | Errno::CONNRESET) => Err(QueueError::Abandoned),
            Err(errno) => Err(os(errno)),
        }
    }

    fn try_recv(&self) -> Result<Message, QueueError> {
        if self.corrupt.load(Ordering::Relaxed) {
            return Err(QueueError::PeerCorrupt);
        }
        let receiver = self.receiver.get().ok_or(QueueError::Closed)?;
        match self.take(&receiver) {
            Ok(Taken::Message(message)) => {
                self.received.fetch_add(1, Ordering::Relaxed);
                Ok(message)
            }
            Ok(Taken::TooLong) => {
                self.corrupt.store(true, Ordering::Relaxed);
                // Whoever has a copy of either end is told by the kernel, and who waits here looks and hears it.
                let _ = shutdown(&receiver, Shutdown::Both);
                self.close_recv();
                Err(QueueError::PeerCorrupt)
            }
            Ok(Taken::End) | Err(Errno::CONNRESET) => Err(QueueError::Ended),
            Err(Errno::AGAIN) => Err(QueueError::Empty),
            Err(errno) => Err(os(errno)),
        }
    }

    fn sendable(&self, len: usize) -> impl Future<Output = ()> + Send + 'static {
        // What never fits does not wait.
        let fits = len <= self.limits.bytes();
        let ready = fits.then(|| self.sender.ready(Interest::Write));
        async move {
            if let Some(ready) = ready {
                ready.await;
            }
        }
    }

    fn receivable(&self) -> impl Future<Output = ()> + Send + 'static {
        self.receiver.ready(Interest::Read)
    }

    fn close_send(&self) {
        self.sender.close();
    }

    fn close_recv(&self) {
        self.receiver.close();
    }

    fn stats(&self) -> QueueStats {
        let (messages, discarded) = self.unreceived();
        QueueStats {
            limits: self.limits,
            messages,
            bytes: self.receiver.get().map_or(0, |receiver| unread(&receiver)),
            sent: self.sent.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            discarded,
            missed: 0,
            receivers: usize::from(self.receiver.is_open()),
            senders: usize::from(self.sender.is_open()),
            waiting_receivers: 0,
            waiting_senders: 0,
            closed: false,
            destroyed: false,
        }
    }
}

fn os(errno: Errno) -> QueueError {
    QueueError::Os { errno: errno.raw_os_error() }
}
