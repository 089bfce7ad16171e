//! Making the database: beside the name it is to have, which it gets once it is whole.
//!
//! So whatever a first start is stopped by, the name stands for a whole database or for none, and an empty or a headless
//! file under it is damage.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use sqlx::{
    ConnectOptions, Connection,
    sqlite::{SqliteJournalMode, SqliteSynchronous},
};

use super::{Fault, MIGRATIONS, options};

/// Makes a database if there is none.
pub(super) async fn unless_there(path: &Path) -> Result<(), Fault> {
    let unfinished = beside(path, ".new");
    // What an earlier start could not finish.
    for suffix in ["-wal", "-shm", "-journal", ""] {
        remove(&beside(&unfinished, suffix))?;
    }
    let length = length(path)?;
    if length.unwrap_or(0) > 0 {
        return Ok(());
    }
    if self::length(&beside(path, "-wal"))?.unwrap_or(0) > 0 {
        // SQLite would take an empty file for a new one, and throw away the log with all that is in it.
        return Err(Fault::Damaged("it is gone or empty, but its log `uos.db-wal` is there".into()));
    }
    if length.is_some() {
        return Err(Fault::Damaged("it is empty".into()));
    }
    make(&unfinished).await?;
    // What is left of the log of a database that was moved away is in the way of a new one.
    for suffix in ["-wal", "-shm"] {
        remove(&beside(path, suffix))?;
    }
    fs::rename(&unfinished, path).map_err(|error| Fault::of(&error))?;
    // The name of a new file survives a power cut only once its directory is synced.
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(|error| Fault::of(&error))
}

/// A whole database, synced, with nothing left in its log.
async fn make(path: &Path) -> Result<(), Fault> {
    // Sessions hold what their keeper wrote: the file is its owner's alone, and its log takes after it.
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    made.map_err(|error| Fault::of(&error))?;
    let options = options(path).journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
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
    // Closing would do this too, but would not say if it could not.
    let emptied = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut connection).await?;
    let (0, _, _): (i64, i64, i64) = emptied else {
        return Err(Fault::Other("its log could not be emptied".into()));
    };
    connection.close().await?;
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| Fault::of(&error))
}

/// A path with more behind it.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// How long a file is; nothing if there is none.
pub(super) fn length(path: &Path) -> Result<Option<u64>, Fault> {
    match path.metadata() {
        Ok(there) if there.is_file() => Ok(Some(there.len())),
        Ok(_) => Err(Fault::Other(format!("{} is no plain file: move it away", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Fault::of(&error)),
    }
}

fn remove(path: &Path) -> Result<(), Fault> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Fault::of(&error)),
        _ => Ok(()),
    }
}
