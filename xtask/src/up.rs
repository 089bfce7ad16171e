//! `up`: builds the desktop and the server, and becomes the server.

use std::{os::unix::process::CommandExt, process::Command};

use crate::{Result, desktop, shell};

/// Builds the desktop and the server, then replaces this process by it, so that signals, the process group, the terminal and the exit
/// code are the server's own. Comes back only if that fails.
pub(crate) fn run(dev: bool, server_args: &[String]) -> Result {
    match desktop::node_fits() {
        Ok(()) => desktop::build()?,
        Err(why) => eprintln!("the server will have no desktop: {why}. Every API works all the same."),
    }
    let server = shell::build("uos-server", !dev)?;
    let error = Command::new(&server).args(server_args).exec();
    Err(format!("the server at {} could not be started: {error}", server.display()).into())
}
