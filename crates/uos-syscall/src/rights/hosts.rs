//! Patterns over hosts and ports: what grants of the network are for.

use std::{fmt, net::IpAddr, ops::RangeInclusive};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{
    address::canonical,
    host::{Host, HostError},
    pattern::PathPattern,
};

/// Whom one may talk to: `example.org:443`, `*.example.org`, `10.0.0.0/8:8000-8999`, `[fd00::/8]`, `unix:/run/**`.
///
/// A name, `*.NAME` for everything below a name, or `*` for every name: these say whom, and reach public addresses only.
/// An address or a range of them says where, and reaches whatever it says. Without ports it is for all of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern {
    hosts: Hosts,
    ports: RangeInclusive<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Hosts {
    Any,
    Name(Host),
    /// All names that end in a dot and this one.
    Below(Box<str>),
    Range(IpNet),
    /// Sockets of this system, by name.
    Sockets(PathPattern),
}

const ALL_PORTS: RangeInclusive<u16> = 0..=u16::MAX;

impl HostPattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let paths = PathPattern::parse(path.as_bytes()).map_err(|_| HostError::Socket)?;
            return Ok(Self { hosts: Hosts::Sockets(paths), ports: ALL_PORTS });
        }
        let (host, ports) =
            match text.strip_prefix('[').map(|rest| rest.split_once(']').ok_or(HostError::Malformed)) {
                Some(split) => {
                    let (host, rest) = split?;
                    let ports = rest.strip_prefix(':').map(Some).or(rest.is_empty().then_some(None));
                    (v6(host)?, ports.ok_or(HostError::Port)?)
                }
                None => match text.split_once(':') {
                    Some((host, ports)) => (bare(host)?, Some(ports)),
                    None => (bare(text)?, None),
                },
            };
        Ok(Self { hosts: host, ports: ports.map_or(Ok(ALL_PORTS), port_range)? })
    }

    /// Reads a pattern of what may be looked up: names.
    pub(crate) fn parse_names(text: &str) -> Result<Self, HostError> {
        let pattern = Self::parse(text)?;
        match pattern.hosts {
            Hosts::Range(_) | Hosts::Sockets(_) => Err(HostError::NameOnly),
            _ if text.contains(':') => Err(HostError::NameOnly),
            Hosts::Any | Hosts::Name(_) | Hosts::Below(_) => Ok(pattern),
        }
    }

    /// Everything there is: every name, this host by its own, every address, and every socket of this system.
    pub(crate) fn everything() -> [Self; 5] {
        let all = |hosts| Self { hosts, ports: ALL_PORTS };
        [
            all(Hosts::Any),
            all(Hosts::Name(Host::Name("localhost".into()))),
            all(Hosts::Range(Ipv4Net::default().into())),
            all(Hosts::Range(Ipv6Net::default().into())),
            all(Hosts::Sockets(PathPattern::everything())),
        ]
    }

    /// Every name, and this host by its own, so that this can be passed on, too.
    pub(crate) fn every_name() -> [Self; 2] {
        let all = |hosts| Self { hosts, ports: ALL_PORTS };
        [all(Hosts::Any), all(Hosts::Name(Host::Name("localhost".into())))]
    }

    /// Whether a host is meant by what it is called. That says nothing yet of the addresses it leads to.
    pub fn names(&self, host: &Host, port: u16) -> bool {
        self.ports.contains(&port)
            && match (&self.hosts, host) {
                (Hosts::Any, _) => true,
                (Hosts::Name(ours), theirs) => ours == theirs,
                (Hosts::Below(ours), Host::Name(theirs)) => is_below(theirs, ours),
                _ => false,
            }
    }

    /// Whether a host is meant by its very name, and by no wildcard.
    pub(crate) fn spells_out(&self, host: &Host, port: u16) -> bool {
        self.ports.contains(&port) && matches!(&self.hosts, Hosts::Name(ours) if ours == host)
    }

    /// Whether an address is meant as an address.
    pub fn holds(&self, address: IpAddr, port: u16) -> bool {
        let in_range = |range: &IpNet| range.contains(&canonical(address));
        self.ports.contains(&port) && matches!(&self.hosts, Hosts::Range(range) if in_range(range))
    }

    /// Whether a socket of this system is meant.
    pub fn holds_socket(&self, name: &[u8]) -> bool {
        matches!(&self.hosts, Hosts::Sockets(paths) if paths.matches(name))
    }

    /// Whether everything that `other` means is meant by this one too. Wildcards cover names alone, and not the one that
    /// leads to this host.
    pub fn covers(&self, other: &Self) -> bool {
        let hosts = match (&self.hosts, &other.hosts) {
            (Hosts::Any, Hosts::Any | Hosts::Below(_)) => true,
            (Hosts::Any, Hosts::Name(theirs)) => !theirs.is_localhost(),
            (Hosts::Name(ours), Hosts::Name(theirs)) => ours == theirs,
            (Hosts::Below(ours), Hosts::Name(Host::Name(theirs))) => is_below(theirs, ours),
            (Hosts::Below(ours), Hosts::Below(theirs)) => ours == theirs || is_below(theirs, ours),
            (Hosts::Range(ours), Hosts::Range(theirs)) => ours.contains(theirs),
            (Hosts::Sockets(ours), Hosts::Sockets(theirs)) => ours.covers(theirs),
            _ => false,
        };
        hosts && self.ports.start() <= other.ports.start() && self.ports.end() >= other.ports.end()
    }
}

