//! One request and its answer, over one connection, which ends with it.

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Answer, Ask, Hop, leads_on};
use crate::{
    Errno, Error,
    net::{Judged, Network, dial::errno_of},
};

/// The most that an answer's headers may take.
const HEAD_BYTES: usize = 64 << 10;
/// Who we say we are, if the caller doesn't.
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("uos/", env!("CARGO_PKG_VERSION")));

impl Network {
    /// Connects to where the host was found, and asks.
    pub(super) async fn exchange(&self, judged: &Judged, hop: &Hop, ask: &Ask) -> Result<Answer, Error> {
        let stream = self.dial(judged).await?;
        match hop.is_secure {
            true => over(self.tls.secure(stream, &hop.host).await?, hop, ask).await,
            false => over(stream, hop, ask).await,
        }
    }
}

async fn over(stream: impl AsyncRead + AsyncWrite + Unpin, hop: &Hop, ask: &Ask) -> Result<Answer, Error> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(hop, &error))?;
    let exchange = async {
        let response = sender.send_request(request(hop, ask)?).await.map_err(|error| broken(hop, &error))?;
        answer(response, hop, ask).await
    };
    // Driven right here and by no task, so that nothing goes on when this is dropped.
    let (mut exchange, mut connection) = (std::pin::pin!(exchange), std::pin::pin!(connection));
    tokio::select! {
        biased;
        answer = &mut exchange => return answer,
        _ = &mut connection => {}
    }
    // It has ended, and what has come of it is with the exchange.
    exchange.await
}

fn request(hop: &Hop, ask: &Ask) -> Result<Request<Full<Bytes>>, Error> {
    let mut request = Request::builder()
        .method(ask.method.clone())
        .uri(hop.path())
        .body(Full::new(ask.body.clone()))
        .map_err(|error| Error::invalid("url", error))?;
    let headers = request.headers_mut();
    *headers = ask.headers.clone();
    let host = HeaderValue::try_from(hop.authority()).map_err(|error| Error::invalid("url", error))?;
    headers.insert(header::HOST, host);
    headers.entry(header::USER_AGENT).or_insert(USER_AGENT);
    headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    Ok(request)
}

async fn answer(response: Response<Incoming>, hop: &Hop, ask: &Ask) -> Result<Answer, Error> {
    let (head, mut incoming) = response.into_parts();
    let mut body = BytesMut::new();
    let mut is_truncated = false;
    // What stands beside a redirect that is followed is read by nobody.
    let is_wanted =
        !(leads_on(head.status) && head.headers.contains_key(header::LOCATION) && ask.most_redirects > 0);
    while is_wanted && !is_truncated {
        let Some(frame) = incoming.frame().await else { break };
        let Ok(data) = frame.map_err(|error| broken(hop, &error))?.into_data() else { continue };
        let room = ask.most_bytes - body.len();
        body.extend_from_slice(&data[..data.len().min(room)]);
        is_truncated = data.len() > room;
    }
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body: body.freeze(),
        is_truncated,
        url: hop.to_string(),
        redirects: 0,
    })
}

/// What a connection that failed midway is reported as.
fn broken(hop: &Hop, error: &hyper::Error) -> Error {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    let errno = match source {
        Some(source) => errno_of(source),
        None if error.is_parse() => Errno::EPROTO,
        None => Errno::ECONNRESET,
    };
    Error::at_stage(
        errno,
        format!("http {}:{}", hop.host, hop.port),
        format!("the exchange broke off: {error}"),
    )
}
