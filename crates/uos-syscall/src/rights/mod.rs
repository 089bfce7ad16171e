//! Rights: what a process may do, as values of the form `right:pattern`.
//!
//! Nothing here knows processes or files: a right is asked for with a canonical path, and the grants say which of them
//! allows it. Deny is the default.

mod grant;
mod grants;
mod pattern;

pub use grant::{Grant, GrantError, Scope};
pub use grants::Grants;
pub use pattern::{PathPattern, PatternError};
