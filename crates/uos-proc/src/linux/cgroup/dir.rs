//! A directory of a control group tree, and its files.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, unlinkat};

/// An open directory: what is done in it is done in this very group, whatever becomes of its path.
#[derive(Debug)]
pub(super) struct Dir(OwnedFd);

impl Dir {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Dir(openat(CWD, path, DIRECTORY, Mode::empty())?))
    }

    pub(super) fn at(&self, name: &str) -> io::Result<Self> {
        Ok(Dir(openat(&self.0, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?))
    }

    /// Makes a directory in this one. An existing one is an error: it would be somebody else's.
    pub(super) fn make(&self, name: &str) -> io::Result<Self> {
        mkdirat(&self.0, name, Mode::from_raw_mode(0o755))?;
        self.at(name).inspect_err(|_| drop(self.remove(name)))
    }

    /// Removes a group of this one. The kernel refuses while there is a process or another group in it.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.0, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The names of the directories in this one.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy();
            if entry.file_type() == rustix::fs::FileType::Directory && !name.starts_with('.') {
                names.push(name.into_owned());
            }
        }
        Ok(names)
    }

    /// A file opened for writing.
    pub(super) fn writable(&self, file: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::TRUNC | OFlags::NOFOLLOW;
        Ok(openat(&self.0, file, flags, Mode::empty())?)
    }

    /// Writes a value, in the one call that the kernel takes it in.
    pub(super) fn write(&self, file: &str, value: &str) -> io::Result<()> {
        let fd = self.writable(file)?;
        loop {
            match rustix::io::write(&fd, value.as_bytes()) {
                Ok(written) if written == value.len() => return Ok(()),
                Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    pub(super) fn has(&self, file: &str) -> bool {
        rustix::fs::statat(&self.0, file, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    pub(super) fn read(&self, file: &str) -> io::Result<String> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = openat(&self.0, file, flags, Mode::empty())?;
        // Mostly a number: not worth asking for its size first, which these files don't know.
        let (mut text, mut room) = (Vec::new(), [0; 1024]);
        loop {
            match rustix::io::read(&file, &mut room) {
                Ok(0) => break,
                Ok(read) => text.extend_from_slice(&room[..read]),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        String::from_utf8(text).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// The number that a file holds.
    pub(super) fn number(&self, file: &str) -> io::Result<u64> {
        self.read(file)?.trim().parse().map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// The number behind `key` in a file of lines of both.
    pub(super) fn field(&self, file: &str, key: &str) -> io::Result<u64> {
        field(&self.read(file)?, key).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Every process in the group, as far as this program's process ids reach: 0 stands for one beyond them.
    pub(super) fn processes(&self) -> io::Result<Vec<i32>> {
        let text = self.read(PROCS)?;
        text.lines().map(|line| line.parse().map_err(|_| io::ErrorKind::InvalidData.into())).collect()
    }

    #[cfg(test)]
    pub(super) fn fd(&self) -> &OwnedFd {
        &self.0
    }
}

/// The processes of a group; writing to it moves one in.
pub(super) const PROCS: &str = "cgroup.procs";

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::RDONLY).union(OFlags::CLOEXEC);

/// The number behind `key` in lines of both.
pub(super) fn field(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?;
    value.trim().parse().ok()
}
