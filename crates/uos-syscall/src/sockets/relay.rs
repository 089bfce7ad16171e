//! A connection in the hands of a program. What the program has is one end of a pair of the host's; a task of ours moves
//! bytes between the other end and the socket.
//!
//! The socket itself is not given away: whoever holds a socket of the network can disconnect it and connect it elsewhere,
//! and no right taken away would reach it any more. A pair is connected to nothing but its other end for good.
//!
//! The two ways end one by one, as they do in a connection. A program that has closed its end altogether lets go of the
//! socket as any other holder does; what others hold of it goes on. (Shutting down both ways looks the same from here.)

use std::{io, sync::Arc, time::Duration};

use rustix::net::{RecvFlags, Shutdown};
use tokio::{runtime::Handle as Runtime, sync::watch};
use uos_ipc::{Permit, Quota, Rights, SOCKET_BYTES, SocketKind};

use super::{
    HostSocket, Line, Whole,
    far::{Far, Piece},
};
use crate::{Errno, Error, handles::Licence};

/// How much is moved at a time.
pub(super) const PIECE: usize = 64 << 10;
/// How long what a program has sent may take to go on its way once it has ended. A peer that takes nothing would keep it for good.
const LINGER: Duration = Duration::from_secs(30);

/// What moves bytes for a program that has been given a connection.
pub(crate) struct Relay {
    /// Keeps the socket for as long as the program has its end.
    _whole: Arc<Whole>,
    far: Far,
    /// The other end of what the program has.
    near: HostSocket,
    rights: Rights,
    licence: Option<Arc<Licence>>,
    linger: Duration,
    _room: Permit,
}

/// Tells a relay, by being dropped, that its program has ended.
pub(crate) struct Leash {
    _held: watch::Sender<()>,
}

/// The right to the connection did not hold at the moment of a step.
struct Refused;

/// Why nothing more comes from a program.
enum Silence {
    /// It has let go of its end, or has ended.
    Gone,
    /// It is done sending, or nobody takes what it sends; it may go on to receive.
    Sent,
}

impl Relay {
    /// For a socket that is connected and carries a stream. Gives what the program is to have.
    ///
    /// # Errors
    /// ENOTCONN, ENOTSUP for datagrams; EDQUOT by the quota, EMFILE and the like.
    pub(crate) fn new(
        whole: &Arc<Whole>,
        rights: Rights,
        quota: &Quota,
        runtime: &Runtime,
    ) -> Result<(std::os::fd::OwnedFd, Self), Error> {
        let far = match whole.line()? {
            Line::Tcp(host) => Far::Host(host),
            Line::Unix(socket) if socket.kind() == SocketKind::Stream => Far::Unix(socket),
            // A datagram of nothing would read as the end, and where one comes from could not be told.
            Line::Udp(..) | Line::Named(_) | Line::Unix(_) => {
                return Err(Error::new(Errno::ENOTSUP, "datagrams are not handed to programs")
                    .hint("TCP and UNIX_STREAM are; send and receive datagrams by calls"));
            }
        };
        let room = quota.take(2 * SOCKET_BYTES as u64)?;
        // What is waited for is waited for by the kernel's own runtime, whatever thread this is.
        let _inside = runtime.enter();
        let (near, theirs) = HostSocket::pair(SOCKET_BYTES)?;
        if !rights.contains(Rights::WRITE) {
            near.shut_down(Shutdown::Read)?;
        }
        if !rights.contains(Rights::READ) {
            near.shut_down(Shutdown::Write)?;
        }
        let (whole, licence) = (Arc::clone(whole), whole.licence());
        Ok((theirs, Self { _whole: whole, far, near, rights, licence, linger: LINGER, _room: room }))
    }

