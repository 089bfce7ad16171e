//! A socket of the host's, as an object that can be waited for. It never holds a thread.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use rustix::{
    buffer::spare_capacity,
    event::{PollFd, PollFlags, Timespec, poll},
    net::{AddressFamily, RecvFlags, SendFlags, Shutdown, SocketAddrAny, SocketFlags, SocketType, sockopt},
};
use tokio::{
    io::Interest,
    net::{TcpStream, UdpSocket},
};

const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// A socket of the network. Made within the runtime that waits for it.
pub(crate) struct HostSocket {
    /// Whatever kind of socket it is: nothing but its waiting is used of this type, which takes any of them.
    fd: UdpSocket,
    family: AddressFamily,
    /// Whether nothing more is received by it, be it there already: which the host knows no way to ask for.
    is_deaf: AtomicBool,
}

/// A datagram, or a part of a stream.
pub(crate) struct Came {
    pub(crate) data: Bytes,
    pub(crate) is_truncated: bool,
}

impl HostSocket {
    /// One that speaks to addresses of the family of this one.
    pub(crate) fn new(kind: SocketType, like: SocketAddr) -> io::Result<Self> {
        let family = family_of(like);
        let fd = rustix::net::socket_with(family, kind, FLAGS, None)?;
        if family == AddressFamily::INET6 {
            // An address of IPv6 was granted, and none of IPv4 along with it.
            sockopt::set_ipv6_v6only(&fd, true)?;
        }
        Self::adopt(fd, family)
    }

    /// One that somebody else has connected.
    pub(crate) fn connected(stream: TcpStream) -> io::Result<Self> {
        let family = family_of(stream.peer_addr()?);
        Self::adopt(stream.into_std()?.into(), family)
    }

    /// Two streams that are connected to each other, with buffers of so many bytes: one to wait for, and one to give away.
    pub(crate) fn pair(buffer_bytes: usize) -> io::Result<(Self, OwnedFd)> {
        let (family, kind) = (AddressFamily::UNIX, SocketType::STREAM);
        let (near, far) = rustix::net::socketpair(family, kind, SocketFlags::CLOEXEC, None)?;
        for end in [&near, &far] {
            sockopt::set_socket_send_buffer_size(end, buffer_bytes)?;
        }
        rustix::io::ioctl_fionbio(&near, true)?;
        Ok((Self::adopt(near, family)?, far))
    }

    fn adopt(fd: OwnedFd, family: AddressFamily) -> io::Result<Self> {
        Ok(Self { fd: UdpSocket::from_std(fd.into())?, family, is_deaf: AtomicBool::new(false) })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether it can speak to an address.
    pub(crate) fn fits(&self, at: SocketAddr) -> bool {
        self.family == family_of(at)
    }

    pub(crate) fn is_v6(&self) -> bool {
        self.family == AddressFamily::INET6
    }

    pub(crate) fn bind(&self, at: SocketAddr) -> io::Result<()> {
        Ok(rustix::net::bind(self.fd(), &at)?)
    }

    pub(crate) fn listen(&self, backlog: i32) -> io::Result<()> {
        Ok(rustix::net::listen(self.fd(), backlog)?)
    }

    /// Connects to exactly this address.
    pub(crate) async fn connect(&self, to: SocketAddr) -> io::Result<()> {
        match rustix::net::connect(self.fd(), &to) {
            Err(rustix::io::Errno::INPROGRESS) => {}
            done => return Ok(done?),
        }
        self.until(Interest::WRITABLE, PollFlags::OUT).await?;
        Ok(sockopt::socket_error(self.fd())??)
    }

    /// The next connection, and where it comes from.
    pub(crate) async fn accept(&self) -> io::Result<(Self, SocketAddr)> {
        let (fd, from) =
            self.attempt(Interest::READABLE, |fd| rustix::net::acceptfrom_with(fd, FLAGS)).await?;
        Ok((Self::adopt(fd, self.family)?, address(from)?))
    }

    /// Sends as much as there is room for, but something.
    pub(crate) async fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.attempt(Interest::WRITABLE, |fd| rustix::net::send(fd, data, SendFlags::NOSIGNAL)).await
    }

    pub(crate) async fn send_to(&self, data: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.attempt(Interest::WRITABLE, |fd| rustix::net::sendto(fd, data, SendFlags::NOSIGNAL, &to)).await
    }

