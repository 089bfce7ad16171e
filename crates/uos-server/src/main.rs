//! `uos-server`: see the library for what it does, and `--help` for how to ask for it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;
use uos_server::{Config, Error, Flags, LogFormat};

fn main() -> ExitCode {
    match start(&Flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("uos-server: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn start(flags: &Flags) -> Result<(), Error> {
    let config = Config::load(flags)?;
    if flags.print_config {
        println!("{}", config.shown());
        return Ok(());
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().init(),
    }
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Io { what: "can't start the runtime".into(), error })?
        .block_on(uos_server::run(config))
}
