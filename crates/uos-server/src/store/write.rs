//! Writing: one transaction for everything that a batch changed.

use std::sync::Arc;

use sqlx::{Connection, SqliteConnection};

use super::row::{Value, put};
use crate::desktop::{App, Dirty, State, name_of};

/// Why nothing was written.
pub(super) struct Failed {
    pub(super) error: sqlx::Error,
    /// All but the end was done.
    pub(super) committing: bool,
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self { error, committing: false }
    }
}

/// Writes what is dirty as the state has it, all or nothing. What was written is on the disk when this returns.
pub(super) async fn flush(
    connection: &mut SqliteConnection,
    state: &State,
    dirty: &Dirty,
) -> Result<(), Failed> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    put_all(&mut transaction, state, dirty).await?;
    transaction.commit().await.map_err(|error| Failed { error, committing: true })
}

async fn put_all(to: &mut SqliteConnection, state: &State, dirty: &Dirty) -> sqlx::Result<()> {
    for id in &dirty.apps {
        match state.apps.get(id) {
            Some(app) => {
                // The rows that belong to the old one go with it.
                put_app(&mut *to, app).await?;
                put_state(&mut *to, app).await?;
                put_window(&mut *to, app).await?;
            }
            None => delete(&mut *to, "DELETE FROM apps WHERE id = ?", id).await?,
        }
    }
    let whole = |id: &&String| !dirty.apps.contains(*id);
    for app in dirty.app_states.iter().filter(whole).filter_map(|id| state.apps.get(id)) {
        put_state(&mut *to, app).await?;
    }
    for app in dirty.windows.iter().filter(whole).filter_map(|id| state.apps.get(id)) {
        put_window(&mut *to, app).await?;
    }
    for id in &dirty.manifests {
        match state.manifests.get(id) {
            Some(manifest) => {
                let values = [id.as_str().into(), json(&**manifest)?.into()];
                put(
                    &mut *to,
                    "manifests",
                    "INSERT OR REPLACE INTO manifests (id, manifest, sum) VALUES (?, ?, ?)",
                    &values,
                )
                .await?;
            }
            None => delete(&mut *to, "DELETE FROM manifests WHERE id = ?", id).await?,
        }
    }
    // Names are free again before they are taken again.
    for id in dirty.sessions.keys().filter(|id| !state.sessions.contains_key(*id)) {
        delete(&mut *to, "DELETE FROM sessions WHERE id = ?", id).await?;
    }
    for (id, apps) in &dirty.sessions {
        put_session(&mut *to, state, id, apps).await?;
    }
    for (hash, ends) in &dirty.logins {
        match ends {
            Some(ends) => {
                let values = [Value::Bytes(hash), (*ends).into()];
                put(
                    &mut *to,
                    "logins",
                    "INSERT OR REPLACE INTO logins (cookie_sha256, expires_us, sum) VALUES (?, ?, ?)",
                    &values,
                )
                .await?;
            }
            None => {
                let gone = sqlx::query("DELETE FROM logins WHERE cookie_sha256 = ?").bind(&hash[..]);
                gone.execute(&mut *to).await?;
            }
        }
    }
    Ok(())
}

async fn delete(to: &mut SqliteConnection, statement: &'static str, id: &str) -> sqlx::Result<()> {
    sqlx::query(statement).bind(id).execute(to).await?;
    Ok(())
}

fn json(value: &impl serde::Serialize) -> sqlx::Result<String> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

async fn put_app(to: &mut SqliteConnection, app: &App) -> sqlx::Result<()> {
    let statement =
        "INSERT OR REPLACE INTO apps (id, manifest_id, parent_id, title, icon, ui_spec, grants, fullscreen,
                     singleton, min_width, min_height, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let values = [
        app.id.as_str().into(),
        app.manifest_id.as_str().into(),
        app.parent_id.as_deref().into(),
        app.title.as_str().into(),
        app.icon.as_str().into(),
        app.ui_spec.get().into(),
        json(&app.grants)?.into(),
        i64::from(app.fullscreen).into(),
        i64::from(app.singleton).into(),
        i64::from(app.min_size.width.0).into(),
        i64::from(app.min_size.height.0).into(),
    ];
    put(to, "apps", statement, &values).await
}

async fn put_state(to: &mut SqliteConnection, app: &App) -> sqlx::Result<()> {
    let statement = "INSERT OR REPLACE INTO app_states (app_id, state, version, sum) VALUES (?, ?, ?, ?)";
    let values = [app.id.as_str().into(), app.state.get().into(), app.state_version.cast_signed().into()];
    put(to, "app_states", statement, &values).await
}

async fn put_window(to: &mut SqliteConnection, app: &App) -> sqlx::Result<()> {
    let statement =
        "INSERT OR REPLACE INTO windows (app_id, window_id, x, y, width, height, state, restore_state,
                     restore_x, restore_y, restore_width, restore_height, snap, z, workspace, version, sum)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let values = [
        app.id.as_str().into(),
        app.window_id.as_str().into(),
        i64::from(app.window_pos.x.0).into(),
        i64::from(app.window_pos.y.0).into(),
        i64::from(app.window_size.width.0).into(),
        i64::from(app.window_size.height.0).into(),
        name_of(app.window_state).into(),
        name_of(app.restore_state).into(),
        i64::from(app.restore_bounds.x.0).into(),
        i64::from(app.restore_bounds.y.0).into(),
        i64::from(app.restore_bounds.width.0).into(),
        i64::from(app.restore_bounds.height.0).into(),
        app.snap.map(name_of).into(),
        app.z.into(),
        i64::from(app.workspace).into(),
        app.version.cast_signed().into(),
    ];
    put(to, "windows", statement, &values).await
}

async fn put_session(
    to: &mut SqliteConnection,
    state: &State,
    id: &str,
    apps: &[Arc<App>],
) -> sqlx::Result<()> {
    let Some(session) = state.sessions.get(id) else { return Ok(()) };
    // Not in place of whichever row has the same name: that would be another session.
    let statement =
        "INSERT INTO sessions (id, name, automatic, created_us, updated_us, sum) VALUES (?, ?, ?, ?, ?, ?)
                     ON CONFLICT (id) DO UPDATE SET name = excluded.name, automatic = excluded.automatic,
                     created_us = excluded.created_us, updated_us = excluded.updated_us, sum = excluded.sum";
    let values = [
        id.into(),
        session.name.as_str().into(),
        i64::from(session.automatic).into(),
        session.created_us.into(),
        session.updated_us.into(),
    ];
    put(&mut *to, "sessions", statement, &values).await?;
    delete(&mut *to, "DELETE FROM session_apps WHERE session_id = ?", id).await?;
    for (position, app) in (0_i64..).zip(apps) {
        let values = [id.into(), position.into(), json(&**app)?.into()];
        let statement = "INSERT INTO session_apps (session_id, position, app, sum) VALUES (?, ?, ?, ?)";
        put(&mut *to, "session_apps", statement, &values).await?;
    }
    Ok(())
}
