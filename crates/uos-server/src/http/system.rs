//! The server itself: is it well, what does it count, how is it asked.

use std::{fmt::Write, sync::atomic::Ordering, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use serde::Serialize;
use utoipa::{ToSchema, openapi::OpenApi};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Http,
    body::Operator,
    failure::{ErrorBody, Failure},
};

/// How long the metrics wait for the audit to be brought up to date.
const FLUSH: Duration = Duration::from_secs(1);

pub(super) fn routes() -> OpenApiRouter<Http> {
    OpenApiRouter::new()
        .routes(routes!(healthy))
        .routes(routes!(ready))
        .routes(routes!(metrics))
        .routes(routes!(system))
        .routes(routes!(description))
        .routes(routes!(docs))
}

/// It runs.
#[utoipa::path(get, path = "/healthz", tag = "server", security(()), 
    responses((status = 200, description = "`ok`", body = String, content_type = "text/plain")))]
async fn healthy() -> &'static str {
    "ok\n"
}

/// It takes requests.
#[utoipa::path(get, path = "/readyz", tag = "server", security(()),
    responses((status = 200, description = "`ready`", body = String, content_type = "text/plain"),
        (status = 503, description = "It is stopping.", body = ErrorBody)))]
async fn ready(State(http): State<Http>) -> Response {
    if http.ready.load(Ordering::Acquire) {
        "ready\n".into_response()
    } else {
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the server is stopping").into_response()
    }
}

/// The server, for people who look after it.
#[derive(Serialize, ToSchema)]
struct System {
    version: &'static str,
    /// This run of the server; another one has another.
    epoch: String,
    /// The last part of the data directory's path.
    data_dir_name: String,
    uptime_us: u64,
}

/// What runs here, and since when.
#[utoipa::path(get, path = "/system", tag = "server", 
    responses((status = 200, description = "The server.", body = System)))]
async fn system(_: Operator, State(http): State<Http>) -> Json<System> {
    Json(System {
        version: env!("CARGO_PKG_VERSION"),
        epoch: http.hub.epoch().to_owned(),
        data_dir_name: http.data_dir_name.to_string(),
        uptime_us: u64::try_from(http.started.elapsed().as_micros()).unwrap_or(u64::MAX),
    })
}

/// Figures for Prometheus.
///
/// They are of all processes together, so a single one does not get them.
#[utoipa::path(get, path = "/metrics", tag = "server", 
    responses((status = 200, description = "The figures, in Prometheus' text form.", body = String, content_type = "text/plain")))]
async fn metrics(_: Operator, State(http): State<Http>) -> Response {
    // A call is counted when its record is down: what was answered before this request is in the answer. When the disk
    // takes no more records, older figures are better than none, and `uos_audit_failures_total` says so.
    let kernel = http.kernel.clone();
    let _ = tokio::task::spawn_blocking(move || kernel.audit().flush_within(FLUSH)).await;
    let mut text = http.metrics.render();
    let used = http.kernel.in_use();
    let failures = http.kernel.audit().failures();
    for (name, kind, value) in [
        ("uos_processes", "gauge", used.processes),
        ("uos_handles", "gauge", used.handles),
        ("uos_pipe_bytes", "gauge", used.pipe_bytes),
        ("uos_queue_bytes", "gauge", used.queue_bytes),
        ("uos_shm_bytes", "gauge", used.shm_bytes),
        ("uos_output_bytes", "gauge", used.output_bytes),
        ("uos_audit_failures_total", "counter", failures),
        ("uos_audit_dropped_total", "counter", http.kernel.audit().dropped()),
        ("uos_right_requests", "gauge", used.right_requests),
        ("uos_apps", "gauge", http.desktop.state().apps.len() as u64),
        ("uos_events_total", "counter", http.hub.newest()),
    ] {
        // Writing to a string does not fail.
        let _ = writeln!(text, "# TYPE {name} {kind}\n{name} {value}");
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "server", security(("token" = []), ("login" = []), ("process" = [])),
    responses((status = 200, description = "An OpenAPI document.", body = Object, content_type = "application/json")))]
async fn description() -> Json<OpenApi> {
    Json(super::openapi())
}

/// This description, for people.
#[utoipa::path(get, path = "/docs", tag = "server", security(("token" = []), ("login" = []), ("process" = [])),
    responses((status = 200, description = "A page.", body = String, content_type = "text/html")))]
async fn docs() -> Html<String> {
    Html(super::docs::page(&super::openapi()))
}
