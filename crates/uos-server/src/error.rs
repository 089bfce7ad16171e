//! Why the server does not serve.

use std::{io, net::SocketAddr, path::PathBuf};

use crate::store::Fault;

/// Why the server could not start, or stopped.
#[derive(Debug)]
pub enum Error {
    /// The configuration makes no sense.
    Config(String),
    /// The address can be reached by others, and no token was set by the operator.
    Exposed(SocketAddr),
    /// Another server holds the data directory.
    InUse {
        /// The directory.
        dir: PathBuf,
        /// Who holds it, in the words it left there.
        holder: String,
    },
    /// A database can't be used.
    Database {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: Fault,
    },
    /// Something failed.
    Io {
        /// What was being done.
        what: String,
        /// How it failed.
        error: io::Error,
    },
}

impl Error {
    /// An IO error with what was being done.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io { what, error }
    }

    /// The exit code: 2 for usage and configuration, 1 for everything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Exposed(_) => 2,
            Self::InUse { .. } | Self::Database { .. } | Self::Io { .. } => 1,
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Config(why) => out.write_str(why),
            Self::Exposed(address) => write!(
                out,
                "{address} can be reached from other machines: set UOS_TOKEN to a secret of your own first, or listen on 127.0.0.1"
            ),
            Self::InUse { dir, holder } => {
                write!(out, "the data directory {} is in use by {holder}", dir.display())
            }
            Self::Database { path, fault } => {
                write!(out, "the database {} can't be used: {fault}", path.display())
            }
            Self::Io { what, error } => write!(out, "{what}: {error}"),
        }
    }
}

impl std::error::Error for Error {}
