//! Apps that can be launched.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Http,
    answers::{Absent, BadBody, NoProcess, NotKept},
    body::{Body, Id, Operator, Tab, TabName, all, parse_object},
    failure::{ErrorBody, Failure},
};
use crate::desktop::{App, Manifest, SERVICES, Service};

/// The most bytes of a launch request.
const LAUNCH_BYTES: usize = 16 << 10;

pub(super) fn routes() -> OpenApiRouter<Http> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, put, remove))
        .routes(routes!(launch))
        .routes(routes!(services))
}

/// What can be launched.
#[derive(Serialize, ToSchema)]
struct Registry {
    #[schema(value_type = Vec<Manifest>)]
    apps: Vec<Arc<Manifest>>,
}

/// What manifests may ask for.
#[derive(Serialize, ToSchema)]
struct Services {
    services: &'static [Service],
}

/// How to launch an app.
#[derive(Default, Deserialize, ToSchema)]
struct Launch {
    /// The running app that the new one belongs to, and closes with.
    #[serde(default)]
    parent_id: Option<String>,
}

/// A launched app.
#[derive(Serialize, ToSchema)]
struct Launched {
    /// The same as `id`.
    app_id: String,
    #[serde(flatten)]
    #[schema(value_type = App)]
    app: Arc<App>,
}

/// All apps that can be launched.
#[utoipa::path(get, path = "/registry/apps", tag = "registry", 
    responses((status = 200, description = "Every manifest, built in or added.", body = Registry)))]
async fn list(_: Operator, State(http): State<Http>) -> Json<Registry> {
    Json(Registry { apps: http.desktop.state().manifests.values().cloned().collect() })
}

/// One app that can be launched.
#[utoipa::path(get, path = "/registry/apps/{id}", tag = "registry", params(("id" = String, Path)),
    responses((status = 200, description = "The manifest.", body = Manifest), Absent))]
async fn show(_: Operator, State(http): State<Http>, Id(id): Id) -> Result<Json<Arc<Manifest>>, Failure> {
    Ok(Json(http.desktop.manifest(&id)?))
}

/// Adds an app, or replaces it. Those that run stay as they are.
#[utoipa::path(put, path = "/registry/apps/{id}", tag = "registry", params(("id" = String, Path)), request_body = Manifest,
    responses((status = 200, description = "It was replaced.", body = Manifest),
        (status = 201, description = "It was added.", body = Manifest),
        (status = 409, description = "It came with the program, or as many as may be are there.", body = ErrorBody),
        BadBody, NotKept))]
async fn put(
    _: Operator,
    State(http): State<Http>,
    Id(id): Id,
    Body(manifest): Body<Manifest>,
) -> Result<(StatusCode, Json<Manifest>), Failure> {
    let manifest = Manifest { id, built_in: false, ..manifest };
    let new = http.desktop.put_manifest(manifest.clone()).await?;
    Ok((if new { StatusCode::CREATED } else { StatusCode::OK }, Json(manifest)))
}

/// Removes an app that was added. Those that run go on.
#[utoipa::path(delete, path = "/registry/apps/{id}", tag = "registry", params(("id" = String, Path)),
    responses((status = 204, description = "It is removed."),
        (status = 409, description = "It came with the program.", body = ErrorBody), Absent, NotKept))]
async fn remove(_: Operator, State(http): State<Http>, Id(id): Id) -> Result<StatusCode, Failure> {
    http.desktop.remove_manifest(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Launches an app.
///
/// It gets a process of its own, with the rights its manifest asks for, and a window. One of which there is only one is
/// brought to the front if it runs.
#[utoipa::path(post, path = "/registry/apps/{id}/launch", tag = "registry", params(("id" = String, Path), TabName),
    request_body = Option<Launch>,
    responses((status = 200, description = "The app runs.", body = Launched),
        (status = 409, description = "As many apps as may run do.", body = ErrorBody),
        Absent, BadBody, NoProcess, NotKept))]
async fn launch(
    _: Operator,
    Tab(by): Tab,
    State(http): State<Http>,
    Id(id): Id,
    request: Request,
) -> Result<Json<Launched>, Failure> {
    let body = all(request, LAUNCH_BYTES).await?;
    let nothing = matches!(body.trim_ascii(), b"" | b"null");
    let launch: Launch = if nothing { Launch::default() } else { parse_object(&body)? };
    let app = http.desktop.launch(id, launch.parent_id, by).await?;
    Ok(Json(Launched { app_id: app.id.clone(), app }))
}

/// The services that manifests may ask for, and what each gives.
#[utoipa::path(get, path = "/registry/services", tag = "registry", 
    responses((status = 200, description = "Every service.", body = Services)))]
async fn services(_: Operator) -> Json<Services> {
    Json(Services { services: SERVICES })
}
