//! Live events over a WebSocket.

use axum::{
    extract::{
        Extension, Query, State, WebSocketUpgrade, rejection::QueryRejection,
        ws::rejection::WebSocketUpgradeRejection,
    },
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Http,
    failure::{ErrorBody, Failure},
};
use crate::{
    events::{Listener, follow},
    gate::Identity,
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

/// Live events, one JSON object a message: `{epoch, seq, type, …}`. Who gives the place of the last event it got gets
/// exactly what came after it; if that is kept no longer, or the server was started anew, one `resync` says to look at
/// everything again. Who gives none is told the place of now by a `hello`.
#[utoipa::path(get, path = "/events", tag = "events", params(Place),
    responses((status = 101, description = "a WebSocket"), (status = 422, body = ErrorBody),
        (status = 426, description = "this is a WebSocket only", body = ErrorBody)))]
async fn events(
    State(http): State<Http>,
    Extension(identity): Extension<Identity>,
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
    let upgrade = upgrade.map_err(|_| {
        Failure::new(StatusCode::UPGRADE_REQUIRED, "websocket_only", "events come over a WebSocket only")
    })?;
    let listener = match identity {
        Identity::Operator => Listener::Operator,
        Identity::Process(caller) => Listener::Process(http.kernel.clone(), caller),
    };
    let upgrade = upgrade.max_message_size(MESSAGE_BYTES).max_frame_size(MESSAGE_BYTES);
    Ok(upgrade.on_upgrade(move |socket| follow(http.hub, listener, asked, socket)))
}
