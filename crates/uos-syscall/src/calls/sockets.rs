//! Sockets: where they are, and whom they are connected to.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use bytes::Bytes;
use rustix::net::SocketType;
use uos_ipc::{Rights, SOCKET_BYTES, SocketError, SocketKind};
use uos_proto::{Right, v1};

use super::handles::keep;
use crate::{
    Errno, Error,
    admit::{Absent, Cx, Target},
    asking::Asker,
    audit::{Decision, Subject},
    handles::{Handle, Licence, Object},
    kernel::Inner,
    net::{Aim, judge},
    perform::Syscall,
    process::Process,
    rights::Host,
    sockets::{Door, HeldSocket, HostSocket, Kind, Line, Phase, SocketHandle, Turn},
    target::{HandleTarget, Scope, System},
};

/// The longest name of a socket within this system.
const NAME_BYTES: usize = 108;
/// How many may wait to be accepted when the caller doesn't say, and at most.
const BACKLOG: (u32, u32) = (128, 4_096);

fn kind(wire: i32, unset: Kind) -> Result<Kind, Error> {
    match v1::SocketKind::try_from(wire) {
        Ok(v1::SocketKind::Unspecified) => Ok(unset),
        Ok(v1::SocketKind::Tcp) => Ok(Kind::Tcp),
        Ok(v1::SocketKind::Udp) => Ok(Kind::Udp),
        Ok(v1::SocketKind::UnixStream) => Ok(Kind::Unix(SocketKind::Stream)),
        Ok(v1::SocketKind::UnixDatagram) => Ok(Kind::Unix(SocketKind::Datagram)),
        Ok(v1::SocketKind::UnixSeqpacket) => Ok(Kind::Unix(SocketKind::SeqPacket)),
        Err(_) => Err(Error::invalid("kind", format_args!("{wire} is not a SocketKind"))),
    }
}

/// Reads whom an address means. Without a host it is this one, as it sees itself.
pub(super) fn aim(address: Option<&v1::SocketAddress>) -> Result<Aim, Error> {
    let address = address.ok_or_else(|| Error::invalid("address", "there is none"))?;
    if address.name.is_empty() {
        let host = if address.host.is_empty() { "localhost" } else { &address.host };
        let host = Host::parse(host.trim_start_matches('[').trim_end_matches(']'))
            .or_else(|_| Host::parse(host))
            .map_err(|error| Error::invalid("address.host", error))?;
        let port = u16::try_from(address.port)
            .map_err(|_| Error::invalid("address.port", format_args!("0 to 65,535, not {}", address.port)))?;
        return Ok(Aim::Host(host, port));
    }
    if !address.host.is_empty() || address.port != 0 {
        return Err(Error::invalid("address", "either a host and a port, or a name"));
    }
    let name = &address.name;
    let is_canonical = name.strip_prefix('/').is_some_and(|rest| {
        rest.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains('\0'))
    });
    match is_canonical && name.len() <= NAME_BYTES {
        true => Ok(Aim::Socket(Bytes::copy_from_slice(name.as_bytes()))),
        false => {
            let why = format_args!("looks like an absolute path of up to {NAME_BYTES} bytes");
            Err(Error::invalid("address.name", why))
        }
    }
}

pub(super) fn wire(at: SocketAddr) -> v1::SocketAddress {
    v1::SocketAddress { host: at.ip().to_string(), port: u32::from(at.port()), name: String::new() }
}

pub(super) fn named(name: &[u8]) -> v1::SocketAddress {
    v1::SocketAddress { name: String::from_utf8_lossy(name).into_owned(), ..Default::default() }
}

impl Scope<'_> {
    /// A socket in the caller's table.
    pub(super) fn socket(&self, id: u64, needs: Rights) -> Result<HandleTarget<HeldSocket>, Absent> {
        self.handle(id, needs, |object| match object {
            Object::Socket(socket) => Some(socket.held()),
            _ => None,
        })
    }
}

/// A socket, and where it is to be or whom it is to talk to.
pub(crate) struct Aimed {
    pub(super) aim: Aim,
    pub(super) socket: Result<HandleTarget<HeldSocket>, Error>,
}

