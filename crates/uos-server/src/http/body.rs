//! What comes in: who asks, from which tab, and JSON whose faults are told by field.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{StatusCode, request::Parts},
};
use serde::de::DeserializeOwned;

use super::failure::Failure;
use crate::{desktop::By, gate::Identity};

/// The most bytes of a JSON body.
const JSON_BYTES: usize = 1 << 20;

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

impl<S: Sync> FromRequestParts<S> for Tab {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let name = parts.headers.get("x-uos-client").and_then(|name| name.to_str().ok());
        Ok(Self(name.filter(|name| (1..=64).contains(&name.len())).map(str::to_owned)))
    }
}

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        parse(&all(request, JSON_BYTES).await?).map(Self)
    }
}

/// The whole body, if it is not longer than `most` bytes.
pub(crate) async fn all(request: Request, most: usize) -> Result<Bytes, Failure> {
    let too_large = || {
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("at most {most} bytes are taken"))
    };
    let announced = request.headers().get(http::header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > most as u64) {
        return Err(too_large());
    }
    axum::body::to_bytes(request.into_body(), most).await.map_err(|error| {
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            if error.to_string().contains("length limit") {
                return too_large();
            }
            cause = error.source();
        }
        Failure::new(StatusCode::BAD_REQUEST, "malformed", "the body broke off")
    })
}

/// A value out of JSON text: 400 for what is no JSON, 422 with the field for what is the wrong JSON.
pub(crate) fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, Failure> {
    let mut input = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut input).map_err(|error| {
        let field = error.path().to_string();
        let error = error.into_inner();
        if error.is_data() || is_no_number(text, &error) {
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
    use super::parse;
    use crate::desktop::WindowChange;

    fn fault(x: &str) -> (u16, serde_json::Value) {
        let text = format!(
            "{{\"window_id\":\"w\",\"position\":{{\"x\":{x},\"y\":1}},\"size\":{{\"width\":9,\"height\":9}}}}"
        );
        let failure = parse::<WindowChange>(text.as_bytes()).unwrap_err();
        (failure.status.as_u16(), failure.detail["field"].clone())
    }

    #[test]
    fn a_wrong_number_is_told_by_its_field() {
        let absurd =
            ["NaN", "Infinity", "-Infinity", "1e99", "-99999", "1.5", "null", "\"1\"", "{}", "[]", "true"];
        for x in absurd {
            assert_eq!(fault(x), (422, "position.x".into()), "{x}");
        }
        for broken in ["", "}", "nope", "1,,"] {
            assert_eq!(fault(broken), (400, serde_json::Value::Null), "{broken:?}");
        }
    }

    #[test]
    fn what_is_missing_or_too_much_is_told() {
        assert_eq!(parse::<WindowChange>(b"{}").unwrap_err().status.as_u16(), 422);
        assert_eq!(parse::<WindowChange>(b"").unwrap_err().status.as_u16(), 400);
        assert_eq!(parse::<WindowChange>(b"[1]").unwrap_err().status.as_u16(), 422);
        assert_eq!(parse::<u8>(b"1 2").unwrap_err().status.as_u16(), 400);
    }
}
