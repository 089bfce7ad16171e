//! Whether somebody may talk to a host. Asked twice: by what the host is called before it is looked up, so that nothing
//! leaks by looking, and by each address that it turns out to have.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
};

use uos_proto::Right;

use crate::{
    Error,
    admit::Target,
    audit::{Decision, Subject},
    process::Process,
    rights::{AddressKind, Grants, Host},
};

/// A host and a port that a call is aimed at.
pub(crate) struct HostTarget {
    pub(crate) host: Host,
    pub(crate) port: u16,
}

impl Target for HostTarget {
    fn judge(&self, right: Right, caller: &Process) -> Result<Decision, Error> {
        host(&caller.grants(), right, &self.host, self.port)
    }

    fn subject(&self) -> Subject {
        Subject::Address(self.to_string().into())
    }
}

impl std::fmt::Display for HostTarget {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}:{}", self.host, self.port)
    }
}

/// Whether somebody may look where a host is in order to talk to it: who may do so by its name, and who may look the
/// name up anyway. Of an address there is nothing to look up; it is judged right here.
pub(super) fn host(grants: &Grants, right: Right, host: &Host, port: u16) -> Result<Decision, Error> {
    if let Host::Address(it) = host {
        return address(grants, right, host, SocketAddr::new(*it, port));
    }
    let found = grants.for_host(right, host, port).or_else(|| grants.for_host(Right::NetResolve, host, port));
    match found {
        Some(grant) => Ok(Decision::Grant(Arc::clone(grant))),
        None => Err(Error::denied(wanted(right, host, port))),
    }
}

/// Whether somebody may talk to an address that a host has.
pub(super) fn address(grants: &Grants, right: Right, host: &Host, at: SocketAddr) -> Result<Decision, Error> {
    let kind = AddressKind::of(at.ip());
    let is_own = kind == AddressKind::Public && is_own(at.ip());
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

fn wanted(right: Right, host: &Host, port: u16) -> String {
    format!("{}:{host}:{port}", right.grant_name().unwrap_or_default())
}

/// Whether this machine would talk to itself there. The route says so, and asking for it sends nothing.
fn is_own(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
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
