//! The outermost layer: no request goes further unless its host, its origin and its token are in order.
//!
//! The host check is what keeps a web page under somebody else's name, pointed at loopback, from talking to the server.

use http::{HeaderMap, Method, Request, StatusCode, Uri, header, uri::Authority};
use subtle::ConstantTimeEq;
use uos_syscall::{Caller, Kernel};

/// Who is at the other end of a channel.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
    /// Holds the operator's token.
    Operator,
    /// Holds a process's token.
    Process(Caller),
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
            Self::Token => "a valid token is needed: `authorization: Bearer TOKEN`",
        }
    }
}

/// The gate's knowledge.
pub(crate) struct Gate {
    kernel: Kernel,
    token: String,
    hosts: Vec<String>,
}

impl Gate {
    pub(crate) fn new(kernel: Kernel, token: String, hosts: impl IntoIterator<Item = String>) -> Self {
        let mut known: Vec<String> = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).into();
        known.extend(hosts.into_iter().map(|host| host.to_ascii_lowercase()));
        Self { kernel, token, hosts: known }
    }

    /// Lets a request through, with who sent it; `None` where nobody need say.
    pub(crate) fn admit<B>(&self, request: &Request<B>) -> Result<Option<Identity>, Refusal> {
        self.host(request.uri(), request.headers())?;
        self.origin(request.headers())?;
        if request.method() == Method::GET && matches!(request.uri().path(), "/healthz" | "/readyz") {
            return Ok(None);
        }
        self.identity(request.headers()).map(Some).ok_or(Refusal::Token)
    }

    /// Every name the request gives for us must be ours, and it must give one.
    fn host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut names = 0;
        let mut given = headers.get_all(header::HOST).iter();
        if let Some(host) = given.next() {
            let host = host.to_str().map_err(|_| Refusal::Host)?;
            let authority: Authority = host.parse().map_err(|_| Refusal::Host)?;
            self.known(&authority)?;
            names += 1;
        }
        if given.next().is_some() {
            return Err(Refusal::Host);
        }
        if let Some(authority) = uri.authority() {
            self.known(authority)?;
            names += 1;
        }
        if names == 0 { Err(Refusal::Host) } else { Ok(()) }
    }

    fn known(&self, authority: &Authority) -> Result<(), Refusal> {
        let plain = !authority.as_str().contains('@');
        if plain && self.hosts.iter().any(|host| host.eq_ignore_ascii_case(authority.host())) {
            return Ok(());
        }
        Err(Refusal::Host)
    }

    fn origin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let origin =
            origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok()).ok_or(Refusal::Origin)?;
        match (origin.scheme_str(), origin.authority()) {
            (Some("http" | "https"), Some(authority)) => self.known(authority).map_err(|_| Refusal::Origin),
            _ => Err(Refusal::Origin),
        }
    }

    fn identity(&self, headers: &HeaderMap) -> Option<Identity> {
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
