//! The database file: what is acknowledged is in it, and one that is not ours to change is never changed.
//!
//! There is one connection that writes. Everything acknowledged is synced (`synchronous=FULL`): with less, a power cut
//! takes back what clients were told is safe.

mod commit;
mod fault;
mod inspect;
mod make;
mod read;
mod reserve;
mod row;
mod write;

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteSynchronous},
};
use tracing::warn;

use crate::Error;

pub(crate) use commit::{Committer, Unwritten};
pub use fault::Fault;
use inspect::Found;
pub(crate) use read::{Loaded, Reader};
use reserve::Reserve;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// What marks a database file as one of uOS: `uOS1`.
const APPLICATION_ID: i32 = 0x754f_5331;

/// An open database.
pub(crate) struct Store {
    /// What was in it.
    pub(crate) loaded: Loaded,
    pub(crate) committer: Committer,
    pub(crate) reader: Reader,
}

impl Store {
    /// Opens the file, makes it if there is none, and brings it up to date. A file that can't be used is left untouched.
    pub(crate) async fn open(path: &Path) -> Result<Self, Error> {
        let mut reserve = Reserve::at(path.with_file_name("reserve"));
        let opened = match open(path).await {
            // A full disk is no reason to stay away: whoever is to free some room must get in.
            Err(Fault::Full) if reserve.release() => open(path).await,
            opened => opened,
        };
        let (loaded, writer, reader) =
            opened.map_err(|fault| Error::Database { path: path.to_owned(), fault })?;
        if !reserve.take().await {
            warn!("the disk is full: until there is room, only what makes room is kept, and logins");
        }
        let committer = Committer::new(path, writer, reserve);
        Ok(Self { loaded, committer, reader: Reader::new(reader) })
    }
}

async fn open(path: &Path) -> Result<(Loaded, SqliteConnection, SqliteConnection), Fault> {
    make::unless_there(path).await?;
    let found = inspect::look_at(path).await?;
    let mut writer = open_to_write(path).await?;
    let loaded = match found {
        Found::Current(loaded) => loaded,
        Found::Older => bring_up_to_date(&mut writer).await?,
    };
    sign(&mut writer).await?;
    let mut reader = options(path).read_only(true).connect().await?;
    // Once it has read something it holds the log's index, and with it what is the newest commit, whatever becomes of the
    // writer's connection.
    let _: i64 = sqlx::query_scalar("SELECT count(*) FROM opened").fetch_one(&mut reader).await?;
    Ok((loaded, writer, reader))
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(5))
}

async fn open_to_write(path: &Path) -> Result<SqliteConnection, Fault> {
    let options = options(path).synchronous(SqliteSynchronous::Full).foreign_keys(true);
    let mut connection = options.connect().await?;
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut connection).await?;
    if mode == "wal" {
        return Ok(connection);
    }
    Err(Fault::Damaged(format!("it keeps no write-ahead log, but a journal of kind `{mode}`")))
}

/// Commits something: a file that can't be written is found by it.
async fn sign(connection: &mut SqliteConnection) -> Result<(), Fault> {
    let signed = "INSERT INTO opened VALUES (1, ?) ON CONFLICT DO UPDATE SET opened_us = excluded.opened_us";
    sqlx::query(signed).bind(now_us()).execute(connection).await?;
    Ok(())
}

/// Takes all steps of the schema that are missing, and only if what comes of it makes sense.
async fn bring_up_to_date(connection: &mut SqliteConnection) -> Result<Loaded, Fault> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    MIGRATIONS.run_direct(None, &mut *transaction, false).await?;
    let loaded = Loaded::from(&mut transaction).await?;
    transaction.commit().await?;
    Ok(loaded)
}

/// Microseconds since 1970.
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
