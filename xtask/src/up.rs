//! `up`: builds the server and becomes it.

use std::{os::unix::process::CommandExt, process::Command};

use crate::{Result, shell};

/// Builds the server, then replaces this process by it, so that signals, the process group, the terminal and the exit
/// code are the server's own. Comes back only if that fails.
pub(crate) fn run(dev: bool, server_args: &[String]) -> Result {
    let server = shell::build("uos-server", !dev)?;
    let error = Command::new(&server).args(server_args).exec();
    Err(format!("the server at {} could not be started: {error}", server.display()).into())
}
