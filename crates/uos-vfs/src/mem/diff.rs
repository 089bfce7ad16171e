//! What lies between two snapshots. Nobody compares two trees for it: each inode that has changed is listed
//! with the epoch in which it did, knows what it was, and where it is. Only a file with several names does
//! not know all of them, and what a restore has put in place of everything is compared node by node.

use super::content::Content;
use super::inode::{Body, Home, Inode, Meta};
use super::snapshot::View;
use super::xattrs::Xattrs;
use crate::{Error, Kind, Result, Timestamp, VPath};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// One thing that is different in two snapshots.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The path it has in the later one; of what has been removed, the path it had.
    pub path: VPath,
    /// What has become of it.
    pub what: What,
}

/// What a change is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// Its path leads to nothing any more. All that was below a directory is named for itself.
    Removed,
    /// It has another path. What was below a directory has moved with it, and is not named.
    Renamed {
        /// The path it had.
        from: VPath,
    },
    /// Its path has led to nothing before. All that is below a directory is named for itself.
    Created,
    /// Mode, owner, extended attributes, what a link says, or of a file the content or the time of its last
    /// change are others.
    Modified,
}

pub(super) fn diff(from: &View, to: &View) -> Result<Vec<Change>> {
    if !Arc::ptr_eq(&from.root, &to.root) {
        return Err(Error::CrossDevice);
    }
    let mut changes = Differ::new(from, to).run();
    // Under a new name nothing is modified, also where it is one more of an old file.
    let created = changes.iter().filter(|change| change.what == What::Created);
    let created: HashSet<VPath> = created.map(|change| change.path.clone()).collect();
    changes.retain(|change| change.what != What::Modified || !created.contains(&change.path));
    changes.sort();
    changes.dedup();
    Ok(changes)
}

/// What is different, for whoever has to find those places in the tree.
pub(super) fn touched(from: &View, to: &View) -> Touched {
    Differ::new(from, to).touched()
}

/// Nodes by their numbers.
pub(super) struct Touched {
    /// Those that are not what they were. New ones are not among them.
    pub(super) nodes: HashSet<u64>,
    /// Directories that have something below that is not what it was.
    pub(super) above: HashSet<u64>,
}

struct Differ<'a> {
    root: &'a Arc<Inode>,
    from: u64,
    to: u64,
    /// Those that were there at the earlier end and have changed until the later one.
    changed: Vec<Arc<Inode>>,
    /// By end and number, all paths of the files with several names, once somebody has asked.
    linked: [Option<HashMap<u64, Vec<VPath>>>; 2],
    changes: Vec<Change>,
}

/// One of the two snapshots.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    From,
    To,
}

impl<'a> Differ<'a> {
    fn new(from: &'a View, to: &View) -> Self {
        let (from_epoch, to_epoch) = (from.epoch(), to.epoch());
        let (low, high) = (from_epoch.min(to_epoch), from_epoch.max(to_epoch));
        let changed = from.root.lane.space.epochs.changed(low, high);
        Differ {
            root: &from.root,
            from: from_epoch,
            to: to_epoch,
            changed,
            linked: [None, None],
            changes: Vec::new(),
        }
    }

    fn epoch(&self, end: End) -> u64 {
        if end == End::From { self.from } else { self.to }
    }

    fn run(mut self) -> Vec<Change> {
        let low = self.from.min(self.to);
        for inode in std::mem::take(&mut self.changed) {
            let (Some(before), Some(after)) = (self.facts(&inode, End::From), self.facts(&inode, End::To))
            else {
                continue;
            };
            let (had, has) = (self.paths(&inode, End::From), self.paths(&inode, End::To));
            if had.is_empty() || has.is_empty() {
                continue;
            }
            if !before.same(&after, inode.kind()) {
                let modified = has.iter().map(|path| Change { path: path.clone(), what: What::Modified });
                self.changes.extend(modified);
            }
            if inode.kind() == Kind::Directory {
                inode.filled();
                let names = match inode.state.read().directory() {
                    Ok(directory) => directory.changed_since(low),
                    Err(_) => continue,
                };
                for name in names {
                    let [was, is] = [End::From, End::To].map(|end| self.entry(&inode, &name, end));
                    self.entries_differ(was, is, &had[0].join(&name), &has[0].join(&name));
                }
            }
        }
        self.changes
    }

    fn entry(&self, dir: &Inode, name: &[u8], end: End) -> Option<Arc<Inode>> {
        dir.filled();
        let state = dir.state.read();
        state.directory().ok()?.get_at(name, self.epoch(end)).cloned()
    }

