//! The default namespace: the host's programs to read, memory to write.

use std::{io, path::Path};

use uos_vfs::{FileSystem, LocalFs, MemFs, Mounts};

pub use crate::staged::remove_unfinished;

/// Each file, and each further name of one, takes memory of its own, so there are no more than with one KiB each; but some in
/// any case.
const BYTES_A_NODE: u64 = 1 << 10;
const NODES: u64 = 1_024;

/// How large the memory filesystems at `/home` and `/tmp` may grow.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// `/home`. It holds a name for each KiB, and 1,024 in any case.
    pub home_bytes: u64,
    /// `/tmp`, likewise.
    pub tmp_bytes: u64,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { home_bytes: 1 << 30, tmp_bytes: 256 << 20 }
    }
}

/// The default namespace: the host's `/usr`, `/bin`, `/sbin` and `/lib*` read-only, and memory at `/home` and `/tmp`.
///
/// Each of the host's directories is a mount of its own, also where the host makes `/bin` a link into `/usr`: a path
/// through `/bin` stays one through `/bin`, so that a grant on `/usr/bin/*` says nothing of it.
pub fn standard(capacity: Capacity) -> io::Result<Mounts> {
    let root = MemFs::builder().capacity_bytes(1 << 20).capacity_nodes(4_096).build();
    let mounts = Mounts::new(root.root());
    for name in ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
        let host = Path::new("/").join(name);
        if host.is_dir() {
            mount_host(&mounts, &format!("/{name}"), &host, true)?;
        }
    }
    for (name, bytes) in [("/home", capacity.home_bytes), ("/tmp", capacity.tmp_bytes)] {
        make_directories(&mounts, name)?;
        mounts.mount(name.as_bytes(), memory(bytes).root()).map_err(|error| said(name, &error))?;
    }
    Ok(mounts)
}

/// A filesystem in memory that holds so many bytes, and as many names as go with them.
pub(crate) fn memory(capacity_bytes: u64) -> MemFs {
    let nodes = (capacity_bytes / BYTES_A_NODE).max(NODES);
    MemFs::builder().capacity_bytes(capacity_bytes).capacity_nodes(nodes).build()
}

/// Puts a directory of the host into the namespace, making the directories above it.
pub fn mount_host(mounts: &Mounts, at: &str, host: &Path, read_only: bool) -> io::Result<()> {
    make_directories(mounts, at)?;
    let local = LocalFs::open(host, read_only).map_err(|error| said(&host.display().to_string(), &error))?;
    mounts.mount(at.as_bytes(), local.root()).map_err(|error| said(at, &error))
}

fn make_directories(mounts: &Mounts, path: &str) -> io::Result<()> {
    mounts.create_dir(path).map_err(|error| said(path, &error))
}

fn said(what: &str, error: &uos_vfs::Error) -> io::Error {
    io::Error::other(format!("{what}: {error}"))
}
