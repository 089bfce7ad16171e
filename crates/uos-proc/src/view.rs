//! What a sandboxed program sees: files, network, and who looks after its processes.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Something a sandboxed program sees at a place of its own root. Everything not mounted does not exist for it.
///
/// What is mounted of the host keeps its rights, with one exception: whoever owns the mounted file or directory
/// on the host, the sandboxed program acts there as that owner, where the filesystem can translate ids. Nothing is
/// ever set-user-ID or a device there.
#[derive(Debug)]
pub struct Mount {
    /// Where it is seen: an absolute path without `.` and `..`, not `/`, and nothing in `/proc` or `/dev`. Missing
    /// directories on the way are made, but never in what is mounted of the host.
    pub at: PathBuf,
    /// What is seen there.
    pub source: Source,
    /// Whether it can be changed. It holds for everything that is mounted below it on the host, too.
    pub writable: bool,
    /// Whether programs in it can be executed.
    pub executable: bool,
}

/// What is mounted.
#[derive(Debug)]
pub enum Source {
    /// A file or directory of the host, with everything mounted below it. The path is absolute and leads through
    /// no symbolic link: one that does is refused with `ELOOP`, since whoever can change the link would choose
    /// what is seen.
    Path(PathBuf),
    /// The file or directory that this descriptor is open on. Only where the spawner has the rights of root.
    Fd(OwnedFd),
    /// A directory in memory, empty at first and gone with the program. Counts as memory of the program.
    Scratch {
        /// The most its files may take.
        size_bytes: u64,
        /// The most files it may hold.
        files: u64,
    },
}

impl Mount {
    /// A file or directory of the host at its own path, to be read and executed.
    pub fn read_only(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().to_path_buf();
        Mount { at: path.clone(), source: Source::Path(path), writable: false, executable: true }
    }

    /// A file or directory of the host at its own path, to be read, changed and executed.
    pub fn writable(path: impl AsRef<Path>) -> Self {
        Mount { writable: true, ..Mount::read_only(path) }
    }

    /// What `fd` is open on, to be read and executed at `at`.
    pub fn of_fd(fd: OwnedFd, at: impl Into<PathBuf>) -> Self {
        Mount { at: at.into(), source: Source::Fd(fd), writable: false, executable: true }
    }

    /// A directory in memory at `at`, of at most `size_bytes` in 10,000 files, whose files can't be executed.
    pub fn scratch(at: impl Into<PathBuf>, size_bytes: u64) -> Self {
        let source = Source::Scratch { size_bytes, files: 10_000 };
        Mount { at: at.into(), source, writable: true, executable: false }
    }

    /// The same, seen somewhere else.
    #[must_use]
    pub fn seen_at(mut self, at: impl Into<PathBuf>) -> Self {
        self.at = at.into();
        self
    }

    /// The same, but executable or not.
    #[must_use]
    pub fn executable(mut self, executable: bool) -> Self {
        self.executable = executable;
        self
    }
}

/// The network of a sandboxed program. Neither reaches anything outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Network {
    /// No interface that is up. Sandboxes share it, and can't meet in it: local sockets with abstract names are
    /// kept apart by Landlock. Where the kernel has no such scopes, each gets its own.
    #[default]
    Empty,
    /// One of its own, with a loopback interface. Costs about half a millisecond.
    Loopback,
}

/// Who is process 1 of a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Init {
    /// The program itself. The kernel then ignores signals it has no handler for, `SIGTERM` among them, and nobody
    /// collects orphans: for programs that start no others.
    Program,
    /// A small process that starts the program, passes signals on to it, collects orphans, and ends with it and with
    /// the spawner.
    Reaper,
}
