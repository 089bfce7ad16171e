//! Whom a URL means.

use std::fmt;

use uos_proto::Right;
use url::{Position, Url};

use crate::{
    Error,
    admit::Target,
    asking::Asker,
    audit::{Decision, Subject},
    net::Aim,
    rights::Host,
};

/// The longest URL.
const URL_BYTES: usize = 16 << 10;

/// One server to ask, and what for. Read by the rules of browsers once; what is judged, connected to and asked comes from
/// here, and the text is never looked at again.
pub(crate) struct Hop {
    url: Url,
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) is_secure: bool,
}

impl Hop {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > URL_BYTES {
            return Err(Error::invalid("url", format_args!("at most {URL_BYTES} bytes")));
        }
        Self::new(Url::parse(text).map_err(|error| Error::invalid("url", error))?)
    }

    /// Where an answer of this server leads.
    pub(crate) fn join(&self, location: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(location).ok().filter(|text| text.len() <= URL_BYTES);
        let joined = text.and_then(|text| self.url.join(text).ok());
        let led_astray = |error: &dyn fmt::Display| {
            Error::at_stage(
                crate::Errno::EPROTO,
                format!("redirect by {}:{}", self.host, self.port),
                format!("the answer leads to where nobody can be asked: {error}"),
            )
        };
        let url = joined.ok_or_else(|| led_astray(&"no URL"))?;
        Self::new(url).map_err(|error| led_astray(&error.message))
    }

    fn new(mut url: Url) -> Result<Self, Error> {
        let is_secure = match url.scheme() {
            "https" => true,
            "http" => false,
            other => {
                return Err(Error::invalid(
                    "url",
                    format_args!("`{other}:` is neither `http:` nor `https:`"),
                ));
            }
        };
        // Where they stand, logs and the eyes of people take a name before the `@` for the host.
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::invalid(
                "url",
                "a user or a password belongs into the header `authorization`",
            ));
        }
        url.set_fragment(None);
        let host = url.host().ok_or_else(|| Error::invalid("url", "it names no host"))?;
        let host = Host::from_url(&host).map_err(|error| Error::invalid("url", error))?;
        let port = url.port_or_known_default().unwrap_or(0);
        if port == 0 {
            return Err(Error::invalid("url", "nobody is at port 0"));
        }
        Ok(Self { url, host, port, is_secure })
    }

    /// Whether the other is asked with the same scheme, host and port.
    pub(crate) fn has_origin_of(&self, other: &Self) -> bool {
        (self.is_secure, &self.host, self.port) == (other.is_secure, &other.host, other.port)
    }

    /// What stands in the header `host`.
    pub(super) fn authority(&self) -> String {
        match self.url.port() {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.to_string(),
        }
    }

    /// What stands in the first line of the request.
    pub(super) fn path(&self) -> &str {
        &self.url[Position::BeforePath..Position::AfterQuery]
    }
}

impl Target for Hop {
    fn judge(&self, right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        self.aim().judge(right, caller)
    }

    /// The host alone: a path or a query may hold secrets.
    fn subject(&self) -> Subject {
        self.aim().subject()
    }
}

impl Hop {
    fn aim(&self) -> Aim {
        Aim::Host(self.host.clone(), self.port)
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::Hop;

    #[test]
    fn what_is_asked_is_read_once_and_by_one_rule() {
        for (text, authority, path) in [
            ("http://example.org", "example.org", "/"),
            ("HTTP://EXAMPLE.org.:80/a?b#c", "example.org", "/a?b"),
            ("https://example.org:444/%7e", "example.org:444", "/%7e"),
            ("http:\\\\0x7f.1\\x", "127.0.0.1", "/x"),
            ("http:/127.1/x", "127.0.0.1", "/x"),
            ("ht\ntp://exam\tple.org/\r\nx", "example.org", "/x"),
            ("http://example.org/a b\u{1}", "example.org", "/a%20b"),
            ("http://[::ffff:127.0.0.1]/", "127.0.0.1", "/"),
        ] {
            let hop = Hop::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((hop.authority().as_str(), hop.path()), (authority, path), "{text}");
        }
    }

    #[test]
    fn what_is_refused() {
        let long = format!("http://a/{}", "x".repeat(16 << 10));
        for text in [
            "",
            "example.org",
            "/x",
            "file:///etc/passwd",
            "gopher://a/",
            "ftp://a/",
            "javascript:1",
            "unix:/x",
            "http://",
            "http:///",
            "http://a:0/",
            "http://a:65536/",
            "http://user@a/",
            "http://user:pw@a/",
            "http://:pw@a/",
            "http://a..b/",
            "http://1.2.3.4.5/",
            "http://[::1/",
            "http://a%00b/",
            "data:,x",
            &long,
        ] {
            assert!(Hop::parse(text).is_err(), "{text}");
        }
    }
}
