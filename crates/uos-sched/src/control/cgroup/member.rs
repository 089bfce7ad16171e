//! One process's group, in the root of the hierarchy or in a group of several.

use super::dir::{Dir, clear, holds_foreign};
use super::kernel;
use std::io;
use std::path::{Path, PathBuf};

/// One process's group. Dropping it puts the process back where it was and removes the group.
#[derive(Debug)]
pub(in crate::control) struct Member {
    pub(in crate::control) dir: Dir,
    pub(in crate::control) before: PathBuf,
    /// Where it goes if that is no more.
    pub(super) root: PathBuf,
    pub(super) pid: u32,
}

impl Member {
    /// Whether its group is in this one.
    pub(in crate::control) fn is_in(&self, parent: &Path) -> bool {
        self.dir.path.parent() == Some(parent)
    }

    /// Moves it into a group in `parent`, with everybody who was born into the one it has. The new one is as `settle`
    /// makes it before anybody is in it.
    pub(in crate::control) fn move_to(
        &mut self,
        parent: &Path,
        settle: impl FnOnce(&mut Dir) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(name) = self.dir.path.file_name().and_then(|name| name.to_str()) else {
            return Err(io::ErrorKind::InvalidFilename.into());
        };
        // It could not be brought along, and is not ours to remove.
        if holds_foreign(&self.dir.path) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let mut dir = Dir::make(self.dir.version, parent, name)?;
        if let Err(error) = settle(&mut dir).and_then(|()| dir.take(self.pid)) {
            let _ = kernel::remove(&dir.path);
            return Err(error);
        }
        let left = std::mem::replace(&mut self.dir, dir);
        clear(&left.path, &self.dir.path);
        Ok(())
    }

    /// Where it goes when this is dropped.
    pub(in crate::control) fn home(&self) -> &Path {
        if self.before.is_dir() { &self.before } else { &self.root }
    }

    /// Somebody else's group has moved or gone, which this one may have been in before.
    pub(in crate::control) fn follow(&mut self, from: &Path, to: &Path) {
        if self.before == from {
            self.before = to.to_owned();
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Whoever is in there, and not by its number: it may have ended, and that be another's.
        clear(&self.dir.path, self.home());
    }
}
