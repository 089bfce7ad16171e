//! Connecting to an address.

use std::{io, net::SocketAddr, time::Duration};

use tokio::net::TcpStream;

use super::Answering;
use crate::{Errno, Error};

/// How long an address is waited for while there is another one to try.
const PATIENCE: Duration = Duration::from_secs(3);

/// Somebody who makes connections. Never asked for an address that the caller may not connect to.
pub trait Dialer: Send + Sync + 'static {
    /// A connection to exactly this address. Dropping the future gives it up.
    fn dial(&self, to: SocketAddr) -> Answering<'_, io::Result<TcpStream>>;
}

/// Connections from the host itself. It knows no proxy, whatever the environment says.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostDialer;

impl Dialer for HostDialer {
    fn dial(&self, to: SocketAddr) -> Answering<'_, io::Result<TcpStream>> {
        Box::pin(TcpStream::connect(to))
    }
}

/// Connects to the first address that answers, in the resolver's order.
pub(super) async fn first_of(dialer: &dyn Dialer, addresses: &[SocketAddr]) -> Result<TcpStream, Error> {
    let mut refusal = Error::new(Errno::EHOSTUNREACH, "there is no address to connect to");
    for (place, &at) in addresses.iter().enumerate() {
        let dialling = dialer.dial(at);
        let answer = match place + 1 < addresses.len() {
            true => {
                tokio::time::timeout(PATIENCE, dialling).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
            }
            false => dialling.await,
        };
        match answer {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                let errno = errno_of(&error);
                refusal = Error::at_stage(errno, format!("connect {at}"), format!("{at}: {}", errno.text()));
            }
        }
    }
    Err(refusal)
}

/// The errno of what the host answered.
pub(crate) fn errno_of(error: &io::Error) -> Errno {
    match (error.raw_os_error(), error.kind()) {
        (Some(number), _) => Errno::from_number(number),
        (None, io::ErrorKind::TimedOut) => Errno::ETIMEDOUT,
        (None, io::ErrorKind::ConnectionRefused) => Errno::ECONNREFUSED,
        (None, io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof) => Errno::ECONNRESET,
        (None, io::ErrorKind::BrokenPipe) => Errno::EPIPE,
        (None, io::ErrorKind::InvalidData) => Errno::EPROTO,
        (None, _) => Errno::EIO,
    }
}
