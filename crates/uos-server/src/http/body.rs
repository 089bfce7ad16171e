//! What comes in: who asks, from which tab, for which thing, and JSON whose faults are told by field.

use std::time::Duration;

use axum::{
    body::{Bytes, HttpBody},
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{StatusCode, request::Parts},
};
use http_body_util::BodyExt;
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use utoipa::IntoParams;

use super::failure::Failure;
use crate::{
    desktop::{By, ObjectOnly},
    gate::Identity,
};

/// The most bytes of a JSON body.
const JSON_BYTES: usize = 1 << 20;
/// How much of a body that is refused is still read, and for how long.
const HEARD_OUT: usize = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// The operator. The desktop is the operator's alone: a process's token gets no further.
pub(crate) struct Operator;

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        match parts.extensions.get::<Identity>() {
            Some(Identity::Operator) => Ok(Self),
            _ => Err(Failure::new(StatusCode::FORBIDDEN, "operator_only", "this is for the operator alone")),
        }
    }
}

/// The tab that asks, by the name it gives itself in `x-uos-client`.
pub(crate) struct Tab(pub(crate) By);

/// The header of it, for the description.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "the header is read by `Tab`")]
pub(crate) struct TabName {
    /// What the tab that asks calls itself, 1 to 64 characters; its events carry it as `by`.
    #[param(rename = "x-uos-client", min_length = 1, max_length = 64)]
    name: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Tab {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let name = parts.headers.get("x-uos-client").and_then(|name| name.to_str().ok());
        Ok(Self(name.filter(|name| (1..=64).contains(&name.len())).map(str::to_owned)))
    }
}

/// The id in the path. One that is no UTF-8 is nobody's.
pub(crate) struct Id(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let Path(id) = Path::from_request_parts(parts, state)
            .await
            .map_err(|_| Failure::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path"))?;
        Ok(Self(id))
    }
}

/// A JSON object as a body.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        parse_object(&all(request, JSON_BYTES).await?).map(Self)
    }
}

/// The whole body, if it is not longer than `most` bytes.
pub(crate) async fn all(request: Request, most: usize) -> Result<Vec<u8>, Failure> {
    let mut body = request.into_body();
    let mut text = Vec::new();
    // What says at once that it is too long is not kept at all.
    let mut fits = body.size_hint().lower() <= most as u64;
    while fits {
        let Some(frame) = body.frame().await else { return Ok(text) };
        let frame =
            frame.map_err(|_| Failure::new(StatusCode::BAD_REQUEST, "malformed", "the body broke off"))?;
        // Trailers are no part of it.
        let data = frame.into_data().unwrap_or_default();
        fits = text.len() + data.len() <= most;
        text.extend_from_slice(&data);
    }
    hear_out(&mut body).await;
    Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("at most {most} bytes are taken")))
}

/// Reads what is left of a body that is refused, within limits: most clients look at an answer only when they have sent
/// everything, and see a broken connection instead if nobody takes it.
pub(crate) async fn hear_out(body: &mut axum::body::Body) {
    if body.size_hint().lower() > HEARD_OUT as u64 {
        return;
    }
    let listening = async {
        let mut left = HEARD_OUT;
        while let Some(Ok(frame)) = body.frame().await {
            let heard = frame.data_ref().map_or(0, Bytes::len);
            let Some(less) = left.checked_sub(heard) else { return };
            left = less;
        }
    };
    // Whoever goes on for longer sees the connection end.
    let _ = tokio::time::timeout(PATIENCE, listening).await;
}

/// A value out of JSON text: 400 for what is no JSON, 422 with the field for what is the wrong JSON.
pub(crate) fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, Failure> {
    read(text, |input| serde_path_to_error::deserialize(input))
}

/// The same for what is to be an object.
pub(crate) fn parse_object<T: DeserializeOwned>(text: &[u8]) -> Result<T, Failure> {
    read(text, |input| serde_path_to_error::deserialize(ObjectOnly(input)))
}

