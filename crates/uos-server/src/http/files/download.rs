//! A file, from the filesystem to the socket, a piece at a time.

use std::ops::Range;

use axum::{
    body::Body,
    extract::{Extension, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde_json::json;
use uos_proto::{Request, v1};
use uos_syscall::{Download, Errno, Error};

use super::{
    Asked, Http, Turn, Who, judge,
    range::{Part, asked},
};
use crate::{
    gate::Identity,
    http::failure::{ErrorBody, Failure},
};

/// How much is read at once: enough that reading costs little beside sending, little enough to hold for many at once.
const PIECE: usize = 256 << 10;
/// What keeps a file from being more than a file to a browser: it is not shown, not guessed at, and runs nothing.
const INERT: [(HeaderName, HeaderValue); 5] = [
    (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'")),
    (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];
/// What may stand in a name by RFC 5987 as it is.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// Gives a file, or one part of it by `Range`.
///
/// A file that changes meanwhile breaks off rather than being mixed up in
/// silence where that shows: it never gives more bytes than were announced, nor fewer without an error.
#[utoipa::path(get, path = "/files/{*path}", tag = "files",
    params(("path" = String, Path, description = "The file's path without its first slash, percent-encoded bytes."), Who),
    security(("token" = []), ("login" = []), ("process" = [])),
    responses((status = 200, description = "The file.", content_type = "application/octet-stream"),
        (status = 206, description = "The part asked for.", content_type = "application/octet-stream"),
        (status = 304, description = "`If-None-Match` has its tag."),
        (status = 403, description = "The right is missing, which `error.detail.right` names, or the request comes from a page \
            of another origin.", body = ErrorBody),
        (status = 404, description = "There is no such file, or no such process.", body = ErrorBody),
        (status = 409, description = "It is no file.", body = ErrorBody),
        (status = 416, description = "The file has no such part.", body = ErrorBody),
        (status = 422, description = "The path or the process makes no sense.", body = ErrorBody),
        (status = 429, description = "Too many files are on their way.", body = ErrorBody)))]
pub(super) async fn download(
    State(http): State<Http>,
    Extension(identity): Extension<Identity>,
    who: Asked,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let (caller, path, turn) = judge(&http, &identity, who, &uri, v1::ReadFile::INFO)?;
    let file = http.kernel.open_download(&caller, path).await?;
    let size = file.size_bytes();
    // One that was written to has another time, to the microsecond.
    let tag = format!("\"{:x}-{size:x}\"", file.modified_us());
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|tags| tags.to_str().ok());
    let known = known.flat_map(|tags| tags.split(',')).map(str::trim).any(|it| it == tag || it == "*");
    let part = asked(&headers, size, &tag);
    let name = disposition(file.path().as_bytes());
    let mut answer = match part {
        _ if known => StatusCode::NOT_MODIFIED.into_response(),
        Part::All => of(size, pieces(file, 0..size, turn)),
        Part::Bytes(bytes) => {
            let place = format!("bytes {}-{}/{size}", bytes.start, bytes.end - 1);
            let mut answer = of(bytes.end - bytes.start, pieces(file, bytes, turn));
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
            put(&mut answer, header::CONTENT_RANGE, &place);
            answer
        }
        Part::Absent => {
            let message = format!("the file has {size} bytes, and none of those asked for");
            let failure = Failure::new(StatusCode::RANGE_NOT_SATISFIABLE, "no_such_part", message);
            let mut answer = failure.detail(&json!({ "size": size })).into_response();
            put(&mut answer, header::CONTENT_RANGE, &format!("bytes */{size}"));
            return Ok(answer);
        }
    };
    answer.headers_mut().extend(INERT);
    put(&mut answer, header::ACCEPT_RANGES, "bytes");
    put(&mut answer, header::ETAG, &tag);
    put(&mut answer, header::CONTENT_DISPOSITION, &name);
    Ok(answer)
}

fn of(length: u64, body: Body) -> Response {
    let mut answer = body.into_response();
    answer.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    answer
}

/// What is put is plain ASCII.
fn put(answer: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

/// Read as the socket takes it.
fn pieces(file: Download, bytes: Range<u64>, turn: Turn) -> Body {
    let rest = (file, bytes, turn);
    Body::from_stream(stream::try_unfold(rest, async |(file, bytes, turn)| {
        if bytes.is_empty() {
            return Ok::<_, Error>(None);
        }
        let want = usize::try_from(bytes.end - bytes.start).unwrap_or(PIECE).min(PIECE);
        let piece = file.read(bytes.start, want).await?;
        if piece.is_empty() {
            return Err(Error::new(Errno::EIO, "the file has become shorter while it was read"));
        }
        let rest = bytes.start + piece.len() as u64..bytes.end;
        Ok(Some((piece, (file, rest, turn))))
    }))
}

/// To be saved under its own name: for old browsers with what they can't read replaced, for the others as it is.
fn disposition(path: &[u8]) -> String {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let name = String::from_utf8_lossy(name);
    let plain = |it: char| if matches!(it, ' '..='~') && !matches!(it, '"' | '\\' | '%') { it } else { '_' };
    let old: String = name.chars().map(plain).collect();
    format!("attachment; filename=\"{old}\"; filename*=UTF-8''{}", percent_encode(name.as_bytes(), KEPT))
}

#[cfg(test)]
mod tests {
    use super::disposition;

    #[test]
    fn a_name_stays_a_name() {
        for (path, value) in [
            (&b"/home/a.txt"[..], r#"attachment; filename="a.txt"; filename*=UTF-8''a.txt"#),
            (
                "/home/caf\u{e9} \"1\"\r\nx: y".as_bytes(),
                r#"attachment; filename="caf_ _1___x: y"; filename*=UTF-8''caf%C3%A9%20%221%22%0D%0Ax%3A%20y"#,
            ),
            (b"/\xff", r#"attachment; filename="_"; filename*=UTF-8''%EF%BF%BD"#),
        ] {
            assert_eq!(disposition(path), value);
        }
    }
}