fn is_below(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'))
}

/// A host without brackets.
fn bare(text: &str) -> Result<Hosts, HostError> {
    if text == "*" {
        return Ok(Hosts::Any);
    }
    if let Some(parent) = text.strip_prefix("*.") {
        return match Host::parse(parent) {
            Ok(Host::Name(parent)) => Ok(Hosts::Below(parent)),
            _ => Err(HostError::Star),
        };
    }
    if text.contains('*') {
        return Err(HostError::Star);
    }
    if text.contains('/') {
        let range: Ipv4Net = text.parse().map_err(|_| HostError::Range)?;
        return Ok(Hosts::Range(range.trunc().into()));
    }
    Ok(match Host::parse(text)? {
        Host::Address(address) => Hosts::Range(address.into()),
        name => Hosts::Name(name),
    })
}

/// What stands in brackets.
fn v6(text: &str) -> Result<Hosts, HostError> {
    let range = match text.contains('/') {
        true => text.parse::<Ipv6Net>().map_err(|_| HostError::Range)?,
        false => Ipv6Net::from(text.parse::<std::net::Ipv6Addr>().map_err(|_| HostError::Malformed)?),
    };
    let range = range.trunc();
    // What means IPv4 is judged as IPv4, so that is how it is kept. A wider range has lost the bits that say so.
    Ok(Hosts::Range(match range.addr().to_ipv4_mapped() {
        Some(address) => Ipv4Net::new_assert(address, range.prefix_len() - 96).into(),
        None => range.into(),
    }))
}

