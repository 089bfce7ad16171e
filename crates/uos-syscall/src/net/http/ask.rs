//! What is asked for: method, headers, body, and what of them goes along where an answer leads on.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use uos_proto::v1;

use crate::{Error, calls::REPLY_BYTES};

/// The most that all headers of a request may take.
const HEADERS_BYTES: usize = 64 << 10;
/// How many redirects are followed when the caller doesn't say, and at most.
const REDIRECTS: (u32, u32) = (10, 20);

/// These say how the connection is used, which is not the caller's to say; and whom it is to, which was judged by the URL.
const OURS: [&str; 13] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "keep-alive",
    "expect",
    "http2-settings",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
];

/// What another server may be told too. Whatever else a header is called, it may be what somebody is let in by.
const HARMLESS: [HeaderName; 16] = [
    header::ACCEPT,
    header::ACCEPT_CHARSET,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::PRAGMA,
    header::RANGE,
    header::USER_AGENT,
];

/// A request, but for whom it goes to.
pub(crate) struct Ask {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) most_redirects: u32,
    /// How much of an answer's body is taken.
    pub(super) most_bytes: usize,
}

impl Ask {
    pub(crate) fn new(request: &v1::NetworkRequest) -> Result<Self, Error> {
        let most_redirects = request.max_redirects.unwrap_or(REDIRECTS.0);
        if most_redirects > REDIRECTS.1 {
            return Err(Error::invalid("max_redirects", format_args!("at most {}", REDIRECTS.1)));
        }
        let most_bytes = match request.max_bytes {
            0 => REPLY_BYTES,
            bytes => bytes.min(REPLY_BYTES),
        };
        Ok(Self {
            method: method(&request.method)?,
            headers: headers(&request.headers)?,
            body: request.body.clone(),
            most_redirects,
            most_bytes: most_bytes as usize,
        })
    }

    /// Becomes what is asked where an answer leads. As browsers do it, a body goes along only where the answer says so.
    pub(super) fn lead_on(&mut self, status: StatusCode, is_same_origin: bool) {
        let becomes_get = match status {
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            _ => false,
        };
        if becomes_get {
            self.method = Method::GET;
            self.body = Bytes::new();
            for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LANGUAGE] {
                self.headers.remove(name);
            }
        }
        if !is_same_origin {
            let theirs: Vec<_> =
                self.headers.keys().filter(|name| !HARMLESS.contains(name)).cloned().collect();
            for name in theirs {
                self.headers.remove(name);
            }
        }
    }
}

fn method(text: &str) -> Result<Method, Error> {
    if text.is_empty() {
        return Ok(Method::GET);
    }
    match Method::from_bytes(text.to_ascii_uppercase().as_bytes()) {
        Ok(Method::CONNECT | Method::TRACE) => {
            Err(Error::invalid("method", "CONNECT and TRACE ask for no resource"))
        }
        Ok(method) if text.len() <= 64 => Ok(method),
        _ => Err(Error::invalid("method", "not the name of a method")),
    }
}

fn headers(wanted: &[v1::HttpHeader]) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    let mut bytes = 0;
    for v1::HttpHeader { name, value, value_raw } in wanted {
        let value = if value_raw.is_empty() { value.as_bytes() } else { value_raw };
        bytes += name.len() + value.len();
        if bytes > HEADERS_BYTES {
            return Err(Error::invalid("headers", format_args!("at most {HEADERS_BYTES} bytes in all")));
        }
        let short = || name.chars().take(64).collect::<String>();
        let refused = |why: &str| Error::invalid("headers", format_args!("{:?}: {why}", short()));
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused("not the name of a header"))?;
        if OURS.contains(&key.as_str()) {
            return Err(refused("this one is not the caller's to set"));
        }
        let value = HeaderValue::from_bytes(value)
            .map_err(|_| refused("a value has no line breaks and no other control characters"))?;
        headers.try_append(key, value).map_err(|_| refused("too many headers"))?;
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};
    use uos_proto::v1::{HttpHeader, NetworkRequest};

    use super::Ask;
    use crate::Errno;

    fn request(method: &str, headers: &[(&str, &str)]) -> NetworkRequest {
        let header = |&(name, value): &(&str, &str)| HttpHeader {
            name: name.into(),
            value: value.into(),
            ..Default::default()
        };
        NetworkRequest {
            method: method.into(),
            headers: headers.iter().map(header).collect(),
            body: "body".into(),
            ..Default::default()
        }
    }

    #[test]
    fn nothing_slips_into_another_header() {
        for (name, value) in [
            ("x", "a\r\nhost: b"),
            ("x", "a\nb"),
            ("x", "a\0"),
            ("x\r\ny", "a"),
            ("x: y", "a"),
            ("", "a"),
            ("x y", "a"),
            ("Host", "b"),
            ("content-length", "0"),
            ("Transfer-Encoding", "chunked"),
            ("Proxy-Authorization", "x"),
            ("Upgrade", "h2c"),
        ] {
            let refused = Ask::new(&request("GET", &[(name, value)])).err().unwrap();
            assert_eq!(refused.errno, Errno::EINVAL, "{name:?}: {value:?}");
        }
        let long = "x".repeat(65 << 10);
        assert!(Ask::new(&request("GET", &[("x", &long)])).is_err());
        for method in ["GET / HTTP/1.1\r\nx: y", "CONNECT", "trace", "G T", "é"] {
            assert!(Ask::new(&request(method, &[])).is_err(), "{method:?}");
        }
        assert_eq!(Ask::new(&request("", &[])).unwrap().method, Method::GET);
        assert_eq!(Ask::new(&request("propfind", &[])).unwrap().method.as_str(), "PROPFIND");
    }

    #[test]
    fn a_table_of_what_goes_along() {
        for (method, status, same, expected, names) in [
            ("POST", 301, true, "GET", "authorization x-key accept"),
            ("POST", 302, false, "GET", "accept"),
            ("PUT", 303, true, "GET", "authorization x-key accept"),
            ("HEAD", 303, true, "HEAD", "authorization x-key accept content-type"),
            ("PUT", 302, true, "PUT", "authorization x-key accept content-type"),
            ("POST", 307, false, "POST", "accept content-type"),
            ("POST", 308, true, "POST", "authorization x-key accept content-type"),
        ] {
            let all = [("authorization", "s"), ("x-key", "s"), ("accept", "*/*"), ("content-type", "a/b")];
            let mut ask = Ask::new(&request(method, &all)).unwrap();
            ask.lead_on(StatusCode::from_u16(status).unwrap(), same);
            let left: Vec<_> = ask.headers.keys().map(http::HeaderName::as_str).collect();
            let mut expected_names: Vec<_> = names.split(' ').collect();
            expected_names.sort_unstable();
            let mut left = left;
            left.sort_unstable();
            assert_eq!((ask.method.as_str(), left), (expected, expected_names), "{method} {status}");
            assert_eq!(ask.body.is_empty(), method != expected, "{method} {status}");
        }
    }
}
