//! The HTTP routes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use uos_syscall::Kernel;

use crate::{gate::Refusal, grpc};

/// How long the metrics wait for the audit to be brought up to date.
const FLUSH: Duration = Duration::from_secs(1);

/// What the routes need.
#[derive(Clone)]
pub(crate) struct Http {
    pub(crate) kernel: Kernel,
    pub(crate) metrics: PrometheusHandle,
    /// Set while requests are welcome; cleared when the server is stopping.
    pub(crate) ready: Arc<AtomicBool>,
}

/// All routes of the server, gRPC's beside its own.
pub(crate) fn routes(http: Http) -> Router {
    let grpc = grpc::routes(http.kernel.clone());
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(http)
        .merge(grpc)
        .fallback(absent)
        .method_not_allowed_fallback(wrong_method)
}

async fn ready(State(http): State<Http>) -> Response {
    if http.ready.load(Ordering::Acquire) {
        "ready\n".into_response()
    } else {
        failure(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the server is stopping")
    }
}

async fn metrics(State(http): State<Http>) -> Response {
    use std::fmt::Write;

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
        ("uos_output_bytes", "gauge", used.output_bytes),
        ("uos_audit_failures_total", "counter", failures),
    ] {
        // Writing to a string does not fail.
        let _ = writeln!(text, "# TYPE {name} {kind}\n{name} {value}");
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

async fn absent(headers: HeaderMap) -> Response {
    if grpc::is_grpc(&headers) {
        return tonic::Status::unimplemented("there is no such service").into_http();
    }
    failure(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path")
}

async fn wrong_method() -> Response {
    failure(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path takes other methods")
}

/// The one shape of an HTTP error.
pub(crate) fn failure(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({ "error": { "code": code, "message": message, "detail": null } }))).into_response()
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
    let mut answer = failure(refusal.status(), refusal.code(), refusal.message());
    if refusal == Refusal::Token {
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, http::HeaderValue::from_static("Bearer"));
    }
    answer
}
