//! Looking at a database before anything is written to it: only one that is sound, ours and makes sense is opened.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read,
    path::Path,
};

use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

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
    let steps = steps(&mut connection).await?;
    if schema(&mut connection).await? != schema_after(steps.last).await? {
        return Err(Fault::Damaged("its tables are not those that were made".into()));
    }
    let found =
        if steps.missing { Found::Older } else { Found::Current(Loaded::from(&mut connection).await?) };
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

/// How far the schema has come.
struct Steps {
    /// The last that was taken; 0 before the first.
    last: i64,
    missing: bool,
}

/// The steps of the schema that were taken. They must be this program's.
async fn steps(connection: &mut SqliteConnection) -> Result<Steps, Fault> {
    // Cast, so that what the file declares of the columns is not looked at: the library can't bear that damaged.
    let taken = "SELECT CAST(version AS INTEGER), CAST(success AS INTEGER), CAST(checksum AS BLOB)
                 FROM _sqlx_migrations";
    let taken: Vec<(i64, i64, Vec<u8>)> = sqlx::query_as(taken).fetch_all(connection).await?;
    let mut known: BTreeMap<i64, &[u8]> =
        MIGRATIONS.iter().map(|step| (step.version, &*step.checksum)).collect();
    let mut last = 0;
    for (version, success, checksum) in taken {
        match known.remove(&version) {
            None => return Err(Fault::Newer),
            Some(expected) if success == 1 && expected == checksum => last = last.max(version),
            Some(_) => return Err(Fault::Damaged(format!("its schema is not what step {version} makes"))),
        }
    }
    Ok(Steps { last, missing: !known.is_empty() })
}

/// Kind, name, table and text of everything that the steps have made. The table that counts them is the library's.
type Schema = BTreeSet<(String, String, String, Option<String>)>;

async fn schema(connection: &mut SqliteConnection) -> Result<Schema, Fault> {
    let all = "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE tbl_name != '_sqlx_migrations'";
    Ok(sqlx::query_as(all).fetch_all(connection).await?.into_iter().collect())
}

/// What it should be. The names and rules of the tables are part of the file, and can be damaged like all of it.
async fn schema_after(step: i64) -> Result<Schema, Fault> {
    let mut example = SqliteConnectOptions::new().in_memory(true).connect().await?;
    MIGRATIONS.run_direct(Some(step), &mut example, false).await?;
    schema(&mut example).await
}
