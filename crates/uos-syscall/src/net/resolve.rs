//! Looking names up.

use std::{
    io,
    net::{IpAddr, ToSocketAddrs},
    sync::Arc,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Answering;

/// Threads of the host's resolver at the same time. It can be made to wait by whoever answers for a name, so it must not
/// take the threads that calls on disks run on.
const THREADS: usize = 32;

/// Somebody who knows where names lead.
pub trait Resolver: Send + Sync + 'static {
    /// The addresses of a name, which is in lower case and without a dot at the end. None of them is trusted: each is
    /// judged before it is used.
    ///
    /// `turn` is one of the few that the caller's process has. It goes with whatever the look-up takes of the machine:
    /// where dropping the future doesn't end that, the turn must stay with it.
    fn resolve<'a>(&'a self, name: &'a str, turn: Turn) -> Answering<'a, Result<Vec<IpAddr>, ResolveError>>;
}

/// Leave to look one name up.
#[derive(Debug)]
pub struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Turn {
    pub(super) fn new(permit: OwnedSemaphorePermit) -> Self {
        Self { _permit: permit }
    }
}

/// Why there are no addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// There is no such name, or it has no address.
    #[error("no such name")]
    NoSuchName,
    /// It could not be found out.
    #[error("{0}")]
    Failed(String),
}

/// The host's resolver: its `/etc/hosts`, its name servers, whatever it is set up with.
#[derive(Debug)]
pub struct HostResolver {
    threads: Arc<Semaphore>,
}

impl Default for HostResolver {
    fn default() -> Self {
        Self { threads: Arc::new(Semaphore::new(THREADS)) }
    }
}

impl Resolver for HostResolver {
    fn resolve<'a>(&'a self, name: &'a str, turn: Turn) -> Answering<'a, Result<Vec<IpAddr>, ResolveError>> {
        Box::pin(async move {
            let thread = Arc::clone(&self.threads).acquire_owned().await;
            let name = name.to_owned();
            let looking = tokio::task::spawn_blocking(move || {
                let _held = (thread, turn);
                (name.as_str(), 0).to_socket_addrs()
            });
            match looking.await {
                Ok(Ok(found)) => Ok(found.map(|at| at.ip()).collect()),
                Ok(Err(error)) => Err(refused(&error)),
                Err(_) => Err(ResolveError::Failed("the look-up broke off".to_owned())),
            }
        })
    }
}

/// The library hands on what `getaddrinfo` said as text alone.
fn refused(error: &io::Error) -> ResolveError {
    let text = error.to_string();
    let unknown = [
        "Name or service not known",
        "No address associated",
        "Name does not resolve",
        "nodename nor servname",
    ];
    match unknown.iter().any(|known| text.contains(known)) {
        true => ResolveError::NoSuchName,
        false => ResolveError::Failed(text),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::{HostResolver, ResolveError, Resolver, Turn};

    async fn look_up(name: &str) -> Result<Vec<std::net::IpAddr>, ResolveError> {
        let permit = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        HostResolver::default().resolve(name, Turn::new(permit)).await
    }

    #[tokio::test]
    async fn the_host_is_asked() {
        // In `/etc/hosts` or answered by the library itself, so no name server is needed.
        assert!(look_up("localhost").await.unwrap().iter().all(std::net::IpAddr::is_loopback));
        assert!(look_up("no-such-name.invalid").await.is_err());
    }
}
