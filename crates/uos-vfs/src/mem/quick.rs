//! The short way along a plain path: nothing but names of directories down to something that is there. Whatever
//! else a path holds, and every error, is left to the resolver.

use super::inode::Inode;
use super::recent;
use crate::name::NAME_MAX;
use crate::path::PATH_MAX;
use crate::{Caller, How, Kind, Name, Want};
use std::sync::Arc;

/// No more directories are gone through in this way, as each is held until the end.
const DEEP: usize = 32;

/// Does something with what a path leads to; `None` if the short way doesn't get there.
///
/// Each directory on the way is held while those below it are looked at, from the root towards the leaves as
/// everywhere; so none has to be counted as referenced, which costs more than looking up the name. Whom no mode
/// holds back doesn't even do that twice in a row for one directory: see [`recent`](super::recent).
#[inline]
pub(super) fn reach<R>(
    root: &Inode,
    path: &[u8],
    how: &How<'_>,
    act: impl FnOnce(&Arc<Inode>) -> R,
) -> Option<R> {
    if path.len() >= PATH_MAX || path.first() != Some(&b'/') && !how.base.is_root() {
        return None;
    }
    let start = path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    if start <= 1 || !how.by.is_privileged() {
        return descend(root, how.by, path, how.follow_last, DEEP, act);
    }
    let (above, name) = path.split_at(start);
    let dir = directory(root, above, how)?;
    if name.is_empty() { Some(act(&dir)) } else { descend(&dir, how.by, name, how.follow_last, 0, act) }
}

/// The directory of the last name of a path, and that name; `None` as of [`reach`].
#[inline]
pub(super) fn entrance<'a>(
    root: &Arc<Inode>,
    path: &'a [u8],
    how: &How<'_>,
) -> Option<(Arc<Inode>, Name<'a>)> {
    if path.len() >= PATH_MAX || path.first() != Some(&b'/') && !how.base.is_root() {
        return None;
    }
    let start = path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    let (above, name) = path.split_at(start);
    let name = Name::new(name).ok()?;
    let dir = if start <= 1 { Arc::clone(root) } else { directory(root, above, how)? };
    Some((dir, name))
}

/// What a path with a slash at its end leads to.
#[inline]
pub(super) fn directory(root: &Inode, path: &[u8], how: &How<'_>) -> Option<Arc<Inode>> {
    let way = || descend(root, how.by, path, true, DEEP, Arc::clone);
    if how.by.is_privileged() { recent::directory(&root.lane.space, path, way) } else { way() }
}

fn descend<R>(
    dir: &Inode,
    by: &Caller,
    path: &[u8],
    follow: bool,
    left: usize,
    act: impl FnOnce(&Arc<Inode>) -> R,
) -> Option<R> {
    let path = &path[path.iter().position(|&byte| byte != b'/')?..];
    let len = path.iter().position(|&byte| byte == b'/').unwrap_or(path.len());
    let (name, rest) = path.split_at(len);
    if name.len() > NAME_MAX || matches!(name, b"." | b"..") {
        return None;
    }
    dir.filled();
    let state = dir.state.read();
    let directory = state.directory().ok()?;
    by.check(dir.owner(&state.meta), Want::SEARCH).ok()?;
    let child = directory.get(name)?;
    if child.kind() == Kind::Directory {
        if rest.iter().all(|&byte| byte == b'/') {
            return Some(act(child));
        }
        return descend(child, by, rest, follow, left.checked_sub(1)?, act);
    }
    let ends = rest.is_empty() && (child.kind() != Kind::Symlink || !follow);
    ends.then(|| act(child))
}
