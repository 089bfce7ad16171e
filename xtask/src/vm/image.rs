//! The first root of the machine: the programs of this host that tests use, with their libraries, and what is tested.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::cpio::Archive;
use crate::{
    Result,
    shell::{self, program},
};

/// What tests start, and what the machine itself takes.
const PROGRAMS: &[&str] = &[
    "bash",
    "cat",
    "chmod",
    "chroot",
    "chrt",
    "cksum",
    "cp",
    "cut",
    "date",
    "dd",
    "echo",
    "env",
    "false",
    "grep",
    "head",
    "hostname",
    "id",
    "ip",
    "kill",
    "ls",
    "mkdir",
    "mkfs.ext4",
    "mount",
    "mv",
    "nice",
    "printf",
    "ps",
    "pwd",
    "python3",
    "readlink",
    "rm",
    "sed",
    "seq",
    "setsid",
    "sh",
    "sleep",
    "sort",
    "stat",
    "stty",
    "tac",
    "tail",
    "test",
    "touch",
    "tr",
    "true",
    "uname",
    "uniq",
    "unshare",
    "wc",
    "yes",
];

const ETC: &[&str] =
    &["/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/shadow", "/etc/hosts", "/etc/protocols"];

/// Where Debian has one directory for two.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// What lies where. A directory is there if something is in it.
#[derive(Default)]
pub(super) struct Image(BTreeMap<String, Entry>);

enum Entry {
    Directory,
    File { mode: u32, bytes: Vec<u8> },
    Link(String),
    Device(u32, u32),
}

impl Image {
    /// All that a small Linux takes. Fails if this host has not got one of the programs, and says which.
    pub(super) fn of_this_host() -> Result<Self> {
        let mut image = Image::default();
        for name in MERGED {
            image.put(&format!("/usr/{name}"), Entry::Directory);
            image.put(&format!("/{name}"), Entry::Link(format!("usr/{name}")));
        }
        for place in [
            "/dev",
            "/proc",
            "/sys",
            "/tmp",
            "/run",
            "/root",
            "/again",
            "/var/tmp",
            "/usr/local",
            "/etc/alternatives",
        ] {
            image.put(place, Entry::Directory);
        }
        image.put("/dev/console", Entry::Device(5, 1));
        image.put("/dev/null", Entry::Device(1, 3));
        let missing: Vec<&str> = PROGRAMS.iter().copied().filter(|name| find(name).is_none()).collect();
        if !missing.is_empty() {
            return Err(format!("this host has no {} for the machine", missing.join(", ")).into());
        }
        for path in PROGRAMS.iter().filter_map(|name| find(name)) {
            image.program(&path)?;
        }
        for path in ETC.iter().filter(|path| Path::new(path).exists()) {
            image.file(path, 0o644, fs::read(path)?);
        }
        let python = fs::canonicalize("/usr/bin/python3")?;
        let library = Path::new("/usr/lib").join(python.file_name().ok_or("python3 has a name")?);
        image.tree(&library, &|path| !path.ends_with("test") && !path.ends_with("idlelib"))?;
        Ok(image)
    }

    pub(super) fn file(&mut self, path: &str, mode: u32, bytes: Vec<u8>) {
        self.put(path, Entry::File { mode, bytes });
    }

    /// A whole directory of this host, where it is here. Links in it are followed.
    pub(super) fn tree(&mut self, place: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result {
        for entry in fs::read_dir(place).map_err(|error| format!("{}: {error}", place.display()))? {
            let path = entry?.path();
            if !wanted(&path) {
            } else if path.is_dir() {
                self.tree(&path, wanted)?;
            } else if path.is_file() {
                let bytes = fs::read(&path)?;
                self.linked_with(&path, &bytes)?;
                self.file(&path.display().to_string(), 0o644, bytes);
            }
        }
        Ok(())
    }

    /// A program of this host, what it is a link to, and its libraries.
    fn program(&mut self, path: &Path) -> Result {
        let shown = path.display().to_string();
        if let Ok(to) = fs::read_link(path) {
            self.put(&shown, Entry::Link(to.display().to_string()));
            return self.program(&path.parent().ok_or("a program lies somewhere")?.join(to));
        }
        let bytes = fs::read(path)?;
        self.linked_with(path, &bytes)?;
        self.file(&shown, 0o755, bytes);
        Ok(())
    }

    /// The libraries that a program or a library is linked with.
    fn linked_with(&mut self, path: &Path, bytes: &[u8]) -> Result {
        // Its kind stands at byte 16; what is only a part of one has no libraries.
        if bytes.starts_with(b"\x7fELF") && matches!(bytes.get(16), Some(2 | 3)) {
            for library in libraries(path)? {
                self.file(&library, 0o755, fs::read(&library)?);
            }
        }
        Ok(())
    }

    fn put(&mut self, path: &str, entry: Entry) {
        let first = path.split('/').nth(1).unwrap_or_default();
        let path = match MERGED.contains(&first) && path.len() > first.len() + 1 {
            true => format!("/usr{path}"),
            false => path.to_owned(),
        };
        let above = path.match_indices('/').skip(1).map(|(at, _)| path[..at].to_owned());
        let above: Vec<String> = above.collect();
        for place in above {
            self.0.entry(place).or_insert(Entry::Directory);
        }
        self.0.insert(path, entry);
    }

    /// As a kernel unpacks it. What stands in a directory comes behind it, by the order of their paths.
    pub(super) fn pack(&self) -> Vec<u8> {
        let mut archive = Archive::default();
        for (path, entry) in &self.0 {
            match entry {
                Entry::Directory => archive.directory(path, if path == "/root" { 0o700 } else { 0o755 }),
                Entry::File { mode, bytes } => archive.file(path, *mode, bytes),
                Entry::Link(to) => archive.link(path, to),
                Entry::Device(major, minor) => archive.device(path, 0o600, (*major, *minor)),
            }
        }
        archive.finish()
    }
}

/// Where Debian's own one is; what somebody put before it in the search path is not meant.
fn find(name: &str) -> Option<PathBuf> {
    let places = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];
    places.iter().map(|place| Path::new(place).join(name)).find(|path| path.exists())
}

/// Every library that a program is linked with, and what loads them.
fn libraries(path: &Path) -> Result<BTreeSet<String>> {
    let said = shell::capture(program("ldd").arg(path))?;
    let word = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(str::to_owned);
    Ok(said.lines().filter_map(word).collect())
}
