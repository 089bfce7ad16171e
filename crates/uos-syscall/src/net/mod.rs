//! The network: how hosts are found, judged and reached.
//!
//! A host is looked up once, every address that it leads to is judged, and only an address that was judged is connected
//! to. That order is kept by a type: nothing but [`Network::find`] makes a [`Judged`], and only a [`Judged`] is dialled.

mod dial;
mod http;
pub(crate) mod judge;
mod resolve;
mod tls;

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use tokio::net::TcpStream;
use uos_proto::Right;

pub(crate) use dial::errno_of;
pub use dial::{Dialer, HostDialer};
pub(crate) use http::{Ask, Hop};
pub(crate) use judge::Aim;
pub use resolve::{HostResolver, ResolveError, Resolver, Turn};
pub(crate) use tls::Tls;

use crate::{Errno, Error, asking::Asker, process::Process, rights::Host};

/// What a part of the network that can be replaced answers with.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// More addresses than these are not looked at.
const MOST_ADDRESSES: usize = 64;
/// Names that one process may have looked up at the same time; each may hold a thread of the host's for a while.
pub(crate) const LOOKUPS: usize = 4;

/// The way out.
pub(crate) struct Network {
    pub(crate) resolver: Box<dyn Resolver>,
    pub(crate) dialer: Box<dyn Dialer>,
    pub(crate) tls: Tls,
}

/// Addresses that somebody may connect to, and was let through to. There is at least one.
pub(crate) struct Judged(Vec<SocketAddr>);

impl Judged {
    /// In the resolver's order.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.0
    }
}

impl Network {
    /// Where a host is, as addresses in the form that they are judged in; at least one.
    pub(crate) async fn look_up(&self, caller: &Process, host: &Host) -> Result<Vec<IpAddr>, Error> {
        let name = match host {
            Host::Address(address) => return Ok(vec![*address]),
            _ if host.is_localhost() => return Ok(judge::HOME.to_vec()),
            Host::Name(name) => name,
        };
        let failed = |errno, message| Error::at_stage(errno, format!("resolve {host}"), message);
        let turn = Arc::clone(&caller.lookups).acquire_owned().await;
        let turn = Turn::new(turn.expect("the semaphore is never closed"));
        match self.resolver.resolve(name, turn).await {
            Ok(addresses) if !addresses.is_empty() => {
                Ok(addresses.iter().take(MOST_ADDRESSES).map(IpAddr::to_canonical).collect())
            }
            Ok(_) | Err(ResolveError::NoSuchName) => {
                Err(failed(Errno::ENOENT, format!("no host is called {host}")))
            }
            Err(ResolveError::Failed(why)) => {
                Err(failed(Errno::EAGAIN, format!("{host} could not be looked up: {why}")))
            }
        }
    }

    /// Looks a host up, once, and judges every address that it leads to. One that is not allowed refuses all.
    pub(crate) async fn find(
        &self,
        caller: Asker<'_>,
        right: Right,
        host: &Host,
        port: u16,
    ) -> Result<Judged, Error> {
        judge::host(&caller.grants(), right, host, port)?;
        let addresses = self.look_up(&caller, host).await?;
        // Asked for anew: they may have changed while the name was looked up.
        let grants = caller.grants();
        let judged = addresses.into_iter().map(|address| {
            let at = SocketAddr::new(address, port);
            judge::address(&grants, right, host, at).map(|_| at)
        });
        if host.is_localhost() {
            // Both of its addresses are this machine, whoever is asked; those that are allowed will do.
            let allowed: Vec<_> = judged.clone().flatten().collect();
            if !allowed.is_empty() {
                return Ok(Judged(allowed));
            }
        }
        judged.collect::<Result<_, _>>().map(Judged)
    }

    /// Connects to the first of the addresses that answers.
    pub(crate) async fn dial(&self, judged: &Judged) -> Result<TcpStream, Error> {
        dial::first_of(&*self.dialer, &judged.0).await
    }
}
