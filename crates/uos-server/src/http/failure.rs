//! The one shape of an HTTP error, and what each refusal is in it.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{json, value::RawValue};
use utoipa::ToSchema;

use crate::desktop::{App, Refusal};

/// The most characters of a message about what was sent.
const MESSAGE_CHARS: usize = 500;

/// Why a request was not fulfilled.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// As text: the state of an app, which it may hold, can be JSON that no `Value` takes, such as half a surrogate pair.
    pub(crate) detail: Box<RawValue>,
}

/// The body of an answer that is an error.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    error: ErrorParts,
}

#[derive(Serialize, ToSchema)]
struct ErrorParts {
    /// For programs.
    code: &'static str,
    /// For people.
    message: String,
    /// More for programs, such as the field that is wrong; null where there is no more to say.
    #[schema(value_type = Option<Object>, required = true)]
    detail: Box<RawValue>,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), detail: RawValue::NULL.to_owned() }
    }

    pub(crate) fn detail(self, detail: &impl Serialize) -> Self {
        let detail = serde_json::value::to_raw_value(detail);
        Self { detail: detail.unwrap_or_else(|_| RawValue::NULL.to_owned()), ..self }
    }

    pub(crate) fn invalid(field: &str, why: impl std::fmt::Display) -> Self {
        // Why often repeats what was sent, which can be long.
        let message = format!("{field}: {why}").chars().take(MESSAGE_CHARS).collect::<String>();
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message).detail(&json!({ "field": field }))
    }
}

/// What a thing is now that was changed elsewhere.
#[derive(Serialize)]
struct Current<'a> {
    current: &'a App,
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self { status, code, message, detail } = self;
        (status, Json(ErrorBody { error: ErrorParts { code, message, detail } })).into_response()
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Absent(what, id) => {
                Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {what} `{id}`"))
            }
            Refusal::Invalid((field, why)) => Self::invalid(field, why),
            Refusal::Stale(app) => {
                let message = "it was changed elsewhere since; `detail.current` is what it is now";
                Self::new(StatusCode::CONFLICT, "stale_version", message).detail(&Current { current: &app })
            }
            Refusal::Duplicate(id) => {
                let message = "there is a session of that name; set `replace` to save over it";
                Self::new(StatusCode::CONFLICT, "duplicate", message).detail(&json!({ "id": id }))
            }
            Refusal::Fixed(why) => {
                Self::new(StatusCode::CONFLICT, "built_in", format!("it stays as it is: {why}"))
            }
            Refusal::Limit(what, most) => {
                let message = format!("there are {most} {what}, and no more are kept");
                Self::new(StatusCode::CONFLICT, "limit", message)
                    .detail(&json!({ "limit": what, "max": most }))
            }
            Refusal::Kernel(error) => kernel_failure(&error),
            Refusal::DiskFull => {
                let message = "the server's disk is full: nothing was changed; free some room and try again";
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "disk_full", message)
            }
            Refusal::Storage(why) => {
                let message = format!("the change could not be kept, and was not made: {why}");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "storage", message)
            }
            Refusal::Unknown(why) => {
                let message = format!(
                    "the disk failed as the change was being kept: it was not made, but may be there after a crash: {why}"
                );
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "storage_unknown", message)
            }
            Refusal::Unreadable(why) => {
                let message = format!("it could not be read from the disk: {why}");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unreadable", message)
            }
            Refusal::Stopping => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the server is stopping")
            }
        }
    }
}

impl From<uos_syscall::Error> for Failure {
    fn from(error: uos_syscall::Error) -> Self {
        kernel_failure(&error)
    }
}

fn kernel_failure(error: &uos_syscall::Error) -> Failure {
    use uos_syscall::Errno;

    let status = match error.errno {
        Errno::ENOENT | Errno::ESRCH => StatusCode::NOT_FOUND,
        Errno::EACCES | Errno::EPERM | Errno::EROFS => StatusCode::FORBIDDEN,
        Errno::EEXIST | Errno::EISDIR | Errno::ENOTDIR | Errno::ENOTEMPTY | Errno::EBUSY | Errno::ELOOP => {
            StatusCode::CONFLICT
        }
        Errno::EINVAL | Errno::ENAMETOOLONG => StatusCode::UNPROCESSABLE_ENTITY,
        Errno::ENOSPC | Errno::EDQUOT => StatusCode::INSUFFICIENT_STORAGE,
        Errno::EAGAIN => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let wire = uos_proto::v1::Error::from(error.clone());
    Failure::new(status, "refused", error.to_string())
        .detail(&json!({ "errno": wire.errno, "name": wire.name, "right": wire.right, "hint": wire.hint }))
}
