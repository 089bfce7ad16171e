//! The outermost layer: no request goes further unless its host, its origin and its token are in order.
//!
//! The host check is what keeps a web page under somebody else's name, pointed at loopback, from talking to the server.

use http::{HeaderMap, Method, Request, StatusCode, Uri, header, uri::Authority};
use subtle::ConstantTimeEq;
use uos_proto::CallInfo;
use uos_syscall::{Caller, Error, Kernel, Pid};

use crate::{login::Logins, ui};

/// Who is at the other end of a channel.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
    /// Holds the operator's token, or a browser that has logged in with it.
    Operator,
    /// Holds a process's token.
    Process(Caller),
}

impl Identity {
    /// As whom a request is made. A process's token acts as itself only; any other pid is as absent as one never given.
    pub(crate) fn caller(&self, kernel: &Kernel, pid: u64) -> Result<Caller, Error> {
        match self {
            Self::Operator if pid == 0 => Ok(kernel.init()),
            Self::Operator => kernel.act_as(Pid(pid)),
            Self::Process(own) if pid == 0 || pid == own.pid().0 => Ok(own.clone()),
            Self::Process(_) => Err(Error::no_process(pid)),
        }
    }

    /// Writes down a call that was refused before it had a caller.
    pub(crate) fn refused(&self, kernel: &Kernel, call: &'static CallInfo, error: Error) -> Error {
        let by = match self {
            Self::Operator => Pid::INIT,
            Self::Process(own) => own.pid(),
        };
        kernel.record_refusal(by, call, &error);
        error
    }
}

/// Why a request goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Not a host of ours, or none, or several.
    Host,
    /// A page from elsewhere.
    Origin,
    /// No token, or none that is good.
    Token,
}

impl Refusal {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::Token => StatusCode::UNAUTHORIZED,
        }
    }

    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Host => "foreign_host",
            Self::Origin => "foreign_origin",
            Self::Token => "unauthenticated",
        }
    }

    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Host => "this server is not known by that name; add it to allowed_hosts if it should be",
            Self::Origin => "pages of other origins are not served",
            Self::Token => "a valid token is needed: `authorization: Bearer TOKEN`, or a login by a ticket",
        }
    }
}

/// The gate's knowledge.
pub(crate) struct Gate {
    kernel: Kernel,
    token: String,
    logins: Logins,
    cookie: String,
    hosts: Vec<String>,
}

impl Gate {
    /// `port` is in the name of the cookie: to a browser all ports of a host are one site.
    pub(crate) fn new(
        kernel: Kernel,
        token: String,
        logins: Logins,
        port: u16,
        hosts: impl IntoIterator<Item = String>,
    ) -> Self {
        let mut known: Vec<String> = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).into();
        known.extend(hosts.into_iter().map(|host| host.to_ascii_lowercase()));
        Self { kernel, token, logins, cookie: cookie_name(port), hosts: known }
    }

    /// Lets a request through, with who sent it; `None` where nobody need say.
    pub(crate) fn admit<B>(&self, request: &Request<B>) -> Result<Option<Identity>, Refusal> {
        let host = self.host(request.uri(), request.headers())?;
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        same_origin(&host, reads, request.headers())?;
        let path = request.uri().path();
        if reads && (matches!(path, "/healthz" | "/readyz" | "/login") || ui::is_file(path)) {
            return Ok(None);
        }
        if request.headers().contains_key(header::AUTHORIZATION) {
            return self.bearer(request.headers()).map(Some).ok_or(Refusal::Token);
        }
        let cookie = cookie(request.headers(), &self.cookie).filter(|secret| self.logins.knows(secret));
        cookie.map(|_| Some(Identity::Operator)).ok_or(Refusal::Token)
    }

    /// Every name the request gives for us must be ours, and it must give one.
    fn host(&self, uri: &Uri, headers: &HeaderMap) -> Result<Authority, Refusal> {
        let mut name = None;
        let mut given = headers.get_all(header::HOST).iter();
        if let Some(host) = given.next() {
            let host = host.to_str().map_err(|_| Refusal::Host)?;
            let authority: Authority = host.parse().map_err(|_| Refusal::Host)?;
            self.known(&authority)?;
            name = Some(authority);
        }
        if given.next().is_some() {
            return Err(Refusal::Host);
        }
        if let Some(authority) = uri.authority() {
            self.known(authority)?;
            name = Some(authority.clone());
        }
        name.ok_or(Refusal::Host)
    }

    fn known(&self, authority: &Authority) -> Result<(), Refusal> {
        // Nothing but the host, and behind it nothing but a port.
        let text = authority.as_str();
        let plain = !text.contains('@') && (text == authority.host() || authority.port_u16().is_some());
        if plain && self.hosts.iter().any(|host| host.eq_ignore_ascii_case(authority.host())) {
            return Ok(());
        }
        Err(Refusal::Host)
    }

    fn bearer(&self, headers: &HeaderMap) -> Option<Identity> {
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let (header, None) = (given.next()?.to_str().ok()?, given.next()) else { return None };
        let (scheme, token) = header.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        if self.token.as_bytes().ct_eq(token.as_bytes()).into() {
            return Some(Identity::Operator);
        }
        self.kernel.by_token(token).map(Identity::Process)
    }
}

/// The name of the login cookie.
pub(crate) fn cookie_name(port: u16) -> String {
    format!("uos_login_{port}")
}

/// The value of a cookie, if it is sent once.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut values = lines.flat_map(|line| line.split(';')).filter_map(|pair| {
        let (given, value) = pair.trim().split_once('=')?;
        (given == name).then_some(value)
    });
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// A request that a page makes must come from a page of ours: the same host and the same port. Browsers say so in `Origin`
/// wherever it matters; the newer ones also in `Sec-Fetch-Site`, which pages can't forge.
fn same_origin(host: &Authority, reads: bool, headers: &HeaderMap) -> Result<(), Refusal> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    if let Some(origin) = origins.next() {
        let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
        let origin = origin.ok_or(Refusal::Origin)?;
        let usual = match origin.scheme_str() {
            Some("http") => 80,
            Some("https") => 443,
            _ => return Err(Refusal::Origin),
        };
        let port = |authority: &Authority| authority.port_u16().unwrap_or(usual);
        let same = origin.authority().is_some_and(|authority| {
            authority.host().eq_ignore_ascii_case(host.host()) && port(authority) == port(host)
        });
        if !same || origins.next().is_some() {
            return Err(Refusal::Origin);
        }
    }
    match headers.get("sec-fetch-site").map(http::HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        // A link on another page that leads here is followed, without a cookie; a form, a page in a frame or a script is not.
        Some(_)
            if reads
                && headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate")
                && headers.get("sec-fetch-dest").is_some_and(|dest| dest == "document") =>
        {
            Ok(())
        }
        Some(_) => Err(Refusal::Origin),
    }
}
