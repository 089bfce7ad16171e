//! One grant: a right, and what it is for.

use std::fmt;

use uos_proto::Right;

use super::{
    host::HostError,
    hosts::HostPattern,
    pattern::{PathPattern, PatternError},
};

/// A right with what it is for, written `right:pattern`; or, written `ask:right:pattern`, leave to ask for it: then whoever
/// uses it waits until somebody has allowed it.
///
/// Aligned to a cache line, so that the audit's thread, which reads it, and the calls, which count its users, don't take
/// the line from each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[repr(align(64))]
pub struct Grant {
    right: Right,
    scope: Scope,
    /// It may be asked for, and is not given.
    asks: bool,
}

/// What a grant begins with that only lets ask.
const ASK: &str = "ask:";

/// What a grant is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything: the right has no pattern.
    All,
    /// Paths.
    Paths(PathPattern),
    /// Hosts and ports.
    Hosts(HostPattern),
}

/// Why a grant can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// Not in the vocabulary.
    #[error("`{0}` is not a right")]
    UnknownRight(String),
    /// The right is for paths or addresses, and none is given.
    #[error("`{0}` needs a pattern: `{0}:…`")]
    NeedsPattern(&'static str),
    /// The right is for everything or nothing.
    #[error("`{0}` takes no pattern")]
    TakesNoPattern(&'static str),
    /// The pattern is malformed.
    #[error("`{text}`: {error}")]
    Pattern {
        /// The whole grant.
        text: String,
        /// What is wrong.
        error: PatternError,
    },
    /// The pattern of hosts is malformed.
    #[error("`{text}`: {error}")]
    Host {
        /// The whole grant.
        text: String,
        /// What is wrong.
        error: HostError,
    },
}

/// What a right is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Domain {
    Nothing,
    Path,
    Host,
    Name,
}

pub(crate) fn domain(right: Right) -> Domain {
    match right {
        Right::FsRead | Right::FsWrite | Right::ProcSpawn => Domain::Path,
        Right::NetConnect | Right::NetBind => Domain::Host,
        Right::NetResolve => Domain::Name,
        _ => Domain::Nothing,
    }
}

impl Grant {
    /// The grants that together give a right for everything it can be for. No one pattern of hosts means all of them.
    pub fn all(right: Right) -> impl Iterator<Item = Self> {
        let scopes = match domain(right) {
            Domain::Path => vec![Scope::Paths(PathPattern::everything())],
            Domain::Host => HostPattern::everything().map(Scope::Hosts).to_vec(),
            Domain::Name => HostPattern::every_name().map(Scope::Hosts).to_vec(),
            Domain::Nothing => vec![Scope::All],
        };
        scopes.into_iter().map(move |scope| Self { right, scope, asks: false })
    }

    /// Reads `right:pattern` or `ask:right:pattern`.
    pub fn parse(text: &str) -> Result<Self, GrantError> {
        let (asks, given) = text.strip_prefix(ASK).map_or((false, text), |given| (true, given));
        let (name, pattern) = match given.split_once(':') {
            Some((name, pattern)) => (name, Some(pattern)),
            None => (given, None),
        };
        let (right, name) = Right::ALL
            .iter()
            .find_map(|&right| Some((right, right.grant_name().filter(|known| *known == name)?)))
            .ok_or_else(|| GrantError::UnknownRight(name.chars().take(64).collect()))?;
        let scope = match (domain(right), pattern) {
            (Domain::Nothing, None) => Scope::All,
            (Domain::Nothing, Some(_)) => return Err(GrantError::TakesNoPattern(name)),
            (_, None | Some("")) => return Err(GrantError::NeedsPattern(name)),
            (Domain::Path, Some(pattern)) => match PathPattern::parse(pattern.as_bytes()) {
                Ok(pattern) => Scope::Paths(pattern),
                Err(error) => {
                    return Err(GrantError::Pattern { text: text.chars().take(256).collect(), error });
                }
            },
            (domain @ (Domain::Host | Domain::Name), Some(pattern)) => {
                let read = if domain == Domain::Host { HostPattern::parse } else { HostPattern::parse_names };
                match read(pattern) {
                    Ok(pattern) => Scope::Hosts(pattern),
                    Err(error) => {
                        return Err(GrantError::Host { text: text.chars().take(256).collect(), error });
                    }
                }
            }
        };
        Ok(Self { right, scope, asks })
    }

