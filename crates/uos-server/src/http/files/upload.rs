//! A file, from the socket to the filesystem, as it comes.

use std::time::Duration;

use axum::{
    Json,
    body::Body,
    extract::{Extension, Request, State},
    http::{HeaderMap, StatusCode, header},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde::Serialize;
use uos_proto::{Request as _, v1};
use uos_syscall::{Errno, Error, Existing};
use utoipa::ToSchema;

use super::{Asked, Http, Who, judge};
use crate::{
    gate::Identity,
    http::{
        body::hear_out,
        failure::{ErrorBody, Failure},
    },
};

/// How long nothing may come of a file before it is given up.
const SILENCE: Duration = Duration::from_secs(60);

/// A file is there.
#[derive(Serialize, ToSchema)]
pub(super) struct Uploaded {
    /// Its size.
    bytes_written: u64,
}

/// Keeps the body as a file, in place of one that is there.
///
/// `If-None-Match: *` spares the one that is there. The file is seen under its
/// name when it is whole and durable, and not before: if anything breaks off, all is as it was.
#[utoipa::path(put, path = "/files/{*path}", tag = "files",
    params(("path" = String, Path, description = "The file's path without its first slash, percent-encoded bytes."), Who),
    request_body(content_type = "application/octet-stream"),
    security(("token" = []), ("login" = []), ("process" = [])),
    responses((status = 200, description = "The file is there, whole and durable.", body = Uploaded),
        (status = 400, description = "The body broke off.", body = ErrorBody),
        (status = 403, description = "The right is missing, which `error.detail.right` names, or the request comes from a page \
            of another origin.", body = ErrorBody),
        (status = 404, description = "There is no such directory, or no such process.", body = ErrorBody),
        (status = 408, description = "Nothing came for a minute.", body = ErrorBody),
        (status = 409, description = "Something else has the name.", body = ErrorBody),
        (status = 412, description = "There is such a file, and it was to be spared.", body = ErrorBody),
        (status = 415, description = "The body is encoded or a part.", body = ErrorBody),
        (status = 422, description = "The path or the process makes no sense.", body = ErrorBody),
        (status = 429, description = "Too many files are on their way.", body = ErrorBody),
        (status = 507, description = "There is no room for it.", body = ErrorBody)))]
pub(super) async fn upload(
    State(http): State<Http>,
    Extension(identity): Extension<Identity>,
    who: Asked,
    request: Request,
) -> Result<Json<Uploaded>, Failure> {
    let (parts, mut body) = request.into_parts();
    let kept = async {
        let (caller, path, _turn) = judge(&http, &identity, who, &parts.uri, v1::WriteFile::INFO)?;
        let existing = existing(&parts.headers)?;
        let mut upload =
            http.kernel.begin_upload(&caller, path, existing).await.map_err(refused(existing))?;
        while let Some(piece) = next(&mut body).await? {
            upload.write(piece).await?;
        }
        upload.commit().await.map_err(refused(existing))
    };
    match kept.await {
        Ok(bytes_written) => Ok(Json(Uploaded { bytes_written })),
        Err(failure) => {
            hear_out(&mut body).await;
            Err(failure)
        }
    }
}

/// What is to become of a file that is there. The body must be the file, as it is and whole.
fn existing(headers: &HeaderMap) -> Result<Existing, Failure> {
    let encoded = headers.get(header::CONTENT_ENCODING).is_some_and(|how| how != "identity");
    if encoded || headers.contains_key(header::CONTENT_RANGE) {
        let message = "the body is to be the file as it is, from end to end";
        return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_the_file", message));
    }
    match headers.get(header::IF_NONE_MATCH) {
        None => Ok(Existing::Replace),
        Some(any) if any == "*" => Ok(Existing::Keep),
        Some(_) => Err(Failure::invalid("if-none-match", "only `*` has a meaning here")),
    }
}

fn refused(existing: Existing) -> impl Fn(Error) -> Failure {
    move |error| {
        if existing == Existing::Keep && error.errno == Errno::EEXIST {
            let message = "there is a file of that name";
            return Failure::new(StatusCode::PRECONDITION_FAILED, "exists", message);
        }
        error.into()
    }
}

/// The next piece of the file, `None` at its end.
async fn next(body: &mut Body) -> Result<Option<Bytes>, Failure> {
    loop {
        let Ok(frame) = tokio::time::timeout(SILENCE, body.frame()).await else {
            let message = format!("nothing came for {} seconds", SILENCE.as_secs());
            return Err(Failure::new(StatusCode::REQUEST_TIMEOUT, "silence", message));
        };
        match frame {
            None => return Ok(None),
            Some(Err(_)) => {
                return Err(Failure::new(StatusCode::BAD_REQUEST, "malformed", "the body broke off"));
            }
            // Trailers say nothing about a file.
            Some(Ok(frame)) => match frame.into_data() {
                Ok(piece) if !piece.is_empty() => return Ok(Some(piece)),
                _ => {}
            },
        }
    }
}
