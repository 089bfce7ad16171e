//! What goes through sockets.

use std::{net::SocketAddr, sync::Arc};

use rustix::net::RecvFlags;
use uos_ipc::{Parcel, Rights, SocketError, SocketKind};
use uos_proto::{Right, v1};

use super::{
    reply_bytes,
    sockets::{aim, anywhere, host_socket, other_family, refused, wire},
    within,
};
use crate::{
    Errno, Error,
    admit::{Absent, Cx, Target},
    asking::Asker,
    audit::{Decision, Subject},
    kernel::Inner,
    net::Aim,
    perform::{Syscall, Waiting},
    process::Process,
    sockets::{HeldSocket, HostSocket, Kind, Line, Phase, Whole},
    target::{HandleTarget, Scope},
};

fn too_late(what: &'static str) -> Error {
    Error::new(Errno::ETIMEDOUT, what)
}

impl Waiting for v1::Send {
    type Target = HandleTarget<HeldSocket>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        scope.socket(self.id, Rights::WRITE)
    }

    async fn run(&self, cx: Cx<'_, Self::Target>) -> Result<v1::SendReply, Error> {
        let held = cx.target.found;
        let line = held.whole.line()?;
        let send = async {
            Ok(match line {
                // Nothing is a part that always goes.
                Line::Tcp(_) if self.data.is_empty() => 0,
                Line::Tcp(socket) | Line::Udp(socket, Some(_)) => socket.send(&self.data).await?,
                Line::Unix(socket) => {
                    let sent = socket.send(self.data.clone(), Vec::new()).await;
                    sent.map_err(|error| match error {
                        SocketError::Closed => Errno::EPIPE.into(),
                        error => refused(error, self.id),
                    })?
                }
                Line::Udp(_, None) | Line::Named(_) => {
                    return Err(Error::new(Errno::ENOTCONN, "the socket is not connected")
                        .hint("send to an address with SendTo"));
                }
            })
        };
        let sent = within(self.timeout_us, held.wait(self.id, send)).await;
        let sent = sent.unwrap_or_else(|| Err(too_late("there was no room in time; nothing was sent")))?;
        Ok(v1::SendReply { bytes_sent: sent as u64 })
    }
}

impl Waiting for v1::Receive {
    type Target = HandleTarget<HeldSocket>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        scope.socket(self.id, Rights::READ)
    }

    async fn run(&self, cx: Cx<'_, Self::Target>) -> Result<v1::ReceiveReply, Error> {
        let held = cx.target.found;
        let (line, most) = (held.whole.line()?, reply_bytes(self.max_bytes));
        let receive = async {
            Ok(match line {
                Line::Tcp(socket) => {
                    let came = socket.receive(most, RecvFlags::empty()).await?;
                    v1::ReceiveReply { end: came.data.is_empty(), data: came.data, truncated: false }
                }
                Line::Udp(socket, Some(_)) => {
                    let came = socket.receive(most, RecvFlags::TRUNC).await?;
                    v1::ReceiveReply { data: came.data, end: false, truncated: came.is_truncated }
                }
                Line::Unix(socket) => {
                    let parcel = match socket.recv(most).await {
                        // It was shut down on this side.
                        Err(SocketError::Closed) => Parcel { end: true, ..Parcel::default() },
                        came => came.map_err(|error| refused(error, self.id))?,
                    };
                    v1::ReceiveReply { data: parcel.bytes, end: parcel.end, truncated: parcel.truncated > 0 }
                }
                Line::Udp(_, None) | Line::Named(_) => {
                    return Err(Error::new(Errno::ENOTCONN, "the socket is not connected")
                        .hint("hear from anybody with ReceiveFrom"));
                }
            })
        };
        let came = within(self.timeout_us, held.wait(self.id, receive)).await;
        came.unwrap_or_else(|| Err(too_late("nothing came in time")))
    }
}

/// A socket, and whom a datagram goes to.
pub(crate) struct Outgoing {
    socket: HandleTarget<HeldSocket>,
    aim: Aim,
}

impl Target for Outgoing {
    fn judge(&self, right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        let decision = self.socket.judge(right, caller)?;
        self.aim.judge(Right::NetConnect, caller)?;
        Ok(decision)
    }

    fn subject(&self) -> Subject {
        self.aim.subject()
    }
}

impl Waiting for v1::SendTo {
    type Target = Outgoing;

    fn target(&self, scope: &Scope<'_>) -> Result<Outgoing, Absent> {
        let socket = scope.socket(self.id, Rights::WRITE)?;
        match aim(self.address.as_ref()) {
            Ok(aim) => Ok(Outgoing { socket, aim }),
            Err(error) => Err(Absent { error, subject: Subject::Handle(self.id) }),
        }
    }

    async fn run(&self, cx: Cx<'_, Outgoing>) -> Result<v1::SendToReply, Error> {
        let (kernel, caller, asker) = (cx.kernel(), cx.caller(), cx.asker());
        let Outgoing { socket, aim } = cx.target;
        let held = socket.found;
        let whole = Arc::clone(&held.whole);
        let send = async {
            match (whole.kind, aim) {
                (Kind::Udp, Aim::Host(host, port)) => {
                    let judged = kernel.network.find(asker, Right::NetConnect, &host, port).await?;
                    let (socket, to) = mailbox(kernel, caller, &whole, judged.addresses())?;
                    whole.state.lock().has_sent_to(to);
                    Ok(socket.send_to(&self.data, to).await?)
                }
                (Kind::Unix(SocketKind::Datagram), Aim::Socket(name)) => {
                    let line = whole.line().ok();
                    let Some(Line::Named(endpoint)) = line else {
                        return Err(
                            Error::new(Errno::EINVAL, "the socket has no name").hint("call Bind first")
                        );
                    };
                    let sent = endpoint.try_send_to(&name, &self.data, &mut Vec::new());
                    sent.map_err(|error| refused(error, self.id))?;
                    Ok(self.data.len())
                }
                (Kind::Udp | Kind::Unix(SocketKind::Datagram), _) => Err(other_family()),
                _ => Err(not_for_datagrams()),
            }
        };
        let sent = within(self.timeout_us, held.wait(self.id, send)).await;
        let sent = sent.unwrap_or_else(|| Err(too_late("it could not be sent in time")))?;
        Ok(v1::SendToReply { bytes_sent: sent as u64 })
    }
}

