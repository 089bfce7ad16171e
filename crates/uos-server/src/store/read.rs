//! Reading: the whole desktop at the start, and one saved session when it is asked for.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection, sqlite::SqliteRow};

use tokio::sync::Mutex;

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
        let one = format!("{SESSIONS} WHERE id = ?");
        let row = sqlx::query(AssertSqlSafe(one)).bind(id).fetch_optional(&mut *moment).await?;
        let Some(session) = row.map(|row| session(&row)).transpose()? else { return Ok(None) };
        let apps = apps_of(&mut moment, id).await?;
        moment.commit().await?;
        Ok(Some((session, apps)))
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
        // An app without a window would not be shown; with this it is an error.
        let apps = "SELECT * FROM apps LEFT JOIN windows ON windows.app_id = apps.id";
        // `apps` and `windows` both have a column `state`: they are taken by place, below.
        for row in sqlx::query(apps).fetch_all(&mut *connection).await? {
            let app = app(&row)?;
            state.apps.insert(app.id.clone(), Arc::new(app));
        }
        for row in sqlx::query("SELECT id, manifest FROM manifests").fetch_all(&mut *connection).await? {
            let manifest: Manifest = json(row.try_get(1)?)?;
            state.manifests.insert(row.try_get(0)?, Arc::new(manifest));
        }
        for row in sqlx::query(SESSIONS).fetch_all(&mut *connection).await? {
            let session = session(&row)?;
            // They are read again when they are wanted; what can't be read is to be found at the start.
            apps_of(connection, &session.id).await?;
            state.sessions.insert(session.id.clone(), Arc::new(session));
        }
        let mut logins = Vec::new();
        for row in sqlx::query("SELECT cookie_sha256, expires_us FROM logins").fetch_all(connection).await? {
            // A row of another length is none of ours, and lets nobody in.
            if let Ok(hash) = CookieHash::try_from(row.try_get::<&[u8], _>(0)?) {
                logins.push((hash, row.try_get(1)?));
            }
        }
        Ok(Self { state, logins })
    }
}

async fn apps_of(connection: &mut SqliteConnection, session_id: &str) -> sqlx::Result<Vec<App>> {
    let apps = "SELECT app FROM session_apps WHERE session_id = ? ORDER BY position";
    let rows = sqlx::query(apps).bind(session_id).fetch_all(connection).await?;
    rows.iter().map(|row| json(row.try_get(0)?)).collect()
}

const SESSIONS: &str = "SELECT id, name, automatic, created_us, updated_us,
    (SELECT count(*) FROM session_apps WHERE session_id = sessions.id) FROM sessions";

fn session(row: &SqliteRow) -> sqlx::Result<Session> {
    Ok(Session {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        automatic: row.try_get(2)?,
        created_us: row.try_get(3)?,
        updated_us: row.try_get(4)?,
        apps: usize::try_from(row.try_get::<i64, _>(5)?).unwrap_or_default(),
    })
}

fn json<T: for<'de> serde::Deserialize<'de>>(text: &str) -> sqlx::Result<T> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn app(row: &SqliteRow) -> sqlx::Result<App> {
    let coordinate = |at: usize| row.try_get::<i32, _>(at).map(Coordinate);
    let extent = |at: usize| row.try_get::<u32, _>(at).map(Extent);
    let count = |at: usize| row.try_get::<i64, _>(at).map(i64::cast_unsigned);
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
        min_size: Size { width: extent(9)?, height: extent(10)? },
        state: json(row.try_get(11)?)?,
        state_version: count(12)?,
        // 13 is the app's id again.
        window_id: row.try_get(14)?,
        window_pos: Position { x: coordinate(15)?, y: coordinate(16)? },
        window_size: Size { width: extent(17)?, height: extent(18)? },
        window_state: of_name(row.try_get(19)?).map_err(named)?,
        restore_state: of_name(row.try_get(20)?).map_err(named)?,
        restore_bounds: Bounds {
            x: coordinate(21)?,
            y: coordinate(22)?,
            width: extent(23)?,
            height: extent(24)?,
        },
        snap: row.try_get::<Option<&str>, _>(25)?.map(of_name).transpose().map_err(named)?,
        z: row.try_get(26)?,
        workspace: row.try_get(27)?,
        version: count(28)?,
        pid: None,
    })
}