type Input<'de> = serde_json::Deserializer<serde_json::de::SliceRead<'de>>;
type Fault = serde_path_to_error::Error<serde_json::Error>;

fn read<'de, T: Deserialize<'de>>(
    text: &'de [u8],
    value: impl FnOnce(&mut Input<'de>) -> Result<T, Fault>,
) -> Result<T, Failure> {
    let mut input = serde_json::Deserializer::from_slice(text);
    let value = value(&mut input).map_err(|error| {
        let field = error.path().to_string();
        let error = error.into_inner();
        if error.is_data() || is_json(text) || is_no_number(text, &error) {
            let why = without_place(&error);
            return Failure::invalid(if field == "." { "body" } else { &field }, why);
        }
        malformed(&error)
    })?;
    input.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

fn malformed(error: &serde_json::Error) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, "malformed", format!("the body is not JSON: {error}"))
}

/// Whether it is JSON after all, by its grammar, and only no value of ours: the reader calls a number beyond all floats, or a
/// number in the place of a word, a fault of grammar.
fn is_json(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// Some clients write NaN and infinities as bare words. That is no JSON, but what is meant is plain: a wrong number.
fn is_no_number(text: &[u8], error: &serde_json::Error) -> bool {
    let line = text.split(|&byte| byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    // The column is that of the word's first character or the one after it.
    [1, 2].iter().filter_map(|back| line.get(error.column().checked_sub(*back)?..)).any(|rest| {
        [&b"NaN"[..], b"Infinity", b"-Infinity", b"-NaN"].iter().any(|word| rest.starts_with(word))
    })
}

/// Where in the text it is helps nobody who knows the field.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, parse_object};
    use crate::desktop::WindowChange;

    fn window(text: &str) -> (u16, serde_json::Value) {
        let failure = parse_object::<WindowChange>(text.as_bytes()).unwrap_err();
        let detail: serde_json::Value = serde_json::from_str(failure.detail.get()).unwrap();
        (failure.status.as_u16(), detail["field"].clone())
    }

    fn fault(x: &str) -> (u16, serde_json::Value) {
        let text = format!(
            "{{\"window_id\":\"w\",\"position\":{{\"x\":{x},\"y\":1}},\"size\":{{\"width\":9,\"height\":9}}}}"
        );
        window(&text)
    }

    #[test]
    fn a_wrong_number_is_told_by_its_field() {
        let absurd = [
            "NaN",
            "Infinity",
            "-Infinity",
            "1e99",
            "1e999",
            "-99999",
            "1.5",
            "null",
            "\"1\"",
            "{}",
            "[]",
            "true",
        ];
        for x in absurd {
            assert_eq!(fault(x), (422, "position.x".into()), "{x}");
        }
        for broken in ["", "}", "nope", "1,,"] {
            assert_eq!(fault(broken), (400, serde_json::Value::Null), "{broken:?}");
        }
    }

    #[test]
    fn what_is_missing_or_too_much_is_told() {
        assert_eq!(window("{}").0, 422);
        assert_eq!(window("").0, 400);
        assert_eq!(window("[1]").0, 422);
        assert_eq!(parse::<u8>(b"1 2").unwrap_err().status.as_u16(), 400);
    }

    #[test]
    fn a_list_is_no_object_even_if_its_items_fit() {
        let list = r#"["w",{"x":1,"y":1},{"width":9,"height":9},0,null,null,null,null,0,1]"#;
        assert_eq!(window(list), (422, "body".into()));
        let position = r#"{"window_id":"w","position":[1,1],"size":{"width":9,"height":9}}"#;
        assert_eq!(window(position), (422, "position".into()));
        let bounds = r#"{"window_id":"w","position":{"x":1,"y":1},"size":{"width":9,"height":9},"restore_bounds":[1,1,9,9]}"#;
        assert_eq!(window(bounds), (422, "restore_bounds".into()));
        let none = bounds.replace("[1,1,9,9]", "null");
        assert!(parse_object::<WindowChange>(none.as_bytes()).is_ok());
    }
}
