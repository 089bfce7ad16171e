//! What a directory of the upper layer has written down, in its entry [`RESERVED`]:
//!
//! - `hidden` holds an empty file for each name of the layers below that is not to be seen. It hides nothing of the
//!   upper layer, so it stays when something new gets the name, and a directory made there is not merged with what
//!   was there before.
//! - `from` is the path below of what a directory is merged with, once it has another name. Then its new name says
//!   nothing about that.
//! - At the root, `work` is where things are made before they get their place.
//!
//! So a directory carries its marks along when it is renamed, no mark needs more than names that every filesystem
//! can have, and since the name is refused to everybody, no mark can be forged. Each change is one step of the upper
//! layer, made in such an order that after each step everything is seen as it was, or as it is to be.

use super::layers::{Layers, entry_of};
use super::node::{Dir, OverlayNode};
use super::work::{Staged, Work};
use super::{RESERVED, ROOT};
use crate::{Access, Error, Kind, Name, NodeRef, Result, SetAttr, SetTime};
use std::sync::atomic::Ordering;

const HIDDEN: &[u8] = b"hidden";
const FROM: &[u8] = b"from";
const WORK: &[u8] = b"work";
/// The longest path below that is believed.
const FROM_MAX: usize = 1 << 20;

/// What is known of a directory's marks.
#[derive(Clone, Default)]
pub(super) enum Marks {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// There are none.
    Absent,
    There(Place),
}

/// Where a directory's marks are.
#[derive(Clone)]
pub(super) struct Place {
    dir: NodeRef,
    hidden: NodeRef,
}