    /// Moves bytes until the program has ended and all it sent is on its way, or could have been; both sides are done; or the
    /// right to the connection is taken away.
    pub(crate) fn run(self, runtime: &Runtime) -> Leash {
        let (held, ended) = watch::channel(());
        runtime.spawn(async move {
            let lost = async {
                match &self.licence {
                    Some(licence) => licence.lost(self.rights).await,
                    None => std::future::pending().await,
                }
            };
            let late = async {
                over(ended.clone()).await;
                tokio::time::sleep(self.linger).await;
            };
            tokio::select! {
                // First: not a piece more goes through once the right is gone.
                biased;
                () = lost => {}
                // What others send must not follow on what is missing.
                () = late => self.far.end(),
                // Also when it was refused, and even if the right has been given back by now: a piece is missing.
                _ = self.work(ended.clone()) => {}
            }
        });
        Leash { _held: held }
    }

    async fn work(&self, ended: watch::Receiver<()>) -> Result<(), Refused> {
        let (up, down) = (self.up(ended.clone()), self.down());
        tokio::pin!(up, down);
        let first = tokio::select! {
            silence = &mut up => Some(silence?),
            done = &mut down => {
                done?;
                None
            }
        };
        match first {
            Some(Silence::Gone) => {}
            Some(Silence::Sent) => {
                tokio::select! {
                    () = self.let_go(ended) => {}
                    done = down => done?,
                }
                if self.near.has_failed() {
                    self.far.deafen();
                }
            }
            None => {
                up.await?;
            }
        }
        Ok(())
    }

    /// Passes something on, as long as the right to it holds at that very moment: to be told of its loss may come late.
    async fn licensed<T>(&self, pass: impl Future<Output = io::Result<T>>) -> Result<io::Result<T>, Refused> {
        match &self.licence {
            Some(licence) => licence.while_held(self.rights, pass).await.map_err(|_| Refused),
            None => Ok(pass.await),
        }
    }

    /// What the program sends.
    async fn up(&self, ended: watch::Receiver<()>) -> Result<Silence, Refused> {
        if !self.rights.contains(Rights::WRITE) {
            return Ok(Silence::Sent);
        }
        loop {
            let came = tokio::select! {
                // What it sent before its end goes on its way.
                biased;
                came = self.near.receive(PIECE, RecvFlags::empty()) => came.map(|came| came.data),
                () = over(ended.clone()) => return Ok(Silence::Gone),
            };
            match came {
                Ok(data) if !data.is_empty() => {
                    if self.licensed(self.far.send(data)).await?.is_err() {
                        // Whatever else it sends is refused as to a peer that is gone.
                        let _ = self.near.shut_down(Shutdown::Read);
                        return Ok(Silence::Sent);
                    }
                }
                Ok(_) if !self.near.is_hung_up() => {
                    self.far.end();
                    return Ok(Silence::Sent);
                }
                Ok(_) => return Ok(Silence::Gone),
                Err(_) => {
                    // It did not read all that it was given.
                    self.far.deafen();
                    return Ok(Silence::Gone);
                }
            }
            // Both sides may be ready for good: others have their turn, and it is looked whether the right still holds.
            tokio::task::yield_now().await;
        }
    }

    /// What the other side sends, until that or the program's interest ends.
    async fn down(&self) -> Result<(), Refused> {
        if !self.rights.contains(Rights::READ) {
            return Ok(());
        }
        while let Ok(mut data) = self.far.receive().await {
            if data.is_empty() {
                break;
            }
            let piece = Piece::of(&self.far);
            while !data.is_empty() {
                match self.licensed(self.near.send(&data)).await? {
                    Ok(sent) => drop(data.split_to(sent)),
                    Err(_) => return Ok(()),
                }
            }
            piece.delivered();
            tokio::task::yield_now().await;
        }
        // The end, be it an orderly one: a pair knows no other.
        let _ = self.near.shut_down(Shutdown::Write);
        Ok(())
    }

    /// Until the program has let go of its end.
    async fn let_go(&self, ended: watch::Receiver<()>) {
        tokio::select! {
            () = self.near.hung_up() => {}
            () = over(ended) => {}
        }
    }
}

/// Until the program has ended.
async fn over(mut ended: watch::Receiver<()>) {
    // Nothing is ever sent, so the only change is the end.
    while ended.changed().await.is_ok() {}
}

#[cfg(test)]
mod tests;
