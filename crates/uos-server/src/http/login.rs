//! Logging a browser in and out.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Http, answers::NotKept, body::Operator, failure::Failure};
use crate::{
    desktop::Refusal,
    gate,
    login::{LOGIN_SECONDS, Logins, TICKET},
    store::now_us,
};

pub(super) fn routes() -> OpenApiRouter<Http> {
    OpenApiRouter::new().routes(routes!(by_ticket, by_token)).routes(routes!(ticket)).routes(routes!(logout))
}

/// What a link to log in holds.
#[derive(Deserialize, IntoParams)]
struct Link {
    /// The ticket.
    ticket: Option<String>,
}

/// It is done.
#[derive(Serialize, ToSchema)]
struct Done {
    /// Always true.
    success: bool,
}

/// A ticket to log in with, once.
#[derive(Serialize, ToSchema)]
struct Ticket {
    ticket: String,
    /// Where to open it.
    url: String,
    /// Until when it works, in microseconds since 1970.
    expires_us: i64,
}

/// What is shown when a ticket no longer works. It does not say whether it ever did.
const SPENT: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>uOS: log in</title>
<h1>This link no longer works</h1>
<p>A login link works once, and for five minutes. Start the server again to get a new one, or
<a href=/>open the desktop</a> and log in with the token from the server's data directory.
";

/// Logs a browser in by a ticket, and leads it to the desktop.
///
/// A ticket works once, within five minutes. The answer sets the cookie of the login.
#[utoipa::path(get, path = "/login", tag = "login", params(Link), security(()),
    responses((status = 303, description = "Logged in; to the desktop."),
        (status = 401, description = "The ticket was used, is too old, or never was.", body = String,
            content_type = "text/html"),
        NotKept))]
async fn by_ticket(
    method: Method,
    State(http): State<Http>,
    link: Result<Query<Link>, QueryRejection>,
) -> Result<Response, Failure> {
    // Programs that show where a link leads ask for its head first; they must not use it up.
    if method == Method::HEAD {
        let allow = [(header::ALLOW, HeaderValue::from_static("GET,POST"))];
        return Ok((allow, super::wrong_method().await).into_response());
    }
    // A link that gives two tickets, or what is no text, gives none.
    let link = link.map_or(Link { ticket: None }, |Query(link)| link);
    if !link.ticket.is_some_and(|ticket| http.logins.take(&ticket)) {
        return Ok((StatusCode::UNAUTHORIZED, Html(SPENT)).into_response());
    }
    let cookie = log_in(&http).await?;
    let to = HeaderValue::from_static("/");
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, to), (header::SET_COOKIE, cookie)]).into_response())
}

/// Logs a browser in that has shown the operator's token.
#[utoipa::path(post, path = "/login", tag = "login",
    responses((status = 200, description = "Logged in; the answer sets the cookie.", body = Done), NotKept))]
async fn by_token(_: Operator, State(http): State<Http>) -> Result<Response, Failure> {
    let cookie = log_in(&http).await?;
    Ok(([(header::SET_COOKIE, cookie)], Json(Done { success: true })).into_response())
}

/// Makes a ticket for another browser.
#[utoipa::path(post, path = "/login/tickets", tag = "login", 
    responses((status = 200, description = "The ticket.", body = Ticket)))]
async fn ticket(_: Operator, State(http): State<Http>) -> Json<Ticket> {
    let ticket = http.logins.ticket();
    let url = format!("http://{}/login?ticket={ticket}", http.address);
    let expires_us = now_us().saturating_add(i64::try_from(TICKET.as_micros()).unwrap_or(i64::MAX));
    Json(Ticket { ticket, url, expires_us })
}

/// Ends the login of the browser that asks, and the live events that it gets.
#[utoipa::path(post, path = "/logout", tag = "login",
    responses((status = 200, description = "Logged out.", body = Done), NotKept))]
async fn logout(_: Operator, State(http): State<Http>, headers: HeaderMap) -> Result<Response, Failure> {
    let name = gate::cookie_name(http.address.port());
    if let Some(secret) = gate::cookie(&headers, &name) {
        // Out at once; if the disk can't take that down, the login would be back after a restart, and that is an error.
        let row = http.logins.end(secret);
        http.hub.look_up();
        http.desktop.keep_logins(vec![(row, None)]).await?;
    }
    let gone = cookie(&name, "", 0);
    Ok(([(header::SET_COOKIE, gone)], Json(Done { success: true })).into_response())
}

/// A new login. It is on the disk before the browser knows of it, unless there is no room for it at all.
async fn log_in(http: &Http) -> Result<HeaderValue, Failure> {
    let (secret, row, ends) = Logins::prepare();
    let gone = http.logins.admit(row, ends).into_iter().map(|row| (row, None));
    match http.desktop.keep_logins(gone.chain([(row, Some(ends))]).collect()).await {
        // Whoever is to free some room must get in. The login ends with the server.
        Ok(()) | Err(Refusal::DiskFull) => {}
        Err(refusal) => {
            http.logins.end(&secret);
            return Err(refusal.into());
        }
    }
    Ok(cookie(&gate::cookie_name(http.address.port()), &secret, LOGIN_SECONDS))
}

fn cookie(name: &str, secret: &str, seconds: i64) -> HeaderValue {
    let text = format!("{name}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict");
    // The name and the secret are plain ASCII.
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
