//! A name as a directory keeps it: most fit where a pointer and a length would be anyway.

/// Names up to this length take no allocation of their own.
const SHORT: usize = 22;

#[derive(Clone)]
pub(super) enum StoredName {
    Short(u8, [u8; SHORT]),
    Long(Box<[u8]>),
}

impl StoredName {
    #[inline]
    pub(super) fn new(name: &[u8]) -> Self {
        match u8::try_from(name.len()) {
            Ok(len) if name.len() <= SHORT => {
                let mut bytes = [0; SHORT];
                bytes[..name.len()].copy_from_slice(name);
                StoredName::Short(len, bytes)
            }
            _ => StoredName::Long(name.into()),
        }
    }

    /// Whether it is that name, seen at the first byte if it is not.
    #[inline]
    pub(super) fn is(&self, name: &[u8]) -> bool {
        let bytes = self.as_bytes();
        bytes.len() == name.len() && bytes.first() == name.first() && bytes == name
    }

    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            StoredName::Short(len, bytes) => &bytes[..usize::from(*len)],
            StoredName::Long(bytes) => bytes,
        }
    }
}

impl Default for StoredName {
    fn default() -> Self {
        StoredName::Short(0, [0; SHORT])
    }
}

#[cfg(test)]
mod tests {
    use super::StoredName;

    #[test]
    fn short_and_long_names_are_kept() {
        assert_eq!(size_of::<StoredName>(), 24);
        for len in [0, 1, 21, 22, 23, 255] {
            let name: Vec<u8> = (0..len).collect();
            assert_eq!(StoredName::new(&name).as_bytes(), name);
        }
    }
}