fn not_for_datagrams() -> Error {
    Error::new(Errno::ENOTSUP, "the socket is not for datagrams").hint("use Send and Receive")
}

/// The socket of the host that datagrams go out by; one that nobody has bound is made here, at a port of the host's choice.
fn mailbox(
    kernel: &Inner,
    caller: &Process,
    whole: &Arc<Whole>,
    to: &[SocketAddr],
) -> Result<(Arc<HostSocket>, SocketAddr), Error> {
    let open = match &whole.state.lock().phase {
        Phase::Open(Line::Udp(_, Some(_))) => {
            return Err(Error::new(Errno::EISCONN, "the socket is connected").hint("use Send"));
        }
        Phase::Open(Line::Udp(socket, None)) => Some(Arc::clone(socket)),
        _ => None,
    };
    if let Some(socket) = open {
        let to = to.iter().find(|at| socket.fits(**at)).ok_or_else(other_family)?;
        return Ok((socket, *to));
    }
    let turn = whole.begin()?;
    let socket = host_socket(kernel, caller, &turn, Kind::Udp, to[0])?;
    socket.bind(anywhere(to[0]))?;
    // It was not bound by a right, so it hears only those it has spoken to.
    whole.state.lock().heard = Some(Default::default());
    turn.becomes(Phase::Open(Line::Udp(Arc::clone(&socket), None)));
    Ok((socket, to[0]))
}

impl Waiting for v1::ReceiveFrom {
    type Target = HandleTarget<HeldSocket>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        scope.socket(self.id, Rights::READ)
    }

    async fn run(&self, cx: Cx<'_, Self::Target>) -> Result<v1::ReceiveFromReply, Error> {
        let held = cx.target.found;
        let (whole, most) = (Arc::clone(&held.whole), reply_bytes(self.max_bytes));
        if !matches!(whole.kind, Kind::Udp | Kind::Unix(SocketKind::Datagram)) {
            return Err(not_for_datagrams());
        }
        let nowhere =
            || Error::new(Errno::EINVAL, "nobody can send to the socket yet").hint("call Bind first");
        let line = whole.line().map_err(|_| nowhere())?;
        let receive = async {
            Ok(match line {
                Line::Udp(socket, _) => loop {
                    let (came, from) = socket.receive_from(most).await?;
                    if whole.state.lock().hears(from) {
                        break v1::ReceiveFromReply {
                            data: came.data,
                            address: Some(wire(from)),
                            truncated: came.is_truncated,
                        };
                    }
                },
                Line::Named(endpoint) => {
                    let parcel = endpoint.recv(most).await.map_err(|error| refused(error, self.id))?;
                    let from = parcel.from.as_deref().map(String::from_utf8_lossy);
                    let name = from.map(std::borrow::Cow::into_owned).unwrap_or_default();
                    v1::ReceiveFromReply {
                        data: parcel.bytes,
                        address: Some(v1::SocketAddress { name, ..Default::default() }),
                        truncated: parcel.truncated > 0,
                    }
                }
                Line::Unix(socket) => {
                    let parcel = socket.recv(most).await.map_err(|error| refused(error, self.id))?;
                    let truncated = parcel.truncated > 0;
                    v1::ReceiveFromReply { data: parcel.bytes, address: None, truncated }
                }
                Line::Tcp(_) => return Err(not_for_datagrams()),
            })
        };
        let came = within(self.timeout_us, held.wait(self.id, receive)).await;
        came.unwrap_or_else(|| Err(too_late("nothing came in time")))
    }
}

impl Syscall for v1::Shutdown {
    type Target = HandleTarget<HeldSocket>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        scope.socket(self.id, Rights::WRITE)
    }

    fn run(&self, cx: Cx<'_, &Self::Target>) -> Result<v1::ShutdownReply, Error> {
        use rustix::net::Shutdown;
        let how = match v1::Direction::try_from(self.direction) {
            Ok(v1::Direction::Unspecified | v1::Direction::Both) => Shutdown::Both,
            Ok(v1::Direction::Receive) => Shutdown::Read,
            Ok(v1::Direction::Send) => Shutdown::Write,
            Err(_) => {
                return Err(Error::invalid(
                    "direction",
                    format_args!("{} is not a Direction", self.direction),
                ));
            }
        };
        match cx.target.found.whole.line()? {
            Line::Tcp(socket) | Line::Udp(socket, Some(_)) => socket.shut_down(how)?,
            Line::Unix(socket) => match how {
                Shutdown::Read => socket.shutdown_recv(),
                Shutdown::Write => socket.shutdown_send(),
                Shutdown::Both => socket.close(),
            },
            Line::Udp(_, None) | Line::Named(_) => return Err(Errno::ENOTCONN.into()),
        }
        Ok(v1::ShutdownReply {})
    }
}