    /// The right.
    pub fn right(&self) -> Right {
        self.right
    }

    /// What it is for.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Whether it only lets its holder ask.
    pub fn is_ask(&self) -> bool {
        self.asks
    }

    /// Whether this grant gives everything that `other` gives. What is given need not be asked for.
    pub fn covers(&self, other: &Grant) -> bool {
        (!self.asks || other.asks) && self.reaches(other)
    }

    /// Whether it is for everything that `other` is for, to have or to ask for.
    pub(crate) fn reaches(&self, other: &Grant) -> bool {
        self.right == other.right
            && match (&self.scope, &other.scope) {
                (Scope::All, _) => true,
                (Scope::Paths(ours), Scope::Paths(theirs)) => ours.covers(theirs),
                (Scope::Hosts(ours), Scope::Hosts(theirs)) => ours.covers(theirs),
                _ => false,
            }
    }

    /// Whether it lets somebody act on a canonical path.
    pub(crate) fn allows_path(&self, path: &[u8]) -> bool {
        match &self.scope {
            Scope::Paths(pattern) => pattern.matches(path),
            Scope::All => true,
            Scope::Hosts(_) => false,
        }
    }

    /// What it is for, if that is paths.
    pub(crate) fn paths(&self) -> Option<&PathPattern> {
        if let Scope::Paths(pattern) = &self.scope { Some(pattern) } else { None }
    }

