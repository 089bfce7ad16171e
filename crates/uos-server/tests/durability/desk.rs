//! What is on the desktop, as far as it must come back: everything of an app but its process and its versions.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Value, json};
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};

use crate::client::Client;

/// What a client makes of a window, for the `n`th time. All of it follows from the number, so that a torn one shows.
pub(crate) fn window(n: u64) -> Value {
    let (x, y) = (n % 30_000, n / 30_000 % 30_000);
    let (width, height) = (300 + n % 997, 300 + n % 499);
    json!({ "position": { "x": x, "y": y }, "size": { "width": width, "height": height }, "state": "normal" })
}

/// What a client makes of an app's own state.
pub(crate) fn state(n: u64) -> Value {
    json!({ "n": n, "text": "x".repeat(n as usize % 2_000) })
}

/// The window of an app as `GET /apps` shows it.
pub(crate) fn window_of(app: &Value) -> Value {
    let parts = ["window_pos", "window_size", "window_state", "restore_state", "restore_bounds", "snap"];
    parts.iter().map(|part| app[part].clone()).collect()
}

/// How such a window is shown.
pub(crate) fn shown(window: &Value) -> Value {
    let (at, size) = (&window["position"], &window["size"]);
    let bounds = json!({ "x": at["x"], "y": at["y"], "width": size["width"], "height": size["height"] });
    json!([at, size, "normal", "normal", bounds, null])
}

/// One app, as it must come back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Face {
    pub(crate) window: Value,
    pub(crate) state: Value,
}

impl Face {
    pub(crate) fn of(app: &Value) -> Self {
        Self { window: window_of(app), state: app["state"].clone() }
    }
}

/// Apps by their ids.
pub(crate) type Desk = BTreeMap<String, Face>;

/// Everything that a server shows.
#[derive(Debug)]
pub(crate) struct Survey {
    /// Running apps, in full.
    pub(crate) apps: BTreeMap<String, Value>,
    /// Saved ones by the session's name, with its id.
    pub(crate) sessions: BTreeMap<String, (String, BTreeMap<String, Value>)>,
}

impl Survey {
    pub(crate) async fn of(client: &mut Client) -> Self {
        let apps = good(client, "/apps").await;
        let mut sessions = BTreeMap::new();
        let listed = good(client, "/sessions").await;
        for listed in listed["sessions"].as_array().expect("sessions are a list") {
            let (id, name) = (text(&listed["id"]), text(&listed["name"]));
            if id == "current" {
                continue;
            }
            let whole = good(client, &format!("/sessions/{id}")).await;
            let apps = by_id(&whole["apps"]);
            assert_eq!(listed["apps"], apps.len(), "session {name} is listed with another number of apps");
            assert!(sessions.insert(name, (id, apps)).is_none(), "two sessions have one name: {listed}");
        }
        Self { apps: by_id(&apps["apps"]), sessions }
    }
}

async fn good(client: &mut Client, path: &str) -> Value {
    client.get(path).await.unwrap_or_else(|_| panic!("{path} is not answered")).good()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("it is a text").to_owned()
}

fn by_id(apps: &Value) -> BTreeMap<String, Value> {
    let list = apps.as_array().expect("apps are a list");
    let apps: BTreeMap<_, _> = list.iter().map(|app| (text(&app["id"]), app.clone())).collect();
    assert_eq!(apps.len(), list.len(), "an app is there twice");
    apps
}

/// Looks at the database of a server that has ended, on a copy, so that its log is found by the next server as it was left.
pub(crate) async fn check_database(data_dir: &Path) {
    let copy = tempfile::tempdir().expect("there is room for a copy");
    for name in ["uos.db", "uos.db-wal"] {
        if data_dir.join(name).exists() {
            std::fs::copy(data_dir.join(name), copy.path().join(name)).expect("a database can be copied");
        }
    }
    let options = SqliteConnectOptions::new().filename(copy.path().join("uos.db"));
    let mut database = options.connect().await.expect("the copy is a database");
    let verdict: String = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(&mut database)
        .await
        .expect("it can be checked");
    assert_eq!(verdict, "ok");
    let strays = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut database).await;
    assert!(strays.expect("it can be checked").is_empty(), "a row belongs to none");
    database.close().await.expect("the copy can be closed");
}
