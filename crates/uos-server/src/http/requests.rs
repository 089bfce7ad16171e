//! Calls that wait for a right, and what is answered to them.

use axum::{
    Json,
    extract::{Extension, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Http,
    answers::{Absent, BadBody},
    body::{Body, Id},
    failure::{ErrorBody, Failure},
};
use crate::{asked::Waiting, gate::Identity};

pub(super) fn routes() -> OpenApiRouter<Http> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(answer))
}

/// Calls that wait.
#[derive(Serialize, ToSchema)]
struct Requests {
    /// The oldest first.
    requests: Vec<Waiting>,
}

/// What is said to a call that waits.
#[derive(Deserialize, ToSchema)]
struct Said {
    /// What is said.
    answer: Answer,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Answer {
    /// The call may have the right, and no other.
    Once,
    /// The process may have it from now on.
    Always,
    /// The call is refused.
    Deny,
}

/// The calls that wait for a right which who asks may give or deny them.
///
/// A call waits if its process lacks a right and has leave to ask for it: a grant such as `ask:fs.write:/home/**`. Its
/// ancestors may answer, and who has `proc.control`; never the process itself or its descendants. The event
/// `right_requested` tells of each as it comes, `right_settled` when it waits no longer.
#[utoipa::path(get, path = "/requests", tag = "requests",
    security(("token" = []), ("login" = []), ("process" = [])),
    responses((status = 200, description = "Every call that waits.", body = Requests)))]
async fn list(
    State(http): State<Http>,
    Extension(identity): Extension<Identity>,
) -> Result<Json<Requests>, Failure> {
    let caller = identity.caller(&http.kernel, 0)?;
    let requests = http.kernel.right_requests(&caller);
    Ok(Json(Requests { requests: requests.iter().map(|request| Waiting::from(&**request)).collect() }))
}

/// Answers a call that waits. It goes on, or is refused, at once.
///
/// Nobody gives what they don't hold; and what a process is to keep, its parent must hold, too.
#[utoipa::path(post, path = "/requests/{id}", tag = "requests", request_body = Said,
    params(("id" = u64, Path, description = "The request.")),
    security(("token" = []), ("login" = []), ("process" = [])),
    responses((status = 204, description = "It is answered."),
        (status = 403, description = "Who answers, or the parent of the process, doesn't hold the right; the call waits on. \
            Or the request comes from a page of another origin.", body = ErrorBody),
        Absent, BadBody))]
async fn answer(
    State(http): State<Http>,
    Extension(identity): Extension<Identity>,
    Id(id): Id,
    Body(said): Body<Said>,
) -> Result<StatusCode, Failure> {
    let caller = identity.caller(&http.kernel, 0)?;
    // What is no number is no request either.
    let id = id.parse().unwrap_or(0);
    let answer = match said.answer {
        Answer::Once => uos_syscall::Answer::Once,
        Answer::Always => uos_syscall::Answer::Always,
        Answer::Deny => uos_syscall::Answer::Deny,
    };
    http.kernel.answer_request(&caller, id, answer)?;
    Ok(StatusCode::NO_CONTENT)
}