    /// A name has led to one node and leads to another.
    fn entries_differ(&mut self, was: Option<Arc<Inode>>, is: Option<Arc<Inode>>, had: &VPath, has: &VPath) {
        match (was, is) {
            (Some(was), Some(is)) if Arc::ptr_eq(&was, &is) => {}
            (Some(was), Some(is)) if was.kind() == is.kind() && !self.moved(&was) && !self.moved(&is) => {
                self.replaced(&was, &is, had, has);
            }
            (was, is) => {
                if let Some(was) = was {
                    self.removed(&was, had);
                }
                if let Some(is) = is {
                    self.created(&is, has);
                }
            }
        }
    }

    /// Another node of the same kind has a path.
    fn replaced(&mut self, was: &Arc<Inode>, is: &Arc<Inode>, had: &VPath, has: &VPath) {
        if let (Some(before), Some(after)) = (self.facts(was, End::From), self.facts(is, End::To))
            && !(before.same(&after, is.kind()) && says_the_same(was, is))
        {
            self.changes.push(Change { path: has.clone(), what: What::Modified });
        }
        if is.kind() != Kind::Directory {
            return;
        }
        let (old, new) = (self.list(was, End::From), self.list(is, End::To));
        for (name, node) in &old {
            self.entries_differ(
                Some(Arc::clone(node)),
                new.get(name).cloned(),
                &had.join(name),
                &has.join(name),
            );
        }
        for (name, node) in new {
            if !old.contains_key(&name) {
                self.entries_differ(None, Some(node), &had.join(&name), &has.join(&name));
            }
        }
    }

    fn removed(&mut self, node: &Arc<Inode>, path: &VPath) {
        if self.moved(node) {
            // Told where it is now.
            return;
        }
        self.changes.push(Change { path: path.clone(), what: What::Removed });
        if node.kind() == Kind::Directory {
            for (name, child) in self.list(node, End::From) {
                self.removed(&child, &path.join(&name));
            }
        }
    }

    fn created(&mut self, node: &Arc<Inode>, path: &VPath) {
        if self.moved(node) {
            let from = self.paths(node, End::From).into_iter().next();
            self.changes.extend(from.map(|from| Change { path: path.clone(), what: What::Renamed { from } }));
            return;
        }
        self.changes.push(Change { path: path.clone(), what: What::Created });
        if node.kind() == Kind::Directory {
            for (name, child) in self.list(node, End::To) {
                self.created(&child, &path.join(&name));
            }
        }
    }

    /// Whether a node has one path in both, and not the same.
    fn moved(&mut self, node: &Arc<Inode>) -> bool {
        let (had, has) = (self.paths(node, End::From), self.paths(node, End::To));
        had.len() == 1 && has.len() == 1 && self.place(node, End::From) != self.place(node, End::To)
    }

    /// The directory a node is in and its name there.
    fn place(&mut self, node: &Arc<Inode>, end: End) -> Option<(u64, Vec<u8>)> {
        let home = self.home(node, end)?;
        let dir = home.dir.upgrade()?;
        let state = dir.state.read();
        let (name, found) = state.directory().ok()?.entry_at(home.cookie, self.epoch(end))?;
        Arc::ptr_eq(found, node).then(|| (dir.ino(), name.to_vec()))
    }

    fn home(&self, node: &Inode, end: End) -> Option<Home> {
        let (state, epoch) = (node.state.read(), self.epoch(end));
        match state.version_at(epoch) {
            Some(version) => Some(version.home.clone()),
            None => (state.since <= epoch).then(|| state.home.clone()),
        }
    }

    /// All paths of a node; none if it was not there.
    fn paths(&mut self, node: &Arc<Inode>, end: End) -> Vec<VPath> {
        let Some(facts) = self.facts(node, end) else { return Vec::new() };
        if node.kind() != Kind::Directory && (facts.meta.nlink > 1 || self.place(node, end).is_none()) {
            return self.linked_paths(node, end);
        }
        self.path(node, end).into_iter().collect()
    }

    fn path(&mut self, node: &Arc<Inode>, end: End) -> Option<VPath> {
        let mut names = Vec::new();
        let mut here = Arc::clone(node);
        while !Arc::ptr_eq(&here, self.root) {
            let (_, name) = self.place(&here, end)?;
            names.push(name);
            here = self.home(&here, end)?.dir.upgrade()?;
        }
        Some(names.iter().rev().fold(VPath::root(), |path, name| path.join(name)))
    }

