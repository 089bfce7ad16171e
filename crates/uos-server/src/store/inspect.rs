//! Looking at a database before anything is written to it: only one that is sound, ours and makes sense is opened.

use std::{collections::BTreeMap, fs::File, io::Read, path::Path};

use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::{
    APPLICATION_ID, Fault, Loaded, MIGRATIONS,
    make::{beside, length},
    options,
};

/// What a database is that can be used.
pub(super) enum Found {
    /// Its schema is this program's; this is in it.
    Current(Loaded),
    /// Steps of the schema are missing.
    Older,
}

/// The beginning of every SQLite database, and where in it the application's id is, in four bytes, the highest first.
const MAGIC: &[u8] = b"SQLite format 3\0";
const ID_AT: usize = 68;

/// Looks, and changes nothing: not the file, nor its log.
pub(super) async fn look_at(path: &Path) -> Result<Found, Fault> {
    is_ours(path)?;
    // Without a log nobody else needs to be reckoned with, and no files are made beside it.
    let alone =
        length(&beside(path, "-wal"))?.unwrap_or(0) == 0 && length(&beside(path, "-journal"))?.is_none();
    let mut connection = options(path).read_only(true).immutable(alone).connect().await?;
    let verdict: String = sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(&mut connection).await?;
    if verdict != "ok" {
        return Err(Fault::Damaged(verdict));
    }
    let strays = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut connection).await?;
    if !strays.is_empty() {
        return Err(Fault::Damaged("rows are missing that others belong to".into()));
    }
    let found = if is_current(&mut connection).await? {
        Found::Current(Loaded::from(&mut connection).await?)
    } else {
        Found::Older
    };
    connection.close().await?;
    Ok(found)
}

/// Read without SQLite, which would make files beside a database that it opens, whosever it is. The id is in the file from
/// the moment it gets its name.
fn is_ours(path: &Path) -> Result<(), Fault> {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(100).read_to_end(&mut head));
    read.map_err(|error| Fault::of(&error))?;
    let id = head.get(ID_AT..ID_AT + 4).and_then(|id| id.try_into().ok()).map(i32::from_be_bytes);
    match id {
        Some(id) if head.starts_with(MAGIC) => {
            if id == APPLICATION_ID {
                Ok(())
            } else {
                Err(Fault::Foreign)
            }
        }
        _ => Err(Fault::Damaged("it does not begin like a database".into())),
    }
}

/// Whether no step of the schema is missing. What is there must be what this program's steps make.
async fn is_current(connection: &mut SqliteConnection) -> Result<bool, Fault> {
    let taken: Vec<(i64, bool, Vec<u8>)> =
        sqlx::query_as("SELECT version, success, checksum FROM _sqlx_migrations")
            .fetch_all(connection)
            .await?;
    let mut known: BTreeMap<i64, &[u8]> =
        MIGRATIONS.iter().map(|step| (step.version, &*step.checksum)).collect();
    for (version, success, checksum) in taken {
        match known.remove(&version) {
            None => return Err(Fault::Newer),
            Some(expected) if success && expected == checksum => {}
            Some(_) => return Err(Fault::Damaged(format!("its schema is not what step {version} makes"))),
        }
    }
    Ok(known.is_empty())
}
