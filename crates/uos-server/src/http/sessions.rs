//! Saved desktops.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Http,
    answers::{Absent, BadBody, NotKept},
    body::{Body, Id, Operator, Tab, TabName},
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
    #[schema(min_length = 1, max_length = 100)]
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
#[utoipa::path(get, path = "/sessions", tag = "sessions", 
    responses((status = 200, description = "Every saved desktop.", body = Sessions)))]
async fn list(_: Operator, State(http): State<Http>) -> Json<Sessions> {
    Json(Sessions { sessions: http.desktop.sessions() })
}

/// Saves the desktop under a name.
#[utoipa::path(post, path = "/sessions", tag = "sessions", request_body = Save,
    responses((status = 201, description = "It is saved.", body = Session),
        (status = 409, description = "The name is taken, or kept for the server, or as many as may be are saved.",
            body = ErrorBody),
        BadBody, NotKept))]
async fn save(
    _: Operator,
    State(http): State<Http>,
    Body(save): Body<Save>,
) -> Result<(StatusCode, Json<Session>), Failure> {
    Ok((StatusCode::CREATED, Json(http.desktop.save(save.name, save.replace).await?)))
}

/// One saved desktop, with what it holds.
#[utoipa::path(get, path = "/sessions/{id}", tag = "sessions", params(("id" = String, Path)),
    responses((status = 200, description = "The session and its apps.", body = Whole),
        (status = 503, description = "The disk failed.", body = ErrorBody), Absent))]
async fn show(_: Operator, State(http): State<Http>, Id(id): Id) -> Result<Json<Whole>, Failure> {
    let (session, apps) = http.desktop.session(&id).await?;
    let Session { id, name, created_us, updated_us, automatic, .. } = session;
    Ok(Json(Whole { id, name, created_us, updated_us, automatic, apps }))
}

/// Forgets a saved desktop.
#[utoipa::path(delete, path = "/sessions/{id}", tag = "sessions", params(("id" = String, Path)),
    responses((status = 204, description = "It is forgotten."),
        (status = 409, description = "It is the desktop itself.", body = ErrorBody), Absent, NotKept))]
async fn forget(_: Operator, State(http): State<Http>, Id(id): Id) -> Result<StatusCode, Failure> {
    http.desktop.forget(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Replaces the desktop by a saved one, in one step.
///
/// Apps keep their ids and get new processes. What was there is kept as the session `previous`, so that restoring that
/// takes this back.
#[utoipa::path(post, path = "/sessions/{id}/restore", tag = "sessions", params(("id" = String, Path), TabName),
    responses((status = 200, description = "The desktop as it is now.", body = Restored), Absent, NotKept))]
async fn restore(
    _: Operator,
    Tab(by): Tab,
    State(http): State<Http>,
    Id(id): Id,
) -> Result<Json<Restored>, Failure> {
    let (apps, failed) = http.desktop.restore(&id, by).await?;
    Ok(Json(Restored { apps, failed }))
}