fn named(name: &'static [u8]) -> Result<Name<'static>> {
    Name::new(name)
}

/// The directory of things in the making, made if it is missing.
pub(super) fn make_top(upper: &NodeRef) -> Result<NodeRef> {
    let dir = dir_in(upper, RESERVED)?;
    dir_in(&dir, HIDDEN)?;
    dir_in(&dir, WORK)
}

fn dir_in(dir: &NodeRef, name: &'static [u8]) -> Result<NodeRef> {
    match entry_of(dir, named(name)?)? {
        Some(found) if found.kind() == Kind::Directory => Ok(found),
        Some(_) => Err(Error::NotADirectory),
        None => dir.mkdir(ROOT, named(name)?, 0o700),
    }
}

/// The directories of a name in directories that are merged. What is no directory hides all below it.
pub(super) fn dirs_of(stack: &[NodeRef], name: Name<'_>) -> Result<Box<[NodeRef]>> {
    let mut dirs = Vec::with_capacity(stack.len());
    for lower in stack {
        match entry_of(lower, name)? {
            Some(found) if found.kind() == Kind::Directory => dirs.push(found),
            Some(_) => break,
            None => {}
        }
    }
    Ok(dirs.into())
}

/// What a directory of the upper layer says it is merged with.
pub(super) fn origin_of(layers: &Layers, upper: &NodeRef) -> Result<Option<Dir>> {
    let Some(dir) = entry_of(upper, named(RESERVED)?)? else { return Ok(None) };
    let Some(from) = entry_of(&dir, named(FROM)?)? else { return Ok(None) };
    let path = from.open(ROOT, Access::Read)?.read_bytes(0, FROM_MAX)?;
    let dir = Dir::new(layers.stack_at(&path)?);
    let _ = dir.from.set(path[..].into());
    Ok(Some(dir))
}

impl OverlayNode {
    /// Whether what this directory is merged with has this name, hidden or not.
    pub(super) fn has_below(&self, name: Name<'_>) -> Result<bool> {
        for lower in self.dir()?.lowers() {
            if entry_of(lower, name)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a name of the layers below is not to be seen here.
    pub(super) fn is_hidden(&self, name: Name<'_>) -> Result<bool> {
        match self.marks()? {
            Marks::There(place) => Ok(entry_of(&place.hidden, name)?.is_some()),
            _ => Ok(false),
        }
    }

    /// From now on a name of the layers below is not to be seen here. With nothing of the upper layer in its place
    /// it is gone.
    pub(super) fn hide(&self, name: Name<'_>) -> Result<()> {
        match self.make_marks()?.hidden.create(ROOT, name, 0o600) {
            Ok(_) | Err(Error::Exists) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A name that was hidden is seen again.
    pub(super) fn show(&self, name: Name<'_>) {
        if let Ok(Marks::There(place)) = self.marks() {
            // Something has failed already; what is left hidden is told by nobody else.
            let _ = place.hidden.unlink(ROOT, name);
        }
    }

    /// Writes down what this directory is merged with, so that it may get another name.
    pub(super) fn keep_origin(&self) -> Result<()> {
        let dir = self.dir()?;
        if dir.lowers().is_empty() || dir.from.get().is_some() {
            return Ok(());
        }
        let path = self.path_below()?;
        let place = self.make_marks()?;
        let staged = self.layers.work.file()?;
        NodeRef::clone(staged.node()).open(ROOT, Access::Write)?.replace(&path)?;
        staged.put(&place.dir, named(FROM)?)?;
        let _ = dir.from.set(path);
        Ok(())
    }

    /// The path of what this directory is merged with. Names that have not changed are the same below.
    fn path_below(&self) -> Result<Box<[u8]>> {
        let mut names: Vec<Box<[u8]>> = self.home.lock().iter().map(|home| home.name.clone()).collect();
        let mut next = self.parent();
        while let Some(dir) = next {
            if let Some(from) = dir.dir()?.from.get() {
                names.push(from.clone());
                break;
            }
            let home = dir.home.lock().clone();
            names.extend(home.as_ref().map(|home| home.name.clone()));
            next = home.map(|home| home.dir);
        }
        names.reverse();
        Ok(names.join(&b'/').into())
    }

    /// Takes all marks away from a directory in whose place something else comes. It is empty, and what is below
    /// its name is hidden; so it is merged with nothing from now on. Gives what is to be removed of it.
    pub(super) fn drop_marks<'a>(&self, work: &'a Work) -> Result<Option<Staged<'a>>> {
        let (Marks::There(_), Some(upper)) = (self.marks()?, self.upper.get()) else { return Ok(None) };
        let taken = work.take_in(upper, named(RESERVED)?)?;
        let dir = self.dir()?;
        dir.opaque.store(true, Ordering::Release);
        *dir.marks.write() = Marks::Absent;
        Ok(Some(taken))
    }

    /// How many entries of the upper layer are marks.
    pub(super) fn count_marks(&self) -> Result<u64> {
        Ok(u64::from(matches!(self.marks()?, Marks::There(_))))
    }

    fn marks(&self) -> Result<Marks> {
        let marks = &self.dir()?.marks;
        let known = marks.read().clone();
        let (Marks::Unknown, Some(upper)) = (&known, self.upper.get()) else { return Ok(known) };
        let found = match entry_of(upper, named(RESERVED)?)? {
            Some(dir) => match entry_of(&dir, named(HIDDEN)?)? {
                Some(hidden) => Marks::There(Place { dir, hidden }),
                None => Marks::Absent,
            },
            None => Marks::Absent,
        };
        *marks.write() = found.clone();
        Ok(found)
    }

    fn make_marks(&self) -> Result<Place> {
        if let Marks::There(place) = self.marks()? {
            return Ok(place);
        }
        // It is there by now: only what has been copied up is marked. And nobody pays for marks.
        let upper = self.upper_dir(ROOT)?;
        let staged = self.layers.work.dir(0o700)?;
        let dir = NodeRef::clone(staged.node());
        let hidden = dir.mkdir(ROOT, named(HIDDEN)?, 0o700)?;
        keeping_times(&upper, || staged.put(&upper, named(RESERVED)?))?;
        let place = Place { dir, hidden };
        *self.dir()?.marks.write() = Marks::There(place.clone());
        Ok(place)
    }
}

/// Does something to a directory of the upper layer that is no change of what is seen.
pub(super) fn keeping_times<T>(dir: &NodeRef, act: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = dir.attr()?;
    let done = act()?;
    let times = SetAttr {
        accessed: Some(SetTime::To(before.accessed)),
        modified: Some(SetTime::To(before.modified)),
        ..SetAttr::default()
    };
    // It is done: that a time shows it is better than to say that it was not.
    let _ = dir.set_attr(ROOT, &times);
    Ok(done)
}