fn port_range(text: &str) -> Result<RangeInclusive<u16>, HostError> {
    let port = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<u16>().map_err(|_| HostError::Port),
        false => Err(HostError::Port),
    };
    if text == "*" {
        return Ok(ALL_PORTS);
    }
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (port(first)?, port(last)?),
        None => (port(text)?, port(text)?),
    };
    if first <= last { Ok(first..=last) } else { Err(HostError::Port) }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hosts {
            Hosts::Any => out.write_str("*")?,
            Hosts::Name(name) => name.fmt(out)?,
            Hosts::Below(parent) => write!(out, "*.{parent}")?,
            Hosts::Range(range) if range.prefix_len() == range.max_prefix_len() => {
                Host::Address(range.addr()).fmt(out)?;
            }
            Hosts::Range(IpNet::V4(range)) => range.fmt(out)?,
            Hosts::Range(IpNet::V6(range)) => write!(out, "[{range}]")?,
            Hosts::Sockets(paths) => write!(out, "unix:{paths}")?,
        }
        let (first, last) = (self.ports.start(), self.ports.end());
        match self.ports == ALL_PORTS {
            true => Ok(()),
            false if first == last => write!(out, ":{first}"),
            false => write!(out, ":{first}-{last}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Host, HostError, HostPattern};

    fn pattern(text: &str) -> HostPattern {
        HostPattern::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn patterns_are_kept_in_one_form() {
        for (text, kept) in [
            ("*", "*"),
            ("*:443", "*:443"),
            ("*:*", "*"),
            ("Example.ORG.:443", "example.org:443"),
            ("*.Example.org", "*.example.org"),
            ("bücher.example:80-90", "xn--bcher-kva.example:80-90"),
            ("0x7f.1:80", "127.0.0.1:80"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("10.1.2.3/32:1", "10.1.2.3:1"),
            ("[::1]:443", "[::1]:443"),
            ("[fd00::1/8]", "[fd00::/8]"),
            ("[::ffff:10.0.0.0/104]:5", "10.0.0.0/8:5"),
            ("[::ffff:0:0/95]", "[::fffe:0:0/95]"),
            ("[::ffff:1.2.3.4]", "1.2.3.4"),
            ("unix:/run/**", "unix:/run/**"),
        ] {
            assert_eq!(pattern(text).to_string(), kept, "{text}");
            assert_eq!(pattern(kept), pattern(text), "{text}");
        }
    }

    #[test]
    fn what_is_refused() {
        for (text, error) in [
            ("", HostError::Malformed),
            (":443", HostError::Malformed),
            ("a b", HostError::Malformed),
            ("http://a", HostError::Port),
            ("::1", HostError::Malformed),
            ("fd00::1", HostError::Port),
            ("a:1:2", HostError::Port),
            ("a:", HostError::Port),
            ("a:65536", HostError::Port),
            ("a:+1", HostError::Port),
            ("a:2-1", HostError::Port),
            ("a:1-", HostError::Port),
            ("[::1]443", HostError::Port),
            ("[::1", HostError::Malformed),
            ("[1.2.3.4]", HostError::Malformed),
            ("[::/129]", HostError::Range),
            ("1.2.3.4/33", HostError::Range),
            ("a.org/8", HostError::Range),
            ("a*", HostError::Star),
            ("*a", HostError::Star),
            ("*.", HostError::Star),
            ("*.*.a", HostError::Star),
            ("*.1.2.3.4", HostError::Star),
            ("unix:run", HostError::Socket),
        ] {
            assert_eq!(HostPattern::parse(text), Err(error), "{text}");
        }
        for (text, good) in [
            ("*", true),
            ("*.a.org", true),
            ("a.org", true),
            ("a.org:53", false),
            ("a.org:*", false),
            ("1.2.3.4", false),
            ("[::1]", false),
            ("unix:/x", false),
        ] {
            assert_eq!(HostPattern::parse_names(text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn a_table_of_names() {
        for (text, host, port, expected) in [
            ("*", "a.org", 1, true),
            ("*", "1.2.3.4", 1, true),
            ("*:443", "a.org", 443, true),
            ("*:443", "a.org", 442, false),
            ("a.org", "a.org", 9, true),
            ("a.org", "A.ORG.", 9, true),
            ("a.org", "b.a.org", 9, false),
            ("a.org", "xa.org", 9, false),
            ("*.a.org", "b.a.org", 9, true),
            ("*.a.org", "c.b.a.org", 9, true),
            ("*.a.org", "a.org", 9, false),
            ("*.a.org", "ba.org", 9, false),
            ("*.a.org", "a.org.evil.example", 9, false),
            ("a.org:80-90", "a.org", 79, false),
            ("a.org:80-90", "a.org", 80, true),
            ("a.org:80-90", "a.org", 90, true),
            ("a.org:80-90", "a.org", 91, false),
            ("10.0.0.0/8", "10.1.1.1", 9, false),
            ("unix:/a", "a", 0, false),
        ] {
            let host = Host::parse(host).unwrap();
            assert_eq!(pattern(text).names(&host, port), expected, "{text} of {host}:{port}");
        }
        let localhost = Host::parse("localhost").unwrap();
        assert!(pattern("localhost:80").spells_out(&localhost, 80));
        assert!(!pattern("localhost:80").spells_out(&localhost, 81));
        assert!(!pattern("*").spells_out(&localhost, 80));
    }

    #[test]
    fn a_table_of_addresses() {
        for (text, address, port, expected) in [
            ("10.0.0.0/8", "10.255.0.1", 9, true),
            ("10.0.0.0/8", "::ffff:10.255.0.1", 9, true),
            ("10.0.0.0/8", "11.0.0.1", 9, false),
            ("10.0.0.0/8:80", "10.0.0.1", 81, false),
            ("0.0.0.0/0", "127.0.0.1", 9, true),
            ("0.0.0.0/0", "::1", 9, false),
            ("[::/0]", "::1", 9, true),
            ("[::/0]", "::ffff:127.0.0.1", 9, false),
            ("*", "8.8.8.8", 9, false),
            ("a.org", "8.8.8.8", 9, false),
        ] {
            assert_eq!(pattern(text).holds(address.parse().unwrap(), port), expected, "{text} of {address}");
        }
        assert!(pattern("unix:/run/**").holds_socket(b"/run/db"));
        assert!(!pattern("unix:/run/**").holds_socket(b"/runner"));
        assert!(!pattern("*").holds_socket(b"/run/db"));
    }

    #[test]
    fn a_table_of_covering() {
        for (wide, narrow, expected) in [
            ("*", "*", true),
            ("*", "a.org:1", true),
            ("*", "*.a.org", true),
            // A wildcard reaches nothing that is not public, so it can't give what might.
            ("*", "localhost", false),
            ("*", "10.0.0.0/8", false),
            ("*", "8.8.8.8", false),
            ("*", "unix:/x", false),
            ("a.org", "*", false),
            ("a.org", "a.org", true),
            ("a.org:80-90", "a.org:80-90", true),
            ("a.org:80-90", "a.org:79-90", false),
            ("a.org:80-90", "a.org:80-91", false),
            ("a.org:80", "a.org", false),
            ("*.a.org", "b.a.org", true),
            ("*.a.org", "*.b.a.org", true),
            ("*.a.org", "*.a.org", true),
            ("*.b.a.org", "*.a.org", false),
            ("*.a.org", "a.org", false),
            ("*.a.org", "1.2.3.4", false),
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.1.0.0/16", "10.0.0.0/8", false),
            ("[::/0]", "10.0.0.0/8", false),
            ("unix:/a/**", "unix:/a/b", true),
            ("unix:/a/b", "unix:/a/**", false),
        ] {
            assert_eq!(pattern(wide).covers(&pattern(narrow)), expected, "{wide} of {narrow}");
        }
    }

    fn any_pattern() -> impl Strategy<Value = HostPattern> {
        let host = prop_oneof![
            Just("*".to_owned()),
            Just("localhost".to_owned()),
            "(\\*\\.)?([ab]\\.){0,2}org",
            "10\\.[01]\\.0\\.0/(8|15|16)",
            "127\\.0\\.0\\.1",
            "unix:/[ab]",
        ];
        let ports = prop_oneof![Just(String::new()), Just(":1".to_owned()), Just(":1-3".to_owned())];
        (host, ports).prop_map(|(host, ports)| {
            let ports = if host.starts_with("unix:") { String::new() } else { ports };
            pattern(&(host + &ports))
        })
    }

    proptest! {
        /// What the covered one means, the covering one means.
        #[test]
        fn covering_never_widens(
            wide in any_pattern(),
            narrow in any_pattern(),
            host in prop_oneof![Just("localhost"), Just("a.org"), Just("b.a.org"), Just("10.0.0.1"), Just("127.0.0.1")],
            address in prop_oneof![Just("10.0.0.1"), Just("10.1.0.1"), Just("127.0.0.1")],
            port in 0_u16..5,
        ) {
            prop_assert_eq!(&pattern(&narrow.to_string()), &narrow);
            prop_assert!(narrow.covers(&narrow) || narrow == pattern("localhost"));
            if wide.covers(&narrow) {
                let (host, address) = (Host::parse(host).unwrap(), address.parse().unwrap());
                prop_assert!(!narrow.names(&host, port) || wide.names(&host, port));
                prop_assert!(!narrow.spells_out(&host, port) || !host.is_localhost() || wide.spells_out(&host, port));
                prop_assert!(!narrow.holds(address, port) || wide.holds(address, port));
                prop_assert!(!narrow.holds_socket(b"/a") || wide.holds_socket(b"/a"));
            }
        }
    }
}
