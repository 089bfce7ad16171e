//! The description of the routes: what the routes say of themselves, and what holds for all of them.

use utoipa::openapi::{
    Info, License, OpenApi, PathItem, SecurityRequirement, Tag,
    path::Operation,
    security::{ApiKey, ApiKeyValue, Http as HttpScheme, HttpAuthScheme, SecurityScheme},
};

use super::answers::of_the_gate;

/// What a reader should know before the routes.
const ABOUT: &str = "\
The HTTP routes of the uOS server: the desktop, its apps, windows and saved sessions, logins and live events. Calls of the
kernel are made over gRPC on the same port; server reflection lists them.

Every route but those without a lock wants the operator's token, or the login of a browser. Where a process's own token
is taken too, that is said. An error is always `{\"error\":{\"code\",\"message\",\"detail\"}}`. Unknown fields are ignored.
Times end in `_us` and are microseconds; windows are measured in whole CSS pixels.";

/// The groups of routes, in the order of a visit.
const TAGS: [(&str, &str); 8] = [
    ("login", "Logging browsers in and out."),
    ("registry", "Apps that can be launched."),
    ("apps", "Apps that run, and their windows."),
    ("sessions", "Saved desktops."),
    ("files", "Whole files, in and out."),
    ("requests", "Calls that wait for a right, and the answers to them."),
    ("events", "What changes, as it changes."),
    ("server", "The server itself."),
];

/// The names of the ways to say who one is.
const OPERATOR: &str = "token";
const LOGIN: &str = "login";
const PROCESS: &str = "process";

/// Puts down what holds for all routes.
pub(super) fn finish(api: &mut OpenApi) {
    // Made anew: what is there speaks of the library that collects the routes.
    api.info = Info::new("uOS", env!("CARGO_PKG_VERSION"));
    api.info.description = Some(ABOUT.to_owned());
    let mut license = License::new(env!("CARGO_PKG_LICENSE"));
    license.identifier = Some(env!("CARGO_PKG_LICENSE").to_owned());
    api.info.license = Some(license);
    let tag = |(name, about)| {
        let mut tag = Tag::new(name);
        tag.description = Some(about);
        tag
    };
    api.tags = Some(TAGS.map(|(name, about)| tag((name, about.to_owned()))).into());
    let components = api.components.get_or_insert_default();
    for (name, scheme) in schemes() {
        components.add_security_scheme(name, scheme);
    }
    api.security = Some([OPERATOR, LOGIN].map(requirement).into());
    // The description knows no parameter that spans slashes; to a router it is one with a star.
    let paths = std::mem::take(&mut api.paths.paths).into_iter();
    api.paths.paths = paths.map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    for operation in api.paths.paths.values_mut().flat_map(operations) {
        finish_operation(operation);
    }
}

fn finish_operation(operation: &mut Operation) {
    // Functions are called alike in each group; ids must not be.
    if let (Some(id), Some([tag])) = (&mut operation.operation_id, operation.tags.as_deref()) {
        *id = format!("{tag}_{id}");
    }
    let nobody = [SecurityRequirement::default()];
    let open = operation.security.as_deref() == Some(&nobody[..]);
    if open {
        // None at all is the plainer way to say that none is wanted.
        operation.security = Some(Vec::new());
    }
    for (status, answer) in of_the_gate(!open) {
        operation.responses.responses.entry(status).or_insert(answer);
    }
}

fn requirement(scheme: &str) -> SecurityRequirement {
    SecurityRequirement::new(scheme, [] as [&str; 0])
}

fn schemes() -> [(&'static str, SecurityScheme); 3] {
    let bearer = |about: &str| {
        let mut scheme = HttpScheme::new(HttpAuthScheme::Bearer);
        scheme.description = Some(about.to_owned());
        SecurityScheme::Http(scheme)
    };
    let cookie = "The login of a browser, from `GET /login` or `POST /login`. The number in the cookie's name is the server's \
                  port. Requests of pages are taken from this server's own origin alone.";
    [
        (OPERATOR, bearer("The operator's token, from the file `token` in the server's data directory.")),
        (
            LOGIN,
            SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description("uos_login_7700", cookie))),
        ),
        (PROCESS, bearer("The token of a process, from `CreateProcess`. It sees what the process may see.")),
    ]
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, options, head, patch, trace, .. } = path;
    [get, put, post, delete, options, head, patch, trace].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    fn routes() -> Vec<(String, Value)> {
        let api = serde_json::to_value(crate::openapi()).unwrap();
        let paths = api["paths"].as_object().unwrap();
        let routes = paths.iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap();
            methods.iter().map(move |(method, route)| (format!("{method} {path}"), route.clone()))
        });
        routes.collect()
    }

    #[test]
    fn every_route_says_what_it_is_and_what_it_answers() {
        let mut ids = BTreeSet::new();
        for (name, route) in routes() {
            assert!(ids.insert(route["operationId"].as_str().unwrap().to_owned()), "{name}: its id is taken");
            assert!(
                super::TAGS.iter().any(|(tag, _)| route["tags"][0] == *tag),
                "{name}: its group is not described"
            );
            let summary = route["summary"].as_str().unwrap();
            assert!(summary.ends_with('.') && summary.len() < 120, "{name}: {summary}");
            let answers = route["responses"].as_object().unwrap();
            for (status, answer) in answers {
                assert!(answer["description"].is_string(), "{name}: nothing is said of {status}");
            }
            assert!(answers.contains_key("403") && answers.contains_key("421"), "{name}");
            assert_eq!(
                answers.contains_key("401"),
                name == "get /login" || route["security"] != Value::Array(vec![])
            );
            assert!(answers.keys().any(|status| status.as_str() < "400"), "{name}: how does it succeed?");
        }
        assert!(ids.contains("apps_window"));
    }

    #[test]
    fn the_routes_without_a_token_are_these() {
        let open = routes().into_iter().filter(|(_, route)| route["security"] == Value::Array(vec![]));
        let open: Vec<_> = open.map(|(name, _)| name).collect();
        assert_eq!(open, ["get /healthz", "get /login", "get /readyz"]);
    }
}
