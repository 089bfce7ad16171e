//! `bench`: hands over to the package that measures; it alone knows the names, the peers and the report.

use crate::{Result, shell};

/// Runs the measurements in the profile a user would ship.
pub(crate) fn run(args: &[String]) -> Result {
    let mut command = shell::cargo(&["run", "--profile", "bench", "--package", "uos-bench", "--"]);
    shell::run(command.args(args))
}
