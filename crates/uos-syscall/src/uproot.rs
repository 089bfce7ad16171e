//! Removing a directory with everything in it.
//!
//! A walk with a list of its own instead of the stack, for trees may be deeper than one. Of the directories on the way down
//! only the lowest few are held open, so that a deep tree doesn't take all descriptors; on the way up the others are
//! looked up again from the top, and have to be the same ones. Only nodes are used, one name at a time, so no link is
//! ever followed.

use std::collections::VecDeque;

use uos_vfs::{Kind, Mounts, Name, NodeId, NodeRef, Place, VPath};

use crate::{Errno, Error, target::KERNEL};

/// So many levels are held open.
const HELD: usize = 32;
/// So many names are listed at once.
const BATCH: usize = 128;
/// How often a directory is gone through again when there is still something in it.
const AGAIN: u32 = 3;

/// Removes a directory; `gone` is told of everything that is, in order.
pub(crate) fn uproot(
    mounts: &Mounts,
    place: &Place,
    top: &NodeRef,
    gone: impl FnMut(&VPath, bool),
) -> Result<(), Error> {
    let name = place.path.file_name().ok_or(Errno::EBUSY)?;
    let above = place.path.parent().unwrap_or_else(VPath::root);
    let above = if above.is_root() { Vec::new() } else { above.as_bytes().to_vec() };
    let mut walk = Walk { mounts, place, path: above, levels: Vec::new(), gone };
    walk.enter(name, NodeRef::clone(top));
    walk.run()
}

struct Walk<'a, F> {
    mounts: &'a Mounts,
    place: &'a Place,
    /// Of the lowest level.
    path: Vec<u8>,
    levels: Vec<Level>,
    gone: F,
}

/// A directory on the way down.
struct Level {
    name: Vec<u8>,
    id: NodeId,
    /// Given up when the walk is far below.
    dir: Option<NodeRef>,
    /// Listed and not yet gone through.
    listed: VecDeque<Listed>,
    /// Where the listing goes on after what was gone through.
    cursor: u64,
    again: u32,
}

struct Listed {
    name: Vec<u8>,
    kind: Kind,
    cursor: u64,
}

impl<F: FnMut(&VPath, bool)> Walk<'_, F> {
    fn run(&mut self) -> Result<(), Error> {
        while !self.levels.is_empty() {
            match self.next()? {
                Some(entry) => self.take(&entry)?,
                None => self.leave()?,
            }
        }
        Ok(())
    }

    /// What comes next in the lowest directory.
    fn next(&mut self) -> Result<Option<Listed>, Error> {
        let dir = self.lowest()?;
        let Some(level) = self.levels.last_mut() else { return Ok(None) };
        if level.listed.is_empty() {
            let listed = &mut level.listed;
            dir.read_dir(level.cursor, &mut |entry| {
                let room = listed.len() < BATCH;
                if room {
                    let (name, kind, cursor) = (entry.name.as_bytes().to_vec(), entry.kind, entry.cursor);
                    listed.push_back(Listed { name, kind, cursor });
                }
                room
            })?;
        }
        let next = level.listed.pop_front();
        level.cursor = next.as_ref().map_or(level.cursor, |entry| entry.cursor);
        Ok(next)
    }

    /// Removes an entry, or goes down into it.
    fn take(&mut self, entry: &Listed) -> Result<(), Error> {
        let dir = self.lowest()?;
        if entry.kind != Kind::Directory {
            match dir.unlink(KERNEL, Name::new(&entry.name)?) {
                Ok(()) => self.tell(&entry.name, false),
                // Somebody else was quicker.
                Err(uos_vfs::Error::NotFound) => {}
                Err(uos_vfs::Error::IsADirectory) => return self.descend(&dir, &entry.name),
                Err(error) => return Err(self.stopped(&entry.name, error)),
            }
            return Ok(());
        }
        self.descend(&dir, &entry.name)
    }

    fn descend(&mut self, dir: &NodeRef, name: &[u8]) -> Result<(), Error> {
        let node = match dir.lookup(KERNEL, Name::new(name)?) {
            Ok(node) => node,
            Err(uos_vfs::Error::NotFound) => return Ok(()),
            Err(error) => return Err(self.stopped(name, error)),
        };
        if node.kind() != Kind::Directory {
            // It is no longer what was listed; the next round finds it.
            return Ok(());
        }
        // The host may have something mounted there, of which only the other filesystem tells.
        if self.mounts.is_mount_point(node.id())
            || self.levels.last().is_some_and(|it| it.id.fs != node.id().fs)
        {
            return Err(self.stopped(name, uos_vfs::Error::Busy));
        }
        self.enter(name, node);
        Ok(())
    }

    fn enter(&mut self, name: &[u8], dir: NodeRef) {
        self.path.push(b'/');
        self.path.extend_from_slice(name);
        let (name, id) = (name.to_vec(), dir.id());
        self.levels.push(Level { name, id, dir: Some(dir), listed: VecDeque::new(), cursor: 0, again: 0 });
        // The top is always held: from there the others are found again.
        if let Some(far @ 1..) = self.levels.len().checked_sub(HELD + 1) {
            self.levels[far].dir = None;
            self.levels[far].listed = VecDeque::new();
        }
    }

    /// Removes the lowest directory, which has been gone through.
    fn leave(&mut self) -> Result<(), Error> {
        let Some(mut level) = self.levels.pop() else { return Ok(()) };
        let end = self.path.len() - level.name.len() - 1;
        self.path.truncate(end);
        let parent = if self.levels.is_empty() { NodeRef::clone(&self.place.parent) } else { self.lowest()? };
        match parent.rmdir(KERNEL, Name::new(&level.name)?) {
            Ok(()) => self.tell(&level.name, true),
            Err(uos_vfs::Error::NotFound) => {}
            // Something came in meanwhile, or the filesystem lists badly while names go.
            Err(uos_vfs::Error::NotEmpty) if level.again < AGAIN => {
                (level.cursor, level.again) = (0, level.again + 1);
                self.path.push(b'/');
                self.path.extend_from_slice(&level.name);
                self.levels.push(level);
            }
            Err(error) => return Err(self.stopped(&level.name, error)),
        }
        Ok(())
    }

    /// The lowest directory, and with it those above, held again if they were not.
    fn lowest(&mut self) -> Result<NodeRef, Error> {
        let last = self.levels.len() - 1;
        if let Some(dir) = &self.levels[last].dir {
            return Ok(NodeRef::clone(dir));
        }
        let mut dir = self.levels[0].dir.clone().ok_or(Errno::EIO)?;
        for depth in 1..=last {
            let level = &mut self.levels[depth];
            dir = match dir.lookup(KERNEL, Name::new(&level.name)?) {
                Ok(found) if found.id() == level.id => found,
                Ok(_) | Err(uos_vfs::Error::NotFound) => {
                    return Err(Error::new(Errno::EAGAIN, "what was being removed is being moved"));
                }
                Err(error) => return Err(error.into()),
            };
            if depth + HELD > last {
                level.dir = Some(NodeRef::clone(&dir));
            }
        }
        Ok(dir)
    }

    fn tell(&mut self, name: &[u8], directory: bool) {
        let path = self.path_of(name);
        (self.gone)(&path, directory);
    }

    fn path_of(&self, name: &[u8]) -> VPath {
        VPath::root().join(&[&self.path, &b"/"[..], name].concat())
    }

    fn stopped(&self, name: &[u8], error: uos_vfs::Error) -> Error {
        let (path, error) = (self.path_of(name), Error::from(error));
        Error::at_stage(error.errno, format!("remove {path}"), error.message)
    }
}
