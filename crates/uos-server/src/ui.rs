//! The desktop's files, which are part of this program.

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, StatusCode, Uri, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use http::HeaderMap;
use rust_embed::RustEmbed;
use tower_http::compression::CompressionLayer;

#[derive(RustEmbed)]
#[folder = "$UOS_UI_DIST"]
#[allow_missing = true]
struct Built;

/// What a page of ours may do: run our scripts, talk to us, and be in nobody's frame. Styles may be inline since moving a
/// window is one.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; object-src 'none'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// What is served where the desktop was not built in.
const WITHOUT: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>uOS</title>
<h1>uOS is running, without its desktop</h1>
<p>This server was built without the desktop's files. Every API works: see <a href=/docs>/docs</a>.
<p>To get the desktop, install Node.js 20.19 or newer and run <code>cargo xtask up</code>.
";

/// Whether a path is one of the desktop's files, which anybody may have.
pub(crate) fn is_file(path: &str) -> bool {
    path == "/" || Built::get(name(path)).is_some()
}

fn name(path: &str) -> &str {
    match path.trim_start_matches('/') {
        "" => "index.html",
        name => name,
    }
}

/// The routes of the files that there are. Text is sent compressed.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let files = Built::iter().map(|name| format!("/{name}"));
    let files =
        files.chain(["/".to_owned()]).fold(Router::new(), |routes, path| routes.route(&path, get(file)));
    files.layer(CompressionLayer::new().gzip(true))
}

async fn file(uri: Uri, headers: HeaderMap) -> Response {
    let Some(file) = Built::get(name(uri.path())) else {
        return (StatusCode::OK, Html(WITHOUT)).into_response();
    };
    let tag = format!("\"{}\"", hex(&file.metadata.sha256_hash()[..16]));
    // What has its hash in its name never changes; the rest is asked for again each time.
    let keep =
        if uri.path().starts_with("/assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut answer =
        if known { StatusCode::NOT_MODIFIED.into_response() } else { Body::from(file.data).into_response() };
    let given = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, file.metadata.mimetype()),
        (header::CACHE_CONTROL, keep),
        (header::ETAG, &tag),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        // All of them are plain ASCII.
        if let Ok(value) = HeaderValue::from_str(value) {
            given.insert(name, value);
        }
    }
    answer
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
