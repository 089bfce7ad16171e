//! Sockets, as processes hold them: what kind one is, what has become of it, and what it costs.

mod far;
mod host;
mod knobs;
mod relay;

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;
use uos_ipc::{Endpoint, Listener, Permit, Quota, Rights, Socket};

pub(crate) use self::{
    host::HostSocket,
    knobs::{Knob, Knobs},
    relay::{Leash, Relay},
};
use crate::{
    Errno, Error,
    handles::{Held, Licence, Wait},
};

/// Of how many it is known that a socket without an address of its own has sent to them.
const MOST_HEARD: usize = 64;

/// What one process holds of a socket. Dropping it ends what waits by it; the socket goes with the last of them.
pub(crate) struct SocketHandle {
    pub(crate) whole: Arc<Whole>,
    /// Tells those who wait by this handle when it is dropped; nothing is ever sent.
    open: watch::Sender<()>,
}

/// A socket, for all who hold it.
pub(crate) struct Whole {
    pub(crate) kind: Kind,
    /// Held for one step, never while something is waited for or the host is asked to wait.
    pub(crate) state: Mutex<State>,
}

/// What a socket promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp,
    Udp,
    Unix(uos_ipc::SocketKind),
}

/// What has become of a socket.
pub(crate) struct State {
    pub(crate) phase: Phase,
    /// What it was bound and connected by.
    pub(crate) licence: Option<Arc<Licence>>,
    pub(crate) knobs: Knobs,
    /// Room for what the host keeps for it.
    pub(crate) room: Option<Permit>,
    /// Whom it has sent to, if it has no address of its own: it hears nobody else.
    pub(crate) heard: Option<VecDeque<SocketAddr>>,
}

pub(crate) enum Phase {
    Fresh,
    /// It has an address, and does nothing there yet.
    Bound(Arc<HostSocket>),
    /// It is to have a name when it listens.
    Named(Bytes),
    /// Somebody is connecting it.
    Busy,
    Listening(Door),
    Open(Line),
}

/// Where connections come in.
#[derive(Clone)]
pub(crate) enum Door {
    Host(Arc<HostSocket>),
    Unix(Arc<Listener>),
}

/// What is sent and received by.
#[derive(Clone)]
pub(crate) enum Line {
    Tcp(Arc<HostSocket>),
    /// With one on the other side, or for all.
    Udp(Arc<HostSocket>, Option<SocketAddr>),
    /// Connected within this system. One end for all who hold it: what one of them shuts down is so for all.
    Unix(Arc<Socket>),
    /// Datagrams within this system.
    Named(Arc<Endpoint>),
}

impl SocketHandle {
    pub(crate) fn new(kind: Kind, phase: Phase, licence: Option<Arc<Licence>>, room: Option<Permit>) -> Self {
        let state = State { phase, licence, knobs: Knobs::default(), room, heard: None };
        Self::of(Arc::new(Whole { kind, state: Mutex::new(state) }))
    }

    fn of(whole: Arc<Whole>) -> Self {
        Self { whole, open: watch::Sender::new(()) }
    }

    /// For a call, which takes its time outside of the table.
    pub(crate) fn held(&self) -> HeldSocket {
        HeldSocket { whole: Arc::clone(&self.whole), open: self.open.subscribe() }
    }
}

impl Held for SocketHandle {
    fn share(&self, _rights: Rights) -> Self {
        Self::of(Arc::clone(&self.whole))
    }
}

/// A socket by the handle that a call was made on.
pub(crate) struct HeldSocket {
    pub(crate) whole: Arc<Whole>,
    open: watch::Receiver<()>,
}

impl HeldSocket {
    /// The same for another wait.
    pub(crate) fn again(&self) -> Self {
        Self { whole: Arc::clone(&self.whole), open: self.open.clone() }
    }

    /// Done when the handle is closed.
    pub(crate) async fn closed(mut self) {
        // Nothing is ever sent, so the only change is the end.
        while self.open.changed().await.is_ok() {}
    }

    /// Waits for something, for as long as the handle is open.
    pub(crate) async fn wait<T>(
        self,
        id: u64,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::select! {
            biased;
            () = self.closed() => Err(Error::no_handle(id)),
            done = work => done,
        }
    }
}

impl HeldSocket {
    /// Until receiving or accepting would not wait, or the handle is closed.
    pub(crate) fn readable(self) -> Option<Wait> {
        let what = match &self.whole.state.lock().phase {
            Phase::Listening(Door::Host(host)) | Phase::Open(Line::Tcp(host) | Line::Udp(host, _)) => {
                Either::Host(Arc::clone(host))
            }
            Phase::Listening(Door::Unix(listener)) => Either::Door(listener.readable()),
            Phase::Open(Line::Unix(socket)) => Either::Unix(socket.readable()),
            Phase::Open(Line::Named(endpoint)) => Either::Unix(endpoint.readable()),
            _ => return None,
        };
        Some(self.unless_closed(async move {
            match what {
                Either::Host(host) => host.readable().await,
                Either::Unix(ready) => ready.await,
                Either::Door(ready) => ready.await,
            }
        }))
    }

