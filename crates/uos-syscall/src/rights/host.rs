//! Whom somebody wants to talk to: a name or an address, in the one form that it is judged in.

use std::{fmt, net::IpAddr};

use super::address::canonical;

/// The longest name there is.
const NAME_BYTES: usize = 253;
/// The longest part of a name between dots.
const LABEL_BYTES: usize = 63;

/// A host by name or address. Two that mean the same are equal: numbers in every base, letters of every case and
/// alphabet, and a dot at the end are gone once it is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// In lower case, without a dot at the end, in the form that is asked for on the wire.
    Name(Box<str>),
    /// An address. One that is IPv4 in IPv6 is IPv4.
    Address(IpAddr),
}

/// Why something is no host, or no pattern of hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Neither a name nor an address.
    #[error("not a host name or address")]
    Malformed,
    /// An address of IPv6 without brackets, or something that is no port.
    #[error("not `HOST`, `HOST:PORT` or `HOST:FIRST-LAST`; an IPv6 address stands in brackets: `[::1]:443`")]
    Port,
    /// A range of addresses that is none.
    #[error("not a range of addresses such as `10.0.0.0/8` or `[fd00::/8]`")]
    Range,
    /// `*` is for whole names and for everything below a name.
    #[error("`*` stands alone, or as `*.` before a name")]
    Star,
    /// Names are looked up, addresses and ports are not.
    #[error("only names are looked up: no address and no port")]
    NameOnly,
    /// The name of a socket in this system is no pattern of paths.
    #[error("`unix:` is followed by an absolute path or a pattern of such")]
    Socket,
}

impl Host {
    /// Reads a name or an address as browsers do, so that nothing is one thing here and another to whoever connects.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Address(canonical(address)));
        }
        let host = url::Host::parse(text).map_err(|_| HostError::Malformed)?;
        Self::from_url(&host)
    }

    /// The host of a URL.
    pub(crate) fn from_url<S: AsRef<str>>(host: &url::Host<S>) -> Result<Self, HostError> {
        match host {
            url::Host::Ipv4(address) => Ok(Self::Address((*address).into())),
            url::Host::Ipv6(address) => Ok(Self::Address(canonical((*address).into()))),
            url::Host::Domain(name) => Self::name(name.as_ref()),
        }
    }

    fn name(name: &str) -> Result<Self, HostError> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let fits = |label: &str| {
            (1..=LABEL_BYTES).contains(&label.len())
                && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
        };
        match name.len() <= NAME_BYTES && name.split('.').all(fits) {
            true => Ok(Self::Name(name.into())),
            false => Err(HostError::Malformed),
        }
    }

    /// The name that always means this host itself, and is never looked up.
    pub(crate) fn is_localhost(&self) -> bool {
        matches!(self, Self::Name(name) if &**name == "localhost")
    }
}

impl fmt::Display for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => out.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(out),
            Self::Address(IpAddr::V6(address)) => write!(out, "[{address}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Host, HostError};

    #[test]
    fn what_means_the_same_reads_the_same() {
        for (texts, expected) in [
            (
                &[
                    "127.0.0.1",
                    "0x7f.1",
                    "2130706433",
                    "0177.0.0.1",
                    "127.1",
                    "0x7f000001",
                    "127.0.0.1.",
                    "１２７.0.0.1",
                    "[::ffff:7f00:1]",
                    "::ffff:127.0.0.1",
                    "127。0。0。1",
                    "%31%32%37.1",
                ][..],
                "127.0.0.1",
            ),
            (
                &["example.org", "EXAMPLE.org", "example.org.", "ｅxample.org", "ex%61mple.org"][..],
                "example.org",
            ),
            (&["bücher.example", "BÜCHER.example", "xn--bcher-kva.example"][..], "xn--bcher-kva.example"),
            (&["::1", "[::1]", "[0:0::1]"][..], "[::1]"),
        ] {
            for text in texts {
                assert_eq!(Host::parse(text).unwrap().to_string(), expected, "{text}");
            }
        }
    }

    #[test]
    fn what_is_refused() {
        let long = format!("{}.org", "a".repeat(64));
        let longer = vec!["a".repeat(62); 5].join(".");
        for text in [
            "",
            ".",
            "..",
            "a..b",
            "a b",
            "a/b",
            "a:1",
            "a@b",
            "*",
            "*.a",
            "a\0b",
            "[::1",
            "256.1.1.1",
            "1.2.3.4.5",
            "a\u{2024}\u{2024}b",
            &long,
            &longer,
        ] {
            assert_eq!(Host::parse(text), Err(HostError::Malformed), "{text}");
        }
        assert!(Host::parse(&format!("{}.org", "a".repeat(63))).is_ok());
    }

    #[test]
    fn only_one_name_is_this_host() {
        assert!(Host::parse("LocalHost.").unwrap().is_localhost());
        for text in ["localhost.org", "a.localhost", "127.0.0.1"] {
            assert!(!Host::parse(text).unwrap().is_localhost(), "{text}");
        }
    }
}
