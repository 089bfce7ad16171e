//! Writing: one transaction for everything that a batch changed.

use std::sync::Arc;

use sqlx::{Connection, SqliteConnection};

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
                put_app(&mut *to, app).await?;
                put_window(&mut *to, app).await?;
            }
            None => {
                sqlx::query("DELETE FROM apps WHERE id = ?").bind(id).execute(&mut *to).await?;
            }
        }
    }
    let whole = |id: &&String| !dirty.apps.contains(*id);
    for app in dirty.app_states.iter().filter(whole).filter_map(|id| state.apps.get(id)) {
        sqlx::query("UPDATE apps SET state = ?, state_version = ? WHERE id = ?")
            .bind(app.state.get())
            .bind(app.state_version.cast_signed())
            .bind(&app.id)
            .execute(&mut *to)
            .await?;
    }
    for app in dirty.windows.iter().filter(whole).filter_map(|id| state.apps.get(id)) {
        put_window(&mut *to, app).await?;
    }
    for id in &dirty.manifests {
        let manifest = state.manifests.get(id).map(|manifest| serde_json::to_string(&**manifest));
        match manifest.transpose().map_err(|error| sqlx::Error::Encode(error.into()))? {
            Some(manifest) => {
                let put = "INSERT INTO manifests VALUES (?, ?)
                           ON CONFLICT DO UPDATE SET manifest = excluded.manifest";
                sqlx::query(put).bind(id).bind(manifest).execute(&mut *to).await?;
            }
            None => {
                sqlx::query("DELETE FROM manifests WHERE id = ?").bind(id).execute(&mut *to).await?;
            }
        }
    }
    // Names are free again before they are taken again.
    for id in dirty.sessions.keys().filter(|id| !state.sessions.contains_key(*id)) {
        sqlx::query("DELETE FROM sessions WHERE id = ?").bind(id).execute(&mut *to).await?;
    }
    for (id, apps) in &dirty.sessions {
        put_session(&mut *to, state, id, apps).await?;
    }
    for (hash, ends) in &dirty.logins {
        let query = match ends {
            Some(ends) => {
                sqlx::query("INSERT OR REPLACE INTO logins VALUES (?, ?)").bind(&hash[..]).bind(ends)
            }
            None => sqlx::query("DELETE FROM logins WHERE cookie_sha256 = ?").bind(&hash[..]),
        };
        query.execute(&mut *to).await?;
    }
    Ok(())
}

async fn put_app(to: &mut SqliteConnection, app: &App) -> sqlx::Result<()> {
    let grants = serde_json::to_string(&app.grants).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let put = "INSERT OR REPLACE INTO apps (id, manifest_id, parent_id, title, icon, ui_spec, grants, fullscreen,
               singleton, min_width, min_height, state, state_version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    sqlx::query(put)
        .bind(&app.id)
        .bind(&app.manifest_id)
        .bind(&app.parent_id)
        .bind(&app.title)
        .bind(&app.icon)
        .bind(app.ui_spec.get())
        .bind(grants)
        .bind(app.fullscreen)
        .bind(app.singleton)
        .bind(app.min_size.width.0)
        .bind(app.min_size.height.0)
        .bind(app.state.get())
        .bind(app.state_version.cast_signed())
        .execute(to)
        .await?;
    Ok(())
}

async fn put_window(to: &mut SqliteConnection, app: &App) -> sqlx::Result<()> {
    let put = "INSERT OR REPLACE INTO windows (app_id, window_id, x, y, width, height, state, restore_state, restore_x,
               restore_y, restore_width, restore_height, snap, z, workspace, version)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    sqlx::query(put)
        .bind(&app.id)
        .bind(&app.window_id)
        .bind(app.window_pos.x.0)
        .bind(app.window_pos.y.0)
        .bind(app.window_size.width.0)
        .bind(app.window_size.height.0)
        .bind(name_of(app.window_state))
        .bind(name_of(app.restore_state))
        .bind(app.restore_bounds.x.0)
        .bind(app.restore_bounds.y.0)
        .bind(app.restore_bounds.width.0)
        .bind(app.restore_bounds.height.0)
        .bind(app.snap.map(name_of))
        .bind(app.z)
        .bind(app.workspace)
        .bind(app.version.cast_signed())
        .execute(to)
        .await?;
    Ok(())
}

async fn put_session(
    to: &mut SqliteConnection,
    state: &State,
    id: &str,
    apps: &[Arc<App>],
) -> sqlx::Result<()> {
    let Some(session) = state.sessions.get(id) else { return Ok(()) };
    let put = "INSERT INTO sessions VALUES (?, ?, ?, ?, ?)
               ON CONFLICT (id) DO UPDATE SET name = excluded.name, updated_us = excluded.updated_us";
    sqlx::query(put)
        .bind(id)
        .bind(&session.name)
        .bind(session.automatic)
        .bind(session.created_us)
        .bind(session.updated_us)
        .execute(&mut *to)
        .await?;
    sqlx::query("DELETE FROM session_apps WHERE session_id = ?").bind(id).execute(&mut *to).await?;
    for (position, app) in (0_i64..).zip(apps) {
        let app = serde_json::to_string(&**app).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let put = "INSERT INTO session_apps VALUES (?, ?, ?)";
        sqlx::query(put).bind(id).bind(position).bind(app).execute(&mut *to).await?;
    }
    Ok(())
}
