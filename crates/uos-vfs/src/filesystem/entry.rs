//! A path as the name of an entry, which is made, removed or moved: a link there is not followed, and
//! what the path says at its end matters.

use super::{last_name, place};
use crate::{Error, Kind, Name, NodeRef, Place, Rename, Result, Tree, Unresolved};

/// So often making directories starts over when somebody removes them at the same time.
const TRIES: usize = 16;

/// The way to an entry: its directory, and whatever has the name.
pub(super) struct Entrance {
    pub(super) place: Place,
    last: Last,
    /// The path ends in a slash: what has the name must be a directory.
    slash: bool,
}

/// What the last component of a path is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Name,
    Dot,
    DotDot,
    Root,
}

impl Entrance {
    pub(super) fn find<T: Tree + ?Sized>(tree: &T, path: &[u8]) -> Result<Self> {
        let bare = path.len() - path.iter().rev().take_while(|&&byte| byte == b'/').count();
        let last = match path[..bare].rsplit(|&byte| byte == b'/').next() {
            Some(b"") | None => Last::Root,
            Some(b".") => Last::Dot,
            Some(b"..") => Last::DotDot,
            Some(_) => Last::Name,
        };
        // Without the slash, or a link would be followed for its sake. The root is nothing but slashes.
        let text = if last == Last::Name { &path[..bare] } else { path };
        let place = place(tree, text, false).map_err(|unresolved| unresolved.error)?;
        Ok(Entrance { place, last, slash: bare < path.len() })
    }

    /// The name for something that is no directory.
    pub(super) fn free_name(&self) -> Result<Name<'_>> {
        match self.free_name_of_dir()? {
            _ if self.slash => Err(Error::NotFound),
            name => Ok(name),
        }
    }

    /// The name for a directory.
    pub(super) fn free_name_of_dir(&self) -> Result<Name<'_>> {
        if self.last != Last::Name || self.place.node.is_some() {
            return Err(Error::Exists);
        }
        last_name(&self.place)
    }

    pub(super) fn name_to_unlink(&self) -> Result<Name<'_>> {
        if self.last != Last::Name {
            return Err(Error::IsADirectory);
        }
        let node = self.place.node.as_ref().ok_or(Error::NotFound)?;
        match node.kind() {
            Kind::Directory if self.slash || self.place.mount_point => Err(Error::IsADirectory),
            Kind::Directory => last_name(&self.place),
            _ if self.slash => Err(Error::NotADirectory),
            _ => last_name(&self.place),
        }
    }

    pub(super) fn name_to_rmdir(&self) -> Result<Name<'_>> {
        match self.last {
            Last::Dot => Err(Error::InvalidArgument("`.` is no name to remove")),
            Last::DotDot => Err(Error::NotEmpty),
            Last::Root => Err(Error::Busy),
            Last::Name if self.place.node.is_none() => Err(Error::NotFound),
            Last::Name if self.place.mount_point => Err(Error::Busy),
            Last::Name => last_name(&self.place),
        }
    }

    fn is_dir(&self) -> bool {
        self.place.node.as_ref().is_some_and(|node| node.kind() == Kind::Directory)
    }
}

pub(super) fn rename<T: Tree + ?Sized>(tree: &T, from: &[u8], to: &[u8], how: Rename) -> Result<()> {
    let (old, new) = (Entrance::find(tree, from)?, Entrance::find(tree, to)?);
    if old.place.parent.id().fs != new.place.parent.id().fs {
        return Err(Error::CrossDevice);
    }
    match (old.last, new.last, how) {
        (Last::Name, Last::Name, _) => {}
        (Last::Name, _, Rename::NoReplace) => return Err(Error::Exists),
        _ => return Err(Error::Busy),
    }
    if old.place.node.is_none() || new.place.node.is_none() && how == Rename::Exchange {
        return Err(Error::NotFound);
    }
    if new.place.node.is_some() && how == Rename::NoReplace {
        return Err(Error::Exists);
    }
    // In place of something, a slash asks for a directory that is to be there; else the moved one will do.
    let exchange = how == Rename::Exchange;
    if !old.is_dir() && (old.slash || new.slash && !exchange) || exchange && new.slash && !new.is_dir() {
        return Err(Error::NotADirectory);
    }
    if old.place.mount_point || new.place.mount_point {
        return Err(Error::Busy);
    }
    let (name, to_name) = (last_name(&old.place)?, last_name(&new.place)?);
    old.place.parent.rename(tree.caller(), name, &new.place.parent, to_name, how)
}

/// Makes a directory and all above it that are missing.
pub(super) fn create_dirs<T: Tree + ?Sized>(tree: &T, path: &[u8], mode: u32) -> Result<()> {
    for _ in 0..TRIES {
        let made = match place(tree, path, true) {
            Ok(Place { node: Some(node), .. }) if node.kind() == Kind::Directory => return Ok(()),
            Ok(Place { node: Some(_), .. }) => return Err(Error::Exists),
            Ok(found) => found.parent.mkdir(tree.caller(), last_name(&found)?, mode).map(drop),
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
