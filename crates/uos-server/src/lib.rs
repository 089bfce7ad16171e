//! The uOS server: one binary, one port, gRPC, HTTP, and the desktop's files.
//!
//! A request passes the gate first (is the host ours, is the origin ours, whose is the token), then goes to the gRPC
//! service or an HTTP route, and from there to the kernel. Only this crate knows HTTP, status codes and what a token in a
//! header is; it decides nothing about rights.
//!
//! [`run`] serves until it is told to stop; [`Config`] says where and with what.
#![forbid(unsafe_code)]

mod asked;
mod audit;
mod config;
mod data_dir;
mod desktop;
mod error;
mod events;
mod gate;
mod grpc;
mod http;
mod login;
mod serve;
mod store;
mod stream;
mod ui;

pub use config::{AuditOverflow, Config, Flags, HostMount, LogFormat};
pub use error::Error;
pub use http::openapi;
pub use serve::{Server, run};
pub use store::Fault;

/// An id that nobody can guess: 128 random bits.
fn random_id() -> String {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .expect("the host gives random bytes; the token was made of them at the start");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
