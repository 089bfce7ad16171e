//! Moving an entry. Everything that can fail comes first, in the order Linux decides in; then the
//! change is made as a whole under the locks of both directories and of what moves.

use super::inode::{Home, Inode, State};
use super::names::lose_name;
use crate::{Caller, Error, Kind, Name, NodeRef, Rename, Result, Timestamp, Want};
use parking_lot::RwLockWriteGuard;
use std::sync::{Arc, Weak};

impl Inode {
    pub(super) fn move_entry(
        &self,
        by: &Caller,
        name: Name<'_>,
        to_dir: &NodeRef,
        to_name: Name<'_>,
        how: Rename,
    ) -> Result<()> {
        let to = self.recognise(to_dir)?;
        if self.kind() != Kind::Directory || to.kind() != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        self.filled();
        to.filled();
        let (name, to_name) = (name.as_bytes(), to_name.as_bytes());
        let step = |between| Move { by, from: self, to: &to, name, to_name, how, between };
        if to.ino() == self.ino() {
            return step(Between::Same).run(Pair { from: self.state.write(), to: None });
        }
        let _moving = self.lane.space.moving.lock();
        let between = Between::two(self, &to);
        let to_first = match between {
            Between::Up(_) => true,
            Between::Apart => to.ino() < self.ino(),
            Between::Down(_) | Between::Same => false,
        };
        let pair = if to_first {
            let target = Some(to.state.write());
            Pair { from: self.state.write(), to: target }
        } else {
            let from = self.state.write();
            Pair { from, to: Some(to.state.write()) }
        };
        step(between).run(pair)
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
        let parent = here.state.read().home.dir.upgrade()?;
        if parent.ino() == above.ino() {
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

impl<'a> Pair<'a> {
    fn to(&mut self) -> &mut RwLockWriteGuard<'a, State> {
        self.to.as_mut().unwrap_or(&mut self.from)
    }
}

struct Move<'a> {
    by: &'a Caller,
    from: &'a Inode,
    to: &'a Inode,
    name: &'a [u8],
    to_name: &'a [u8],
    how: Rename,
    between: Between,
}

impl Move<'_> {
    fn run(&self, mut pair: Pair<'_>) -> Result<()> {
        let (by, exchange) = (self.by, self.how == Rename::Exchange);
        let from_owner = self.from.owner(&pair.from.meta);
        by.check(from_owner, Want::SEARCH)?;
        let source = pair.from.directory()?.get(self.name).cloned().ok_or(Error::NotFound)?;
        let to_state = &**pair.to();
        let to_owner = self.to.owner(&to_state.meta);
        by.check(to_owner, Want::SEARCH)?;
        if to_state.directory()?.dead {
            return Err(Error::NotFound);
        }
        let target = to_state.directory()?.get(self.to_name).cloned();
        match &target {
            Some(_) if self.how == Rename::NoReplace => return Err(Error::Exists),
            None if exchange => return Err(Error::NotFound),
            _ => {}
        }
        self.check_loop(&source, target.as_ref())?;
        if target.as_ref().is_some_and(|target| target.ino() == source.ino()) {
            return Ok(());
        }
        // What moves is locked last, and of two directories first: files have nothing below them.
        let mut both = [Some(&source), target.as_ref()];
        both.sort_by_key(|node| {
            node.map_or((true, u64::MAX), |node| (node.kind() != Kind::Directory, node.ino()))
        });
        let [first, second] = both;
        let first_guard = first.map(|node| node.state.write());
        let second_guard = second.map(|node| node.state.write());
        let (source_guard, mut target_guard) = match first {
            Some(first) if first.ino() == source.ino() => (first_guard, second_guard),
            _ => (second_guard, first_guard),
        };
        let Some(mut source_guard) = source_guard else { return Err(Error::NotFound) };

        by.check(from_owner, Want::WRITE)?;
        by.check_sticky(from_owner, source_guard.meta.uid)?;
        by.check(to_owner, Want::WRITE)?;
        if let (Some(target), Some(guard)) = (&target, &target_guard) {
            by.check_sticky(to_owner, guard.meta.uid)?;
            match (source.kind(), target.kind()) {
                _ if exchange => {}
                (Kind::Directory, Kind::Directory) => {}
                (Kind::Directory, _) => return Err(Error::NotADirectory),
                (_, Kind::Directory) => return Err(Error::IsADirectory),
                _ => {}
            }
        }
        if !matches!(self.between, Between::Same) {
            // Another parent is a change of what a directory holds: its `..`.
            if is_dir(&source) {
                by.check(source.owner(&source_guard.meta), Want::WRITE)?;
            }
            if let (true, Some(target), Some(guard)) = (exchange, &target, &target_guard)
                && is_dir(target)
            {
                by.check(target.owner(&guard.meta), Want::WRITE)?;
            }
        }
        if let (false, Some(target), Some(guard)) = (exchange, &target, &target_guard)
            && is_dir(target)
            && guard.directory()?.len() > 0
        {
            return Err(Error::NotEmpty);
        }
        let (out, back) = (u32::from(is_dir(&source)), target.as_ref().map_or(0, |it| u32::from(is_dir(it))));
        let grows = !matches!(self.between, Between::Same) && out > back;
        if grows && pair.to().meta.nlink >= self.to.lane.space.link_max {
            return Err(Error::LinkLimit);
        }
        if target.is_none() {
            pair.to().directory()?.check_room()?;
        }

        // From here on nothing fails.
        if is_dir(&source) || target.as_ref().is_some_and(|target| is_dir(target)) {
            self.from.lane.space.moves.count();
        }
        let now = self.from.now();
        let epoch = self.from.epoch();
        let shown = self.from.shown();
        self.from.edit(&mut pair.from, epoch);
        self.to.edit(pair.to(), epoch);
        let from_cookie = pair.from.directory()?.cookie_of(self.name);
        let to_cookie = match pair.to().directory()? {
            _ if target.is_none() && matches!(self.between, Between::Same) => from_cookie,
            directory if target.is_none() => directory.next_cookie(),
            directory => directory.cookie_of(self.to_name),
        };
        settle(&source, &mut source_guard, (self.to, to_cookie), now, epoch);
        match (&target, &mut target_guard) {
            (Some(target), Some(guard)) if exchange => {
                settle(target, guard, (self.from, from_cookie), now, epoch);
                pair.from.directory_mut()?.replace(self.name, Arc::clone(target), epoch, shown);
                pair.to().directory_mut()?.replace(self.to_name, Arc::clone(&source), epoch, shown);
            }
            (Some(target), Some(guard)) => {
                let state = target.edit(guard, epoch);
                if is_dir(target) {
                    state.die(now);
                } else {
                    target.give_nodes_back(lose_name(&state.meta));
                    state.meta.nlink -= 1;
                    state.meta.touch_attributes(now);
                    state.leave(self.to, to_cookie);
                }
                pair.from.directory_mut()?.remove(self.name, epoch, shown);
                pair.to().directory_mut()?.replace(self.to_name, Arc::clone(&source), epoch, shown);
            }
            _ if matches!(self.between, Between::Same) => {
                pair.from.directory_mut()?.rename(self.name, self.to_name, epoch, shown);
            }
            _ => {
                pair.from.directory_mut()?.remove(self.name, epoch, shown);
                pair.to().directory_mut()?.insert(self.to_name, Arc::clone(&source), epoch);
            }
        }
        // A directory counts in the one it is in; one that was replaced counts there no more.
        pair.from.meta.nlink = pair.from.meta.nlink - out + if exchange { back } else { 0 };
        let to_meta = &mut pair.to().meta;
        to_meta.nlink = to_meta.nlink + out - back;
        pair.from.meta.touch(now);
        pair.to().meta.touch(now);
        drop((source_guard, target_guard, pair));
        // What was replaced may be large; it is freed after the locks, with `target`.
        Ok(())
    }

    /// No directory may end up inside itself.
    fn check_loop(&self, source: &Arc<Inode>, target: Option<&Arc<Inode>>) -> Result<()> {
        match (&self.between, target) {
            (Between::Down(entry), _) if entry.ino() == source.ino() => {
                Err(Error::InvalidArgument("a directory cannot move into itself"))
            }
            (Between::Up(entry), Some(target))
                if entry.ino() == target.ino() && self.how == Rename::Exchange =>
            {
                Err(Error::InvalidArgument("a directory cannot move into itself"))
            }
            (Between::Up(entry), Some(target)) if entry.ino() == target.ino() => Err(Error::NotEmpty),
            _ => Ok(()),
        }
    }
}

/// A node comes into a directory.
fn settle(
    node: &Arc<Inode>,
    guard: &mut RwLockWriteGuard<'_, State>,
    (home, cookie): (&Inode, u64),
    now: Timestamp,
    epoch: u64,
) {
    let state = node.edit(guard, epoch);
    state.meta.touch_attributes(now);
    state.home = Home { dir: Weak::clone(&home.me), cookie };
}

fn is_dir(node: &Inode) -> bool {
    node.kind() == Kind::Directory
}
