//! The default namespace: the host's programs to read, memory to write.

use std::{io, path::Path};

use uos_vfs::{FileSystem, LocalFs, MemFs, Mounts};

pub use crate::staged::remove_unfinished;

/// How large the memory filesystems at `/home` and `/tmp` may grow.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// `/home`.
    pub home_bytes: u64,
    /// `/tmp`.
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
        let memory = MemFs::builder().capacity_bytes(bytes).build();
        mounts.mount(name.as_bytes(), memory.root()).map_err(|error| said(name, &error))?;
    }
    Ok(mounts)
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
