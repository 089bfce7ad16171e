//! The description of the HTTP routes as a page: one table, no script.

use std::fmt::Write;

use serde_json::Value;
use utoipa::openapi::OpenApi;

use super::answers::of_the_gate;

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>uOS: HTTP routes</title>
<meta name=viewport content='width=device-width'>
<style>
:root{color-scheme:light dark;font:14px/1.5 system-ui,sans-serif}
body{max-width:72rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.5rem .75rem;border-bottom:1px solid #8884}
code{font:13px ui-monospace,monospace}
.m{font-weight:600}
</style>
<h1>HTTP routes</h1>
<p>Errors are <code>{\"error\":{\"code\",\"message\",\"detail\"}}</code>. Each route may also answer
<code>401</code> (no token, or none that is good), <code>403</code> (a page of another origin, or a process that may not ask
this) and <code>421</code> (a host that is not this server).
<p>The same as a document for programs: <a href=/openapi.json>/openapi.json</a>. Calls of the kernel are made over gRPC;
server reflection lists them.
<table><thead><tr><th scope=col>Route<th scope=col>For whom<th scope=col>What it does<th scope=col>Answers</thead><tbody>
";

/// The page.
pub(crate) fn page(api: &OpenApi) -> String {
    let mut page = HEAD.to_owned();
    // Read as JSON: the one form in which all methods of a path look alike.
    let api = serde_json::to_value(api).unwrap_or_default();
    for (path, methods) in api["paths"].as_object().into_iter().flatten() {
        for (method, route) in methods.as_object().into_iter().flatten() {
            let text = |value: &Value| escaped(value.as_str().unwrap_or_default());
            let summary = format!("{} {}", text(&route["summary"]), text(&route["description"]));
            let answers = route["responses"].as_object().into_iter().flatten();
            let own = answers.filter(|(status, _)| !of_the_gate(true).contains_key(*status));
            let answers = own.map(|(status, answer)| {
                format!("<code>{}</code> {}", escaped(status), text(&answer["description"]))
            });
            let answers: Vec<_> = answers.collect();
            let _ = writeln!(
                page,
                "<tr><td><code><span class=m>{}</span> {}</code><td>{}<td>{summary}<td>{}",
                method.to_uppercase(),
                escaped(path),
                for_whom(&route["security"]),
                answers.join("<br>")
            );
        }
    }
    page.push_str("</tbody></table>\n");
    page
}

fn for_whom(security: &Value) -> &'static str {
    match security.as_array().map(Vec::as_slice) {
        None => "operator",
        Some([]) => "anybody",
        Some(_) => "operator, processes",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
