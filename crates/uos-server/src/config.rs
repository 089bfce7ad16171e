//! The configuration: flags over environment over file over defaults.

use std::{net::SocketAddr, path::PathBuf};

use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
};
use serde::{Deserialize, Serialize};

use crate::Error;

/// Serve processes, files and pipes over gRPC and HTTP.
#[derive(Debug, Default, Serialize, clap::Parser)]
#[command(name = "uos-server", version)]
pub struct Flags {
    /// Where to listen; port 0 picks a free one [default: 127.0.0.1:7700]
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// Where state is kept [default: the user's data directory + /uos]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// A TOML file with the same keys, and host folders to mount
    #[arg(long, value_name = "FILE", env = "UOS_CONFIG")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// How to log, to standard error [default: text]
    #[arg(long, value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogFormat>,
    /// Show the effective configuration and stop
    #[arg(long)]
    #[serde(skip)]
    pub print_config: bool,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// What becomes of audit records that the disk can't keep up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditOverflow {
    /// Calls wait, and none is lost.
    Wait,
    /// Calls go on, and those that there is no room for are lost, and counted.
    Drop,
}

/// What the server runs with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where state is kept.
    pub data_dir: PathBuf,
    /// How to log.
    pub log: LogFormat,
    /// What becomes of audit records that the disk can't keep up with.
    pub audit_overflow: AuditOverflow,
    /// How many seconds a call waits for a right that it has asked for.
    pub ask_patience_s: u64,
    /// Names, beside loopback's and the address listened on, under which clients may reach the server.
    pub allowed_hosts: Vec<String>,
    /// How much `/home` holds.
    pub home_bytes: u64,
    /// How much `/tmp` holds.
    pub tmp_bytes: u64,
    /// Host folders in the namespace, beside the default ones.
    pub mounts: Vec<HostMount>,
}

/// A host folder in the namespace.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostMount {
    /// Where it appears.
    pub at: String,
    /// The folder of the host.
    pub host: PathBuf,
    /// Nothing in it can be changed.
    #[serde(default = "yes")]
    pub read_only: bool,
}

fn yes() -> bool {
    true
}

impl Config {
    /// The defaults, with state kept in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        let capacity = uos_syscall::namespace::Capacity::default();
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7700)),
            data_dir: data_dir.into(),
            log: LogFormat::Text,
            audit_overflow: AuditOverflow::Wait,
            ask_patience_s: 300,
            allowed_hosts: Vec::new(),
            home_bytes: capacity.home_bytes,
            tmp_bytes: capacity.tmp_bytes,
            mounts: Vec::new(),
        }
    }

    /// The effective configuration.
    pub fn load(flags: &Flags) -> Result<Self, Error> {
        let mut figment = Figment::from(Serialized::defaults(Self::new(default_data_dir())));
        if let Some(file) = &flags.config {
            if !file.is_file() {
                return Err(Error::Config(format!("there is no configuration file {}", file.display())));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        let config: Self = figment
            .merge(Env::prefixed("UOS_").only(&[
                "listen",
                "data_dir",
                "log",
                "audit_overflow",
                "ask_patience_s",
                "allowed_hosts",
                "home_bytes",
                "tmp_bytes",
            ]))
            .merge(Serialized::defaults(flags))
            .extract()
            .map_err(|error| Error::Config(error.to_string()))?;
        if config.data_dir.as_os_str().is_empty() {
            return Err(Error::Config("there is no home directory to keep state in: give --data-dir".into()));
        }
        Ok(config)
    }

    /// As a TOML-like listing, for `--print-config`.
    pub fn shown(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

/// The user's data directory + `/uos`; empty if there is none.
fn default_data_dir() -> PathBuf {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    var("XDG_DATA_HOME")
        .or_else(|| var("HOME").map(|home| home.join(".local/share")))
        .map(|base| base.join("uos"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Config, Flags};

    #[test]
    fn a_file_gives_mounts_and_a_flag_wins_over_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("uos.toml");
        std::fs::write(
            &file,
            "listen = \"127.0.0.1:1\"\ndata_dir = \"/d\"\n[[mounts]]\nat = \"/data\"\nhost = \"/srv\"\n",
        )
        .unwrap();
        let flags =
            Flags { config: Some(file), listen: Some("127.0.0.1:2".parse().unwrap()), ..Flags::default() };
        let config = Config::load(&flags).unwrap();
        assert_eq!((config.listen.port(), config.data_dir.to_str()), (2, Some("/d")));
        assert!(config.mounts[0].at == "/data" && config.mounts[0].read_only);
    }

    #[test]
    fn a_misspelt_key_and_an_absent_file_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("uos.toml");
        std::fs::write(&file, "lisen = \"127.0.0.1:1\"\n").unwrap();
        let load = |file| Config::load(&Flags { config: Some(file), ..Flags::default() }).unwrap_err();
        assert_eq!(load(file).exit_code(), 2);
        assert_eq!(load(dir.path().join("none")).exit_code(), 2);
    }
}
