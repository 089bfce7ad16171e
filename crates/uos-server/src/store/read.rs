//! Reading: the whole desktop at the start, and one saved session when it is asked for.

use std::{collections::HashMap, sync::Arc};

use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection, sqlite::SqliteRow};
use tokio::sync::Mutex;

use super::row::check;
use crate::{
    desktop::{App, Bounds, Coordinate, Extent, Manifest, Position, Session, Size, State, of_name},
    login::CookieHash,
};

/// The connection that only reads. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Reader(Arc<Mutex<Option<SqliteConnection>>>);

impl Reader {
    pub(super) fn new(connection: SqliteConnection) -> Self {
        Self(Arc::new(Mutex::new(Some(connection))))
    }

    /// A saved session with what it holds, in its order. Both are of the same moment.
    pub(crate) async fn session(&self, id: &str) -> sqlx::Result<Option<(Session, Vec<App>)>> {
        let mut connection = self.0.lock().await;
        let mut moment = connection.as_mut().ok_or(sqlx::Error::WorkerCrashed)?.begin().await?;
        let found =
            sqlx::query("SELECT * FROM sessions WHERE id = ?").bind(id).fetch_all(&mut *moment).await?;
        let Some(row) = check("sessions", found)?.pop() else { return Ok(None) };
        let found = session(&mut moment, &row).await?;
        moment.commit().await?;
        Ok(Some(found))
    }

    /// Nothing is read any more. The connection that is closed last empties the log, and this one could not.
    pub(crate) async fn close(&self) -> sqlx::Result<()> {
        match self.0.lock().await.take() {
            Some(connection) => connection.close().await,
            None => Ok(()),
        }
    }
}

/// What the file holds.
pub(crate) struct Loaded {
    /// Without built-in manifests.
    pub(crate) state: State,
    /// Hashes of cookies, and when each ends.
    pub(crate) logins: Vec<(CookieHash, i64)>,
}

impl Loaded {
    pub(crate) async fn from(connection: &mut SqliteConnection) -> sqlx::Result<Self> {
        let mut state = State::default();
        let mut states = by_app(all(connection, "app_states").await?)?;
        let mut windows = by_app(all(connection, "windows").await?)?;
        for row in all(connection, "apps").await? {
            let id: &str = row.try_get(0)?;
            let (Some(own), Some(window)) = (states.remove(id), windows.remove(id)) else {
                return Err(sqlx::Error::Decode("an app has no state or no window".into()));
            };
            let app = app(&row, &own, &window)?;
            state.apps.insert(app.id.clone(), Arc::new(app));
        }
        for row in all(connection, "manifests").await? {
            let manifest: Manifest = json(row.try_get(1)?)?;
            state.manifests.insert(row.try_get(0)?, Arc::new(manifest));
        }
        for row in all(connection, "sessions").await? {
            // What they hold is read again when it is wanted; what can't be read is to be found at the start.
            let (session, _) = session(connection, &row).await?;
            state.sessions.insert(session.id.clone(), Arc::new(session));
        }
        let mut logins = Vec::new();
        for row in all(connection, "logins").await? {
            // A row of another length is none of ours, and lets nobody in.
            if let Ok(hash) = CookieHash::try_from(row.try_get::<&[u8], _>(0)?) {
                logins.push((hash, row.try_get(1)?));
            }
        }
        Ok(Self { state, logins })
    }
}

/// All rows of a table. The columns are as the schema has them, and are taken by their places.
async fn all(connection: &mut SqliteConnection, table: &'static str) -> sqlx::Result<Vec<SqliteRow>> {
    // The names are this file's own.
    let all = AssertSqlSafe(format!("SELECT * FROM {table}"));
    check(table, sqlx::query(all).fetch_all(connection).await?)
}

fn by_app(rows: Vec<SqliteRow>) -> sqlx::Result<HashMap<String, SqliteRow>> {
    rows.into_iter().map(|row| Ok((row.try_get(0)?, row))).collect()
}

async fn session(connection: &mut SqliteConnection, row: &SqliteRow) -> sqlx::Result<(Session, Vec<App>)> {
    let id: String = row.try_get(0)?;
    let held = "SELECT * FROM session_apps WHERE session_id = ? ORDER BY position";
    let held = check("session_apps", sqlx::query(held).bind(&id).fetch_all(connection).await?)?;
    let apps: Vec<App> = held.iter().map(|row| json(row.try_get(2)?)).collect::<sqlx::Result<_>>()?;
    let session = Session {
        id,
        name: row.try_get(1)?,
        automatic: row.try_get(2)?,
        created_us: row.try_get(3)?,
        updated_us: row.try_get(4)?,
        apps: apps.len(),
    };
    Ok((session, apps))
}

fn json<T: for<'de> serde::Deserialize<'de>>(text: &str) -> sqlx::Result<T> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn app(row: &SqliteRow, state: &SqliteRow, window: &SqliteRow) -> sqlx::Result<App> {
    let coordinate = |at: usize| window.try_get::<i32, _>(at).map(Coordinate);
    let extent = |row: &SqliteRow, at: usize| row.try_get::<u32, _>(at).map(Extent);
    let count = |row: &SqliteRow, at: usize| row.try_get::<i64, _>(at).map(i64::cast_unsigned);
    let named = |error: serde_json::Error| sqlx::Error::Decode(error.into());
    Ok(App {
        id: row.try_get(0)?,
        manifest_id: row.try_get(1)?,
        parent_id: row.try_get(2)?,
        title: row.try_get(3)?,
        icon: row.try_get(4)?,
        ui_spec: json(row.try_get(5)?)?,
        grants: json(row.try_get(6)?)?,
        fullscreen: row.try_get(7)?,
        singleton: row.try_get(8)?,
        min_size: Size { width: extent(row, 9)?, height: extent(row, 10)? },
        state: json(state.try_get(1)?)?,
        state_version: count(state, 2)?,
        window_id: window.try_get(1)?,
        window_pos: Position { x: coordinate(2)?, y: coordinate(3)? },
        window_size: Size { width: extent(window, 4)?, height: extent(window, 5)? },
        window_state: of_name(window.try_get(6)?).map_err(named)?,
        restore_state: of_name(window.try_get(7)?).map_err(named)?,
        restore_bounds: Bounds {
            x: coordinate(8)?,
            y: coordinate(9)?,
            width: extent(window, 10)?,
            height: extent(window, 11)?,
        },
        snap: window.try_get::<Option<&str>, _>(12)?.map(of_name).transpose().map_err(named)?,
        z: window.try_get(13)?,
        workspace: window.try_get(14)?,
        version: count(window, 15)?,
        pid: None,
    })
}
