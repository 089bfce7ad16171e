//! What can be wrong with a database, in words that a person can act on.

use std::io;

use sqlx::migrate::MigrateError;

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
    /// The disk fails.
    Failing(String),
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
            Self::Failing(why) => write!(
                out,
                "the disk fails ({why}): what was acknowledged is still in the file; look after the disk, and start again"
            ),
            Self::Other(why) => out.write_str(why),
        }
    }
}

impl Fault {
    pub(super) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::ReadOnly(error.to_string())
            }
            // `EIO` has no kind of its own.
            _ if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
                Self::Failing(error.to_string())
            }
            _ => Self::Other(error.to_string()),
        }
    }
}

/// `SQLITE_IOERR_SHMSIZE`: there was no room for the index of the log. It is asked for by writing, so that a full disk is
/// found then and not by a signal later.
const NO_ROOM_FOR_INDEX: u32 = 4874;

/// Whether it is for want of room. `SQLITE_FULL` is 13.
pub(super) fn is_full(error: &sqlx::Error) -> bool {
    code_of(error).is_some_and(|code| code & 0xff == 13 || code == NO_ROOM_FOR_INDEX)
}

/// The result code of SQLite behind an error, if there is one. Its low byte is the primary code.
fn code_of(error: &sqlx::Error) -> Option<u32> {
    error.as_database_error().and_then(|error| error.code()?.parse().ok())
}

/// `SQLITE_READONLY_ROLLBACK`: it would have to be rolled back before it can be read.
const ROLLBACK: u32 = 776;

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        if is_full(&error) {
            return Self::Full;
        }
        let text = error.to_string();
        let Some(code) = code_of(&error) else {
            return match error {
                sqlx::Error::Io(error) => Self::of(&error),
                sqlx::Error::Decode(_)
                | sqlx::Error::ColumnDecode { .. }
                | sqlx::Error::ColumnIndexOutOfBounds { .. }
                // The library gives up on what no sound file holds.
                | sqlx::Error::WorkerCrashed
                | sqlx::Error::RowNotFound => Self::Damaged(text),
                _ => Self::Other(text),
            };
        };
        if code == ROLLBACK {
            return Self::Damaged(
                "another program was stopped while it wrote to it, and left a journal".into(),
            );
        }
        // The primary result codes of SQLite: 1 ERROR (a table or column is missing), 8 READONLY, 10 IOERR, 11 CORRUPT,
        // 14 CANTOPEN, 26 NOTADB.
        match code & 0xff {
            1 | 11 | 26 => Self::Damaged(text),
            8 | 14 => Self::ReadOnly(text),
            10 => Self::Failing(text),
            _ => Self::Other(text),
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
