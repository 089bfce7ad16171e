//! Prints the description of the HTTP routes, as it is committed in `docs/openapi.json`.
//!
//! An example and not a flag of the server: only who changes the routes needs it.
#![forbid(unsafe_code)]

use std::io::{Write, stdout};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = stdout().lock();
    // Paths and schemas come sorted by name, so the same routes always give the same text.
    serde_json::to_writer_pretty(&mut out, &uos_server::openapi())?;
    writeln!(out)?;
    Ok(())
}
