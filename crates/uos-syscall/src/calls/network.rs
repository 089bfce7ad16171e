//! Requests to the network.

use uos_proto::v1;

use super::within;
use crate::{
    Errno, Error,
    admit::{Absent, Cx},
    audit::Subject,
    net::{Aim, Ask, Hop},
    perform::Waiting,
    rights::Host,
    target::Scope,
};

impl Waiting for v1::NetworkRequest {
    type Target = Hop;

    fn target(&self, _scope: &Scope<'_>) -> Result<Hop, Absent> {
        // Text that is no URL names nobody to have a right on.
        Hop::parse(&self.url).map_err(|error| Absent { error, subject: Subject::None })
    }

    async fn run(&self, cx: Cx<'_, Hop>) -> Result<v1::NetworkRequestReply, Error> {
        let ask = Ask::new(self)?;
        let (kernel, caller) = (cx.kernel(), cx.caller());
        let _room = caller.share.network_requests.take(1)?;
        let answer = match within(self.timeout_us, kernel.network.fetch(cx.asker(), cx.target, ask)).await {
            Some(answer) => answer?,
            None => return Err(Error::new(Errno::ETIMEDOUT, "there was no answer in time")),
        };
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| v1::HttpHeader {
            name: name.as_str().to_owned(),
            value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
            // Only where the text is not the whole truth.
            value_raw: match std::str::from_utf8(value.as_bytes()) {
                Ok(_) => Default::default(),
                Err(_) => bytes::Bytes::copy_from_slice(value.as_bytes()),
            },
        };
        Ok(v1::NetworkRequestReply {
            status: u32::from(answer.status.as_u16()),
            headers: answer.headers.iter().map(header).collect(),
            body: answer.body,
            truncated: answer.is_truncated,
            url: answer.url,
            redirects: answer.redirects,
        })
    }
}

impl Waiting for v1::Resolve {
    type Target = Aim;

    fn target(&self, _scope: &Scope<'_>) -> Result<Aim, Absent> {
        let refused = |error| Absent { error, subject: Subject::None };
        match Host::parse(&self.name) {
            Ok(host @ Host::Name(_)) => Ok(Aim::Host(host, 0)),
            Ok(Host::Address(_)) => Err(refused(Error::invalid("name", "an address needs no looking up"))),
            Err(error) => Err(refused(Error::invalid("name", error))),
        }
    }

    async fn run(&self, cx: Cx<'_, Aim>) -> Result<v1::ResolveReply, Error> {
        let Aim::Host(host, _) = &cx.target else { return Err(Errno::EINVAL.into()) };
        match within(self.timeout_us, cx.kernel().network.look_up(cx.caller(), host)).await {
            Some(found) => {
                Ok(v1::ResolveReply { addresses: found?.iter().map(ToString::to_string).collect() })
            }
            None => Err(Error::new(Errno::ETIMEDOUT, "there was no answer in time")),
        }
    }
}