impl Aimed {
    pub(super) fn find(
        scope: &Scope<'_>,
        id: u64,
        address: Option<&v1::SocketAddress>,
    ) -> Result<Self, Absent> {
        let aim = aim(address).map_err(|error| Absent { error, subject: Subject::Handle(id) })?;
        let socket = scope.socket(id, Rights::WRITE).map_err(|absent| absent.error);
        Ok(Self { aim, socket })
    }
}

impl Target for Aimed {
    fn judge(&self, right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        // The right first: it is what the call is about.
        let decision = self.aim.judge(right, caller)?;
        self.socket.as_ref().map_err(Clone::clone)?.judge(Right::Handle, caller)?;
        Ok(decision)
    }

    fn subject(&self) -> Subject {
        self.aim.subject()
    }
}

/// The answer of a socket that is not for such addresses.
pub(super) fn other_family() -> Error {
    Error::new(Errno::EAFNOSUPPORT, "the socket is not for such an address")
}

impl Syscall for v1::Socket {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::SocketReply, Error> {
        let socket = SocketHandle::new(kind(self.kind, Kind::Tcp)?, Phase::Fresh, None, None);
        Ok(v1::SocketReply { id: keep(&cx, Handle::new(Object::Socket(socket), Rights::ALL))? })
    }
}

impl Syscall for v1::SocketPair {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::SocketPairReply, Error> {
        let kind = kind(self.kind, Kind::Unix(SocketKind::Stream))?;
        let Kind::Unix(within) = kind else { return Err(other_family()) };
        let (one, other) = uos_ipc::Socket::pair(within, SOCKET_BYTES, &cx.caller().share.socket_bytes)?;
        let keep = |end| {
            let socket = SocketHandle::new(kind, Phase::Open(Line::Unix(Arc::new(end))), None, None);
            keep(&cx, Handle::new(Object::Socket(socket), Rights::ALL))
        };
        let id = keep(one)?;
        match keep(other) {
            Ok(peer_id) => Ok(v1::SocketPairReply { id, peer_id }),
            Err(error) => {
                // Both or none.
                drop(cx.caller().handles.remove(id));
                Err(error)
            }
        }
    }
}

impl Syscall for v1::Bind {
    type Target = Aimed;

    fn target(&self, scope: &Scope<'_>) -> Result<Aimed, Absent> {
        Aimed::find(scope, self.id, self.address.as_ref())
    }

    fn run(&self, cx: Cx<'_, &Aimed>) -> Result<v1::BindReply, Error> {
        let whole = &cx.target.socket.as_ref().map_err(Clone::clone)?.found.whole;
        let turn = whole.begin()?;
        if !matches!(turn.was, Phase::Fresh) {
            return Err(Error::new(Errno::EINVAL, "the socket has an address already"));
        }
        let (kernel, caller) = (cx.kernel(), cx.caller());
        let (phase, licence, address) = match (whole.kind, &cx.target.aim) {
            (kind @ (Kind::Tcp | Kind::Udp), Aim::Host(host, port)) => {
                let at = match host {
                    Host::Address(address) => SocketAddr::new(*address, *port),
                    host if host.is_localhost() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), *port),
                    Host::Name(_) => {
                        return Err(Error::invalid(
                            "address.host",
                            "an address of this machine, or `localhost`",
                        ));
                    }
                };
                // `localhost` was judged by whichever of its addresses is allowed, and this is one of them.
                judge::address(&cx.asker().grants(), Right::NetBind, host, at)?;
                let socket = host_socket(kernel, caller, &turn, kind, at)?;
                socket.bind(at)?;
                let address = wire(socket.local()?);
                let licence = Licence::address(cx.asker(), Right::NetBind, host.clone(), at, None);
                let phase = match kind {
                    Kind::Udp => Phase::Open(Line::Udp(socket, None)),
                    _ => Phase::Bound(socket),
                };
                (phase, licence, address)
            }
            (Kind::Unix(within), Aim::Socket(name)) => {
                let phase = match within {
                    SocketKind::Datagram => {
                        let quota = &caller.share.socket_bytes;
                        let endpoint = kernel.socket_names.bind(name, SOCKET_BYTES, quota);
                        Phase::Open(Line::Named(Arc::new(endpoint.map_err(|error| refused(error, self.id))?)))
                    }
                    SocketKind::Stream | SocketKind::SeqPacket => Phase::Named(name.clone()),
                };
                (phase, Licence::socket(cx.asker(), Right::NetBind, name.clone(), None), named(name))
            }
            _ => return Err(other_family()),
        };
        whole.state.lock().licence = Some(licence);
        turn.becomes(phase);
        Ok(v1::BindReply { address: Some(address) })
    }
}