    /// Up to `most` bytes of a stream, or of one datagram, and for that how much was there.
    pub(crate) async fn receive(&self, most: usize, flags: RecvFlags) -> io::Result<Came> {
        self.attempt(Interest::READABLE, |fd| {
            if self.is_deaf.load(Ordering::Acquire) {
                return Ok(Came { data: Bytes::new(), is_truncated: false });
            }
            // Made only once there is something, so that who waits holds no memory.
            let mut data = Vec::with_capacity(most);
            let (_, length) = rustix::net::recv(fd, spare_capacity(&mut data), flags)?;
            Ok(Came { is_truncated: length > data.len(), data: data.into() })
        })
        .await
    }

    /// The next datagram, and who sent it.
    pub(crate) async fn receive_from(&self, most: usize) -> io::Result<(Came, SocketAddr)> {
        let (came, from) = self
            .attempt(Interest::READABLE, |fd| {
                let mut data = Vec::with_capacity(most);
                let (_, length, from) =
                    rustix::net::recvfrom(fd, spare_capacity(&mut data), RecvFlags::TRUNC)?;
                Ok((Came { is_truncated: length > data.len(), data: data.into() }, from))
            })
            .await?;
        Ok((came, address(from)?))
    }

    pub(crate) fn shut_down(&self, how: Shutdown) -> io::Result<()> {
        Ok(rustix::net::shutdown(self.fd(), how)?)
    }

    /// Ends what is received, for all who do.
    pub(crate) fn deafen(&self) {
        self.is_deaf.store(true, Ordering::Release);
        // Wakes those who wait; that it is gone already shows elsewhere.
        let _ = self.shut_down(Shutdown::Read);
    }

    /// Whether something went wrong since the last look: the other end of a pair has closed and not read all.
    pub(crate) fn has_failed(&self) -> bool {
        !matches!(sockopt::socket_error(self.fd()), Ok(Ok(())))
    }

    /// Where it is.
    pub(crate) fn local(&self) -> io::Result<SocketAddr> {
        address(Some(rustix::net::getsockname(self.fd())?))
    }

    /// Where the other side is.
    pub(crate) fn peer(&self) -> io::Result<SocketAddr> {
        address(rustix::net::getpeername(self.fd())?)
    }

    /// Until something can be received or accepted without waiting.
    pub(crate) async fn readable(&self) {
        let _ = self.until(Interest::READABLE, PollFlags::IN).await;
    }

    /// Until something can be sent without waiting.
    pub(crate) async fn writable(&self) {
        let _ = self.until(Interest::WRITABLE, PollFlags::OUT).await;
    }

    /// Whether the other side has closed altogether, or neither side sends any more.
    pub(crate) fn is_hung_up(&self) -> bool {
        let mut asked = [PollFd::from_borrowed_fd(self.fd(), PollFlags::empty())];
        // That is told whatever is asked for. If it can't be told there is nobody left to wait for.
        poll(&mut asked, Some(&Timespec::default())).is_err() || asked[0].revents().contains(PollFlags::HUP)
    }

    /// Until that is so.
    pub(crate) async fn hung_up(&self) {
        // Everything that happens comes with word of whether it can be written to; and who waits for that too is woken.
        let _ = self.until(Interest::WRITABLE, PollFlags::HUP).await;
    }

    /// Tries right away, and then whenever the host says that it may go on.
    async fn attempt<T>(
        &self,
        interest: Interest,
        mut attempt: impl FnMut(BorrowedFd<'_>) -> rustix::io::Result<T>,
    ) -> io::Result<T> {
        match attempt(self.fd()) {
            Err(rustix::io::Errno::WOULDBLOCK) => {}
            done => return Ok(done?),
        }
        self.fd.async_io(interest, || attempt(self.fd()).map_err(Into::into)).await
    }

    /// Waits until it is so, whatever was known of it before.
    async fn until(&self, interest: Interest, flags: PollFlags) -> io::Result<()> {
        loop {
            self.fd.ready(interest).await?;
            let looked = self.fd.try_io(interest, || {
                let mut asked = [PollFd::from_borrowed_fd(self.fd(), flags)];
                match poll(&mut asked, Some(&Timespec::default()))? {
                    0 => Err(io::ErrorKind::WouldBlock.into()),
                    _ => Ok(()),
                }
            });
            match looked {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                looked => return looked,
            }
        }
    }
}

fn family_of(at: SocketAddr) -> AddressFamily {
    if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }
}

fn address(at: Option<SocketAddrAny>) -> io::Result<SocketAddr> {
    at.and_then(|at| at.try_into().ok()).ok_or_else(|| io::ErrorKind::NotConnected.into())
}
