//! One request of HTTP, along its redirects. Each hop is judged like the first.

mod ask;
mod hop;
mod wire;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header::LOCATION};
use uos_proto::Right;

pub(crate) use ask::Ask;
pub(crate) use hop::Hop;

use super::Network;
use crate::{Errno, Error, asking::Asker};

/// What came back in the end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// There was more of the body.
    pub(crate) is_truncated: bool,
    /// Who answered, as a URL.
    pub(crate) url: String,
    pub(crate) redirects: u32,
}

impl Network {
    /// Asks, and asks on where the answer says so.
    pub(crate) async fn fetch(&self, caller: Asker<'_>, hop: Hop, ask: Ask) -> Result<Answer, Error> {
        let (mut hop, mut ask, mut redirects) = (hop, ask, 0);
        loop {
            let judged = self.find(caller, Right::NetConnect, &hop.host, hop.port).await?;
            let mut answer = self.exchange(&judged, &hop, &ask).await?;
            let Some(next) = next(&hop, &answer, &ask)? else {
                answer.redirects = redirects;
                return Ok(answer);
            };
            if redirects == ask.most_redirects {
                return Err(Error::new(
                    Errno::ELOOP,
                    format!("the answer leads on after {redirects} redirects"),
                ));
            }
            redirects += 1;
            ask.lead_on(answer.status, hop.has_origin_of(&next));
            hop = next;
        }
    }
}

/// Where an answer leads. One that leads nowhere, or is not to be followed, is the answer itself.
fn next(hop: &Hop, answer: &Answer, ask: &Ask) -> Result<Option<Hop>, Error> {
    match answer.headers.get(LOCATION) {
        Some(location) if leads_on(answer.status) && ask.most_redirects > 0 => {
            hop.join(location.as_bytes()).map(Some)
        }
        _ => Ok(None),
    }
}

fn leads_on(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}