    /// What it is for, if that is hosts.
    pub(crate) fn hosts(&self) -> Option<&HostPattern> {
        if let Scope::Hosts(pattern) = &self.scope { Some(pattern) } else { None }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.asks { ASK } else { "" })?;
        out.write_str(self.right.grant_name().unwrap_or("none"))?;
        match &self.scope {
            Scope::All => Ok(()),
            Scope::Paths(pattern) => write!(out, ":{pattern}"),
            Scope::Hosts(pattern) => write!(out, ":{pattern}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Grant, GrantError, Scope};
    use uos_proto::Right;

    #[test]
    fn the_vocabulary_is_read_and_written_alike() {
        for text in [
            "fs.read:/home/**",
            "proc.spawn:/usr/bin/*",
            "ipc.create",
            "net.connect:example.org:443",
            "net.connect:unix:/run/**",
            "net.bind:[::1]:8000-8999",
            "net.resolve:*.example.org",
            "sys.info",
            "ask:fs.write:/home/**",
            "ask:net.connect:[::1]:1",
            "ask:sys.admin",
        ] {
            assert_eq!(Grant::parse(text).unwrap().to_string(), text);
        }
        for &right in Right::ALL.iter().filter(|right| right.grant_name().is_some()) {
            for all in Grant::all(right) {
                assert_eq!(Grant::parse(&all.to_string()), Ok(all));
            }
        }
    }

    #[test]
    fn what_is_refused() {
        assert!(matches!(Grant::parse("root"), Err(GrantError::UnknownRight(_))));
        assert!(matches!(Grant::parse(""), Err(GrantError::UnknownRight(_))));
        assert!(matches!(Grant::parse("fs.read"), Err(GrantError::NeedsPattern("fs.read"))));
        assert!(matches!(Grant::parse("fs.read:"), Err(GrantError::NeedsPattern("fs.read"))));
        assert!(matches!(Grant::parse("ipc.create:/x"), Err(GrantError::TakesNoPattern("ipc.create"))));
        assert!(matches!(Grant::parse("fs.read:home"), Err(GrantError::Pattern { .. })));
        assert!(matches!(Grant::parse("net.connect:a b"), Err(GrantError::Host { .. })));
        assert!(matches!(Grant::parse("net.resolve:a:1"), Err(GrantError::Host { .. })));
        assert!(matches!(Grant::parse("net.bind"), Err(GrantError::NeedsPattern("net.bind"))));
        assert!(matches!(Grant::parse("ask:ask:sys.info"), Err(GrantError::UnknownRight(_))));
        assert!(matches!(Grant::parse("ask:"), Err(GrantError::UnknownRight(_))));
        assert!(matches!(Grant::parse("ask"), Err(GrantError::UnknownRight(_))));
        assert!(matches!(Grant::parse("ask:fs.read"), Err(GrantError::NeedsPattern("fs.read"))));
    }

    #[test]
    fn what_is_given_covers_what_may_be_asked_for_and_not_the_other_way() {
        let read = |text: &str| Grant::parse(text).unwrap();
        for (one, other, expected) in [
            ("fs.read:/a/**", "ask:fs.read:/a/b", true),
            ("ask:fs.read:/a/**", "ask:fs.read:/a/b", true),
            ("ask:fs.read:/a/**", "fs.read:/a/b", false),
            ("ask:fs.read:/a/b", "ask:fs.read:/a/**", false),
            ("ask:fs.write:/a/**", "ask:fs.read:/a/b", false),
        ] {
            assert_eq!(read(one).covers(&read(other)), expected, "{one} {other}");
        }
        assert!(read("ask:fs.read:/a/**").reaches(&read("fs.read:/a/b")));
        assert!(!read("ask:fs.read:/a/**").reaches(&read("fs.read:/b")));
    }

    #[test]
    fn a_grant_is_for_paths_or_it_is_not() {
        let on = |text: &str, path: &str| Grant::parse(text).unwrap().allows_path(path.as_bytes());
        assert!(on("fs.read:/a/**", "/a/b"));
        assert!(!on("fs.read:/a/**", "/b"));
        // Without a pattern it is for everything; for hosts, it is for no path.
        assert!(on("fs.admin", "/a"));
        assert!(!on("net.connect:*", "/a"));
        let paths = |text: &str| Grant::parse(text).unwrap().paths().map(ToString::to_string);
        assert_eq!(paths("fs.read:/a/**").as_deref(), Some("/a/**"));
        assert_eq!(paths("fs.admin"), None);
        assert_eq!(paths("net.connect:*"), None);
        let hosts = |text: &str| Grant::parse(text).unwrap().hosts().map(ToString::to_string);
        assert_eq!(hosts("net.connect:*.a:1").as_deref(), Some("*.a:1"));
        assert_eq!(hosts("fs.read:/a/**"), None);
        assert_eq!(hosts("fs.admin"), None);
    }

    #[test]
    fn no_scope_covers_one_of_another_kind() {
        let of = |right, scope| Grant { asks: false, right, scope };
        let paths = Grant::parse("fs.read:/**").unwrap().scope().clone();
        let hosts = Grant::parse("net.connect:*").unwrap().scope().clone();
        let all = of(Right::FsRead, Scope::All);
        for scope in [paths.clone(), hosts.clone()] {
            assert!(all.covers(&of(Right::FsRead, scope.clone())));
            assert!(!of(Right::FsRead, scope).covers(&all));
        }
        assert!(!of(Right::FsRead, paths.clone()).covers(&of(Right::FsRead, hosts.clone())));
        assert!(!of(Right::FsRead, hosts).covers(&of(Right::FsRead, paths)));
    }

    #[test]
    fn one_right_never_covers_another() {
        let read = Grant::parse("fs.read:/**").unwrap();
        assert!(!read.covers(&Grant::parse("fs.write:/a").unwrap()));
        assert!(read.covers(&Grant::parse("fs.read:/a/*").unwrap()));
    }
}
