//! Paths are bytes. A [`VPath`] is one that needs no further checks.

use crate::{Error, NAME_MAX, Result};
use std::fmt;
use std::sync::LazyLock;

/// Paths given by callers must be shorter than this.
pub(crate) const PATH_MAX: usize = 4096;

/// An absolute, normalised byte path: starts with `/`, holds no empty, `.` or `..` components and
/// ends in `/` only if it is the root.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VPath(Vec<u8>);

impl VPath {
    /// The path `/`.
    pub fn root() -> Self {
        VPath(vec![b'/'])
    }

    /// The path `/`, for those who need it by reference.
    pub fn root_ref() -> &'static Self {
        static ROOT: LazyLock<VPath> = LazyLock::new(VPath::root);
        &ROOT
    }

    /// Normalises an absolute path by its text alone: links are not known here, so `a/..` vanishes
    /// whatever `a` is, and `..` at the root stays there.
    ///
    /// # Errors
    /// [`Error::NotFound`] for the empty path, [`Error::InvalidPath`] for a relative one or one with
    /// a NUL byte, [`Error::NameTooLong`] for a name over 255 or a path over 4095 bytes.
    pub fn parse(path: &[u8]) -> Result<Self> {
        check_path(path)?;
        if path[0] != b'/' {
            return Err(Error::InvalidPath);
        }
        if split(path).any(|name| name.len() > NAME_MAX) {
            return Err(Error::NameTooLong);
        }
        let mut normal = VPath(Vec::with_capacity(path.len()));
        normal.0.push(b'/');
        normal.push_lexically(path);
        Ok(normal)
    }

    /// The bytes, beginning with `/`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// True for `/`.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// The names from the root down; none for the root.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        split(&self.0)
    }

    /// The path of `name` in the directory this path stands for. More than a single name is
    /// normalised by its text, so the result is a `VPath` whatever comes in.
    pub fn join(&self, name: &[u8]) -> VPath {
        let mut joined = Vec::with_capacity(self.0.len() + 1 + name.len());
        joined.extend_from_slice(&self.0);
        let mut joined = VPath(joined);
        joined.push_lexically(name);
        joined
    }

    /// The path of the directory this one is in; none for the root.
    pub fn parent(&self) -> Option<VPath> {
        if self.is_root() {
            return None;
        }
        let mut parent = self.clone();
        parent.pop();
        Some(parent)
    }

    /// The last name; none for the root.
    pub fn file_name(&self) -> Option<&[u8]> {
        let slash = self.0.iter().rposition(|&byte| byte == b'/')?;
        Some(&self.0[slash + 1..]).filter(|name| !name.is_empty())
    }

    /// True if `self` is `other` or lies below it.
    pub fn starts_with(&self, other: &VPath) -> bool {
        other.is_root()
            || self.0.strip_prefix(other.0.as_slice()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }

    /// An empty canonical buffer with room for `room` bytes: the root, ready for [`VPath::push`].
    pub(crate) fn with_room(room: usize) -> Self {
        let mut bytes = Vec::with_capacity(room.max(1));
        bytes.push(b'/');
        VPath(bytes)
    }

    /// Hands the buffer out, for good: what is left is no path any more, and is to be dropped.
    pub(crate) fn take(&mut self) -> VPath {
        VPath(std::mem::take(&mut self.0))
    }

    /// Appends one name that was already checked.
    pub(crate) fn push(&mut self, name: &[u8]) {
        if self.0.len() > 1 {
            self.0.push(b'/');
        }
        self.0.extend_from_slice(name);
    }

    /// Takes the last name off; the root stays the root.
    pub(crate) fn pop(&mut self) {
        let slash = self.0.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        self.0.truncate(slash.max(1));
    }

    /// Back to the root, keeping the buffer.
    pub(crate) fn clear(&mut self) {
        self.0.truncate(1);
    }

    /// Appends every component of `rest`, resolving `.` and `..` by text.
    pub(crate) fn push_lexically(&mut self, rest: &[u8]) {
        for name in split(rest) {
            match name {
                b"." => {}
                b".." => self.pop(),
                name => self.push(name),
            }
        }
    }
}

impl fmt::Display for VPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(&self.0).fmt(f)
    }
}

impl fmt::Debug for VPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// The non-empty pieces between separators.
pub(crate) fn split(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|name| !name.is_empty())
}

/// What is required of a path as a caller hands it in, before anything is looked up. A name that is too
/// long is only found out where it is met, after all that is missing before it.
pub(crate) fn check_path(path: &[u8]) -> Result<()> {
    if path.is_empty() {
        return Err(Error::NotFound);
    }
    if path.contains(&0) {
        return Err(Error::InvalidPath);
    }
    if path.len() >= PATH_MAX {
        return Err(Error::NameTooLong);
    }
    Ok(())
}

/// What is required of the text of a link, when it is made and when it is followed.
pub(crate) fn check_target(target: &[u8]) -> Result<()> {
    match target {
        [] => Err(Error::NotFound),
        _ if target.contains(&0) => Err(Error::InvalidPath),
        _ if target.len() >= PATH_MAX => Err(Error::NameTooLong),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::VPath;
    use crate::Error;

    #[test]
    fn parsing_normalises_by_text() {
        for (given, normal) in [
            ("/", "/"),
            ("//", "/"),
            ("/..", "/"),
            ("/a/./b//c/", "/a/b/c"),
            ("/a/../../b", "/b"),
            ("/a/b/..", "/a"),
            ("/...", "/..."),
        ] {
            assert_eq!(VPath::parse(given.as_bytes()).unwrap().as_bytes(), normal.as_bytes(), "{given}");
        }
    }

    #[test]
    fn parsing_refuses_what_no_path_is() {
        assert_eq!(VPath::parse(b""), Err(Error::NotFound));
        assert_eq!(VPath::parse(b"a/b"), Err(Error::InvalidPath));
        assert_eq!(VPath::parse(b"/a\0b"), Err(Error::InvalidPath));
        assert!(VPath::parse(&[b"/", [b'x'; 255].as_slice()].concat()).is_ok());
        assert_eq!(VPath::parse(&[b"/", [b'x'; 256].as_slice()].concat()), Err(Error::NameTooLong));
        assert!(VPath::parse(&b"/a".repeat(2047)).is_ok());
        assert_eq!(VPath::parse(&b"/a".repeat(2048)), Err(Error::NameTooLong));
    }

    #[test]
    fn family() {
        let path = VPath::parse(b"/a/b").unwrap();
        assert_eq!(path.parent(), VPath::parse(b"/a").ok());
        assert_eq!(path.parent().and_then(|a| a.parent()), Some(VPath::root()));
        assert_eq!(VPath::root().parent(), None);
        assert_eq!(path.file_name(), Some(b"b".as_slice()));
        assert_eq!(VPath::root().file_name(), None);
        assert_eq!(VPath::root().join(b"a").join(b"b"), path);
        assert_eq!(path.join(b"../c"), VPath::parse(b"/a/c").unwrap());
        assert_eq!(path.components().collect::<Vec<_>>(), [b"a", b"b"]);
        assert!(path.starts_with(&VPath::root()) && path.starts_with(&path));
        assert!(!VPath::parse(b"/ab").unwrap().starts_with(&VPath::parse(b"/a").unwrap()));
    }
}