/// Makes a socket of the host's for addresses like this one, charged to the caller.
pub(super) fn host_socket(
    kernel: &Inner,
    caller: &Process,
    turn: &Turn,
    kind: Kind,
    like: SocketAddr,
) -> Result<Arc<HostSocket>, Error> {
    turn.pay(&caller.share.socket_bytes)?;
    let kind_of = if kind == Kind::Tcp { SocketType::STREAM } else { SocketType::DGRAM };
    // What is waited for is waited for by the kernel's own runtime, whatever thread this is.
    let _inside = kernel.runtime.enter();
    let socket = HostSocket::new(kind_of, like)?;
    turn.knobs().apply(&socket, kind)?;
    Ok(Arc::new(socket))
}

impl Syscall for v1::Listen {
    type Target = HandleTarget<HeldSocket>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        scope.socket(self.id, Rights::WRITE)
    }

    fn run(&self, cx: Cx<'_, &Self::Target>) -> Result<v1::ListenReply, Error> {
        let whole = &cx.target.found.whole;
        if matches!(whole.kind, Kind::Udp | Kind::Unix(SocketKind::Datagram)) {
            return Err(Error::new(Errno::ENOTSUP, "sockets for datagrams have no connections"));
        }
        let backlog = match self.backlog {
            0 => BACKLOG.0,
            backlog => backlog.min(BACKLOG.1),
        };
        let turn = whole.begin().map_err(|_| Error::new(Errno::EINVAL, "the socket is in use already"))?;
        let door = match (&turn.was, whole.kind) {
            (Phase::Bound(socket), _) => {
                socket.listen(backlog as i32)?;
                Door::Host(Arc::clone(socket))
            }
            (Phase::Named(name), Kind::Unix(within)) => {
                let quota = &cx.caller().share.socket_bytes;
                let listener =
                    cx.kernel().socket_names.listen(name, within, SOCKET_BYTES, backlog as usize, quota);
                Door::Unix(Arc::new(listener.map_err(|error| refused(error, self.id))?))
            }
            _ => {
                return Err(
                    Error::new(Errno::EINVAL, "the socket is bound to nothing").hint("call Bind first")
                );
            }
        };
        turn.becomes(Phase::Listening(door));
        Ok(v1::ListenReply {})
    }
}

/// An address of this machine that is none in particular, of the family of another.
pub(super) fn anywhere(like: SocketAddr) -> SocketAddr {
    let any: IpAddr =
        if like.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    SocketAddr::new(any, 0)
}

/// What a socket within this system answers instead.
pub(super) fn refused(error: SocketError, id: u64) -> Error {
    let message = error.to_string();
    match error {
        SocketError::WouldBlock { .. } | SocketError::Backlog { .. } => Error::new(Errno::EAGAIN, message),
        SocketError::TooLarge { asked, max } => {
            Error::limit(Errno::EMSGSIZE, "message_bytes", asked as u64, max as u64)
        }
        SocketError::BrokenPipe => Errno::EPIPE.into(),
        SocketError::Refused => Errno::ECONNREFUSED.into(),
        SocketError::InUse => Errno::EADDRINUSE.into(),
        SocketError::Quota(error) => error.into(),
        SocketError::Closed => Error::no_handle(id),
        _ => Error::new(Errno::EINVAL, message),
    }
}
