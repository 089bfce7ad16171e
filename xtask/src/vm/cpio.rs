//! The archive that a kernel unpacks as its first root: `newc`, the one form it knows, written without anybody's help.

/// What an archive holds, in the order in which it was put in.
#[derive(Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const CHARACTERS: u32 = 0o020_000;

impl Archive {
    /// A directory. Those above it must have come before.
    pub(crate) fn directory(&mut self, path: &str, mode: u32) {
        self.entry(path, DIRECTORY | mode, (0, 0), &[]);
    }

    pub(crate) fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) {
        self.entry(path, FILE | mode, (0, 0), bytes);
    }

    pub(crate) fn link(&mut self, path: &str, to: &str) {
        self.entry(path, LINK | 0o777, (0, 0), to.as_bytes());
    }

    /// A character device, by its major and minor number.
    pub(crate) fn device(&mut self, path: &str, mode: u32, number: (u32, u32)) {
        self.entry(path, CHARACTERS | mode, number, &[]);
    }

    /// The archive with its end.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), bytes: &[u8]) {
        let name = path.trim_start_matches('/');
        self.entries += 1;
        let length = u32::try_from(bytes.len()).expect("a file in the image is smaller than 4 GiB");
        let name_length = u32::try_from(name.len() + 1).expect("a path is short");
        // inode, mode, owner, group, links, time, length, device it is on, device it is, length of its name, no checksum.
        let fields = [self.entries, mode, 0, 0, 1, 0, length, 0, 0, device.0, device.1, name_length, 0]
            .map(|field| format!("{field:08x}"));
        self.bytes.extend_from_slice(b"070701");
        self.bytes.extend_from_slice(fields.concat().as_bytes());
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(bytes);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::Archive;

    #[test]
    fn an_entry_is_a_header_a_name_and_its_bytes_each_padded() {
        let mut archive = Archive::default();
        archive.file("/a", 0o644, b"hello");
        let bytes = archive.finish();
        let header = "070701000000010000\
                      81a4000000000000000000000001000000000000000500000000000000000000000000000000\
                      0000000200000000";
        assert_eq!(&bytes[..110], header.as_bytes());
        assert_eq!(&bytes[110..112], b"a\0");
        assert_eq!(&bytes[112..120], b"hello\0\0\0");
        assert!(bytes[120..].starts_with(b"070701") && bytes.ends_with(b"TRAILER!!!\0\0\0\0"), "{bytes:?}");
    }
}
