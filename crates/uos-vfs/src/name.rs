//! The name of one entry in one directory.

use crate::{Error, Result};
use std::fmt;

/// Longest name of one entry, in bytes.
pub const NAME_MAX: usize = 255;

/// One component of a path: 1 to 255 bytes without `/` and NUL, and neither `.` nor `..`.
///
/// Backends take nothing else, and so need not check again: a separator or one of the dots would let
/// a lookup on the host leave its directory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name<'a>(&'a [u8]);

impl<'a> Name<'a> {
    /// The name of these bytes.
    ///
    /// # Errors
    /// [`Error::NameTooLong`] beyond 255 bytes; [`Error::InvalidPath`] for what is no name at all.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        if bytes.len() > NAME_MAX {
            return Err(Error::NameTooLong);
        }
        if matches!(bytes, b"" | b"." | b"..") || bytes.iter().any(|&byte| byte == 0 || byte == b'/') {
            return Err(Error::InvalidPath);
        }
        Ok(Name(bytes))
    }

    /// A component that the resolver has split off: only its length is left to check.
    pub(crate) fn component(bytes: &'a [u8]) -> Result<Self> {
        debug_assert!(Name::new(bytes).is_ok() || bytes.len() > NAME_MAX);
        if bytes.len() > NAME_MAX { Err(Error::NameTooLong) } else { Ok(Name(bytes)) }
    }

    /// The bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

impl<'a> TryFrom<&'a [u8]> for Name<'a> {
    type Error = Error;

    fn try_from(bytes: &'a [u8]) -> Result<Self> {
        Name::new(bytes)
    }
}

impl<'a> TryFrom<&'a str> for Name<'a> {
    type Error = Error;

    fn try_from(text: &'a str) -> Result<Self> {
        Name::new(text.as_bytes())
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(self.0).fmt(f)
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::Name;
    use crate::Error;

    #[test]
    fn names_are_single_components() {
        for bad in [&b""[..], b".", b"..", b"a/b", b"/", b"../f", b"a\0"] {
            assert_eq!(Name::new(bad), Err(Error::InvalidPath), "{bad:?}");
        }
        assert!(Name::new(&[b'x'; 255]).is_ok());
        assert_eq!(Name::new(&[b'x'; 256]), Err(Error::NameTooLong));
        assert_eq!(Name::new(b"...\xff").map(Name::as_bytes), Ok(&b"...\xff"[..]));
    }
}