    /// Until sending would not wait, or the handle is closed.
    pub(crate) fn writable(self) -> Option<Wait> {
        let what = match &self.whole.state.lock().phase {
            Phase::Open(Line::Tcp(host) | Line::Udp(host, _)) => Either::Host(Arc::clone(host)),
            Phase::Open(Line::Unix(socket)) => Either::Unix(socket.writable(1)),
            _ => return None,
        };
        Some(self.unless_closed(async move {
            match what {
                Either::Host(host) => host.writable().await,
                Either::Unix(ready) => ready.await,
                Either::Door(ready) => ready.await,
            }
        }))
    }

    fn unless_closed(self, ready: impl Future<Output = ()> + Send + 'static) -> Wait {
        Box::pin(async move {
            tokio::select! {
                () = self.closed() => {}
                () = ready => {}
            }
        })
    }
}

/// Who says that it is ready.
enum Either {
    Host(Arc<HostSocket>),
    Unix(uos_ipc::SocketReady),
    Door(uos_ipc::ListenerReady),
}

impl Whole {
    pub(crate) fn licence(&self) -> Option<Arc<Licence>> {
        self.state.lock().licence.clone()
    }

    /// What is sent and received by.
    pub(crate) fn line(&self) -> Result<Line, Error> {
        match &self.state.lock().phase {
            Phase::Open(line) => Ok(line.clone()),
            _ => Err(Error::new(Errno::ENOTCONN, "the socket is not connected")),
        }
    }

    pub(crate) fn door(&self) -> Result<Door, Error> {
        match &self.state.lock().phase {
            Phase::Listening(door) => Ok(door.clone()),
            _ => Err(Error::new(Errno::EINVAL, "the socket does not listen").hint("call Listen first")),
        }
    }

    /// The socket of the host behind it, if there is one.
    pub(crate) fn host(&self) -> Option<Arc<HostSocket>> {
        match &self.state.lock().phase {
            Phase::Bound(host)
            | Phase::Listening(Door::Host(host))
            | Phase::Open(Line::Tcp(host) | Line::Udp(host, _)) => Some(Arc::clone(host)),
            _ => None,
        }
    }

    /// Keeps everybody else from making something of it until the turn is over.
    pub(crate) fn begin(self: &Arc<Self>) -> Result<Turn, Error> {
        let mut state = self.state.lock();
        let refused = |errno, why: &'static str| Err(Error::new(errno, why));
        match &state.phase {
            Phase::Fresh | Phase::Bound(_) | Phase::Named(_) => {}
            // It may be connected to another.
            Phase::Open(Line::Udp(_, None)) => {}
            Phase::Busy => return refused(Errno::EALREADY, "the socket is being connected already"),
            Phase::Listening(_) => return refused(Errno::EINVAL, "the socket listens"),
            Phase::Open(Line::Named(_)) => {
                return refused(Errno::ENOTSUP, "the socket has no connections; it sends to names");
            }
            Phase::Open(_) => return refused(Errno::EISCONN, "the socket is connected already"),
        }
        let was = std::mem::replace(&mut state.phase, Phase::Busy);
        Ok(Turn { whole: Arc::clone(self), was })
    }
}

/// Somebody's turn to make something of a socket. Dropped, everything is as it was.
pub(crate) struct Turn {
    whole: Arc<Whole>,
    pub(crate) was: Phase,
}

impl Turn {
    /// Pays for what the host keeps for it.
    pub(crate) fn pay(&self, quota: &Quota) -> Result<(), Error> {
        let mut state = self.whole.state.lock();
        state.room = Some(quota.take(state.knobs.buffer_bytes())?);
        Ok(())
    }

    pub(crate) fn knobs(&self) -> Knobs {
        self.whole.state.lock().knobs
    }

    /// Has the socket become something.
    pub(crate) fn becomes(mut self, phase: Phase) {
        self.was = phase;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.whole.state.lock();
        state.phase = std::mem::replace(&mut self.was, Phase::Busy);
        if matches!(state.phase, Phase::Fresh) {
            // Nothing has come of it that was to be paid for.
            state.room = None;
        }
    }
}

impl State {
    /// Notes whom it has sent to.
    pub(crate) fn has_sent_to(&mut self, to: SocketAddr) {
        if let Some(heard) = &mut self.heard
            && !heard.contains(&to)
        {
            if heard.len() == MOST_HEARD {
                heard.pop_front();
            }
            heard.push_back(to);
        }
    }

    /// Whether it takes what this one sends.
    pub(crate) fn hears(&self, from: SocketAddr) -> bool {
        self.heard.as_ref().is_none_or(|heard| heard.contains(&from))
    }
}
