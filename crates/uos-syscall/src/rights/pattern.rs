//! Patterns over canonical paths, compared component by component, never by string prefix.

use std::fmt;

/// A pattern such as `/home/**` or `/usr/bin/*`.
///
/// `*` stands for any run of bytes within one component; a last component `**` stands for the path before it and
/// everything below; anything else means itself.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PathPattern {
    components: Vec<Box<[u8]>>,
    /// Ends in `**`.
    below: bool,
}

/// What is wrong with a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Patterns are absolute.
    #[error("a path pattern begins with `/`")]
    NotAbsolute,
    /// `//`, `.` and `..` never occur in a canonical path, so a pattern with them would never match.
    #[error("a path pattern has no empty, `.` or `..` components")]
    NotCanonical,
    /// `**` only makes sense at the end.
    #[error("`**` is the last component of a pattern, and stands alone")]
    MisplacedDoubleStar,
    /// NUL never occurs in a path.
    #[error("a path pattern has no NUL")]
    Nul,
    /// Longer than any path.
    #[error("a path pattern is shorter than 4,096 bytes")]
    TooLong,
}

impl PathPattern {
    /// Everything: `/**`.
    pub fn everything() -> Self {
        Self { components: Vec::new(), below: true }
    }

    /// Reads a pattern.
    pub fn parse(text: &[u8]) -> Result<Self, PatternError> {
        if text.contains(&0) {
            return Err(PatternError::Nul);
        }
        if text.len() >= 4_096 {
            return Err(PatternError::TooLong);
        }
        let Some((b'/', rest)) = text.split_first() else { return Err(PatternError::NotAbsolute) };
        let mut pattern = Self { components: Vec::new(), below: false };
        if rest.is_empty() {
            return Ok(pattern);
        }
        for component in rest.split(|&byte| byte == b'/') {
            if pattern.below {
                return Err(PatternError::MisplacedDoubleStar);
            }
            match component {
                b"" | b"." | b".." => return Err(PatternError::NotCanonical),
                b"**" => pattern.below = true,
                other if other.windows(2).any(|pair| pair == b"**") => {
                    return Err(PatternError::MisplacedDoubleStar);
                }
                other => pattern.components.push(other.into()),
            }
        }
        Ok(pattern)
    }

    /// The one path that is meant, and whether everything below it is, too; none if a `*` leaves open which.
    pub(crate) fn literal(&self) -> Option<(Vec<u8>, bool)> {
        if self.components.iter().any(|component| component.contains(&b'*')) {
            return None;
        }
        let path = self.components.iter().fold(Vec::new(), |mut path, component| {
            path.push(b'/');
            path.extend_from_slice(component);
            path
        });
        Some((if path.is_empty() { b"/".to_vec() } else { path }, self.below))
    }

    pub(super) fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.components.iter().map(|component| &**component)
    }

    /// Whether everything below is meant, too.
    pub(super) fn is_below(&self) -> bool {
        self.below
    }

    /// Whether a canonical path is meant.
    pub fn matches(&self, path: &[u8]) -> bool {
        let mut names = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty());
        for component in &self.components {
            match names.next() {
                Some(name) if glob(component, name) => {}
                _ => return false,
            }
        }
        self.below || names.next().is_none()
    }

    /// Whether a canonical path and everything that ever lies below it are meant.
    pub fn matches_below(&self, path: &[u8]) -> bool {
        self.below && self.matches(path)
    }

    /// Whether a canonical path, or anything that could lie below it, is meant.
    pub fn reaches_into(&self, path: &[u8]) -> bool {
        let mut ours = self.components.iter();
        for name in path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
            match ours.next() {
                Some(component) if glob(component, name) => {}
                Some(_) => return false,
                None => return self.below,
            }
        }
        true
    }

    /// Whether everything that `other` means is meant by this one too.
    pub fn covers(&self, other: &PathPattern) -> bool {
        let mut theirs = other.components.iter();
        for ours in &self.components {
            match theirs.next() {
                // Within a component, their `*` is a byte that only our own `*` can take in: exact on literals, and on
                // patterns never more than the truth.
                Some(their) if glob(ours, their) => {}
                _ => return false,
            }
        }
        self.below || (theirs.next().is_none() && !other.below)
    }
}

/// Whether `name` fits a component with `*`s. Greedy with one point to go back to, so never worse than length × length.
pub(super) fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while from < name.len() {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            star = Some((at, from));
        } else if pattern.get(at) == Some(&name[from]) {
            at += 1;
            from += 1;
        } else if let Some((behind, taken)) = star {
            // The star takes in one more.
            (at, from) = (behind, taken + 1);
            star = Some((at, from));
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

impl fmt::Display for PathPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for component in &self.components {
            write!(out, "/{}", String::from_utf8_lossy(component))?;
        }
        match (self.below, self.components.is_empty()) {
            (true, _) => out.write_str("/**"),
            (false, true) => out.write_str("/"),
            (false, false) => Ok(()),
        }
    }
}

