//! A path as the name of an entry, which is made, removed or moved: a link there is not followed, and
//! what the path says at its end matters.

use super::across::{self, Target};
use super::place;
use crate::path::check_path;
use crate::{Error, Kind, Name, NodeRef, Place, Rename, Result, Tree, Unresolved, Want};

/// So often making directories starts over when somebody removes them at the same time.
const TRIES: usize = 16;

/// The way to an entry: its directory, and its name there, which has not been looked up yet.
pub(super) struct Entrance<'a> {
    pub(super) dir: NodeRef,
    last: Last<'a>,
    /// The path ends in a slash: what has the name must be a directory.
    slash: bool,
}

/// What the last component of a path is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last<'a> {
    /// Of any length; that it is too long is found out after what leads there.
    Name(&'a [u8]),
    Dot,
    DotDot,
    Root,
}

impl<'a> Entrance<'a> {
    pub(super) fn find<T: Tree + ?Sized>(tree: &T, path: &'a [u8]) -> Result<Self> {
        check_path(path)?;
        let bare = path.len() - path.iter().rev().take_while(|&&byte| byte == b'/').count();
        let start = path[..bare].iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
        let last = match &path[start..bare] {
            b"" => Last::Root,
            b"." => Last::Dot,
            b".." => Last::DotDot,
            name => Last::Name(name),
        };
        let above = match last {
            Last::Root => path,
            // Of a tree seen from its root this is the root, which takes no resolving of dots.
            _ if start == 0 && tree.working_dir().is_root() => b"/",
            _ if start == 0 => b".",
            _ => &path[..start],
        };
        let dir = super::node(tree, above, true)?;
        if dir.kind() != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        if !tree.caller().is_privileged() {
            // With two paths this is asked of both directories before a name is looked up in either.
            dir.access(tree.caller(), Want::SEARCH)?;
        }
        Ok(Entrance { dir, last, slash: bare < path.len() })
    }

    /// What has the name.
    pub(super) fn look<T: Tree + ?Sized>(&self, tree: &T) -> Result<Option<NodeRef>> {
        let Last::Name(name) = self.last else { return Ok(Some(NodeRef::clone(&self.dir))) };
        match self.dir.lookup(tree.caller(), Name::new(name)?) {
            Ok(node) => Ok(Some(node)),
            Err(Error::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The name for something that is no directory. Whether it is free is for the directory to say.
    pub(super) fn free_name<T: Tree + ?Sized>(&self, tree: &T) -> Result<Name<'a>> {
        let name = self.free_name_of_dir()?;
        match self.slash {
            false => Ok(name),
            true if self.look(tree)?.is_some() => Err(Error::Exists),
            true => Err(Error::NotFound),
        }
    }

    /// The name for a directory.
    pub(super) fn free_name_of_dir(&self) -> Result<Name<'a>> {
        if let Last::Name(name) = self.last { Name::new(name) } else { Err(Error::Exists) }
    }

    pub(super) fn name_to_unlink<T: Tree + ?Sized>(&self, tree: &T) -> Result<Name<'a>> {
        let Last::Name(name) = self.last else { return Err(Error::IsADirectory) };
        if !self.slash {
            return Name::new(name);
        }
        match self.look(tree)?.ok_or(Error::NotFound)?.kind() {
            Kind::Directory => Err(Error::IsADirectory),
            _ => Err(Error::NotADirectory),
        }
    }

    /// The name of a directory that is to go, and what has it: no mount point.
    pub(super) fn name_to_rmdir<T: Tree + ?Sized>(&self, tree: &T) -> Result<(Name<'a>, NodeRef)> {
        match self.last {
            Last::Dot => Err(Error::InvalidArgument("`.` is no name to remove")),
            Last::DotDot => Err(Error::NotEmpty),
            Last::Root => Err(Error::Busy),
            Last::Name(name) => {
                let node = self.look(tree)?.ok_or(Error::NotFound)?;
                if tree.is_mount_point(node.id()) { Err(Error::Busy) } else { Ok((Name::new(name)?, node)) }
            }
        }
    }
}

pub(super) fn rename<T: Tree + ?Sized>(tree: &T, from: &[u8], to: &[u8], how: Rename) -> Result<()> {
    let (old, new) = (Entrance::find(tree, from)?, Entrance::find(tree, to)?);
    let (name, to_name) = match (old.last, new.last) {
        (Last::Name(name), Last::Name(to_name)) => (name, to_name),
        (Last::Name(_), _) if how == Rename::NoReplace => return Err(Error::Exists),
        _ => return Err(Error::Busy),
    };
    let node = old.look(tree)?.ok_or(Error::NotFound)?;
    let there = new.look(tree)?;
    match &there {
        Some(_) if how == Rename::NoReplace => return Err(Error::Exists),
        None if how == Rename::Exchange => return Err(Error::NotFound),
        _ => {}
    }
    // In place of something, a slash asks for a directory that is to be there; else the moved one will do.
    let is_dir = |node: &NodeRef| node.kind() == Kind::Directory;
    let exchange = how == Rename::Exchange;
    if !is_dir(&node) && (old.slash || new.slash && !exchange)
        || exchange && new.slash && !there.as_ref().is_some_and(is_dir)
    {
        return Err(Error::NotADirectory);
    }
    if [Some(&node), there.as_ref()].into_iter().flatten().any(|node| tree.is_mount_point(node.id())) {
        return Err(Error::Busy);
    }
    let (name, to_name) = (Name::new(name)?, Name::new(to_name)?);
    match old.dir.rename(tree.caller(), name, &new.dir, to_name, how) {
        Err(Error::CrossDevice) if !exchange => {
            let target = Target { dir: &new.dir, name: to_name, there, how };
            across::move_over(tree, (&old.dir, name, &node), &target)
        }
        renamed => renamed,
    }
}

/// Makes a directory and all above it that are missing.
pub(super) fn create_dirs<T: Tree + ?Sized>(tree: &T, path: &[u8], mode: u32) -> Result<()> {
    for _ in 0..TRIES {
        let made = match place(tree, path, true) {
            Ok(Place { node: Some(node), .. }) if node.kind() == Kind::Directory => return Ok(()),
            Ok(Place { node: Some(_), .. }) => return Err(Error::Exists),
            Ok(found) => found.parent.mkdir(tree.caller(), super::last_name(&found)?, mode).map(drop),
            Err(Unresolved { error: Error::NotFound, at: Some(at), missing, .. }) if !missing.is_empty() => {
                chain(tree, at, &missing, mode)
            }
            Err(unresolved) => return Err(unresolved.error),
        };
        match made {
            // Somebody else was quicker, or removed again what was just made.
            Err(Error::Exists | Error::NotFound) => {}
            made => return made,
        }
    }
    Err(Error::Busy)
}

fn chain<T: Tree + ?Sized>(tree: &T, top: NodeRef, names: &[Vec<u8>], mode: u32) -> Result<()> {
    let names: Vec<Name<'_>> = names.iter().map(|name| Name::new(name)).collect::<Result<_>>()?;
    names.into_iter().try_fold(top, |dir, name| dir.mkdir(tree.caller(), name, mode)).map(drop)
}
