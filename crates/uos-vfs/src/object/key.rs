//! The keys of objects, and what is made of them.

use crate::{Error, Name, Result};
use sha2::{Digest, Sha256};

/// Names separated by slashes; the empty one is the root's. A directory's key for the service has one slash more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key(String);

impl Key {
    pub(super) const ROOT: Key = Key(String::new());

    /// The key of an entry, if it can have one.
    pub(super) fn entry(&self, name: Name<'_>) -> Result<Key> {
        let name = std::str::from_utf8(name.as_bytes()).ok().filter(|name| is_kept(name));
        let name =
            name.ok_or(Error::NotSupported("a name that is no UTF-8, or begins or ends with white space"))?;
        Ok(Key(format!("{}{name}", self.prefix())))
    }

    pub(super) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// As an object.
    pub(super) fn object(&self) -> String {
        self.0.clone()
    }

    /// As a directory, in the terms of the service.
    pub(super) fn directory(&self) -> String {
        if self.is_root() { "/".to_owned() } else { self.prefix() }
    }

    /// The name of an entry by its path at the service; `None` for the directory itself, and what no path can name.
    pub(super) fn name_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        let name = path.strip_prefix(&self.prefix())?;
        let name = name.strip_suffix('/').unwrap_or(name);
        let is_name = !name.contains('/') && is_kept(name) && Name::new(name.as_bytes()).is_ok();
        is_name.then_some(name)
    }

    /// The same for the same key, without anybody keeping count. Two keys have one in 2^63 by chance alone.
    pub(super) fn number(&self) -> u64 {
        hash(&self.0, 63)
    }

    fn prefix(&self) -> String {
        if self.is_root() { String::new() } else { format!("{}/", self.0) }
    }
}

/// Where an entry is in listings: in the order of this, whatever comes and goes. It fits into 62 bits.
pub(super) fn cursor_of(name: &str) -> u64 {
    hash(name, 62)
}

/// Never 0, which stands for the start and for no number.
fn hash(text: &str, bits: u32) -> u64 {
    let digest = Sha256::digest(text);
    let first = digest.iter().take(8).fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    (first >> (64 - bits)).max(1)
}

/// Services trim what they are given.
fn is_kept(name: &str) -> bool {
    !name.is_empty() && name.trim() == name
}

#[cfg(test)]
mod tests {
    use super::Key;
    use crate::{Error, Name};

    #[test]
    fn only_names_that_come_back_as_they_were_have_keys() {
        let dir = Key::ROOT.entry(Name::new(b"a").unwrap()).unwrap();
        for bad in [&b" x"[..], b"x\n", "\u{3000}x".as_bytes(), b"\xff"] {
            assert!(matches!(dir.entry(Name::new(bad).unwrap()), Err(Error::NotSupported(_))), "{bad:?}");
        }
        let key = dir.entry(Name::new("ü b".as_bytes()).unwrap()).unwrap();
        assert_eq!((key.object(), key.directory()), ("a/ü b".to_owned(), "a/ü b/".to_owned()));
        assert_eq!((dir.name_of("a/x"), dir.name_of("a/x/")), (Some("x"), Some("x")));
        for path in ["a/", "a//", "a/./", "a/..", "a/x/y", "b/x", "a/ x", "a"] {
            assert_eq!(dir.name_of(path), None, "{path}");
        }
        assert_eq!((Key::ROOT.name_of("x"), Key::ROOT.name_of("/")), (Some("x"), None));
    }
}
