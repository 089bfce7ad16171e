//! Where things are made before they get their place in the upper layer, and go when they have lost it.

use super::ROOT;
use crate::{Kind, Name, NodeRef, Reach, Rename, Result, StatFs};
use std::sync::atomic::{AtomicU64, Ordering};

/// A directory that nobody sees.
pub(super) struct Work {
    dir: NodeRef,
    next: AtomicU64,
}

/// Something in it. Dropped before it has got a place, it goes.
pub(super) struct Staged<'a> {
    work: &'a Work,
    name: Option<String>,
    node: NodeRef,
}

impl Work {
    /// Removes what was left when somebody was interrupted.
    pub(super) fn begin(dir: &NodeRef) -> Result<Self> {
        clear(dir)?;
        Ok(Work { dir: NodeRef::clone(dir), next: AtomicU64::new(0) })
    }

    pub(super) fn stage(
        &self,
        make: impl FnOnce(&NodeRef, Name<'_>) -> Result<NodeRef>,
    ) -> Result<Staged<'_>> {
        let name = self.fresh_name();
        let node = make(&self.dir, Name::new(name.as_bytes())?)?;
        Ok(Staged { work: self, name: Some(name), node })
    }

    pub(super) fn file(&self) -> Result<Staged<'_>> {
        self.stage(|dir, name| dir.create(ROOT, name, 0o600))
    }

    pub(super) fn dir(&self, mode: u32) -> Result<Staged<'_>> {
        self.stage(|dir, name| dir.mkdir(ROOT, name, mode))
    }

    /// One more name for something of the upper layer.
    pub(super) fn link(&self, node: &NodeRef) -> Result<Staged<'_>> {
        self.stage(|dir, name| dir.link(ROOT, name, node).map(|()| NodeRef::clone(node)))
    }

    /// Takes the name away that something was left under.
    pub(super) fn unpark(&self, name: &str) -> Result<()> {
        self.dir.unlink(ROOT, Name::new(name.as_bytes())?)
    }

    /// Takes an entry out of a directory of the upper layer in one step, with all that is in it.
    pub(super) fn take_in(&self, dir: &NodeRef, name: Name<'_>) -> Result<Staged<'_>> {
        let node = dir.lookup(ROOT, name)?;
        let to = self.fresh_name();
        dir.rename(ROOT, name, &self.dir, Name::new(to.as_bytes())?, Rename::Replace)?;
        Ok(Staged { work: self, name: Some(to), node })
    }

    pub(super) fn stat_fs(&self) -> Result<StatFs> {
        self.dir.stat_fs()
    }

    /// Makes all of the upper layer durable.
    pub(super) fn sync(&self) -> Result<()> {
        self.dir.sync(Reach::FileSystem)
    }

    fn fresh_name(&self) -> String {
        self.next.fetch_add(1, Ordering::Relaxed).to_string()
    }
}

impl Staged<'_> {
    pub(super) fn node(&self) -> &NodeRef {
        &self.node
    }

    /// Leaves it where it is, and says under which name.
    pub(super) fn park(mut self) -> String {
        self.name.take().unwrap_or_default()
    }

    /// Gives it its place, in one step.
    pub(super) fn put(mut self, dir: &NodeRef, name: Name<'_>) -> Result<()> {
        if let Some(staged) = &self.name {
            self.work.dir.rename(ROOT, Name::new(staged.as_bytes())?, dir, name, Rename::Replace)?;
            self.name = None;
        }
        Ok(())
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // Nobody sees it; what can't be removed now is removed when the overlay is laid again.
            let _ = Name::new(name.as_bytes()).and_then(|name| remove(&self.work.dir, name, &self.node));
        }
    }
}

/// Removes an entry with all that is below.
fn remove(dir: &NodeRef, name: Name<'_>, node: &NodeRef) -> Result<()> {
    if node.kind() != Kind::Directory {
        return dir.unlink(ROOT, name);
    }
    clear(node)?;
    dir.rmdir(ROOT, name)
}

/// Removes all that is in a directory. It is never more than a few levels deep.
fn clear(dir: &NodeRef) -> Result<()> {
    let mut names = Vec::new();
    dir.read_dir(0, &mut |entry| {
        names.push(entry.name.as_bytes().to_vec());
        true
    })?;
    for name in &names {
        let name = Name::new(name)?;
        remove(dir, name, &dir.lookup(ROOT, name)?)?;
    }
    Ok(())
}
