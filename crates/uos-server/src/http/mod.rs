//! The HTTP routes.

mod answers;
mod apps;
mod body;
mod describe;
mod docs;
mod failure;
mod files;
mod live;
mod login;
mod registry;
mod requests;
mod sessions;
mod system;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use axum::{
    Router,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use metrics_exporter_prometheus::PrometheusHandle;
use uos_syscall::Kernel;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::{desktop::Desktop, events::Hub, gate::Refusal, grpc, login::Logins, ui};
pub(crate) use failure::Failure;
pub(crate) use files::Transfers;

/// What the routes need.
#[derive(Clone)]
pub(crate) struct Http {
    pub(crate) kernel: Kernel,
    pub(crate) desktop: Desktop,
    pub(crate) hub: Hub,
    pub(crate) logins: Logins,
    pub(crate) metrics: PrometheusHandle,
    /// Set while requests are welcome; cleared when the server is stopping.
    pub(crate) ready: Arc<AtomicBool>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    pub(crate) data_dir_name: Arc<str>,
    pub(crate) started: Instant,
    pub(crate) transfers: Transfers,
}

/// All routes of the server, gRPC's and the desktop's files beside its own.
pub(crate) fn routes(http: Http) -> Router {
    let grpc = grpc::routes(http.kernel.clone());
    let (own, _) = described().split_for_parts();
    own.with_state(http)
        .merge(grpc)
        .merge(ui::routes())
        .fallback(absent)
        .method_not_allowed_fallback(wrong_method)
}

fn described() -> OpenApiRouter<Http> {
    OpenApiRouter::new()
        .merge(system::routes())
        .merge(login::routes())
        .merge(registry::routes())
        .merge(apps::routes())
        .merge(sessions::routes())
        .merge(live::routes())
        .merge(files::routes())
        .merge(requests::routes())
}

/// The description of the HTTP routes.
pub fn openapi() -> OpenApi {
    let (_, mut api) = described().split_for_parts();
    describe::finish(&mut api);
    api
}

async fn absent(headers: HeaderMap) -> Response {
    if grpc::is_grpc(&headers) {
        return tonic::Status::unimplemented("there is no such service").into_http();
    }
    Failure::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path").into_response()
}

async fn wrong_method() -> Response {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path takes other methods")
        .into_response()
}

/// The answer to a request that the gate refused, in the words of its protocol.
pub(crate) fn refusal(refusal: Refusal, headers: &HeaderMap) -> Response {
    if grpc::is_grpc(headers) {
        let message = refusal.message();
        return match refusal {
            Refusal::Token => tonic::Status::unauthenticated(message).into_http(),
            Refusal::Host | Refusal::Origin => tonic::Status::permission_denied(message).into_http(),
        };
    }
    let mut answer = Failure::new(refusal.status(), refusal.code(), refusal.message()).into_response();
    if refusal == Refusal::Token {
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}
