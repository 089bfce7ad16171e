//! What a program that has been given a connection is connected to, whatever carries it.

use std::{io, sync::Arc};

use bytes::Bytes;
use rustix::net::{RecvFlags, Shutdown};
use uos_ipc::{Socket, SocketError};

use super::{HostSocket, relay::PIECE};

/// The socket itself, which others may hold too.
pub(super) enum Far {
    Host(Arc<HostSocket>),
    Unix(Arc<Socket>),
}

impl Far {
    /// Sends all of it.
    pub(super) async fn send(&self, mut data: Bytes) -> io::Result<()> {
        while !data.is_empty() {
            let sent = match self {
                Far::Host(host) => host.send(&data).await?,
                Far::Unix(socket) => {
                    socket.send(data.clone(), Vec::new()).await.map_err(|_| io::ErrorKind::BrokenPipe)?
                }
            };
            drop(data.split_to(sent));
        }
        Ok(())
    }

    /// What comes next; nothing at the end.
    pub(super) async fn receive(&self) -> io::Result<Bytes> {
        match self {
            Far::Host(host) => Ok(host.receive(PIECE, RecvFlags::empty()).await?.data),
            Far::Unix(socket) => match socket.recv(PIECE).await {
                Ok(parcel) => Ok(parcel.bytes),
                Err(SocketError::Closed) => Ok(Bytes::new()),
                Err(_) => Err(io::ErrorKind::ConnectionReset.into()),
            },
        }
    }

    /// Nothing more is sent.
    pub(super) fn end(&self) {
        match self {
            // That it is gone already shows elsewhere.
            Far::Host(host) => drop(host.shut_down(Shutdown::Write)),
            Far::Unix(socket) => socket.shutdown_send(),
        }
    }

    /// Nobody receives anything more, be it there already.
    pub(super) fn deafen(&self) {
        match self {
            Far::Host(host) => host.deafen(),
            Far::Unix(socket) => socket.shutdown_recv(),
        }
    }
}

/// A part of what the other side sent, on its way to a program. Lost on it, others who receive see an end, not a gap.
pub(super) struct Piece<'a> {
    lost_to: Option<&'a Far>,
}

impl<'a> Piece<'a> {
    pub(super) fn of(far: &'a Far) -> Self {
        Self { lost_to: Some(far) }
    }

    pub(super) fn delivered(mut self) {
        self.lost_to = None;
    }
}

impl Drop for Piece<'_> {
    fn drop(&mut self) {
        if let Some(far) = self.lost_to {
            far.deafen();
        }
    }
}
