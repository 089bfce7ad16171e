//! Running apps and their windows.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, Request, State},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Http,
    answers::{Absent, BadBody, NoProcess, NotKept},
    body::{Body, Id, Operator, Tab, TabName, all, parse},
    failure::{ErrorBody, Failure},
};
use crate::desktop::{APP_STATE_BYTES, App, WindowChange};

pub(super) fn routes() -> OpenApiRouter<Http> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, close))
        .routes(routes!(focus))
        .routes(routes!(restart))
        .routes(routes!(window))
        .routes(routes!(state))
}

/// Apps.
#[derive(Serialize, ToSchema)]
pub(super) struct Apps {
    #[schema(value_type = Vec<App>)]
    apps: Vec<Arc<App>>,
}

/// A change was accepted.
#[derive(Serialize, ToSchema)]
struct Changed {
    /// Always true: what is not accepted is an error.
    success: bool,
    /// The version that the change made.
    version: u64,
}

/// A window was brought to the front.
#[derive(Serialize, ToSchema)]
struct Focused {
    /// Always true.
    success: bool,
    /// Its place in the stack now.
    z: i64,
    /// The version of the window.
    version: u64,
}

/// Apps were closed.
#[derive(Serialize, ToSchema)]
struct Closed {
    /// Their ids: the app and those that belonged to it.
    closed: Vec<String>,
}

/// The apps that run, the ones at the back first.
#[utoipa::path(get, path = "/apps", tag = "apps", 
    responses((status = 200, description = "Every app that runs.", body = Apps)))]
async fn list(_: Operator, State(http): State<Http>) -> Json<Apps> {
    Json(Apps { apps: http.desktop.apps() })
}

/// One app that runs.
#[utoipa::path(get, path = "/apps/{id}", tag = "apps", params(("id" = String, Path)),
    responses((status = 200, description = "The app.", body = App), Absent))]
async fn show(_: Operator, State(http): State<Http>, Id(id): Id) -> Result<Json<Arc<App>>, Failure> {
    Ok(Json(http.desktop.app(&id)?))
}

/// Closes an app, those that belong to it, and ends their processes.
#[utoipa::path(delete, path = "/apps/{id}", tag = "apps", params(("id" = String, Path), TabName),
    responses((status = 200, description = "What was closed.", body = Closed), Absent, NotKept))]
async fn close(
    _: Operator,
    Tab(by): Tab,
    State(http): State<Http>,
    Id(id): Id,
) -> Result<Json<Closed>, Failure> {
    Ok(Json(Closed { closed: http.desktop.close(id, by).await? }))
}

/// Brings a window to the front, out of the taskbar if it is there.
#[utoipa::path(post, path = "/apps/{id}/focus", tag = "apps", params(("id" = String, Path), TabName),
    responses((status = 200, description = "It is at the front.", body = Focused), Absent, NotKept))]
async fn focus(
    _: Operator,
    Tab(by): Tab,
    State(http): State<Http>,
    Id(id): Id,
) -> Result<Json<Focused>, Failure> {
    let app = http.desktop.focus(id, by).await?;
    Ok(Json(Focused { success: true, z: app.z, version: app.version }))
}

/// Gives an app whose process has ended a new one.
#[utoipa::path(post, path = "/apps/{id}/restart", tag = "apps", params(("id" = String, Path), TabName),
    responses((status = 200, description = "The app, with a process.", body = App), Absent, NoProcess, NotKept))]
async fn restart(
    _: Operator,
    Tab(by): Tab,
    State(http): State<Http>,
    Id(id): Id,
) -> Result<Json<Arc<App>>, Failure> {
    Ok(Json(http.desktop.restart(id, by).await?))
}

/// Tells where a window is and what it looks like.
///
/// What is left out stays as it is. Who gives the `version` that the change was made on is refused if somebody else was
/// faster.
#[utoipa::path(post, path = "/apps/{id}/window", tag = "apps", params(("id" = String, Path), TabName), request_body = WindowChange,
    responses((status = 200, description = "The change is on the disk.", body = Changed),
        (status = 409, description = "The window was changed elsewhere since `version`; `error.detail.current` is the app as \
            it is now.", body = ErrorBody),
        Absent, BadBody, NotKept))]
async fn window(
    _: Operator,
    Tab(by): Tab,
    State(http): State<Http>,
    Id(id): Id,
    Body(change): Body<WindowChange>,
) -> Result<Json<Changed>, Failure> {
    let app = http.desktop.change_window(id, change, by).await?;
    Ok(Json(Changed { success: true, version: app.version }))
}

/// What a change is based on.
#[derive(Deserialize, IntoParams)]
struct Based {
    /// The version that the change was made on; unset means whichever.
    version: Option<u64>,
}

/// Replaces what the app wants to find again.
///
/// Any JSON of at most 256 KiB and 64 levels. It is kept and given back as it was sent, to the letter.
#[utoipa::path(put, path = "/apps/{id}/state", tag = "apps", params(("id" = String, Path), TabName, Based),
    request_body = serde_json::Value,
    responses((status = 200, description = "The state is on the disk.", body = Changed),
        (status = 409, description = "It was changed elsewhere since `version`; `error.detail.current` is the app as it is \
            now.", body = ErrorBody),
        Absent, BadBody, NotKept))]
async fn state(
    _: Operator,
    Tab(by): Tab,
    State(http): State<Http>,
    Id(id): Id,
    based: Result<Query<Based>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Result<Json<Changed>, Failure> {
    let Query(based) = based.map_err(|_| Failure::invalid("version", "a whole number is wanted"))?;
    let state: Box<RawValue> = parse(&all(request, APP_STATE_BYTES).await?)?;
    let version = http.desktop.change_state(id, state, based.version, by).await?;
    Ok(Json(Changed { success: true, version }))
}
