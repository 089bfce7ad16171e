//! Removing a directory with everything in it, by nodes and single names, so that no link is followed.

use super::entry::Entrance;
use crate::{Caller, Error, Kind, Name, NodeId, NodeRef, Result, Tree, Want};

/// So often a directory is gone through again that others keep filling.
const AGAIN: u32 = 3;

/// A directory on the way down.
struct Level {
    dir: NodeRef,
    name: Vec<u8>,
    /// Listed and not yet removed.
    listed: Vec<(Vec<u8>, Kind)>,
    rounds: u32,
}

pub(super) fn all<T: Tree + ?Sized>(tree: &T, path: &[u8]) -> Result<()> {
    let entrance = Entrance::find(tree, path)?;
    let (name, node) = entrance.name_to_rmdir(tree)?;
    if node.kind() != Kind::Directory {
        return Err(Error::NotADirectory);
    }
    self::tree(tree.caller(), &entrance.dir, name, &node, &|id| tree.is_mount_point(id))
}

/// Removes the directory `node`, which is called `top` in `above`.
pub(super) fn tree(
    by: &Caller,
    above: &NodeRef,
    top: Name<'_>,
    node: &NodeRef,
    is_mount_point: &dyn Fn(NodeId) -> bool,
) -> Result<()> {
    let mut levels = vec![enter(by, NodeRef::clone(node), top)?];
    while let Some(level) = levels.last_mut() {
        let Some((name, kind)) = level.listed.pop() else {
            let dir = levels.len().checked_sub(2).map(|index| levels[index].dir.clone());
            let dir = dir.as_ref().unwrap_or(above);
            let level = levels.last_mut().ok_or(Error::NotFound)?;
            match dir.rmdir(by, Name::new(&level.name)?) {
                Ok(()) | Err(Error::NotFound) => {
                    levels.pop();
                }
                // Somebody has put something in meanwhile.
                Err(Error::NotEmpty) if level.rounds < AGAIN => {
                    level.rounds += 1;
                    level.listed = list(&level.dir)?;
                }
                Err(error) => return Err(error),
            }
            continue;
        };
        let entry = Name::new(&name)?;
        if kind != Kind::Directory {
            match level.dir.unlink(by, entry) {
                Ok(()) | Err(Error::NotFound) => {}
                Err(error) => return Err(error),
            }
            continue;
        }
        let node = match level.dir.lookup(by, entry) {
            Ok(node) => node,
            Err(Error::NotFound) => continue,
            Err(error) => return Err(error),
        };
        // The host may have something mounted there, of which only the other filesystem tells.
        if is_mount_point(node.id()) || node.id().fs != level.dir.id().fs {
            return Err(Error::Busy);
        }
        levels.push(enter(by, node, entry)?);
    }
    Ok(())
}

fn enter(by: &Caller, dir: NodeRef, name: Name<'_>) -> Result<Level> {
    dir.access(by, Want::READ)?;
    let listed = list(&dir)?;
    Ok(Level { dir, name: name.as_bytes().to_vec(), listed, rounds: 0 })
}

pub(super) fn list(dir: &NodeRef) -> Result<Vec<(Vec<u8>, Kind)>> {
    let mut listed = Vec::new();
    dir.read_dir(0, &mut |entry| {
        listed.push((entry.name.as_bytes().to_vec(), entry.kind));
        true
    })?;
    Ok(listed)
}
