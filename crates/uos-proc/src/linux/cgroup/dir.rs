//! A directory of a control group tree, and its files.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, unlinkat};
use rustix::io::{fcntl_dupfd_cloexec, pread, pwrite};

/// An open directory: what is done in it is done in this very group, whatever becomes of its path.
#[derive(Debug)]
pub(super) struct Dir {
    fd: OwnedFd,
    /// Files that are used at a time when somebody waits: opened when nobody does.
    kept: OnceLock<Kept>,
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// By name, those to be read and those to be written.
#[derive(Debug)]
struct Kept {
    read: Vec<(&'static str, OwnedFd)>,
    written: Vec<(&'static str, OwnedFd)>,
}

fn named<'a>(files: &'a [(&'static str, OwnedFd)], name: &str) -> Option<&'a OwnedFd> {
    files.iter().find(|(file, _)| *file == name).map(|(_, fd)| fd)
}

impl Dir {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Dir::of(openat(CWD, path, DIRECTORY, Mode::empty())?))
    }

    pub(super) fn at(&self, name: &str) -> io::Result<Self> {
        Ok(Dir::of(openat(&self.fd, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?))
    }

    fn of(fd: OwnedFd) -> Self {
        Dir { fd: out_of_the_way(fd), kept: OnceLock::new() }
    }

    /// Opens files beforehand, to be read or to be written. One that is not there, or for which there is no descriptor
    /// left, is opened when it is used.
    pub(super) fn keep_open(&self, read: &[&'static str], written: &[&'static str]) {
        self.kept.get_or_init(|| {
            let read =
                read.iter().filter_map(|file| Some((*file, out_of_the_way(self.readable(file).ok()?))));
            let written =
                written.iter().filter_map(|file| Some((*file, out_of_the_way(self.writable(file).ok()?))));
            Kept { read: read.collect(), written: written.collect() }
        });
    }

    /// Makes a directory in this one. An existing one is an error: it would be somebody else's.
    pub(super) fn make(&self, name: &str) -> io::Result<Self> {
        mkdirat(&self.fd, name, Mode::from_raw_mode(0o755))?;
        self.at(name).inspect_err(|_| drop(self.remove(name)))
    }

    /// Removes a group of this one. The kernel refuses while there is a process or another group in it.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The names of the directories in this one.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd)? {
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
        Ok(openat(&self.fd, file, flags, Mode::empty())?)
    }

    fn readable(&self, file: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(openat(&self.fd, file, flags, Mode::empty())?)
    }

    /// Writes a value, in the one call that the kernel takes it in.
    pub(super) fn write(&self, file: &str, value: &str) -> io::Result<()> {
        let opened;
        let fd = match self.kept.get().and_then(|kept| named(&kept.written, file)) {
            Some(kept) => kept,
            None => {
                opened = self.writable(file)?;
                &opened
            }
        };
        loop {
            match pwrite(fd, value.as_bytes(), 0) {
                Ok(written) if written == value.len() => return Ok(()),
                Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    pub(super) fn has(&self, file: &str) -> bool {
        rustix::fs::statat(&self.fd, file, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// What a file says. All but the list of processes are one record to the kernel: what does not fill the room is all
    /// there is.
    pub(super) fn read(&self, file: &str) -> io::Result<String> {
        self.read_until(file, |read, room| read < room)
    }

    fn read_until(&self, file: &str, is_last: impl Fn(usize, usize) -> bool) -> io::Result<String> {
        let opened;
        let file = match self.kept.get().and_then(|kept| named(&kept.read, file)) {
            Some(kept) => kept,
            None => {
                opened = self.readable(file)?;
                &opened
            }
        };
        // Mostly a number: not worth asking for its size first, which these files don't know.
        let (mut text, mut room) = (Vec::new(), [0; 1024]);
        loop {
            match pread(file, &mut room, text.len() as u64) {
                Ok(0) => break,
                Ok(read) => {
                    text.extend_from_slice(&room[..read]);
                    if is_last(read, room.len()) {
                        break;
                    }
                }
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
        let text = self.read_until(PROCS, |_, _| false)?;
        text.lines().map(|line| line.parse().map_err(|_| io::ErrorKind::InvalidData.into())).collect()
    }
}

/// The descriptor under a number that few programs come to, or as it is. A child gets copies of all that have a lower number
/// than those it uses (`Life::leave_descriptors`), and groups are kept open for long.
pub(super) fn out_of_the_way(fd: OwnedFd) -> OwnedFd {
    fcntl_dupfd_cloexec(&fd, 256).unwrap_or(fd)
}

/// The processes of a group; writing to it moves one in.
pub(super) const PROCS: &str = "cgroup.procs";

/// Where a thread joins, in trees of the first version. One that moves itself and is alone holds up nobody. For a process
/// the kernel stops everybody who begins or ends one, and first waits for all processors, unless it has just done so.
pub(super) const TASKS: &str = "tasks";

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::RDONLY).union(OFlags::CLOEXEC);

/// The number behind `key` in lines of both.
pub(super) fn field(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?;
    value.trim().parse().ok()
}
