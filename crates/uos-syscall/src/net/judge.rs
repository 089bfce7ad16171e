//! Whether somebody may talk to a host. Asked twice: by what the host is called before it is looked up, so that nothing
//! leaks by looking, and by each address that it turns out to have.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
};

use bytes::Bytes;
use uos_proto::Right;

use crate::{
    Error,
    admit::Target,
    asking::Asker,
    audit::{Decision, Subject},
    rights::{AddressKind, Grants, Host},
};

/// Where `localhost` leads. It is never looked up.
pub(crate) const HOME: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Whom a call wants to talk to.
pub(crate) enum Aim {
    /// A host and a port.
    Host(Host, u16),
    /// A socket of this system, by name.
    Socket(Bytes),
}

impl Target for Aim {
    fn judge(&self, right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        let grants = caller.grants();
        match self {
            Self::Host(it, port) => host(&grants, right, it, *port),
            Self::Socket(name) => socket(&grants, right, name),
        }
    }

    fn subject(&self) -> Subject {
        Subject::Address(self.to_string().into())
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host, port) => write!(out, "{host}:{port}"),
            Self::Socket(name) => write!(out, "unix:{}", String::from_utf8_lossy(name)),
        }
    }
}

/// Whether somebody may look where a host is in order to talk to it: who may do so by its name, and who may look the
/// name up anyway. Of an address there is nothing to look up; it is judged right here.
pub(super) fn host(grants: &Grants, right: Right, host: &Host, port: u16) -> Result<Decision, Error> {
    if let Host::Address(it) = host {
        return address(grants, right, host, SocketAddr::new(*it, port));
    }
    if host.is_localhost() && right != Right::NetResolve {
        // Nobody is asked where it leads, so its addresses are judged right here, too; one that is allowed will do.
        let judge = |it: &IpAddr| address(grants, right, host, SocketAddr::new(*it, port));
        return judge(&HOME[0]).or_else(|refusal| judge(&HOME[1]).map_err(|_| refusal));
    }
    let found = grants.for_host(right, host, port).or_else(|| grants.for_host(Right::NetResolve, host, port));
    match found {
        Some(grant) => Ok(Decision::Grant(Arc::clone(grant))),
        None => Err(Error::denied(wanted(right, host, port))),
    }
}

/// Whether somebody may talk to an address that a host has, or be there.
pub(crate) fn address(grants: &Grants, right: Right, host: &Host, at: SocketAddr) -> Result<Decision, Error> {
    known_address(grants, right, host, at, leads_home(right, at))
}

/// Whether talking to an address that looks public is this machine talking to itself. Where it listens is its own anyway.
pub(crate) fn leads_home(right: Right, at: SocketAddr) -> bool {
    right != Right::NetBind && AddressKind::of(at.ip()) == AddressKind::Public && is_own(at.ip())
}

/// The same of an address that it is known of whether it leads home.
pub(crate) fn known_address(
    grants: &Grants,
    right: Right,
    host: &Host,
    at: SocketAddr,
    is_own: bool,
) -> Result<Decision, Error> {
    let kind = AddressKind::of(at.ip());
    if let Some(grant) = grants.for_address(right, host, at, is_own) {
        return Ok(Decision::Grant(Arc::clone(grant)));
    }
    let as_address = Host::Address(at.ip());
    let what = if is_own { "this machine's own" } else { kind.name() };
    Err(match (kind, is_own) {
        (AddressKind::Public, false) => Error::denied(wanted(right, host, at.port())),
        _ => Error::denied_because(
            wanted(right, &as_address, at.port()),
            match host == &as_address {
                true => format!("{host} is {what}, which no pattern of names reaches"),
                false => format!("{host} leads to {as_address}, which is {what} and which no name reaches"),
            },
        ),
    })
}

/// Whether somebody may talk to a socket of this system, or be it.
pub(crate) fn socket(grants: &Grants, right: Right, name: &Bytes) -> Result<Decision, Error> {
    match grants.for_socket(right, name) {
        Some(grant) => Ok(Decision::Grant(Arc::clone(grant))),
        None => {
            let aim = Aim::Socket(name.clone());
            Err(Error::denied(format!("{}:{aim}", right.grant_name().unwrap_or_default())))
        }
    }
}

fn wanted(right: Right, host: &Host, port: u16) -> String {
    let name = right.grant_name().unwrap_or_default();
    // Names are looked up, ports are not.
    if right == Right::NetResolve { format!("{name}:{host}") } else { format!("{name}:{host}:{port}") }
}

/// Whether this machine would talk to itself there. The route says so, and asking for it sends nothing.
fn is_own(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // Without a route there is nothing to reach, and connecting will say so.
    let own_end = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    own_end.is_ok_and(|end| end.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::is_own;

    #[test]
    fn a_machine_knows_itself_by_its_routes() {
        for (address, expected) in [("127.0.0.1", true), ("127.255.0.1", false), ("192.0.2.1", false)] {
            // All of 127/8 is this machine, but it answers as 127.0.0.1; that range is judged by its kind.
            assert_eq!(is_own(address.parse().unwrap()), expected, "{address}");
        }
    }
}