    /// All paths of a file with several names, or with one that it no longer knows.
    fn linked_paths(&mut self, node: &Inode, end: End) -> Vec<VPath> {
        if self.linked[end as usize].is_none() {
            let mut all: HashMap<u64, Vec<VPath>> = HashMap::new();
            let mut left = vec![(Arc::clone(self.root), VPath::root())];
            while let Some((dir, path)) = left.pop() {
                for (name, child) in self.list(&dir, end) {
                    let path = path.join(&name);
                    if child.kind() == Kind::Directory {
                        left.push((child, path));
                    } else {
                        all.entry(child.ino()).or_default().push(path);
                    }
                }
            }
            self.linked[end as usize] = Some(all);
        }
        let all = self.linked[end as usize].as_ref();
        all.and_then(|all| all.get(&node.ino())).cloned().unwrap_or_default()
    }

    fn list(&self, dir: &Inode, end: End) -> HashMap<Box<[u8]>, Arc<Inode>> {
        dir.filled();
        let state = dir.state.read();
        let Ok(directory) = state.directory() else { return HashMap::new() };
        directory.list_at(self.epoch(end), 0).into_iter().map(|entry| (entry.name, entry.node)).collect()
    }

    fn facts<'n>(&self, node: &'n Inode, end: End) -> Option<Facts<'n>> {
        let (state, epoch) = (node.state.read(), self.epoch(end));
        if let Some(version) = state.version_at(epoch) {
            let content = version.content.clone();
            let xattrs = Arc::clone(&version.xattrs);
            return Some(Facts { node, meta: version.meta, content, xattrs });
        }
        if state.since > epoch {
            return None;
        }
        let content =
            if let Body::File(content) = &state.body { content.clone() } else { Content::default() };
        let xattrs = state.extra.as_ref().map(|extra| Arc::clone(&extra.xattrs)).unwrap_or_default();
        Some(Facts { node, meta: state.meta, content, xattrs })
    }

    fn touched(mut self) -> Touched {
        let mut touched = Touched { nodes: HashSet::new(), above: HashSet::new() };
        let changed = std::mem::take(&mut self.changed);
        for inode in &changed {
            touched.nodes.insert(inode.ino());
            for end in [End::From, End::To] {
                let several = inode.kind() != Kind::Directory
                    && self.facts(inode, end).is_some_and(|facts| facts.meta.nlink > 1);
                if several || self.place(inode, end).is_none() {
                    for path in self.linked_paths(inode, end) {
                        self.mark_path(&path, end, &mut touched.above);
                    }
                } else {
                    self.mark_above(inode, end, &mut touched.above);
                }
            }
        }
        touched
    }

    fn mark_above(&self, node: &Arc<Inode>, end: End, above: &mut HashSet<u64>) {
        let mut here = Arc::clone(node);
        while let Some(dir) = self.home(&here, end).and_then(|home| home.dir.upgrade()) {
            above.insert(dir.ino());
            here = dir;
        }
    }

    fn mark_path(&self, path: &VPath, end: End, above: &mut HashSet<u64>) {
        let mut here = Arc::clone(self.root);
        above.insert(here.ino());
        for name in path.components() {
            let Some(next) = self.entry(&here, name, end) else { return };
            above.insert(next.ino());
            here = next;
        }
    }
}

/// Whether two links have one text, or two special files are of one kind and device. That never changes.
fn says_the_same(one: &Inode, two: &Inode) -> bool {
    // One after the other: two locks at once would have to be taken in order.
    let said = |node: &Inode| match &node.state.read().body {
        Body::Symlink(target) => (Some(target.clone()), None),
        Body::Special(special) => (None, Some(*special)),
        Body::File(_) | Body::Directory(_) => (None, None),
    };
    said(one) == said(two)
}

/// What is compared of two nodes.
struct Facts<'n> {
    node: &'n Inode,
    meta: Meta,
    content: Content,
    xattrs: Arc<Xattrs>,
}

impl Facts<'_> {
    fn same(&self, other: &Facts<'_>, kind: Kind) -> bool {
        let rights = |meta: &Meta| (meta.mode, meta.uid, meta.gid);
        let modified = |meta: &Meta| Timestamp::from(meta.modified);
        rights(&self.meta) == rights(&other.meta)
            && (kind != Kind::File || modified(&self.meta) == modified(&other.meta))
            && (Arc::ptr_eq(&self.xattrs, &other.xattrs) || self.xattrs == other.xattrs)
            && self.content.same(&other.content)
    }
}

impl Drop for Facts<'_> {
    /// Whoever had this too may have let go of it meanwhile.
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.content).release();
        self.node.give_bytes_back(bytes + Xattrs::release(std::mem::take(&mut self.xattrs)));
    }
}
