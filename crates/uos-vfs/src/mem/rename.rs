//! Moving an entry. Everything that can fail comes first, in the order Linux decides in; then the
//! change is made as a whole under the locks of both directories.

use super::directory::Directory;
use super::inode::{Inode, State};
use crate::{Caller, Error, Kind, Name, NodeRef, Rename, Result};
use parking_lot::RwLockWriteGuard;
use std::sync::Arc;

impl Inode {
    pub(super) fn move_entry(
        &self,
        _by: &Caller,
        name: Name<'_>,
        to_dir: &NodeRef,
        to_name: Name<'_>,
        how: Rename,
    ) -> Result<()> {
        let (name, to_name) = (name.as_bytes(), to_name.as_bytes());
        let to_dir = self.recognise(to_dir)?;
        if self.kind != Kind::Directory || to_dir.kind != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        if to_dir.id == self.id {
            let pair = Pair { from: self.state.write(), to: None };
            return Move { from: self, to: &to_dir, name, to_name, how, between: Between::Same }.run(pair);
        }
        let _moving = self.space.moving.lock();
        let between = Between::two(self, &to_dir);
        let pair = if let Between::Up(_) = between {
            let to = Some(to_dir.state.write());
            Pair { from: self.state.write(), to }
        } else {
            let from = self.state.write();
            Pair { from, to: Some(to_dir.state.write()) }
        };
        Move { from: self, to: &to_dir, name, to_name, how, between }.run(pair)
    }
}

/// How the two directories of a move lie in the tree.
enum Between {
    Same,
    /// The target directory lies below this entry of the source directory, or is it.
    Down(Arc<Inode>),
    /// The source directory lies below this entry of the target directory, or is it.
    Up(Arc<Inode>),
    Apart,
}

impl Between {
    /// Looks at two different directories while nothing moves.
    fn two(from: &Inode, to: &Inode) -> Self {
        if let Some(entry) = entry_towards(from, to) {
            Between::Down(entry)
        } else if let Some(entry) = entry_towards(to, from) {
            Between::Up(entry)
        } else {
            Between::Apart
        }
    }
}

/// The entry of `above` on the way down to `below`, if it lies there.
fn entry_towards(above: &Inode, below: &Inode) -> Option<Arc<Inode>> {
    let mut here = below.me.upgrade()?;
    loop {
        let parent = here.state.read().directory().ok()?.parent.upgrade()?;
        if parent.id == above.id {
            return Some(here);
        }
        here = parent;
    }
}

/// The locks of both directories, which may be one.
struct Pair<'a> {
    from: RwLockWriteGuard<'a, State>,
    to: Option<RwLockWriteGuard<'a, State>>,
}

impl Pair<'_> {
    fn to(&mut self) -> &mut State {
        self.to.as_deref_mut().unwrap_or(&mut self.from)
    }
}

struct Move<'a> {
    from: &'a Inode,
    to: &'a Inode,
    name: &'a [u8],
    to_name: &'a [u8],
    how: Rename,
    between: Between,
}

impl Move<'_> {
    fn run(&self, mut pair: Pair<'_>) -> Result<()> {
        let source = pair.from.directory()?.get(self.name).cloned().ok_or(Error::NotFound)?;
        let directory = pair.to().directory()?;
        if directory.dead {
            return Err(Error::NotFound);
        }
        let target = directory.get(self.to_name).cloned();
        match &target {
            Some(_) if self.how == Rename::NoReplace => return Err(Error::Exists),
            None if self.how == Rename::Exchange => return Err(Error::NotFound),
            _ => {}
        }
        self.check_loop(&source, target.as_ref())?;
        match &target {
            Some(target) if target.id == source.id => return Ok(()),
            Some(target) if self.how == Rename::Exchange => self.exchange(&mut pair, &source, target)?,
            Some(target) => self.replace(&mut pair, source, target)?,
            None => self.transfer(&mut pair, &source)?,
        }
        let now = self.from.now();
        pair.from.touch(now);
        pair.to().touch(now);
        // What was replaced may be large; it is freed after the locks, with `target`.
        drop(pair);
        Ok(())
    }

    /// No directory may end up inside itself.
    fn check_loop(&self, source: &Arc<Inode>, target: Option<&Arc<Inode>>) -> Result<()> {
        match (&self.between, target) {
            (Between::Down(entry), _) if entry.id == source.id => {
                Err(Error::InvalidArgument("a directory cannot move into itself"))
            }
            (Between::Up(entry), Some(target)) if entry.id == target.id && self.how == Rename::Exchange => {
                Err(Error::InvalidArgument("a directory cannot move into itself"))
            }
            (Between::Up(entry), Some(target)) if entry.id == target.id => Err(Error::NotEmpty),
            _ => Ok(()),
        }
    }

    fn exchange(&self, pair: &mut Pair<'_>, source: &Arc<Inode>, target: &Arc<Inode>) -> Result<()> {
        pair.from.directory_mut()?.replace(self.name, target.clone());
        pair.to().directory_mut()?.replace(self.to_name, source.clone());
        self.recount(pair, source, target);
        source.settle(self.to);
        target.settle(self.from);
        Ok(())
    }

    /// Both directories now have each other's subdirectory.
    fn recount(&self, pair: &mut Pair<'_>, source: &Inode, target: &Inode) {
        let (out, back) = (counts(source), counts(target));
        pair.from.nlink = pair.from.nlink + back - out;
        let to = pair.to();
        to.nlink = to.nlink + out - back;
    }

    fn replace(&self, pair: &mut Pair<'_>, source: Arc<Inode>, target: &Arc<Inode>) -> Result<()> {
        match (source.kind, target.kind) {
            (Kind::Directory, Kind::Directory) => {
                target.die()?;
                pair.to().nlink -= 1;
            }
            (Kind::Directory, _) => return Err(Error::NotADirectory),
            (_, Kind::Directory) => return Err(Error::IsADirectory),
            _ => target.lose_name(),
        }
        pair.from.directory_mut()?.remove(self.name);
        pair.from.nlink -= counts(&source);
        source.settle(self.to);
        let to = pair.to();
        to.nlink += counts(&source);
        to.directory_mut()?.replace(self.to_name, source);
        Ok(())
    }

    fn transfer(&self, pair: &mut Pair<'_>, source: &Arc<Inode>) -> Result<()> {
        let Some(entry) = pair.from.directory_mut()?.remove(self.name) else {
            return Err(Error::NotFound);
        };
        pair.from.nlink -= counts(source);
        source.settle(self.to);
        let to = pair.to();
        to.nlink += counts(source);
        let directory: &mut Directory = to.directory_mut()?;
        match self.between {
            Between::Same => directory.insert_at(self.to_name, entry),
            _ => directory.insert(self.to_name, entry.node),
        }
        Ok(())
    }
}

impl Inode {
    /// It has been moved to `directory`; the locks there are held.
    fn settle(&self, directory: &Inode) {
        let mut state = self.state.write();
        state.changed = self.now();
        if let Ok(moved) = state.directory_mut() {
            moved.parent = directory.me.clone();
        }
    }
}

/// What an entry adds to the links of its directory.
fn counts(node: &Inode) -> u64 {
    u64::from(node.kind == Kind::Directory)
}
