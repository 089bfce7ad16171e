//! The one connection that writes, and what is done when it could not.
//!
//! After a failure nothing is done on a connection again. It may be left in the middle of a transaction; and a sync that
//! failed once must not be tried again, since the system may have forgotten by then what it had not written. What matters is
//! written anew, on a new connection.

use std::path::{Path, PathBuf};

use sqlx::{Connection, SqliteConnection};
use tracing::error;

use super::{
    Fault, Reserve,
    fault::is_full,
    open_to_write, sign,
    write::{Failed, flush},
};
use crate::desktop::{Dirty, State};

/// Commits, one after the other.
pub(crate) struct Committer {
    path: PathBuf,
    /// None after a failure.
    connection: Option<SqliteConnection>,
    reserve: Reserve,
}

/// Why a change is not in the file.
#[derive(Clone, Debug)]
pub(crate) enum Unwritten {
    /// The disk has no room. It is not there.
    Full,
    /// The disk failed. It is not there.
    Failed(String),
    /// The disk failed as it was committed. It is not there now, but could be again after a crash.
    Unknown(String),
}

impl From<Fault> for Unwritten {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Full => Self::Full,
            other => Self::Failed(other.to_string()),
        }
    }
}

impl Committer {
    pub(super) fn new(path: &Path, connection: SqliteConnection, reserve: Reserve) -> Self {
        Self { path: path.to_owned(), connection: Some(connection), reserve }
    }

    /// Whether the reserve is whole, or can be made so. Without it only what makes room is to be written.
    pub(crate) async fn has_room(&mut self) -> bool {
        self.reserve.take().await
    }

    /// Gives the reserve away to what is written next.
    pub(crate) async fn spend_reserve(&mut self) {
        self.reserve.release();
        // What the log holds goes into the file as far as there is room, and the log begins anew in the room it has: else
        // every deletion would take more.
        if let Ok(connection) = self.ready().await
            && let Err(error) = sqlx::query("PRAGMA wal_checkpoint(RESTART)").execute(&mut *connection).await
        {
            error!(%error, "the log can't begin anew");
            self.drop_connection().await;
        }
    }

    /// Writes what is dirty as the state has it, all or nothing. What was written is on the disk when this returns.
    pub(crate) async fn commit(&mut self, state: &State, dirty: &Dirty) -> Result<(), Unwritten> {
        let connection = self.ready().await?;
        let Err(Failed { error, committing }) = flush(connection, state, dirty).await else { return Ok(()) };
        self.drop_connection().await;
        // Then the end of the transaction is not in the log.
        if is_full(&error) {
            return Err(Unwritten::Full);
        }
        if !committing {
            return Err(Unwritten::Failed(error.to_string()));
        }
        // All of it may be in the log, just not known to be on the disk. Who reads the log after a crash would take it for
        // good, and has been told that it was refused. So something else is committed in its place in the log.
        match self.ready().await {
            Ok(_) => Err(Unwritten::Failed(error.to_string())),
            Err(_) => Err(Unwritten::Unknown(error.to_string())),
        }
    }

    pub(crate) async fn close(mut self) -> sqlx::Result<()> {
        match self.connection.take() {
            Some(connection) => connection.close().await,
            None => Ok(()),
        }
    }

    /// The connection, or a new one, which has committed something.
    async fn ready(&mut self) -> Result<&mut SqliteConnection, Fault> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let mut connection = open_to_write(&self.path).await?;
                sign(&mut connection).await?;
                connection
            }
        };
        Ok(self.connection.insert(connection))
    }

    async fn drop_connection(&mut self) {
        if let Some(connection) = self.connection.take() {
            // It has failed before; what it says now is no news.
            let _ = connection.close().await;
        }
    }
}
