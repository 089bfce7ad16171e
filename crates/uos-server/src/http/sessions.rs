//! Saved desktops.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Http,
    body::{Body, Operator, Tab},
    failure::{ErrorBody, Failure},
};
use crate::desktop::{App, Failed, Session};

pub(super) fn routes() -> OpenApiRouter<Http> {
    OpenApiRouter::new().routes(routes!(list, save)).routes(routes!(show, forget)).routes(routes!(restore))
}

/// Saved desktops.
#[derive(Serialize, ToSchema)]
struct Sessions {
    sessions: Vec<Session>,
}

/// What to save the desktop as.
#[derive(Deserialize, ToSchema)]
struct Save {
    /// 1 to 100 characters.
    name: String,
    /// Save over a session of the same name.
    #[serde(default)]
    replace: bool,
}

/// A session with what it holds.
#[derive(Serialize, ToSchema)]
struct Whole {
    id: String,
    name: String,
    created_us: i64,
    updated_us: i64,
    automatic: bool,
    /// The ones at the back first.
    #[schema(value_type = Vec<App>)]
    apps: Vec<Arc<App>>,
}

/// What came of a restore.
#[derive(Serialize, ToSchema)]
struct Restored {
    /// What is on the desktop now, the ones at the back first.
    #[schema(value_type = Vec<App>)]
    apps: Vec<Arc<App>>,
    /// What could not be brought back, and why.
    failed: Vec<Failed>,
}

/// All saved desktops, the one that is always kept (`current`) first.
#[utoipa::path(get, path = "/sessions", tag = "sessions", responses((status = 200, body = Sessions)))]
async fn list(_: Operator, State(http): State<Http>) -> Json<Sessions> {
    Json(Sessions { sessions: http.desktop.sessions() })
}

/// Saves the desktop under a name.
#[utoipa::path(post, path = "/sessions", tag = "sessions", request_body = Save,
    responses((status = 201, body = Session), (status = 400, body = ErrorBody),
        (status = 409, description = "the name is taken, or as many as may be are saved", body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 422, description = "the name makes no sense", body = ErrorBody),
        (status = 507, body = ErrorBody)))]
async fn save(
    _: Operator,
    State(http): State<Http>,
    Body(save): Body<Save>,
) -> Result<(StatusCode, Json<Session>), Failure> {
    Ok((StatusCode::CREATED, Json(http.desktop.save(save.name, save.replace).await?)))
}

/// One saved desktop, with what it holds.
#[utoipa::path(get, path = "/sessions/{id}", tag = "sessions", params(("id" = String, Path)),
    responses((status = 200, body = Whole), (status = 404, body = ErrorBody)))]
async fn show(_: Operator, State(http): State<Http>, Path(id): Path<String>) -> Result<Json<Whole>, Failure> {
    let (session, apps) = http.desktop.session(&id).await?;
    let Session { id, name, created_us, updated_us, automatic, .. } = session;
    Ok(Json(Whole { id, name, created_us, updated_us, automatic, apps }))
}

/// Forgets a saved desktop.
#[utoipa::path(delete, path = "/sessions/{id}", tag = "sessions", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorBody),
        (status = 409, description = "it is the desktop itself", body = ErrorBody)))]
async fn forget(
    _: Operator,
    State(http): State<Http>,
    Path(id): Path<String>,
) -> Result<StatusCode, Failure> {
    http.desktop.forget(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Replaces the desktop by a saved one, in one step. What was there is kept as the session `previous`.
#[utoipa::path(post, path = "/sessions/{id}/restore", tag = "sessions", params(("id" = String, Path)),
    responses((status = 200, body = Restored), (status = 404, body = ErrorBody), (status = 507, body = ErrorBody)))]
async fn restore(
    _: Operator,
    Tab(by): Tab,
    State(http): State<Http>,
    Path(id): Path<String>,
) -> Result<Json<Restored>, Failure> {
    let (apps, failed) = http.desktop.restore(&id, by).await?;
    Ok(Json(Restored { apps, failed }))
}