impl fmt::Debug for PathPattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PathPattern({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{PathPattern, PatternError};

    fn pattern(text: &str) -> PathPattern {
        PathPattern::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_table_of_matches() {
        for (text, path, expected) in [
            ("/a/**", "/a", true),
            ("/a/**", "/a/b/c", true),
            ("/a/**", "/ab", false),
            ("/data/**", "/data-secret/x", false),
            ("/**", "/", true),
            ("/**", "/x/y", true),
            ("/", "/", true),
            ("/", "/x", false),
            ("/usr/bin/*", "/usr/bin/printf", true),
            ("/usr/bin/*", "/usr/bin", false),
            ("/usr/bin/*", "/usr/bin/a/b", false),
            ("/l/*.txt", "/l/a.txt", true),
            ("/l/*.txt", "/l/.txt", true),
            ("/l/*.txt", "/l/a.txt.gz", false),
            ("/l/a*b*c", "/l/aXbYbZc", true),
            ("/l/a*b*c", "/l/aXbYbZ", false),
            ("/x", "/x", true),
            ("/x", "/x/y", false),
            ("/*/x", "/home/x", true),
            ("/*/x", "/home/a/x", false),
        ] {
            assert_eq!(pattern(text).matches(path.as_bytes()), expected, "{text} on {path}");
        }
    }

    #[test]
    fn only_what_is_spelt_out_is_one_path() {
        for (text, expected) in [
            ("/", Some(("/", false))),
            ("/**", Some(("/", true))),
            ("/a/b", Some(("/a/b", false))),
            ("/a/b/**", Some(("/a/b", true))),
            ("/a*", None),
            ("/*/b/**", None),
        ] {
            let expected = expected.map(|(path, below)| (path.as_bytes().to_vec(), below));
            assert_eq!(pattern(text).literal(), expected, "{text}");
        }
        assert_eq!(format!("{:?}", pattern("/a/*")), "PathPattern(/a/*)");
    }

    #[test]
    fn a_table_of_what_lies_below() {
        // The whole of it is meant; any of it is.
        for (text, path, whole, any) in [
            ("/a/**", "/a", true, true),
            ("/a/**", "/a/b", true, true),
            ("/a/**", "/ab", false, false),
            ("/a/**", "/", false, true),
            ("/a/b", "/a", false, true),
            ("/a/b", "/a/b", false, true),
            ("/a/b", "/a/b/c", false, false),
            ("/a/*", "/a/b", false, true),
            ("/a/*", "/a/b/c", false, false),
            ("/*/x/**", "/a", false, true),
            ("/*/x/**", "/a/x/y", true, true),
            ("/*/x/**", "/a/y", false, false),
            ("/**", "/", true, true),
            ("/", "/", false, true),
            ("/", "/a", false, false),
        ] {
            let (pattern, path) = (pattern(text), path.as_bytes());
            assert_eq!((pattern.matches_below(path), pattern.reaches_into(path)), (whole, any), "{text}");
        }
    }

    #[test]
    fn what_is_refused() {
        for (text, error) in [
            ("", PatternError::NotAbsolute),
            ("home", PatternError::NotAbsolute),
            ("//", PatternError::NotCanonical),
            ("/a/../b", PatternError::NotCanonical),
            ("/a/", PatternError::NotCanonical),
            ("/**/x", PatternError::MisplacedDoubleStar),
            ("/a**", PatternError::MisplacedDoubleStar),
            ("/a\0b", PatternError::Nul),
        ] {
            assert_eq!(PathPattern::parse(text.as_bytes()), Err(error), "{text}");
        }
        let of_length = |length: usize| PathPattern::parse(format!("/{}", "a".repeat(length - 1)).as_bytes());
        assert_eq!(of_length(4_096), Err(PatternError::TooLong));
        assert!(of_length(4_095).is_ok());
    }

    fn component() -> impl Strategy<Value = String> {
        prop_oneof![Just("*".to_owned()), "[ab]{1,2}", "[ab]?\\*[ab]?"]
    }

    fn any_pattern() -> impl Strategy<Value = PathPattern> {
        (prop::collection::vec(component(), 0..4), any::<bool>()).prop_map(|(components, below)| {
            let mut text = components.iter().map(|name| format!("/{name}")).collect::<String>();
            if below {
                text.push_str("/**");
            }
            pattern(if text.is_empty() { "/" } else { &text })
        })
    }

    fn any_path() -> impl Strategy<Value = String> {
        prop::collection::vec("[ab]{1,3}", 0..5).prop_map(|names| format!("/{}", names.join("/")))
    }

    proptest! {
        /// Covering is sound: what the covered one means, the covering one means.
        #[test]
        fn covering_never_widens(wide in any_pattern(), narrow in any_pattern(), path in any_path()) {
            if wide.covers(&narrow) && narrow.matches(path.as_bytes()) {
                prop_assert!(wide.matches(path.as_bytes()));
            }
        }

        /// The whole is the path and each below it, and any is one of them.
        #[test]
        fn what_is_said_of_all_below_holds_for_each(one in any_pattern(), path in any_path(), rest in any_path()) {
            let below = format!("{}{}", path.trim_end_matches('/'), if rest == "/" { "" } else { &rest });
            let below = if below.is_empty() { "/" } else { &below };
            let meant = one.matches(below.as_bytes());
            prop_assert!(meant || !one.matches_below(path.as_bytes()));
            prop_assert!(!meant || one.reaches_into(path.as_bytes()));
        }

        #[test]
        fn everything_covers_and_each_covers_itself(one in any_pattern()) {
            prop_assert!(PathPattern::everything().covers(&one));
            prop_assert!(one.covers(&one));
            prop_assert_eq!(&pattern(&one.to_string()), &one);
        }
    }
}
