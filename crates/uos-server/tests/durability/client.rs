//! A client of the HTTP routes that knows the difference between a refusal and no answer.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::server::DEADLINE;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// One connection, made when it is needed.
pub(crate) struct Client {
    address: SocketAddr,
    token: String,
    cookie: Option<String>,
    connection: Option<http1::SendRequest<Full<Bytes>>>,
}

/// What a server said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// The secret of a login, if it is one.
    pub(crate) login: Option<String>,
}

/// The connection broke before there was an answer: what was asked for may have been done or not.
#[derive(Debug)]
pub(crate) struct Lost;

impl Client {
    pub(crate) fn new(address: SocketAddr, token: &str) -> Self {
        Self { address, token: token.to_owned(), cookie: None, connection: None }
    }

    /// The same server, as a browser that holds a login and no token.
    pub(crate) fn with_login(&self, secret: &str) -> Self {
        // A server on another port of the host has a cookie of its own.
        let cookie = Some(format!("uos_login_{}={secret}", self.address.port()));
        Self { address: self.address, token: String::new(), cookie, connection: None }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer, Lost> {
        self.ask("GET", path, None).await
    }

    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Result<Answer, Lost> {
        self.ask("POST", path, Some(body)).await
    }

    pub(crate) async fn put(&mut self, path: &str, body: &Value) -> Result<Answer, Lost> {
        self.ask("PUT", path, Some(body)).await
    }

    pub(crate) async fn delete(&mut self, path: &str) -> Result<Answer, Lost> {
        self.ask("DELETE", path, None).await
    }

    /// Takes a file to a path of the namespace.
    pub(crate) async fn upload(&mut self, path: &str, content: &[u8]) -> Result<Answer, Lost> {
        self.send("PUT", &format!("/files{path}"), Bytes::copy_from_slice(content)).await
    }

    async fn ask(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, Lost> {
        self.send(method, path, body.map_or_else(Bytes::new, |body| body.to_string().into())).await
    }

    async fn send(&mut self, method: &str, path: &str, body: Bytes) -> Result<Answer, Lost> {
        let answer = tokio::time::timeout(DEADLINE, self.exchange(method, path, body)).await;
        let answer = answer.unwrap_or_else(|_| panic!("{method} {path} is not answered"));
        if answer.is_err() {
            self.connection = None;
        }
        answer.map_err(|_| Lost)
    }

    async fn exchange(&mut self, method: &str, path: &str, body: Bytes) -> Result<Answer, Error> {
        let mut request =
            Request::builder().method(method).uri(path).header("host", self.address.to_string());
        request = match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request.header("authorization", format!("Bearer {}", self.token)),
        };
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(connect(self.address).await?),
        };
        connection.ready().await?;
        let answer = connection.send_request(request.body(Full::new(body))?).await?;
        let status = answer.status().as_u16();
        let cookie = answer.headers().get("set-cookie").and_then(|cookie| cookie.to_str().ok());
        let login = cookie.and_then(|cookie| cookie.split(';').next()?.split_once('='));
        let login = login.map(|(_, secret)| secret.to_owned());
        let text = answer.into_body().collect().await?.to_bytes();
        let body = if text.is_empty() { Value::Null } else { serde_json::from_slice(&text)? };
        Ok(Answer { status, body, login })
    }
}

async fn connect(address: SocketAddr) -> Result<http1::SendRequest<Full<Bytes>>, Error> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

impl Answer {
    /// The body of an answer that must be a success.
    #[track_caller]
    pub(crate) fn good(self) -> Value {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.body);
        self.body
    }

    /// Checks a refusal: its status and its code.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) {
        let said = (self.status, self.body["error"]["code"].as_str());
        assert_eq!(said, (status, Some(code)), "{}", self.body);
    }
}
