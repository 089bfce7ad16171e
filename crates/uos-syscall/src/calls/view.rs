//! What a sandboxed program is shown of the namespace.
//!
//! A program sees the paths that calls see. What lies in folders of the host is mounted into its root at the same
//! place, with the host's speed, as far as the process's grants let it read all of it: a mount shows everything below
//! it, so a grant of whole subtrees or of single files can be shown, and one with a `*` within can't. What lies in
//! memory is not shown; calls reach it.

use std::path::PathBuf;

use uos_proc::{Mount, Source};
use uos_proto::Right;
use uos_vfs::{How, Kind, NodeRef, VPath};

use crate::{Error, kernel::Inner, rights::Grants, target::KERNEL};

/// What every sandbox shows by itself, or keeps for itself.
const OWN: [&str; 9] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/dev"];

/// The part of the host that `grants` show, as mounts of a sandbox.
pub(super) fn of(kernel: &Inner, grants: &Grants) -> Result<Vec<Mount>, Error> {
    let mounted: Vec<VPath> = kernel.mounts.list().into_iter().map(|mount| mount.path).collect();
    let mut places: Vec<(VPath, bool)> = Vec::new();
    for pattern in
        grants.iter().filter(|grant| grant.right() == Right::FsRead).filter_map(|grant| grant.paths())
    {
        let Some((path, below)) = pattern.literal() else { continue };
        let Ok(path) = VPath::parse(&path) else { continue };
        if below {
            let inside = mounted.iter().filter(|at| **at != path && at.starts_with(&path));
            places.extend(inside.map(|at| (at.clone(), true)));
        }
        places.push((path, below));
    }
    places.sort();
    places.dedup_by(|later, earlier| {
        later.0 == earlier.0 && {
            earlier.1 |= later.1;
            true
        }
    });

    let mut mounts = Vec::new();
    for (path, whole) in places {
        let is_own = |own: &&str| VPath::parse(own.as_bytes()).is_ok_and(|own| path.starts_with(&own));
        if path.is_root() || OWN.iter().any(is_own) {
            continue;
        }
        // What is not there yet can't be shown.
        let how = How { follow_last: false, ..How::new(KERNEL) };
        let Some(node) = kernel.mounts.resolve(path.as_bytes(), &how).ok().and_then(|place| place.node)
        else {
            continue;
        };
        match shown(&node, &path, whole, grants)? {
            Some(mount) => mounts.push(mount),
            None if is_below_one_shown(&mounts, &path) => mounts.push(hidden(&path)),
            None => {}
        }
    }
    Ok(mounts)
}

/// The mount that shows a node, if it is the host's and is granted as a whole.
fn shown(node: &NodeRef, path: &VPath, whole: bool, grants: &Grants) -> Result<Option<Mount>, Error> {
    let is_shown = match node.kind() {
        Kind::Directory => whole,
        Kind::File => true,
        _ => false,
    };
    let Some(fd) = node.host_fd().filter(|_| is_shown) else { return Ok(None) };
    let fd = fd.map_err(|error| uos_vfs::Error::from_errno(error.raw_os_error().unwrap_or(0)))?;
    let granted = match node.kind() {
        Kind::Directory => grants.for_all_below(Right::FsWrite, path.as_bytes()).is_some(),
        _ => grants.for_path(Right::FsWrite, path.as_bytes()).is_some(),
    };
    let writable = granted && !node.stat_fs()?.read_only;
    Ok(Some(Mount { writable, ..Mount::of_fd(fd, host_path(path)) }))
}

fn is_below_one_shown(mounts: &[Mount], path: &VPath) -> bool {
    let path = host_path(path);
    mounts.iter().any(|mount| matches!(mount.source, Source::Fd(_)) && path.starts_with(&mount.at))
}

/// Something else is mounted there for calls; what it covers is not to be seen either.
fn hidden(path: &VPath) -> Mount {
    Mount { writable: false, ..Mount::scratch(host_path(path), 4096) }
}

/// A path of the namespace as the sandbox has it: the same.
pub(super) fn host_path(path: &VPath) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(path.as_bytes()))
}
