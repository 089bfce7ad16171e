//! The database file: opening it without ever harming one that is not ours to change.
//!
//! There is one connection that writes. Everything acknowledged is synced (`synchronous=FULL`): with less, a power cut
//! takes back what clients were told is safe.

mod read;
mod write;

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::Error;

pub(crate) use read::Loaded;
pub(crate) use write::flush;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// What marks a database file as one of uOS: `uOS1`.
const APPLICATION_ID: i32 = 0x754f_5331;

/// What is wrong with a database.
#[derive(Debug)]
pub enum Fault {
    /// It is no database, or is inconsistent.
    Damaged(String),
    /// It belongs to another program.
    Foreign,
    /// A newer uOS made it.
    Newer,
    /// It can't be written.
    ReadOnly(String),
    /// The disk has no room.
    Full,
    /// Something else.
    Other(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Damaged(why) => write!(
                out,
                "it is damaged ({why}). It has been left as it is: put a copy back, or move it away to start with an empty desktop"
            ),
            Self::Foreign => out.write_str("it is the database of another program, and has been left as it is"),
            Self::Newer => out.write_str(
                "a newer version of uOS made it. It has been left as it is: start that version, or use another data directory",
            ),
            Self::ReadOnly(why) => {
                write!(out, "it can't be written ({why}): give the server a directory where it may write")
            }
            Self::Full => out.write_str("the disk is full: free some room and start again"),
            Self::Other(why) => out.write_str(why),
        }
    }
}

impl Fault {
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::ReadOnly(error.to_string())
            }
            _ => Self::Other(error.to_string()),
        }
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
        // The primary result codes of SQLite: 8 READONLY, 11 CORRUPT, 13 FULL, 14 CANTOPEN, 26 NOTADB.
        match code.map(|code| code & 0xff) {
            Some(11 | 26) => Self::Damaged(error.to_string()),
            Some(8 | 14) => Self::ReadOnly(error.to_string()),
            Some(13) => Self::Full,
            _ => Self::Other(error.to_string()),
        }
    }
}

impl From<MigrateError> for Fault {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => Self::Newer,
            MigrateError::VersionMismatch(version) => {
                Self::Damaged(format!("its schema is not what step {version} makes"))
            }
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            other => Self::Other(other.to_string()),
        }
    }
}

/// An open database.
pub(crate) struct Store {
    /// The one connection that writes.
    pub(crate) writer: SqliteConnection,
    path: PathBuf,
}

impl Store {
    /// Opens the file, makes it if there is none, and brings it up to date. A file that can't be used is left untouched.
    pub(crate) async fn open(path: &Path) -> Result<Self, Error> {
        let fault = |fault| Error::Database { path: path.to_owned(), fault };
        let fresh = match path.metadata() {
            Ok(there) => there.len() == 0,
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(fault(Fault::Other(error.to_string()))),
        };
        if fresh {
            // Sessions hold what their keeper wrote: the file is its owner's alone, and its journals take after it.
            let mut make = OpenOptions::new();
            let made = make.write(true).create(true).truncate(false).mode(0o600).open(path);
            made.map_err(|error| fault(Fault::of(&error)))?;
        } else {
            // Nothing is written before the file is known to be sound and ours; not even the journal mode is set.
            inspect(path).await.map_err(fault)?;
        }
        let writer = prepare(path, fresh).await.map_err(fault)?;
        // The name of a new file survives a power cut only once its directory is synced.
        let directory = path.parent().unwrap_or_else(|| Path::new("."));
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(|error| fault(Fault::Other(error.to_string())))?;
        Ok(Self { writer, path: path.to_owned() })
    }

    /// A connection of its own that only reads.
    pub(crate) async fn reader(&self) -> sqlx::Result<SqliteConnection> {
        options(&self.path).read_only(true).connect().await
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).busy_timeout(std::time::Duration::from_secs(5))
}

async fn inspect(path: &Path) -> Result<(), Fault> {
    let mut connection = options(path).read_only(true).connect().await?;
    let verdict: String =
        sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await.map_err(Fault::from)?;
    if verdict != "ok" {
        return Err(Fault::Damaged(verdict));
    }
    let id: i32 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut connection).await?;
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut connection).await?;
    connection.close().await?;
    // A start that was killed before its first transaction leaves a sound file with nothing in it.
    if id == APPLICATION_ID || (id == 0 && tables == 0) { Ok(()) } else { Err(Fault::Foreign) }
}

async fn prepare(path: &Path, fresh: bool) -> Result<SqliteConnection, Fault> {
    let options = options(path)
        .create_if_missing(fresh)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true);
    let mut connection = options.connect().await?;
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut connection).await?;
    if mode != "wal" {
        return Err(Fault::Other(format!(
            "a write-ahead log can't be kept there (the mode stayed `{mode}`)"
        )));
    }
    // `PRAGMA` takes no parameters, and a test keeps this text and the constant alike.
    sqlx::query("PRAGMA application_id = 1968132913").execute(&mut connection).await?;
    MIGRATIONS.run_direct(None, &mut connection, false).await?;
    sqlx::query("INSERT INTO opened VALUES (1, ?) ON CONFLICT DO UPDATE SET opened_us = excluded.opened_us")
        .bind(now_us())
        .execute(&mut connection)
        .await?;
    Ok(connection)
}

/// Microseconds since 1970.
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
