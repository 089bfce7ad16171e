//! Live events over a WebSocket.

use axum::{
    extract::{
        Extension, Query, State, WebSocketUpgrade, rejection::QueryRejection,
        ws::rejection::WebSocketUpgradeRejection,
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Http,
    failure::{ErrorBody, Failure},
};
use crate::{
    events::{Listener, Told, follow},
    gate::{self, Identity},
};

/// Listeners have nothing to say that is longer.
const MESSAGE_BYTES: usize = 4 << 10;

pub(super) fn routes() -> OpenApiRouter<Http> {
    OpenApiRouter::new().routes(routes!(events))
}

/// Where to go on.
#[derive(Deserialize, IntoParams)]
struct Place {
    /// The `epoch` of the last event that came.
    epoch: Option<String>,
    /// Its `seq`.
    after: Option<u64>,
}

/// An event.
#[derive(ToSchema)]
#[expect(dead_code, reason = "events are put together as text; this is what they look like")]
struct EventFrame {
    /// This run of the server; another one has another.
    epoch: String,
    /// Its number. Who sees everything gets one after the other; to a process, what it may not see is missing.
    seq: u64,
    #[serde(flatten)]
    told: Told,
}

/// Live events over a WebSocket, one JSON object a message.
///
/// Who gives the place of the last event it got (`epoch` and `after`) gets exactly what came after it. If that is kept no
/// longer, was never reached, or is of another run of the server, one `resync` says to look at everything again; so it does
/// to a listener that is too slow. Who gives no place is told the place of now by a `hello`.
///
/// A process gets the events of processes that it may inspect, of files that it may read, and of calls whose requests it
/// may answer. The server closes with 1008
/// when the login or the process has ended, and with 1012 when it stops.
#[utoipa::path(get, path = "/events", tag = "events", params(Place),
    security(("token" = []), ("login" = []), ("process" = [])),
    responses((status = 101, description = "A WebSocket. Each text message is one event.", body = EventFrame),
        (status = 422, description = "The place makes no sense; `error.detail.field` says why.", body = ErrorBody),
        (status = 426, description = "This is a WebSocket only.", body = ErrorBody)))]
async fn events(
    State(http): State<Http>,
    Extension(identity): Extension<Identity>,
    headers: HeaderMap,
    place: Result<Query<Place>, QueryRejection>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Failure> {
    let Query(place) = place.map_err(|_| Failure::invalid("after", "a whole number is wanted"))?;
    let asked = match (place.epoch, place.after) {
        (None, None) => None,
        (Some(epoch), Some(after)) => Some((epoch, after)),
        (Some(_), None) => {
            return Err(Failure::invalid("after", "an epoch goes with the number of the last event"));
        }
        (None, Some(_)) => return Err(Failure::invalid("epoch", "a number means nothing without its epoch")),
    };
    let Ok(upgrade) = upgrade else {
        let why =
            Failure::new(StatusCode::UPGRADE_REQUIRED, "websocket_only", "events come over a WebSocket only");
        let to = [(header::UPGRADE, HeaderValue::from_static("websocket"))];
        return Ok((to, why).into_response());
    };
    // Who shows the token needs no login; a cookie beside it counts for nothing, here as at the gate.
    let cookie = if headers.contains_key(header::AUTHORIZATION) {
        None
    } else {
        gate::cookie(&headers, &gate::cookie_name(http.address.port()))
    };
    let listener = match identity {
        Identity::Operator => match cookie {
            Some(secret) => Listener::Browser(http.logins, secret.to_owned()),
            None => Listener::Operator,
        },
        Identity::Process(caller) => Listener::Process(http.kernel.clone(), caller),
    };
    let upgrade = upgrade.max_message_size(MESSAGE_BYTES).max_frame_size(MESSAGE_BYTES);
    Ok(upgrade.on_upgrade(move |socket| follow(http.hub, listener, asked, socket)))
}
