//! Connections: taking them in, and making them.

use std::{net::SocketAddr, sync::Arc};

use uos_ipc::{Rights, SocketKind};
use uos_proto::{Right, v1};

use super::{
    sockets::{Aimed, host_socket, named, other_family, refused, wire},
    within,
};
use crate::{
    Errno, Error,
    admit::{Absent, Cx},
    handles::{Handle, Licence, Object},
    kernel::Inner,
    net::{Aim, Judged},
    perform::Waiting,
    process::Process,
    sockets::{Door, HeldSocket, HostSocket, Kind, Line, Phase, SocketHandle, Turn},
    target::{HandleTarget, Scope},
};

impl Waiting for v1::Accept {
    type Target = HandleTarget<HeldSocket>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        scope.socket(self.id, Rights::READ)
    }

    async fn run(&self, cx: Cx<'_, Self::Target>) -> Result<v1::AcceptReply, Error> {
        let (kernel, caller) = (cx.kernel(), cx.caller());
        let (kind, door, licence) = {
            let whole = &cx.target.found.whole;
            (whole.kind, whole.door()?, whole.licence())
        };
        // Whoever has no room for a socket takes nobody in.
        drop(
            caller
                .share
                .handles
                .take(1)
                .map_err(|full| Error::limit(Errno::EMFILE, full.name, full.used, full.limit))?,
        );
        let accept = async {
            Ok(match door {
                Door::Host(listener) => {
                    let knobs = cx.target.found.whole.state.lock().knobs;
                    let room = caller.share.socket_bytes.take(knobs.buffer_bytes())?;
                    let (socket, peer) = listener.accept().await?;
                    knobs.apply(&socket, kind)?;
                    let line = Line::Tcp(Arc::new(socket));
                    (line, Some(room), wire(peer), knobs)
                }
                Door::Unix(listener) => {
                    let socket = listener.accept().await.map_err(|error| refused(error, self.id))?;
                    (Line::Unix(Arc::new(socket)), None, v1::SocketAddress::default(), Default::default())
                }
            })
        };
        let held = cx.target.found.again();
        let accepted = within(self.timeout_us, held.wait(self.id, accept)).await;
        let (line, room, peer, knobs) =
            accepted.unwrap_or_else(|| Err(Error::new(Errno::ETIMEDOUT, "nobody came in time")))?;
        let socket = SocketHandle::new(kind, Phase::Open(line), licence, room);
        socket.whole.state.lock().knobs = knobs;
        let id = kernel.new_object();
        caller.handles.insert(id, Handle::new(Object::Socket(socket), Rights::ALL))?;
        Ok(v1::AcceptReply { id, peer: Some(peer) })
    }
}

impl Waiting for v1::Connect {
    type Target = Aimed;

    fn target(&self, scope: &Scope<'_>) -> Result<Aimed, Absent> {
        Aimed::find(scope, self.id, self.address.as_ref())
    }

    async fn run(&self, cx: Cx<'_, Aimed>) -> Result<v1::ConnectReply, Error> {
        let (kernel, caller, asker) = (cx.kernel(), cx.caller(), cx.asker());
        let Aimed { aim, socket } = cx.target;
        let held = socket?.found;
        let whole = Arc::clone(&held.whole);
        let turn = whole.begin()?;
        let connect = async {
            Ok(match (whole.kind, &aim) {
                (kind @ (Kind::Tcp | Kind::Udp), Aim::Host(host, port)) => {
                    let judged = kernel.network.find(asker, Right::NetConnect, host, *port).await?;
                    let (socket, peer) = match kind {
                        Kind::Tcp => stream_to(kernel, caller, &turn, &judged).await?,
                        _ => datagrams_to(kernel, caller, &turn, judged.addresses()).await?,
                    };
                    let local = wire(socket.local()?);
                    let before = whole.licence();
                    let licence = Licence::address(asker, Right::NetConnect, host.clone(), peer, before);
                    let line = match kind {
                        Kind::Udp => Line::Udp(socket, Some(peer)),
                        _ => Line::Tcp(socket),
                    };
                    (line, licence, local, wire(peer))
                }
                (Kind::Unix(SocketKind::Datagram), _) => {
                    return Err(Error::new(
                        Errno::ENOTSUP,
                        "the socket has no connections; it sends to names",
                    ));
                }
                (Kind::Unix(within), Aim::Socket(name)) => {
                    if !matches!(turn.was, Phase::Fresh) {
                        return Err(Error::new(Errno::EINVAL, "the socket is to listen"));
                    }
                    let quota = &caller.share.socket_bytes;
                    let socket =
                        kernel.socket_names.connect(name, quota).map_err(|error| refused(error, self.id))?;
                    if socket.kind() != within {
                        return Err(Errno::EPROTOTYPE.into());
                    }
                    let licence = Licence::socket(asker, Right::NetConnect, name.clone(), None);
                    (Line::Unix(Arc::new(socket)), licence, v1::SocketAddress::default(), named(name))
                }
                _ => return Err(other_family()),
            })
        };
        let connected = within(self.timeout_us, held.wait(self.id, connect)).await;
        let (line, licence, local, peer) =
            connected.unwrap_or_else(|| Err(Error::new(Errno::ETIMEDOUT, "there was no answer in time")))?;
        whole.state.lock().licence = Some(licence);
        turn.becomes(Phase::Open(line));
        Ok(v1::ConnectReply { local: Some(local), peer: Some(peer) })
    }
}

/// Connects to the first of the addresses that answers; from where it is bound, to the first that can be reached from there.
async fn stream_to(
    kernel: &Inner,
    caller: &Process,
    turn: &Turn,
    judged: &Judged,
) -> Result<(Arc<HostSocket>, SocketAddr), Error> {
    if let Phase::Bound(socket) = &turn.was {
        let to = judged.addresses().iter().find(|at| socket.fits(**at)).ok_or_else(other_family)?;
        socket.connect(*to).await?;
        return Ok((Arc::clone(socket), *to));
    }
    turn.pay(&caller.share.socket_bytes)?;
    let stream = kernel.network.dial(judged).await?;
    let socket = HostSocket::connected(stream)?;
    turn.knobs().apply(&socket, Kind::Tcp)?;
    // What was dialled is what was judged, also where a dialler leads elsewhere.
    let peer = socket.peer()?;
    let peer = judged.addresses().iter().find(|at| **at == peer).unwrap_or(&judged.addresses()[0]);
    Ok((Arc::new(socket), *peer))
}

/// Has a socket for datagrams talk to one address alone.
async fn datagrams_to(
    kernel: &Inner,
    caller: &Process,
    turn: &Turn,
    addresses: &[SocketAddr],
) -> Result<(Arc<HostSocket>, SocketAddr), Error> {
    let (socket, to) = match &turn.was {
        Phase::Open(Line::Udp(socket, _)) => {
            let to = addresses.iter().find(|at| socket.fits(**at)).ok_or_else(other_family)?;
            (Arc::clone(socket), *to)
        }
        _ => (host_socket(kernel, caller, turn, Kind::Udp, addresses[0])?, addresses[0]),
    };
    socket.connect(to).await?;
    Ok((socket, to))
}
