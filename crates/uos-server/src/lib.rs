//! The uOS server: one binary, one port, gRPC and HTTP.
//!
//! A request passes the gate first (is the host ours, is the origin ours, whose is the token), then goes to the gRPC
//! service or an HTTP route, and from there to the kernel. Only this crate knows HTTP, status codes and what a token in a
//! header is; it decides nothing about rights.
//!
//! [`run`] serves until it is told to stop; [`Config`] says where and with what.
#![forbid(unsafe_code)]

mod audit;
mod config;
mod data_dir;
mod error;
mod gate;
mod grpc;
mod http;
mod serve;
mod stream;

pub use config::{Config, Flags, HostMount, LogFormat};
pub use error::Error;
pub use serve::{Server, run};
