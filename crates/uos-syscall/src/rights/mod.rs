//! Rights: what a process may do, as values of the form `right:pattern`.
//!
//! Nothing here knows processes, files or networks: a right is asked for with a canonical path, or with a host and the
//! address it leads to, and the grants say which of them allows it. Deny is the default.

mod address;
mod grant;
mod grants;
mod host;
mod hosts;
mod index;
mod pattern;

pub use address::AddressKind;

pub use grant::{Grant, GrantError, Scope};
pub use grants::Grants;
pub use host::{Host, HostError};
pub use hosts::HostPattern;
pub use pattern::{PathPattern, PatternError};
